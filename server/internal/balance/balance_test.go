package balance_test

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"discordproxy/server/internal/balance"

	"pgregory.net/rapid"
)

const (
	step = 50 * time.Millisecond // of the simulation
	// These are the intervals of the server.
	meet   = 2 * time.Second
	look   = 250 * time.Millisecond
	ask    = time.Second
	renew  = 2 * time.Second
	length = 6 * time.Second
	gone   = 15 * time.Second
)

// world is servers, and the database that they share.
type world struct {
	t       rapid.TB
	random  *rand.Rand
	now     time.Time
	leases  []*lease
	servers []*simulated
	started int
	moves   int
	longest time.Duration // that a bot was free while a server could have taken it
}

// lease is that of a bot. The holder is empty while nobody has it.
type lease struct {
	bot    string
	holder string
	until  time.Time
	free   time.Time // since when somebody could have taken it
	rows   []balance.Process
}

type simulated struct {
	id      string
	bots    []*part
	balance *balance.Balancer
	asks    time.Time
	leaving bool
}

// part is a bot of a server. Times are those when something is due.
type part struct {
	*lease
	meet, look, renew time.Time
	take, give        time.Time // zero if it is not under way
}

func newWorld(t rapid.TB, seed int64, bots int) *world {
	w := &world{t: t, random: rand.New(rand.NewSource(seed)), //nolint:gosec // it is to be repeatable
		now: time.Unix(1_800_000_000, 0)}
	w.add(bots)
	return w
}

func seed(t *rapid.T) int64 { return rapid.Int64().Draw(t, "seed") }

func (w *world) add(bots int) {
	for range bots {
		w.leases = append(w.leases, &lease{bot: fmt.Sprint("bot", len(w.leases)), free: w.now})
	}
}

func (w *world) soon(most time.Duration) time.Time {
	return w.now.Add(time.Duration(w.random.Int63n(int64(most))))
}

// join starts a server with some bots.
func (w *world) join(bots ...*lease) *simulated {
	w.started++
	s := &simulated{id: fmt.Sprintf("%03d %d", w.random.Intn(1000), w.started), asks: w.soon(ask)}
	var names []string
	for _, l := range bots {
		names = append(names, l.bot)
	}
	s.balance = balance.New(s.id, names...)
	for _, l := range bots {
		p := &part{lease: l, look: w.soon(look)}
		s.bots = append(s.bots, p)
		w.meet(s, p)
		p.meet = w.soon(meet)
	}
	w.servers = append(w.servers, s)
	return s
}

// end removes a server without notice to the others.
func (w *world) end(s *simulated) {
	w.servers = slices.DeleteFunc(w.servers, func(other *simulated) bool { return other == s })
}

func (w *world) meet(s *simulated, p *part) {
	p.rows = slices.DeleteFunc(p.rows, func(row balance.Process) bool { return row.ID == s.id || w.now.Sub(row.Seen) > gone })
	p.rows = append(p.rows, balance.Process{ID: s.id, Seen: w.now, Leads: s.balance.Leads()})
	s.balance.Met(p.bot, p.rows)
	p.meet = w.soon(200 * time.Millisecond).Add(meet)
}

// forget removes a server from those that could lead a bot.
func (p *part) forget(s *simulated) {
	p.rows = slices.DeleteFunc(p.rows, func(row balance.Process) bool { return row.ID == s.id })
}

// run runs all for a time.
func (w *world) run(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(step) {
		for _, l := range w.leases {
			if l.holder != "" && !l.until.After(w.now) {
				l.holder, l.free = "", w.now
			}
		}
		for _, s := range slices.Clone(w.servers) {
			w.act(s)
		}
		for _, l := range w.leases {
			if l.holder == "" {
				w.checkFree(l)
			}
		}
	}
}

func (w *world) checkFree(l *lease) {
	for _, s := range w.servers {
		if !s.leaving && slices.ContainsFunc(s.bots, func(p *part) bool { return p.lease == l }) {
			w.longest = max(w.longest, w.now.Sub(l.free))
			return
		}
	}
	l.free = w.now
}

