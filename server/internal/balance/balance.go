// Package balance decides which bots a server should lead where several servers share
// several bots.
//
// Servers do not talk to each other about it. Each one decides by what it knows of the
// others: which bots they could lead and how many they lead. A server that leads more
// than others leaves free bots to them for a short time, and hands over one bot at a
// time, to nobody in particular: the server that leads the fewest then takes it.
//
// It reads no clock and does no I/O.
package balance

import (
	"cmp"
	"math"
	"slices"
	"time"
)

const (
	// Silence is how long nothing may have been heard of a server that bots are left to.
	Silence = 4500 * time.Millisecond
	// Bound is how long a free bot is left to others at most. A lease that nobody renews
	// ends after 6 s, and the bot must have another leader 8 s after the last renewal.
	Bound = 1250 * time.Millisecond
	// Short is how long a free bot is left to others by a server that leads less than its
	// share, but more than some other.
	Short = 500 * time.Millisecond
	// Interval is the time between two bots that a server hands over.
	Interval = 10 * time.Second
	// Stay is how long a server leads a bot before it hands it over.
	Stay = 10 * time.Second
	// Penalty is how long a server hands over nothing after nobody took a bot.
	Penalty = time.Minute
	// patience is how long a server that leads too many bots leaves it to those with more
	// to hand over theirs. They might have bots that no other server could lead.
	patience = 30 * time.Second
	// unseen is how long it takes until all servers know of a change, or of a new server.
	unseen = 5 * time.Second
	// fresh is how long a computed share is used.
	fresh = 250 * time.Millisecond
)

// Process is what is known of a server.
type Process struct {
	ID string
	// Seen is when it was last heard of.
	Seen time.Time
	// Leads is how many bots it leads, by its own report.
	Leads int
	// Unfit is whether it has reported that it cannot use Discord.
	Unfit bool
}

// Balancer decides for one server. It is not safe for concurrent use.
type Balancer struct {
	me        string
	unfit     bool
	processes map[string]Process
	first     map[string]time.Time // when a process was heard of first
	bots      map[string]*bot
	counts    map[string]int // of bots by the process that leads them
	taking    int
	next      time.Time // no bot is handed over before
	wanting   time.Time // since when one should be; the zero time if none

	computed time.Time
	share    float64
}

type bot struct {
	candidates []string // processes other than this one that could lead it
	seen       bool     // whether leader was set
	leader     string   // a process; empty if the bot is free
	since      time.Time
	taking     bool
	given      bool // by this process, and nobody has taken it yet
}

// New returns a Balancer for the process me, which could lead some bots.
func New(me string, bots ...string) *Balancer {
	b := &Balancer{
		me: me, processes: make(map[string]Process), first: make(map[string]time.Time),
		bots: make(map[string]*bot), counts: make(map[string]int),
	}
	for _, name := range bots {
		b.bots[name] = new(bot)
	}
	return b
}

// SetUnfit notes whether this process cannot use Discord.
func (b *Balancer) SetUnfit(unfit bool) { b.unfit = unfit }

// Unfit reports whether this process cannot use Discord.
func (b *Balancer) Unfit() bool { return b.unfit }

// Leads returns how many bots this process leads.
func (b *Balancer) Leads() int { return b.counts[b.me] }

// Met notes which processes could lead a bot.
func (b *Balancer) Met(name string, candidates []Process) {
	t := b.bots[name]
	t.candidates = t.candidates[:0]
	for _, p := range candidates {
		if p.ID == b.me {
			continue
		}
		t.candidates = append(t.candidates, p.ID)
		if _, known := b.first[p.ID]; !known {
			b.first[p.ID] = p.Seen
		}
		if !p.Seen.Before(b.processes[p.ID].Seen) {
			b.processes[p.ID] = p
		}
	}
}

// Led notes at a time which process leads a bot, which is empty if none does.
func (b *Balancer) Led(name, process string, now time.Time) {
	t := b.bots[name]
	if t.seen && t.leader == process {
		return
	}
	if t.leader != "" {
		b.counts[t.leader]--
	}
	switch {
	case process == b.me && t.given:
		b.next = now.Add(Penalty) // nobody else wanted it
		t.given = false
	case process != "":
		t.given = false
	}
	if t.seen || process == "" || process == b.me {
		t.since = now
	}
	t.seen, t.leader = true, process
	if process != "" {
		b.counts[process]++
	}
}

// Take reports whether this process may take a bot that is free. If so, it is about to:
// Tried must follow.
func (b *Balancer) Take(name string, now time.Time) bool {
	b.Led(name, "", now)
	t := b.bots[name]
	if !b.mayTake(t, now) {
		return false
	}
	t.taking = true
	b.taking++
	return true
}

// Tried notes that an attempt to take a bot has ended. Led says how.
func (b *Balancer) Tried(name string) {
	if t := b.bots[name]; t.taking {
		t.taking = false
		b.taking--
	}
}

