package calls

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"discordproxy/discord"
	"discordproxy/server/internal/refusals"

	"connectrpc.com/connect"
)

// Log returns an observer that writes one line for each call. Contents are
// logged at DEBUG only.
func Log(logger *slog.Logger) Observer { return logs{logger} }

type logs struct{ logger *slog.Logger }

func (l logs) Ended(ctx context.Context, c *Call) {
	level := c.level()
	if !l.logger.Enabled(ctx, level) {
		return
	}
	attributes := []slog.Attr{slog.String("method", c.Method)}
	if c.OddID != "" {
		attributes = append(attributes, slog.String(c.Target, c.OddID))
	} else if c.Target != "" {
		attributes = append(attributes, slog.Uint64(c.Target, c.ID))
	}
	attributes = append(attributes,
		slog.String("code", c.Code),
		slog.Duration("took", c.Took),
		slog.Duration("waited", c.Waited),
		slog.Duration("at_discord", c.AtDiscord),
		slog.Int("tries", c.Tries),
		slog.String("peer", c.Peer),
		slog.String("protocol", c.Protocol),
		slog.String("request_id", c.RequestID),
	)
	if c.Stream {
		attributes = append(attributes, slog.Int("sent", c.Sent))
	}
	if c.Key {
		attributes = append(attributes, slog.String("caller", c.Caller))
	}
	if c.Err != nil {
		attributes = append(attributes, slog.String("error", causesOf(c.Err)))
	}
	if c.Request != nil && l.logger.Enabled(ctx, slog.LevelDebug) {
		attributes = append(attributes, slog.Any("request", c.Request))
	}
	l.logger.LogAttrs(ctx, level, "call", attributes...)
}

// level says how loudly the end of a call is logged.
func (c *Call) level() slog.Level {
	switch c.Code {
	case OK, connect.CodeCanceled.String():
		switch c.Method {
		case "GetFleet", "GetHistory", "GetNames", "ListWaiting":
			return slog.LevelDebug // the dashboard asks all the time
		}
		return slog.LevelInfo
	case connect.CodeInternal.String(), connect.CodeUnknown.String():
		if _, ok := errors.AsType[*discord.Error](c.Err); !ok {
			return slog.LevelError
		}
	}
	return slog.LevelWarn
}

// Limited returns an observer for calls that anyone may make, such as health
// checks. It passes on as many calls of a network as refusals.Log allows, so
// that they cannot fill a log or an audit file.
func Limited(observers Observers) Observer { return limited{observers, refusals.NewLog()} }

type limited struct {
	observers Observers
	lines     *refusals.Log
}

func (l limited) Ended(ctx context.Context, c *Call) {
	if allowed, _ := l.lines.Allow(c.Peer); !allowed {
		return
	}
	for _, observer := range l.observers {
		observer.Ended(ctx, c)
	}
}

// maxCauses limits what a line says of an error, in characters: its parts may
// quote a request.
const maxCauses = 2000

// causesOf describes an error with the causes that its caller does not see.
func causesOf(err error) string {
	if e, ok := errors.AsType[*discord.Error](err); ok {
		err = e
	}
	text := err.Error()
	for cause := errors.Unwrap(err); cause != nil; cause = errors.Unwrap(cause) {
		if s := cause.Error(); !strings.Contains(text, s) {
			text += ": " + s
		}
	}
	return fmt.Sprintf("%.*s", maxCauses, text)
}
