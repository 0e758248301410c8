package ratelimit

import (
	"cmp"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// permitLife is how long a permit may stay open before it counts as lost.
	permitLife = 15 * time.Minute
	// idleLife is how long what was learnt of a bucket is kept after its last
	// use.
	idleLife = 10 * time.Minute
	// probePause is the wait after a probe that told nothing.
	probePause = 5 * time.Second

	addressLimit = 50 // calls a second without a bot's token

	// Of what nothing is known is taken for the most common bucket when it
	// comes to how long its queue takes.
	guessLimit     = 5
	guessPer       = time.Second
	guessRoundTrip = 100 * time.Millisecond
)

type callState uint8

const (
	callAsks callState = iota
	callWaits
	callSent
	callEnded
	callRefused
)

// call is one request from the moment it asks to be sent until its end.
type call struct {
	state    callState
	exempt   bool
	kind     string
	route    *route
	account  *account
	seq      uint64 // place in every order
	bytes    int64
	deadline instant // never if none
	came     instant // of the first try
	sentAt   instant
	begun    atomic.Int64 // when its sending began, if that was told
	send     uint64       // number among all that were sent
	err      *Error
	woken    chan struct{} // gets one value when a waiting call is decided

	lane       *lane
	prev, next *call // in lane while waiting, in core.flights while sent
	before     *call // in core.queue while waiting
	after      *call
}

// began returns the moment before which the call cannot have arrived.
func (x *call) began() instant { return max(x.sentAt, instant(x.begun.Load())) }

// core is the state of all limits. Its methods decide; they take the time as
// an argument, wait for nothing and start nothing.
type core struct {
	globalLimit   int
	maxQueue      int
	maxQueueBytes int64

	accounts map[accountKey]*account
	live     []*account // the same in order of their making
	clock    clock
	budget   budget
	ban      ban
	closed   bool
	seq      uint64
	sends    uint64

	waiting  int
	bytes    int64
	first    *call // of the waiting calls, for sweeps
	inFlight int
	oldest   *call // of those in flight
	youngest *call

	wakes    heap[*bucket] // those that can go on without an answer
	exempt   []*bucket     // ready and not bound to a pool
	idleHead *bucket       // least recently used
	idleTail *bucket
}

func newCore(globalLimit, maxQueue int, maxQueueBytes int64, invalidLimit int) *core {
	return &core{
		globalLimit:   globalLimit,
		maxQueue:      maxQueue,
		maxQueueBytes: maxQueueBytes,
		accounts:      make(map[accountKey]*account),
		budget:        budget{limit: invalidLimit},
		wakes: heap[*bucket]{
			less:  func(a, b *bucket) bool { return a.wake < b.wake },
			place: func(b *bucket, i int) { b.wakeAt = i },
		},
	}
}

// admit takes a call in. Afterwards it is sent, refused or waiting.
func (c *core) admit(x *call, r *Request, now instant) {
	c.advance(now)
	x.exempt, x.kind, x.bytes = r.Route.Exempt, r.Route.Kind, r.Bytes
	x.account = c.account(r)
	x.route = c.route(x.account, &r.Route, now)
	retry := r.Retry != nil && r.Retry.call.seq > 0
	if retry {
		x.seq, x.came = r.Retry.call.seq, r.Retry.call.came
	} else {
		c.seq++
		x.seq, x.came = c.seq, now
	}
	if err := c.barred(x, r.Probe, now); err != nil {
		c.fail(x, err)
		return
	}

	b, p := x.route.bucket, &x.account.pool
	b.refresh(&c.clock)
	if b.waiting == 0 && b.blockedUntil <= now && x.route.blockedUntil(x.kind) <= now && b.next(now, b.inFlight) <= now &&
		(x.exempt || x.account.ready.len() == 0 && p.next(now, &c.clock) <= now) && c.open(now) {
		c.send(x, now)
		return
	}

	if at := c.earliest(x, r.Caller, retry, now); at > x.deadline {
		c.fail(x, &Error{Reason: DeadlineTooEarly, RetryAfter: at.sub(now)})
		return
	}
	if !retry && (c.waiting >= c.maxQueue || c.bytes+x.bytes > c.maxQueueBytes) {
		c.fail(x, &Error{Reason: QueueFull})
		return
	}
	x.state = callWaits
	x.woken = make(chan struct{}, 1)
	if x.after = c.first; x.after != nil {
		x.after.before = x
	}
	c.first = x
	c.waiting++
	c.bytes += x.bytes
	x.account.waiting++
	b.insert(x, x.account.caller(r.Caller))
	if !b.joined(x, now) {
		c.settle(b, now)
	}
	c.dispatch(now)
}

