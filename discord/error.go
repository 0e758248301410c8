package discord

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"discordproxy/discord/ratelimit"
)

// Reason is why a call failed: who refused it, or why it did not reach Discord.
type Reason int

const (
	// Answered: Discord answered with an error status.
	Answered Reason = iota
	// Invalid: the call was not sent because Discord would refuse it. Status,
	// Code and Text are what Discord would have answered.
	Invalid
	// Unreachable: no answer came from Discord.
	Unreachable
	// DeadlineExceeded: the answer did not come, or could not have come,
	// before the caller's deadline.
	DeadlineExceeded
	// Canceled: the caller left.
	Canceled
	// Overloaded: too many calls wait already, or with too many other tokens.
	Overloaded
	// Banned: Discord refuses every call from this address.
	Banned
	// BudgetSpent: one more refused call would get this address banned.
	BudgetSpent
	// TokenRefused: Discord has refused the bot's token.
	TokenRefused
	// ShuttingDown: the process ends.
	ShuttingDown
	// Revoked: the caller lost the right to the call before it was sent.
	Revoked
	// Withdrawn: somebody else cancelled the call before it was sent, see
	// Client.CancelWaiting.
	Withdrawn
	// MayNotSend: Config.MayNotSend kept the call from being sent.
	MayNotSend
	// TooLate: an attempt may have taken effect, and Discord would not certainly recognize
	// the next one as a repetition.
	TooLate
)

// Discord's error codes that decide what is done next.
// https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
const (
	CodeUnknownMessage   = 10008
	CodeSystemMessage    = 50021
	codeUnknownChannel   = 10003
	codeUnknownEmoji     = 10014
	codeCannotSend       = 50007
	codeInvalidRecipient = 50033
	codeNoMutualGuilds   = 50278
)

// Error is a call to Discord that failed.
type Error struct {
	// Reason is the reason of the failure. Status, Code, Text and Fields are set if
	// Discord answered, or would have answered. With DeadlineExceeded, they are those of
	// the 429 whose wait is too long.
	Reason Reason
	// Status is the HTTP status.
	Status int
	// Code is Discord's code, or 0 for general errors.
	Code int
	// Text is Discord's message.
	Text string
	// Fields are the violations of an invalid form.
	Fields []FieldError
	// RetryAfter is how long to wait before the call can succeed, or 0 when
	// that is not known.
	RetryAfter time.Duration
	// Limit is the scope of the rate limit that the call was waiting for when it failed,
	// by Discord's names: ScopeUser, ScopeGlobal or ScopeShared. Empty if it was waiting
	// for none.
	Limit string
	// OutcomeUnknown: the call may have taken effect.
	OutcomeUnknown bool
	// cause is for logs only.
	cause error
}

// Discord's scopes of rate limits.
// https://discord.com/developers/docs/topics/rate-limits#header-format
const (
	ScopeUser   = "user"   // of a route
	ScopeGlobal = "global" // of all routes together
	ScopeShared = "shared" // of a resource, over all who use it
)

// FieldError is a rule that one field of a form broke.
type FieldError struct {
	Field   string // path, such as embeds.0.description
	Code    string // name of the rule, such as BASE_TYPE_MAX_LENGTH
	Message string // the rule in words
}

// maxFieldsShown bounds the broken rules in a line of the log.
const maxFieldsShown = 5

// Error describes the failure without secrets and without contents.
func (e *Error) Error() string {
	var b strings.Builder
	switch e.Reason {
	case Answered, Invalid:
		if e.Reason == Invalid {
			b.WriteString("not sent, Discord would answer ")
		} else {
			b.WriteString("Discord answered ")
		}
		b.WriteString(strconv.Itoa(e.Status))
		if e.Code != 0 {
			b.WriteString(" (code " + strconv.Itoa(e.Code) + ")")
		}
		b.WriteString(": " + e.Text)
		// The rules in words may quote what the form held.
		for i, f := range e.Fields {
			if i == maxFieldsShown {
				fmt.Fprintf(&b, "; and %d more", len(e.Fields)-i)
				break
			}
			b.WriteString("; " + f.Field + " " + f.Code)
		}
	case Unreachable:
		b.WriteString("Discord cannot be reached")
	case DeadlineExceeded:
		b.WriteString("deadline exceeded")
		if e.Status != 0 {
			b.WriteString("; Discord answered " + strconv.Itoa(e.Status) + ": " + e.Text)
		}
	case Canceled:
		b.WriteString("the caller left")
	case Overloaded:
		if held, ok := errors.AsType[*ratelimit.Error](e.cause); ok && held.Reason == ratelimit.TooManyTokens {
			b.WriteString("calls with too many other tokens are in progress")
		} else {
			b.WriteString("too many calls are waiting")
		}
	case Banned:
		b.WriteString("Discord refuses all calls from this address")
	case BudgetSpent:
		b.WriteString("refused, because one more invalid request could get this address banned")
	case TokenRefused:
		b.WriteString("Discord refuses the bot's token")
	case ShuttingDown:
		b.WriteString("the proxy is shutting down")
	case Revoked:
		b.WriteString("the client lost the right to this call while it waited")
	case MayNotSend:
		b.WriteString("the server could not renew its lease of the bot in the database, so another server may have it")
	case TooLate:
		b.WriteString("too late for another attempt: Discord recognizes a repeated message for only a few minutes")
	case Withdrawn:
		b.WriteString("an operator cancelled this call while it waited")
	}
	if e.RetryAfter > 0 {
		b.WriteString("; retry after " + e.RetryAfter.Round(time.Millisecond).String())
	}
	if e.OutcomeUnknown {
		b.WriteString("; outcome unknown: the call may have taken effect")
	}
	return b.String()
}

