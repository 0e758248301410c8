package hooks

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/plainhttp"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
)

var errUnknown = &plainhttp.Refusal{Status: http.StatusNotFound, Text: "there is no hook of this name: see the file of --hooks-file"}

// answer is a status with a body that becomes JSON.
type answer struct {
	status int
	body   any
	code   string // of the call
	after  time.Duration
}

// failure is the body of an answer to a request that failed.
type failure struct {
	Message string `json:"message"`
	// Code is Discord's own code, or 0 when the answer is not Discord's.
	Code int `json:"code"`
	// Errors are the fields that Discord refused.
	Errors []fieldFailure `json:"errors,omitempty"`
}

type fieldFailure struct {
	Field   string `json:"field"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// refuse returns the answer to a request that failed.
func refuse(ctx context.Context, err error) answer {
	if r, ok := errors.AsType[*plainhttp.Refusal](err); ok {
		return answer{r.Status, failure{Message: r.Text}, r.Code().String(), r.After}
	}
	if errors.Is(err, access.ErrDenied) {
		status, after := access.Describe(err)
		return answer{status, failure{Message: rpc.Text(err)}, connect.CodeOf(err).String(), after}
	}
	e, ok := errors.AsType[*discord.Error](err)
	if !ok {
		status := calls.Status(ctx, err)
		http := http.StatusServiceUnavailable
		switch status.Code() {
		case connect.CodeInternal:
			http = 500
		case connect.CodeDeadlineExceeded:
			http = 504
		}
		return answer{http, failure{Message: status.Message()}, status.Code().String(), 0}
	}
	f := failure{Message: e.Error(), Code: e.Code}
	if e.Reason == discord.Answered || e.Reason == discord.Invalid {
		f.Message = "Discord refused the message: " + e.Text
		for _, field := range e.Fields {
			f.Errors = append(f.Errors, fieldFailure{field.Field, field.Code, field.Message})
		}
	}
	return answer{statusOf(e), f, calls.CodeOf(e).String(), e.RetryAfter}
}

// statusOf chooses the HTTP status of a message that was not sent. Tools repeat
// what a 5xx or 429 answers and drop what any other 4xx does. A 401 would say
// that the caller needs another secret, which is not so.
func statusOf(e *discord.Error) int {
	status := calls.HTTPStatusOf(e)
	switch isAnswer := e.Reason == discord.Answered || e.Reason == discord.Invalid; {
	case isAnswer && (status == http.StatusUnauthorized || status >= 500 || status < 400):
		return http.StatusBadGateway
	case e.Reason == discord.TokenRefused:
		return http.StatusServiceUnavailable
	}
	return status
}

func write(w http.ResponseWriter, r *http.Request, a answer) {
	data, err := quote(a.body)
	if err != nil {
		// The bodies are of this package, and what is in them was JSON before.
		a.status, data = http.StatusInternalServerError, `{"message":"internal error","code":0}`
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(data)+1))
	header.Set("Cache-Control", "no-store")
	if a.status == http.StatusMethodNotAllowed {
		header.Set("Allow", http.MethodPost)
	}
	if a.after > 0 {
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(a.after.Seconds()))))
	}
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		// It fails only when the caller is gone.
		_, _ = io.WriteString(w, data+"\n")
	}
}
