package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/gateway"

	"github.com/coder/websocket"
)

// greet sends HELLO.
func (q *peer) greet() { q.send(10, `{"heartbeat_interval":41250}`) }

// failResume lets an attempt to resume come to nothing.
type failResume func(q *peer)

func closes(q *peer)     { _ = q.ws.CloseNow() }
func closesWith(q *peer) { _ = q.ws.Close(4000, "unknown error") }
func refuses(q *peer)    { q.send(9, "true") }
func malformed(q *peer)  { q.write(websocket.MessageText, []byte(`{"op":0,`)) }
func silent(*peer)       {}
func oldEvent(q *peer)   { q.dispatch(1, "OLD", "1"); closes(q) }

// TestUnresumable: a session that Discord does not let continue is given up after
// four attempts that reached HELLO, whatever became of each, and a new one
// begins; subscribers are notified that events may be missing.
func TestUnresumable(t *testing.T) {
	for name, fails := range map[string][]failResume{
		"closed without a code":   {closes, closes, closes, closes},
		"closed with a code":      {closesWith, closesWith, closesWith, closesWith},
		"refused for now":         {refuses, refuses, refuses, refuses},
		"a malformed frame":       {malformed, malformed, malformed, malformed},
		"RESUMED never comes":     {silent, silent, silent, silent},
		"only old events come":    {oldEvent, oldEvent, oldEvent, oldEvent},
		"each in another way":     {silent, refuses, malformed, closes},
		"each in yet another way": {oldEvent, closes, closesWith, silent},
	} {
		t.Run(name, func(t *testing.T) {
			_ = play(t, gateway.Config{}, func(p *place, g *gateway.Gateway) {
				q := <-p.peers
				q.welcome()
				q.dispatch(7, "A", "1")
				p.wantHeard("connecting, connected, A1")
				began := time.Now()
				closes(q)
				for _, fail := range fails {
					// An attempt that does not reach HELLO does not count.
					closes(<-p.peers)
					q = <-p.peers
					q.greet()
					if got := q.want(6); !strings.HasSuffix(got, `"seq":7}`) {
						t.Errorf("resumed with %s", got)
					}
					fail(q)
				}
				q = <-p.peers
				if s := g.Status(); s.State != gateway.Disconnected || s.Resumable || !strings.Contains(s.Reason, "given up after 4 attempts") {
					t.Errorf("the state is %s", s)
				}
				q.greet()
				q.want(2)
				q.dispatch(1, "READY", strings.Replace(ready, "s1", "s2", 1))
				heard := p.heard()
				heard = strings.ReplaceAll(heard, "OLD1, ", "")
				if want := strings.Repeat("disconnected, ", 8) + "disconnected for good, connected"; heard != want {
					t.Errorf("reported %q, want %q", heard, want)
				}
				if took := time.Since(began); took > 10*time.Minute {
					t.Errorf("the new session began after %s", took)
				}
			})
		})
	}
}

// TestResumedWithoutRESUMED: events that arrive without RESUMED show that the session continues.
func TestResumedWithoutRESUMED(t *testing.T) {
	for name, end := range map[string]bool{"the connection stays": false, "the connection is lost each time": true} {
		t.Run(name, func(t *testing.T) {
			_ = play(t, gateway.Config{}, func(p *place, g *gateway.Gateway) {
				q := <-p.peers
				q.welcome()
				p.heard()
				for i := range 10 {
					closes(q)
					q = <-p.peers
					q.greet()
					if got, want := q.want(6), fmt.Sprintf(`"seq":%d}`, i+1); !strings.HasSuffix(got, want) {
						t.Fatalf("resumed with %s, want %s", got, want)
					}
					q.dispatch(i+2, "A", "1")
					if end {
						p.wantHeard("disconnected, A1")
						continue
					}
					time.Sleep(11 * time.Second)
					p.wantHeard("disconnected, A1, connected again")
					if s := g.Status(); s.State != gateway.Connected || !s.Resumed {
						t.Errorf("the state is %s", s)
					}
					time.Sleep(2 * time.Minute)
					p.wantHeard("")
					q.dispatch(i+2, "RESUMED", "{}") // too late to matter
					p.wantHeard("")
				}
			})
		})
	}
}

