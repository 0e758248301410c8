package ratelimit

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

const (
	// maxSavedAge is how old a record may be, maxAhead how far in the future: the
	// clocks of two runs differ a little.
	maxSavedAge = 24 * time.Hour
	maxAhead    = time.Second
	// maxSavedWait is the longest wait that a record is believed.
	maxSavedWait = 24 * time.Hour
)

// Mark is a place in the changes of a limiter's state.
type Mark struct {
	at       instant
	sends    uint64
	sequence uint64
}

// Export returns records of what changed since an earlier call returned a mark, and
// the next mark. The zero mark means everything. Calls wait for as long as it
// takes to copy what changed.
func (l *Limiter) Export(since Mark) (records []Saved, mark Mark) {
	var wall time.Time
	l.do(func(now instant) {
		wall = time.Now()
		mark = Mark{now, l.core.sends, l.core.changes}
		if since.at == 0 || since.sequence < l.core.changes {
			records = l.core.export(since, now)
		}
	})
	for i := range records {
		records[i].At = wall
	}
	return records, mark
}

// Import takes over what an earlier run exported: the newest record of each key.
// It is called before the first call of Acquire. clean is whether the last export
// was made after the last call had ended; else a little more is taken for used than
// the records say. What is too old, in the future or cannot be is left out.
func (l *Limiter) Import(records []Saved, clean bool) {
	l.do(func(now instant) {
		wall := time.Now()
		l.core.restore(records, clean, now, func(t time.Time) instant {
			// By the system's clock: the monotonic one is that of another run.
			return now.add(-wall.Round(0).Sub(t.Round(0)))
		})
	})
}

func (c *core) export(since Mark, now instant) (records []Saved) {
	c.advance(now)
	address := &SavedAddress{Ban: valuesOf(&c.ban, now), Invalid: make(map[int64]int32)}
	for i, n := range c.budget.slots {
		if n > 0 {
			last := c.budget.last
			age := (last%budgetSlots - int64(i) + budgetSlots) % budgetSlots
			address.Invalid[age+(int64(now)/int64(budgetSlot)-last)] = n
		}
	}
	records = append(records, Saved{Key: "address", Address: address})
	for _, a := range c.accounts {
		a.pool.release(now, &c.clock)
		saved := &SavedToken{TokenName: a.tokenName(), Pool: valuesOf(&a.pool, now)}
		if a.other { // the process's own token is checked at each start
			saved.Refusal = valuesOf(&a.refusal, now)
		}
		for _, u := range a.pool.answered.items {
			saved.Units = append(saved.Units, [2]int64{int64(u.sent.sub(now)), int64(u.heard.sub(now))})
		}
		for range a.pool.inFlight { // they may be counted later than now
			saved.Units = append(saved.Units, [2]int64{0, int64(c.roundTrip)})
		}
		records = append(records, Saved{Key: a.tokenName().key(), Token: saved})
	}
	shapes := make(map[*shape]bool)
	for b := c.used.last; b != nil && (since.at == 0 || b.idleSince >= since.at); b = b.byUse.prev {
		if strings.HasPrefix(b.major, "interaction ") {
			continue // it is over soon, and there are many
		}
		w := b.window
		w.lost = slices.Clone(w.lost)
		for range b.inFlight {
			w.miss(now)
		}
		w.refresh(&c.clock, now)
		if n, _ := w.begun(&c.clock, now); n > 0 { // lost calls are not saved
			w.full = max(w.full, w.lost[len(w.lost)-1].add(w.length))
		}
		learnt := b.throttle
		if slices.ContainsFunc(b.routes, func(r *route) bool { return r.shape.suspects(b) }) {
			learnt = throttle{} // the shape's is saved
		}
		window, throttled := valuesOf(&w, now), valuesOf(&learnt, now)
		name := b.account.tokenName()
		for _, r := range b.routes {
			saved := &SavedRoute{
				Token: name, Method: r.key.method, Template: r.key.template, Major: b.major, Hash: b.hash,
				Window: window, Throttle: throttled, Route: valuesOf(r, now), Denial: valuesOf(&r.denial, now),
			}
			for _, k := range r.kinds {
				if r.shape.suspects(b) && k.suspect() {
					continue
				}
				if saved.Kinds == nil {
					saved.Kinds = make(map[string]Values)
				}
				saved.Kinds[k.kind] = valuesOf(&k.throttle, now)
			}
			shapeKey := name.key() + " " + r.key.String()
			records = append(records, Saved{Key: shapeKey + " " + b.major, Route: saved})
			if !shapes[r.shape] {
				shapes[r.shape] = true
				records = append(records, Saved{Key: "shape " + shapeKey, Shape: &SavedShape{
					Token: name, Method: r.key.method, Template: r.key.template, Hash: r.shape.hash,
					Shape: valuesOf(r.shape, now), Throttle: valuesOf(&r.shape.throttle, now),
				}})
			}
		}
	}
	for g := c.gone.order.last; g != nil && (since.at == 0 || g.since >= since.sends); g = g.links.prev {
		records = append(records, Saved{Key: g.major, Webhook: &SavedWebhook{g.major, valuesOf(g, now)}})
	}
	for _, major := range c.gone.export(since.sequence) {
		records = append(records, Saved{Key: major})
	}
	return records
}

