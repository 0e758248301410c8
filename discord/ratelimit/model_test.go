package ratelimit

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestModel runs random work against a simulated Discord in simulated time:
// no goroutine, no timer, every step a call of the core at a time that the
// test chooses. Whatever limits, kinds of windows, delays, faults, leaving
// callers and changing names come together:
//
//   - no second gets more arrivals than the global limit, and no bucket that is
//     known gets more than its own;
//   - a limit that headers do not show, or show wrongly, costs few 429s and none of
//     other routes, and at most 1.25 of the time that it demands;
//   - every call ends, and none is sent after its caller left or its deadline;
//   - the first tries of one caller, route and resource go in order, and of one
//     line none is sent until the call before it has ended for good;
//   - the books are right after each step, and all is forgotten at the end.
//
// Ordinary runs use the same seed each time. -rapid.checks=50000, or another
// flag of rapid, starts from a random one.
func TestModel(t *testing.T) {
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || len(f.Name) > 6 && f.Name[:6] == "rapid." })
	if !chosen {
		for name, value := range map[string]string{"rapid.seed": "1", "rapid.checks": "1000", "rapid.nofailfile": "true", "rapid.shrinktime": "10s"} {
			if err := flag.Set(name, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) { newModel(t).run() })
}

// modelRoutes are routes that may share buckets.
var modelRoutes = [...]struct{ method, path string }{
	{"POST", "/channels/%d/messages"},
	{"POST", "/channels/%d/typing"},
	{"PATCH", "/channels/%d"},
	{"POST", "/channels/%d/invites"},
}

// fault is what befalls a try.
type fault int

const (
	noFault     fault = iota
	neverSent         // the connection fails: the permit is cancelled
	lostBefore        // the request is lost on its way
	lostAfter         // the answer is lost on its way
	serverError       // 500 without numbers
	gatewayPage       // 502 with a page
	forbidden         // 403
	unauthorized
	sharedLimit
	subLimit
	untoldLimit // a limit within the bucket that does not say how long
	nonsense    // one number of the answer is spoilt
	faults
)

// modelCall is one call of a caller, with all its tries.
type modelCall struct {
	index    int
	at       instant
	route    int
	channel  int
	caller   string
	line     string
	bytes    int64
	deadline instant
	leaves   instant
	faults   []fault // of its tries

	permit *Permit
	tries  int
	known  int    // routes that share its bucket, when the try was sent; 0 unless all is known
	first  uint64 // number of the first try among all that were sent
	ended  bool
	left   bool
	done   bool // its permit was
}

// model is a run: the core, the simulated Discord and what is to happen when.
type model struct {
	t        *rapid.T
	core     *core
	discord  *Simulated
	limits   []SimulatedLimit // of the routes
	rng      *rand.Rand
	low      time.Duration // of one way
	high     time.Duration
	begins   bool // whether Begin is called
	renames  []rename
	honest   bool    // every number that Discord sends is right, but for those of a lie
	troubled bool    // some calls have faults
	finished instant // when the last call ended
	lying    int     // the route that the lie is about
	lied     int     // 429s of the limit that the lie hides
	tries    int     // of calls that fall under it
	blurred  int     // tries of them with a fault

	now    instant
	armed  instant
	events heap[event]
	count  int
	calls  []*modelCall
	guess  map[string]int // 429s of a bucket that was not known
}

type rename struct {
	at   instant
	name string
}

type event struct {
	at    instant
	order int
	do    func()
}

const modelStart = instant(1_700_000_000 * time.Second)