// TestBeforeHello: failures before HELLO do not count against the session. Its own
// address and the general one are tried in turn.
func TestBeforeHello(t *testing.T) {
	_ = play(t, gateway.Config{}, func(p *place, _ *gateway.Gateway) {
		q := <-p.peers
		q.welcome()
		closes(q)
		for i := range 20 {
			q = <-p.peers
			if want := []string{"discord.test:2", "discord.test:1"}[i%2]; q.host != want {
				t.Errorf("attempt %d went to %s, want %s", i, q.host, want)
			}
			began := time.Now()
			if i%3 > 0 {
				closes(q)
				continue
			}
			<-q.left // no HELLO
			if took := time.Since(began); took != 10*time.Second {
				t.Errorf("HELLO was waited for during %s", took)
			}
		}
		(<-p.peers).resumes(1)
	})
}

// TestHangingAddress: an address of the session that takes connections and says
// nothing is given up after ten seconds, and the session continues at the general
// address.
func TestHangingAddress(t *testing.T) {
	_ = play(t, gateway.Config{}, func(p *place, g *gateway.Gateway) {
		q := <-p.peers
		q.welcome()
		p.hang("discord.test:2")
		closes(q)
		began := time.Now()
		q = <-p.peers
		q.resumes(1)
		if took := time.Since(began); took < 10*time.Second || took > 13*time.Second {
			t.Errorf("the session went on after %s", took)
		}
		if q.host != "discord.test:1" {
			t.Errorf("the session went on at %s", q.host)
		}
	})
}

// slowly sends a frame in parts, one in each pause.
func (q *peer) slowly(data []byte, parts int, pause time.Duration) {
	q.t.Helper()
	w, err := q.ws.Writer(q.ctx, websocket.MessageText)
	if err != nil {
		q.t.Fatal(err)
	}
	for i := range parts {
		time.Sleep(pause)
		if _, err := w.Write(data[i*len(data)/parts : (i+1)*len(data)/parts]); err != nil {
			q.t.Fatalf("part %d of %d: %v", i, parts, err)
		}
	}
	if err := w.Close(); err != nil {
		q.t.Fatal(err)
	}
}

func large(sequence int, name string) []byte {
	return fmt.Appendf(nil, `{"op":0,"s":%d,"t":%q,"d":{"session_id":"s1","resume_gateway_url":"ws://discord.test:2","x":%q}}`, sequence, name, strings.Repeat("x", 8<<20))
}

