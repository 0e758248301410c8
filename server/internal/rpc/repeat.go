package rpc

import (
	"context"
	"crypto/rand"
	"time"
)

// Repeat is how a call stays one call when it is made again at another server.
type Repeat struct {
	// Nonce names the call's message or delivery where its caller names none.
	Nonce string `json:"nonce,omitempty"`
	// Again reports whether another server may already have made the call.
	Again bool `json:"again,omitempty"`
	// Age is how long ago the connection to that server broke.
	Age time.Duration `json:"age,omitempty"`
}

// Opened returns the latest moment at which another server may have made the call, by
// this machine's clock. It is zero if none may have.
func (r Repeat) Opened() time.Time {
	if !r.Again {
		return time.Time{}
	}
	return time.Now().Add(-max(r.Age, 0))
}

// NewRepeat returns the Repeat of a call that was not made yet.
func NewRepeat() Repeat {
	const length = 25 // characters, the most that Discord takes
	return Repeat{Nonce: rand.Text()[:length]}
}

// MaybeMade is the text of the error of a call that another server may have made.
const MaybeMade = "the connection to the server that leads the bot broke; whether the call was made is not known"

type repeatKey struct{}

// WithRepeat returns a context for a call that may be repeated, or is a repetition.
func WithRepeat(ctx context.Context, r Repeat) context.Context {
	return context.WithValue(ctx, repeatKey{}, r)
}

// RepeatOf returns what WithRepeat was given.
func RepeatOf(ctx context.Context) Repeat {
	r, _ := ctx.Value(repeatKey{}).(Repeat)
	return r
}
