package lease_test

import (
	"fmt"
	"testing"
	"time"

	"discordproxy/server/internal/lease"

	"pgregory.net/rapid"
)

// row is the lease in the database, by the rules of package store.
type row struct {
	holder int // 0 for none
	epoch  int64
	until  time.Duration // by the database's clock
}

// replica is a server with a clock of its own. Each process has a new name.
type replica struct {
	name  int
	term  lease.Term
	start time.Time     // what its clock shows at the beginning of the test
	speed time.Duration // how far its clock goes in a second
}

func (r *replica) clock(now time.Duration) time.Time {
	return r.start.Add(time.Duration(now.Seconds() * float64(r.speed)))
}

// message is a request on its way to the database, or its response on the way back.
type message struct {
	from     int // the index of the replica
	name     int
	sent     time.Time
	renews   int64 // epoch, or 0 for one that acquires
	answered bool
	granted  bool
	epoch    int64
}

// handle is what the database does with a request.
func (m *message) handle(r *row, now time.Duration) {
	m.answered = true
	switch {
	case m.renews > 0:
		m.granted = r.holder == m.name && r.epoch == m.renews
	case r.holder == 0 || r.until <= now:
		r.holder, m.granted = m.name, true
		r.epoch++
	}
	if m.granted {
		m.epoch, r.until = r.epoch, now+lease.Length
	}
}

// TestOneHolder: whatever is delayed, lost or reordered, and however long a replica is
// paused, at most one may send, and it has the newest epoch.
func TestOneHolder(t *testing.T) {
	reigns := 0
	for range 30 { // in the default number of checks, little goes wrong
		rapid.Check(t, func(t *rapid.T) {
			var now time.Duration // by the database's clock
			var db row
			names := 3
			replicas := make([]*replica, names)
			for i := range replicas {
				offset := time.Duration(rapid.IntRange(-300, 300).Draw(t, "offset")) * time.Second
				speed := time.Duration(rapid.IntRange(900, 1100).Draw(t, "speed")) * time.Millisecond
				replicas[i] = &replica{name: i + 1, start: time.Unix(1_800_000_000, 0).Add(offset), speed: speed}
			}
			var under []*message // way
			which := func() int { return rapid.IntRange(0, len(replicas)-1).Draw(t, "replica") }
			take := func() *message {
				i := rapid.IntRange(0, len(under)-1).Draw(t, "message")
				m := under[i]
				under = append(under[:i], under[i+1:]...)
				return m
			}
			t.Repeat(map[string]func(*rapid.T){
				"time": func(*rapid.T) { now += time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond },
				"ask": func(*rapid.T) {
					i := which()
					r := replicas[i]
					under = append(under, &message{from: i, name: r.name, sent: r.clock(now), renews: r.term.Epoch()})
				},
				"arrive": func(t *rapid.T) {
					if len(under) == 0 {
						t.Skip()
					}
					m := take()
					if !m.answered {
						m.handle(&db, now)
						under = append(under, m)
						return
					}
					r := replicas[m.from]
					switch {
					case r.name != m.name: // the process has ended
					case m.granted:
						r.term.Granted(m.sent, m.epoch)
					case m.renews > 0:
						r.term.Refused()
					}
				},
				"exchange": func(*rapid.T) { // the usual case, without which few would hold the lease for long
					i := which()
					r := replicas[i]
					m := &message{from: i, name: r.name, sent: r.clock(now), renews: r.term.Epoch()}
					now += time.Duration(rapid.IntRange(0, 500).Draw(t, "ms")) * time.Millisecond
					m.handle(&db, now)
					now += time.Duration(rapid.IntRange(0, 500).Draw(t, "ms")) * time.Millisecond
					if m.granted {
						r.term.Granted(m.sent, m.epoch)
					} else if m.renews > 0 {
						r.term.Refused()
					}
				},
				"drop": func(t *rapid.T) {
					if len(under) == 0 {
						t.Skip()
					}
					take()
				},
				"restart": func(*rapid.T) {
					r := replicas[which()]
					names++
					r.name, r.term = names, lease.Term{}
				},
				"release": func(*rapid.T) {
					r := replicas[which()]
					if r.term.Left(r.clock(now)) > 0 && db.holder == r.name {
						names++
						r.name, r.term, db.until = names, lease.Term{}, 0 // it sends nothing more
					}
				},
				"": func(t *rapid.T) {
					holders := ""
					for _, r := range replicas {
						if r.term.Left(r.clock(now)) <= 0 {
							continue
						}
						reigns++
						if holders != "" || r.term.Epoch() != db.epoch {
							t.Fatalf("%s %d may send with epoch %d, the newest is %d", holders, r.name, r.term.Epoch(), db.epoch)
						}
						holders += fmt.Sprint(r.name)
					}
				},
			})
		})
	}
	if reigns == 0 {
		t.Error("nobody ever held the lease")
	}
}

// TestWallClock: a clock that was set, or a machine that slept, does not prolong a lease.
func TestWallClock(t *testing.T) {
	sent := time.Now()
	var term lease.Term
	if term.Left(sent) > 0 {
		t.Error("a lease before the first grant")
	}
	term.Granted(sent, 1)
	for _, tt := range []struct {
		passed time.Duration
		held   bool
	}{{0, true}, {4900 * time.Millisecond, true}, {5 * time.Second, false}, {time.Hour, false}} {
		if got := term.Left(sent.Add(tt.passed)) > 0; got != tt.held {
			t.Errorf("after %v: %v", tt.passed, got)
		}
		if got := term.Left(sent.Round(0).Add(tt.passed)) > 0; got != tt.held { // the wall clock alone
			t.Errorf("after %v by the wall clock: %v", tt.passed, got)
		}
	}
	term.Granted(sent.Add(-time.Second), 1) // an older response
	if left := term.Left(sent); left != lease.Length-lease.Margin {
		t.Errorf("an older response leaves %v", left)
	}
	term.Granted(sent.Add(-2*time.Second), 3) // asked for earlier, handled later
	term.Granted(sent.Add(time.Second), 2)
	if left := term.Left(sent); left != lease.Length-lease.Margin-2*time.Second || term.Epoch() != 3 {
		t.Errorf("the response of an earlier epoch leaves %v of epoch %d", left, term.Epoch())
	}
	term.Refused()
	term.Granted(sent.Add(time.Second), 4)
	if term.Left(sent.Add(time.Second)) > 0 || !term.Lost() {
		t.Error("a lost lease came back")
	}
}