// joined reports whether a call that has come to the bucket's queue changes
// nothing about which call goes next and when.
func (b *bucket) joined(x *call, now instant) bool {
	if b.head == nil || b.owner == nil && b.wakeAt < 0 && !b.exempt {
		return false
	}
	if d := cmp.Compare(b.head.lane.share.turns, x.lane.share.turns); d > 0 || d == 0 && x.seq < b.head.seq {
		return false
	}
	if b.owner != nil {
		b.drain = b.backlog(now)
		b.owner.byDrain.fix(b.drainAt)
	}
	return true
}

// barred says why a call may not even wait, nil if it may.
func (c *core) barred(x *call, probe bool, now instant) *Error {
	f := &x.account.refusal
	switch {
	case c.closed:
		return &Error{Reason: Closed}
	case c.ban.active && now < c.ban.until:
		return &Error{Reason: Banned, RetryAfter: c.ban.until.sub(now)}
	case c.budget.spent(0):
		return &Error{Reason: BudgetSpent, RetryAfter: c.budget.refill(now, true).sub(now)}
	case c.budget.scarce() && x.route.invalidLately(now):
		return &Error{Reason: BudgetSpent, RetryAfter: c.budget.refill(now, false).sub(now)}
	case f.active && !probe:
		if now < f.retry || f.probe != nil {
			return &Error{Reason: TokenRefused, RetryAfter: max(f.retry.sub(now), 0)}
		}
		f.probe = x
	}
	return nil
}

// invalidLately reports whether the route's last answer was 401 or 403.
func (r *route) invalidLately(now instant) bool {
	return r.refused > 0 && now.sub(r.refused) < budgetSlots*budgetSlot
}

// open reports whether anything may be sent at all.
func (c *core) open(now instant) bool {
	if c.ban.active && (now < c.ban.until || c.ban.probe != nil) {
		return false
	}
	return !c.budget.spent(c.inFlight)
}

func (c *core) account(r *Request) *account {
	key := accountKey{token: r.Token}
	if r.Route.Tokenless {
		key = accountKey{tokenless: true}
	}
	if a := c.accounts[key]; a != nil {
		return a
	}
	limit := c.globalLimit
	if key.tokenless && limit > 0 {
		limit = addressLimit
	}
	a := newAccount(key, limit)
	c.accounts[key] = a
	c.live = append(c.live, a)
	return a
}

func (c *core) route(a *account, r *Route, now instant) *route {
	key := routeKey{r.Method, r.Template, r.Major}
	if known := a.routes[key]; known != nil {
		return known
	}
	known := &route{key: key}
	a.routes[key] = known
	s := a.shapes[shapeKey{r.Method, r.Template}]
	if s == nil {
		s = &shape{}
		a.shapes[shapeKey{r.Method, r.Template}] = s
	}
	s.routes++
	known.bucket = a.buckets[bucketKey{s.hash, r.Major}]
	if s.hash == "" || known.bucket == nil {
		known.bucket = c.newBucket(a, s.hash, r.Major, now)
	}
	known.bucket.routes = append(known.bucket.routes, known)
	return known
}

func (c *core) newBucket(a *account, hash, major string, now instant) *bucket {
	b := &bucket{account: a, hash: hash, major: major, wakeAt: -1, drainAt: -1, ageAt: -1}
	if hash != "" {
		a.buckets[bucketKey{hash, major}] = b
	}
	b.idleSince = now
	c.lastUsed(b)
	return b
}