// TestSlowLine: while the parts of a large event come, no acknowledgement can,
// and neither that nor the time until READY ends the connection.
func TestSlowLine(t *testing.T) {
	t.Run("an event", func(t *testing.T) {
		_ = play(t, gateway.Config{}, func(p *place, g *gateway.Gateway) {
			q := <-p.peers
			q.welcome()
			p.heard()
			q.silent.Store(true)
			q.slowly(large(2, "GUILD_CREATE"), 256, 4*time.Second) // 17 minutes
			if heard := p.heard(); !strings.HasPrefix(heard, "GUILD_CREATE{") {
				t.Errorf("reported %.100s", heard)
			}
			// The line is dead when nothing comes any more.
			began := time.Now()
			<-q.left
			if took := time.Since(began); took > 2*41250*time.Millisecond {
				t.Errorf("a dead line was noticed after %s", took)
			}
			p.wantHeard("disconnected")
		})
	})
	t.Run("many events", func(t *testing.T) {
		_ = play(t, gateway.Config{}, func(p *place, g *gateway.Gateway) {
			q := <-p.peers
			q.welcome()
			p.heard()
			q.silent.Store(true)
			for i := range 100 {
				time.Sleep(20 * time.Second)
				q.dispatch(2+i, "A", "1")
			}
			if heard := p.heard(); strings.Contains(heard, "disconnected") {
				t.Errorf("reported %s", heard)
			}
		})
	})
	t.Run("READY", func(t *testing.T) {
		_ = play(t, gateway.Config{}, func(p *place, g *gateway.Gateway) {
			q := <-p.peers
			q.greet()
			q.want(2)
			q.silent.Store(true)
			q.slowly(large(1, "READY"), 256, 2*time.Second)
			p.wantHeard("connecting, connected")
		})
	})
	t.Run("the replay before RESUMED", func(t *testing.T) {
		_ = play(t, gateway.Config{}, func(p *place, g *gateway.Gateway) {
			q := <-p.peers
			q.welcome()
			closes(q)
			q = <-p.peers
			q.greet()
			q.want(6)
			p.heard()
			q.silent.Store(true)
			q.dispatch(2, "A", "1")
			q.slowly(large(3, "GUILD_CREATE"), 256, 2*time.Second)
			q.dispatch(4, "RESUMED", "{}")
			if heard := p.heard(); !strings.HasPrefix(heard, "A1, GUILD_CREATE{") || !strings.HasSuffix(heard, "}, connected again") {
				t.Errorf("reported %.60s...%s", heard, heard[max(0, len(heard)-60):])
			}
		})
	})
	// Acknowledgements alone are no progress.
	t.Run("no READY", func(t *testing.T) {
		_ = play(t, gateway.Config{}, func(p *place, g *gateway.Gateway) {
			q := <-p.peers
			q.send(10, `{"heartbeat_interval":1000}`)
			began := time.Now()
			<-q.left
			if took := time.Since(began); took != 30*time.Second {
				t.Errorf("READY was waited for during %s", took)
			}
		})
	})
}

// TestAskedForHeartbeats: however often Discord asks, the connection stays within
// 120 frames a minute, and the regular heartbeats are among them.
func TestAskedForHeartbeats(t *testing.T) {
	_ = play(t, gateway.Config{}, func(p *place, _ *gateway.Gateway) {
		q := <-p.peers
		q.welcome()
		synctest.Wait()
		for len(q.frames) > 0 {
			<-q.frames
		}
		var counts []int
		for range 6 {
			for range 600 {
				q.send(1, "null")
				time.Sleep(100 * time.Millisecond)
			}
			synctest.Wait()
			counts = append(counts, len(q.frames))
			for len(q.frames) > 0 {
				<-q.frames
			}
		}
		for _, n := range counts {
			if n > 120 || n < 100 {
				t.Errorf("%v frames in the minutes", counts)
				break
			}
		}
		p.wantHeard("connecting, connected")
	})
}

// TestAskedForHeartbeatBeforeTheNext: an answer shortly before the next regular heartbeat
// has as long to be acknowledged as any heartbeat.
func TestAskedForHeartbeatBeforeTheNext(t *testing.T) {
	const interval, trip = 41250 * time.Millisecond, 50 * time.Millisecond
	for _, acknowledged := range []bool{true, false} {
		_ = play(t, gateway.Config{}, func(p *place, _ *gateway.Gateway) {
			q := <-p.peers
			q.welcome()
			p.heard()
			q.silent.Store(true)
			<-q.frames // a regular heartbeat
			time.Sleep(trip)
			q.send(11, "null")
			time.Sleep(interval - trip - 20*time.Millisecond)
			q.send(1, "null")
			<-q.frames // the answer
			asked := time.Now()
			if acknowledged {
				time.Sleep(trip)
				q.send(11, "null")
				<-q.frames // the next regular one
				if took := time.Since(asked); took > interval {
					t.Errorf("no heartbeat for %s", took)
				}
				p.wantHeard("")
				return
			}
			<-q.left
			if took := time.Since(asked); took != interval {
				t.Errorf("the connection was given up after %s", took)
			}
		})
	}
}

