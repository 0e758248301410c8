package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// Errors of calls that never got an answer of Discord, for errors.Is.
var (
	// ErrTimeout is a deadline that passed, or that a call's turn lies beyond.
	ErrTimeout = errors.New("timeout")
	// ErrUnavailable is a proxy or a Discord that cannot be reached, or not now.
	ErrUnavailable = errors.New("unavailable")
)

// FieldError is what is wrong with one field of an invalid form.
type FieldError struct {
	Field   string // path, such as embeds.0.description
	Code    string // name of the rule, such as BASE_TYPE_MAX_LENGTH
	Message string // the rule in words
}

// HTTPError is Discord's refusal of a call.
type HTTPError struct {
	Status int    // of HTTP
	Code   int    // Discord's own, 0 when it has none
	Text   string // Discord's, for an invalid form with a line for each broken rule
	Errors []FieldError
	// RetryAfter is how long to wait before the call can succeed, 0 when that is
	// not known.
	RetryAfter time.Duration
	// OutcomeUnknown says that the call may have taken effect.
	OutcomeUnknown bool

	status *connect.Error
}

func (e *HTTPError) Error() string {
	return fmt.Sprintf("Discord answered with HTTP status %d, code %d: %s", e.Status, e.Code, e.Text)
}

// Unwrap returns the *connect.Error that the call ended with.
func (e *HTTPError) Unwrap() error {
	if e.status == nil {
		return nil
	}
	return e.status
}

// Is reports whether target is an HTTPError with the same status and code,
// where 0 is any:
//
//	errors.Is(err, &client.HTTPError{Code: 10008})
func (e *HTTPError) Is(target error) bool {
	other, ok := target.(*HTTPError)
	return ok && (other.Status == 0 || other.Status == e.Status) && (other.Code == 0 || other.Code == e.Code)
}

// Error is what went wrong between the client and Discord. It is ErrTimeout,
// ErrUnavailable or neither.
type Error struct {
	Code connect.Code
	Text string
	// RetryAfter is how long to wait before the call can succeed, 0 when that is
	// not known.
	RetryAfter time.Duration
	// OutcomeUnknown says that the call may have taken effect.
	OutcomeUnknown bool

	status *connect.Error
}

func (e *Error) Error() string { return e.Code.String() + ": " + e.Text }

// Unwrap returns the *connect.Error that the call ended with.
func (e *Error) Unwrap() error {
	if e.status == nil {
		return nil
	}
	return e.status
}

// Is reports whether target names the kind of the error.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrTimeout:
		return e.Code == connect.CodeDeadlineExceeded
	case ErrUnavailable:
		return e.Code == connect.CodeUnavailable
	}
	return false
}

// translate returns the typed error for what a call ended with. left says that its
// caller does not wait any more.
func translate(err error, left bool) error {
	status, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return err
	}
	if !left {
		status = severed(status)
	}
	detail, told := discordError(status)
	retryAfter := detail.GetRetryAfter().AsDuration()
	var document struct {
		Type   string `json:"type"`
		Status int    `json:"status"`
		Code   int    `json:"code"`
		Text   string `json:"text"`
	}
	if json.Unmarshal([]byte(status.Message()), &document) != nil || document.Type != "HTTPException" {
		return &Error{
			Code: status.Code(), Text: status.Message(), RetryAfter: retryAfter,
			OutcomeUnknown: detail.GetOutcomeUnknown() || !told && lost(status), status: status,
		}
	}
	e := &HTTPError{
		Status: document.Status, Code: document.Code, Text: document.Text,
		RetryAfter: retryAfter, OutcomeUnknown: detail.GetOutcomeUnknown(), status: status,
	}
	for _, f := range detail.GetErrors() {
		e.Errors = append(e.Errors, FieldError{Field: f.GetField(), Code: f.GetCode(), Message: f.GetMessage()})
	}
	return e
}

// severed returns the status of a call whose connection was lost, UNAVAILABLE, and any
// other as it is. connect-go reports some of these as canceled, as unknown, or as an
// answer that breaks the protocol.
func severed(status *connect.Error) *connect.Error {
	if connect.IsWireError(status) {
		return status
	}
	cause := status.Unwrap()
	lost := false
	switch status.Code() {
	case connect.CodeCanceled:
		lost = true
	case connect.CodeUnknown, connect.CodeInternal:
		_, network := errors.AsType[*net.OpError](cause)
		// net/http does not export the errors of its HTTP/2 connections.
		lost = network || errors.Is(cause, io.ErrUnexpectedEOF) || strings.Contains(cause.Error(), "http2: ")
	}
	if lost {
		return connect.NewError(connect.CodeUnavailable, fmt.Errorf("the connection was lost: %w", cause))
	}
	return status
}

// discordError finds the typed detail of a status, and whether there is one.
func discordError(status *connect.Error) (*pb.DiscordError, bool) {
	for _, d := range status.Details() {
		if value, err := d.Value(); err == nil {
			if detail, ok := value.(*pb.DiscordError); ok {
				return detail, true
			}
		}
	}
	return nil, false
}
