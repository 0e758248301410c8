// Package plainhttp provides what the handlers of plain HTTP requests, plain REST and
// incoming hooks, have in common.
package plainhttp

import (
	"context"
	"net/http"
	"time"

	"discordproxy/server/internal/calls"

	"connectrpc.com/connect"
)

// Refusal is the error of a request that a handler refuses by itself.
type Refusal struct {
	Status int
	Text   string
	After  time.Duration // until a repetition can succeed; 0 means unknown
}

func (r *Refusal) Error() string { return r.Text }

// Code returns the code of the call.
func (r *Refusal) Code() connect.Code {
	switch r.Status {
	case http.StatusUnauthorized:
		return connect.CodeUnauthenticated
	case http.StatusForbidden:
		return connect.CodePermissionDenied
	case http.StatusNotFound:
		return connect.CodeNotFound
	case http.StatusTooManyRequests:
		return connect.CodeResourceExhausted
	case http.StatusServiceUnavailable, http.StatusRequestTimeout, http.StatusBadGateway:
		return connect.CodeUnavailable
	}
	return connect.CodeInvalidArgument
}

// Ready returns nil if requests can be accepted, or else the reason, which is shown to
// callers. Nil means always.
type Ready func() error

// Refusal returns a Refusal with the reason, or nil.
func (r Ready) Refusal() error {
	if r == nil {
		return nil
	}
	if reason := r(); reason != nil {
		return &Refusal{Status: http.StatusServiceUnavailable, Text: reason.Error()}
	}
	return nil
}

// Trace begins to trace a request by its header. It returns the context within which the
// request is done, and what is to be called once, when the request has ended, with the call
// and the status of the answer. Nil means none.
type Trace func(context.Context, http.Header) (context.Context, func(*calls.Call, int))

// Begin begins the trace of a request.
func (t Trace) Begin(ctx context.Context, header http.Header) (context.Context, func(*calls.Call, int)) {
	if t == nil {
		return ctx, func(*calls.Call, int) {}
	}
	return t(ctx, header)
}
