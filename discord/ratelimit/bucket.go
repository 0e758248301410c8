package ratelimit

import (
	"net/http"
	"slices"
	"time"
)

// bucket is a set of routes of one top-level resource that Discord limits
// together, and the calls that wait for it.
type bucket struct {
	window
	throttle throttle
	account  *account
	hash     string // Discord's name; empty until known
	major    string
	routes   []*route

	inFlight int
	waiting  int

	classes []*class           // of waiting calls, one for each route and kind
	shares  map[*caller]*share // of callers with waiting calls; nil if there are none
	turn    uint64             // virtual time: turns of the caller served last

	head *call // which goes next, as of the last settle; nil if none may

	wake      instant // when to look again, while in core.wakes
	wakeAt    int     // index there, or -1 if absent
	drain     time.Duration
	drainAt   int // index in owner.byDrain, or -1 if absent
	ageAt     int // index in owner.byAge
	owner     *caller
	payer     *caller       // who was, last
	finish    instant       // when its queue will have gone by its own limit, as of the last settle
	rankAt    int           // index in account.longest, or -1 if absent
	asked     instant       // when its last call was sent
	exemptAt  int           // index in core.exempt, or -1 if absent
	parked    *shape        // behind whose gate it waits
	behind    links[bucket] // its neighbours there
	offered   *shape        // whose gate has let its head through
	livelyAt  int           // index in core.lively, or -1 if absent
	seen      uint64        // number of the last snapshot that copied it
	idleSince instant
	byUse     links[bucket] // in core.used
}

type bucketKey struct{ hash, major string }

// route is a route of one top-level resource.
type route struct {
	key      routeKey
	shape    *shape
	bucket   *bucket
	inFlight int
	waiting  int
	kinds    []*kindThrottle // of limits within the bucket
	refused  instant         // last answered 401 or 403
	denial   denial
	run      instant // the run of the shape, by its start
	granted  int     // calls accepted in it
	earlier  int     // those of the run before
	costly   instant // the count of costs that a 429 of it is in, by its beginning
}

type routeKey struct{ method, template, major string }

func (k routeKey) String() string { return k.method + " " + k.template }

// invalidLately reports whether the route's last answer was 401 or 403.
func (r *route) invalidLately(now instant) bool {
	return r.refused > 0 && now.sub(r.refused) < budgetSlots*budgetSlot
}

func (c *core) route(a *account, r *Route, now instant) *route {
	key := routeKey{r.Method, r.Template, r.Major}
	if known := a.routes[key]; known != nil {
		return known
	}
	return c.newRoute(a, key, now)
}

// newRoute is apart from route because its frame is large, and each call that waits
// would keep a stack for it.
func (c *core) newRoute(a *account, key routeKey, now instant) *route {
	of := shapeKey{key.method, key.template}
	s := a.shapes[of]
	if s == nil {
		s = newShape(key)
		a.shapes[of] = s
	}
	s.routes++
	known := &route{key: key, shape: s}
	a.routes[key] = known
	known.bucket = a.buckets[bucketKey{s.hash, key.major}]
	if s.hash == "" || known.bucket == nil {
		known.bucket = c.newBucket(a, s.hash, key.major, now)
		c.suppose(known.bucket, s, now)
	}
	known.bucket.routes = append(known.bucket.routes, known)
	return known
}

func (c *core) newBucket(a *account, hash, major string, now instant) *bucket {
	b := &bucket{account: a, hash: hash, major: major, wakeAt: -1, drainAt: -1, ageAt: -1, exemptAt: -1, rankAt: -1, livelyAt: -1}
	c.known++
	if hash != "" {
		a.buckets[bucketKey{hash, major}] = b
	}
	b.idleSince = now
	c.used.push(b)
	return b
}

// Of what nothing is known is taken for the most common bucket when it comes
// to how long its queue takes.
const (
	guessLimit     = 5
	guessPer       = time.Second
	guessRoundTrip = 100 * time.Millisecond
)