// earliest returns a moment before which a call that joins the queue certainly
// cannot go, as things stand.
func (c *core) earliest(x *call, name string, retry bool, now instant) instant {
	b := x.route.bucket
	who := x.account.callers[name]
	ahead := 0
	if who != nil && !retry {
		for _, s := range b.shares {
			if s.caller == who {
				ahead = s.unblocked(now)
			}
		}
	}
	at := max(now, b.blockedUntil, x.route.blockedUntil(x.kind), b.earliest(now, b.inFlight, ahead))
	if x.exempt {
		return at
	}
	p := &x.account.pool
	at = max(at, p.pausedUntil)
	if who == nil || retry || p.limit == 0 || b.waiting > 0 || b.window.drain(now, b.inFlight, 1) > 0 {
		return at
	}
	// All the caller's ready buckets have older calls and as long a drain. A
	// unit serves one of them a second.
	if behind := who.byAge.len() - max(p.limit-p.used(), 0); behind >= 0 {
		at = max(at, max(now, p.pausedUntil).add(time.Duration(behind/p.limit)*second))
	}
	return at
}

// unblocked counts the calls of a share that do not wait for the end of a
// block.
func (s *share) unblocked(now instant) int {
	n := s.waiting
	for _, l := range s.lanes {
		if l.route.blockedUntil(l.kind) > now {
			for x := l.first; x != nil; x = x.next {
				n--
			}
		}
	}
	return n
}

// send gives x its permit.
func (c *core) send(x *call, now instant) {
	b := x.route.bucket
	c.sends++
	x.state, x.sentAt, x.send = callSent, now, c.sends
	b.inFlight++
	x.route.inFlight++
	if !x.exempt {
		x.account.pool.take(now)
	}
	if c.ban.active {
		c.ban.probe = x
	}
	c.inFlight++
	x.prev, x.next = c.youngest, nil
	if c.youngest == nil {
		c.oldest = x
	} else {
		c.youngest.next = x
	}
	c.youngest = x
	c.used(b, now)
	if x.woken != nil {
		x.woken <- struct{}{}
	}
}

// land takes a sent call out of the books of those in flight. It reports
// whether it was there.
func (c *core) land(x *call, now instant) bool {
	if x.state != callSent {
		return false
	}
	x.state = callEnded
	x.route.bucket.inFlight--
	x.route.inFlight--
	c.inFlight--
	if x.prev == nil {
		c.oldest = x.next
	} else {
		x.prev.next = x.next
	}
	if x.next == nil {
		c.youngest = x.prev
	} else {
		x.next.prev = x.prev
	}
	x.prev, x.next = nil, nil
	c.used(x.route.bucket, now)
	return true
}

// fail refuses a call that is not in flight.
func (c *core) fail(x *call, err *Error) {
	if f := &x.account.refusal; f.probe == x {
		f.probe = nil
	}
	err.Route = x.route.key.String()
	x.err = err
	if x.state == callWaits {
		c.unqueue(x)
		x.woken <- struct{}{}
	}
	x.state = callRefused
}

// unqueue takes a waiting call out of the queue. Its bucket must be settled.
func (c *core) unqueue(x *call) {
	x.route.bucket.remove(x)
	if x.before == nil {
		c.first = x.after
	} else {
		x.before.after = x.after
	}
	if x.after != nil {
		x.after.before = x.before
	}
	x.before, x.after = nil, nil
	c.waiting--
	c.bytes -= x.bytes
	x.account.waiting--
}

// leave takes away a call whose caller waits no longer. A permit it just got
// is given back.
func (c *core) leave(x *call, now instant) {
	switch x.state {
	case callWaits:
		b := x.route.bucket
		c.unqueue(x)
		x.state = callEnded
		if f := &x.account.refusal; f.probe == x {
			f.probe = nil
		}
		c.settle(b, now)
		c.advance(now)
	case callSent:
		c.cancel(x, now)
	}
}

// cancel ends a call of which nothing was sent.
func (c *core) cancel(x *call, now instant) {
	if !c.land(x, now) {
		return
	}
	if !x.exempt {
		x.account.pool.unsent()
	}
	c.inconclusive(x, now, 0)
	c.settle(x.route.bucket, now)
	c.advance(now)
}

// lose ends a call that may have been counted by Discord and has no answer.
func (c *core) lose(x *call, now instant) {
	if !c.land(x, now) {
		return
	}
	if !x.exempt {
		x.account.pool.arrived(unit{c.clock.latest(now), x.began(), now})
	}
	b := x.route.bucket
	b.miss(now)
	c.inconclusive(x, now, probePause)
	c.settle(b, now)
	c.advance(now)
}

// inconclusive ends what the call was to find out.
func (c *core) inconclusive(x *call, now instant, pause time.Duration) {
	if c.ban.probe == x {
		c.ban.probe = nil
		c.ban.until = max(c.ban.until, now.add(pause))
	}
	if f := &x.account.refusal; f.probe == x {
		f.probe = nil
		f.retry = max(f.retry, now.add(pause))
	}
}