func newModel(t *rapid.T) *model {
	m := &model{
		t: t, now: modelStart, armed: never,
		rng: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "network"), 1)),
		events: heap[event]{less: func(a, b event) bool {
			return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order)) < 0
		}},
		guess: make(map[string]int),
	}
	ms := func(low, high int, name string) time.Duration {
		return time.Duration(rapid.IntRange(low, high).Draw(t, name)) * time.Millisecond
	}
	m.low = ms(1, 100, "shortest way")
	m.high = m.low + ms(0, 400, "jitter")
	m.begins = rapid.Bool().Draw(t, "begins")
	buckets := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) SimulatedLimit {
		return SimulatedLimit{
			N:      rapid.IntRange(1, 8).Draw(t, "limit"),
			Window: ms(200, 8000, "window"),
			Fixed:  rapid.Bool().Draw(t, "fixed"),
		}
	}), 1, 3).Draw(t, "buckets")
	for i := range buckets {
		buckets[i].Name = fmt.Sprint("bucket", i)
	}
	if rapid.IntRange(0, 3).Draw(t, "an unlimited bucket") == 0 {
		buckets[0].Name = ""
	}
	for i := range modelRoutes {
		m.limits = append(m.limits, buckets[rapid.IntRange(0, len(buckets)-1).Draw(t, fmt.Sprint("bucket of route ", i))])
	}
	global := rapid.SampledFrom([]int{0, 3, 10, 50}).Draw(t, "global limit")
	m.discord = NewSimulated(SimulatedLimit{})
	m.discord.Global = global
	m.discord.FixedSecond = rapid.Bool().Draw(t, "fixed second")
	m.discord.Limit = m.limitOf
	m.core = newCore(Config{GlobalLimit: cmp.Or(global, -1), MaxQueue: rapid.SampledFrom([]int{5, 1000}).Draw(t, "queue"), MaxQueueBytes: 1 << 20})

	troubled := rapid.Bool().Draw(t, "troubled")
	m.troubled = troubled
	kinds := rapid.SampledFrom([]fault{neverSent, lostBefore, lostAfter, serverError, gatewayPage, forbidden, sharedLimit, subLimit, untoldLimit})
	m.honest = !troubled || !rapid.Bool().Draw(t, "dishonest")
	if !m.honest {
		kinds = rapid.Custom(func(t *rapid.T) fault { return fault(rapid.IntRange(1, int(faults)-1).Draw(t, "fault")) })
		for i := range rapid.IntRange(0, 2).Draw(t, "renames") {
			m.renames = append(m.renames, rename{modelStart.add(ms(0, 8000, "renamed at")), fmt.Sprint("renamed", i)})
		}
	}
	if rapid.IntRange(0, 2).Draw(t, "lies") == 0 {
		m.discord.Lie, m.lying = drawLie(t)
	}
	n := rapid.IntRange(1, 60).Draw(t, "calls")
	spread := ms(0, 6000, "spread")
	for i := range n {
		x := &modelCall{
			index:   i,
			route:   rapid.IntRange(0, len(modelRoutes)-1).Draw(t, "route"),
			channel: rapid.IntRange(1, 2).Draw(t, "channel"),
			caller:  rapid.SampledFrom([]string{"a", "a", "b", "c"}).Draw(t, "caller"),
			line:    rapid.SampledFrom([]string{"", "line 1", "line 1", "line 2"}).Draw(t, "line"),
			bytes:   int64(rapid.IntRange(0, 2000).Draw(t, "bytes")),
			at:      modelStart.add(time.Duration(i) * (spread/time.Duration(n) + time.Microsecond)),
		}
		x.deadline, x.leaves = never, never
		switch rapid.IntRange(0, 5).Draw(t, "patience") {
		case 0:
			x.deadline = x.at.add(ms(1, 20_000, "deadline"))
			x.leaves = x.deadline
		case 1:
			x.leaves = x.at.add(ms(0, 8000, "leaves"))
		}
		if troubled && rapid.IntRange(0, 4).Draw(t, "has a fault") == 0 {
			x.faults = rapid.SliceOfN(kinds, 1, 3).Draw(t, "faults")
		}
		m.calls = append(m.calls, x)
		m.after(x.at.sub(m.now), func() { m.ask(x) })
		if x.leaves < never {
			m.after(x.leaves.sub(m.now), func() { m.leave(x) })
		}
	}
	return m
}

