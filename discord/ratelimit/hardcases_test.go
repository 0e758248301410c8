package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord/ratelimit"
)

// simulate runs f in simulated time against a simulated Discord with one limit.
func simulate(t *testing.T, l limit, c ratelimit.Config, f func(t *testing.T, s sender)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t, sender{discord: newDiscord(l), limiter: newLimiter(t, c)})
	})
}

func reasonOf(err error) ratelimit.Reason {
	if e, ok := errors.AsType[*ratelimit.Error](err); ok {
		return e.Reason
	}
	return 0
}

// refuseOnce answers the first call for which when holds.
func refuseOnce(when func(path string) bool, r reply) func(string, string) *reply {
	done := false
	return func(_, path string) *reply {
		if done || !when(path) {
			return nil
		}
		done = true
		return &r
	}
}

func header(pairs ...string) http.Header {
	h := http.Header{"Via": {"1.1 google"}}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func TestHardCase01_GlobalLimitPausesAllButExemptRoutes(t *testing.T) {
	simulate(t, sliding("a", 5, 5*time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
		began := time.Now()
		s.Refuse = func(_, path string) *reply {
			if strings.HasPrefix(path, "/interactions") || time.Since(began) >= 5*time.Second {
				return nil
			}
			return &reply{
				429, header("Retry-After", "5", "X-RateLimit-Global", "true", "X-RateLimit-Scope", "global"),
				`{"message":"You are being rate limited.","retry_after":4.95,"global":true}`,
			}
		}
		var exempt time.Duration
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(time.Second)
			if status, err := s.send(t.Context(), "POST", "/interactions/1/token/callback"); status != 200 || err != nil {
				t.Errorf("exempt call: status %d, %v", status, err)
			}
			exempt = time.Since(began)
		})
		s.run(t, channels(60, 1, 1)...)
		wg.Wait()
		if exempt > 1200*time.Millisecond {
			t.Errorf("the exempt call was held until %v", exempt)
		}
		if n := s.replies["429 global"]; n > 50 {
			t.Errorf("%d calls met the ban, at most 50 were in flight", n)
		}
		first := slices.IndexFunc(s.arrivals, func(a arrival) bool { return a.status == 200 && strings.HasPrefix(a.path, "/channels") })
		if at := s.arrivals[first].at.Sub(began); at > 5150*time.Millisecond {
			t.Errorf("went on %v after the beginning of a pause of 5 s", at)
		}
	})
}

// TestNoStampedeAfterAPause: what waited for the end of a global 429 does not
// all go together, and a limit that somebody else uses too is not hit again and
// again.
func TestNoStampedeAfterAPause(t *testing.T) {
	t.Run("evenly", func(t *testing.T) {
		simulate(t, limit{}, ratelimit.Config{}, func(t *testing.T, s sender) {
			s.Refuse = refuseOnce(func(string) bool { return true }, reply{
				429, header("Retry-After", "5", "X-RateLimit-Global", "true", "X-RateLimit-Scope", "global"),
				`{"message":"You are being rate limited.","retry_after":5,"global":true}`,
			})
			if status, _ := sendOnce(t, s, messages(1)); status != 429 {
				t.Fatalf("status %d", status)
			}
			s.run(t, channels(100, 1, 1)...)
			first := s.arrivals[1].at
			early := 0
			for _, a := range s.arrivals[1:] {
				if a.at.Sub(first) < 200*time.Millisecond {
					early++
				}
			}
			if early > 16 { // a burst of 5, then one each 20 ms
				t.Errorf("%d calls arrived within 200 ms of the end", early)
			}
		})
	})
	t.Run("shared with somebody else", func(t *testing.T) {
		simulate(t, limit{}, ratelimit.Config{}, func(t *testing.T, s sender) {
			s.Global = 25 // the other half is used elsewhere
			s.run(t, channels(500, 1, 1)...)
			if n := s.replies["429 global"]; n > 80 {
				t.Errorf("500 calls met %d global 429s", n)
			} else {
				t.Logf("%d global 429s", n)
			}
		})
	})
}

