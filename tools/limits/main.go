// Command limits measures in real time how close the proxy comes to the shortest time
// that Discord's limits allow.
//
// The sandbox runs as a process of its own for each row, with its own delays. Each row
// allows a time, as a multiple of the lower bound. The exit code is 1 if a row takes
// longer, loses or duplicates a message, or gets a global 429.
//
// The lower bound is k*d and the largest of what the limits demand: for n calls to a
// bucket of L in W, (n-L)*W/L where it fills steadily and (ceil(n/L)-1)*W where it has
// fixed windows; and ceil(N/G)-1 seconds for N calls under a global limit of G. d is the
// mean round trip, k is 1. Messages of one caller to one channel are sent in order, so
// each takes at least a round trip. A ban is added to all of this.
//
// With random delays, the bound cannot be reached where the global limit decides. A unit
// becomes free one second after its call arrived, and the next call must be sent as if it
// took the shortest way, or a second could have too many calls: each second costs the
// difference between the mean way and the shortest. The allowed time takes this into
// account; the ratio does not.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/ratelimit"
	"discordproxy/discord/sandbox"
)

const (
	globalLimit = 50
	// rowsApart is the time between the beginnings of two rows, which run side
	// by side.
	rowsApart = 700 * time.Millisecond
)

// row is one piece of work.
type row struct {
	name      string
	channels  []int // messages for each channel, in the order they are asked for
	callers   int   // that share the messages of each channel; 0 means one
	perBucket int
	window    time.Duration
	fixed     bool
	roundTrip time.Duration
	bound     float64
	// withJitter is the bound with delays at random; 0 means the same.
	withJitter float64
	// arrange disturbs the sandbox.
	arrange func(*sandbox.Sandbox)
	// leave is how many callers leave after 1.5 s.
	leave int
	// ban is how long everything is answered with a global 429 at first.
	ban time.Duration
}

func repeat(channels, messages int) []int { return slices.Repeat([]int{messages}, channels) }

var rows = []row{
	{name: "25 messages, 1 channel, sliding 5/5 s", channels: []int{25}, perBucket: 5, window: 5 * time.Second, bound: 1.03},
	{
		name:      "50 messages of 5 callers, 1 channel, sliding 5/1 s, 250 ms",
		channels:  []int{50},
		callers:   5,
		perBucket: 5,
		window:    time.Second,
		roundTrip: 250 * time.Millisecond,
		bound:     1.03,
	},
	{
		name:      "25 messages of 5 callers, 1 channel, fixed 5/5 s",
		channels:  []int{25},
		callers:   5,
		perBucket: 5,
		window:    5 * time.Second,
		fixed:     true,
		bound:     1.03,
	},
	{name: "500 messages, 100 channels", channels: repeat(100, 5), perBucket: 5, window: 5 * time.Second, bound: 1.10},
	{
		name:      "50 messages to 1 channel behind 450 single ones",
		channels:  append(repeat(450, 1), 50),
		perBucket: 5,
		window:    5 * time.Second,
		bound:     1.10,
	},
	{
		name:       "50 messages to 1 channel behind 450 single ones, sliding 5/1 s, 200 ms",
		channels:   append(repeat(450, 1), 50),
		perBucket:  5,
		window:     time.Second,
		roundTrip:  200 * time.Millisecond,
		bound:      1.05,
		withJitter: 1.13,
	},
	{
		name:      "50 messages of 5 callers to 1 channel behind 450 single ones, sliding 5/1 s, 200 ms",
		channels:  append(repeat(450, 1), 50),
		callers:   5,
		perBucket: 5,
		window:    time.Second,
		roundTrip: 200 * time.Millisecond,
		bound:     1.15,
	},
	{
		name:      "60 messages, global ban of 5 s",
		channels:  repeat(60, 1),
		perBucket: 5,
		window:    5 * time.Second,
		bound:     1.10,
		ban:       5 * time.Second,
	},
	{
		name:      "10 messages, 5 of them stored and answered 500",
		channels:  repeat(10, 1),
		perBucket: 5,
		window:    5 * time.Second,
		bound:     math.Inf(1),
		arrange:   storedAnd500,
	},
	{
		name:      "25 queued, 20 callers leave after 1.5 s",
		channels:  []int{25},
		perBucket: 5,
		window:    5 * time.Second,
		fixed:     true,
		bound:     math.Inf(1),
		leave:     20,
	},
}

func storedAnd500(sb *sandbox.Sandbox) {
	sb.InjectFault(sandbox.Fault{Route: "POST /channels/{channel_id}/messages", After: true, Count: 5})
}

