package ratelimit

import "time"

// Snapshot is the limiter's state at one moment.
type Snapshot struct {
	At           time.Time
	Waiting      int   // calls that wait
	WaitingBytes int64 // bytes of their bodies
	InFlight     int   // permits given and not ended
	Invalid      Invalid
	Ban          Ban
	Tokens       []TokenStatus // ordered by Token
}

// Invalid is the budget of invalid requests.
type Invalid struct {
	Count int // in the last ten minutes
	Limit int
	Open  bool // calls are being refused to save the rest
}

// Ban is a ban of this process's address by Discord's edge.
type Ban struct {
	Active  bool
	Until   time.Time // when the next probe may go
	Strikes int       // bans in a row
}

// TokenStatus is the state of one token's limits.
type TokenStatus struct {
	Token   string
	Refused bool // Discord answered 401
	Waiting int
	Global  Global
	Buckets []Bucket // ordered by Route, Major
}

// Global is the limit over all routes of a token.
type Global struct {
	Limit       int       // calls a second; 0 = unlimited
	Used        int       // units that are in use now
	PausedUntil time.Time // end of a pause after a global 429; zero if none
}

// Bucket is a set of routes that are limited together.
type Bucket struct {
	Routes        []string // "METHOD template", ordered
	Major         string   // top-level resource without secrets
	Hash          string   // Discord's name of the bucket; empty if unknown
	Window        string   // "sliding", "fixed" or "unknown"
	Limit         int      // 0 if unknown
	Remaining     int      // calls that could go now
	Reset         time.Time
	BlockedUntil  time.Time // end of a wait after a 429; zero if none
	InFlight      int
	Waiting       int
	EstimatedWait time.Duration // until the last of the waiting calls may go, by this bucket alone
}

// Snapshot returns a copy of the limiter's state.
func (l *Limiter) Snapshot() Snapshot { return Snapshot{} }