// settle finds out which call of a bucket goes next and when, and lists the
// bucket accordingly.
func (c *core) settle(b *bucket, now instant) {
	defer c.schedule(b.account, now)
	defer c.watch(b, now)
	c.detach(b)
	defer c.rank(b, now)
	if b.waiting == 0 {
		return
	}
	b.refresh(&c.clock, now)
	head, at, gate := b.pick(now)
	if head != nil {
		at = b.next(now, b.inFlight)
	} else if gate != nil {
		c.park(b, gate)
	}
	b.head = head
	switch {
	case at == never: // until an answer comes
	case at > now:
		b.wake = at
		c.wakes.push(b)
	case head.exempt:
		c.exempt.push(b)
	default:
		b.drain = b.backlog(now, c.roundTrip)
		b.payer = head.subqueue.queue.share.caller
		b.account.offer(b)
		b.offered = head.route.shape
		b.offered.offered++
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
	if b.exemptAt >= 0 {
		c.exempt.remove(b.exemptAt)
	}
	if b.parked != nil {
		c.unpark(b)
	}
	if b.offered != nil {
		b.offered.offered--
		b.offered = nil
	}
	b.head = nil
}

// backlog returns how long the bucket's queue takes by its own limit, or by the
// way of each of its calls to Discord and back if they go one after another.
func (b *bucket) backlog(now instant, roundTrip time.Duration) time.Duration {
	lined, subqueues := b.lined()
	if subqueues > 0 {
		lined = (lined + subqueues - 1) / subqueues
	}
	if b.head != nil && b.head.subqueue.line != nil {
		lined = max(lined, b.head.subqueue.calls.n)
	}
	chain := time.Duration(lined) * roundTrip
	if b.window.kind != unknown || b.throttle.learnt() {
		return max(b.window.drain(now, b.inFlight, b.waiting), b.throttle.drain(now, b.waiting), chain)
	}
	limit, per := guessLimit, guessPer
	if s := b.routes[0].shape; s.limitSeen > 0 {
		limit, per = s.limitSeen, s.perSeen
	}
	left := max(time.Duration(b.waiting-limit)*per, 0)
	if b.waiting > 1 {
		left += roundTrip
	}
	return max(left, chain)
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
			for _, o := range c.accounts {
				o.pool.restart(&c.clock)
				c.schedule(o, now)
			}
		}
	}
	if !n.hasAfter && n.reset > 0 { // Reset alone
		a.after = n.reset.sub(now)
		if c.clock.now.n > 0 {
			a.after = c.clock.local(n.reset).sub(now)
		}
		a.after = max(a.after, 0)
		n.hasAfter = a.after < maxHeaderWait
	}
	if !n.hasLimit {
		a.limit = x.route.bucket.limit
	}
	return a, n.hasRemaining && n.hasAfter && a.limit > 0 && a.remaining <= a.limit
}

// learn takes the numbers of an answer into account.
func (c *core) learn(x *call, r *Response, n numbers, a answer, plausible bool, limit Limit, now instant) {
	b := x.route.bucket
	a.rejected = r.Status == http.StatusTooManyRequests
	if n.bucket != "" && n.bucket != b.hash {
		if b.hash != "" && r.Status >= http.StatusBadRequest {
			// What does not exist can be counted in another bucket, such as
			// the removal of an unknown message. It says nothing of the route.
			// A 429 can be that of a second bucket, which a throttle learns.
			return
		}
		b = c.rename(x.route, n.bucket, now)
	}
	changed := false
	switch {
	case a.rejected && (b.kind == unlimited || b.limit > 0 && a.limit != b.limit): // not the window's
	case plausible:
		changed = b.observe(a)
		if !a.rejected {
			if x.route.shape.limitSeen == 0 {
				c.change(true)
			}
			x.route.shape.limitSeen, x.route.shape.perSeen = b.limit, b.perHigh
		}
	case a.rejected:
	case n.any || r.Status >= http.StatusInternalServerError ||
		r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden:
		b.miss(now)
	default:
		b.bareSuccess(now)
	}
	b.refresh(&c.clock, now)
	if limit == BucketLimit && b.kind == unsure && r.Body.HasRetryAfter && n.hasAfter && b.limit > 1 {
		// When all units come back together, that is what a call waits for.
		if r.Body.RetryAfter > n.after*3/4 {
			b.window.kind = fixed
		} else {
			b.window.kind = sliding
			b.narrow(r.Body.RetryAfter, rounding(r.Body.RetryAfter))
		}
	}
	if changed {
		c.recheck(b, now)
	}
}

