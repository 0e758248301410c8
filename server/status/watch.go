package status

import (
	"context"
	"errors"
	"time"

	"discordproxy/server/rpc"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// WatchStatus implements discordapiconnect.DashboardHandler.
func (b *Board) WatchStatus(ctx context.Context, _ *pb.WatchStatusRequest, stream *connect.ServerStream[pb.WatchStatusResponse]) error {
	if !b.enter() {
		return connect.NewError(connect.CodeResourceExhausted, errors.New("too many watch already"))
	}
	defer b.leave()
	b.look()
	var w watcher
	for {
		news, m := w.next(b)
		if m != nil {
			if err := stream.Send(m); err != nil {
				return err
			}
		}
		select {
		case <-news:
		case <-ctx.Done():
			code, _ := rpc.ContextCode(ctx.Err())
			return connect.NewError(code, context.Cause(ctx))
		case <-b.ended:
			return rpc.ShuttingDown()
		}
	}
}

func (b *Board) enter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.watchers >= maxWatchers {
		return false
	}
	b.watchers++
	return true
}

func (b *Board) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watchers--
}

// watcher is what the client of one stream knows.
type watcher struct {
	view     view
	told     time.Time // when it was told anything
	rate     float64
	calls    int64 // the last number that it knows
	messages int64
}

// next returns what the watcher does not know yet, nil when that is nothing,
// and a channel that is closed when there may be more.
func (w *watcher) next(b *Board) (<-chan struct{}, *pb.WatchStatusResponse) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, v := time.Now(), b.view
	m := &pb.WatchStatusResponse{Time: timestamppb.New(now), CallsPerSecond: b.slots.rate(now), DrainsIn: drainsIn(v.limits)}
	news := m.CallsPerSecond != w.rate || b.calls.count != w.calls || b.messages.count != w.messages
	if v.proxy != w.view.proxy {
		m.Proxy, news = v.proxy, true
	}
	if v.limits != w.view.limits {
		m.Limits, news = v.limits, true
	}
	if v.sandbox != w.view.sandbox {
		m.Sandbox, news = v.sandbox, true
	}
	if !news && now.Sub(w.told) < silence {
		return b.news, nil
	}
	m.Slots = b.slots.after(w.calls, now)
	if !b.config.Open {
		m.Calls = b.calls.after(w.calls)
	}
	m.SandboxMessages = b.messages.after(w.messages)
	*w = watcher{view: *v, told: now, rate: m.CallsPerSecond, calls: b.calls.count, messages: b.messages.count}
	return b.news, m
}
