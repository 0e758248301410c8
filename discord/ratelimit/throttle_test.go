package ratelimit_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/ratelimit"
)

// lies are the ways in which the headers of Discord have been seen to differ
// from its limits.
var lies = []struct {
	name string
	lie  ratelimit.Lie
}{
	{"another bucket in the 429", ratelimit.Lie{Announced: promise, Refusal: ratelimit.OtherBucket}},
	{"the same bucket", ratelimit.Lie{Announced: promise, Refusal: ratelimit.SameBucket}},
	{"Remaining > 0", ratelimit.Lie{Announced: promise, Refusal: ratelimit.Remaining}},
	{"Remaining > 0 of a small limit", ratelimit.Lie{Announced: sliding("a", 5, time.Second), Refusal: ratelimit.Remaining}},
	{"scope shared", ratelimit.Lie{Announced: promise, Refusal: ratelimit.Remaining, Scope: "shared"}},
	{"a code in the body", ratelimit.Lie{Announced: promise, Refusal: ratelimit.SameBucket, Code: 30046}},
	{"no headers on the 429", ratelimit.Lie{Announced: promise, Refusal: ratelimit.Bare}},
	{"no headers on successes", ratelimit.Lie{Refusal: ratelimit.SameBucket}},
	{"no headers at all", ratelimit.Lie{Refusal: ratelimit.Bare}},
}

var promise = sliding("a", 1000, 5*time.Second)

var truths = []limit{
	sliding("c", 5, 5*time.Second), fixed("c", 5, 5*time.Second),
	sliding("c", 1, 250*time.Millisecond), sliding("c", 10, 10*time.Second), fixed("c", 10, 10*time.Second),
	sliding("c", 30, time.Minute), fixed("c", 30, time.Minute), sliding("c", 2, 10*time.Second), sliding("c", 5, time.Second),
}

// retries are the ways in which 429s say how long to wait.
var retries = []struct {
	name   string
	change func(time.Duration) time.Duration
	silent bool
}{
	{name: "exact"},
	{name: "whole seconds", change: func(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }},
	{name: "50 ms too long", change: func(d time.Duration) time.Duration { return d + 50*time.Millisecond }},
	{name: "not at all", silent: true},
}

func describe(l limit) string {
	kind := "sliding"
	if l.Fixed {
		kind = "fixed"
	}
	return fmt.Sprintf("%s %d in %v", kind, l.N, l.Window)
}

// TestLies: whatever the headers say, a limit that only 429s show is found out
// from a few of them, and calls are paced by it.
func TestLies(t *testing.T) {
	for _, l := range lies {
		for _, truth := range truths {
			for _, n := range []int{4, 10, 25, 30, 150} {
				for _, ids := range []int{1, 2, 3, 5, 30} {
					for _, together := range []bool{true, false} {
						lie := l.lie
						lie.Truth = []limit{truth}
						lie.Across = ids > 1
						t.Run(fmt.Sprintf("%s/%s/%d calls/%d channels/together=%t", l.name, describe(truth), n, ids, together), func(t *testing.T) {
							tryLie(t, &lie, "GET", n, ids, together)
						})
					}
				}
			}
		}
	}
}

// TestLiesApart: channels that have a hidden limit each are not held back by those
// of others for longer than it takes to find that out, at most three windows.
func TestLiesApart(t *testing.T) {
	for _, l := range lies {
		for _, truth := range truths {
			if truth.Window <= time.Second { // too short to find out
				continue
			}
			for _, n := range []int{10, 60} {
				for _, ids := range []int{2, 3, 5} {
					for _, even := range []bool{true, false} {
						lie := l.lie
						lie.Truth = []limit{truth}
						t.Run(fmt.Sprintf("%s/%s/%d calls/%d channels/even=%t", l.name, describe(truth), n, ids, even), func(t *testing.T) {
							tryLieApart(t, &lie, n, ids, even)
						})
					}
				}
			}
		}
	}
}

