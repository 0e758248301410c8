package rpc

import (
	"context"
	"errors"
	"io"

	"connectrpc.com/connect"
)

// Streams returns an interceptor for handlers that stream answers. It sends the
// header of a stream as soon as the request has been read, so that clients and
// reverse proxies see that the stream is open before its first message, and
// asks nginx not to buffer the stream. It belongs innermost, where a request that
// the other interceptors refuse gets no header.
func Streams() connect.Interceptor {
	return Interceptor{Stream: func(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
		return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
			if conn.Spec().StreamType&connect.StreamTypeServer == 0 {
				return next(ctx, conn)
			}
			conn.ResponseHeader().Set("X-Accel-Buffering", "no")
			return next(ctx, &opened{StreamingHandlerConn: conn})
		}
	}}
}

// opened is a stream that sends its header once its request was read: to the end
// if there is only one message, because HTTP/1.1 ends the body of a request when
// its answer begins. Handlers receive before they send.
type opened struct {
	connect.StreamingHandlerConn
	sent bool
}

// Receive implements connect.StreamingHandlerConn.
func (o *opened) Receive(m any) error {
	err := o.StreamingHandlerConn.Receive(m)
	read := err == nil
	if o.Spec().StreamType == connect.StreamTypeServer {
		read = errors.Is(err, io.EOF)
	}
	if read && !o.sent {
		o.sent = true
		if failed := o.Send(nil); failed != nil { // the header alone
			return failed
		}
	}
	return err
}
