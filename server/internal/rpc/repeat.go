package rpc

import (
	"context"
	"crypto/rand"
)

// Repeat is how a call stays one call when it is made again at another server.
type Repeat struct {
	// Nonce names the call's message where its caller names none.
	Nonce string `json:"nonce,omitempty"`
	// Again reports whether another server may already have made the call.
	Again bool `json:"again,omitempty"`
}

// NewRepeat returns the Repeat of a call that was not made yet.
func NewRepeat() Repeat {
	const length = 25 // characters, the most that Discord takes
	return Repeat{Nonce: rand.Text()[:length]}
}

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