// lowerBound is for the first n of the row's messages.
func (r row) lowerBound(n int, d time.Duration) time.Duration {
	demand := time.Duration((n+globalLimit-1)/globalLimit-1) * time.Second
	hottest := min(slices.Max(r.channels)-r.leave, n)
	if hottest > r.perBucket {
		if r.fixed {
			demand = max(demand, time.Duration((hottest+r.perBucket-1)/r.perBucket-1)*r.window)
		} else {
			demand = max(demand, time.Duration(hottest-r.perBucket)*r.window/time.Duration(r.perBucket))
		}
	}
	callers := max(r.callers, 1)
	return r.ban + max(demand+d, time.Duration((hottest+callers-1)/callers)*d)
}

// detour is what jitter costs n calls under the global limit, whichever program sends
// them.
func (r row) detour(n int, jitter bool) time.Duration {
	if !jitter {
		return 0
	}
	return time.Duration((n+globalLimit-1)/globalLimit-1) * (longestWay - shortestWay) / 2
}

// Ways to the sandbox and back with jitter: round trips of 10 to
// 300 ms.
const (
	shortestWay = 5 * time.Millisecond
	longestWay  = 150 * time.Millisecond
)

func (r row) latency(jitter bool) (sandbox.Latency, time.Duration) {
	if jitter {
		way := sandbox.Delay{Min: shortestWay, Max: longestWay}
		return sandbox.Latency{Request: way, Response: way}, shortestWay + longestWay
	}
	d := r.roundTrip
	if d == 0 {
		d = 100 * time.Millisecond
	}
	return sandbox.RoundTrip(d), d
}

// report is what the sandbox saw.
type report struct {
	Stats    sandbox.Stats
	Contents []string // of all stored messages
}

// sandboxOf is the process of the sandbox: it prints its address and
// ends with its standard input.
func sandboxOf(r row, jitter bool) error {
	latency, _ := r.latency(jitter)
	sb := sandbox.New(sandbox.Config{Latency: latency, MaxCalls: 100_000})
	channels, err := addChannels(sb, len(r.channels))
	if err != nil {
		return err
	}
	kind := sandbox.Sliding
	if r.fixed {
		kind = sandbox.Fixed
	}
	sb.ClearLimits()
	sb.SetLimit(
		sandbox.Limit{
			Name:   "messages",
			Routes: []string{"POST /channels/{channel_id}/messages"},
			Limit:  r.perBucket,
			Window: r.window,
			Kind:   kind,
		},
	)
	sb.SetGlobalLimit(sandbox.GlobalLimit{Limit: globalLimit, Kind: sandbox.Sliding})
	if r.arrange != nil {
		r.arrange(sb)
	}
	if r.ban > 0 {
		sb.BanGlobally(r.ban)
	}
	return serve(sb, channels)
}

// serve answers as the sandbox until the standard input ends.
func serve(sb *sandbox.Sandbox, channels []sandbox.ID) error {
	mux := http.NewServeMux()
	mux.Handle("/", sb)
	mux.HandleFunc("GET /report", func(w http.ResponseWriter, _ *http.Request) {
		out := report{Stats: sb.Stats()}
		for _, channel := range channels {
			for _, m := range sb.Messages(channel) {
				out.Contents = append(out.Contents, m.Content)
			}
		}
		_ = json.NewEncoder(w).Encode(out)
	})
	lis, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // listening does not wait
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(os.Stdout, lis.Addr())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		_ = server.Close()
	}()
	_ = server.Serve(lis)
	return nil
}

// firstChannel is the id of the first of a row's channels.
const firstChannel = sandbox.ID(2_000_000)

func addChannels(sb *sandbox.Sandbox, n int) ([]sandbox.ID, error) {
	ids := make([]sandbox.ID, n)
	for i := range ids {
		id, err := sb.AddChannel(sandbox.Channel{ID: firstChannel + sandbox.ID(i), GuildID: sb.World().Guild, Name: fmt.Sprint("channel-", i)})
		if err != nil {
			return nil, err
		}
		ids[i] = id
	}
	return ids, nil
}

// result is what a row came to.
type result struct {
	row
	lower, allowed, took         time.Duration
	limited                      map[sandbox.LimitKind]int
	lost, doubled, calls, inASec int
	inFlightAtBan                int
	p50, p99                     time.Duration
	failures                     []string
}

func (r row) run(ctx context.Context, index int, jitter bool) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-sandbox-of", fmt.Sprint(index), fmt.Sprintf("-jitter=%t", jitter)) //nolint:gosec // itself
	address, stop, err := start(child)
	if err != nil {
		return result{}, err
	}
	defer stop()
	res, err := r.send(ctx, address, jitter)
	if err != nil {
		return result{}, err
	}
	return res, res.judge(ctx, address)
}

