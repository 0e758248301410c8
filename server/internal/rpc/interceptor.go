package rpc

import (
	"context"

	"connectrpc.com/connect"
)

// Interceptor is a connect.Interceptor of handlers. Unary wraps calls with one
// request and one response, Stream all others; nil leaves them as they are.
type Interceptor struct {
	Unary  func(connect.UnaryFunc) connect.UnaryFunc
	Stream func(connect.StreamingHandlerFunc) connect.StreamingHandlerFunc
}

// Around returns an Interceptor that runs do for each call. next handles the
// call and returns its error; do returns the one that the call ends with.
func Around(do func(ctx context.Context, spec connect.Spec, next func() error) error) Interceptor {
	return Interceptor{
		Unary: func(next connect.UnaryFunc) connect.UnaryFunc {
			return func(ctx context.Context, req connect.AnyRequest) (res connect.AnyResponse, err error) {
				err = do(ctx, req.Spec(), func() (err error) {
					res, err = next(ctx, req)
					return err
				})
				if err != nil {
					return nil, err
				}
				return res, nil
			}
		},
		Stream: func(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
			return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
				return do(ctx, conn.Spec(), func() error { return next(ctx, conn) })
			}
		},
	}
}

// mapErrors returns an Interceptor that replaces the errors of calls.
func mapErrors(to func(context.Context, error) error) Interceptor {
	return Around(func(ctx context.Context, _ connect.Spec, next func() error) error {
		if err := next(); err != nil {
			return to(ctx, err)
		}
		return nil
	})
}

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
