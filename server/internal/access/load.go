package access

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// load is what a request counts for among the bytes that its client may have in
// progress: what was read of its body, or what that is as a message if this is
// more, since a body may be compressed. It counts until leave.
type load struct {
	client *Client
	taken  atomic.Int64 // handlers may read in other goroutines
}

type loadKey struct{}

// withLoad counts the body of a request for a client.
func withLoad(ctx context.Context, client *Client, r *http.Request) (_ *http.Request, leave func()) {
	if client.usage == nil || client.maxBytes == 0 {
		return r.WithContext(ctx), func() {}
	}
	l := &load{client: client}
	r = r.WithContext(context.WithValue(ctx, loadKey{}, l))
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &loadedBody{r.Body, l}
	}
	return r, func() { client.usage.bytes.Add(-l.taken.Swap(0)) }
}

// add counts more bytes, unless they are more than the client may have.
func (l *load) add(n int64) error {
	l.taken.Add(n)
	if all := l.client.usage.bytes.Add(n); all > l.client.maxBytes {
		return refuse(
			connect.CodeResourceExhausted,
			"client %s has more bytes in requests in progress than its max_bytes, %d",
			l.client.name,
			l.client.maxBytes,
		)
	}
	return nil
}

// carry counts a message that was read for the client of ctx.
func carry(ctx context.Context, message any) error {
	l, ok := ctx.Value(loadKey{}).(*load)
	if !ok {
		return nil
	}
	m, ok := message.(proto.Message)
	if !ok {
		return nil
	}
	if more := int64(proto.Size(m)) - l.taken.Load(); more > 0 {
		return l.add(more)
	}
	return nil
}

// loadedBody counts what is read of it.
type loadedBody struct {
	io.ReadCloser
	load *load
}

// Read implements io.Reader.
func (b *loadedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if refused := b.load.add(int64(n)); refused != nil {
		return 0, refused
	}
	return n, err
}