func (w *world) act(s *simulated) {
	giving := false
	for _, p := range s.bots {
		mine := p.holder == s.id
		if mine && !p.renew.After(w.now) {
			p.until, p.renew = w.now.Add(length), w.now.Add(renew)
		}
		if !p.give.IsZero() && !p.give.After(w.now) {
			p.give, p.holder, p.free, p.look = time.Time{}, "", w.now, w.now
			s.balance.Led(p.bot, "", w.now)
			if s.leaving {
				p.forget(s)
			}
			mine = false
		}
		giving = giving || !p.give.IsZero()
		if s.leaving {
			continue
		}
		if !p.meet.After(w.now) {
			w.meet(s, p)
		}
		if !mine {
			w.follow(s, p)
		}
	}
	if s.leaving {
		if !giving {
			w.end(s)
		}
		return
	}
	if s.asks.After(w.now) {
		return
	}
	s.asks = w.now.Add(ask)
	if name, ok := s.balance.Give(w.now); ok {
		i := slices.IndexFunc(s.bots, func(p *part) bool { return p.bot == name })
		if s.bots[i].holder != s.id {
			w.t.Fatalf("%s hands over %s, which %q leads", s.id, name, s.bots[i].holder)
		}
		s.bots[i].give = w.soon(2 * time.Second)
	}
}

func (w *world) follow(s *simulated, p *part) {
	switch {
	case !p.take.IsZero():
		if p.take.After(w.now) {
			return
		}
		p.take = time.Time{}
		if p.holder == "" {
			p.holder, p.until, p.renew = s.id, w.now.Add(length), w.now.Add(renew)
			w.moves++
			s.balance.Led(p.bot, s.id, w.now)
			p.meet = w.now
		}
		s.balance.Tried(p.bot)
	case p.look.After(w.now):
		return
	case p.holder != "":
		s.balance.Led(p.bot, p.holder, w.now)
	case s.balance.Take(p.bot, w.now):
		p.take = w.soon(100 * time.Millisecond) // the database takes time
	}
	p.look = w.now.Add(look)
}

// leave has a server hand over all that it leads, and end.
func (w *world) leave(s *simulated) {
	s.leaving = true
	for _, p := range s.bots {
		switch {
		case p.holder != s.id:
			p.forget(s)
		case p.give.IsZero():
			p.give = w.soon(2 * time.Second)
		}
	}
}

// spread returns the fewest and the most bots that a server leads.
func (w *world) spread() (fewest, most int) {
	counts := make(map[string]int)
	for _, l := range w.leases {
		counts[l.holder]++
	}
	fewest = len(w.leases)
	for _, s := range w.servers {
		fewest, most = min(fewest, counts[s.id]), max(most, counts[s.id])
	}
	return fewest, most
}

// settles runs until all servers lead the same number of bots, or one more, and checks
// that this stays so without further moves.
func (w *world) settles(what string) {
	w.t.Helper()
	fewest, most := 0, 0
	// A server hands over one bot in about 11 s, and one that has just begun waits.
	for range 20 + len(w.leases) {
		w.run(10 * time.Second)
		if fewest, most = w.spread(); most-fewest <= 1 {
			break
		}
	}
	if most-fewest > 1 {
		w.t.Fatalf("%s: servers lead %d to %d bots", what, fewest, most)
	}
	w.run(10 * time.Second)
	moves := w.moves
	w.run(2 * time.Minute)
	if w.moves != moves {
		w.t.Errorf("%s: %d moves after all was even", what, w.moves-moves)
	}
	if fewest, most := w.spread(); most-fewest > 1 {
		w.t.Errorf("%s: servers lead %d to %d bots in the end", what, fewest, most)
	}
}