// restore takes over records. at turns the time of a record into one of now's clock.
func (c *core) restore(records []Saved, clean bool, now instant, at func(time.Time) instant) {
	c.changes++
	c.gone.export(0) // what is forgotten from here on may be stored
	newest := instant(0)
	records = slices.DeleteFunc(slices.Clone(records), func(r Saved) bool {
		t := at(r.At)
		old := t > now.add(maxAhead) || now.sub(t) > maxSavedAge
		if !old {
			newest = max(newest, t)
		}
		return old
	})
	// What is newest of a bucket or a token is taken first.
	slices.SortStableFunc(records, func(a, b Saved) int { return cmp.Compare(at(b.At), at(a.At)) })
	// unsaved is until when calls may have been sent that were not saved.
	unsaved := instant(0)
	if !clean && newest > 0 {
		unsaved = min(newest.add(unsavedTime), now).add(guessRoundTrip) // the last ones were on their way
		c.supposed = make(map[*shape]window)
	}
	for _, r := range records {
		t := min(at(r.At), now)
		switch {
		case r.Address != nil:
			c.restoreAddress(r.Address, t, unsaved, now)
		case r.Token != nil:
			c.restoreToken(r.Token, t, unsaved, now)
		case r.Route != nil:
			c.restoreRoute(r.Route, t, unsaved, now)
		}
	}
	for _, r := range slices.Backward(records) {
		t := min(at(r.At), now)
		switch {
		case r.Shape != nil: // of routes that are known
			c.restoreShape(r.Shape, t, unsaved, now)
		case r.Webhook != nil: // the newest last, as they came
			g := &gone{major: r.Webhook.Major}
			if r.Webhook.Gone.restore(g, t, now) && now.sub(g.until) < maxGone {
				c.gone.add(g, c.changes)
			}
		}
	}
	for b := c.used.first; b != nil; b = b.byUse.next {
		c.suppose(b, b.routes[0].shape, now)
	}
}

func (c *core) restoreAddress(s *SavedAddress, at, unsaved, now instant) {
	var b ban
	if s.Ban.restore(&b, at, now) && b.until >= c.ban.until {
		c.ban = b
	}
	c.budget.advance(now)
	slot := int64(at) / int64(budgetSlot)
	lately := false
	for age, n := range s.Invalid {
		if n <= 0 || n > maxNumber/budgetSlots || age < 0 || age >= budgetSlots {
			continue
		}
		// Limiters of one address have saved the same requests.
		c.budget.put(slot-age, max(n-c.budget.at(slot-age), 0))
		lately = lately || age < 10
	}
	if unsaved > 0 && lately { // at worst every call of the last moments was one
		c.budget.put(int64(unsaved)/int64(budgetSlot), ordinaryLimit)
	}
}

// at returns the count of a slot that is still to be counted.
func (b *budget) at(slot int64) int32 {
	if slot = min(slot, b.last); slot > b.last-budgetSlots && slot >= 0 {
		return b.slots[slot%budgetSlots]
	}
	return 0
}

// put counts n invalid requests in a slot, if they are still to be counted.
func (b *budget) put(slot int64, n int32) {
	if slot = min(slot, b.last); slot > b.last-budgetSlots && slot >= 0 {
		b.slots[slot%budgetSlots] += n
		b.total += int(n)
	}
}

// restored returns the limits of a saved token, or nil if there is no space for them.
func (c *core) restored(name TokenName, now instant) *account {
	if name.Tokenless && name.Name != "" {
		return nil
	}
	a := c.account(&Request{Token: name.Name, OtherToken: name.OtherToken, Route: Route{Tokenless: name.Tokenless}}, now)
	if a != nil && a.other != (name.OtherToken && !name.Tokenless) {
		return nil
	}
	return a
}