// tryLieApart makes n calls to the first channel, and as many or fewer to others.
func tryLieApart(t *testing.T, lie *ratelimit.Lie, n, ids int, even bool) {
	lie.Only = func(_, path string) bool { return strings.HasSuffix(path, "/messages") }
	simulate(t, sliding("b", 5, time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
		s.Lie = lie
		var jobs []job
		allowed, total := 0, 0
		for c := range ids {
			calls := n
			if !even {
				calls = max(n/(c+1), 1)
			}
			jobs = append(jobs, job{calls, "GET", messages(1 + c)})
			allowed += 3 + calls/10
			total += calls
		}
		took := s.run(t, jobs...)
		bound := lie.Bound(n) + 100*time.Millisecond
		if lie.Truth[0].Window <= time.Second { // a fifth more, as the way of each call counts
			bound = lie.Bound(total)*6/5 + 100*time.Millisecond
		}
		if l := lie.Announced; l.N > 0 && n > l.N {
			bound = max(bound, time.Duration(n-l.N)*l.Window/time.Duration(l.N))
		}
		refused := s.replies["429 user"] + s.replies["429 shared"] + s.replies["429 "]
		if most := bound*5/4 + 3*lie.Truth[0].Window; refused > allowed || took > most {
			t.Errorf("%d 429s of %d, %.1f s, at most %.1f s may pass", refused, allowed, took.Seconds(), most.Seconds())
		}
	})
}

// TestLiesApartOfShortWindows: where waits are too short to find out whether a
// limit is shared, channels that have one each take no longer than if they shared it.
func TestLiesApartOfShortWindows(t *testing.T) {
	const ms = time.Millisecond
	for _, l := range lies {
		for _, truth := range []limit{
			sliding("c", 1, 250*ms), sliding("c", 2, 250*ms), fixed("c", 2, 250*ms), sliding("c", 2, 500*ms), fixed("c", 2, 500*ms),
			sliding("c", 5, 500*ms), fixed("c", 5, 500*ms), sliding("c", 1, time.Second), sliding("c", 5, time.Second), fixed("c", 5, time.Second),
		} {
			for _, n := range []int{10, 60} {
				for _, ids := range []int{2, 3, 5} {
					for _, even := range []bool{true, false} {
						lie := l.lie
						lie.Truth = []limit{truth}
						t.Run(fmt.Sprintf("%s/%s/%d calls/%d channels/even=%t", l.name, describe(truth), n, ids, even), func(t *testing.T) {
							tryLieApart(t, &lie, n, ids, even)
						})
					}
				}
			}
		}
	}
}

// TestLimitsUsedUpTogether: two limits that run out at the same moment end their
// waits at the same moment, too. That does not make them one.
func TestLimitsUsedUpTogether(t *testing.T) {
	for range 500 { // about 30 of them run out so
		tryLieApart(t, &ratelimit.Lie{
			Announced: sliding("a", 5, time.Second), Refusal: ratelimit.Remaining, Truth: []limit{sliding("c", 10, 10*time.Second)},
		}, 60, 5, true)
	}
}

// TestFlightsOfSeparateLimits: once limits are known to be separate, how many calls
// of a channel are in flight depends on its own successes, not on those of others.
func TestFlightsOfSeparateLimits(t *testing.T) {
	const n = 30
	simulate(t, sliding("b", 5, time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
		s.Lie = &ratelimit.Lie{Announced: promise, Refusal: ratelimit.SameBucket, Truth: []limit{sliding("c", n, time.Minute)}}
		s.run(t, job{2 * n, "GET", messages(1)}, job{2 * n, "GET", messages(2)}, job{2 * n, "GET", messages(3)})
		before := s.replies["429 user"]
		s.run(t, job{n + 10, "GET", messages(4)})
		// What is in flight when the limit is hit, and one that finds its kind out.
		if more, most := s.replies["429 user"]-before, 2+n/8+1; more > most {
			t.Errorf("%d calls were refused, at most %d were in flight", more, most)
		}
	})
}

// TestLiesWithoutWait: where 429s do not say how long to wait either, that costs at
// most a dozen more of them, and twice the time or a second for each call.
func TestLiesWithoutWait(t *testing.T) {
	for _, l := range lies {
		if l.lie.Refusal == ratelimit.Bare { // as the edge in front of Discord answers
			continue
		}
		for _, truth := range truths {
			for _, n := range []int{10, 30, 150} {
				for _, ids := range []int{1, 2, 5, 30} {
					for _, across := range []bool{true, false} {
						lie := l.lie
						lie.Truth, lie.Across, lie.Silent = []limit{truth}, across, true
						t.Run(fmt.Sprintf("%s/%s/%d calls/%d channels/across=%t", l.name, describe(truth), n, ids, across), func(t *testing.T) {
							tryLieWithoutWait(t, &lie, n, ids)
						})
					}
				}
			}
		}
	}
}

