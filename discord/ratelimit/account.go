package ratelimit

// account holds the limits of one token, or of all calls without one.
type account struct {
	key     accountKey
	routes  map[routeKey]*route
	buckets map[bucketKey]*bucket
	// shapes is what was learnt of routes whatever their top-level resource.
	shapes  map[shapeKey]*shape
	pool    pool
	callers map[string]*caller
	lines   map[lineKey]*line
	ready   heap[*caller] // callers with calls that only wait for the pool
	wake    instant       // when the pool lets the next one go, while in core.due
	dueAt   int           // index there, or -1 if absent
	turn    uint64        // virtual time: turns of the caller served last
	longest heap[*bucket] // with calls that wait, also for other limits: latest finish first
	waiting int
	// lastCame is when the last call came that is bound to the pool; burst is
	// how many came shortly one after another.
	lastCame instant
	burst    int
	refusal  refusal
	other    bool
	proven   bool           // Discord has carried out a call of it since it refused the token
	links    links[account] // in core.others
	// nextCheck is when a 401 may ask for another check of the token.
	nextCheck instant
}

type accountKey struct {
	token     string
	tokenless bool
}

// caller is one that shares the account fairly with others. It exists while
// calls of it wait.
type caller struct {
	name    string
	turns   uint64 // calls sent, in the account's virtual time
	picks   uint
	shares  int           // buckets with calls of it
	byDrain heap[*bucket] // those it could use now: longest drain first
	byAge   heap[*bucket] // the same, oldest call first
	readyAt int           // index in account.ready, or -1 if absent
}

func newAccount(key accountKey, limit int) *account {
	return &account{
		key:     key,
		routes:  make(map[routeKey]*route),
		buckets: make(map[bucketKey]*bucket),
		shapes:  make(map[shapeKey]*shape),
		callers: make(map[string]*caller),
		lines:   make(map[lineKey]*line),
		dueAt:   -1,
		pool:    newPool(limit),
		ready: heap[*caller]{
			less: func(a, b *caller) bool {
				if a.turns != b.turns {
					return a.turns < b.turns
				}
				return a.byAge.top().head.seq < b.byAge.top().head.seq
			},
			place: func(c *caller, i int) { c.readyAt = i },
		},
		longest: heap[*bucket]{
			less:  func(x, y *bucket) bool { return x.finish > y.finish },
			place: func(b *bucket, i int) { b.rankAt = i },
		},
	}
}

// account returns the limits that a call uses, or nil if no more
// tokens other than the process's own can be tracked.
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
		other := r.OtherToken && !key.tokenless
		if other && !c.evict(now) {
			return nil
		}
		limit := c.globalLimit
		if (key.tokenless || other) && limit > 0 {
			limit = ordinaryLimit
		}
		a = newAccount(key, limit)
		a.other = other
		c.accounts[key] = a
	} else if a.other {
		c.others.remove(a)
	}
	if a.other {
		c.others.push(a)
	}
	c.recent = a
	return a
}

// caller returns the named caller, and creates it if necessary. A caller that returns
// counts as having had as many turns as the one served last, so that nobody can save up
// turns.
func (a *account) caller(name string) *caller {
	if c := a.callers[name]; c != nil {
		return c
	}
	c := &caller{
		name:    name,
		turns:   a.turn,
		readyAt: -1,
		byDrain: heap[*bucket]{
			less: func(x, y *bucket) bool {
				if x.drain != y.drain {
					return x.drain > y.drain
				}
				return headFirst(x, y)
			},
			place: func(b *bucket, i int) { b.drainAt = i },
		},
		byAge: heap[*bucket]{less: headFirst, place: func(b *bucket, i int) { b.ageAt = i }},
	}
	a.callers[name] = c
	return c
}

// forget drops a caller that has nothing waiting.
func (a *account) forget(c *caller) {
	if c.shares == 0 && c.byAge.len() == 0 {
		delete(a.callers, c.name)
	}
}

// headFirst orders buckets by the age of the call that goes next.
func headFirst(x, y *bucket) bool { return x.head.seq < y.head.seq }

// offer lists a bucket as ready, for the caller whose call goes next.
func (a *account) offer(b *bucket) {
	c := b.head.subqueue.queue.share.caller
	b.owner = c
	c.byDrain.push(b)
	c.byAge.push(b)
	if c.readyAt < 0 {
		a.ready.push(c)
	} else {
		a.ready.fix(c.readyAt)
	}
}

// withdraw takes a bucket off the list of ready ones.
func (a *account) withdraw(b *bucket) {
	c := b.owner
	b.owner = nil
	if c.byAge.len() == 1 {
		a.ready.remove(c.readyAt)
	}
	c.byDrain.remove(b.drainAt)
	c.byAge.remove(b.ageAt)
	if c.readyAt >= 0 {
		a.ready.fix(c.readyAt)
	}
	a.forget(c)
}

// agePicks is how many of a caller's turns go by drain before one goes by age.
const agePicks = 4

// choose returns the ready bucket whose call goes next: of the caller that had
// the fewest turns, the one with the longest remaining drain, because it
// decides when all is done. Every fourth turn goes to the oldest call instead,
// so that nothing waits longer than four times what it would have waited in
// plain order, however much comes in behind it. If the pool can spare nothing
// for them, it returns nil and when to look again.
func (c *core) choose(a *account, now instant) (b *bucket, again instant) {
	who := a.ready.top()
	if who.picks%agePicks == agePicks-1 {
		b = who.byAge.top()
		if again, _ = c.spares(b, who, now); again <= now {
			return b, now
		}
	}
	for b = who.byDrain.top(); b != nil; {
		var first *bucket
		again, first = c.spares(b, b.owner, now)
		if again <= now {
			return b, now
		}
		b = first
	}
	return nil, again
}

// served moves the account's virtual time on after c had a turn.
func (a *account) served(c *caller) {
	a.turn = max(a.turn, c.turns)
	c.turns++
	c.picks++
	if c.readyAt >= 0 {
		a.ready.fix(c.readyAt)
	}
}

// forget drops an account without calls.
func (c *core) forget(a *account) {
	delete(c.accounts, a.key)
	if c.recent == a {
		c.recent = nil
	}
	if a.other {
		c.others.remove(a)
	}
}

// evict reports whether one more token can be tracked. If need be, it
// forgets the one that was used longest ago, but none that has calls or must
// wait.
func (c *core) evict(now instant) bool {
	if c.others.n < c.maxOthers {
		return true
	}
	idlest := c.others.first
	for idlest != nil && (idlest.waiting > 0 || idlest.pool.inFlight > 0 || idlest.pool.pausedUntil > now) {
		idlest = idlest.links.next
	}
	if idlest == nil {
		return false
	}
	for _, r := range idlest.routes {
		if b := r.bucket; b.routes != nil { // may be that of a route before
			b.routes = nil
			c.drop(b)
		}
	}
	c.forget(idlest)
	return true
}
