package server

import (
	"context"
	"time"

	"discordproxy/discord"
	"discordproxy/server/discordjson"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// respondTimeout is how long Discord waits for the first answer to an
// interaction: what comes later than that is in vain.
const respondTimeout = 3 * time.Second

func (s *service) RespondInteraction(ctx context.Context, req *connect.Request[pb.RespondInteractionRequest]) (*connect.Response[pb.RespondInteractionResponse], error) {
	ctx, cancel := context.WithTimeout(ctx, respondTimeout)
	defer cancel()
	return perform[pb.RespondInteractionResponse](ctx, s, discord.CreateInteractionResponse, req.Msg)
}

func (s *service) EditInteractionResponse(ctx context.Context, req *connect.Request[pb.EditInteractionResponseRequest]) (*connect.Response[pb.EditInteractionResponseResponse], error) {
	return perform[pb.EditInteractionResponseResponse](ctx, s, discord.UpdateInteractionResponse, req.Msg)
}

func (s *service) FollowupInteraction(ctx context.Context, req *connect.Request[pb.FollowupInteractionRequest]) (*connect.Response[pb.FollowupInteractionResponse], error) {
	return perform[pb.FollowupInteractionResponse](ctx, s, discord.CreateInteractionFollowup, req.Msg)
}

func (s *service) SetApplicationCommands(ctx context.Context, req *connect.Request[pb.SetApplicationCommandsRequest]) (*connect.Response[pb.SetApplicationCommandsResponse], error) {
	op := discord.SetApplicationCommands
	if req.Msg.GetGuildId() != 0 {
		op = discord.SetGuildApplicationCommands
	}
	args, err := arguments(op, req.Msg)
	if err != nil {
		return nil, err
	}
	if args["application_id"], err = s.discord.ApplicationID(ctx); err != nil {
		return nil, err
	}
	if len(req.Msg.GetCommands()) == 0 {
		args["commands"] = []any{} // removes all
	}
	data, err := s.discord.Call(ctx, op, args)
	if err != nil {
		return nil, err
	}
	res := new(pb.SetApplicationCommandsResponse)
	// The commands are set, whatever the answer looks like.
	_ = discordjson.UnmarshalAnswer(data, res)
	return connect.NewResponse(res), nil
}
