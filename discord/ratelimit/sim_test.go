package ratelimit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/ratelimit"
)

// discord is a simulated Discord with delays on the way to it and back.
type discord struct {
	*ratelimit.Simulated
	delay   func() time.Duration // one way
	headers func(http.Header)    // may spoil them

	mu       sync.Mutex
	arrivals []arrival
	replies  map[string]int
}

type (
	limit = ratelimit.SimulatedLimit
	reply = ratelimit.SimulatedReply
)

type arrival struct {
	at     time.Time
	path   string
	status int
}

func newDiscord(l limit) *discord {
	return &discord{
		Simulated: ratelimit.NewSimulated(l),
		delay:     func() time.Duration { return 50 * time.Millisecond },
		replies:   map[string]int{},
	}
}

func sliding(name string, n int, window time.Duration) limit {
	return limit{Name: name, N: n, Window: window}
}

func fixed(name string, n int, window time.Duration) limit {
	return limit{Name: name, N: n, Window: window, Fixed: true}
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

// arrive answers a request that arrives now.
func (d *discord) arrive(method, path string) reply {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.Answer(time.Now(), method, path)
	d.arrivals = append(d.arrivals, arrival{time.Now(), path, r.Status})
	kind := fmt.Sprint(r.Status)
	if r.Status == 429 {
		kind += " " + r.Header.Get("X-RateLimit-Scope")
	}
	d.replies[kind]++
	if d.headers != nil {
		d.headers(r.Header)
	}
	return r
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
	probe   bool
	kind    string
	sharing int // callers that share the calls of run; 0 means one
}

// send makes one call as the transport would, again after each 429. It returns
// the status, or the refusal.
func (s sender) send(ctx context.Context, method, path string) (int, error) {
	var last *ratelimit.Permit
	defer func() {
		if last != nil {
			last.Done()
		}
	}()
	for {
		p, err := s.limiter.Acquire(ctx, ratelimit.Request{
			Probe: s.probe,
			Route: ratelimit.RouteOf(method, path, s.kind, time.Now()), Caller: s.caller, Token: s.token, Retry: last,
			Line: ratelimit.LineOf(method, path),
		})
		if err != nil {
			return 0, err
		}
		last = p
		v, r := s.exchange(p, method, path)
		if v.Limit == ratelimit.NotLimited || r.Status != 429 {
			return r.Status, nil
		}
	}
}

// exchange goes to Discord and back with a permit.
func (s sender) exchange(p *ratelimit.Permit, method, path string) (ratelimit.Verdict, reply) {
	time.Sleep(s.delay())
	r := s.arrive(method, path)
	time.Sleep(s.delay())
	return p.Complete(ratelimit.Response{Status: r.Status, Header: r.Header, Body: ratelimit.ParseBody([]byte(r.Body))}), r
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

// run makes all calls together, in order, and returns how long it took. The
// calls of each job are shared among s.sharing callers in turn.
func (s sender) run(t *testing.T, jobs ...job) time.Duration {
	t.Helper()
	began := time.Now()
	var wg sync.WaitGroup
	for _, j := range jobs {
		for i := range j.n {
			wg.Go(func() {
				s := s
				if s.sharing > 0 {
					s.caller = fmt.Sprint("caller ", i%s.sharing)
				}
				if status, err := s.send(t.Context(), j.method, j.path); err != nil || status != 200 {
					t.Errorf("%s %s: status %d, %v", j.method, j.path, status, err)
				}
			})
		}
	}
	wg.Wait()
	return time.Since(began)
}
