package ratelimit

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"
)

// Simulated is a simulated Discord without a network or a clock. It knows nothing
// of the limiter's reasoning: it keeps tokens as fractions and windows as
// start times.
type Simulated struct {
	Limit  func(method, path string) SimulatedLimit // of a call's bucket
	Global int                                      // calls in a second; 0 = unlimited
	// FixedSecond is whether the global limit counts in whole seconds.
	FixedSecond bool
	Ahead       time.Duration // its clock less ours
	// Refuse answers a call that is counted nowhere; nil means none.
	Refuse func(method, path string) *SimulatedReply
	// Lie is how the headers differ from the limits; nil means not at all.
	Lie *Lie

	buckets map[string]*simulatedBucket
	counted []time.Time // against the global limit
}

// SimulatedLimit is the limit of a bucket.
type SimulatedLimit struct {
	Name   string // of the bucket; empty: calls are not limited
	N      int
	Window time.Duration
	Fixed  bool
	Exempt bool
}

// SimulatedReply is an answer.
type SimulatedReply struct {
	Status int
	Header http.Header
	Body   string
}

type simulatedBucket struct {
	tokens float64
	last   time.Time
	ends   time.Time
}

// NewSimulated returns a simulated Discord whose calls all have the same limit,
// in addition to a global limit of 50.
func NewSimulated(l SimulatedLimit) *Simulated {
	return &Simulated{
		Limit:   func(string, string) SimulatedLimit { return l },
		Global:  50,
		Ahead:   37*time.Second + 123456*time.Microsecond,
		buckets: map[string]*simulatedBucket{},
	}
}

// Answer answers a request that arrives now.
func (d *Simulated) Answer(now time.Time, method, path string) SimulatedReply {
	l := d.Limit(method, path)
	if d.Refuse != nil {
		if r := d.Refuse(method, path); r != nil {
			if r.Header == nil {
				r.Header = http.Header{}
			}
			return *r
		}
	}
	h := http.Header{}
	h.Set("Via", "1.1 google")
	if d.Global > 0 && !l.Exempt {
		over := func(t time.Time) time.Time { return t.Add(time.Second) }
		if d.FixedSecond {
			over = func(t time.Time) time.Time { return t.Add(d.Ahead).Truncate(time.Second).Add(time.Second - d.Ahead) }
		}
		d.counted = slices.DeleteFunc(d.counted, func(t time.Time) bool { return !now.Before(over(t)) })
		if len(d.counted) >= d.Global {
			h.Set("X-RateLimit-Global", "true")
			h.Set("X-RateLimit-Scope", "global")
			wait := over(d.counted[0]).Sub(now)
			return tooMany(h, wait, true)
		}
		d.counted = append(d.counted, now)
	}
	if d.Lie != nil && (d.Lie.Only == nil || d.Lie.Only(method, path)) {
		return d.lie(now, h, path)
	}
	if l.Name == "" {
		return SimulatedReply{200, h, ""}
	}
	key := l.Name + " " + RouteOf("", path, "", now).Major
	b := d.bucket(key, l, now)
	taken, after, retry := b.take(l, now)
	announce(h, l, b.tokens, after, now.Add(d.Ahead))
	if !taken {
		h.Set("X-RateLimit-Scope", "user")
		return tooMany(h, time.Duration(retry*1e9), false)
	}
	return SimulatedReply{200, h, ""}
}

func (d *Simulated) bucket(key string, l SimulatedLimit, now time.Time) *simulatedBucket {
	b := d.buckets[key]
	if b == nil {
		b = &simulatedBucket{tokens: float64(l.N), last: now}
		d.buckets[key] = b
	}
	return b
}

// take uses a unit, if there is one.
func (b *simulatedBucket) take(l SimulatedLimit, now time.Time) (taken bool, after, retry float64) {
	per := l.Window.Seconds() / float64(l.N)
	if l.Fixed {
		if !now.Before(b.ends) {
			b.ends, b.tokens = now.Add(l.Window), float64(l.N)
		}
		if taken = b.tokens >= 1; taken {
			b.tokens--
		}
		after = b.ends.Sub(now).Seconds()
		retry = after
	} else {
		b.tokens = min(b.tokens+now.Sub(b.last).Seconds()/per, float64(l.N))
		b.last = now
		if taken = b.tokens >= 1-1e-9; taken {
			b.tokens = max(b.tokens-1, 0)
		}
		after = (float64(l.N) - b.tokens) * per
		retry = (1 - b.tokens) * per
	}
	return taken, after, retry
}

// announce writes the headers about a bucket, at a moment of Discord's clock.
func announce(h http.Header, l SimulatedLimit, tokens, after float64, now time.Time) {
	h.Set("X-RateLimit-Bucket", l.Name)
	h.Set("X-RateLimit-Limit", fmt.Sprint(l.N))
	h.Set("X-RateLimit-Remaining", fmt.Sprint(int(tokens+1e-9)))
	h.Set("X-RateLimit-Reset-After", fmt.Sprintf("%.3f", after))
	h.Set("X-RateLimit-Reset", fmt.Sprintf("%.3f", float64(now.UnixMicro())/1e6+after))
}

func tooMany(h http.Header, wait time.Duration, global bool) SimulatedReply {
	h.Set("Retry-After", fmt.Sprint(math.Ceil(wait.Seconds())))
	return SimulatedReply{429, h, fmt.Sprintf(`{"message":"You are being rate limited.","retry_after":%.3f,"global":%v}`, wait.Seconds()+0.0005, global)}
}
