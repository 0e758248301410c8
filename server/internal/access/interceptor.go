package access

import (
	"context"

	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// Interceptor returns the interceptor that refuses calls whose targets the client may not
// use and calls whose messages exceed its max_bytes, and delays calls that exceed its rate.
func Interceptor() connect.Interceptor { return admitting(true) }

// Limits returns an Interceptor for messages without a guild, channel or user, and for
// handlers that check the target with MayMake.
func Limits() connect.Interceptor { return admitting(false) }

func admitting(targets bool) connect.Interceptor {
	return rpc.Interceptor{
		Unary: func(next connect.UnaryFunc) connect.UnaryFunc {
			return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
				if err := admit(ctx, req.Any(), targets); err != nil {
					return nil, err
				}
				return next(ctx, req)
			}
		},
		Stream: func(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
			return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
				return next(ctx, admitted{conn, ctx, targets})
			}
		},
	}
}

// admitted is a stream whose messages are admitted one by one.
type admitted struct {
	connect.StreamingHandlerConn
	ctx     context.Context
	targets bool
}

// Receive implements connect.StreamingHandlerConn.
func (a admitted) Receive(message any) error {
	if err := a.StreamingHandlerConn.Receive(message); err != nil {
		return err
	}
	return admit(a.ctx, message, a.targets)
}

func admit(ctx context.Context, message any, targets bool) error {
	if err := carry(ctx, message); err != nil {
		return err
	}
	client := From(ctx)
	if !targets {
		return client.Hold(ctx)
	}
	m, ok := message.(proto.Message)
	if !ok && client.restricted() {
		return refuse(connect.CodePermissionDenied, "%T is no message of the API", message)
	}
	// Without a session, rules can never revoke the right to a target.
	if ok && (client.restricted() || sessionOf(ctx) != nil) {
		if err := MayTouch(ctx, Read(m)); err != nil {
			return err
		}
	}
	return client.Hold(ctx)
}
