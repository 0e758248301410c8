package status

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"discordproxy/discord"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/caller"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Waiting is what the methods for waiting calls need of Discord. *discord.Client is one.
type Waiting interface {
	WaitingCalls() []discord.WaitingCall
	CancelWaiting(match func(discord.WaitingCall) bool) []discord.WaitingCall
	PauseChannel(channel uint64, by string) (discord.Pause, error)
	ResumeChannel(channel uint64) (discord.Pause, bool)
	Pauses() []discord.Pause
}

const (
	maxWaiting = 200
	maxShares  = 100
	maxNumbers = 1000
)

// open refuses what strangers may not see.
func (b *Service) open() error {
	if b.config.Waiting == nil {
		return connect.NewError(connect.CodeUnimplemented, errors.New("this server does not list waiting calls"))
	}
	if b.config.Open {
		return connect.NewError(
			connect.CodePermissionDenied,
			errors.New("anyone can reach the proxy without a key, so it does not show who calls what: "+
				"listen on a loopback address, or use --auth-file"),
		)
	}
	return nil
}

// ListWaiting implements discordapiconnect.DashboardHandler.
func (b *Service) ListWaiting(context.Context, *pb.ListWaitingRequest) (*pb.ListWaitingResponse, error) {
	if err := b.open(); err != nil {
		return nil, err
	}
	all := b.config.Waiting.WaitingCalls()
	callers, resources := make(map[string]int32), make(map[string]int32)
	res := &pb.ListWaitingResponse{Total: int32(len(all))}
	for i, c := range all {
		callers[c.Caller]++
		resources[c.Resource]++
		if i < maxWaiting {
			res.Calls = append(res.Calls, &pb.ListWaitingResponse_Call{
				Number: c.Number, Route: c.Route, Resource: c.Resource, Caller: c.Caller, Since: timestamppb.New(c.Since),
			})
		}
	}
	res.Callers, res.Resources = shares(callers), shares(resources)
	for _, p := range b.config.Waiting.Pauses() {
		res.Pauses = append(res.Pauses, shownPause(p))
	}
	return res, nil
}

func shares(counts map[string]int32) []*pb.ListWaitingResponse_Share {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	out := make([]*pb.ListWaitingResponse_Share, min(len(names), maxShares))
	for i := range out {
		out[i] = &pb.ListWaitingResponse_Share{Name: names[i], Waiting: counts[names[i]]}
	}
	return out
}

// CancelWaiting implements discordapiconnect.DashboardHandler.
func (b *Service) CancelWaiting(ctx context.Context, req *pb.CancelWaitingRequest) (*pb.CancelWaitingResponse, error) {
	if err := b.mayOperate(ctx); err != nil {
		return nil, err
	}
	numbers := req.GetNumbers()
	switch {
	case req.GetChannelId() == 0 && req.GetCaller() == "" && len(numbers) == 0:
		return nil, invalid("channel_id, caller or numbers is required")
	case len(numbers) > maxNumbers:
		return nil, invalid("numbers has %d elements, and at most %d are allowed", len(numbers), maxNumbers)
	}
	resource := fmt.Sprint("channel ", req.GetChannelId())
	cancelled := b.config.Waiting.CancelWaiting(func(c discord.WaitingCall) bool {
		return (req.GetChannelId() == 0 || c.Resource == resource) && (req.GetCaller() == "" || c.Caller == req.GetCaller()) &&
			(len(numbers) == 0 || slices.Contains(numbers, c.Number))
	})
	b.config.Logger.InfoContext(ctx, "cancelled waiting calls", "by", caller.Name(ctx),
		"channel_id", req.GetChannelId(), "caller", req.GetCaller(), "calls", len(cancelled))
	return &pb.CancelWaitingResponse{Cancelled: int32(len(cancelled))}, nil
}

// mayOperate refuses clients that may not manage the calls of others.
func (b *Service) mayOperate(ctx context.Context) error {
	if err := access.MayCall(ctx, access.Operate); err != nil {
		return err
	}
	return b.open()
}

// PauseChannel implements discordapiconnect.DashboardHandler.
func (b *Service) PauseChannel(ctx context.Context, req *pb.PauseChannelRequest) (*pb.PauseChannelResponse, error) {
	if err := b.mayOperate(ctx); err != nil {
		return nil, err
	}
	if req.GetChannelId() == 0 {
		return nil, invalid("channel_id is required")
	}
	by := caller.Name(ctx)
	p, err := b.config.Waiting.PauseChannel(req.GetChannelId(), by)
	if err != nil {
		return nil, connect.NewError(connect.CodeResourceExhausted, err)
	}
	b.config.Logger.InfoContext(ctx, "paused a channel", "by", by, "channel_id", req.GetChannelId(), "since", p.Since, "first_by", p.By)
	return &pb.PauseChannelResponse{Pause: shownPause(p)}, nil
}

// ResumeChannel implements discordapiconnect.DashboardHandler.
func (b *Service) ResumeChannel(ctx context.Context, req *pb.ResumeChannelRequest) (*pb.ResumeChannelResponse, error) {
	if err := b.mayOperate(ctx); err != nil {
		return nil, err
	}
	if req.GetChannelId() == 0 {
		return nil, invalid("channel_id is required")
	}
	p, ok := b.config.Waiting.ResumeChannel(req.GetChannelId())
	if !ok {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("channel %d is not paused", req.GetChannelId()))
	}
	b.config.Logger.InfoContext(ctx, "resumed a channel",
		"by", caller.Name(ctx), "channel_id", req.GetChannelId(), "paused_by", p.By, "calls", p.Waiting)
	return &pb.ResumeChannelResponse{Pause: shownPause(p)}, nil
}

func shownPause(p discord.Pause) *pb.ChannelPause {
	return &pb.ChannelPause{ChannelId: p.Channel, By: p.By, Since: timestamppb.New(p.Since), Waiting: int32(p.Waiting)}
}