// complete ends a call with Discord's answer.
func (c *core) complete(x *call, r *Response, now instant) (v Verdict) {
	if !c.land(x, now) {
		return v
	}
	v.Limit = r.limitOf()
	n := numbersOf(r.Header)
	a, plausible := c.read(x, n, now)
	if !x.exempt {
		u := unit{c.clock.latest(now), x.began(), now}
		if a.timed {
			u.counted = a.counted
		}
		x.account.pool.arrived(u)
	}
	c.judge(x, r, v.Limit, now)

	wait, told := r.retryAfter()
	b := x.route.bucket
	switch v.Limit {
	case NotLimited, BucketLimit, SubLimit:
		b = c.learn(x, r, n, a, plausible, v.Limit, now)
	}
	switch v.Limit {
	case NotLimited:
		if r.Status < http.StatusMultipleChoices {
			if x.sentAt >= b.blockedUntil {
				b.strikes = 0
			}
			if x.sentAt >= x.route.blockedUntil(x.kind) {
				x.route.unblock(x.kind)
			}
		}
	case BucketLimit:
		wait = c.blockBucket(b, x, n, wait, told, now)
	case SubLimit:
		wait = c.blockKind(x, wait, told, now)
	case SharedLimit:
		if !told {
			wait = time.Second
		}
		b.blockedUntil = max(b.blockedUntil, now.add(wait))
		c.recheck(b, now)
	case GlobalLimit:
		if !told {
			wait = time.Second
		}
		if x.exempt { // bound to no pool: only its own bucket can wait
			b.blockedUntil = max(b.blockedUntil, now.add(wait))
			break
		}
		p := &x.account.pool
		p.pause(now, x.sentAt, wait)
		wait = p.pausedUntil.sub(now)
		c.sweep(now, func(o *call) *Error {
			if o.account == x.account && !o.exempt && o.deadline < p.pausedUntil {
				return &Error{Reason: DeadlineTooEarly, RetryAfter: p.pausedUntil.sub(now)}
			}
			return nil
		})
	case AddressBan:
		wait = c.ban.until.sub(now)
	}
	v.Wait = wait
	if v.Limit == NotLimited {
		v.Wait = 0
	}
	c.settle(x.route.bucket, now)
	c.advance(now)
	return v
}

// read makes an answer of the headers and learns Discord's clock from them. It
// reports whether the numbers are complete and plausible.
func (c *core) read(x *call, n numbers, now instant) (a answer, plausible bool) {
	a = answer{limit: n.limit, remaining: n.remaining, after: n.after, sent: x.began(), heard: now}
	if n.hasAfter && n.reset > 0 {
		a.counted, a.reset = n.reset.add(-n.after), n.reset
		epoch := c.clock.epoch
		a.timed = c.clock.learn(a.sent, now, a.counted)
		a.epoch = c.clock.epoch
		if a.epoch != epoch {
			for _, o := range c.live {
				o.pool.restart(&c.clock)
			}
		}
	}
	if !n.hasAfter && n.reset > 0 { // Reset alone
		a.after = n.reset.sub(now)
		if c.clock.now.n > 0 {
			a.after = c.clock.local(n.reset, bucketGuard).sub(now)
		}
		a.after = max(a.after, 0)
		n.hasAfter = a.after < maxHeaderWait
	}
	if !n.hasLimit {
		a.limit = x.route.bucket.limit
	}
	return a, n.hasRemaining && n.hasAfter && a.limit > 0 && a.remaining <= a.limit
}

