package ratelimit_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/ratelimit"
)

// discord is a pretend Discord with delays on the way to it and back. It knows
// nothing of the limiter's reasoning: it keeps tokens as fractions and windows
// as start times.
type discord struct {
	limit   func(method, path string) limit // of a call's bucket
	global  int                             // calls in a second; 0 = unlimited
	delay   func() time.Duration            // one way
	ahead   time.Duration                   // its clock less ours
	refuse  func(method, path string) *reply
	headers func(http.Header) // may spoil them
	// fixedSecond is whether the global limit counts in whole seconds.
	fixedSecond bool

	mu       sync.Mutex
	buckets  map[string]*simBucket
	arrivals []arrival
	counted  []time.Time // against the global limit
	replies  map[string]int
}

type limit struct {
	name   string // of the bucket; empty: calls are not limited
	n      int
	window time.Duration
	fixed  bool
	exempt bool
}

type arrival struct {
	at     time.Time
	path   string
	status int
}

type simBucket struct {
	limit
	tokens float64
	last   time.Time
	ends   time.Time
}

type reply struct {
	status int
	header http.Header
	body   string
}

func newDiscord(l limit) *discord {
	return &discord{
		limit:   func(string, string) limit { return l },
		global:  50,
		delay:   func() time.Duration { return 50 * time.Millisecond },
		ahead:   37*time.Second + 123456*time.Microsecond,
		buckets: map[string]*simBucket{},
		replies: map[string]int{},
	}
}

func sliding(name string, n int, window time.Duration) limit {
	return limit{name: name, n: n, window: window}
}

func fixed(name string, n int, window time.Duration) limit {
	return limit{name: name, n: n, window: window, fixed: true}
}

// jitter returns delays with a round trip between low and high.
func jitter(rng *rand.Rand, low, high time.Duration) func() time.Duration {
	var mu sync.Mutex
	return func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return (low + time.Duration(rng.Int64N(int64(high-low)))) / 2
	}
}

func major(path string) string {
	return ratelimit.RouteOf("", path, "", time.Now()).Major
}

// arrive answers a request that arrives now.
func (d *discord) arrive(method, path string) reply {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.answer(method, path)
	d.arrivals = append(d.arrivals, arrival{time.Now(), path, r.status})
	kind := fmt.Sprint(r.status)
	if r.status == 429 {
		kind += " " + r.header.Get("X-RateLimit-Scope")
	}
	d.replies[kind]++
	if d.headers != nil {
		d.headers(r.header)
	}
	return r
}

func (d *discord) answer(method, path string) reply {
	now := time.Now()
	l := d.limit(method, path)
	if d.refuse != nil {
		if r := d.refuse(method, path); r != nil {
			if r.header == nil {
				r.header = http.Header{}
			}
			return *r
		}
	}
	h := http.Header{}
	h.Set("Via", "1.1 google")
	if d.global > 0 && !l.exempt {
		over := func(t time.Time) time.Time { return t.Add(time.Second) }
		if d.fixedSecond {
			over = func(t time.Time) time.Time { return t.Add(d.ahead).Truncate(time.Second).Add(time.Second - d.ahead) }
		}
		d.counted = slices.DeleteFunc(d.counted, func(t time.Time) bool { return !now.Before(over(t)) })
		if len(d.counted) >= d.global {
			h.Set("X-RateLimit-Global", "true")
			h.Set("X-RateLimit-Scope", "global")
			wait := over(d.counted[0]).Sub(now)
			return tooMany(h, wait, true)
		}
		d.counted = append(d.counted, now)
	}
	if l.name == "" {
		return reply{200, h, ""}
	}
	key := l.name + " " + major(path)
	b := d.buckets[key]
	if b == nil {
		b = &simBucket{limit: l, tokens: float64(l.n), last: now}
		d.buckets[key] = b
	}
	b.limit = l
	per := l.window.Seconds() / float64(l.n)
	var taken bool
	var after, retry float64
	if l.fixed {
		if !now.Before(b.ends) {
			b.ends, b.tokens = now.Add(l.window), float64(l.n)
		}
		if taken = b.tokens >= 1; taken {
			b.tokens--
		}
		after = b.ends.Sub(now).Seconds()
		retry = after
	} else {
		b.tokens = min(b.tokens+now.Sub(b.last).Seconds()/per, float64(l.n))
		b.last = now
		if taken = b.tokens >= 1-1e-9; taken {
			b.tokens = max(b.tokens-1, 0)
		}
		after = (float64(l.n) - b.tokens) * per
		retry = (1 - b.tokens) * per
	}
	h.Set("X-RateLimit-Bucket", l.name)
	h.Set("X-RateLimit-Limit", fmt.Sprint(l.n))
	h.Set("X-RateLimit-Remaining", fmt.Sprint(int(b.tokens+1e-9)))
	h.Set("X-RateLimit-Reset-After", fmt.Sprintf("%.3f", after))
	h.Set("X-RateLimit-Reset", fmt.Sprintf("%.3f", float64(now.Add(d.ahead).UnixMicro())/1e6+after))
	if !taken {
		h.Set("X-RateLimit-Scope", "user")
		return tooMany(h, time.Duration(retry*1e9), false)
	}
	return reply{200, h, ""}
}