// drawLie returns a limit of a route that headers do not show. Discord counts
// new messages in each channel alone, which the limiter relies on; other routes
// may share a limit across channels.
func drawLie(t *rapid.T) (lie *Lie, route int) {
	route = rapid.SampledFrom([]int{0, 3}).Draw(t, "lying route")
	truth := SimulatedLimit{
		Name:   "true",
		N:      rapid.IntRange(1, 30).Draw(t, "true limit"),
		Window: time.Duration(rapid.IntRange(250, 60_000).Draw(t, "true window")) * time.Millisecond,
		Fixed:  rapid.Bool().Draw(t, "true limit is fixed"),
	}
	_, ending, _ := strings.Cut(modelRoutes[route].path, "%d")
	lie = &Lie{
		Truth:   []SimulatedLimit{truth},
		Only:    func(method, path string) bool { return method == "POST" && strings.HasSuffix(path, ending) },
		Across:  route != 0 && rapid.Bool().Draw(t, "across"),
		Refusal: rapid.SampledFrom([]Refusal{OtherBucket, SameBucket, Remaining, Bare}).Draw(t, "refusal"),
		Scope:   rapid.SampledFrom([]string{"", "user", "shared"}).Draw(t, "scope"),
		Code:    rapid.SampledFrom([]int{0, 0, 20016, 20028, 30046}).Draw(t, "code"),
	}
	if n := rapid.SampledFrom([]int{0, 5, 1000}).Draw(t, "announced"); n > 0 {
		lie.Announced = SimulatedLimit{Name: "announced", N: n, Window: time.Duration(rapid.IntRange(250, 5000).Draw(t, "announced window")) * time.Millisecond}
	}
	switch rapid.IntRange(0, 5).Draw(t, "retry_after") {
	case 0:
		lie.Retry = func(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }
	case 1:
		lie.Retry, lie.Hasty = func(d time.Duration) time.Duration { return d / 2 }, true
	case 2:
		lie.Retry, lie.Hasty = func(time.Duration) time.Duration { return 0 }, true
	case 3:
		lie.Retry = func(d time.Duration) time.Duration { return d + 50*time.Millisecond }
	case 4: // unless it looks as if the edge in front of Discord had answered
		lie.Silent = lie.Refusal != Bare || lie.Scope != ""
	}
	return lie, route
}

func (m *model) after(d time.Duration, do func()) {
	m.count++
	m.events.push(event{m.now.add(d), m.count, do})
}

func (m *model) limitOf(method, path string) SimulatedLimit {
	for i, r := range modelRoutes {
		var channel int
		if n, _ := fmt.Sscanf(path, r.path, &channel); n == 1 && method == r.method && fmt.Sprintf(r.path, channel) == path {
			return m.limits[i]
		}
	}
	m.t.Fatalf("no route %s %s", method, path)
	return SimulatedLimit{}
}

// run lets everything happen, as the shell around the core would.
func (m *model) run() {
	for m.events.len() > 0 || m.armed < never {
		if m.events.len() > 0 && m.events.items[0].at <= m.armed {
			e := m.events.pop()
			m.now = e.at
			e.do()
		} else {
			if m.armed > m.now {
				m.now = m.armed
			}
			m.armed = never
			m.core.advance(m.now)
		}
		m.settle()
		if m.now.sub(modelStart) > 12*time.Hour {
			m.t.Fatalf("something is still to do after %v", m.now.sub(modelStart))
		}
	}
	if most := m.fair(); m.lied > most {
		m.t.Fatalf("%d of %d tries met the limit that headers did not show, at most %d may: %+v", m.lied, m.tries, most, m.discord.Lie)
	}
	m.timely()
	for _, x := range m.calls {
		if !x.ended && !x.left {
			m.t.Fatalf("call %d was forgotten", x.index)
		}
	}
	c := m.core
	for _, a := range c.accounts {
		if !a.refusal.active {
			m.t.Fatalf("still knows %d buckets", len(a.buckets))
		}
		if len(a.lines) > 0 {
			m.t.Fatalf("still knows %d lines", len(a.lines))
		}
	}
	if c.queued.n != 0 || c.bytes != 0 || c.sent.n != 0 || c.wakes.len() != 0 || c.exempt.len() != 0 || c.gates.len() != 0 || c.used.n != 0 || c.known != 0 || len(c.lively) != 0 {
		m.t.Fatalf("not idle at the end: %+v", c)
	}
}