// TestInteractionsPassWebhooks: answers to interactions go although webhooks,
// whose limit is theirs without the exemption, have used it up or must pause.
func TestInteractionsPassWebhooks(t *testing.T) {
	const (
		webhook  = "/webhooks/5/s3cret"
		callback = "/interactions/6/token/callback"
		followUp = "/webhooks/5/aW50ZXJhY3Rpb246MTIz"
	)
	passes := func(t *testing.T, s sender) {
		t.Helper()
		s.sharing = 3 // who need not wait for one another
		// The others wait for the first one's answer, and then for nothing.
		if took := s.run(t, job{3, "POST", callback}, job{3, "POST", followUp}); took > 250*time.Millisecond {
			t.Errorf("took %v", took)
		}
	}
	t.Run("used up", func(t *testing.T) {
		simulate(t, limit{}, ratelimit.Config{}, func(t *testing.T, s sender) {
			s.Global = 0
			s.run(t, job{1, "POST", webhook}) // shows that no bucket limits it
			var wg sync.WaitGroup
			wg.Go(func() { s.run(t, job{200, "POST", webhook}) })
			synctest.Wait()
			passes(t, s)
			if s.limiter.Snapshot().Waiting == 0 {
				t.Error("nothing waited for the limit")
			}
			wg.Wait()
			time.Sleep(2 * time.Second)
			if g := s.limiter.Snapshot().Tokens[0].Global; g.Used != 0 {
				t.Errorf("the limit at rest is %+v", g)
			}
		})
	})
	pause := reply{
		429, header("Retry-After", "5", "X-RateLimit-Global", "true", "X-RateLimit-Scope", "global"),
		`{"message":"You are being rate limited.","retry_after":5,"global":true}`,
	}
	t.Run("their own pause", func(t *testing.T) {
		simulate(t, limit{}, ratelimit.Config{}, func(t *testing.T, s sender) {
			s.Refuse = refuseOnce(func(path string) bool { return path == callback }, pause)
			if status, _ := sendOnce(t, s, callback); status != 429 {
				t.Fatalf("status %d", status)
			}
			if took := s.run(t, job{1, "POST", webhook}, job{1, "POST", followUp}); took > 250*time.Millisecond {
				t.Errorf("others paused for %v", took)
			}
		})
	})
	t.Run("pause", func(t *testing.T) {
		simulate(t, limit{}, ratelimit.Config{}, func(t *testing.T, s sender) {
			s.Refuse = refuseOnce(func(path string) bool { return path == webhook }, pause)
			if status, _ := sendOnce(t, s, webhook); status != 429 {
				t.Fatalf("status %d", status)
			}
			passes(t, s)
			if took := s.run(t, job{1, "POST", webhook}); took < 4*time.Second {
				t.Errorf("the webhook paused for %v", took)
			}
		})
	})
}

func TestHardCase02_NoGlobal429UnderJitter(t *testing.T) {
	for _, fixedSecond := range []bool{false, true} {
		for seed := range uint64(*seeds) {
			simulate(t, sliding("a", 5, 5*time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
				s.FixedSecond = fixedSecond
				s.delay = jitter(rand.New(rand.NewPCG(seed, 3)), 10*time.Millisecond, 300*time.Millisecond)
				s.run(t, channels(200, 1, 1)...)
				if s.replies["429 global"] > 0 {
					t.Errorf("seed %d: %v", seed, s.replies)
				}
			})
		}
	}
}

func TestHardCase03_KindOfWindowIsLearnt(t *testing.T) {
	for _, l := range []limit{sliding("a", 5, 5*time.Second), fixed("a", 5, 5*time.Second)} {
		kind := map[bool]string{false: "sliding", true: "fixed"}[l.Fixed]
		t.Run(kind, func(t *testing.T) {
			simulate(t, l, ratelimit.Config{}, func(t *testing.T, s sender) {
				s.run(t, channels(1, 15, 1)...)
				if got := s.limiter.Snapshot().Tokens[0].Buckets[0].Window; got != kind {
					t.Errorf("took the window for %s", got)
				}
				if len(s.replies) > 1 {
					t.Errorf("answers %v", s.replies)
				}
			})
		})
	}
	t.Run("changes", func(t *testing.T) {
		simulate(t, sliding("a", 5, 5*time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
			s.run(t, channels(1, 10, 1)...)
			s.mu.Lock()
			s.Limit = func(string, string) limit { return fixed("a", 5, 5*time.Second) }
			s.mu.Unlock()
			if took := s.run(t, channels(1, 20, 1)...); took > 30*time.Second {
				t.Errorf("20 calls took %v", took)
			}
			if n := s.replies["429 user"]; n > 2 {
				t.Errorf("%d 429s after the window changed", n)
			}
		})
	})
}

