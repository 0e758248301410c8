package ratelimit

import (
	"fmt"
	"math"
	"net/http"
	"time"
)

// Lie is a limit that headers do not show, or show wrongly.
type Lie struct {
	Truth []SimulatedLimit // all of them hold
	Only  func(method, path string) bool
	// Across is whether the limits are for all top-level resources together.
	Across bool
	// Announced is what successes show, as if it were the limit; none if N is
	// 0. Each top-level resource has its own.
	Announced SimulatedLimit
	Refusal   Refusal
	Scope     string // of 429s; empty means user
	Code      int    // in the body of 429s
	// Retry changes the wait that 429s ask for; nil leaves it as it is.
	Retry  func(time.Duration) time.Duration
	Hasty  bool // Retry makes the wait too short
	Silent bool // 429s ask for no wait
}

// Refusal is what the headers of a 429 are about.
type Refusal string

const (
	OtherBucket Refusal = "other bucket" // the true limit, under another name
	SameBucket  Refusal = "same bucket"  // the true limit, under the announced name
	Remaining   Refusal = "remaining"    // what is announced, with some remaining
	Bare        Refusal = "bare"         // nothing
)

func (d *Simulated) lie(now time.Time, h http.Header, path string) SimulatedReply {
	lie := d.Lie
	major := RouteOf("", path, "", now).Major
	key := major
	if lie.Across {
		key = ""
	}
	retry, bound := 0.0, SimulatedLimit{}
	var after float64
	for _, l := range lie.Truth { // look first, so that a refusal uses nothing
		if taken, a, r := d.peek(l, l.Name+" "+key, now); !taken && r > retry {
			retry, bound, after = r, l, a
		}
	}
	if retry == 0 {
		for _, l := range lie.Truth {
			d.bucket(l.Name+" "+key, l, now).take(l, now)
		}
	}
	if l := lie.Announced; l.N > 0 {
		b := d.bucket("announced "+major, l, now)
		shown := *b
		_, a, _ := shown.take(l, now)
		if retry == 0 {
			*b = shown
		}
		if retry == 0 || lie.Refusal == Remaining {
			announce(h, l, max(shown.tokens, 1), a, now.Add(d.Ahead))
		}
	}
	if retry == 0 {
		return SimulatedReply{200, h, ""}
	}
	switch lie.Refusal {
	case OtherBucket, SameBucket:
		if lie.Refusal == SameBucket && lie.Announced.N > 0 {
			bound.Name = lie.Announced.Name
		}
		announce(h, bound, 0, after, now.Add(d.Ahead))
	}
	if lie.Refusal != Bare {
		h.Set("X-RateLimit-Scope", "user")
	}
	if lie.Scope != "" {
		h.Set("X-RateLimit-Scope", lie.Scope)
	}
	wait := time.Duration(retry * 1e9)
	if lie.Retry != nil {
		wait = lie.Retry(wait)
	}
	body := `{"message":"You are being rate limited.","global":false`
	if !lie.Silent {
		h.Set("Retry-After", fmt.Sprint(math.Ceil(wait.Seconds())))
		body += fmt.Sprintf(`,"retry_after":%.3f`, math.Ceil(wait.Seconds()*1000)/1000)
	}
	if lie.Code != 0 {
		body += fmt.Sprintf(`,"code":%d`, lie.Code)
	}
	return SimulatedReply{429, h, body + "}"}
}

// peek is what taking a unit would come to.
func (d *Simulated) peek(l SimulatedLimit, key string, now time.Time) (taken bool, after, retry float64) {
	b := *d.bucket(key, l, now)
	return b.take(l, now)
}

// Bound is the least time that n calls take together by the true limits.
func (lie *Lie) Bound(n int) (bound time.Duration) {
	for _, l := range lie.Truth {
		if l.Fixed {
			bound = max(bound, time.Duration((n+l.N-1)/l.N-1)*l.Window)
		} else {
			bound = max(bound, time.Duration(max(n-l.N, 0))*l.Window/time.Duration(l.N))
		}
	}
	return bound
}
