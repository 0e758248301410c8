package rpc

import (
	"context"
	"errors"
	"os"

	"connectrpc.com/connect"
)

// ErrShuttingDown is what calls and streams end with when the server shuts down. All
// of them share it: what is returned to a caller is a copy; see ShuttingDown and
// Interrupted.
var ErrShuttingDown error = ShuttingDown()

// ShuttingDown returns a new error like ErrShuttingDown, to which headers may be added.
func ShuttingDown() *connect.Error {
	return connect.NewError(connect.CodeUnavailable, errors.New("the proxy is shutting down"))
}

// Interrupted returns the error with which the server itself ended the call of ctx,
// such as a copy of ErrShuttingDown, and nil if it did not. That error is the cause of
// the context, see context.Cause.
func Interrupted(ctx context.Context) *connect.Error {
	cause, ok := errors.AsType[*connect.Error](context.Cause(ctx))
	if !ok {
		return nil
	}
	return connect.NewError(cause.Code(), errors.New(cause.Message()))
}

// ContextCode returns the code of a call that failed with err because a context or a
// connection's deadline ended. It reports false for all other errors, and for nil.
func ContextCode(err error) (code connect.Code, ended bool) {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return connect.CodeDeadlineExceeded, true
	case errors.Is(err, context.Canceled):
		return connect.CodeCanceled, true
	}
	return connect.CodeUnknown, false
}
