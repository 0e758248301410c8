package ratelimit

import (
	"cmp"
	"math"
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
	// unsavedTime is how long after the newest record calls may have been sent that
	// no record contains, if the run before did not end by itself.
	unsavedTime = time.Second
	// shortWindow is the longest window whose units are all taken for used after
	// such an end: that of messages, 5 s, and what measuring it adds. Longer ones would
	// hold calls for long, to save a single 429.
	shortWindow = 6 * time.Second
)

// Saved is a record of what a limiter has learnt, for the limiter of a later run.
// It holds no secret. Exactly one of the pointers is set; none means that the
// record of the key is out of date.
type Saved struct {
	// Key names what the record is about. A newer record of the same key takes
	// the place of the older one.
	Key string `json:"-"`
	// At is when the record was made.
	At time.Time `json:"at"`

	Address *SavedAddress `json:"address,omitempty"`
	Token   *SavedToken   `json:"token,omitempty"`
	Shape   *SavedShape   `json:"shape,omitempty"`
	Route   *SavedRoute   `json:"route,omitempty"`
	Webhook *SavedWebhook `json:"webhook,omitempty"`
}

// Values are the fields of a part of the state by their names: numbers, durations
// in nanoseconds, and moments in nanoseconds from [Saved.At] on. Fields without a
// value are missing.
type Values map[string]int64

// SavedAddress is the state that Discord counts for the address of the process.
type SavedAddress struct {
	Ban Values `json:"ban,omitempty"`
	// Invalid are counts of invalid requests by how many seconds ago they were.
	Invalid map[int64]int32 `json:"invalid,omitempty"`
}

// TokenName names a token as [Request] does.
type TokenName struct {
	Name       string `json:"name,omitempty"`
	Tokenless  bool   `json:"tokenless,omitempty"`
	OtherToken bool   `json:"guest,omitempty"`
}

// SavedToken is the state that all routes of a token share.
type SavedToken struct {
	TokenName
	Pool    Values `json:"pool,omitempty"`
	Refusal Values `json:"refusal,omitempty"`
	// Units are the moments, as in Values, at which calls were sent and answered
	// that still count against the global limit.
	Units [][2]int64 `json:"units,omitempty"`
}

// SavedShape is the state of a route at all of its top-level resources.
type SavedShape struct {
	Token    TokenName `json:"token"`
	Method   string    `json:"method"`
	Template string    `json:"template"`
	Shape    Values    `json:"shape,omitempty"`
	Throttle Values    `json:"throttle,omitempty"`
	Hash     string    `json:"hash,omitempty"`
}

// SavedRoute is the state of a route and of its bucket.
type SavedRoute struct {
	Token    TokenName         `json:"token"`
	Method   string            `json:"method"`
	Template string            `json:"template"`
	Major    string            `json:"major,omitempty"`
	Hash     string            `json:"hash,omitempty"`
	Window   Values            `json:"window,omitempty"`
	Throttle Values            `json:"throttle,omitempty"`
	Kinds    map[string]Values `json:"kinds,omitempty"`
	Route    Values            `json:"route,omitempty"`
	Denial   Values            `json:"denial,omitempty"`
}

// SavedWebhook is a webhook that is gone.
type SavedWebhook struct {
	Major string `json:"major"`
	Gone  Values `json:"gone"`
}

// visitor is shown the fields of a part of the state that are saved, which it
// reads or sets.
type visitor interface {
	number(name string, field *int)
	flag(name string, field *bool)
	duration(name string, field *time.Duration)
	moment(name string, field *instant)
}

func (w *window) visit(v visitor) {
	kind, agreed, bare := int(w.kind), int(w.agreed), int(w.bare)
	v.number("kind", &kind)
	v.number("agreed", &agreed)
	v.number("bare", &bare)
	w.kind, w.agreed, w.bare = windowKind(kind), uint8(agreed), uint8(bare) //nolint:gosec // sound checks what was read
	v.flag("rejected", &w.rejected)
	v.flag("assumed", &w.assumed)
	v.number("limit", &w.limit)
	v.number("remaining", &w.remaining)
	v.number("said", &w.said)
	v.duration("per_low", &w.perLow)
	v.duration("per_high", &w.perHigh)
	v.duration("length", &w.length)
	v.duration("after", &w.after)
	v.moment("full", &w.full)
	v.moment("sent", &w.sent)
	v.moment("heard", &w.heard)
}

func (t *throttle) visit(v visitor) {
	kind := int(t.kind)
	v.number("kind", &kind)
	t.kind = windowKind(kind) //nolint:gosec // sound checks what was read
	v.number("limit", &t.limit)
	v.duration("per", &t.per)
	v.flag("sure", &t.sure)
	v.flag("guess", &t.guess)
	v.number("proved", &t.proved)
	v.number("flight", &t.flight)
	v.moment("until", &t.until)
	v.moment("full", &t.full)
	v.moment("ends", &t.ends)
	v.number("used", &t.used)
	v.moment("opened", &t.opened)
	v.moment("anchor", &t.anchor)
	v.number("taken", &t.taken)
	v.moment("start", &t.start)
	v.number("got", &t.got)
	v.moment("first", &t.first)
	v.moment("last", &t.last)
	v.moment("sent", &t.sent)
	v.duration("span", &t.span)
	v.number("counted", &t.counted)
	v.flag("vague", &t.vague)
	v.duration("held", &t.held)
	v.duration("extra", &t.extra)
	v.number("streak", &t.streak)
	v.number("calm", &t.calm)
	v.number("step", &t.step)
	v.duration("pause", &t.pause)
	v.moment("binding", &t.binding)
	v.moment("claimed", &t.claimed)
	v.number("pardons", &t.pardons)
	v.duration("fastest", &t.fastest)
}

