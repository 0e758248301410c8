package calls

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
)

type incomingKey struct{}

// incoming is a request on its way to becoming a call, and its body. Reading that ends
// when the deadline of the call has passed, and its errors have codes.
type incoming struct {
	io.ReadCloser                 // nil without a body
	ctx           context.Context //nolint:containedctx // of the request whose body it is
	writer        http.ResponseWriter
	deadline      bool        // whether one was set
	begun         atomic.Bool // whether it became a call
}

// Incoming returns a request with a context, whose body is read within the deadline of
// its call, once EndedEarly has learnt that. Without it connect-go waits for a body as
// long as the connection does.
func Incoming(ctx context.Context, w http.ResponseWriter, r *http.Request) *http.Request {
	in := &incoming{ctx: ctx, writer: w}
	r = r.WithContext(context.WithValue(ctx, incomingKey{}, in))
	if r.Body != nil && r.Body != http.NoBody {
		in.ReadCloser, r.Body = r.Body, in
	}
	return r
}

// Read implements io.Reader.
func (b *incoming) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	if b.deadline {
		// Reads after the body only detect whether the client is connected, and must not
		// end at the deadline.
		b.deadline = false
		_ = http.NewResponseController(b.writer).SetReadDeadline(time.Time{})
	}
	if !errors.Is(err, io.EOF) {
		err = StatusOfBody(b.ctx, err)
	}
	return n, err
}

// EndedEarly is a gate of connect-go's handlers. It refuses a call whose
// deadline has passed, or whose caller has left, before its message is read,
// and notifies the observers. Reading its messages ends at the deadline of the call,
// and for a stream without one, not before its client ends it.
func EndedEarly(observers Observers, describe func(connect.Spec, connect.Peer) *Call) connect.HandlerOption {
	return connect.WithRequestGate(func(ctx context.Context, spec connect.Spec, peer connect.Peer, _ http.Header) (context.Context, error) {
		if ctx.Err() != nil {
			refused := Status(ctx, context.Cause(ctx))
			_, end := observers.Begin(ctx, describe(spec, peer))
			end(refused)
			return nil, refused
		}
		in, ok := ctx.Value(incomingKey{}).(*incoming)
		deadline, limited := ctx.Deadline()
		if streams := spec.StreamType&connect.StreamTypeClient != 0; ok && in.ReadCloser != nil && (limited || streams) {
			// Without a deadline a stream lasts as long as its client wants. It fails
			// where the connection has no deadlines, as in tests.
			in.deadline = http.NewResponseController(in.writer).SetReadDeadline(deadline) == nil
		}
		return ctx, nil
	})
}
