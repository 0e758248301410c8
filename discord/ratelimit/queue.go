package ratelimit

import (
	"cmp"
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
	wakeAt    int     // index there, -1 if absent
	drain     time.Duration
	drainAt   int // index in owner.byDrain, -1 if absent
	ageAt     int // index in owner.byAge
	owner     *caller
	payer     *caller       // who was, last
	finish    instant       // when its queue will have gone by its own limit, as of the last settle
	rankAt    int           // index in account.longest, -1 if absent
	asked     instant       // when its last call was sent
	exemptAt  int           // index in core.exempt, -1 if absent
	parked    *shape        // behind whose gate it waits
	behind    links[bucket] // its neighbours there
	offered   *shape        // whose gate has let its head through
	livelyAt  int           // index in core.lively, -1 if absent
	seen      uint64        // number of the last look that saw it
	idleSince instant
	byUse     links[bucket] // in core.used
}

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
}

type routeKey struct{ method, template, major string }

func (k routeKey) String() string { return k.method + " " + k.template }

// class is the waiting calls of one route and kind, which throttles hold
// together. A bucket has few of them.
type class struct {
	route  *route
	kind   string
	queues int          // of callers, ready or not
	lanes  int          // of calls that keep their order
	lined  int          // calls in them
	ready  heap[*queue] // with a call that may go: fewest turns first, then oldest call
}

// share is what one caller has waiting in a bucket.
type share struct {
	caller  *caller
	turns   uint64 // calls sent, in the bucket's virtual time
	waiting int
	queues  []*queue // one for each class
}

// queue is what one caller has waiting of a class.
type queue struct {
	share   *share
	class   *class
	waiting int
	lanes   list[lane]
	free    *lane       // of calls without a line; nil if there are none
	ready   heap[*lane] // whose first call no other of its line holds back: oldest call first
	at      int         // index in class.ready, -1 if absent
}

// lane holds the calls of one queue and line in the order of their numbers.
type lane struct {
	queue *queue
	line  *line       // nil for calls that keep no order
	calls list[call]  // that wait
	links links[lane] // in queue.lanes
	at    int         // index in queue.ready, -1 if absent
}

func newClass(r *route, kind string) *class {
	return &class{route: r, kind: kind, ready: heap[*queue]{
		less:  func(x, y *queue) bool { return x.compare(y) < 0 },
		place: func(q *queue, i int) { q.at = i },
	}}
}

func newQueue(s *share, k *class) *queue {
	k.queues++
	return &queue{
		share: s, class: k, at: -1,
		lanes: list[lane]{links: func(l *lane) *links[lane] { return &l.links }},
		ready: heap[*lane]{
			less:  func(x, y *lane) bool { return x.calls.first.seq < y.calls.first.seq },
			place: func(l *lane, i int) { l.at = i },
		},
	}
}

// compare orders queues that are ready by which goes first.
func (q *queue) compare(o *queue) int {
	return cmp.Or(cmp.Compare(q.share.turns, o.share.turns), cmp.Compare(q.ready.top().calls.first.seq, o.ready.top().calls.first.seq))
}

// held reports whether the class waits for something that calls of another
// class of the bucket need not wait for.
func (k *class) held(now instant) bool {
	r := k.route
	if t := r.find(k.kind); t != nil && t.next(now, t.inFlight) > now {
		return true
	}
	return r.crowded() || r.shape.gate(r.bucket, now) > now
}

// consistsOf reports whether x is the only call of the class that may go as far
// as its line is concerned.
func (k *class) consistsOf(x *call) bool {
	return k.ready.len() == 1 && k.ready.top().ready.len() == 1 && k.ready.top().ready.top().calls.first == x
}

// share returns what the caller has waiting, made if need be.
func (b *bucket) share(who *caller) *share {
	s := b.shares[who]
	if s == nil {
		if b.shares == nil {
			b.shares = make(map[*caller]*share, 1)
		}
		s = &share{caller: who, turns: b.turn}
		b.shares[who] = s
		who.shares++
	}
	return s
}

// release drops the share of a caller that has nothing waiting any more.
func (b *bucket) release(s *share) {
	delete(b.shares, s.caller)
	if len(b.shares) == 0 {
		b.shares = nil // a map never shrinks
	}
	s.caller.shares--
	b.account.forget(s.caller)
}

