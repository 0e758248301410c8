package client

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"net"
	"time"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

const (
	firstPause, longestPause = 200 * time.Millisecond, 10 * time.Second
	// nonceTime is how long a message with a nonce may be retried. Discord remembers
	// nonces for a few minutes.
	nonceTime = 100 * time.Second
	// longestWait is how long the proxy may ask a call to wait before it is retried.
	// During a ban, for example, it asks for up to an hour.
	longestWait = 30 * time.Second
)

// botHeader names the bot that a call is for.
const botHeader = "Discord-Bot"

// caller wraps every call: it adds the key and the bot, limits the time, retries, and
// translates errors.
type caller struct {
	key     string
	bot     string
	timeout time.Duration
	retries int
}

func (c *caller) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		c.identify(req.Header().Set)
		if c.timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, c.timeout)
			defer cancel()
		}
		pause, begin := firstPause, time.Now()
		for left := c.retries; ; left-- {
			resp, err := next(ctx, req)
			if err == nil {
				return resp, nil
			}
			err = translate(err, ctx.Err() != nil)
			wait := max(retryAfter(err), pause/2+mathrand.N(pause/2))
			again := left > 0 && wait <= longestWait && connect.CodeOf(err) == connect.CodeUnavailable
			if !again || !harmless(req, err, time.Since(begin)+wait) || !sleep(ctx, wait) {
				return nil, err
			}
			pause = min(2*pause, longestPause)
		}
	}
}

func (c *caller) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		c.identify(conn.RequestHeader().Set)
		return stream{conn, ctx.Err}
	}
}

func (c *caller) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

func (c *caller) identify(set func(name, value string)) {
	if c.key != "" {
		set("Authorization", "Bearer "+c.key)
	}
	if c.bot != "" {
		set(botHeader, c.bot)
	}
}

// stream translates the errors of a stream.
type stream struct {
	connect.StreamingClientConn

	left func() error // why the caller has stopped waiting, or nil while it waits
}

func (s stream) Receive(message any) error {
	return translate(s.StreamingClientConn.Receive(message), s.left() != nil)
}

// sleep waits. It reports false immediately if ctx would end first.
func sleep(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*HTTPError](err); ok {
		return e.RetryAfter
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// harmless reports whether a call that failed after such a time can be retried.
func harmless(req connect.AnyRequest, err error, after time.Duration) bool {
	if req.Spec().IdempotencyLevel != connect.IdempotencyUnknown {
		return true
	}
	content := req.Any()
	if e, ok := content.(*envelope); ok {
		content = e.Message
	}
	if m, ok := content.(*pb.EnqueueRequest); ok && m.GetDeliveryId() != "" {
		return true
	}
	if m, ok := content.(message); ok && m.GetNonce() != "" && after < nonceTime {
		return enforced(m)
	}
	if e, ok := errors.AsType[*HTTPError](err); ok {
		return !e.OutcomeUnknown
	}
	e, ok := errors.AsType[*Error](err)
	return ok && !e.OutcomeUnknown
}

// lost reports whether the call may have taken effect although it ended with a
// status to which the proxy added no details.
func lost(status *connect.Error) bool {
	switch status.Code() {
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeCanceled, connect.CodeUnknown, connect.CodeInternal:
		failed, ok := errors.AsType[*net.OpError](status)
		return !ok || failed.Op != "dial"
	}
	return false
}

// message is a request that sends one message.
type message interface {
	proto.Message
	GetNonce() string
	GetEnforceNonce() bool
}

// enforced reports whether Discord creates a single message for each nonce.
func enforced(m message) bool {
	switch m := m.(type) {
	case *pb.SendChannelMessageRequest:
		return m.EnforceNonce == nil || m.GetEnforceNonce()
	case *pb.SendDirectMessageRequest:
		return m.EnforceNonce == nil || m.GetEnforceNonce()
	}
	return false
}

// named returns the message, with a nonce if it may be retried. It does not change
// the caller's message: two calls with it are two messages.
func named[M message](retries int, m M) M {
	if retries == 0 || m.GetNonce() != "" || !enforced(m) {
		return m
	}
	m = proto.CloneOf(m)
	nonce := rand.Text()[:25]
	switch m := any(m).(type) {
	case *pb.SendChannelMessageRequest:
		m.Nonce = nonce
	case *pb.SendDirectMessageRequest:
		m.Nonce = nonce
	}
	return m
}