func tryLieWithoutWait(t *testing.T, lie *ratelimit.Lie, n, ids int) {
	lie.Only = func(_, path string) bool { return strings.HasSuffix(path, "/messages") }
	simulate(t, sliding("b", 5, time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
		s.Lie = lie
		var jobs []job
		for i := range n {
			jobs = append(jobs, job{1, "GET", messages(1 + i%ids)})
		}
		took := s.run(t, jobs...)
		refused := s.replies["429 user"] + s.replies["429 shared"] + s.replies["429 "]
		// Nothing shows that limits are separate, so they are obeyed as a shared one.
		bound := lie.Bound(n) + 100*time.Millisecond
		if allowed, most := 15+n/10, max(2*bound, time.Duration(n)*time.Second)+2*lie.Truth[0].Window+30*time.Second; refused > allowed || took > most {
			t.Errorf("%d 429s of %d, %.1f s, at most %.1f s may pass", refused, allowed, took.Seconds(), most.Seconds())
		}
	})
}

// TestPeriodOfAFirstRefusal: a channel whose very first call is refused learns from
// that 429 when each unit comes back, although successes have no headers.
func TestPeriodOfAFirstRefusal(t *testing.T) {
	for _, truth := range []limit{sliding("c", 2, 10*time.Second), sliding("c", 5, 5*time.Second), sliding("c", 3, time.Minute)} {
		t.Run(describe(truth), func(t *testing.T) {
			simulate(t, sliding("b", 5, time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
				s.Lie = &ratelimit.Lie{Truth: []limit{truth}, Refusal: ratelimit.SameBucket, Across: true}
				var others []job
				for i := range truth.N {
					others = append(others, job{1, "GET", messages(2 + i)})
				}
				s.run(t, others...)
				took := s.run(t, job{3, "GET", messages(1)})
				if most := 3*truth.Window/time.Duration(truth.N) + time.Second; took > most || s.replies["429 user"] > 3 {
					t.Errorf("%d 429s, %v, at most %v may pass", s.replies["429 user"], took, most)
				}
			})
		})
	}
}

// TestLiesAboutMessages: routes that create messages are counted for each channel
// alone, so nothing but their own buckets holds them.
func TestLiesAboutMessages(t *testing.T) {
	for _, l := range lies {
		for _, truth := range truths {
			for _, n := range []int{10, 30} {
				lie := l.lie
				lie.Truth = []limit{truth}
				t.Run(fmt.Sprintf("%s/%s/%d calls", l.name, describe(truth), n), func(t *testing.T) {
					tryLie(t, &lie, "POST", n, 1, true)
				})
			}
		}
	}
}

func tryLie(t *testing.T, lie *ratelimit.Lie, method string, n, ids int, together bool) {
	lie.Only = func(_, path string) bool { return strings.HasSuffix(path, "/messages") }
	simulate(t, sliding("b", 5, time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
		s.Lie = lie
		began := time.Now()
		if together {
			var jobs []job
			for i := range n {
				jobs = append(jobs, job{1, method, messages(1 + i%ids)})
			}
			s.run(t, jobs...)
		} else {
			for i := range n {
				s.run(t, job{1, method, messages(1 + i%ids)})
			}
		}
		took := time.Since(began)
		bound := lie.Bound(n) + 100*time.Millisecond
		if l := lie.Announced; n > l.N*ids && l.N > 0 { // what is announced is waited for too
			bound = max(bound, time.Duration((n+ids-1)/ids-l.N)*l.Window/time.Duration(l.N))
		}
		if !together || method == "POST" { // in order
			bound = max(bound, time.Duration(n)*100*time.Millisecond)
		}
		refused := s.replies["429 user"] + s.replies["429 shared"] + s.replies["429 "]
		allowed := 3 + n/10
		if l := lie.Announced; lie.Scope == "shared" || l.N > 0 && l.N <= 5 {
			// A small limit of headers is used immediately. What others may use too
			// is not inferred from the calls of this process alone.
			allowed++
		}
		if ratio := float64(took) / float64(bound); refused > allowed || ratio > 1.25 && took > bound+time.Second { // a second: the calls in flight grow slowly
			t.Errorf("%d 429s of %d, %.1f s, %.2f of the bound %.1f s", refused, allowed, took.Seconds(), ratio, bound.Seconds())
		}
	})
}

