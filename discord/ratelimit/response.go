package ratelimit

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Bounds of what is believed of headers and bodies. Discord's longest known
// limit lasts two days; limits of more than some thousand are not known.
const (
	maxHeaderLimit = 10_000
	maxHeaderWait  = 7 * 24 * time.Hour
)

// Response contains the parts of a response that the limiter needs.
type Response struct {
	Status int
	Header http.Header // with canonical names, as net/http reads them
	// Body is needed for statuses of 400 and more only; see [ParseBody].
	Body Body
}

// Body holds the facts of an error's body that concern limits.
type Body struct {
	// JSON is whether the body is a JSON object.
	JSON bool
	// RetryAfter is retry_after; 0 when it is absent or not plausible.
	RetryAfter time.Duration
	// HasRetryAfter is whether a plausible retry_after was there.
	HasRetryAfter bool
	// Global is the field of that name.
	Global bool
	// Code is Discord's error code; 0 when absent.
	Code int
	// Edge is whether the document has a form of the network before Discord,
	// which may have a retry_after too.
	Edge bool
}

// ParseBody reads the facts from an error's body. It never fails: what cannot
// be understood is left out.
func ParseBody(data []byte) Body {
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil || fields == nil {
		return Body{}
	}
	b := Body{JSON: true}
	b.RetryAfter, b.HasRetryAfter = seconds(strings.Trim(string(fields["retry_after"]), `"`))
	b.Global = string(fields["global"]) == "true"
	b.Code, _ = strconv.Atoi(string(fields["code"]))
	b.Edge = IsEdge(fields)
	return b
}

// IsEdge reports whether a document has a form of the network before Discord; see
// [Body.Edge].
func IsEdge(document map[string]json.RawMessage) bool {
	return document["error_code"] != nil || document["cloudflare_error"] != nil
}

// Verdict says what an answer meant for later calls.
type Verdict struct {
	// Limit is the kind of limit that was hit; NotLimited for any answer that
	// is not a rate limit.
	Limit Limit
	// Wait is how long calls of this kind now wait; 0 when NotLimited. To send
	// this call again, Acquire with [Request.Retry]: it waits as needed.
	Wait time.Duration
	// CheckToken is whether the token should be checked, by a call with
	// [Request.Probe]: the answer was a 401, and the token has worked before.
	CheckToken bool
}

// Limit is a kind of rate limit.
type Limit int

const (
	// NotLimited is no rate limit.
	NotLimited Limit = iota
	// BucketLimit is the limit of the route's own bucket.
	BucketLimit
	// SubLimit concerns only one kind of request within a bucket. An answer
	// 403 with code 40003 (opening direct messages too fast) is one too.
	SubLimit
	// SharedLimit belongs to the resource, not to this bot.
	SharedLimit
	// GlobalLimit concerns all calls of the token.
	GlobalLimit
	// AddressBan is Cloudflare's, and concerns every call of this process.
	AddressBan
)

// String returns the name used in logs and metrics.
func (l Limit) String() string {
	if l < NotLimited || l > AddressBan {
		return strconv.Itoa(int(l))
	}
	return [...]string{"none", "bucket", "sub", "shared", "global", "address"}[l]
}

// Discord's error codes that concern limits.
const (
	codeSlowmode       = 20016
	codeAnnouncement   = 20022 // edits of announcements
	codeChannelWrites  = 20028
	codeServerWrites   = 20029
	codeOldEdits       = 30046
	CodeOpeningDMs     = 40003 // comes with 403
	codeServiceLimited = 40062
)

// CodeUnknownWebhook is the code of a 404 for a deleted webhook.
const CodeUnknownWebhook = 10015

// Codes of answers 401 that concern a token within the request's path or body.
const (
	codeBadOAuth2Token  = 50025
	codeBadWebhookToken = 50027
)

// refusesToken reports whether an answer says that the token of the call is
// bad, which will not change by itself. OAuth2's own routes want other
// credentials than a bot has, and say 401 to a good token too.
func (r *Response) refusesToken(template string) bool {
	return r.Status == http.StatusUnauthorized && r.Body.Code != codeBadOAuth2Token && r.Body.Code != codeBadWebhookToken &&
		!strings.HasPrefix(template, "/oauth2/")
}

