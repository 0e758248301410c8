package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"discordproxy/discord"

	"github.com/coder/websocket"
)

// failure is the reason why a connection ended. The text may be shown to anyone: it
// reaches subscribers, the dashboard and /readyz. The cause is for the log.
type failure struct {
	reason string
	cause  error
}

func (f *failure) Error() string {
	if f.cause == nil {
		return f.reason
	}
	return f.reason + ": " + f.cause.Error()
}

func (f *failure) Unwrap() error { return f.cause }

// Why a connection ended, next to what the network and the close code say.
var (
	errReconnect      = &failure{reason: "Discord asked for another connection"}
	errSessionInvalid = &failure{reason: "Discord does not know the session"}
	errSessionRefused = &failure{reason: "Discord refused the session for now"}
	errNoHello        = &failure{reason: "Discord did not greet the connection"}
	errNotReady       = &failure{reason: "Discord did not begin or resume the session"}
	errNoACK          = &failure{reason: "Discord did not acknowledge a heartbeat and sent nothing else"}
	errRenewed        = &failure{reason: "another session begins"}
	errShutDown       = &failure{reason: "Discord did not close the connection in time"}
)

// reasonOf says in words why a connection ended.
func reasonOf(err error) string {
	if closed, ok := errors.AsType[websocket.CloseError](err); ok {
		if closed.Reason == "" {
			return fmt.Sprintf("Discord closed the connection with code %d", closed.Code)
		}
		// A reason of Discord's is at most 123 bytes of any content.
		return fmt.Sprintf("Discord closed the connection with code %d %.100q", closed.Code, closed.Reason)
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f.reason
	}
	return "the connection to Discord broke"
}

func closeCodeOf(err error) websocket.StatusCode { return websocket.CloseStatus(err) }

// unreachable says why a connection could not be made.
func unreachable(err error) error {
	why := "Discord's gateway cannot be reached"
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	_, unresolved := errors.AsType[*net.DNSError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		why = fmt.Sprintf("Discord's gateway did not answer within %s", dialTimeout)
	case unresolved:
		why += ": its name cannot be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		why += ": the connection was refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		why += ": the connection was reset"
	case strings.Contains(err.Error(), "handshake response status code"):
		why = "Discord's gateway did not accept the connection"
	case strings.Contains(err.Error(), "tls: "), strings.Contains(err.Error(), "x509: "):
		why += ": its certificate or TLS is not valid"
	}
	return &failure{why, err}
}

// unlocated says why the gateway's address is not known.
func unlocated(err error) error {
	why := "Discord's API did not say where the gateway is"
	if refused, ok := errors.AsType[*discord.Error](err); ok && refused.Status > 0 {
		why += fmt.Sprintf(": it answered with status %d", refused.Status)
	}
	return &failure{why, err}
}