// judge takes into account what an answer says about the token, the address
// and the budget of invalid requests.
func (c *core) judge(x *call, r *Response, limit Limit, now instant) {
	invalid := r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden ||
		r.Status == http.StatusTooManyRequests && limit != SharedLimit
	if invalid {
		c.budget.add(now)
		if r.Status != http.StatusTooManyRequests {
			x.route.refused = now
		}
		if c.budget.scarce() {
			c.sweep(now, func(o *call) *Error { return c.unaffordable(o, now) })
		}
	} else if r.Status < http.StatusBadRequest {
		x.route.refused = 0
	}

	retryAfter, _ := r.retryAfter()
	switch {
	case limit == AddressBan:
		if c.ban.probe == x {
			c.ban.probe = nil
		}
		c.ban.begin(now, x.send, c.sends, retryAfter)
		c.sweep(now, func(*call) *Error { return &Error{Reason: Banned, RetryAfter: c.ban.until.sub(now)} })
	case r.Status >= http.StatusInternalServerError:
		c.inconclusive(x, now, probePause)
	case c.ban.active && x.send > c.ban.since:
		c.ban.active, c.ban.probe = false, nil
	}

	f := &x.account.refusal
	switch {
	case x.account.key.tokenless:
	case r.Status == http.StatusUnauthorized:
		if f.probe == x {
			f.probe = nil
		}
		f.begin(now, x.send, c.sends)
		c.sweep(now, func(o *call) *Error {
			if o.account != x.account {
				return nil
			}
			return &Error{Reason: TokenRefused, RetryAfter: f.retry.sub(now)}
		})
	case f.active && x.send > f.since && r.Status < http.StatusInternalServerError && limit != AddressBan:
		*f = refusal{}
	case f.probe == x:
		f.probe = nil
	}
}

// unaffordable says why a waiting call has to be refused to save the budget.
func (c *core) unaffordable(x *call, now instant) *Error {
	spent := c.budget.spent(0)
	if spent || x.route.invalidLately(now) {
		return &Error{Reason: BudgetSpent, RetryAfter: c.budget.refill(now, spent).sub(now)}
	}
	return nil
}

// learn takes the numbers of an answer into account and returns the bucket
// that they belong to.
func (c *core) learn(x *call, r *Response, n numbers, a answer, plausible bool, limit Limit, now instant) *bucket {
	b := x.route.bucket
	a.rejected = r.Status == http.StatusTooManyRequests
	if n.bucket != "" && n.bucket != b.hash {
		if b.hash != "" && r.Status >= http.StatusBadRequest && !a.rejected {
			// What does not exist can be counted in another bucket, such as
			// the removal of an unknown message. It says nothing of the route.
			return b
		}
		b = c.rename(x.route, n.bucket, now)
	}
	changed := false
	switch {
	case plausible:
		changed = b.observe(a)
		b.refresh(&c.clock)
		s := b.account.shapes[shapeKey{x.route.key.method, x.route.key.template}]
		s.limit, s.per = b.limit, b.perHigh
	case a.rejected:
	case n.any || r.Status >= http.StatusInternalServerError ||
		r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden:
		b.miss(now)
	default:
		b.bareSuccess(now)
	}
	if limit == BucketLimit && b.kind == unsure && r.Body.HasRetryAfter && n.hasAfter && b.limit > 1 {
		// When everything comes back at once, that is what one waits for.
		if r.Body.RetryAfter > n.after*3/4 {
			b.window.kind = fixed
		} else {
			b.window.kind = sliding
		}
	}
	if changed {
		c.recheck(b, now)
	}
	return b
}

// rename moves a route to the bucket of that name, together with all that
// shares its bucket if that had no name yet.
func (c *core) rename(r *route, hash string, now instant) *bucket {
	from := r.bucket
	a := from.account
	a.shapes[shapeKey{r.key.method, r.key.template}].hash = hash
	to := a.buckets[bucketKey{hash, from.major}]
	if to == nil && len(from.routes) == 1 {
		if from.hash != "" {
			delete(a.buckets, bucketKey{from.hash, from.major})
		}
		from.hash = hash
		a.buckets[bucketKey{hash, from.major}] = from
		return from
	}
	if to == nil {
		to = c.newBucket(a, hash, from.major, now)
	}
	c.detach(from)
	to.blockedUntil = max(to.blockedUntil, from.blockedUntil)
	from.move(r, to)
	if len(from.routes) == 0 {
		c.drop(from)
	} else {
		c.settle(from, now)
	}
	c.settle(to, now)
	return to
}

// blockBucket holds a bucket back after a 429.
func (c *core) blockBucket(b *bucket, x *call, n numbers, wait time.Duration, told bool, now instant) time.Duration {
	if !told {
		wait = time.Second
		if n.hasAfter {
			wait = min(n.after, maxStall)
		}
	}
	b.probing = true
	if x.sentAt >= b.blockedUntil { // not one of several that hit the same wall
		if b.strikes++; b.strikes > 1 {
			wait += min(50*time.Millisecond<<min(b.strikes-2, 10), 10*time.Second)
		}
	}
	b.blockedUntil = max(b.blockedUntil, now.add(wait+headerStep))
	c.recheck(b, now)
	return b.blockedUntil.sub(now)
}