// start starts the process of a sandbox and returns its address.
func start(child *exec.Cmd) (address string, stop func(), err error) {
	child.Stderr = os.Stderr
	keep, err := child.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := child.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := child.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = keep.Close()
		_ = child.Wait()
	}
	if _, err := fmt.Fscanln(out, &address); err != nil {
		stop()
		return "", nil, fmt.Errorf("the sandbox did not start: %w", err)
	}
	return address, stop, nil
}

// send does the work of the row.
func (r row) send(ctx context.Context, address string, jitter bool) (result, error) {
	limiter, err := ratelimit.New(ratelimit.Config{GlobalLimit: globalLimit})
	if err != nil {
		return result{}, err
	}
	defer limiter.Close()
	upstream := &counting{next: discord.NewUpstream(0)}
	client, err := discord.New(discord.Config{
		Token: sandbox.DefaultToken, BaseURL: "http://" + address + "/api", Limiter: limiter,
		Logger: slog.New(slog.DiscardHandler), Upstream: upstream,
	})
	if err != nil {
		return result{}, err
	}
	_, d := r.latency(jitter)
	total := 0
	for _, n := range r.channels {
		total += n
	}
	res := result{row: r, lower: r.lowerBound(total-r.leave, d)}
	if jitter && r.withJitter > 0 {
		r.bound = r.withJitter
	}
	if !math.IsInf(r.bound, 1) {
		res.allowed = time.Duration(r.bound * float64(res.lower+r.detour(total, jitter)))
	}
	var (
		mu    sync.Mutex
		ended []time.Duration
		done  sync.WaitGroup
	)
	asked := func() int {
		mu.Lock()
		defer mu.Unlock()
		held := limiter.Status(0)
		return held.Waiting + held.InFlight + len(ended)
	}
	began := time.Now()
	leaving, leave := context.WithTimeout(ctx, 1500*time.Millisecond)
	defer leave()
	sent := 0
	for channel, messages := range r.channels {
		for i := range messages {
			callCtx, by := ctx, &discord.Caller{Name: fmt.Sprint("caller ", i%max(r.callers, 1))}
			if i >= messages-r.leave {
				// Not a deadline, which would be refused immediately.
				left, cancel := context.WithCancel(callCtx)
				defer cancel()
				context.AfterFunc(leaving, cancel)
				callCtx = left
			}
			content := fmt.Sprintf("%d/%d", channel, i)
			done.Go(func() {
				message := discord.Message{Fields: discord.Args{"content": content}}
				_, err := client.CreateMessage(callCtx, by, uint64(firstChannel)+uint64(channel), message)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					ended = append(ended, time.Since(began))
				} else if callCtx.Err() == nil {
					res.failures = append(res.failures, err.Error())
				}
			})
			sent++
			if r.leave > 0 {
				// Let them queue in order, so that it is the last who leave.
				for asked() < sent && ctx.Err() == nil {
					runtime.Gosched()
				}
			}
		}
	}
	done.Wait()
	slices.Sort(ended)
	excess := make([]time.Duration, 0, len(ended))
	for i, t := range ended {
		excess = append(excess, max(0, t-r.lowerBound(i+1, d)))
	}
	slices.Sort(excess)
	if n := len(ended); n > 0 {
		res.took, res.p50, res.p99 = ended[n-1], excess[n/2], excess[n*99/100]
	}
	res.inFlightAtBan = upstream.atFirst429
	return res, nil
}

// counting counts the calls that were in flight when the first 429 came back.
type counting struct {
	next http.RoundTripper

	mu         sync.Mutex
	inFlight   int
	atFirst429 int
}

func (c *counting) RoundTrip(req *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.inFlight++
	c.mu.Unlock()
	resp, err := c.next.RoundTrip(req)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && resp.StatusCode == http.StatusTooManyRequests && c.atFirst429 == 0 {
		c.atFirst429 = c.inFlight
	}
	c.inFlight--
	return resp, err
}

// judged returns what the sandbox of a process saw.
func judged(ctx context.Context, address string) (seen report, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/report", nil)
	if err != nil {
		return seen, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return seen, err
	}
	defer resp.Body.Close()
	return seen, json.NewDecoder(resp.Body).Decode(&seen)
}

