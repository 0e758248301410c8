package rpc

import (
	"context"
	"log/slog"
	"net/http"
	"slices"

	"connectrpc.com/connect"
)

// Interceptor is a connect.Interceptor of handlers. Unary wraps calls with one
// request and one response, Stream all others; nil leaves them as they are.
type Interceptor struct {
	Unary  func(connect.UnaryFunc) connect.UnaryFunc
	Stream func(connect.StreamingHandlerFunc) connect.StreamingHandlerFunc
}

// Chain returns an Interceptor that applies several, the first outermost. Connect-go
// looks into the context between any two of its own list, which costs each call time
// and stack; for it, a chain is one.
func Chain(interceptors ...connect.Interceptor) Interceptor {
	return Interceptor{
		Unary: func(next connect.UnaryFunc) connect.UnaryFunc {
			for _, i := range slices.Backward(interceptors) {
				next = i.WrapUnary(next)
			}
			return next
		},
		Stream: func(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
			for _, i := range slices.Backward(interceptors) {
				next = i.WrapStreamingHandler(next)
			}
			return next
		},
	}
}

// Around returns an Interceptor that calls before ahead of each call, which it refuses
// with the error, and has after replace the error of a call that failed.
func Around(before func(procedure string) error, after func(context.Context, error) error) Interceptor {
	return Interceptor{
		Unary: func(next connect.UnaryFunc) connect.UnaryFunc {
			return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
				if err := before(procedureOf(req)); err != nil {
					return nil, err
				}
				res, err := next(ctx, req)
				if err != nil {
					return nil, after(ctx, err)
				}
				return res, nil
			}
		},
		Stream: func(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
			return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
				if err := before(procedureOf(conn)); err != nil {
					return err
				}
				if err := next(ctx, conn); err != nil {
					return after(ctx, err)
				}
				return nil
			}
		},
	}
}

// settle returns an Interceptor that makes a panic an error and a line in the log,
// and replaces the errors of calls, those of panics included.
func settle(logger *slog.Logger, replace func(context.Context, error) error) Interceptor {
	recovered := func(ctx context.Context, of described, value any, err error) error {
		if value == http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
			panic(value)
		}
		if value != nil {
			err = Panicked(ctx, logger, procedureOf(of), value)
		}
		if err == nil {
			return nil
		}
		return replace(ctx, err)
	}
	return Interceptor{
		Unary: func(next connect.UnaryFunc) connect.UnaryFunc {
			return func(ctx context.Context, req connect.AnyRequest) (res connect.AnyResponse, err error) {
				defer func() { err = recovered(ctx, req, recover(), err) }()
				return next(ctx, req)
			}
		},
		Stream: func(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
			return func(ctx context.Context, conn connect.StreamingHandlerConn) (err error) {
				defer func() { err = recovered(ctx, conn, recover(), err) }()
				return next(ctx, conn)
			}
		},
	}
}

// described is a request or a stream.
type described interface{ Spec() connect.Spec }

// procedureOf keeps the Spec, which is large, off the stack of those who wait.
//
//go:noinline
func procedureOf(d described) string { return d.Spec().Procedure }

// WrapUnary implements connect.Interceptor.
func (i Interceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	if i.Unary == nil {
		return next
	}
	return i.Unary(next)
}

// WrapStreamingHandler implements connect.Interceptor.
func (i Interceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	if i.Stream == nil {
		return next
	}
	return i.Stream(next)
}

// WrapStreamingClient implements connect.Interceptor.
func (Interceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}