// TestKindOfWindowShown: what is not known has no name, what is not limited has.
func TestKindOfWindowShown(t *testing.T) {
	for _, tt := range []struct {
		limit limit
		want  string
	}{{sliding("a", 5, 5*time.Second), ""}, {limit{}, "unlimited"}} {
		simulate(t, tt.limit, ratelimit.Config{}, func(t *testing.T, s sender) {
			s.run(t, channels(1, 1, 1)...)
			if got := s.limiter.Snapshot().Tokens[0].Buckets[0].Window; got != tt.want {
				t.Errorf("after one answer of %+v it is %q", tt.limit, got)
			}
		})
	}
}

func TestHardCase04_InFlightCountsAndStaleHeadersDoNot(t *testing.T) {
	t.Run("several in flight", func(t *testing.T) {
		for seed := range uint64(*seeds) {
			simulate(t, sliding("a", 5, time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
				s.delay = jitter(rand.New(rand.NewPCG(seed, 4)), 10*time.Millisecond, 900*time.Millisecond)
				s.run(t, channels(1, 40, 1)...)
				if len(s.replies) > 1 {
					t.Errorf("seed %d: %v", seed, s.replies)
				}
			})
		}
	})
	t.Run("answers out of order", func(t *testing.T) {
		simulate(t, fixed("a", 5, 10*time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
			// One answer teaches the limit, then four go and come back in
			// reverse: the one with the lowest Remaining is heard first.
			s.run(t, channels(1, 1, 1)...)
			var permits []*ratelimit.Permit
			var replies []reply
			for range 4 {
				p, err := s.limiter.Acquire(t.Context(), request("POST", messages(1)))
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Millisecond)
				permits, replies = append(permits, p), append(replies, s.arrive("POST", messages(1)))
			}
			for i := len(permits) - 1; i >= 0; i-- {
				permits[i].Complete(ratelimit.Response{Status: replies[i].Status, Header: replies[i].Header})
			}
			if left := s.limiter.Snapshot().Tokens[0].Buckets[0].Remaining; left != 0 {
				t.Errorf("%d remain of an empty bucket", left)
			}
		})
	})
}

func request(method, path string) ratelimit.Request {
	return ratelimit.Request{Route: ratelimit.RouteOf(method, path, "", time.Now())}
}

func TestHardCase05_BucketsAreFoundAndMerged(t *testing.T) {
	t.Run("two routes share one, order is kept", func(t *testing.T) {
		simulate(t, sliding("a", 5, 5*time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
			var wg sync.WaitGroup
			for i := range 20 {
				method, path := "POST", messages(1)
				if i%2 == 1 {
					path = "/channels/1/typing"
				}
				wg.Go(func() { _, _ = s.send(t.Context(), method, path) })
				synctest.Wait()
			}
			wg.Wait()
			if b := s.limiter.Snapshot().Tokens[0].Buckets; len(b) != 1 || len(b[0].Routes) != 2 {
				t.Errorf("buckets %+v", b)
			}
			if n := s.replies["429 user"]; n > 1 {
				t.Errorf("answers %v", s.replies)
			}
			for i, a := range s.arrivals[8:] { // known by then
				if typing := strings.HasSuffix(a.path, "typing"); typing != (i%2 == 1) && s.replies["429 user"] == 0 {
					t.Errorf("call %d out of order", i+8)
				}
			}
		})
	})
	t.Run("name changes", func(t *testing.T) {
		simulate(t, sliding("a", 5, 5*time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
			n := 0
			s.Limit = func(string, string) limit { return sliding("a", 5, 5*time.Second) }
			s.headers = func(h http.Header) {
				if n++; n > 8 {
					h.Set("X-RateLimit-Bucket", "b")
				}
			}
			s.run(t, channels(1, 20, 1)...)
			if b := s.limiter.Snapshot().Tokens[0].Buckets; len(b) != 1 || b[0].Hash != "b" || len(s.replies) > 1 {
				t.Errorf("buckets %+v, answers %v", b, s.replies)
			}
		})
	})
	for name, value := range map[string][2]string{
		"Limit": {"X-RateLimit-Limit", "50000"}, "negative": {"X-RateLimit-Remaining", "-3"},
		"NaN": {"X-RateLimit-Reset-After", "NaN"}, "past": {"X-RateLimit-Reset", "1.000"}, "far": {"X-RateLimit-Reset-After", "1e300"},
	} {
		t.Run("nonsense "+name, func(t *testing.T) {
			simulate(t, sliding("a", 5, 5*time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
				n := 0
				s.headers = func(h http.Header) {
					if n++; n == 4 {
						h.Set(value[0], value[1])
					}
				}
				if took := s.run(t, channels(1, 15, 1)...); took > 13*time.Second || s.replies["429 user"] > 1 {
					t.Errorf("took %v, answers %v", took, s.replies)
				}
			})
		})
	}
}

