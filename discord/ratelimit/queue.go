package ratelimit

import (
	"cmp"
	"slices"
)

// class is the waiting calls of one route and kind, which throttles hold
// together. A bucket has few of them.
type class struct {
	route     *route
	kind      string
	queues    int          // of callers, ready or not
	subqueues int          // of calls that keep their order
	lined     int          // calls in them
	ready     heap[*queue] // with a call that may go: fewest turns first, then oldest call
}

// share contains the calls of one caller that wait in a bucket.
type share struct {
	caller  *caller
	turns   uint64 // calls sent, in the bucket's virtual time
	waiting int
	queues  []*queue // one for each class
}

// queue contains the waiting calls of one caller in a class.
type queue struct {
	share     *share
	class     *class
	waiting   int
	subqueues list[subqueue]
	free      *subqueue       // of calls without a line; nil if there are none
	ready     heap[*subqueue] // whose first call no other of its line holds back: oldest call first
	at        int             // index in class.ready, or -1 if absent
}

// subqueue holds the calls of one queue and line in the order of their numbers.
type subqueue struct {
	queue *queue
	line  *line           // nil for calls that keep no order
	calls list[call]      // that wait
	links links[subqueue] // in queue.subqueues
	at    int             // index in queue.ready, or -1 if absent
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
		subqueues: list[subqueue]{links: func(l *subqueue) *links[subqueue] { return &l.links }},
		ready: heap[*subqueue]{
			less:  func(x, y *subqueue) bool { return x.calls.first.seq < y.calls.first.seq },
			place: func(l *subqueue, i int) { l.at = i },
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

// subqueue returns the subqueue that a call belongs to, made if need be.
func (b *bucket) subqueue(x *call, who *caller) *subqueue {
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
		l = x.line.subqueue(q)
	}
	if l == nil {
		l = &subqueue{queue: q, line: x.line, at: -1, calls: list[call]{links: func(x *call) *links[call] { return &x.inSubqueue }}}
		q.subqueues.push(l)
		if x.line == nil {
			q.free = l
		} else {
			x.line.subqueues = append(x.line.subqueues, l)
			q.class.subqueues++
		}
	}
	return l
}

// insert adds a call to the bucket's queue. A call that comes back takes the
// place that its number gives it.
func (b *bucket) insert(x *call, who *caller) {
	l := b.subqueue(x, who)
	x.subqueue = l
	after := l.calls.last
	if after != nil && after.seq > x.seq { // comes back: nearer to the front
		after = nil
		for o := l.calls.first; o.seq < x.seq; o = o.inSubqueue.next {
			after = o
		}
	}
	l.calls.insert(x, after)
	l.count(1)
	l.arrange()
}

// remove takes a call out of the bucket's queue.
func (b *bucket) remove(x *call) {
	l := x.subqueue
	l.calls.remove(x)
	x.subqueue = nil
	l.count(-1)
	q := l.queue
	l.arrange()
	if l.calls.n == 0 {
		q.subqueues.remove(l)
		if l.line == nil {
			q.free = nil
		} else {
			l.line.subqueues = drop(l.line.subqueues, l)
			q.class.subqueues--
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

// count adds n to the numbers of waiting calls wherever the subqueue belongs.
func (l *subqueue) count(n int) {
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
// many subqueues.
func (b *bucket) lined() (calls, subqueues int) {
	for _, k := range b.classes {
		calls += k.lined
		subqueues += k.subqueues
	}
	return calls, subqueues
}

// arrange brings the lists of what may go up to date after the subqueue's first
// call or the state of its line has changed.
func (l *subqueue) arrange() {
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

// pick returns the call that goes next: the oldest of the caller that had the
// fewest turns. If throttles of the bucket or its routes hold all, it returns nil
// and the first moment at which one of them lets a call go, never if an answer
// must come first; and the gate behind which others wait, or nil if none do.
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

// line is the calls of one caller to one place that keep their order: one goes
// when the one before has ended for good. Between its tries a call keeps its
// place at the head. It exists while a call of it waits or is open.
type line struct {
	account   *account
	key       lineKey
	open      uint64      // number of the call that was sent and has not ended for good, or 0 if there is none
	subqueues []*subqueue // with waiting calls: one, unless several routes lead to the place
	stirred   bool        // in core.stirred
}

type lineKey struct{ caller, name string }

// line returns the line of a request, or nil if it has none. A new one is not
// listed before a call of it is sent or waits.
func (a *account) line(r *Request) *line {
	if r.Line == "" {
		return nil
	}
	key := lineKey{r.Caller, r.Line}
	if l := a.lines[key]; l != nil {
		return l
	}
	return &line{account: a, key: key}
}

// lets reports whether the line, as far as it goes, lets a call go that is in
// it or comes to it.
func (l *line) lets(x *call) bool {
	if l == nil {
		return true
	}
	if l.open != 0 {
		return l.open == x.seq
	}
	for _, o := range l.subqueues {
		if o.calls.first.seq < x.seq {
			return false
		}
	}
	return true
}

// subqueue returns the line's calls in a queue, or nil if there are none.
func (l *line) subqueue(q *queue) *subqueue {
	for _, o := range l.subqueues {
		if o.queue == q {
			return o
		}
	}
	return nil
}

// begin makes a call that is about to be sent the open one of its line.
func (x *call) begin() {
	if x.line != nil {
		x.line.open = x.seq
		x.list()
	}
}

// list makes the line of a call known to the calls that come after it.
func (x *call) list() {
	if x.line != nil {
		x.account.lines[x.line.key] = x.line
	}
}

// done ends a call for good: it makes no further try, so that the next of its
// line may go.
func (c *core) done(x *call, now instant) {
	if l := x.line; l != nil && l.open == x.seq {
		l.open = 0
		c.stir(l)
		c.advance(now)
	}
}

// stir makes dispatch check a line again, because its next call may have changed, in any bucket.
func (c *core) stir(l *line) {
	if !l.stirred {
		l.stirred = true
		c.stirred = append(c.stirred, l)
	}
}

// follow looks again at the lines that were stirred. It forgets those without
// calls.
func (c *core) follow(now instant) {
	for len(c.stirred) > 0 {
		last := len(c.stirred) - 1
		l := c.stirred[last]
		c.stirred = c.stirred[:last]
		l.stirred = false
		if l.open == 0 && len(l.subqueues) == 0 {
			delete(l.account.lines, l.key)
		}
		for _, o := range l.subqueues {
			o.arrange()
			c.settle(o.queue.class.route.bucket, now)
		}
	}
}
