package ratelimit

import (
	"net/http"
	"time"
)

// Response is what the limiter wants to know of an answer.
type Response struct {
	Status int
	Header http.Header
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
}

// ParseBody reads the facts from an error's body. It never fails: what cannot
// be understood is left out.
func ParseBody(data []byte) Body { return Body{} }

// Verdict says what an answer meant for later calls.
type Verdict struct {
	// Limit is the kind of limit that was hit; NotLimited for any answer that
	// is not a rate limit.
	Limit Limit
	// Wait is how long calls of this kind now wait; 0 when NotLimited. To send
	// this call again, Acquire with [Request.Retry]: it waits as needed.
	Wait time.Duration
}

// Limit is a kind of rate limit.
type Limit int

const (
	// NotLimited is no rate limit.
	NotLimited Limit = iota
	// BucketLimit is the limit of the route's own bucket.
	BucketLimit
	// SubLimit concerns only one kind of request within a bucket.
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
	return [...]string{"none", "bucket", "sub", "shared", "global", "address"}[l]
}