// fair returns how many 429s the limit that the lie hides may cost: 3 and a
// tenth of the calls, for each of two channels, which either have a limit each
// or have to learn of it each before it is known to be shared. Over steady ways
// that is all; see TestLies. Here ways differ by up to 400 ms and callers leave,
// each of which can make one 429 explain the wrong thing, and a limit of 1 gives
// no second one before it is met again: that costs up to 6 more. A fault of the
// same route hides or contradicts one call, which is one more for each. If 429s
// ask for too short a wait, any number may come: then only that all calls end
// is promised.
func (m *model) fair() int {
	lie := m.discord.Lie
	if lie == nil {
		return 0
	}
	if lie.Hasty {
		return m.tries
	}
	most := 2*(3+(m.tries-m.lied)/10) + 6 + m.blurred
	if lie.Silent { // the time to wait has to be found out; see TestLiesWithoutWait
		most += 2 * 12
	}
	return most
}

// timely checks that the limit that the lie hides costs at most 1.25 of the time
// that it demands, where no fault blurs what it demands.
// Lines may make calls wait for those of other buckets, so the demands of all
// limits are added up.
func (m *model) timely() {
	lie := m.discord.Lie
	if lie == nil || lie.Hasty || lie.Silent || m.troubled {
		return
	}
	var last instant
	way := 2*m.high + 50*time.Millisecond
	bound := time.Duration(0)
	asked := make(map[[2]int]int) // by route and channel
	for _, x := range m.calls {
		asked[[2]int{x.route, x.channel}]++
		last = max(last, x.at)
		bound += way
	}
	if g := m.discord.Global; g > 0 {
		bound += time.Duration(len(m.calls)/g) * (second + way)
	}
	demand := func(l SimulatedLimit, n int) time.Duration {
		return (&Lie{Truth: []SimulatedLimit{l}}).Bound(n)
	}
	both := 0
	hidden := time.Duration(0)
	for channel := range 3 {
		for route, l := range m.limits {
			n := asked[[2]int{route, channel}]
			switch {
			case n == 0:
			case route == m.lying:
				both += n
				hidden = max(hidden, lie.Bound(n))
				if lie.Announced.N > 0 {
					bound += demand(lie.Announced, n)
				}
			case l.Name != "":
				bound += time.Duration(n) * l.Window / time.Duration(l.N)
			}
		}
	}
	if lie.Across { // and a window in which one channel learns of it and the other does not
		hidden = lie.Bound(both)
		bound += lie.Truth[0].Window
	}
	// Waits are rounded up to a second at most.
	bound += time.Duration(m.lied) * (second + way)
	if took, most := m.finished.sub(modelStart), last.sub(modelStart)+bound+hidden*5/4; took > most {
		m.t.Fatalf("the calls took %v, at most %v may pass: %v for the hidden limit %+v", took, most, hidden, lie)
	}
}

// settle follows up on a step: calls that were let through or refused continue.
func (m *model) settle() {
	for _, x := range m.calls {
		if (x.ended || x.left) && !x.done {
			x.done = true
			if x.permit != nil {
				m.core.done(&x.permit.call, m.now)
			}
		}
	}
	m.books()
	if at := m.core.nextDue(m.now); at < m.armed {
		m.armed = at
	}
	var sent []*modelCall
	for _, x := range m.calls {
		if x.permit == nil || x.ended || x.left {
			continue
		}
		select {
		case <-x.permit.call.woken:
		default:
			continue
		}
		sent = append(sent, x)
	}
	slices.SortFunc(sent, func(x, y *modelCall) int { return cmp.Compare(x.permit.call.send, y.permit.call.send) })
	for _, x := range sent {
		m.decided(x)
	}
}