func tooMany(h http.Header, wait time.Duration, global bool) reply {
	h.Set("Retry-After", fmt.Sprint(math.Ceil(wait.Seconds())))
	return reply{429, h, fmt.Sprintf(`{"message":"You are being rate limited.","retry_after":%.3f,"global":%v}`, wait.Seconds()+0.0005, global)}
}

// busiest returns the largest number of arrivals in any second that ended up
// counted against the global limit or refused by it.
func (d *discord) busiest() int {
	most, from := 0, 0
	at := slices.Clone(d.arrivals)
	slices.SortFunc(at, func(a, b arrival) int { return a.at.Compare(b.at) })
	for to := range at {
		for at[to].at.Sub(at[from].at) >= time.Second {
			from++
		}
		most = max(most, to-from+1)
	}
	return most
}

// sender is a transport reduced to what concerns the limiter.
type sender struct {
	*discord
	limiter *ratelimit.Limiter
	caller  string
	token   string
	kind    string
}

// send makes one call as the transport would, again after each 429. It returns
// the status, or the refusal.
func (s sender) send(ctx context.Context, method, path string) (int, error) {
	var last *ratelimit.Permit
	for {
		p, err := s.limiter.Acquire(ctx, ratelimit.Request{
			Route: ratelimit.RouteOf(method, path, s.kind, time.Now()), Caller: s.caller, Token: s.token, Retry: last,
		})
		if err != nil {
			return 0, err
		}
		v, r := s.exchange(p, method, path)
		if v.Limit == ratelimit.NotLimited {
			return r.status, nil
		}
		if r.status != 429 {
			return r.status, nil
		}
		last = p
	}
}

// exchange goes to Discord and back with a permit.
func (s sender) exchange(p *ratelimit.Permit, method, path string) (ratelimit.Verdict, reply) {
	time.Sleep(s.delay())
	r := s.arrive(method, path)
	time.Sleep(s.delay())
	return p.Complete(ratelimit.Response{Status: r.status, Header: r.header, Body: ratelimit.ParseBody([]byte(r.body))}), r
}

func newLimiter(t testing.TB, c ratelimit.Config) *ratelimit.Limiter {
	t.Helper()
	l, err := ratelimit.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// job is a number of calls to one path.
type job struct {
	n      int
	method string
	path   string
}

func messages(channel int) string { return fmt.Sprintf("/channels/%d/messages", channel) }

// run makes all calls at once, in order, and returns how long it took.
func (s sender) run(t *testing.T, jobs ...job) time.Duration {
	t.Helper()
	began := time.Now()
	var wg sync.WaitGroup
	for _, j := range jobs {
		for range j.n {
			wg.Go(func() {
				if status, err := s.send(t.Context(), j.method, j.path); err != nil || status != 200 {
					t.Errorf("%s %s: status %d, %v", j.method, j.path, status, err)
				}
			})
		}
	}
	wg.Wait()
	return time.Since(began)
}
