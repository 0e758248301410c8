package calls

import (
	"context"
	"errors"
	"net/http"

	"discordproxy/discord"
	"discordproxy/server/internal/rpc"
	"discordproxy/server/internal/store"

	"connectrpc.com/connect"
)

// CodeOf returns the code of a call that failed with e. It is the only place
// that chooses one for Discord's errors.
func CodeOf(e *discord.Error) connect.Code {
	switch e.Reason {
	case discord.Answered, discord.Invalid:
		return codeOfHTTP(e.Status)
	case discord.DeadlineExceeded:
		return connect.CodeDeadlineExceeded
	case discord.Canceled:
		return connect.CodeCanceled
	case discord.Overloaded:
		return connect.CodeResourceExhausted
	case discord.TokenRefused:
		return connect.CodeUnauthenticated
	case discord.Revoked:
		return connect.CodePermissionDenied
	case discord.Withdrawn:
		return connect.CodeAborted
	default:
		return connect.CodeUnavailable
	}
}

// Status returns the error of a call, or of a request that did not become one, with the
// code that its caller gets. A *discord.Error has that of CodeOf. If something failed
// because the deadline has passed or the caller has disconnected, the error is that of
// the deadline or the caller: connect-go would report unknown or internal. All other
// *connect.Errors stay unchanged, and any other error is a bug.
func Status(ctx context.Context, err error) *connect.Error {
	e, ofDiscord := errors.AsType[*discord.Error](err)
	status, coded := errors.AsType[*connect.Error](err)
	switch {
	case coded && (ofDiscord || status.Code() != connect.CodeUnknown && status.Code() != connect.CodeInternal):
		return status
	case ofDiscord:
		return connect.NewError(CodeOf(e), err)
	}
	if status := statusOfOutbox(err); status != nil {
		return status
	}
	if code, text, ended := endOf(ctx, err); ended {
		return Failed(code, text, err)
	}
	if coded {
		return status
	}
	return Failed(connect.CodeInternal, "internal error", err)
}

// statusOfOutbox returns the error of the outbox's records, or nil for any other.
func statusOfOutbox(err error) *connect.Error {
	for _, known := range []struct {
		err  error
		code connect.Code
	}{
		{store.ErrOtherCall, connect.CodeAlreadyExists},
		{store.ErrTooLate, connect.CodeInvalidArgument},
		{store.ErrOutboxFull, connect.CodeResourceExhausted},
		{store.ErrNoDelivery, connect.CodeNotFound},
		{store.ErrInProgress, connect.CodeFailedPrecondition},
		{store.ErrEnded, connect.CodeFailedPrecondition},
		{store.ErrDelivered, connect.CodeFailedPrecondition},
		{store.ErrNotEnded, connect.CodeFailedPrecondition},
		{store.ErrReplaced, connect.CodeFailedPrecondition},
	} {
		if errors.Is(err, known.err) {
			return connect.NewError(known.code, known.err)
		}
	}
	for _, reason := range []error{store.ErrFull, store.ErrUnwritable, store.ErrCorrupt, store.ErrAway, store.ErrFenced, store.ErrClosed} {
		if errors.Is(err, reason) {
			return Failed(connect.CodeUnavailable, "the outbox cannot be written: "+reason.Error(), err)
		}
	}
	return nil
}

// Failed returns the error of a call that failed for a cause. The text is for the caller,
// the cause for the log.
func Failed(code connect.Code, text string, cause error) *connect.Error {
	return connect.NewError(code, &failure{text, cause})
}

type failure struct {
	text  string
	cause error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.cause }

// endOf reports whether the end of a context is why a call failed, and how its
// caller learns of it.
func endOf(ctx context.Context, err error) (code connect.Code, text string, ended bool) {
	if cause := rpc.Interrupted(ctx); cause != nil {
		return cause.Code(), cause.Message(), true
	}
	code, ended = rpc.ContextCode(errors.Join(ctx.Err(), err))
	text = "the caller left"
	if code == connect.CodeDeadlineExceeded {
		text = "deadline exceeded"
	}
	return code, text, ended
}

// StatusOfBody returns the error of a request whose body could not be read. A body that
// does not arrive in time is DEADLINE_EXCEEDED. A body that breaks off means that its
// caller has disconnected. More specific errors stay unchanged.
func StatusOfBody(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*connect.Error](err); ok {
		return err
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err // connect-go has a code for it
	}
	if code, text, ended := endOf(ctx, err); ended {
		return Failed(code, text, err)
	}
	return Failed(connect.CodeCanceled, "the request body was cut off", err)
}

// codeOfHTTP is the table that clients know: INVALID_ARGUMENT for 400 and 405,
// and so on. Statuses that are not in it have their nearest meaning.
func codeOfHTTP(status int) connect.Code {
	switch status {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return connect.CodeInvalidArgument
	case http.StatusUnauthorized:
		return connect.CodeUnauthenticated
	case http.StatusForbidden:
		return connect.CodePermissionDenied
	case http.StatusNotFound, http.StatusGone:
		return connect.CodeNotFound
	case http.StatusRequestTimeout:
		return connect.CodeUnavailable
	case http.StatusConflict:
		return connect.CodeAborted
	case http.StatusTooManyRequests:
		return connect.CodeResourceExhausted
	case http.StatusBadGateway:
		return connect.CodeUnavailable
	case http.StatusGatewayTimeout:
		return connect.CodeDeadlineExceeded
	}
	switch {
	case status >= 500:
		return connect.CodeInternal
	case status >= 400:
		return connect.CodeFailedPrecondition
	}
	return connect.CodeUnknown // a redirect: not Discord
}