// TestUnknownMessageNamesNoBucket: the removal of what does not exist is counted
// in another bucket, which is not the route's.
func TestUnknownMessageNamesNoBucket(t *testing.T) {
	simulate(t, sliding("a", 3, time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
		const message = "/channels/1/messages/2"
		s.run(t, job{1, "DELETE", message})
		s.Refuse = refuseOnce(func(string) bool { return true }, reply{
			404, header("X-RateLimit-Remaining", "4", "X-RateLimit-Limit", "5", "X-RateLimit-Reset-After", "1.000", "X-RateLimit-Bucket", "b"),
			`{"message":"Unknown Message","code":10008}`,
		})
		if status, err := s.send(t.Context(), "DELETE", message); status != 404 || err != nil {
			t.Fatalf("status %d, %v", status, err)
		}
		if b := s.limiter.Snapshot().Tokens[0].Buckets; len(b) != 1 || b[0].Hash != "a" || b[0].Limit != 3 {
			t.Errorf("buckets %+v", b)
		}
	})
}

// TestHeadersAloneHoldForMinutes: a wait that no 429 confirms is tried out.
func TestHeadersAloneHoldForMinutes(t *testing.T) {
	simulate(t, limit{}, ratelimit.Config{}, func(t *testing.T, s sender) {
		s.headers = func(h http.Header) {
			for name, value := range map[string]string{"Limit": "5", "Remaining": "0", "Reset-After": "86400", "Bucket": "a"} {
				h.Set("X-RateLimit-"+name, value)
			}
		}
		s.run(t, channels(1, 1, 1)...)
		if took := s.run(t, channels(1, 1, 1)...); took < 4*time.Minute || took > 6*time.Minute {
			t.Errorf("the next call was held for %v", took)
		}
	})
}

// TestLongWaitsThatHeadersAgreeOn: a limit of days whose headers never
// contradicted each other is answered with its real end.
func TestLongWaitsThatHeadersAgreeOn(t *testing.T) {
	for _, l := range []limit{sliding("a", 6, 48*time.Hour), fixed("a", 6, 48*time.Hour)} {
		t.Run(describe(l), func(t *testing.T) {
			simulate(t, l, ratelimit.Config{}, func(t *testing.T, s sender) {
				const roles = "/guilds/1/roles"
				for range l.N {
					s.run(t, job{1, "POST", roles})
				}
				want := l.Window
				if !l.Fixed {
					want /= time.Duration(l.N)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := s.send(ctx, "POST", roles)
				if e, ok := errors.AsType[*ratelimit.Error](err); !ok || e.Reason != ratelimit.DeadlineTooEarly || e.RetryAfter < want*9/10 || e.RetryAfter > want {
					t.Errorf("%v, want a wait of %v", err, want)
				}
			})
		})
	}
}

// TestRefusalsInARowComeSlower: a limit that refuses again after the wait it
// asked for is asked less and less often.
func TestRefusalsInARowComeSlower(t *testing.T) {
	for scope, left := range map[string]string{"user": "0", "shared": "4", "sub": "4"} {
		t.Run(scope, func(t *testing.T) {
			simulate(t, limit{}, ratelimit.Config{}, func(t *testing.T, s sender) {
				began := time.Now()
				s.Refuse = func(string, string) *reply {
					if time.Since(began) > 20*time.Second {
						return nil
					}
					return &reply{
						429, header("X-RateLimit-Scope", strings.Replace(scope, "sub", "user", 1), "X-RateLimit-Remaining", left, "X-RateLimit-Limit", "5", "X-RateLimit-Reset-After", "0.010"),
						`{"retry_after":0.0,"global":false}`,
					}
				}
				s.run(t, channels(1, 1, 1)...)
				if n := len(s.arrivals) - 1; n > 12 {
					t.Errorf("asked %d times in 20 s", n)
				}
			})
		})
	}
}

func TestHardCase06_SharedLimitHoldsTheResourceOnly(t *testing.T) {
	simulate(t, sliding("a", 5, 5*time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
		s.Refuse = refuseOnce(func(path string) bool { return path == messages(1) }, reply{
			429,
			header("X-RateLimit-Scope", "shared", "X-RateLimit-Remaining", "4", "X-RateLimit-Limit", "5", "X-RateLimit-Reset-After", "1.000", "Retry-After", "30"),
			`{"message":"The resource is being rate limited.","retry_after":29.5,"global":false}`,
		})
		began := time.Now()
		var other time.Duration
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(time.Second)
			_, _ = s.send(t.Context(), "POST", messages(2))
			other = time.Since(began)
		})
		took := s.run(t, channels(1, 1, 1)...)
		wg.Wait()
		if took < 29500*time.Millisecond || took > 30*time.Second || other > 1200*time.Millisecond {
			t.Errorf("the resource waited %v, another one %v", took, other)
		}
		if n := s.limiter.Snapshot().Invalid.Count; n != 0 {
			t.Errorf("counted %d invalid requests", n)
		}
	})
}

