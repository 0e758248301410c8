package access

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/durationpb"
)

// ErrDenied is wrapped by every error of a call that was refused.
var ErrDenied = errors.New("not let through")

// refuse returns the error of a call that is not let through.
func refuse(code connect.Code, format string, args ...any) error {
	return connect.NewError(code, &denial{text: fmt.Sprintf(format, args...)})
}

// retryLater returns the error of a call that would be let through later.
func retryLater(code connect.Code, after time.Duration, format string, args ...any) error {
	err := connect.NewError(code, &denial{fmt.Sprintf(format, args...), after})
	if detail, failed := connect.NewErrorDetail(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)}); failed == nil {
		err.AddDetail(detail)
	}
	return err
}

type denial struct {
	text  string
	after time.Duration // until it would be let through; 0 is not known
}

func (d *denial) Error() string { return d.text }

func (d *denial) Is(target error) bool { return target == ErrDenied }

// quiet is an error that is too frequent to log each time.
type quiet struct{ error }

func (q quiet) Unwrap() error { return q.error }

// IsQuiet reports whether so many unknown clients have called from the address that this
// refusal should not be logged: an attacker could fill the log.
func IsQuiet(err error) bool {
	_, is := errors.AsType[quiet](err)
	return is
}

// Describe returns an error of this package in terms of HTTP: the status, and the time
// after which the call can be repeated, or 0 if that is not known.
func Describe(err error) (status int, retryAfter time.Duration) {
	if d, ok := errors.AsType[*denial](err); ok && d.after > 0 {
		return http.StatusTooManyRequests, d.after
	}
	switch connect.CodeOf(err) {
	case connect.CodeUnauthenticated:
		return http.StatusUnauthorized, 0
	case connect.CodePermissionDenied:
		return http.StatusForbidden, 0
	case connect.CodeInvalidArgument:
		return http.StatusBadRequest, 0
	case connect.CodeNotFound:
		return http.StatusNotFound, 0
	case connect.CodeResourceExhausted:
		return http.StatusTooManyRequests, time.Second
	case connect.CodeDeadlineExceeded:
		return http.StatusGatewayTimeout, 0
	}
	return http.StatusServiceUnavailable, 0
}