func (s *shape) visit(v visitor) {
	v.number("limit_seen", &s.limitSeen)
	v.duration("per_seen", &s.perSeen)
	kind := int(s.sharing.kind)
	v.number("sharing", &kind)
	s.sharing.kind = sharingKind(kind) //nolint:gosec // restoreShape checks what was read
}

func (r *route) visit(v visitor) { v.moment("refused", &r.refused) }

func (d *denial) visit(v visitor) {
	v.number("strikes", &d.strikes)
	v.moment("until", &d.until)
}

func (p *pool) visit(v visitor) {
	v.moment("paused_until", &p.pausedUntil)
	v.moment("pace_next", &p.paceNext)
	v.moment("pace_until", &p.paceUntil)
	v.number("cut", &p.cut)
	v.moment("cut_since", &p.cutSince)
}

func (r *refusal) visit(v visitor) {
	v.flag("active", &r.active)
	v.moment("retry", &r.retry)
	v.number("strikes", &r.strikes)
}

func (b *ban) visit(v visitor) {
	v.flag("active", &b.active)
	v.moment("until", &b.until)
	v.number("strikes", &b.strikes)
}

func (g *gone) visit(v visitor) {
	v.number("strikes", &g.strikes)
	v.moment("until", &g.until)
}

// part is a part of the state whose fields can be visited.
type part interface{ visit(visitor) }

// writer is the visitor that saves fields.
type writer struct {
	values Values
	now    instant
}

func valuesOf(p part, now instant) Values {
	w := writer{make(Values), now}
	p.visit(w)
	if len(w.values) == 0 {
		return nil
	}
	return w.values
}

func (w writer) number(name string, field *int) {
	if *field != 0 {
		w.values[name] = int64(*field)
	}
}

func (w writer) flag(name string, field *bool) {
	if *field {
		w.values[name] = 1
	}
}

func (w writer) duration(name string, field *time.Duration) {
	if *field != 0 {
		w.values[name] = int64(*field)
	}
}

func (w writer) moment(name string, field *instant) {
	if *field != 0 {
		w.values[name] = int64(field.sub(w.now))
	}
}

// reader is the visitor that sets fields to what was saved. bad is whether a value
// is beyond what can be.
type reader struct {
	values Values
	at     instant // of the record
	now    instant
	bad    bool
}

// restore sets the fields of a part to what was saved, and reports whether all of
// it can be true.
func (v Values) restore(p part, at, now instant) bool {
	r := reader{v, at, now, false}
	p.visit(&r)
	return !r.bad
}

// maxNumber is more than any count of the state.
const maxNumber = math.MaxInt32

func (r *reader) number(name string, field *int) {
	n := r.values[name]
	r.bad = r.bad || n < 0 || n > maxNumber
	*field = int(min(max(n, 0), maxNumber))
}

func (r *reader) flag(name string, field *bool) { *field = r.values[name] != 0 }

func (r *reader) duration(name string, field *time.Duration) {
	d := time.Duration(r.values[name])
	r.bad = r.bad || d < 0 || d > maxHeaderWait
	*field = min(max(d, 0), maxHeaderWait)
}

func (r *reader) moment(name string, field *instant) {
	from, known := r.values[name]
	if !known {
		*field = 0
		return
	}
	d := time.Duration(from)
	r.bad = r.bad || d < -maxHeaderWait || d > maxHeaderWait || r.at.add(d) > r.now.add(maxSavedWait)
	*field = r.at.add(min(max(d, -maxHeaderWait), maxHeaderWait))
}

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

// tokenName names the token in records.
func (a *account) tokenName() TokenName { return TokenName{a.key.token, a.key.tokenless, a.other} }

func (t TokenName) key() string {
	if t.Tokenless {
		return "tokenless"
	}
	return "token " + t.Name
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

// suppose takes the units of an unknown bucket for used if the run
// before may have used them and did not save that.
func (c *core) suppose(b *bucket, s *shape, now instant) {
	w, known := c.supposed[s]
	switch {
	case !known:
	case now >= w.full:
		delete(c.supposed, s)
	case b.window.kind == unknown:
		b.window = w
	}
}

// used takes all units of a short window for used at a moment, and reports whether
// it did; 0 is none.
func (w *window) used(at instant) bool {
	switch {
	case at == 0:
		return false
	case w.kind == unsure && w.length <= shortWindow:
		// Whichever kind it is, all units are back by then.
		w.kind, w.remaining, w.assumed = fixed, 0, true
		w.full = max(w.full, at.add(max(w.length, min(time.Duration(w.limit)*w.perHigh, shortWindow))))
		return true
	case w.kind == sliding && w.perHigh <= shortWindow/time.Duration(w.limit):
		w.remaining, w.assumed = 0, true
		w.full = max(w.full, at.add(time.Duration(w.limit)*w.perHigh))
		return true
	case w.kind == fixed && w.length <= shortWindow:
		w.remaining, w.assumed = 0, true
		w.full = max(w.full, at.add(w.length))
		return true
	}
	return false
}

// spent is used for a throttle.
func (t *throttle) spent(at instant) {
	switch {
	case at == 0:
	case t.kind == sliding && t.per <= shortWindow/time.Duration(t.limit):
		t.full = max(t.full, at.add(time.Duration(t.limit)*t.per))
	case t.kind == fixed && t.per <= shortWindow:
		t.ends, t.used = max(t.ends, at.add(t.per)), max(t.used, t.limit)
	}
}