// TestHeldBucketShowsNothingLeft: while a 429 holds a bucket, no call is sent
// immediately, whatever its own numbers are.
func TestHeldBucketShowsNothingLeft(t *testing.T) {
	simulate(t, sliding("a", 5, 5*time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
		bucket := func() ratelimit.Bucket { return s.limiter.Snapshot().Tokens[0].Buckets[0] }
		s.run(t, channels(1, 1, 1)...)
		if b := bucket(); b.Remaining != 4 {
			t.Errorf("after one call %+v", b)
		}
		s.Refuse = refuseOnce(func(string) bool { return true }, reply{
			429, header("X-RateLimit-Scope", "shared", "X-RateLimit-Remaining", "4", "X-RateLimit-Limit", "5", "X-RateLimit-Reset-After", "1.000", "Retry-After", "30"),
			`{"message":"The resource is being rate limited.","retry_after":29.5,"global":false}`,
		})
		_, _ = sendOnce(t, s, messages(1))
		if b := bucket(); b.Remaining != 0 || time.Until(b.Reset) < 29*time.Second {
			t.Errorf("while it is held %+v", b)
		}
		time.Sleep(30 * time.Second)
		if b := bucket(); b.Remaining != 5 || !b.Reset.IsZero() {
			t.Errorf("afterwards %+v", b)
		}
	})
}

func TestHardCase07_SubLimitHoldsItsKindOnly(t *testing.T) {
	simulate(t, sliding("a", 5, 15*time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
		s.Refuse = refuseOnce(func(string) bool { return true }, reply{
			429,
			header("X-RateLimit-Scope", "user", "X-RateLimit-Remaining", "3", "X-RateLimit-Limit", "5", "X-RateLimit-Reset-After", "3.000", "X-RateLimit-Bucket", "a", "Retry-After", "1"),
			`{"message":"You are being rate limited.","retry_after":500.5,"global":false}`,
		})
		rename := s
		rename.kind = ratelimit.KindRename
		began := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = rename.send(t.Context(), "PATCH", "/channels/1") })
		time.Sleep(time.Second)
		if took := s.run(t, job{1, "PATCH", "/channels/1"}); took > 200*time.Millisecond {
			t.Errorf("another kind waited %v", took)
		}
		wg.Wait()
		if took := time.Since(began); took < 500*time.Second || took > 502*time.Second {
			t.Errorf("the limited kind waited %v", took)
		}
	})
}

func TestHardCase08_AddressBanStopsEverything(t *testing.T) {
	for name, r := range map[string]reply{
		"text":    {429, http.Header{}, "error code: 1015"},
		"page":    {429, http.Header{"Retry-After": {"20"}}, "<html>"},
		"blocked": {429, header(), `{"message":"You are being blocked from accessing our API temporarily","code":0}`},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, sliding("a", 5, 5*time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
				began := time.Now()
				s.Refuse = func(string, string) *reply {
					if time.Since(began) < 90*time.Second {
						return &r
					}
					return nil
				}
				if status, _ := sendOnce(t, s, messages(1)); status != 429 {
					t.Fatalf("status %d", status)
				}
				_, err := s.send(t.Context(), "POST", messages(2))
				if e, ok := errors.AsType[*ratelimit.Error](err); !ok || e.Reason != ratelimit.Banned || e.RetryAfter < 50*time.Second {
					t.Errorf("during the ban: %v", err)
				}
				time.Sleep(61 * time.Second) // one probe goes, the rest waits for it
				var wg sync.WaitGroup
				before := len(s.arrivals)
				for i := range 20 {
					wg.Go(func() { _, _ = s.send(t.Context(), "POST", messages(i)) })
				}
				wg.Wait()
				if n := len(s.arrivals) - before; n != 1 {
					t.Errorf("%d calls probed", n)
				}
				time.Sleep(10 * time.Minute)
				s.run(t, channels(20, 1, 1)...)
				if s.limiter.Snapshot().Ban.Active {
					t.Error("the ban did not end")
				}
			})
		})
	}
}