// TestBalance: whatever servers join, leave and die, bots are soon even, no bot is free for
// longer than the bound, and all stay where they are when nothing changes.
func TestBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, seed(t), rapid.IntRange(1, 16).Draw(t, "bots"))
		for range rapid.IntRange(1, 5).Draw(t, "servers") {
			w.join(w.leases...)
			w.run(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
		}
		w.settles("at the start")
		for range rapid.IntRange(0, 6).Draw(t, "changes") {
			staying := slices.DeleteFunc(slices.Clone(w.servers), func(s *simulated) bool { return s.leaving })
			n := len(staying)
			which := staying[rapid.IntRange(0, n-1).Draw(t, "which")]
			switch what := rapid.SampledFrom([]string{"join", "leave", "die"}).Draw(t, "what"); {
			case what == "join" && n < 8:
				w.join(w.leases...)
			case what == "leave" && n > 1:
				w.leave(which)
			case what == "die" && n > 1:
				w.end(which)
			}
			w.run(time.Duration(rapid.IntRange(0, 30).Draw(t, "s")) * time.Second)
		}
		w.settles("after the changes")
		if most := balance.Bound + look + 200*time.Millisecond; w.longest > most {
			t.Errorf("a bot was free for %v, want %v at most", w.longest, most)
		}
	})
}

// TestJoinMovesFew: a server that joins gets its share, and no other bot moves. The same
// applies to one that dies or leaves.
func TestJoinMovesFew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bots, servers := rapid.IntRange(1, 24).Draw(t, "bots"), rapid.IntRange(1, 6).Draw(t, "servers")
		w := newWorld(t, seed(t), bots)
		for range servers {
			w.join(w.leases...)
		}
		w.settles("at the start")
		before := w.moves
		w.join(w.leases...)
		w.settles("after a server joined")
		if moves, want := w.moves-before, (bots+servers)/(servers+1); moves > want {
			t.Errorf("%d of %d bots moved when a server joined %d others, want %d at most", moves, bots, servers, want)
		}
		before = w.moves
		which := w.servers[rapid.IntRange(0, servers).Draw(t, "which")]
		led := 0
		for _, l := range w.leases {
			if l.holder == which.id {
				led++
			}
		}
		if rapid.Bool().Draw(t, "dies") {
			w.end(which)
		} else {
			w.leave(which)
		}
		w.settles("after a server ended")
		if moves := w.moves - before; moves > led+1 {
			t.Errorf("%d bots moved when a server ended that led %d", moves, led)
		}
	})
}

// TestManyServers: one joins 20 others with many bots. All of them hand over bots at the
// same time, and no more than needed.
func TestManyServers(t *testing.T) {
	for seed := range int64(3) {
		w := newWorld(t, seed, 100)
		for range 20 {
			w.join(w.leases...)
		}
		w.settles("at the start")
		before, began := w.moves, w.now
		joined := w.join(w.leases...)
		for w.run(time.Second); joined.balance.Leads() < 4; w.run(time.Second) {
			if w.now.Sub(began) > time.Minute {
				t.Fatal("the last server has less than its share after a minute")
			}
		}
		w.settles("after a server joined")
		if moves := w.moves - before; moves > 5 {
			t.Errorf("%d bots moved", moves)
		}
	}
}

// TestDifferentBots: bots that only some servers have stay there, and the others are
// shared so that each server leads about the same number.
func TestDifferentBots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, seed(t), 12)
		w.join(w.leases[:8]...)  // 0 to 7
		w.join(w.leases[4:]...)  // 4 to 11
		w.join(w.leases[4:8]...) // 4 to 7, which all have
		w.settles("at the start")
		for _, s := range w.servers {
			if n := s.balance.Leads(); n != 4 {
				t.Errorf("a server leads %d bots, want 4", n)
			}
		}
		// A server with bots that only it has leaves others theirs.
		w.add(8)
		last := w.join(w.leases[4:]...) // 8 as others, and 8 of its own
		w.run(5 * time.Minute)
		if fewest, most := w.spread(); last.balance.Leads() != 8 || fewest != 4 || most != 8 {
			t.Errorf("servers lead %d to %d bots, and one that has 8 bots of its own %d", fewest, most, last.balance.Leads())
		}
	})
}

