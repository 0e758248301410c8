package ratelimit

import (
	"sync/atomic"
	"time"
)

// ordinaryLimit is the calls a second that Discord takes of a token of which
// nothing else is known, and of an address without one.
const ordinaryLimit = 50

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
	probe    bool   // checks its token
	seq      uint64 // place in every order
	bytes    int64
	deadline instant // never if none
	came     instant // of the first try
	sentAt   instant
	begun    atomic.Int64 // when its sending began, if that was told
	send     uint64       // number among all that were sent
	err      *Error
	woken    chan struct{} // gets one value when a waiting call is decided

	throttle *kindThrottle // that it has passed
	line     *line         // nil if the call keeps no order
	lane     *lane
	inLane   links[call] // while it waits
	inOrder  links[call] // in core.queued while it waits, in core.sent while it is in flight
}

func (x *call) order() *links[call] { return &x.inOrder }

// began returns the moment before which the call cannot have arrived.
func (x *call) began() instant { return max(x.sentAt, instant(x.begun.Load())) }

// core is the state of all limits. Its methods decide; they take the time as
// an argument, which never goes back, wait for nothing and start nothing. They
// are not safe for concurrent use.
type core struct {
	globalLimit   int
	maxQueue      int
	maxQueueBytes int64
	maxGuests     int

	accounts map[accountKey]*account
	guests   list[account] // those of guests, the one used longest ago first
	recent   *account      // of the newest call, most often that of the next one too
	clock    clock
	budget   budget
	ban      ban
	gone     goneWebhooks
	closed   bool
	seq      uint64
	sends    uint64
	// roundTrip is about how long calls take to Discord and back.
	roundTrip time.Duration
	wants     []instant // scratch space of spares
	back      []instant // the same

	queued list[call] // the calls that wait, in the order in which they came
	bytes  int64      // of their bodies
	sent   list[call] // the calls in flight, in the order in which they were sent

	known  int       // buckets
	lively []*bucket // those that were busy when a look came by, and those used since
	looked int       // how many of them the running look has not seen, from the beginning
	looks  uint64

	wakes   heap[*bucket]  // those that can go on without an answer
	exempt  heap[*bucket]  // ready and not bound to a pool, oldest call first
	due     heap[*account] // with calls that only wait for the pool
	gates   heap[*shape]   // with parked buckets
	stirred []*line        // whose next call may be another one than before, in another bucket
	used    list[bucket]   // all of them, least recently used first
}

func newCore(globalLimit, maxQueue int, maxQueueBytes int64, invalidLimit int) *core {
	return &core{
		globalLimit:   globalLimit,
		maxQueue:      maxQueue,
		maxQueueBytes: maxQueueBytes,
		accounts:      make(map[accountKey]*account),
		guests:        list[account]{links: func(a *account) *links[account] { return &a.links }},
		queued:        list[call]{links: (*call).order},
		sent:          list[call]{links: (*call).order},
		used:          list[bucket]{links: func(b *bucket) *links[bucket] { return &b.byUse }},
		budget:        budget{limit: invalidLimit},
		gone:          newGoneWebhooks(),
		roundTrip:     guessRoundTrip,
		wakes: heap[*bucket]{
			less:  func(a, b *bucket) bool { return a.wake < b.wake },
			place: func(b *bucket, i int) { b.wakeAt = i },
		},
		exempt: heap[*bucket]{less: headFirst, place: func(b *bucket, i int) { b.exemptAt = i }},
		due: heap[*account]{
			less:  func(a, b *account) bool { return a.wake < b.wake },
			place: func(a *account, i int) { a.dueAt = i },
		},
		gates: heap[*shape]{
			less:  func(a, b *shape) bool { return a.opens < b.opens },
			place: func(s *shape, i int) { s.gateAt = i },
		},
	}
}

// account returns the limits that a call uses, nil if there is no room for
// those of one more guest.
func (c *core) account(r *Request, now instant) *account {
	key := accountKey{token: r.Token}
	if r.Route.Tokenless {
		key = accountKey{tokenless: true}
	}
	if a := c.recent; a != nil && a.key == key {
		return a
	}
	a := c.accounts[key]
	if a == nil {
		guest := r.Guest && !key.tokenless
		if guest && !c.makeRoom(now) {
			return nil
		}
		limit := c.globalLimit
		if (key.tokenless || guest) && limit > 0 {
			limit = ordinaryLimit
		}
		a = newAccount(key, limit)
		a.guest = guest
		c.accounts[key] = a
	} else if a.guest {
		c.guests.remove(a)
	}
	if a.guest {
		c.guests.push(a)
	}
	c.recent = a
	return a
}

func (c *core) route(a *account, r *Route, now instant) *route {
	key := routeKey{r.Method, r.Template, r.Major}
	if known := a.routes[key]; known != nil {
		return known
	}
	s := a.shapes[shapeKey{r.Method, r.Template}]
	if s == nil {
		s = newShape(key)
		a.shapes[shapeKey{r.Method, r.Template}] = s
	}
	s.routes++
	known := &route{key: key, shape: s}
	a.routes[key] = known
	known.bucket = a.buckets[bucketKey{s.hash, r.Major}]
	if s.hash == "" || known.bucket == nil {
		known.bucket = c.newBucket(a, s.hash, r.Major, now)
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

// send gives x its permit.
func (c *core) send(x *call, now instant) {
	b := x.route.bucket
	c.sends++
	x.state, x.sentAt, x.send = callSent, now, c.sends
	c.depart(x, now)
	b.asked = now
	if !x.exempt {
		x.account.pool.take(now)
	}
	if c.ban.active {
		c.ban.probe = x
	}
	c.sent.push(x)
	c.use(b, now)
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
	c.endProbe(x)
	c.arrive(x)
	c.sent.remove(x)
	c.use(x.route.bucket, now)
	return true
}

// unqueue takes a waiting call out of the queue. Its bucket must be settled.
func (c *core) unqueue(x *call) {
	x.route.bucket.remove(x)
	if x.line != nil && x.line.open != x.seq {
		c.stir(x.line)
	}
	c.queued.remove(x)
	c.bytes -= x.bytes
	x.account.waiting--
}
