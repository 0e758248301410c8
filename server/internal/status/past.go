package status

import (
	"context"
	"fmt"
	"time"

	"discordproxy/server/internal/history"
	"discordproxy/server/internal/names"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// maxNames is how many names one call may ask for.
const maxNames = 1000

// GetNames implements discordapiconnect.DashboardHandler.
func (b *Service) GetNames(_ context.Context, req *pb.GetNamesRequest) (*pb.GetNamesResponse, error) {
	if n := len(req.GetGuildIds()) + len(req.GetChannelIds()) + len(req.GetUserIds()); n > maxNames {
		return nil, invalid("guild_ids, channel_ids and user_ids have %d IDs, and at most %d are allowed", n, maxNames)
	}
	res := new(pb.GetNamesResponse)
	if b.config.Names == nil {
		return res, nil
	}
	known := func(ids []uint64, of func(uint64) (names.Name, bool)) (found []*pb.GetNamesResponse_Name) {
		for _, id := range ids {
			if name, ok := of(id); ok {
				found = append(found, &pb.GetNamesResponse_Name{Id: id, Name: name.Name, Guild: name.Guild})
			}
		}
		return found
	}
	res.Guilds = known(req.GetGuildIds(), b.config.Names.Guild)
	res.Channels = known(req.GetChannelIds(), b.config.Names.Channel)
	res.Users = known(req.GetUserIds(), b.config.Names.User)
	return res, nil
}

// GetHistory implements discordapiconnect.DashboardHandler.
func (b *Service) GetHistory(_ context.Context, req *pb.GetHistoryRequest) (*pb.GetHistoryResponse, error) {
	length := time.Hour
	if d := req.GetRange(); d != nil {
		if length = d.AsDuration(); d.CheckValid() != nil || length <= 0 || length > history.CoarseRange {
			return nil, invalid("range must be more than 0 and at most %d hours", int(history.CoarseRange.Hours()))
		}
	}
	if b.config.History == nil {
		return new(pb.GetHistoryResponse), nil
	}
	r := b.config.History.Last(length)
	res := &pb.GetHistoryResponse{
		Start: timestamppb.New(r.Start), Step: durationpb.New(r.Step),
		Waiting: r.Waiting, Limited: r.Limited, BusiestSecond: r.Busiest,
		WaitedP50: r.WaitedP50, WaitedP99: r.WaitedP99, DiscordP50: r.DiscordP50, DiscordP99: r.DiscordP99,
		GlobalLimit: b.globalLimit(),
	}
	for _, code := range r.Codes() {
		res.Calls = append(res.Calls, &pb.GetHistoryResponse_Calls{Code: code, Counts: r.Calls[code]})
	}
	return res, nil
}

// globalLimit returns the limit over all routes as watchers saw it last.
func (b *Service) globalLimit() int32 {
	b.mu.Lock()
	v := b.view
	b.mu.Unlock()
	if v != nil {
		return v.limits.GetGlobal().GetLimit()
	}
	b.looking.Lock() // the functions of Config are not called at the same time
	defer b.looking.Unlock()
	return b.config.Limits().GetGlobal().GetLimit()
}

func invalid(format string, args ...any) error {
	return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf(format, args...))
}