// ask makes a try of x ask for its permit.
func (m *model) ask(x *modelCall) {
	if m.now >= x.leaves { // the shell checks the context first
		x.left = true
		return
	}
	r := modelRoutes[x.route]
	request := Request{
		Route: RouteOf(r.method, fmt.Sprintf(r.path, x.channel), "", time.Unix(0, int64(m.now))),
		Token: "token", Caller: x.caller, Line: x.line, Bytes: x.bytes, Retry: x.permit,
	}
	x.permit = &Permit{call: call{deadline: x.deadline}}
	x.tries++
	m.core.advance(m.now) // what is due frees a place
	full := request.Retry == nil && (m.core.queued.n >= m.core.maxQueue || m.core.bytes+x.bytes > m.core.maxQueueBytes)
	m.core.admit(&x.permit.call, &request, m.now)
	c := &x.permit.call
	switch {
	case c.state != callWaits && c.woken == nil:
		m.decided(x)
	case full:
		m.t.Fatalf("call %d waits although the queue is full", x.index)
	}
}

// decided continues with a try that was let through or refused.
func (m *model) decided(x *modelCall) {
	c := &x.permit.call
	if c.err != nil {
		x.ended = true
		switch e := c.err; {
		case e.Reason == DeadlineTooEarly && m.now.add(e.RetryAfter) <= x.deadline:
			m.t.Fatalf("call %d was refused though it could go in %v, before its deadline in %v", x.index, e.RetryAfter, x.deadline.sub(m.now))
		case e.Reason == DeadlineTooEarly && x.deadline == never, e.Reason == Banned, e.Reason == Closed, e.Reason == BudgetSpent:
			m.t.Fatalf("call %d was refused: %v", x.index, e)
		case e.Reason == TokenRefused && m.honest:
			m.t.Fatalf("call %d was refused: %v", x.index, e)
		}
		return
	}
	if m.now > x.leaves || m.now > x.deadline {
		m.t.Fatalf("call %d may go %v after its caller left", x.index, m.now.sub(min(x.leaves, x.deadline)))
	}
	if x.tries == 1 {
		x.first = c.send
		for _, o := range m.calls {
			if x.line != "" && o != x && o.line == x.line && o.caller == x.caller && o.first != 0 && !o.ended && !o.left {
				m.t.Fatalf("call %d goes before call %d of its line has ended", x.index, o.index)
			}
			together := x.line != "" || o.route == x.route && o.channel == x.channel
			if o.index < x.index && o.line == x.line && together && o.caller == x.caller &&
				o.first == 0 && o.tries == 1 && o.permit.call.state == callWaits {
				m.t.Fatalf("call %d goes before call %d", x.index, o.index)
			}
		}
	}
	x.known = m.known(x)
	f := noFault
	if x.tries <= len(x.faults) {
		f = x.faults[x.tries-1]
	}
	connecting := time.Duration(m.rng.Int64N(int64(50 * time.Millisecond)))
	if !m.begins {
		connecting = 0
	}
	switch f {
	case neverSent:
		m.after(connecting, func() { m.core.cancel(c, m.now); m.again(x) })
		return
	case lostBefore:
		m.after(connecting+m.way(), func() { m.core.lose(c, m.now); m.again(x) })
		return
	}
	m.after(connecting, func() {
		if m.begins {
			c.begun.Store(int64(m.now))
		}
		m.after(m.way(), func() { m.arrive(x, f) })
	})
}

func (m *model) way() time.Duration {
	return m.low + time.Duration(m.rng.Int64N(int64(m.high-m.low)+1))
}