// limitOf returns the kind of limit that an answer is about. The edge in front of
// Discord also answers 429. Its answers have none of Discord's headers, and the
// body is a page, a line of text, or JSON of its own form. Proxies on the way
// may remove headers, Via included, but leave Discord's JSON as it is.
func (r *Response) limitOf() Limit {
	if r.Status == http.StatusForbidden && r.Body.Code == CodeOpeningDMs {
		return SubLimit
	}
	if r.Status != http.StatusTooManyRequests {
		return NotLimited
	}
	h := r.Header
	scope := strings.ToLower(first(h, "X-Ratelimit-Scope"))
	global := strings.EqualFold(first(h, "X-Ratelimit-Global"), "true")
	remaining, hasRemaining := count(first(h, "X-Ratelimit-Remaining"))
	_, hasRetryAfter := seconds(first(h, "Retry-After"))
	if scope != "" || global || hasRemaining {
		if !r.Body.JSON && !hasRetryAfter && (!hasRemaining || first(h, "Via") == "") {
			return AddressBan
		}
	} else if !r.Body.HasRetryAfter || r.Body.Edge {
		return AddressBan
	}
	switch code := r.Body.Code; {
	case scope == "global" || global || r.Body.Global:
		return GlobalLimit
	case scope == "shared" || code == codeChannelWrites || code == codeServerWrites || code == codeServiceLimited:
		return SharedLimit
	case remaining > 0 || code == codeSlowmode || code == codeAnnouncement || code == codeOldEdits:
		return SubLimit
	}
	return BucketLimit
}

// retryAfter returns the wait that an answer asks for. The body is exact, the
// header rounded up and at times wrong.
func (r *Response) retryAfter() (time.Duration, bool) {
	if r.Body.HasRetryAfter {
		return r.Body.RetryAfter, true
	}
	return RetryAfter(r.Header)
}

// rounding returns by how much a wait may be too long: whole seconds are often
// rounded up.
func rounding(wait time.Duration) time.Duration {
	if wait%time.Second == 0 {
		return time.Second
	}
	return 0
}

// RetryAfter returns the wait that the header Retry-After asks for, in seconds
// or as a date, and whether it is there and plausible.
// https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
func RetryAfter(h http.Header) (wait time.Duration, ok bool) {
	text := first(h, "Retry-After")
	if wait, ok = seconds(text); ok {
		return wait, true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	// The date is one of the sender's clock.
	from, err := http.ParseTime(first(h, "Date"))
	if err != nil {
		from = time.Now()
	}
	if wait = at.Sub(from); wait < 0 || wait > maxHeaderWait {
		return 0, false
	}
	return wait, true
}

// numbers are the plausible rate limit headers of an answer.
type numbers struct {
	any          bool // any such header, plausible or not
	limit        int
	hasLimit     bool
	remaining    int
	hasRemaining bool
	after        time.Duration
	hasAfter     bool
	reset        instant // by Discord's clock; 0 if absent
	bucket       string
}

func numbersOf(h http.Header) (n numbers) {
	limit, remaining := first(h, "X-Ratelimit-Limit"), first(h, "X-Ratelimit-Remaining")
	after, reset := first(h, "X-Ratelimit-Reset-After"), first(h, "X-Ratelimit-Reset")
	n.bucket = first(h, "X-Ratelimit-Bucket")
	n.any = limit != "" || remaining != "" || after != "" || reset != "" || n.bucket != ""
	if !n.any {
		return n
	}
	if len(n.bucket) > 128 {
		n.bucket = ""
	}
	n.limit, n.hasLimit = count(limit)
	n.hasLimit = n.hasLimit && n.limit > 0
	n.remaining, n.hasRemaining = count(remaining)
	n.after, n.hasAfter = seconds(after)
	if t, ok := nanoseconds(reset, math.MaxInt64/2); ok {
		n.reset = instant(t.Round(headerStep))
	}
	return n
}

// first is http.Header.Get for a name that is canonical.
func first(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// count parses a number of calls within plausible bounds.
func count(s string) (int, bool) {
	if s == "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > maxHeaderLimit {
		return 0, false
	}
	return n, true
}

// seconds parses a time to wait within plausible bounds.
func seconds(s string) (time.Duration, bool) {
	ns, ok := nanoseconds(s, maxHeaderWait)
	return (ns + 999) / 1000 * 1000, ok
}

// nanoseconds parses a number of seconds, at most those given. Plain decimals,
// which is what Discord writes, are read exactly and fast.
func nanoseconds(s string, most time.Duration) (time.Duration, bool) {
	if n, ok := billionfold(s); ok {
		return time.Duration(n), n <= uint64(most)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0 && f <= most.Seconds()) { // not with NaN
		return 0, false
	}
	return time.Duration(math.Ceil(f * float64(time.Second))), true
}

// billionfold returns a billion times the number that is written as at most
// ten digits, perhaps with a point and at most nine more.
func billionfold(s string) (n uint64, ok bool) {
	whole := len(s)
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9' && i < 20:
			n = n*10 + uint64(c-'0')
		case c == '.' && whole == len(s):
			whole = i
		default:
			return 0, false
		}
	}
	decimals := max(len(s)-whole-1, 0)
	if whole == 0 || whole > 10 || decimals > 9 {
		return 0, false
	}
	for range 9 - decimals {
		n *= 10
	}
	return n, true
}