// TestLongerBans: a probe that is refused too makes the next one wait twice as
// long, up to an hour.
func TestLongerBans(t *testing.T) {
	simulate(t, limit{}, ratelimit.Config{}, func(t *testing.T, s sender) {
		s.Refuse = func(string, string) *reply { return &reply{429, http.Header{}, "error code: 1015"} }
		for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			if _, v := sendOnce(t, s, messages(1)); v.Limit != ratelimit.AddressBan || v.Wait != want*time.Minute {
				t.Fatalf("%v for %v, want %v min", v.Limit, v.Wait, want)
			}
			time.Sleep(want * time.Minute)
		}
	})
}

// sendOnce makes one call without repeating it.
func sendOnce(t *testing.T, s sender, path string) (int, ratelimit.Verdict) {
	t.Helper()
	p, err := s.limiter.Acquire(t.Context(), request("POST", path))
	if err != nil {
		t.Fatal(err)
	}
	v, r := s.exchange(p, "POST", path)
	return r.Status, v
}

func TestHardCase09_BudgetOfInvalidRequests(t *testing.T) {
	t.Run("opens before it is spent", func(t *testing.T) {
		simulate(t, limit{}, ratelimit.Config{InvalidRequestLimit: 100}, func(t *testing.T, s sender) {
			s.Refuse = func(_, path string) *reply {
				if path == messages(1) {
					return &reply{403, header(), `{"message":"Missing Access","code":50001}`}
				}
				return nil
			}
			for range 200 {
				_, _ = s.send(t.Context(), "POST", messages(1))
			}
			if n := s.replies["403"]; n != 90 {
				t.Errorf("%d invalid requests were sent of a budget of 100", n)
			}
			if i := s.limiter.Snapshot().Invalid; i.Count != 90 || !i.Open {
				t.Errorf("shows %+v", i)
			}
			s.run(t, job{5, "POST", messages(2)}) // what is not known to be invalid goes
			time.Sleep(11 * time.Minute)
			if _, err := s.send(t.Context(), "POST", messages(1)); err != nil {
				t.Errorf("ten minutes later: %v", err)
			}
		})
	})
	t.Run("counts what is in flight", func(t *testing.T) {
		simulate(t, limit{}, ratelimit.Config{GlobalLimit: -1, InvalidRequestLimit: 100}, func(t *testing.T, s sender) {
			s.Refuse = func(string, string) *reply {
				return &reply{403, header(), `{"message":"Missing Access","code":50001}`}
			}
			var wg sync.WaitGroup
			for i := range 300 {
				wg.Go(func() { _, _ = s.send(t.Context(), "POST", messages(i)) })
			}
			wg.Wait()
			if n := s.replies["403"]; n != 99 {
				t.Errorf("%d invalid requests were sent of a budget of 100", n)
			}
		})
	})
	t.Run("one call asks for a check of a refused token", func(t *testing.T) {
		simulate(t, limit{}, ratelimit.Config{}, func(t *testing.T, s sender) {
			s.Refuse = func(string, string) *reply { return &reply{401, header(), `{"message":"401: Unauthorized","code":0}`} }
			_, _ = s.send(t.Context(), "POST", messages(1))
			try := func() {
				var wg sync.WaitGroup
				for i := range 20 {
					wg.Go(func() {
						_, err := s.send(t.Context(), "POST", messages(i))
						if refused, ok := errors.AsType[*ratelimit.Error](err); ok && refused.Check {
							check := s
							check.probe = true
							_, _ = check.send(t.Context(), "GET", "/users/@me")
						}
					})
				}
				wg.Wait()
			}
			for i, wait := range []time.Duration{1, 2, 4} {
				time.Sleep(wait*time.Minute - time.Second)
				if try(); s.replies["401"] != i+1 {
					t.Errorf("%d calls within %v min of refusal %d", s.replies["401"]-i-1, wait, i+1)
				}
				time.Sleep(time.Second)
				if try(); s.replies["401"] != i+2 {
					t.Errorf("%d calls tried after refusal %d", s.replies["401"]-i-1, i+1)
				}
			}
			s.Refuse = nil
			time.Sleep(8 * time.Minute)
			try()
			s.run(t, job{1, "POST", messages(1)})
			if s.limiter.Snapshot().Tokens[0].Refused {
				t.Error("the token is still held to be refused")
			}
		})
	})
	t.Run("a refused token stops its calls", func(t *testing.T) {
		simulate(t, limit{}, ratelimit.Config{}, func(t *testing.T, s sender) {
			s.Refuse = func(string, string) *reply { return &reply{401, header(), `{"message":"401: Unauthorized","code":0}`} }
			_, _ = s.send(t.Context(), "POST", messages(1))
			if _, err := s.send(t.Context(), "POST", messages(2)); reasonOf(err) != ratelimit.TokenRefused {
				t.Errorf("after a 401: %v", err)
			}
			other := s
			other.token = "another"
			if _, err := other.send(t.Context(), "POST", messages(2)); err != nil {
				t.Errorf("another token: %v", err)
			}
			s.limiter.AllowToken("")
			if _, err := s.send(t.Context(), "POST", messages(2)); err != nil {
				t.Errorf("allowed again: %v", err)
			}
		})
	})
}