// TestBackwards: a sequence number smaller than the last one is ignored, but its event is
// delivered.
func TestBackwards(t *testing.T) {
	_ = play(t, gateway.Config{}, func(p *place, _ *gateway.Gateway) {
		q := <-p.peers
		q.welcome()
		for i, sequence := range []int{5, 9, 3, -4, 0} {
			q.dispatch(sequence, "A", fmt.Sprint(i))
		}
		p.wantHeard("connecting, connected, A0, A1, A2, A3, A4")
		q.send(1, "null")
		if f := <-q.frames; string(f.Data) != "9" {
			t.Errorf("a heartbeat with %s", f.Data)
		}
		closes(q)
		q = <-p.peers
		q.greet()
		if got := q.want(6); !strings.HasSuffix(got, `"seq":9}`) {
			t.Errorf("resumed with %s", got)
		}
		// A session that begins instead counts from its own beginning.
		q.dispatch(1, "READY", strings.Replace(ready, "s1", "s2", 1))
		p.wantHeard("disconnected, connected")
		closes(q)
		q = <-p.peers
		q.greet()
		if got := q.want(6); !strings.HasSuffix(got, `"session_id":"s2","seq":1}`) {
			t.Errorf("resumed with %s", got)
		}
	})
}

// TestBudgetAtTheGateway: READY, a close and a refused RESUME, again and again,
// for two days.
func TestBudgetAtTheGateway(t *testing.T) {
	_ = play(t, gateway.Config{}, func(p *place, g *gateway.Gateway) {
		var begun []time.Time
		for began := time.Now(); time.Since(began) < 48*time.Hour; {
			q := <-p.peers
			q.greet()
			q.want(2)
			begun = append(begun, time.Now())
			q.dispatch(1, "READY", ready)
			closes(q)
			q = <-p.peers
			q.greet()
			q.want(6)
			q.send(9, "false")
		}
		if n := mostInADay(begun); n > 400 || n < 200 {
			t.Errorf("%d IDENTIFYs in 24 hours", n)
		}
		if early := begun[5].Sub(begun[0]); early > 5*time.Minute {
			t.Errorf("the sixth session began after %s", early)
		}
		if counted := g.Counted(); len(counted.Begun) > 400 || len(counted.Begun) < 200 {
			t.Errorf("%d IDENTIFYs are counted", len(counted.Begun))
		}
	})
}

func mostInADay(times []time.Time) int {
	n, first := 0, 0
	for i, at := range times {
		for at.Sub(times[first]) >= 24*time.Hour {
			first++
		}
		n = max(n, i-first+1)
	}
	return n
}

// TestPause: with the reserve alone left, by Discord's count or the Gateway's
// own, the bot pauses and says so, and begins when enough is back.
func TestPause(t *testing.T) {
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // when the time of synctest begins
	counted := gateway.BudgetCount{}
	for i := range 900 {
		counted.Begun = append(counted.Begun, start.Add(time.Duration(i)*time.Second-23*time.Hour))
	}
	for name, c := range map[string]struct {
		bot     discord.GatewayBot
		counted gateway.BudgetCount
		left    int
	}{
		"Discord's count":              {discord.GatewayBot{Total: 1000, Remaining: 100, ResetAfter: time.Hour}, gateway.BudgetCount{}, 100},
		"own count":                    {discord.GatewayBot{Total: 1000, Remaining: 1000, ResetAfter: time.Hour}, counted, 100},
		"own count, Discord says none": {discord.GatewayBot{Remaining: -1}, counted, 100},
	} {
		t.Run(name, func(t *testing.T) {
			_ = playBot(t, gateway.Config{Counted: c.counted}, c.bot, func(p *place, g *gateway.Gateway) {
				began := time.Now()
				time.Sleep(time.Minute)
				s := g.Status()
				if s.State != gateway.Paused || !strings.Contains(s.Trouble(), fmt.Sprintf("%d of the bot's 1000 sessions of a day are left", c.left)) || !strings.Contains(s.Reason, "2000-01-01 01:00:00 UTC") {
					t.Errorf("the trouble is %q", s.Trouble())
				}
				if until := s.Until.Sub(began); until != time.Hour {
					t.Errorf("the pause lasts %s", until)
				}
				p.wantHeard("connecting, paused")
				p.mu.Lock()
				if p.bot.Remaining == 100 {
					p.bot.Remaining = 1000
				}
				p.mu.Unlock()
				q := <-p.peers
				if took := time.Since(began); took < time.Hour || took > time.Hour+time.Minute {
					t.Errorf("the session began after %s", took)
				}
				q.welcome()
				p.wantHeard("connected")
			})
		})
	}
}