// Unwrap returns the cause. It may contain addresses, so it must not be shown to clients.
func (e *Error) Unwrap() error { return e.cause }

// Lines returns Discord's text with a line for each field that broke a rule:
//
//	Invalid Form Body
//	In content: Must be 2000 or fewer in length.
func (e *Error) Lines() string {
	if len(e.Fields) == 0 {
		return e.Text
	}
	var b strings.Builder
	b.WriteString(e.Text)
	for i, f := range e.Fields {
		if i > 0 && f.Field == e.Fields[i-1].Field {
			b.WriteString(" " + f.Message)
			continue
		}
		b.WriteString("\nIn " + f.Field + ": " + f.Message)
	}
	return b.String()
}

// InvalidForm returns the error with which Discord refuses an invalid form, for a form
// that was not sent.
func InvalidForm(fields ...FieldError) *Error {
	return &Error{Reason: Invalid, Status: http.StatusBadRequest, Code: 50035, Text: "Invalid Form Body", Fields: fields}
}

// EmptyMessage returns the error with which Discord refuses an empty message.
func EmptyMessage() *Error {
	return &Error{Reason: Invalid, Status: http.StatusBadRequest, Code: 50006, Text: "Cannot send an empty message"}
}

// TooLarge returns the error with which Discord refuses a file that is too large.
func TooLarge(fields ...FieldError) *Error {
	return &Error{Reason: Invalid, Status: http.StatusRequestEntityTooLarge, Code: 40005, Text: "Request entity too large", Fields: fields}
}

// answerError reads the error that Discord answered with. Of a body that is not
// JSON, such as one of the network before it, plain text becomes the error's
// text. A page, and JSON without a message, give the status alone.
func answerError(status int, header http.Header, body []byte) *Error {
	e := &Error{Reason: Answered, Status: status, Text: plainText(status, body)}
	var document struct {
		Code    json.Number     `json:"code"`
		Message string          `json:"message"`
		Errors  json.RawMessage `json:"errors"`
	}
	if json.Unmarshal(body, &document) == nil && document.Message != "" {
		e.Text = cut(document.Message, maxErrorText)
		if code, err := strconv.Atoi(document.Code.String()); err == nil {
			e.Code = code
		}
		e.Fields = fieldErrors(nil, "", document.Errors, 0)
	}
	limited := status == http.StatusTooManyRequests
	if limited || serverFailed(status) {
		e.RetryAfter, _ = ratelimit.RetryAfter(header)
	}
	if limited {
		e.Limit = cut(cmp.Or(header.Get("X-Ratelimit-Scope"), ScopeUser), maxFieldCode)
		e.RetryAfter = cmp.Or(ratelimit.ParseBody(body).RetryAfter, e.RetryAfter)
	}
	return e
}

// plainText returns the text of a body that is not JSON, or that of the status
// for a page, and for a body that is empty or not text.
func plainText(status int, body []byte) string {
	text := bytes.TrimSpace(body)
	isText := len(text) > 0 && text[0] != '<' && !json.Valid(text) && utf8.Valid(text) &&
		!bytes.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) })
	if !isText {
		return http.StatusText(status)
	}
	return cut(string(text), maxErrorText)
}

// Limits on what is kept of an error; those of texts are in bytes. Errors are logged,
// kept for the dashboard and sent to callers.
const (
	maxErrorText    = 2000
	maxFieldErrors  = 50
	maxFieldDepth   = 16
	maxFieldPath    = 200
	maxFieldCode    = 100
	maxFieldMessage = 1000
)