// judge compares with what the sandbox holds.
func (res *result) judge(ctx context.Context, address string) error {
	seen, err := judged(ctx, address)
	if err != nil {
		return err
	}
	res.limited, res.calls, res.inASec = seen.Stats.Limited, seen.Stats.Calls, seen.Stats.MaxPerSecond
	stored := make(map[string]int)
	for _, content := range seen.Contents {
		stored[content]++
	}
	for channel, messages := range res.channels {
		for i := range messages - res.leave {
			n := stored[fmt.Sprintf("%d/%d", channel, i)]
			if n == 0 {
				res.lost++
			}
			if n > 1 {
				res.doubled += n - 1
			}
			delete(stored, fmt.Sprintf("%d/%d", channel, i))
		}
	}
	ghosts := len(stored)
	fail := func(bad bool, format string, args ...any) {
		if bad {
			res.failures = append(res.failures, fmt.Sprintf(format, args...))
		}
	}
	fail(res.allowed > 0 && res.took > res.allowed, "too slow")
	fail(res.lost > 0, "%d lost", res.lost)
	fail(res.doubled > 0, "%d doubled", res.doubled)
	fail(ghosts > 0, "%d sent after their caller left", ghosts)
	fail(res.inASec > globalLimit, "%d arrivals in a second", res.inASec)
	global := res.limited[sandbox.LimitedGlobal]
	fail(res.ban == 0 && global > 0, "%d global 429s", global)
	fail(res.ban > 0 && global > res.inFlightAtBan, "%d calls during the ban, %d were in flight when it began", global, res.inFlightAtBan)
	fail(res.leave > 0 && len(res.limited) > 0, "429s: %v", res.limited)
	fail(len(res.channels) == 1 && res.limited[sandbox.LimitedUser] > 0, "%d 429s of the only bucket", res.limited[sandbox.LimitedUser])
	return nil
}

func (res *result) write() {
	verdict := "ok"
	if len(res.failures) > 0 {
		verdict = "FAILED: " + strings.Join(res.failures, "; ")
	}
	limited := "none"
	if len(res.limited) > 0 {
		limited = strings.TrimPrefix(fmt.Sprint(res.limited), "map")
	}
	allowed := "-"
	if res.allowed > 0 {
		allowed = fmt.Sprintf("%.2f s", res.allowed.Seconds())
	}
	_, _ = fmt.Fprintf(os.Stdout, "| %s | %.2f s | %s | %.2f s | %.3f | %s | %d | %d | %d | %d | %d ms | %d ms | %s |\n",
		res.name, res.lower.Seconds(), allowed, res.took.Seconds(), float64(res.took)/float64(res.lower), limited,
		res.lost, res.doubled, res.calls, res.inASec, res.p50.Milliseconds(), res.p99.Milliseconds(), verdict)
}

func main() {
	var (
		child  = flag.Int("sandbox-of", -1, "be the sandbox of a row")
		jitter = flag.Bool("jitter", false, "round trips between 10 and 300 ms")
		lying  = flag.Bool("lies", false, "limits that headers do not show, instead")
		liar   = flag.Int("sandbox-of-lie", -1, "be the sandbox of a lie")
		runs   = flag.Int("runs", 1, "how often")
		only   = flag.String("only", "", "rows whose names contain this text")
	)
	flag.Parse()
	if *child >= 0 {
		if err := sandboxOf(rows[*child], *jitter); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if *liar >= 0 {
		if err := sandboxOfLie(lies()[*liar]); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if *lying {
		if !tellLies(*runs) {
			os.Exit(1)
		}
		return
	}
	_, _ = fmt.Fprintln(
		os.Stdout,
		"| work | lower bound | allowed | took | ratio | 429s | lost | doubled | calls | most in 1 s | p50 over | p99 over | |\n"+
			"|---|---|---|---|---|---|---|---|---|---|---|---|---|",
	)
	failed := false
	for range *runs {
		results := make([]result, len(rows))
		errs := make([]error, len(rows))
		var running sync.WaitGroup
		started := 0
		for i, r := range rows {
			if !strings.Contains(r.name, *only) {
				continue
			}
			wait := time.Duration(started) * rowsApart
			started++
			running.Go(func() {
				// Each row begins with a burst, and a process to start.
				<-time.After(wait)
				results[i], errs[i] = r.run(context.Background(), i, *jitter)
			})
		}
		running.Wait()
		for i, r := range rows {
			if !strings.Contains(r.name, *only) {
				continue
			}
			if errs[i] != nil {
				results[i].row, results[i].failures = rows[i], []string{errs[i].Error()}
			}
			results[i].write()
			failed = failed || len(results[i].failures) > 0
		}
	}
	if failed {
		os.Exit(1)
	}
}