// blockKind holds one kind of calls of a route back.
func (c *core) blockKind(x *call, wait time.Duration, told bool, now instant) time.Duration {
	k := x.route.block(x.kind)
	if x.sentAt >= k.until {
		k.strikes++
	}
	if !told {
		wait = min(5*time.Second<<min(max(k.strikes-1, 0), 10), maxStall)
	}
	k.until = max(k.until, now.add(wait+headerStep))
	c.recheck(x.route.bucket, now)
	return k.until.sub(now)
}

// sweep refuses those of the waiting calls for which why returns an error.
func (c *core) sweep(now instant, why func(*call) *Error) {
	var touched []*bucket
	for x := c.first; x != nil; {
		following := x.after
		if err := why(x); err != nil {
			if b := x.route.bucket; len(touched) == 0 || touched[len(touched)-1] != b {
				touched = append(touched, b)
			}
			c.fail(x, err)
		}
		x = following
	}
	for _, b := range touched {
		c.settle(b, now)
	}
}

// recheck refuses the calls of a bucket that can no longer meet their
// deadlines, after something was learnt that changes its pace.
func (c *core) recheck(b *bucket, now instant) {
	if b.waiting == 0 {
		return
	}
	var late []*call
	for _, s := range b.shares {
		var line []*call
		for _, l := range s.lanes {
			blocked := l.route.blockedUntil(l.kind)
			for x := l.first; x != nil; x = x.next {
				switch {
				case x.deadline < blocked:
					late = append(late, x)
				case blocked <= now:
					line = append(line, x)
				}
			}
		}
		if len(s.lanes) > 1 {
			slices.SortFunc(line, func(x, y *call) int { return cmp.Compare(x.seq, y.seq) })
		}
		ahead := 0
		for _, x := range line {
			if x.deadline < max(b.blockedUntil, b.earliest(now, b.inFlight, ahead)) {
				late = append(late, x)
			} else {
				ahead++
			}
		}
	}
	for _, x := range late {
		at := max(b.blockedUntil, x.route.blockedUntil(x.kind), b.earliest(now, b.inFlight, 0))
		c.fail(x, &Error{Reason: DeadlineTooEarly, RetryAfter: at.sub(now)})
	}
	c.settle(b, now)
}

// settle finds out which call of a bucket goes next and when, and lists the
// bucket accordingly.
func (c *core) settle(b *bucket, now instant) {
	c.detach(b)
	if b.waiting == 0 {
		return
	}
	b.refresh(&c.clock)
	head, at := b.pick(now)
	if head != nil {
		at = max(b.next(max(now, b.blockedUntil), b.inFlight), b.blockedUntil)
	}
	b.head = head
	switch {
	case at == never: // until an answer comes
	case at > now:
		b.wake = at
		c.wakes.push(b)
	case head.exempt:
		b.exempt = true
		c.exempt = append(c.exempt, b)
	default:
		b.drain = b.backlog(now)
		b.account.offer(b)
	}
}

// detach takes a bucket off all lists of those that have something to do.
func (c *core) detach(b *bucket) {
	if b.owner != nil {
		b.account.withdraw(b)
	}
	if b.wakeAt >= 0 {
		c.wakes.remove(b.wakeAt)
	}
	if b.exempt {
		c.exempt = drop(c.exempt, b)
		b.exempt = false
	}
	b.head = nil
}

// backlog returns how long the bucket's queue takes by its own limit.
func (b *bucket) backlog(now instant) time.Duration {
	if b.window.kind != unknown {
		return b.window.drain(now, b.inFlight, b.waiting)
	}
	limit, per := guessLimit, guessPer
	if k := b.head.route.key; b.account.shapes[shapeKey{k.method, k.template}].limit > 0 {
		s := b.account.shapes[shapeKey{k.method, k.template}]
		limit, per = s.limit, s.per
	}
	left := max(time.Duration(b.waiting-limit)*per, 0)
	if b.waiting > 1 {
		left += guessRoundTrip
	}
	return left
}

