package message

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	command "discordproxy/cli"
	"discordproxy/client"

	"connectrpc.com/connect"
)

// failure is why a call failed: a sentence for people, and the facts for scripts.
type failure struct {
	text           string
	code           string // name of the status, such as permission_denied
	status         int    // of HTTP, of Discord's answer; 0 when Discord did not answer
	discordCode    int    // Discord's own, or 0 for none
	retryAfter     time.Duration
	outcomeUnknown bool
	exit           int
}

func (f *failure) Error() string { return f.text }

// ExitCode returns one of the codes that package cli names.
func (f *failure) ExitCode() int { return f.exit }

// report is the JSON form of an error.
type report struct {
	Message        string  `json:"message"`
	Code           string  `json:"code"`
	Status         int     `json:"status,omitempty"`
	DiscordCode    int     `json:"discord_code,omitempty"`
	RetryAfter     float64 `json:"retry_after,omitempty"` // seconds
	OutcomeUnknown bool    `json:"outcome_unknown,omitempty"`
	ExitCode       int     `json:"exit_code"`
}

// reportOf returns the JSON form of any error.
func reportOf(err error) any {
	r := report{Message: err.Error(), Code: "failed", ExitCode: command.ExitCode(err)}
	if r.ExitCode == command.ExitMisused {
		r.Code = "usage"
	}
	if f, ok := errors.AsType[*failure](err); ok {
		r.Code, r.Status, r.DiscordCode = f.code, f.status, f.discordCode
		r.RetryAfter, r.OutcomeUnknown = f.retryAfter.Seconds(), f.outcomeUnknown
	}
	return map[string]any{"error": r}
}

// reporting writes an error of the command in the format that args ask for, also
// when the other arguments are wrong.
func reporting(env command.Env, err error) error {
	format := ""
	for i, arg := range env.Args {
		if arg == "--" {
			break
		}
		for _, name := range []string{"--output", "-o"} {
			if arg == name && i+1 < len(env.Args) {
				format = env.Args[i+1]
			} else if value, ok := strings.CutPrefix(arg, name); ok && value != "" && (name == "-o" || value[0] == '=') {
				format = strings.TrimPrefix(value, "=")
			}
		}
	}
	if err == nil || format != "json" && format != "yaml" {
		return err
	}
	value, failed := plain(reportOf(err))
	if failed != nil {
		return err
	}
	data, failed := encode(format, value)
	if failed != nil {
		return err
	}
	_, _ = env.Err.Write(data)
	return command.Reported(err)
}

// failed returns the failure that an error of a call is.
func (r *request) failed(err error) error {
	_, bounded := r.ctx.Deadline()
	late, ofProxy := errors.AsType[*client.Error](err)
	switch {
	case r.ctx.Err() == context.Canceled:
		return &failure{
			text:           "interrupted; calls in progress may have taken effect",
			code:           connect.CodeCanceled.String(),
			outcomeUnknown: true,
			exit:           command.ExitFailed,
		}
	case r.ctx.Err() == context.DeadlineExceeded,
		// The proxy may report the end before it is noticed here.
		bounded && ofProxy && errors.Is(late, client.ErrTimeout) && late.OutcomeUnknown:
		return &failure{
			text:           "--timeout expired; calls in progress may have taken effect",
			code:           connect.CodeDeadlineExceeded.String(),
			outcomeUnknown: true,
			exit:           command.ExitTryAgain,
		}
	}
	if refused, ok := errors.AsType[*client.HTTPError](err); ok {
		return refusedByDiscord(refused)
	}
	f := &failure{text: oneLine(err.Error()), code: connect.CodeOf(err).String(), exit: exitCode(connect.CodeOf(err))}
	if ofProxy {
		f.retryAfter, f.outcomeUnknown = late.RetryAfter, late.OutcomeUnknown
	}
	if !connect.IsWireError(err) {
		r.notReached(f, err)
		return f
	}
	if connect.CodeOf(err) == connect.CodeUnauthenticated {
		f.text += "; see --key-file"
	}
	return f
}

// over reports whether the time that was given for a command is over, or the
// command was interrupted. The proxy may say so before it is noticed here.
func (r *request) over(err error) bool {
	_, bounded := r.ctx.Deadline()
	f, _ := errors.AsType[*failure](err)
	return r.ctx.Err() != nil || bounded && (errors.Is(err, client.ErrTimeout) || f != nil && f.code == connect.CodeDeadlineExceeded.String())
}

// exitCode returns the exit code for a status of the proxy's own.
func exitCode(code connect.Code) int {
	switch code {
	case connect.CodeUnauthenticated, connect.CodePermissionDenied:
		return command.ExitNotAllowed
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeResourceExhausted, connect.CodeAborted:
		return command.ExitTryAgain
	default:
		return command.ExitFailed
	}
}

// refusedByDiscord has Discord's own text, for an invalid form with each broken
// rule.
func refusedByDiscord(refused *client.HTTPError) *failure {
	text, rules, broken := strings.Cut(refused.Text, "\n")
	text = fmt.Sprintf("%s (HTTP %d, code %d)", text, refused.Status, refused.Code)
	if broken {
		text += ": " + rules
	}
	f := &failure{
		text: oneLine(text), code: connect.CodeOf(refused).String(), status: refused.Status, discordCode: refused.Code,
		retryAfter: refused.RetryAfter, outcomeUnknown: refused.OutcomeUnknown, exit: command.ExitFailed,
	}
	if refused.Status == http.StatusTooManyRequests || refused.Status >= http.StatusInternalServerError || refused.RetryAfter > 0 {
		f.exit = command.ExitTryAgain
	}
	return f
}

// notReached says in words why there is no answer of the proxy.
func (r *request) notReached(f *failure, err error) {
	reason := connectionError(err)
	failed, _ := errors.AsType[*net.OpError](err)
	switch {
	case failed != nil && failed.Op == "dial":
		f.text = fmt.Sprintf("cannot reach the proxy at %s: %s; see --host and --port", r.address, reason)
	case strings.Contains(reason, "certificate"), strings.HasPrefix(reason, "remote error"):
		f.text = fmt.Sprintf("cannot use TLS with the proxy at %s: %s; see --tls-ca and --tls-name", r.address, reason)
		f.exit = command.ExitFailed
	case r.secure && (strings.Contains(reason, "first record does not look like a TLS handshake") ||
		strings.Contains(reason, "gave HTTP response to HTTPS client")):
		f.text = fmt.Sprintf("the proxy at %s does not use TLS; leave out --tls", r.address)
		f.exit = command.ExitFailed
	case r.secure:
		f.text = fmt.Sprintf("the connection to the proxy at %s failed: %s", r.address, reason)
	default:
		f.text = fmt.Sprintf("the connection to the proxy at %s failed: %s; if the proxy speaks TLS, see --tls", r.address, reason)
	}
}

// connectionError is the cause of an error of a connection, without the names of
// the packages it went through.
func connectionError(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	text := oneLine(err.Error())
	for _, prefix := range []string{"tls: failed to verify certificate: ", "tls: ", "x509: ", "http2: ", "net/http: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	switch text {
	case "EOF", "unexpected EOF":
		return "the other side closed it"
	}
	return cmp.Or(text, "no reason is known")
}
