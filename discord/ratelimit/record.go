package ratelimit

import (
	"math"
	"time"
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

// tokenName names the token in records.
func (a *account) tokenName() TokenName { return TokenName{a.key.token, a.key.tokenless, a.other} }

func (t TokenName) key() string {
	if t.Tokenless {
		return "tokenless"
	}
	return "token " + t.Name
}