func (b *Balancer) mayTake(t *bot, now time.Time) bool {
	waited := now.Sub(t.since)
	if waited >= Bound {
		return true
	}
	fewest, others := 0, false
	for _, id := range t.candidates {
		if b.couldLead(id, now) {
			n := b.leads(id)
			if !others || n < fewest {
				fewest = n
			}
			others = true
		}
	}
	mine := b.counts[b.me] + b.taking
	switch {
	case !others:
		return true
	case t.given || b.unfit:
		return false
	case mine <= fewest:
		return true
	}
	return waited >= Short && float64(mine) < math.Ceil(b.shareAt(now)-rounding)
}

// rounding is more than what adding fractions loses.
const rounding = 1e-6

// leads returns how many bots another process leads at least.
func (b *Balancer) leads(id string) int {
	// What it reported is older than what is known of bots that this process has, too.
	return max(b.counts[id], b.processes[id].Leads)
}

func (b *Balancer) alive(id string, now time.Time) bool {
	return now.Sub(b.processes[id].Seen) <= Silence
}

func (b *Balancer) couldLead(id string, now time.Time) bool {
	return b.alive(id, now) && !b.processes[id].Unfit
}

// shareAt returns how many bots this process should lead: each bot is shared by the
// processes that could lead it.
func (b *Balancer) shareAt(now time.Time) float64 {
	if passed := now.Sub(b.computed); passed >= 0 && passed < fresh {
		return b.share
	}
	b.computed, b.share = now, 0
	for _, t := range b.bots {
		n := 1
		for _, id := range t.candidates {
			if b.couldLead(id, now) {
				n++
			}
		}
		b.share += 1 / float64(n)
	}
	return b.share
}

// Give returns the bot that this process should hand over at a time, or none. A process
// that gets one hands it over.
func (b *Balancer) Give(now time.Time) (name string, ok bool) {
	b.forget(now)
	if !now.Before(b.next) && b.taking == 0 {
		name = b.surplus(now)
	}
	if name == "" {
		b.wanting = time.Time{}
		return "", false
	}
	if b.wanting.IsZero() {
		b.wanting = now
	}
	if rank, moves := b.rank(now); rank >= moves && now.Sub(b.wanting) < patience {
		return "", false
	}
	b.next, b.wanting = now.Add(Interval), time.Time{}
	b.bots[name].given = true
	return name, true
}

// Kept notes that this process did not hand over a bot that Give returned.
func (b *Balancer) Kept(name string) { b.bots[name].given = false }

// surplus returns the bot to hand over, empty if there is none: of those that the process
// with the fewest bots could lead, the one that this process has led the longest.
func (b *Balancer) surplus(now time.Time) (best string) {
	fewest := b.counts[b.me] - 1 // another one needs at least two fewer
	for name, t := range b.bots {
		if t.leader != b.me || t.given || now.Sub(t.since) < Stay {
			continue
		}
		for _, id := range t.candidates {
			if !b.couldLead(id, now) || now.Sub(b.first[id]) < unseen {
				continue
			}
			if n := b.leads(id); n < fewest || n == fewest && best != "" && b.before(name, best) {
				fewest, best = n, name
			}
		}
	}
	return best
}

// before orders the bots that this process leads.
func (b *Balancer) before(one, other string) bool {
	return cmp.Or(b.bots[one].since.Compare(b.bots[other].since), cmp.Compare(one, other)) < 0
}

// rank returns how many processes come before this one in handing over a bot, and how many
// bots must be handed over that nobody is handing over yet.
func (b *Balancer) rank(now time.Time) (before, moves int) {
	mine := b.counts[b.me]
	all := []int{mine}
	sum := mine
	for id := range b.processes {
		if !b.couldLead(id, now) {
			continue
		}
		n := b.leads(id)
		all = append(all, n)
		sum += n
		if n > mine || n == mine && id < b.me {
			before++
		}
	}
	low := sum / len(all)
	high := (sum + len(all) - 1) / len(all)
	missing, excess := 0, 0
	for _, n := range all {
		missing += max(0, low-n)
		excess += max(0, n-high)
	}
	moves = max(missing, excess)
	for _, t := range b.bots {
		if t.seen && (t.leader == "" || now.Sub(t.since) < unseen) {
			moves--
		}
	}
	return before, moves
}

// forget forgets processes that nobody has heard of for long.
func (b *Balancer) forget(now time.Time) {
	for id, p := range b.processes {
		if now.Sub(p.Seen) < 10*Silence {
			continue
		}
		delete(b.processes, id)
		delete(b.first, id)
		for _, t := range b.bots {
			t.candidates = slices.DeleteFunc(t.candidates, func(other string) bool { return other == id })
		}
		if b.counts[id] == 0 {
			delete(b.counts, id)
		}
	}
}
