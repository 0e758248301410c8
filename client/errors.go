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

// Errors of calls without a response from Discord, for use with errors.Is.
var (
	// ErrTimeout means that the deadline has passed, or that Discord's rate limits
	// allow the call only after the deadline.
	ErrTimeout = errors.New("timeout")
	// ErrUnavailable means that the proxy or Discord cannot be reached, or is
	// temporarily unable to take calls.
	ErrUnavailable = errors.New("unavailable")
)

// FieldError is an error of one field of the request, as Discord reports it.
type FieldError struct {
	Field   string // path, such as embeds.0.description
	Code    string // name of the rule, such as BASE_TYPE_MAX_LENGTH
	Message string // the error as text
}

// HTTPError is an error response from Discord.
type HTTPError struct {
	Status int    // HTTP status
	Code   int    // Discord's error code, or 0 if there is none
	Text   string // Discord's text; for an invalid form, with a line for each broken rule
	Errors []FieldError
	// RetryAfter is how long to wait until the call can succeed, or 0 if unknown.
	RetryAfter time.Duration
	// OutcomeUnknown reports whether the call may have taken effect.
	OutcomeUnknown bool

	status *connect.Error
}

func (e *HTTPError) Error() string {
	return fmt.Sprintf("Discord answered with HTTP status %d, code %d: %s", e.Status, e.Code, e.Text)
}

// Unwrap returns the call's *connect.Error.
func (e *HTTPError) Unwrap() error {
	if e.status == nil {
		return nil
	}
	return e.status
}

// Is reports whether target is an HTTPError with the same status and code. A 0 in
// target matches any status or code:
//
//	errors.Is(err, &client.HTTPError{Code: 10008})
func (e *HTTPError) Is(target error) bool {
	other, ok := target.(*HTTPError)
	return ok && (other.Status == 0 || other.Status == e.Status) && (other.Code == 0 || other.Code == e.Code)
}

// Error is the error of a call that got no response from Discord. It matches
// ErrTimeout, ErrUnavailable or neither.
type Error struct {
	Code connect.Code
	Text string
	// RetryAfter is how long to wait until the call can succeed, or 0 if unknown.
	RetryAfter time.Duration
	// OutcomeUnknown reports whether the call may have taken effect.
	OutcomeUnknown bool

	status *connect.Error
}

func (e *Error) Error() string { return e.Code.String() + ": " + e.Text }

// Unwrap returns the call's *connect.Error.
func (e *Error) Unwrap() error {
	if e.status == nil {
		return nil
	}
	return e.status
}

// Is reports whether target is the error's kind: ErrTimeout or ErrUnavailable.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrTimeout:
		return e.Code == connect.CodeDeadlineExceeded
	case ErrUnavailable:
		return e.Code == connect.CodeUnavailable
	}
	return false
}

// translate returns the typed error for the error of a call. left reports whether the
// caller has stopped waiting.
func translate(err error, left bool) error {
	status, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return err
	}
	if !left {
		status = severed(status)
	}
	detail, detailed := discordError(status)
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
			OutcomeUnknown: detail.GetOutcomeUnknown() || !detailed && lost(status), status: status,
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

// severed returns UNAVAILABLE for the status of a call whose connection was lost, and
// any other status unchanged. connect-go reports some of these as canceled, as unknown,
// or as a response that violates the protocol.
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

// discordError returns the typed detail of a status, if there is one.
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