func (c *core) restoreToken(s *SavedToken, at, unsaved, now instant) {
	a := c.restored(s.TokenName, now)
	if a == nil {
		return
	}
	limit := a.pool.limit
	restored := newPool(limit)
	if s.Pool.restore(&restored, at, now) && (limit == 0 || restored.cut < limit) {
		a.pool = restored
	}
	var f refusal
	if a.other && s.Refusal.restore(&f, at, now) {
		a.refusal = f
	}
	if limit == 0 {
		return
	}
	units := s.Units
	if len(units) > limit {
		units = units[:limit]
	}
	for _, u := range units {
		if u[1] < u[0] || u[0] < -int64(time.Minute) || u[1] > int64(time.Minute) {
			continue
		}
		heard := min(at.add(time.Duration(u[1])), now)
		a.pool.answered.push(unit{counted: c.clock.latest(heard), sent: min(at.add(time.Duration(u[0])), heard), heard: heard})
	}
	if unsaved > 0 {
		a.pool.answered.items = nil
		for range limit {
			a.pool.answered.push(unit{counted: c.clock.latest(unsaved), sent: unsaved, heard: unsaved})
		}
	}
	a.pool.release(now, &c.clock)
}

func (c *core) restoreRoute(s *SavedRoute, at, unsaved, now instant) {
	a := c.restored(s.Token, now)
	if a == nil || s.Method == "" || s.Template == "" || a.routes[routeKey{s.Method, s.Template, s.Major}] != nil {
		return
	}
	r := c.route(a, &Route{Method: s.Method, Template: s.Template, Major: s.Major}, now)
	if s.Hash != "" && r.bucket.hash != s.Hash {
		c.rename(r, s.Hash, now)
	}
	b := r.bucket
	if len(b.routes) == 1 { // else a newer record of the bucket was first
		var w window
		if s.Window.restore(&w, at, now) && w.sound(now) {
			b.window = w
			if b.used(unsaved) {
				c.supposed[r.shape] = b.window
			}
		}
		s.Throttle.restoreThrottle(&b.throttle, at, unsaved, now)
	}
	for kind, values := range s.Kinds {
		k := &kindThrottle{kind: kind}
		if values.restoreThrottle(&k.throttle, at, unsaved, now); k.learnt() {
			r.kinds = append(r.kinds, k)
		}
	}
	var d denial
	if s.Denial.restore(&d, at, now) {
		r.denial = d
	}
	if refused := (route{}); s.Route.restore(&refused, at, now) && refused.refused <= now {
		r.refused = refused.refused
	}
	c.use(b, now)
	c.settle(b, now)
}

func (c *core) restoreShape(s *SavedShape, at, unsaved, now instant) {
	a := c.accounts[accountKey{s.Token.Name, s.Token.Tokenless}]
	if a == nil {
		return
	}
	known := a.shapes[shapeKey{s.Method, s.Template}]
	if known == nil {
		return
	}
	seen := shape{}
	if s.Shape.restore(&seen, at, now) {
		known.limitSeen, known.perSeen = seen.limitSeen, seen.perSeen
	}
	known.hash = cmp.Or(known.hash, s.Hash)
	switch seen.sharing.kind {
	case suspected, shared:
		s.Throttle.restoreThrottle(&known.throttle, at, unsaved, now)
		if known.learnt() { // the next 429 makes a probe possible
			known.sharing = sharing{kind: shared}
		}
	case separate:
		known.sharing = sharing{kind: separate}
	}
}

// restoreThrottle sets a throttle to what was saved if that can be.
func (v Values) restoreThrottle(t *throttle, at, unsaved, now instant) {
	var restored throttle
	if v.restore(&restored, at, now) && restored.sound(now) {
		*t = restored
		t.spent(unsaved)
	}
}

// sound reports whether a window that was read can be. It may delay calls for
// longer than maxStall only once Discord has confirmed it again.
func (w *window) sound(now instant) bool {
	if w.full > now.add(maxStall) {
		w.agreed = 0
	}
	w.heard, w.sent = min(w.heard, now), min(w.sent, now)
	limited := w.kind == unsure || w.kind == sliding || w.kind == fixed
	return w.kind <= unlimited && w.agreed <= agreeing && w.bare < bareAnswers && w.perLow <= w.perHigh &&
		w.sent <= w.heard && w.remaining <= w.limit && w.said <= w.limit && (!limited || w.limit > 0)
}

// sound reports whether a throttle that was read can be.
func (t *throttle) sound(now instant) bool {
	t.flight = max(t.flight, 1)
	if !t.learnt() {
		t.flight = 0
	}
	past := max(t.opened, t.anchor, t.start, t.first, t.last, t.sent, t.binding, t.claimed) <= now.add(maxPause)
	limited := t.kind == sliding || t.kind == fixed
	if !past || t.pause > maxPause || t.extra > maxPause || t.calm > maxPatience ||
		t.kind != unknown && !limited || limited && (t.limit == 0 || t.per == 0) {
		return false
	}
	if t.kind == sliding { // it cannot be used up any further
		span := maxSavedWait
		if t.limit < int(maxSavedWait/t.per) {
			span = time.Duration(t.limit) * t.per
		}
		t.full = min(t.full, now.add(span))
	}
	return true
}