// advance does what is due: it looks again at buckets whose time has come and
// sends what can go.
func (c *core) advance(now instant) {
	c.budget.advance(now)
	for c.oldest != nil && now.sub(c.oldest.sentAt) >= permitLife {
		c.lose(c.oldest, now)
	}
	for c.wakes.len() > 0 && c.wakes.top().wake <= now {
		c.settle(c.wakes.top(), now)
	}
	c.dispatch(now)
	for b := c.idleHead; b != nil && now.sub(b.idleSince) >= idleLife; b = c.idleHead {
		c.retire(b, now)
	}
}

// dispatch sends all that may go.
func (c *core) dispatch(now instant) {
	for len(c.exempt) > 0 && c.open(now) {
		c.next(c.exempt[0], now)
	}
	for _, a := range c.live {
		for a.ready.len() > 0 && c.open(now) && a.pool.next(now, &c.clock) <= now {
			b := a.choose()
			a.served(b.owner)
			c.next(b, now)
		}
	}
}

// next sends a bucket's next call.
func (c *core) next(b *bucket, now instant) {
	x := b.head
	b.served(x.lane.share)
	c.detach(b)
	c.unqueue(x)
	c.send(x, now)
	c.settle(b, now)
}

// look returns when advance has something to do next; never if an answer or a
// call has to come first.
func (c *core) look(now instant) instant {
	at := never
	if c.wakes.len() > 0 {
		at = c.wakes.top().wake
	}
	if c.ban.active && now < c.ban.until && c.waiting > 0 {
		at = min(at, c.ban.until)
	}
	if c.open(now) { // else an answer or the end of the ban comes first
		for _, a := range c.live {
			if a.ready.len() > 0 {
				at = min(at, a.pool.next(now, &c.clock))
			}
		}
	}
	if c.oldest != nil {
		at = min(at, c.oldest.sentAt.add(permitLife))
	}
	if c.idleHead != nil {
		at = min(at, c.idleHead.idleSince.add(idleLife))
	}
	return at
}

// used moves a bucket to the recent end of the list of idle ones.
func (c *core) used(b *bucket, now instant) {
	b.idleSince = now
	if c.idleTail == b {
		return
	}
	c.unlink(b)
	c.lastUsed(b)
}

func (c *core) lastUsed(b *bucket) {
	if b.older = c.idleTail; b.older == nil {
		c.idleHead = b
	} else {
		b.older.newer = b
	}
	b.newer, c.idleTail = nil, b
}

func (c *core) unlink(b *bucket) {
	if b.older == nil {
		c.idleHead = b.newer
	} else {
		b.older.newer = b.newer
	}
	if b.newer == nil {
		c.idleTail = b.older
	} else {
		b.newer.older = b.older
	}
	b.older, b.newer = nil, nil
}

// retire forgets a bucket that was not used for long, unless something is
// still to be remembered of it.
func (c *core) retire(b *bucket, now instant) {
	busy := b.inFlight > 0 || b.waiting > 0 || b.blockedUntil > now || b.full > now
	for _, r := range b.routes {
		busy = busy || slices.ContainsFunc(r.blocks, func(k block) bool { return k.until > now }) || r.invalidLately(now)
	}
	if busy {
		c.used(b, now)
		b.idleSince = now
		return
	}
	a := b.account
	for _, r := range b.routes {
		delete(a.routes, r.key)
		key := shapeKey{r.key.method, r.key.template}
		if s := a.shapes[key]; s.routes > 1 {
			s.routes--
		} else {
			delete(a.shapes, key)
		}
	}
	c.drop(b)
	if len(a.routes) == 0 && !a.refusal.active && a.pool.pausedUntil <= now {
		delete(c.accounts, a.key)
		c.live = drop(c.live, a)
	}
}

// drop removes a bucket without routes.
func (c *core) drop(b *bucket) {
	c.detach(b)
	c.unlink(b)
	if b.hash != "" && b.account.buckets[bucketKey{b.hash, b.major}] == b {
		delete(b.account.buckets, bucketKey{b.hash, b.major})
	}
}

// allow forgets that a token was refused.
func (c *core) allow(token string) {
	if a := c.accounts[accountKey{token: token}]; a != nil {
		a.refusal = refusal{}
	}
}

// close refuses all calls from here on.
func (c *core) close(now instant) {
	c.closed = true
	c.sweep(now, func(*call) *Error { return &Error{Reason: Closed} })
}
