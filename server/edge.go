package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"time"

	"discordproxy/discord"
	"discordproxy/server/rpc"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// edge counts what a call costs and logs it once when it ends. Contents are
// logged at DEBUG only.
func edge(logger *slog.Logger) connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			began := time.Now()
			stats := new(discord.Stats)
			ctx = discord.WithStats(discord.WithCaller(ctx, callerOf(ctx)), stats)
			response, err := next(ctx, req)

			level, code := levelOf(err)
			if !logger.Enabled(ctx, level) {
				return response, err
			}
			target, id := targetOf(req.Any())
			attributes := []slog.Attr{
				slog.String("method", methodOf(req.Spec().Procedure)),
				slog.Uint64(target, id),
				slog.String("code", code),
				slog.Duration("took", time.Since(began)),
				slog.Duration("waited", stats.Waited()),
				slog.Duration("at_discord", stats.AtDiscord()),
				slog.Int("tries", stats.Tries()),
				slog.String("peer", rpc.Peer(ctx)),
				slog.String("protocol", req.Peer().Protocol),
				slog.String("request_id", rpc.RequestID(ctx)),
			}
			if err != nil {
				attributes = append(attributes, slog.String("error", causesOf(err)))
			}
			if logger.Enabled(ctx, slog.LevelDebug) {
				attributes = append(attributes, slog.Any("request", req.Any()))
			}
			logger.LogAttrs(ctx, level, "call", attributes...)
			return response, err
		}
	}
}

// levelOf returns how loudly the end of a call is logged, and its code.
func levelOf(err error) (slog.Level, string) {
	if err == nil {
		return slog.LevelInfo, "ok"
	}
	code := connect.CodeOf(err)
	switch code {
	case connect.CodeInternal, connect.CodeUnknown:
		if _, ok := errors.AsType[*discord.Error](err); !ok {
			return slog.LevelError, code.String()
		}
	case connect.CodeCanceled:
		return slog.LevelInfo, code.String()
	}
	return slog.LevelWarn, code.String()
}

// causesOf describes an error with what its caller is not told.
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
	return text
}

// callerOf names who shares fairly with the other callers: the peer's host,
// since many clients open a connection for each call.
func callerOf(ctx context.Context) string {
	peer := rpc.Peer(ctx)
	if host, _, err := net.SplitHostPort(peer); err == nil {
		return host
	}
	return peer
}

func methodOf(procedure string) string {
	return procedure[strings.LastIndexByte(procedure, '/')+1:]
}

// targetOf returns the name and value of the id that a request is about: the
// contract's requests begin with it.
func targetOf(request any) (string, uint64) {
	m, ok := request.(proto.Message)
	if !ok {
		return "id", 0
	}
	f := m.ProtoReflect().Descriptor().Fields().ByNumber(1)
	if f == nil || f.Kind() != protoreflect.Uint64Kind || f.IsList() {
		return "id", 0
	}
	return string(f.Name()), m.ProtoReflect().Get(f).Uint()
}
