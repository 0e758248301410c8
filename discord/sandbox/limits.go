package sandbox

import (
	"cmp"
	"crypto/md5" //nolint:gosec // a name for a bucket that looks like Discord's, no secret
	"encoding/hex"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// WindowKind is the way in which a limit refills.
type WindowKind string

// Most of Discord's limits are Sliding (a leaky bucket: one call comes back
// every Window/Limit), some Fixed (all come back at the end of a window that
// starts with its first call).
const (
	Sliding WindowKind = "sliding"
	Fixed   WindowKind = "fixed"
)

// Condition makes a limit hold for some calls of a route only.
type Condition string

// The conditions that Discord is known for. Unknown messages count as young.
const (
	WhenMessageYoung    Condition = "message young"     // less than 10 seconds old
	WhenMessageOld      Condition = "message old"       // more than 14 days old
	WhenMessageOverHour Condition = "message over hour" // more than an hour old
	WhenRenaming        Condition = "renaming"          // the body names "name" or "topic"
	WhenOpeningDM       Condition = "opening dm"        // the direct message channel is not there yet
)

// RefusalHeaders is which bucket the headers of a 429 describe.
type RefusalHeaders string

// The headers that 429s have been seen to carry.
const (
	RefusalOfRoute RefusalHeaders = ""     // those of successes: for a limit with Sub, Remaining is not 0
	RefusalOwn     RefusalHeaders = "own"  // this limit, under its own hash
	RefusalSame    RefusalHeaders = "same" // this limit, under the hash that successes show
	RefusalBare    RefusalHeaders = "bare" // none: neither a bucket nor a scope
)

// AnyRoute means all routes that have no limit of their own. Each of them gets a
// bucket of its own.
const AnyRoute = "*"

// Limit is a rate limit of routes. Calls are counted separately for each token and
// each top-level resource (channel, guild or webhook) of the path.
//
// See https://discord.com/developers/docs/topics/rate-limits.
type Limit struct {
	// Name identifies the limit: setting a limit replaces the one of the same name.
	// Empty means the first route and the condition.
	Name string `json:"name"`

	// Routes share the bucket, for example "POST /channels/{channel_id}/messages".
	Routes []string  `json:"routes"`
	When   Condition `json:"when,omitempty"`

	// Limit calls in Window; no limit and no headers when Limit is 0.
	Limit      int            `json:"limit"`
	Window     time.Duration  `json:"-"`           // in JSON "window", in seconds
	Kind       WindowKind     `json:"kind"`        // empty means Sliding
	Hash       string         `json:"hash"`        // of the bucket; empty means one made from Name
	PerToken   bool           `json:"per_token"`   // one bucket for all resources of a token
	PerChannel bool           `json:"per_channel"` // one bucket for all webhooks of a channel, over all tokens
	Shared     bool           `json:"shared"`      // over all tokens; its 429s have scope "shared"
	Hidden     bool           `json:"hidden"`      // no headers but on 429s
	Sub        bool           `json:"sub"`         // in addition to the route's own limit, unseen in headers until it is hit
	Refusal    RefusalHeaders `json:"refusal"`     // what the headers of 429s are about
	Code       int            `json:"code"`        // in the body of 429s, when not 0
	Text       string         `json:"text"`        // message of 429s; empty means Discord's
	Status     int            `json:"status"`      // of an ordinary error with Code and Text instead of a 429, when not 0
	Extra      http.Header    `json:"headers"`     // replaces headers, also with nonsense; no values removes
}

// bucketKey identifies a bucket of a limit.
type bucketKey struct {
	limit string
	route string // of AnyRoute
	token string
	major ID
}

// bucket counts the calls of one key.
type bucket struct {
	full time.Time // when all calls are back
	used int       // of a fixed window
}

// verdict is the decision of a limit about a call.
type verdict struct {
	limit      *Limit
	hash       string
	remaining  int
	resetAfter time.Duration
	retryAfter time.Duration // 0 when the call may pass
}

// take counts a call, if the limit allows it.
func (b *bucket) take(l *Limit, now time.Time) verdict {
	v := verdict{limit: l}
	if l.Kind == Fixed {
		if !now.Before(b.full) {
			b.full, b.used = now.Add(l.Window), 0
		}
		v.resetAfter = b.full.Sub(now)
		if b.used >= l.Limit {
			v.retryAfter = v.resetAfter
			return v
		}
		b.used++
		v.remaining = l.Limit - b.used
		return v
	}
	each := l.Window / time.Duration(l.Limit)
	level := max(0, b.full.Sub(now))
	if over := level + each - each*time.Duration(l.Limit); over > 0 {
		v.resetAfter, v.retryAfter = level, over
		return v
	}
	level += each
	b.full = now.Add(level)
	v.resetAfter = level
	v.remaining = l.Limit - int((level+each-1)/each)
	return v
}

// GlobalLimit is the number of calls per second of a token over all routes, or of an
// address without a token.
type GlobalLimit struct {
	Limit int        `json:"limit"` // calls in a second; 0 means none
	Kind  WindowKind `json:"kind"`  // Fixed (also when empty), or Sliding: in no second more
}

// DefaultGlobalLimit is Discord's for ordinary bots.
func DefaultGlobalLimit() GlobalLimit { return GlobalLimit{Limit: 50, Kind: Fixed} }

// second counts the calls of one second, fixed or sliding.
type second struct {
	start time.Time
	count int
	times []time.Time // of the last calls, a ring
	next  int
}

func (w *second) take(l GlobalLimit, now time.Time) (retryAfter time.Duration) {
	if l.Kind == Sliding {
		if len(w.times) != l.Limit {
			w.times, w.next = make([]time.Time, l.Limit), 0
		}
		if left := w.times[w.next].Add(time.Second).Sub(now); left > 0 {
			return left
		}
		w.times[w.next] = now
		w.next = (w.next + 1) % l.Limit
		return 0
	}
	if !now.Before(w.start.Add(time.Second)) {
		w.start, w.count = now, 0
	}
	if w.count >= l.Limit {
		return w.start.Add(time.Second).Sub(now)
	}
	w.count++
	return 0
}

// limiter is the state of all limits.
type limiter struct {
	limits  map[string]*Limit   // by name
	byRoute map[string][]*Limit // in order of their names
	buckets map[bucketKey]*bucket
	sweepAt int
	hashes  map[string]string // of names, so that they are made once

	global      GlobalLimit
	globalUntil time.Time // of a ban that was asked for
	seconds     map[string]*second
}

func newLimiter(unlimited bool, more ...Limit) limiter {
	l := limiter{
		limits: map[string]*Limit{}, byRoute: map[string][]*Limit{}, buckets: map[bucketKey]*bucket{},
		sweepAt: 1024, seconds: map[string]*second{},
	}
	if !unlimited {
		l.global = DefaultGlobalLimit()
		more = append(DefaultLimits(), more...)
	}
	for _, limit := range more {
		l.set(limit)
	}
	return l
}

// DefaultLimits are the limits of a sandbox that is not Unlimited: what users
// of Discord's API have seen, since Discord publishes no numbers.
func DefaultLimits() []Limit {
	const channel, message = "/channels/{channel_id}", "/channels/{channel_id}/messages/{message_id}"
	const reactions = message + "/reactions"
	const role = "/guilds/{guild_id}/members/{user_id}/roles/{role_id}"
	const second = time.Second
	return []Limit{
		{Name: "any", Routes: []string{AnyRoute}, Limit: 10, Window: 5 * second},
		{Name: "send", Routes: []string{"POST " + channel + "/messages"}, Limit: 5, Window: 5 * second},
		{Name: "edit", Routes: []string{"PATCH " + message}, Limit: 5, Window: 5 * second},
		{
			Name: "edit old", Routes: []string{"PATCH " + message}, When: WhenMessageOverHour, Limit: 3, Window: 6 * second, Sub: true, Code: 30046,
			Text: "Maximum number of edits to messages older than 1 hour reached. Try again later.",
		},
		{Name: "delete", Routes: []string{"DELETE " + message}, Limit: 3, Window: second},
		{Name: "delete young", Routes: []string{"DELETE " + message}, When: WhenMessageYoung, Limit: 5, Window: 5 * second},
		{Name: "delete old", Routes: []string{"DELETE " + message}, When: WhenMessageOld, Limit: 30, Window: 120 * second},
		{Name: "bulk delete", Routes: []string{"POST " + channel + "/messages/bulk-delete"}, Limit: 1, Window: second},
		{Name: "react", Routes: []string{
			"PUT " + reactions + "/{emoji_name}/@me", "DELETE " + reactions + "/{emoji_name}/@me",
			"DELETE " + reactions + "/{emoji_name}/{user_id}", "DELETE " + reactions + "/{emoji_name}", "DELETE " + reactions,
		}, Limit: 1, Window: second / 4},
		{Name: "pin", Routes: []string{
			"PUT " + channel + "/pins/{message_id}", "DELETE " + channel + "/pins/{message_id}",
			"PUT " + channel + "/messages/pins/{message_id}", "DELETE " + channel + "/messages/pins/{message_id}",
		}, Limit: 5, Window: 5 * second},
		{Name: "typing", Routes: []string{"POST " + channel + "/typing"}, Limit: 5, Window: 5 * second},
		{Name: "user", Routes: []string{"GET /users/{user_id}"}, Limit: 30, Window: 30 * second},
		{Name: "rename", Routes: []string{"PATCH " + channel}, When: WhenRenaming, Limit: 2, Window: 600 * second, Sub: true},
		{Name: "channel", Routes: []string{"PATCH " + channel}, Limit: 5, Window: 15 * second},
		{Name: "member role", Routes: []string{"PUT " + role, "DELETE " + role}, Limit: 10, Window: 10 * second, Kind: Fixed},
		{Name: "create role", Routes: []string{"POST /guilds/{guild_id}/roles"}, Limit: 250, Window: 48 * time.Hour},
		{Name: "crosspost", Routes: []string{"POST " + message + "/crosspost"}, Limit: 10, Window: time.Hour},
		{Name: "create thread", Routes: []string{
			"POST " + message + "/threads", "POST " + channel + "/threads",
		}, Limit: 50, Window: 300 * second, Sub: true, Shared: true},
		{
			Name:   "webhook",
			Routes: []string{"POST " + webhookPath, "POST " + webhookPath + "/slack", "POST " + webhookPath + "/github"},
			Limit:  5,
			Window: 2 * second,
		},
		{
			Name:       "webhook channel",
			Routes:     []string{"POST " + webhookPath, "POST " + webhookPath + "/slack", "POST " + webhookPath + "/github"},
			Limit:      30,
			Window:     60 * second,
			Sub:        true,
			PerChannel: true,
		},
		{Name: "gateway", Routes: []string{"GET /gateway"}},
		{Name: "interaction", Routes: []string{"POST " + callbackPath}},
	}
}

func (l *limiter) set(limit Limit) {
	if limit.Name == "" && len(limit.Routes) > 0 {
		limit.Name = limit.Routes[0]
		if limit.When != "" {
			limit.Name += " when " + string(limit.When)
		}
	}
	limit.Kind = cmp.Or(limit.Kind, Sliding)
	l.remove(limit.Name)
	l.limits[limit.Name] = &limit
	for _, route := range limit.Routes {
		list := append(l.byRoute[route], &limit)
		// Among limits of a route, a condition is asked before none.
		slices.SortStableFunc(list, func(a, b *Limit) int { return -cmp.Compare(a.When, b.When) })
		l.byRoute[route] = list
	}
}

func (l *limiter) remove(name string) {
	old := l.limits[name]
	if old == nil {
		return
	}
	delete(l.limits, name)
	for _, route := range old.Routes {
		l.byRoute[route] = slices.DeleteFunc(l.byRoute[route], func(o *Limit) bool { return o == old })
	}
	for key := range l.buckets {
		if key.limit == name {
			delete(l.buckets, key)
		}
	}
}

// limit counts a call against every limit that it falls under. It returns the
// verdict that headers are about, and the refusal if there is one.
func (s *Sandbox) limit(c *call) (shown *verdict, refused *refusal) {
	l := &s.limiter
	if s.globalCounts(c) {
		if left := l.globalUntil.Sub(c.at); left > 0 {
			return nil, &refusal{kind: LimitedGlobal, retryAfter: left}
		}
		if l.global.Limit > 0 {
			if len(l.seconds) > 10_000 {
				clear(l.seconds)
			}
			key := cmp.Or(c.token, c.ip)
			if l.seconds[key] == nil {
				l.seconds[key] = &second{}
			}
			if left := l.seconds[key].take(l.global, c.at); left > 0 {
				return nil, &refusal{kind: LimitedGlobal, retryAfter: left}
			}
		}
	}
	if len(l.limits) == 0 {
		return nil, nil
	}
	for _, limit := range l.byRoute[c.route.key] {
		if !limit.Sub && s.applies(c, limit) {
			shown = s.count(c, limit)
			break
		}
	}
	if shown == nil {
		for _, limit := range l.byRoute[AnyRoute] {
			if s.applies(c, limit) {
				shown = s.count(c, limit)
				break
			}
		}
	}
	if shown != nil && shown.retryAfter > 0 {
		limit := shown.limit
		return limit.refusalHeaders(shown, shown), &refusal{kind: limit.kind(), retryAfter: shown.retryAfter, limit: limit}
	}
	for _, limit := range l.byRoute[c.route.key] {
		if limit.Sub && s.applies(c, limit) {
			if v := s.count(c, limit); v != nil && v.retryAfter > 0 {
				shown := limit.refusalHeaders(shown, v)
				return shown, &refusal{kind: limit.kind(), retryAfter: v.retryAfter, limit: limit}
			}
		}
	}
	return shown, nil
}

// refusalHeaders returns what the headers of a 429 describe, when successes show
// one verdict and the limit has come to the other.
func (l *Limit) refusalHeaders(shown, own *verdict) *verdict {
	switch l.Refusal {
	case RefusalOwn:
		return own
	case RefusalSame:
		same := *own
		if shown != nil && shown.hash != "" {
			same.hash = shown.hash
		}
		return &same
	case RefusalBare:
		return nil
	}
	return shown
}

func (l *Limit) kind() LimitKind {
	if l.Shared {
		return LimitedShared
	}
	return LimitedUser
}

// globalCounts reports whether a call counts against the global limit.
// Interactions, with their webhooks, do not.
func (s *Sandbox) globalCounts(c *call) bool {
	if !c.route.open {
		return true
	}
	return c.route.perIP && s.interactions[c.value("webhook_token")] == nil
}

func (s *Sandbox) applies(c *call, l *Limit) bool {
	switch l.When {
	case "":
		return true
	case WhenRenaming:
		return c.has("name") || c.has("topic")
	case WhenOpeningDM:
		var body struct {
			RecipientID reqID `json:"recipient_id"`
		}
		if c.decode(&body) != nil {
			return false
		}
		return s.dms[pair(c.user.ID, body.RecipientID.ID)] == 0
	}
	id := c.id("message_id")
	age := c.now.Sub(id.Time())
	ch := s.channels[c.id("channel_id")]
	known := ch != nil && ch.message(id) != nil
	switch l.When {
	case WhenMessageYoung:
		return !known || age < 10*time.Second
	case WhenMessageOld:
		return known && age > 14*24*time.Hour
	case WhenMessageOverHour:
		return known && age > time.Hour
	}
	return false
}

func (s *Sandbox) count(c *call, limit *Limit) *verdict {
	if limit.Limit <= 0 {
		return &verdict{}
	}
	key := bucketKey{limit: limit.Name}
	name := limit.Name
	if !limit.PerToken && c.route.major != "" {
		key.major = c.id(c.route.major)
	}
	if !limit.Shared {
		key.token = cmp.Or(c.token, c.ip)
		if c.route.major == "webhook_id" {
			key.token = c.value("webhook_token")
		}
	}
	if limit.PerChannel {
		if w := s.webhooks[c.id("webhook_id")]; w != nil {
			key.major, key.token = w.ChannelID, ""
		}
	}
	if limit.Routes[0] == AnyRoute {
		key.route = c.route.key
		name += key.route
	}
	l := &s.limiter
	b := l.buckets[key]
	if b == nil {
		if len(l.buckets) >= l.sweepAt {
			for k, old := range l.buckets {
				if !c.at.Before(old.full) {
					delete(l.buckets, k)
				}
			}
			l.sweepAt = max(1024, 2*len(l.buckets))
		}
		b = &bucket{}
		l.buckets[key] = b
	}
	v := b.take(limit, c.at)
	if v.hash = limit.Hash; v.hash == "" {
		v.hash = l.hash(name)
	}
	return &v
}

// hash makes a name look like one of Discord's buckets.
func (l *limiter) hash(name string) string {
	if h, ok := l.hashes[name]; ok {
		return h
	}
	sum := md5.Sum([]byte(name)) //nolint:gosec // see the import
	h := hex.EncodeToString(sum[:])
	if l.hashes == nil {
		l.hashes = map[string]string{}
	}
	l.hashes[name] = h
	return h
}

// countsMilliseconds reports whether the waits in 429s are in milliseconds, as in
// versions 6 and 7. The other headers are in seconds there as well, but without
// decimals unless the caller asks for them.
// https://discord.com/developers/docs/change-log#api-and-gateway-v8
func (c *call) countsMilliseconds() bool { return c.version < 8 }

func (c *call) wantsDecimals() bool {
	return c.version >= 8 || c.r.Header.Get("X-RateLimit-Precision") == "millisecond"
}

// show writes the headers about a bucket.
func (v *verdict) show(h http.Header, c *call, status int) {
	if v == nil || v.limit == nil || v.limit.Hidden && status != http.StatusTooManyRequests {
		return
	}
	h["X-Ratelimit-Limit"] = []string{strconv.Itoa(v.limit.Limit)}
	h["X-Ratelimit-Remaining"] = []string{strconv.Itoa(v.remaining)}
	after := ceilMillis(v.resetAfter)
	reset := c.at.UnixMilli() + after
	h["X-Ratelimit-Reset"] = []string{decimals(reset)}
	h["X-Ratelimit-Reset-After"] = []string{decimals(after)}
	if !c.wantsDecimals() {
		h["X-Ratelimit-Reset"] = []string{strconv.FormatInt((reset+999)/1000, 10)}
		h["X-Ratelimit-Reset-After"] = []string{strconv.FormatInt((after+999)/1000, 10)}
	}
	h["X-Ratelimit-Bucket"] = []string{v.hash}
	for name, values := range v.limit.Extra {
		if h.Del(name); len(values) > 0 {
			h[http.CanonicalHeaderKey(name)] = values
		}
	}
}

func ceilMillis(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// decimals writes milliseconds as seconds with three decimals.
func decimals(ms int64) string {
	b := strconv.AppendInt(make([]byte, 0, 16), ms/1000, 10)
	ms %= 1000
	return string(append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10)))
}