// rename moves a route to the bucket of that name. A bucket that the route had
// for itself takes the name and keeps what is known of it.
func (c *core) rename(r *route, hash string, now instant) *bucket {
	from := r.bucket
	a := from.account
	r.shape.hash = hash
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
	if from.throttle.until > to.throttle.until {
		to.throttle = from.throttle
	}
	from.move(r, to)
	c.rouse(to)
	if len(from.routes) == 0 {
		c.drop(from)
	} else {
		c.settle(from, now)
	}
	c.settle(to, now)
	return to
}

// move takes route r with its calls, waiting and in flight, to another bucket.
// Each route has subqueues of its own, and a subqueue's calls keep their numbers, so
// that the calls stay in the order in which they came.
func (b *bucket) move(r *route, to *bucket) {
	for _, k := range slices.Clone(b.classes) {
		if k.route != r {
			continue
		}
		for k.ready.len() > 0 { // its order depends on turns, which are the bucket's
			k.ready.pop()
		}
		b.classes = drop(b.classes, k)
		to.classes = append(to.classes, k)
	}
	for _, s := range b.shares {
		for _, q := range slices.Clone(s.queues) {
			if q.class.route != r {
				continue
			}
			o := to.share(s.caller)
			q.share = o
			o.queues = append(o.queues, q)
			o.waiting += q.waiting
			s.queues = drop(s.queues, q)
			s.waiting -= q.waiting
			q.arrange()
		}
		if s.waiting == 0 {
			b.release(s)
		}
	}
	b.waiting -= r.waiting
	to.waiting += r.waiting
	b.inFlight -= r.inFlight
	to.inFlight += r.inFlight
	b.routes = drop(b.routes, r)
	to.routes = append(to.routes, r)
	r.bucket = to
}

// idleLife is how long what was learnt of a bucket is kept after its last use.
const idleLife = 10 * time.Minute

// retireAtOnce is how many buckets are forgotten before others may have the
// lock.
const retireAtOnce = 100

// use makes a bucket the one that was used last.
func (c *core) use(b *bucket, now instant) {
	b.idleSince = now
	c.rouse(b)
	if c.used.last != b {
		c.used.remove(b)
		c.used.push(b)
	}
}

// retire forgets a bucket that was not used for long, unless something is
// still to be remembered of it.
func (c *core) retire(b *bucket, now instant) {
	busy := b.inFlight > 0 || b.waiting > 0 || b.throttle.until > now || b.throttle.learnt() && !b.throttle.quiet(now) || b.full > now
	for _, r := range b.routes {
		busy = busy || slices.ContainsFunc(r.kinds, func(k *kindThrottle) bool { return k.until > now || !k.quiet(now) }) ||
			r.shape.learnt() && !r.shape.quiet(now) ||
			r.invalidLately(now) ||
			r.denial.until > now
	}
	if busy {
		c.use(b, now)
		return
	}
	a := b.account
	for _, r := range b.routes {
		delete(a.routes, r.key)
		if r.shape.routes--; r.shape.routes == 0 {
			delete(a.shapes, shapeKey{r.key.method, r.key.template})
		}
	}
	c.drop(b)
	if len(a.routes) == 0 && (!a.refusal.active || a.other) && a.pool.pausedUntil <= now {
		c.forget(a)
	}
}

// drop removes a bucket without routes.
func (c *core) drop(b *bucket) {
	c.detach(b)
	if b.rankAt >= 0 {
		b.account.longest.remove(b.rankAt)
	}
	c.used.remove(b)
	c.calm(b)
	c.known--
	if b.hash != "" && b.account.buckets[bucketKey{b.hash, b.major}] == b {
		delete(b.account.buckets, bucketKey{b.hash, b.major})
	}
}

func drop[T comparable](list []T, item T) []T {
	i := slices.Index(list, item)
	if i < 0 {
		return list
	}
	return slices.Delete(list, i, i+1)
}