// TestTrust: an address that does not belong to the API gets no token, and
// neither does one that a redirect names.
func TestTrust(t *testing.T) {
	for _, address := range []string{"ws://elsewhere.test", "ws://discord.test.elsewhere.test", "ws://bot@discord.test", "http://discord.test"} {
		_ = playBot(t, gateway.Config{}, discord.GatewayBot{URL: address, Remaining: -1}, func(p *place, g *gateway.Gateway) {
			time.Sleep(time.Hour)
			select {
			case q := <-p.peers:
				t.Errorf("%s: connected to %s", address, q.host)
			default:
			}
			if s := g.Status(); s.State != gateway.Disconnected || !strings.Contains(s.Reason, "the token was not sent to the gateway address") {
				t.Errorf("%s: the state is %s", address, s)
			}
			if n := len(g.Counted().Begun); n > 0 {
				t.Errorf("%s: %d IDENTIFYs are counted", address, n)
			}
		})
	}
	// The session's own address is left out, and the session continues.
	_ = play(t, gateway.Config{}, func(p *place, _ *gateway.Gateway) {
		q := <-p.peers
		q.greet()
		q.want(2)
		q.dispatch(1, "READY", strings.Replace(ready, "discord.test:2", "elsewhere.test", 1))
		synctest.Wait()
		closes(q)
		q = <-p.peers
		if q.host != "discord.test:1" {
			t.Errorf("connected to %s", q.host)
		}
		q.resumes(1)
	})
	_ = play(t, gateway.Config{}, func(p *place, g *gateway.Gateway) {
		q := <-p.peers
		p.mu.Lock()
		p.instead = http.RedirectHandler("http://elsewhere.test/", http.StatusFound)
		p.mu.Unlock()
		closes(q)
		time.Sleep(time.Minute)
		if s := g.Status(); !strings.Contains(s.Reason, "redirect") {
			t.Errorf("the state is %s", s)
		}
		if p.dialled["elsewhere.test:80"] > 0 {
			t.Error("the redirect was followed")
		}
	})
}

// TestReasons: subscribers and the dashboard get readable sentences instead of Go's errors.
func TestReasons(t *testing.T) {
	for want, do := range map[string]func(p *place, q *peer){
		"the connection to Discord broke":                              func(_ *place, q *peer) { closes(q) },
		`Discord closed the connection with code 4000 "unknown error"`: func(_ *place, q *peer) { closesWith(q) },
		"Discord closed the connection with code 1012":                 func(_ *place, q *peer) { _ = q.ws.Close(1012, "") },
		"Discord asked for another connection":                         func(_ *place, q *peer) { q.send(7, "null") },
		"Discord sent a frame that cannot be read":                     func(_ *place, q *peer) { malformed(q) },
		"Discord sent a frame that cannot be decompressed":             func(_ *place, q *peer) { q.write(websocket.MessageBinary, []byte("{")) },
		"Discord's gateway cannot be reached": func(p *place, q *peer) {
			p.mu.Lock()
			p.broken = true
			p.mu.Unlock()
			closes(q)
			time.Sleep(10 * time.Second)
		},
		"Discord's gateway did not accept the connection": func(p *place, q *peer) {
			p.mu.Lock()
			p.instead = http.NotFoundHandler()
			p.mu.Unlock()
			closes(q)
			time.Sleep(10 * time.Second)
		},
		"Discord's gateway did not answer within 10s": func(p *place, q *peer) {
			p.hang("discord.test:1", "discord.test:2")
			closes(q)
			time.Sleep(25 * time.Second)
		},
	} {
		t.Run(want, func(t *testing.T) {
			_ = play(t, gateway.Config{}, func(p *place, g *gateway.Gateway) {
				q := <-p.peers
				q.welcome()
				synctest.Wait()
				do(p, q)
				synctest.Wait()
				if s := g.Status(); s.State != gateway.Disconnected || s.Reason != want {
					t.Errorf("the state is %s", s)
				}
			})
		})
	}
}