// arrive lets Discord answer the running try of x.
func (m *model) arrive(x *modelCall, f fault) {
	c, r := &x.permit.call, modelRoutes[x.route]
	path := fmt.Sprintf(r.path, x.channel)
	reply := func(status int, body string, headers ...string) SimulatedReply {
		h := http.Header{"Via": {"1.1 google"}}
		for i := 0; i < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		return SimulatedReply{status, h, body}
	}
	m.discord.Refuse = func(string, string) *SimulatedReply {
		var out SimulatedReply
		switch f {
		case serverError:
			out = reply(500, "")
		case gatewayPage:
			out = reply(502, "<html>")
		case forbidden:
			out = reply(403, `{"code":50013}`)
		case unauthorized:
			out = reply(401, `{"code":0}`)
		case untoldLimit:
			out = reply(403, `{"code":40003}`)
		case sharedLimit:
			out = reply(429, `{"retry_after":0.7,"global":false}`, "X-RateLimit-Scope", "shared", "X-RateLimit-Remaining", "1", "Retry-After", "1")
		case subLimit:
			out = reply(429, `{"retry_after":2.5,"global":false,"code":20016}`, "X-RateLimit-Scope", "user", "X-RateLimit-Remaining", "1", "Retry-After", "1")
		default:
			return nil
		}
		return &out
	}
	known := x.known > 0 && x.known == m.known(x)
	out := m.discord.Answer(time.Unix(0, int64(m.now)), r.method, path)
	lies := m.discord.Lie != nil && x.route == m.lying
	if lies && f != noFault {
		m.blurred++
	}
	if lies && f == noFault {
		m.tries++
		if out.Status == http.StatusTooManyRequests {
			m.lied++
		}
	}
	if out.Status == http.StatusTooManyRequests && f != sharedLimit && f != subLimit && !lies {
		m.limited(x, known, out)
	}
	for _, o := range m.renames {
		if o.at <= m.now && out.Header.Get("X-RateLimit-Bucket") != "" {
			out.Header.Set("X-RateLimit-Bucket", o.name+out.Header.Get("X-RateLimit-Bucket"))
		}
	}
	if f == nonsense {
		spoil := [...][2]string{
			{"Limit", "50000"},
			{"Limit", "0"},
			{"Remaining", "-3"},
			{"Remaining", "77"},
			{"Reset-After", "NaN"},
			{"Reset-After", "1e300"},
			{"Reset", "1.000"},
			{"Reset", "x"},
			{"Bucket", ""},
		}[m.rng.IntN(9)]
		out.Header.Set("X-RateLimit-"+spoil[0], spoil[1])
	}
	m.after(m.way(), func() {
		if f == lostAfter {
			m.core.lose(c, m.now)
			m.again(x)
			return
		}
		v := m.core.complete(c, &Response{Status: out.Status, Header: out.Header, Body: ParseBody([]byte(out.Body))}, m.now)
		switch {
		case out.Status == http.StatusTooManyRequests, f == untoldLimit:
			if v.Limit == NotLimited || v.Wait <= 0 {
				m.t.Fatalf("a limit taught %+v", v)
			}
			m.ask(x)
		case out.Status >= http.StatusInternalServerError:
			m.again(x)
		default:
			x.ended = true
			m.finished = m.now
		}
	})
}

// known returns how many routes share the bucket that x uses, and 0 as long as
// the limiter does not know all of them or the bucket's kind.
func (m *model) known(x *modelCall) (shared int) {
	b := x.permit.call.route.bucket
	if b.kind != sliding && b.kind != fixed {
		return 0
	}
	for _, r := range b.account.routes {
		if r.key.major != b.major {
			continue
		}
		for i, o := range modelRoutes {
			if r.key.method == o.method && RouteOf(o.method, fmt.Sprintf(o.path, x.channel), "", time.Time{}).Template == r.key.template &&
				m.limits[i].Name == m.limits[x.route].Name {
				if r.bucket != b {
					return 0
				}
				shared++
			}
		}
	}
	return shared
}

// limited judges a 429 that the limiter earned.
func (m *model) limited(x *modelCall, known bool, out SimulatedReply) {
	if out.Header.Get("X-RateLimit-Global") != "" {
		m.t.Fatalf("call %d earned a global 429", x.index)
	}
	if !m.honest {
		return
	}
	if known {
		m.t.Fatalf("call %d earned a 429 in a bucket that is known, sent %d: %+v, %+v", x.index, x.permit.call.sentAt, x.permit.call.route.bucket.window, x.permit.call.route.bucket.throttle)
	}
	// What is not known yet may cost each route one or two: the routes of a
	// bucket learn only from answers that they share it.
	name := fmt.Sprint(m.limits[x.route].Name, " ", x.channel)
	if m.guess[name]++; m.guess[name] > 2*len(modelRoutes) {
		m.t.Fatalf("%d 429s in bucket %s without learning what it is", m.guess[name], name)
	}
}