// lane returns the lane that a call belongs to, made if need be.
func (b *bucket) lane(x *call, who *caller) *lane {
	s := b.share(who)
	var q *queue
	for _, o := range s.queues {
		if o.class.route == x.route && o.class.kind == x.kind {
			q = o
		}
	}
	if q == nil {
		i := slices.IndexFunc(b.classes, func(k *class) bool { return k.route == x.route && k.kind == x.kind })
		if i < 0 {
			i = len(b.classes)
			b.classes = append(b.classes, newClass(x.route, x.kind))
		}
		q = newQueue(s, b.classes[i])
		s.queues = append(s.queues, q)
	}
	l := q.free
	if x.line != nil {
		l = x.line.lane(q)
	}
	if l == nil {
		l = &lane{queue: q, line: x.line, at: -1, calls: list[call]{links: func(x *call) *links[call] { return &x.inLane }}}
		q.lanes.push(l)
		if x.line == nil {
			q.free = l
		} else {
			x.line.lanes = append(x.line.lanes, l)
			q.class.lanes++
		}
	}
	return l
}

// insert adds a call to the bucket's queue. A call that comes back takes the
// place that its number gives it.
func (b *bucket) insert(x *call, who *caller) {
	l := b.lane(x, who)
	x.lane = l
	after := l.calls.last
	if after != nil && after.seq > x.seq { // comes back: nearer to the front
		after = nil
		for o := l.calls.first; o.seq < x.seq; o = o.inLane.next {
			after = o
		}
	}
	l.calls.insert(x, after)
	l.count(1)
	l.arrange()
}

// remove takes a call out of the bucket's queue.
func (b *bucket) remove(x *call) {
	l := x.lane
	l.calls.remove(x)
	x.lane = nil
	l.count(-1)
	q := l.queue
	l.arrange()
	if l.calls.n == 0 {
		q.lanes.remove(l)
		if l.line == nil {
			q.free = nil
		} else {
			l.line.lanes = drop(l.line.lanes, l)
			q.class.lanes--
		}
	}
	if q.waiting > 0 {
		return
	}
	s := q.share
	s.queues = drop(s.queues, q)
	if q.class.queues--; q.class.queues == 0 {
		b.classes = drop(b.classes, q.class)
	}
	if s.waiting == 0 {
		b.release(s)
	}
}

// count adds n to the numbers of waiting calls wherever the lane belongs.
func (l *lane) count(n int) {
	q := l.queue
	q.waiting += n
	q.share.waiting += n
	q.class.route.waiting += n
	q.class.route.bucket.waiting += n
	if l.line != nil {
		q.class.lined += n
	}
}

// lined returns how many waiting calls of the bucket keep an order, and in how
// many lanes.
func (b *bucket) lined() (calls, lanes int) {
	for _, k := range b.classes {
		calls += k.lined
		lanes += k.lanes
	}
	return calls, lanes
}

// arrange brings the lists of what may go up to date after the lane's first
// call or the state of its line has changed.
func (l *lane) arrange() {
	q := l.queue
	switch may := l.calls.n > 0 && l.line.lets(l.calls.first); {
	case may && l.at < 0:
		q.ready.push(l)
	case may:
		q.ready.fix(l.at)
	case l.at >= 0:
		q.ready.remove(l.at)
	}
	q.arrange()
}

func (q *queue) arrange() {
	switch list := &q.class.ready; {
	case q.ready.len() == 0:
		if q.at >= 0 {
			list.remove(q.at)
		}
	case q.at < 0:
		list.push(q)
	default:
		list.fix(q.at)
	}
}

func drop[T comparable](list []T, item T) []T {
	i := slices.Index(list, item)
	if i < 0 {
		return list
	}
	return slices.Delete(list, i, i+1)
}

// pick returns the call that goes next: the oldest of the caller that had the
// fewest turns. If throttles of the bucket or its routes hold all, it returns nil
// and the first moment at which one of them lets a call go, never if an answer
// must come first; and the gate behind which others wait, nil if none do.
func (b *bucket) pick(now instant) (head *call, until instant, gate *shape) {
	var next *queue
	until = never
	for _, k := range b.classes {
		if k.ready.len() == 0 { // the end of another call of their lines comes first
			continue
		}
		if t := k.route.gate(k.kind, now); t > now {
			until = min(until, t)
		} else if s := k.route.shape; s.gate(b, now) > now {
			gate = s
		} else if next == nil || k.ready.top().compare(next) < 0 {
			next = k.ready.top()
		}
	}
	if next != nil {
		head = next.ready.top().calls.first
	}
	return head, until, gate
}

// served moves the bucket's virtual time on after the caller of s had a turn.
func (b *bucket) served(s *share) {
	b.turn = max(b.turn, s.turns)
	s.turns++
	for _, q := range s.queues {
		q.arrange()
	}
}

// move takes route r with its calls, waiting and in flight, to another bucket.
// Each route has lanes of its own, and a lane's calls keep their numbers, so
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