// LimitKind is the kind of limit that caused a 429.
type LimitKind string

// The kinds of 429.
const (
	LimitedUser       LimitKind = "user"
	LimitedShared     LimitKind = "shared"
	LimitedGlobal     LimitKind = "global"
	LimitedCloudflare LimitKind = "cloudflare"
)

// refusal is a 429.
type refusal struct {
	kind       LimitKind
	retryAfter time.Duration
	limit      *Limit // nil of global ones
}

// answer writes the 429, in addition to the headers about the bucket.
func (r *refusal) answer(a *answer, c *call) error {
	body := struct {
		Message    string  `json:"message"`
		RetryAfter float64 `json:"retry_after"`
		Global     bool    `json:"global"`
		Code       int     `json:"code,omitempty"`
	}{Message: "You are being rate limited.", RetryAfter: float64(ceilMillis(r.retryAfter)) / 1000, Global: r.kind == LimitedGlobal}
	if r.kind == LimitedGlobal {
		a.header["X-Ratelimit-Global"] = []string{"true"}
	}
	if r.kind == LimitedShared {
		body.Message = "The resource is being rate limited."
	}
	if r.limit != nil {
		body.Code = r.limit.Code
		body.Message = cmp.Or(r.limit.Text, body.Message)
	}
	if r.limit == nil || r.limit.Refusal != RefusalBare {
		a.header["X-Ratelimit-Scope"] = []string{string(r.kind)}
	}
	a.header["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(r.retryAfter.Seconds())))}
	if c.countsMilliseconds() {
		body.RetryAfter = float64(ceilMillis(r.retryAfter))
		a.header["Retry-After"] = []string{strconv.FormatInt(ceilMillis(r.retryAfter), 10)}
	}
	return a.set(http.StatusTooManyRequests, body)
}

// SetLimit sets a limit, in the place of the one of the same name. Its buckets
// are full. It takes effect with the next call.
func (s *Sandbox) SetLimit(l Limit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limiter.set(l)
}

// RemoveLimit removes a limit by its name.
func (s *Sandbox) RemoveLimit(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limiter.remove(name)
}

// Limits returns the limits in order of their names.
func (s *Sandbox) Limits() []Limit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limiter.sorted()
}

func (l *limiter) sorted() []Limit {
	out := make([]Limit, 0, len(l.limits))
	for _, limit := range l.limits {
		out = append(out, *limit)
	}
	slices.SortFunc(out, func(a, b Limit) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// ClearLimits removes all limits, the global one too, as Config.Unlimited does.
func (s *Sandbox) ClearLimits() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limiter = newLimiter(true)
}

// SetGlobalLimit changes the global limit.
func (s *Sandbox) SetGlobalLimit(l GlobalLimit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limiter.global = l
	clear(s.limiter.seconds)
}

// BanGlobally answers everything that counts against the global limit with a
// global 429 for a while; 0 ends that.
func (s *Sandbox) BanGlobally(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limiter.globalUntil = s.clock().Add(d)
}