func TestHardCase10_LeavingFreesThePlace(t *testing.T) {
	simulate(t, fixed("a", 5, 5*time.Second), ratelimit.Config{MaxQueue: 30}, func(t *testing.T, s sender) {
		s.run(t, channels(1, 5, 1)...) // uses the window up
		ctx, leave := context.WithCancel(t.Context())
		began := time.Now()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := s.send(ctx, "POST", messages(1)); !errors.Is(err, context.Canceled) {
					t.Errorf("left with %v", err)
				}
			})
		}
		synctest.Wait()
		wg.Go(func() { _, _ = s.send(t.Context(), "POST", messages(1)) })
		synctest.Wait()

		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.send(short, "POST", messages(1))
		e, ok := errors.AsType[*ratelimit.Error](err)
		if !ok || e.Reason != ratelimit.DeadlineTooEarly || e.RetryAfter < time.Second || time.Since(began) > 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a deadline too early: %v after %v", err, time.Since(began))
		}
		leave()
		wg.Wait()
		if took := time.Since(began); took > 5200*time.Millisecond {
			t.Errorf("the one behind those who left waited %v", took)
		}
		if n := len(s.arrivals); n != 6 {
			t.Errorf("%d calls arrived, 6 were wanted", n)
		}
		if w := s.limiter.Snapshot(); w.Waiting != 0 || w.InFlight != 0 || w.WaitingBytes != 0 {
			t.Errorf("left behind: %+v", w)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	simulate(t, fixed("a", 1, 5*time.Second), ratelimit.Config{MaxQueue: 3, MaxQueueBytes: 1000}, func(t *testing.T, s sender) {
		s.run(t, channels(1, 1, 1)...)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		hold := func(bytes int64) (err error) {
			r := request("POST", messages(1))
			r.Bytes = bytes
			done := make(chan error, 1)
			wg.Go(func() { _, err := s.limiter.Acquire(ctx, r); done <- err })
			synctest.Wait()
			select {
			case err = <-done:
			default:
			}
			return err
		}
		if err := hold(900); err != nil {
			t.Error(err)
		}
		if err := hold(200); reasonOf(err) != ratelimit.QueueFull {
			t.Errorf("beyond the bytes: %v", err)
		}
		_, _ = hold(0), hold(0)
		if err := hold(0); reasonOf(err) != ratelimit.QueueFull {
			t.Errorf("beyond the number: %v", err)
		}
		cancel()
		wg.Wait()
		if w := s.limiter.Snapshot(); w.Waiting != 0 || w.WaitingBytes != 0 {
			t.Errorf("left behind: %+v", w)
		}
	})
}

func TestHardCase11_CallersShareFairly(t *testing.T) {
	simulate(t, sliding("a", 5, 5*time.Second), ratelimit.Config{}, func(t *testing.T, s sender) {
		heavy, light := s, s
		heavy.caller, light.caller = "heavy", "light"
		began := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { heavy.run(t, append(channels(950, 1, 2), channels(1, 50, 1)...)...) })
		time.Sleep(2 * time.Second)
		light.run(t, job{1, "POST", messages(5000)})
		if waited := time.Since(began) - 2*time.Second; waited > 1300*time.Millisecond {
			t.Errorf("a single message of another caller waited %v", waited)
		}
		wg.Wait()
		if took := time.Since(began); took > 49*time.Second {
			t.Errorf("the hot channel took %v, its limit demands 45 s", took)
		}
	})
}