// again repeats a call whose try had no result, after a while.
func (m *model) again(x *modelCall) {
	m.after(time.Duration(100+m.rng.IntN(200))*time.Millisecond, func() {
		if !x.ended {
			m.ask(x)
		}
	})
}

// leave is the end of the caller's patience.
func (m *model) leave(x *modelCall) {
	if x.ended || x.left {
		return
	}
	if x.permit != nil && x.permit.call.state == callSent {
		return // it leaves once this try has ended
	}
	x.left = true
	if x.permit != nil {
		m.core.leave(&x.permit.call, m.now)
	}
}

// books compares the core's counts with what they count, and finds waiting
// calls that nothing will wake.
func (m *model) books() {
	c := m.core
	waiting, inFlight, bytes := 0, 0, int64(0)
	for x := c.queued.first; x != nil; x = x.inOrder.next {
		waiting++
		bytes += x.bytes
	}
	flying := make(map[*bucket]int)
	pools := make(map[*pool]int)
	for x := c.sent.first; x != nil; x = x.inOrder.next {
		inFlight++
		flying[x.route.bucket]++
		if !x.exempt {
			pools[&x.account.pool]++
		}
	}
	if waiting != c.queued.n || bytes != c.bytes || inFlight != c.sent.n {
		m.t.Fatalf("counts %d waiting, %d bytes, %d in flight; there are %d, %d, %d", c.queued.n, c.bytes, c.sent.n, waiting, bytes, inFlight)
	}
	for _, a := range c.accounts {
		if a.pool.inFlight != pools[&a.pool] {
			m.t.Fatalf("the pool counts %d in flight, there are %d", a.pool.inFlight, pools[&a.pool])
		}
		for key, l := range a.lines {
			first := (*call)(nil)
			for _, o := range l.subqueues {
				if first == nil || o.calls.first.seq < first.seq {
					first = o.calls.first
				}
			}
			if first == nil && l.open == 0 {
				m.t.Fatalf("line %v has no call", key)
			}
			for _, o := range l.subqueues {
				may := o.calls.first == first && (l.open == 0 || l.open == first.seq)
				if may != (o.at >= 0) {
					m.t.Fatalf("line %v: the call %d may go: %t; it is listed: %t", key, o.calls.first.seq, may, o.at >= 0)
				}
			}
		}
		for _, r := range a.routes {
			b := r.bucket
			queued := 0
			for _, s := range b.shares {
				for _, q := range s.queues {
					for l := q.subqueues.first; l != nil; l = l.links.next {
						for x := l.calls.first; x != nil; x = x.inSubqueue.next {
							queued++
						}
					}
				}
			}
			if b.busy(m.now) && b.livelyAt < 0 {
				m.t.Fatalf("a snapshot would miss a bucket: %+v", b.window)
			}
			if queued != b.waiting || flying[b] != b.inFlight {
				m.t.Fatalf("a bucket counts %d waiting and %d in flight, there are %d and %d", b.waiting, b.inFlight, queued, flying[b])
			}
			ready := false
			for _, k := range b.classes {
				ready = ready || k.ready.len() > 0
			}
			if s := b.parked; s != nil {
				binding := s.binding
				if at := s.gate(s.foremost(m.now), m.now); at < m.now || s.gateAt < 0 || s.opens > at {
					m.t.Fatalf("a bucket waits behind a gate that opens at %d and is listed for %d", at, s.opens)
				}
				s.binding = binding
			}
			if ready && b.inFlight == 0 && b.owner == nil && b.wakeAt < 0 && b.exemptAt < 0 &&
				(b.parked == nil || b.parked.opens == never && b.parked.inFlight+b.parked.offered == 0) {
				m.t.Fatalf("nothing will wake the calls of a bucket: %+v", b.window)
			}
		}
	}
}
