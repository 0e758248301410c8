package status

import (
	"context"
	"errors"
	"math"
	"strings"
	"time"

	"discordproxy/server/internal/rpc"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// WatchStatus implements discordapiconnect.DashboardHandler.
func (b *Service) WatchStatus(ctx context.Context, _ *pb.WatchStatusRequest, stream *connect.ServerStream[pb.WatchStatusResponse]) error {
	number, entered := b.enter()
	if !entered {
		return connect.NewError(connect.CodeResourceExhausted, errors.New("too many watchers of the status, try again later"))
	}
	defer b.leave()
	info, _ := connect.CallInfoForHandlerContext(ctx)
	asJSON := info != nil && strings.Contains(info.RequestHeader().Get("Content-Type"), "json")
	b.refresh()
	var w watcher
	for {
		changes, s := w.next(b)
		if s != nil {
			m, err := s.message(asJSON)
			if err != nil {
				return err
			}
			if err := stream.Send(m); err != nil {
				return err
			}
		}
		if err := await(ctx, b.ended, changes); err != nil {
			return err
		}
		if err := await(ctx, b.ended, time.After(phase(number))); err != nil {
			return err
		}
	}
}

// await waits until something can be received. Its error is that of the stream.
func await[T any](ctx context.Context, ended <-chan struct{}, c <-chan T) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		code, _ := rpc.ContextCode(ctx.Err())
		return connect.NewError(code, context.Cause(ctx))
	case <-ended:
		return rpc.ShuttingDown()
	}
}

// phase is how long after each view a watcher hears of it. Watchers are spread over
// the interval: calls would wait behind a burst of messages.
func phase(number int64) time.Duration {
	_, part := math.Modf(float64(number) / math.Phi) // evenly, however many there are
	return time.Duration(part * 0.8 * float64(interval))
}

// enter counts a watcher until leave, and numbers it.
func (b *Service) enter() (number int64, entered bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.watchers >= maxWatchers {
		return 0, false
	}
	b.watchers++
	b.entered++
	return b.entered, true
}

func (b *Service) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watchers--
}

// watcher is the state of one stream.
type watcher struct {
	view   *view     // sent last; nil at first
	sentAt time.Time // when anything was sent
}

// next returns the step from the view that was sent last, or nil if nothing has
// changed, and a channel that is closed when there may be more.
func (w *watcher) next(b *Service) (<-chan struct{}, *step) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stepFrom(w.view)
	// If nothing has changed, the views are equal, and all watchers continue from the newest.
	w.view = b.view
	if !s.changed && time.Since(w.sentAt) < silence {
		return b.changed, nil
	}
	w.sentAt = time.Now()
	return b.changed, s
}