// TestNothingWaitsForeverBehindLaterWork: one caller keeps the global limit
// busy with channels whose queues take longer than that of a single message,
// which would always come last by its drain.
func TestNothingWaitsForeverBehindLaterWork(t *testing.T) {
	simulate(t, sliding("a", 5, 5*time.Second), ratelimit.Config{GlobalLimit: 10}, func(t *testing.T, s sender) {
		s.Global = 10
		var wg sync.WaitGroup
		send := func(channel int) {
			wg.Go(func() { _, _ = s.send(t.Context(), "POST", messages(channel)) })
			synctest.Wait() // in order
		}
		for i := range 200 {
			send(1 + i%20)
		}
		var waited time.Duration
		wg.Go(func() {
			began := time.Now()
			_, _ = s.send(t.Context(), "POST", messages(999))
			waited = time.Since(began)
		})
		for i := range 1500 {
			time.Sleep(100 * time.Millisecond)
			send(1 + i%20)
		}
		wg.Wait()
		// In plain order it would wait for the 200 before it, 20 s.
		if waited > 80*time.Second {
			t.Errorf("a single message waited %v", waited)
		}
		t.Logf("waited %v", waited)
	})
}

// TestRetryKeepsItsPlace: a call that Discord refused is sent before all that
// came after it, and is not refused although the queue is full.
func TestRetryKeepsItsPlace(t *testing.T) {
	simulate(t, limit{}, ratelimit.Config{MaxQueue: 3}, func(t *testing.T, s sender) {
		first, err := s.limiter.Acquire(t.Context(), request("POST", messages(1)))
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []string
		var wg sync.WaitGroup
		ask := func(name string, r ratelimit.Request) {
			wg.Go(func() {
				p, err := s.limiter.Acquire(t.Context(), r)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
				s.exchange(p, "POST", messages(1))
			})
			synctest.Wait()
		}
		for i := range 3 {
			ask(fmt.Sprint(i), request("POST", messages(1)))
		}
		first.Complete(ratelimit.Response{Status: 429, Header: header("X-RateLimit-Scope", "user", "X-RateLimit-Remaining", "0",
			"X-RateLimit-Limit", "5", "X-RateLimit-Reset-After", "5.000", "Retry-After", "1"), Body: ratelimit.ParseBody([]byte(`{"retry_after":1}`))})
		again := request("POST", messages(1))
		again.Retry = first
		ask("refused one", again)
		wg.Wait()
		if want := []string{"refused one", "0", "1", "2"}; !slices.Equal(order, want) {
			t.Errorf("went in the order %v", order)
		}
	})
}

// TestHardCase12_OpeningsArePaced: direct messages are opened too fast. The
// other half, sends to known channels over the whole client, is in the tests of
// package discord.
func TestHardCase12_OpeningsArePaced(t *testing.T) {
	simulate(t, limit{}, ratelimit.Config{}, func(t *testing.T, s sender) {
		const opening = "/users/@me/channels"
		s.run(t, job{1, "POST", opening}) // shows that no bucket limits it
		began := time.Now()
		s.Refuse = func(_, path string) *reply {
			if path == opening && time.Since(began) < 30*time.Second {
				return &reply{403, header(), `{"message":"You are opening direct messages too fast","code":40003}`}
			}
			return nil
		}
		if status, _ := s.send(t.Context(), "POST", opening); status != 403 {
			t.Fatalf("status %d", status)
		}
		before := len(s.arrivals)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { _, _ = s.send(t.Context(), "POST", opening) })
		}
		synctest.Wait()
		if b := s.limiter.Snapshot().Tokens[0].Buckets[0]; b.Waiting != 20 || b.EstimatedWait < 4*time.Second || b.BlockedUntil.IsZero() {
			t.Errorf("shows %+v", b)
		}
		if took := s.run(t, job{5, "POST", messages(1)}); took > time.Second {
			t.Errorf("messages in a known channel took %v", took)
		}
		wg.Wait()
		last, refused := began, 0
		for _, a := range s.arrivals[before:] {
			if a.path != opening || a.status != 403 {
				continue
			}
			refused++
			if gap := a.at.Sub(last); gap < 5*time.Second {
				t.Errorf("refused openings %v apart", gap)
			}
			last = a.at
		}
		if refused != 2 { // after 5 and 10 s; 20 s later they are taken
			t.Errorf("%d openings were refused", refused)
		}
		if took := time.Since(began); took > time.Minute+30*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestHardCase13_IdleBucketsAreForgotten(t *testing.T) {
	simulate(t, sliding("a", 5, 5*time.Second), ratelimit.Config{GlobalLimit: -1}, func(t *testing.T, s sender) {
		s.Global = 0
		s.run(t, channels(2000, 1, 1)...)
		if n := len(s.limiter.Snapshot().Tokens[0].Buckets); n != 2000 {
			t.Fatalf("knows %d buckets", n)
		}
		time.Sleep(11 * time.Minute)
		if tokens := s.limiter.Snapshot().Tokens; len(tokens) != 0 {
			t.Errorf("still knows %s", fmt.Sprint(len(tokens[0].Buckets)))
		}
	})
}