// TestUnfit: no server leaves bots to one that cannot use Discord or that is silent, and a
// server that cannot use Discord takes no bot that another one could lead.
func TestUnfit(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	at := func(d time.Duration) time.Time { return now.Add(d) }
	make := func() *balance.Balancer {
		b := balance.New("me", "a", "b", "c")
		for _, name := range []string{"a", "b", "c"} {
			b.Led(name, "me", now)
		}
		return b
	}
	meet := func(b *balance.Balancer, p balance.Process) {
		for _, name := range []string{"a", "b", "c"} {
			b.Met(name, []balance.Process{{ID: "me", Seen: p.Seen}, p})
		}
	}
	other := balance.Process{ID: "other", Seen: now}
	b := make()
	meet(b, other)
	other.Seen = at(balance.Stay)
	meet(b, other)
	if _, ok := b.Give(at(balance.Stay - 1)); ok {
		t.Error("a bot is handed over too soon")
	}
	if _, ok := b.Give(at(balance.Stay + balance.Silence + 1)); ok {
		t.Error("a bot is handed over while nothing is heard of others")
	}
	if name, ok := b.Give(at(balance.Stay)); !ok || name != "a" {
		t.Errorf("no bot is handed over: %q", name)
	}
	if name, ok := b.Give(at(balance.Stay + time.Second)); ok {
		t.Errorf("another bot is handed over at the same time: %q", name)
	}
	b.Led("a", "", at(balance.Stay+time.Second))
	if b.Take("a", at(balance.Stay+time.Second+balance.Bound-1)) {
		t.Error("a bot that was handed over is taken back at once")
	}
	late := at(balance.Stay + time.Second + balance.Bound)
	if !b.Take("a", late) {
		t.Fatal("a bot that nobody took is not taken back")
	}
	b.Led("a", "me", late)
	b.Tried("a")
	other.Seen = late.Add(balance.Penalty - 1)
	meet(b, other)
	if _, ok := b.Give(late.Add(balance.Penalty - 1)); ok {
		t.Error("a bot is handed over soon after nobody took one")
	}
	if _, ok := b.Give(late.Add(balance.Penalty)); !ok {
		t.Error("no bot is handed over again")
	}

	b = make()
	other.Seen, other.Unfit = at(balance.Stay), true
	meet(b, other)
	if name, ok := b.Give(at(balance.Stay)); ok {
		t.Errorf("%q is handed over to a server that cannot use Discord", name)
	}
	b = balance.New("me", "a", "b", "c")
	b.SetUnfit(true)
	other.Unfit = false
	meet(b, other)
	if b.Take("a", at(balance.Stay)) {
		t.Error("a server that cannot use Discord takes a bot that another one could lead")
	}
	if !b.Take("a", at(balance.Stay+balance.Bound)) {
		t.Error("a server that cannot use Discord does not take a bot that nobody takes")
	}
}

// TestAlone: a server without others, and one with a single bot, takes a free bot without
// waiting, and hands over none.
func TestAlone(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	b := balance.New("me", "a", "b")
	for _, name := range []string{"a", "b"} {
		b.Met(name, []balance.Process{{ID: "me", Seen: now}})
		if !b.Take(name, now) {
			t.Errorf("%s is not taken", name)
		}
		b.Led(name, "me", now)
		b.Tried(name)
	}
	if name, ok := b.Give(now.Add(time.Hour)); ok {
		t.Errorf("%s is handed over to nobody", name)
	}
	for _, id := range []string{"me", "other"} {
		b := balance.New(id, "a")
		b.Met("a", []balance.Process{{ID: "me", Seen: now}, {ID: "other", Seen: now}})
		if !b.Take("a", now) {
			t.Error("the only bot is left to others")
		}
		b.Led("a", id, now)
		b.Tried("a")
		b.Met("a", []balance.Process{{ID: "me", Seen: now.Add(time.Hour)}, {ID: "other", Seen: now.Add(time.Hour)}})
		if _, ok := b.Give(now.Add(time.Hour)); ok {
			t.Error("the only bot is handed over")
		}
	}
}
