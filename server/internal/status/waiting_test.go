package status_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/status"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// waiting are calls that wait.
type waiting []discord.WaitingCall

func (w *waiting) WaitingCalls() []discord.WaitingCall { return *w }

func (w *waiting) CancelWaiting(match func(discord.WaitingCall) bool) (cancelled []discord.WaitingCall) {
	var left waiting
	for _, c := range *w {
		if match(c) {
			cancelled = append(cancelled, c)
		} else {
			left = append(left, c)
		}
	}
	*w = left
	return cancelled
}

// Nothing is paused among them.
func (w *waiting) Pauses() []discord.Pause { return nil }

func (w *waiting) PauseChannel(uint64, string) (discord.Pause, error) {
	return discord.Pause{}, discord.ErrTooManyPauses
}

func (w *waiting) ResumeChannel(uint64) (discord.Pause, bool) { return discord.Pause{}, false }

func newWaiting() *waiting {
	w := new(waiting)
	for i := range 300 {
		*w = append(*w, discord.WaitingCall{Number: int64(i + 1), Resource: fmt.Sprint("channel ", 1+i%3), Caller: []string{"shop", "forum"}[i%2]})
	}
	return w
}

func newWaitingBoard(t *testing.T, w status.Waiting, open bool) *status.Service {
	t.Helper()
	b, err := status.New(status.Config{
		Limits:  func() *pb.GetRateLimitStatusResponse { return new(pb.GetRateLimitStatusResponse) },
		Waiting: w, Open: open, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestListWaiting(t *testing.T) {
	res, err := newWaitingBoard(t, newWaiting(), false).ListWaiting(t.Context(), new(pb.ListWaitingRequest))
	if err != nil {
		t.Fatal(err)
	}
	if len(res.GetCalls()) != 200 || res.GetCalls()[0].GetNumber() != 1 || res.GetTotal() != 300 {
		t.Errorf("%d of %d calls are listed", len(res.GetCalls()), res.GetTotal())
	}
	if c := res.GetCallers(); len(c) != 2 || c[0].GetName() != "forum" || c[0].GetWaiting() != 150 {
		t.Errorf("the callers are %v", c)
	}
	if r := res.GetResources(); len(r) != 3 || r[0].GetWaiting() != 100 {
		t.Errorf("the resources are %v", r)
	}
	for _, b := range []*status.Service{newWaitingBoard(t, newWaiting(), true), newWaitingBoard(t, nil, false)} {
		if res, err := b.ListWaiting(t.Context(), new(pb.ListWaitingRequest)); err == nil {
			t.Errorf("strangers see %v", res)
		}
	}
}

// TestCancelWaiting: a call must meet all conditions, and at least one condition is required.
func TestCancelWaiting(t *testing.T) {
	ctx := access.WithEveryone(t.Context())
	for _, c := range []struct {
		req  *pb.CancelWaitingRequest
		want int32
	}{
		{&pb.CancelWaitingRequest{ChannelId: 1}, 100},
		{&pb.CancelWaitingRequest{ChannelId: 9}, 0},
		{&pb.CancelWaitingRequest{Caller: "shop"}, 150},
		{&pb.CancelWaitingRequest{ChannelId: 1, Caller: "shop"}, 50},
		{&pb.CancelWaitingRequest{Numbers: []int64{1, 3, 900}}, 2},
		{&pb.CancelWaitingRequest{Numbers: []int64{1, 2}, Caller: "shop"}, 1},
	} {
		w := newWaiting()
		res, err := newWaitingBoard(t, w, false).CancelWaiting(ctx, c.req)
		if err != nil || res.GetCancelled() != c.want || len(*w) != 300-int(c.want) {
			t.Errorf("%v cancels %d, want %d: %v", c.req, res.GetCancelled(), c.want, err)
		}
	}
	w := newWaiting()
	for _, req := range []*pb.CancelWaitingRequest{{}, {Numbers: make([]int64, 1001)}} {
		if _, err := newWaitingBoard(t, w, false).CancelWaiting(ctx, req); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%d numbers are answered with %v", len(req.GetNumbers()), err)
		}
	}
	if _, err := newWaitingBoard(t, w, true).CancelWaiting(ctx, &pb.CancelWaitingRequest{ChannelId: 1}); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("strangers cancel calls: %v", err)
	}
	if len(*w) != 300 {
		t.Errorf("refused requests have cancelled %d calls", 300-len(*w))
	}
}

// newPausable returns a client of Discord, which makes no calls.
func newPausable(t *testing.T) *discord.Client {
	t.Helper()
	client, err := discord.New(discord.Config{Token: "token", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestPauseChannel: a pause is listed with who began it, until it is ended.
func TestPauseChannel(t *testing.T) {
	b := newWaitingBoard(t, newPausable(t), false)
	ctx := access.WithEveryone(t.Context())
	as := func(name string) context.Context { return caller.Named(ctx, name) }
	began := time.Now()
	for _, name := range []string{"ann", "bob"} {
		res, err := b.PauseChannel(as(name), &pb.PauseChannelRequest{ChannelId: 5})
		if p := res.GetPause(); err != nil || p.GetBy() != "ann" || p.GetChannelId() != 5 || p.GetWaiting() != 0 || p.GetSince().AsTime().Before(began) {
			t.Errorf("paused by %s: %v, %v", name, p, err)
		}
	}
	if _, err := b.PauseChannel(as("bob"), &pb.PauseChannelRequest{ChannelId: 6}); err != nil {
		t.Fatal(err)
	}
	listed := func() (channels []uint64) {
		t.Helper()
		res, err := b.ListWaiting(ctx, new(pb.ListWaitingRequest))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range res.GetPauses() {
			channels = append(channels, p.GetChannelId())
		}
		return channels
	}
	if got := listed(); !slices.Equal(got, []uint64{5, 6}) {
		t.Errorf("listed are %v", got)
	}
	if res, err := b.ResumeChannel(as("bob"), &pb.ResumeChannelRequest{ChannelId: 5}); err != nil || res.GetPause().GetBy() != "ann" {
		t.Errorf("resumed is %v, %v", res, err)
	}
	if got := listed(); !slices.Equal(got, []uint64{6}) {
		t.Errorf("listed are %v", got)
	}
	for channel, want := range map[uint64]connect.Code{5: connect.CodeNotFound, 0: connect.CodeInvalidArgument} {
		if _, err := b.ResumeChannel(ctx, &pb.ResumeChannelRequest{ChannelId: channel}); connect.CodeOf(err) != want {
			t.Errorf("channel %d is resumed: %v", channel, err)
		}
	}
	if _, err := b.PauseChannel(ctx, new(pb.PauseChannelRequest)); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("no channel is paused: %v", err)
	}
	for channel := range uint64(99) {
		if _, err := b.PauseChannel(ctx, &pb.PauseChannelRequest{ChannelId: 100 + channel}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.PauseChannel(ctx, &pb.PauseChannelRequest{ChannelId: 1000}); connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("one channel too many is paused: %v", err)
	}
	open := newWaitingBoard(t, newPausable(t), true)
	if _, err := open.PauseChannel(ctx, &pb.PauseChannelRequest{ChannelId: 1}); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("strangers pause a channel: %v", err)
	}
}

// TestOperators: a client that may watch may not necessarily cancel.
func TestOperators(t *testing.T) {
	var auth strings.Builder
	auth.WriteString("clients:\n")
	keys := map[string]string{"watcher": "[dashboard]", "sender": `["Send*"]`, "operator": "[dashboard, operate]", "restricted": `[dashboard, operate]
    channels: [1]`}
	for name, methods := range keys {
		_, hash := access.NewKey()
		fmt.Fprintf(&auth, "  - name: %s\n    hashes: [%q]\n    methods: %s\n", name, hash, methods)
	}
	rules, err := access.Parse([]byte(auth.String()), access.Defaults{Methods: append([]string{"SendChannelMessage"}, access.Pages...)})
	if err != nil {
		t.Fatal(err)
	}
	guard := access.New(access.Config{Rules: rules})
	w := newWaiting()
	b := newWaitingBoard(t, w, false)
	client := newPausable(t)
	pausable := newWaitingBoard(t, client, false)
	for _, name := range []string{"watcher", "sender", "restricted", "operator"} {
		ctx, end, err := guard.Act(context.Background(), name, true)
		if err != nil {
			t.Fatal(err)
		}
		_, cancelled := b.CancelWaiting(ctx, &pb.CancelWaitingRequest{ChannelId: 1})
		_, paused := pausable.PauseChannel(ctx, &pb.PauseChannelRequest{ChannelId: 1})
		if name != "operator" {
			_, _ = client.PauseChannel(1, "another")
		}
		_, resumed := pausable.ResumeChannel(ctx, &pb.ResumeChannelRequest{ChannelId: 1})
		end()
		for what, err := range map[string]error{"cancels": cancelled, "pauses": paused, "resumes": resumed} {
			if want := name == "operator"; (err == nil) != want || !want && connect.CodeOf(err) != connect.CodePermissionDenied {
				t.Errorf("%s %s: %v", name, what, err)
			}
		}
	}
	if _, err := b.CancelWaiting(t.Context(), &pb.CancelWaitingRequest{ChannelId: 2}); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("a request that no guard has let in cancels: %v", err)
	}
	if len(*w) != 200 {
		t.Errorf("%d calls are left", len(*w))
	}
}