// TestLiesStarveNobody: while one channel has more queued than its hidden limit
// takes for minutes, a call of another channel waits for a few windows at most,
// whether they share the limit or not and whatever 429s say of the time to wait.
func TestLiesStarveNobody(t *testing.T) {
	for _, l := range lies {
		for _, truth := range truths {
			for _, r := range retries {
				if r.silent && l.lie.Refusal == ratelimit.Bare { // as the edge in front of Discord answers
					continue
				}
				for _, across := range []bool{true, false} {
					t.Run(fmt.Sprintf("%s/%s/%s/across=%t", l.name, describe(truth), r.name, across), func(t *testing.T) {
						lie := l.lie
						lie.Truth, lie.Across, lie.Retry, lie.Silent = []limit{truth}, across, r.change, r.silent
						lie.Only = func(_, path string) bool { return strings.HasSuffix(path, "/messages") }
						simulate(t, sliding("b", 5, time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
							s.Lie = &lie
							ctx, end := context.WithCancel(t.Context())
							var wg sync.WaitGroup
							for range 1000 {
								wg.Go(func() { _, _ = s.send(ctx, "GET", messages(1)) })
							}
							time.Sleep(3 * truth.Window)
							for i := range 5 {
								took := s.run(t, job{1, "GET", messages(2 + i%2)})
								most := 3*truth.Window + 5*time.Second
								if r.silent { // the wait has to be found out
									most += 2*truth.Window + 30*time.Second
								}
								if took > most {
									t.Errorf("call %d waited for %v, at most %v may pass", i+1, took, most)
								}
							}
							end()
							wg.Wait()
						})
					})
				}
			}
		}
	}
}

// TestUsedUpChannels: another process uses up what two channels take. That says
// nothing of other channels, in which Discord counts messages apart.
func TestUsedUpChannels(t *testing.T) {
	simulate(t, sliding("a", 5, 5*time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
		ctx, end := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		s.Global = 0
		for channel := range 2 {
			for range 5 {
				s.arrive("POST", messages(1+channel))
			}
			for range 20 {
				wg.Go(func() { _, _ = s.send(ctx, "POST", messages(1+channel)) })
			}
		}
		wg.Go(func() {
			for ctx.Err() == nil {
				for channel := range 2 {
					s.arrive("POST", messages(1+channel))
				}
				time.Sleep(500 * time.Millisecond)
			}
		})
		time.Sleep(5 * time.Second)
		if took, most := s.run(t, channels(100, 5, 3)...), 11*time.Second; took > most {
			t.Errorf("500 messages to 100 other channels took %v, at most %v may pass", took, most)
		}
		end()
		wg.Wait()
	})
}

// TestLiesTakenForSeparate: a wait that is too long by a little lets a shared limit
// of short units pass for separate ones. What that costs shows that they are not.
func TestLiesTakenForSeparate(t *testing.T) {
	for _, truth := range []limit{sliding("c", 5, time.Second), sliding("c", 10, 2*time.Second)} {
		for _, n := range []int{10, 60} {
			const ids = 30
			t.Run(fmt.Sprintf("%s/%d calls", describe(truth), n), func(t *testing.T) {
				lie := ratelimit.Lie{
					Truth: []limit{truth}, Across: true, Announced: promise, Refusal: ratelimit.Remaining,
					Retry: func(d time.Duration) time.Duration { return d + 50*time.Millisecond },
					Only:  func(_, path string) bool { return strings.HasSuffix(path, "/messages") },
				}
				simulate(t, sliding("b", 5, time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
					s.Lie = &lie
					var jobs []job
					for c := range ids {
						jobs = append(jobs, job{n, "GET", messages(1 + c)})
					}
					s.run(t, jobs...)
					if refused, allowed := s.replies["429 user"], 7*ids+n*ids/10; refused > allowed {
						t.Errorf("%d 429s of %d calls, at most %d are allowed", refused, n*ids, allowed)
					}
				})
			})
		}
	}
}
