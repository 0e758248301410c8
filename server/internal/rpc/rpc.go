// Package rpc provides what every Connect service of this server needs: codecs,
// message limits, panic recovery, bounded error texts and request IDs.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"connectrpc.com/connect"
)

const (
	// DefaultMaxMessageBytes bounds one message, as sent and decompressed.
	DefaultMaxMessageBytes = 4 << 20

	// DefaultCompressMinBytes is the size below which an answer is not worth
	// compressing: small gzip answers cost about a third of the throughput.
	DefaultCompressMinBytes = 1024
)

// internalErrorText is all that a caller learns about a bug; the cause goes to
// the log.
const internalErrorText = "internal error"

// Config holds the options that services share. The zero value is usable.
type Config struct {
	// Logger receives one line with the stack for every panic.
	// Nil means slog.Default().
	Logger *slog.Logger

	// MaxMessageBytes bounds a received message, also after decompression, so
	// that a gzip bomb ends there. Zero means DefaultMaxMessageBytes.
	MaxMessageBytes int

	// LargeMessages returns the bound for the received messages of a method
	// where that is larger than MaxMessageBytes, else 0. Nil means never.
	LargeMessages func(connect.Spec) int

	// Status gives the errors of handlers, and those of connect-go within
	// streams, their code. Nil leaves them as they are.
	Status func(context.Context, error) *connect.Error

	// CompressMinBytes is the size from which answers are compressed for
	// clients that accept it. Zero means DefaultCompressMinBytes.
	CompressMinBytes int
}

// HandlerOptions returns the options for the handlers of one service:
// the JSON codec, the limits, and interceptors in this order, outermost first:
// panic recovery and error bounds, the given interceptors, the translation of
// an ended base context (see below), and panic recovery again, so that the
// given interceptors see a panic of the handler as the error it becomes.
//
// When a handler was interrupted because its context ended with a
// *connect.Error as cause (context.Cause), as the listener does it at shutdown,
// the caller gets that error.
//
// It fails when a limit is negative.
func HandlerOptions(cfg Config, interceptors ...connect.Interceptor) ([]connect.HandlerOption, error) {
	if cfg.MaxMessageBytes < 0 {
		return nil, fmt.Errorf("rpc: MaxMessageBytes %d is negative", cfg.MaxMessageBytes)
	}
	if cfg.CompressMinBytes < 0 {
		return nil, fmt.Errorf("rpc: CompressMinBytes %d is negative", cfg.CompressMinBytes)
	}
	if cfg.MaxMessageBytes == 0 {
		cfg.MaxMessageBytes = DefaultMaxMessageBytes
	}
	if cfg.CompressMinBytes == 0 {
		cfg.CompressMinBytes = DefaultCompressMinBytes
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}

	chain := []connect.Interceptor{settle(cfg.Logger, func(_ context.Context, err error) error { return boundError(err) })}
	chain = append(chain, interceptors...)
	chain = append(chain, settle(cfg.Logger, func(ctx context.Context, err error) error {
		err = interruptedByCause(ctx, err)
		if cfg.Status != nil {
			err = cfg.Status(ctx, err)
		}
		return err
	}))

	bounds := func(spec connect.Spec) []connect.HandlerOption {
		limit := cfg.MaxMessageBytes
		if cfg.LargeMessages != nil {
			limit = max(limit, cfg.LargeMessages(spec))
		}
		return append(withBoundedCompression(limit), connect.WithReadMaxBytes(limit))
	}
	return []connect.HandlerOption{
		connect.WithCodec(jsonCodec{name: "json"}),
		// Connect has a codec of its own under this name.
		connect.WithCodec(jsonCodec{name: "json; charset=utf-8"}),
		connect.WithConditionalHandlerOptions(bounds),
		connect.WithCompressMinBytes(cfg.CompressMinBytes),
		connect.WithInterceptors(Chain(chain...)),
	}, nil
}

// Panicked logs the value of recover with the stack of the panic, and returns the error
// for the caller. Handlers whose work continues in other goroutines call it there, in a
// deferred function: what a handler panics with itself is recovered for it.
func Panicked(ctx context.Context, logger *slog.Logger, procedure string, value any) error {
	logger.ErrorContext(ctx, "panic in a handler",
		"method", procedure,
		"request_id", RequestID(ctx),
		"panic", fmt.Sprint(value),
		"stack", string(debug.Stack()))
	return connect.NewError(connect.CodeInternal, errors.New(internalErrorText))
}

// interruptedByCause replaces the error of a call that was cut off by the
// cause of its context when that is an answer meant for callers. Other errors
// stay: they tell more about what happened to the call.
func interruptedByCause(ctx context.Context, err error) error {
	ended := Interrupted(ctx)
	if ended == nil {
		return err
	}
	cause, _ := errors.AsType[*connect.Error](context.Cause(ctx))
	if source, ok := errors.AsType[*connect.Error](err); ok && source != cause &&
		source.Code() != connect.CodeCanceled && source.Code() != connect.CodeUnknown {
		return err
	}
	return ended
}