// cut returns the first bytes of s, at most limit of them and an ellipsis. It
// cuts between characters and copies what it keeps, so that s can be freed.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	end := limit
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}

// fieldErrors walks the tree of nested objects in which Discord says what is
// wrong with a form. Fields keep their order in the answer.
func fieldErrors(found []FieldError, path string, raw json.RawMessage, depth int) []FieldError {
	var tree map[string]json.RawMessage
	if depth > maxFieldDepth || len(found) >= maxFieldErrors || json.Unmarshal(raw, &tree) != nil {
		return found
	}
	if own, ok := tree["_errors"]; ok {
		var rules []struct {
			Code    json.RawMessage `json:"code"`
			Message string          `json:"message"`
		}
		if json.Unmarshal(own, &rules) == nil {
			for _, rule := range rules {
				if len(found) < maxFieldErrors {
					found = append(found, FieldError{
						Field: path, Code: cut(strings.Trim(string(rule.Code), `"`), maxFieldCode), Message: cut(rule.Message, maxFieldMessage),
					})
				}
			}
		}
		delete(tree, "_errors")
	}
	for _, name := range namesIn(raw) {
		if _, isField := tree[name]; !isField {
			continue // "_errors", or a name that was there before
		}
		below := name
		if path != "" {
			below = path + "." + name
		}
		found = fieldErrors(found, cut(below, maxFieldPath), tree[name], depth+1)
		delete(tree, name)
	}
	return found
}

// namesIn returns the names of a valid JSON object in their order.
func namesIn(object json.RawMessage) (names []string) {
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		return nil
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return names
		}
		if name, ok := name.(string); ok {
			names = append(names, name)
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return names
		}
	}
	return names
}

// limitedBy returns the error of a call whose deadline is before the end of the limit
// that Discord's answer reports. For a 429 the reason is that of e, so that the error
// is the same as that of a call that was never sent.
func (e *Error) limitedBy(answer *Error) *Error {
	answer.RetryAfter = max(answer.RetryAfter, e.RetryAfter)
	if answer.Status == http.StatusTooManyRequests {
		answer.Reason, answer.cause = e.Reason, e.cause
	}
	return answer
}

// ContextError returns the error of a caller whose context has ended: Canceled, or
// DeadlineExceeded.
func ContextError(ctx context.Context) *Error {
	cause := context.Cause(ctx)
	reason := Canceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		reason = DeadlineExceeded
	}
	return &Error{Reason: reason, cause: cause}
}

// refusal is the error of a call that the rate limiter did not let through.
func refusal(ctx context.Context, err error) *Error {
	e, ok := errors.AsType[*ratelimit.Error](err)
	if !ok {
		switch {
		case errors.Is(err, errRevoked):
			return &Error{Reason: Revoked}
		case errors.Is(err, errWithdrawn):
			return &Error{Reason: Withdrawn}
		case errors.Is(err, errTooLate):
			return &Error{Reason: TooLate}
		case ctx.Err() == nil:
			return &Error{Reason: Unreachable, cause: err}
		}
		failure := ContextError(ctx)
		if failure.Reason == DeadlineExceeded {
			failure.Limit = ScopeUser
		}
		return failure
	}
	failure := &Error{Reason: refusals[e.Reason], RetryAfter: e.RetryAfter, cause: err}
	switch e.Reason {
	case ratelimit.RouteRefused:
		failure.Status, failure.Text = http.StatusUnauthorized, "401: Unauthorized"
	case ratelimit.WebhookGone:
		failure.Status, failure.Code, failure.Text = http.StatusNotFound, ratelimit.CodeUnknownWebhook, "Unknown Webhook"
	}
	if failure.Reason == DeadlineExceeded {
		failure.Limit = ScopeUser
		if e.Global {
			failure.Limit = ScopeGlobal
		}
	}
	return failure
}

var refusals = map[ratelimit.Reason]Reason{
	ratelimit.DeadlineTooEarly: DeadlineExceeded,
	ratelimit.QueueFull:        Overloaded,
	ratelimit.TooManyTokens:    Overloaded,
	ratelimit.Banned:           Banned,
	ratelimit.BudgetSpent:      BudgetSpent,
	ratelimit.TokenRefused:     TokenRefused,
	ratelimit.RouteRefused:     Invalid,
	ratelimit.WebhookGone:      Invalid,
	ratelimit.Closed:           ShuttingDown,
}
