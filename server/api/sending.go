package api

import (
	"context"
	"encoding/json"

	"discordproxy/discord"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/discordjson"

	pb "discordproxy/gen/discord_api"
)

// posted answers a method that posts or changes a message. Whatever the answer
// of Discord looks like, the message is stored, so that there is always one to
// return.
func posted[Res any, P pointer[Res]](data json.RawMessage, err error) (*Res, error) {
	if err != nil {
		return nil, err
	}
	res := P(new(Res))
	_ = discordjson.UnmarshalAnswer(data, res)
	m := res.ProtoReflect()
	m.Mutable(m.Descriptor().Fields().Get(0))
	return (*Res)(res), nil
}

func (s *service) SendChannelMessage(ctx context.Context, req *pb.SendChannelMessageRequest) (*pb.SendChannelMessageResponse, error) {
	if req.GetChannelId() == 0 {
		return nil, unknownChannel
	}
	m, err := s.composer.newMessage(discord.CreateMessage, req)
	if err != nil {
		return nil, err
	}
	if err := keepOne(ctx, &m); err != nil {
		return nil, err
	}
	return posted[pb.SendChannelMessageResponse](s.discord.CreateMessage(ctx, caller.Of(ctx), req.GetChannelId(), m))
}

func (s *service) SendDirectMessage(ctx context.Context, req *pb.SendDirectMessageRequest) (*pb.SendDirectMessageResponse, error) {
	if req.GetUserId() == 0 {
		return nil, unknownUser
	}
	m, err := s.composer.newMessage(discord.Operation{}, req)
	if err != nil {
		return nil, err
	}
	if err := keepOne(ctx, &m); err != nil {
		return nil, err
	}
	return posted[pb.SendDirectMessageResponse](s.discord.SendDirectMessage(ctx, caller.Of(ctx), req.GetUserId(), m))
}

func (s *service) EditChannelMessage(ctx context.Context, req *pb.EditChannelMessageRequest) (*pb.EditChannelMessageResponse, error) {
	m, err := s.composer.message(discord.UpdateMessage, req)
	if err != nil {
		return nil, err
	}
	return posted[pb.EditChannelMessageResponse](s.discord.Call(ctx, caller.Of(ctx), discord.UpdateMessage, m.Fields, m.Files...))
}

func (s *service) ExecuteWebhook(ctx context.Context, req *pb.ExecuteWebhookRequest) (*pb.ExecuteWebhookResponse, error) {
	m, err := s.composer.newMessage(discord.ExecuteWebhook, req)
	if err != nil {
		return nil, err
	}
	m.Fields["wait"] = true // else the message does not come back
	m.Fields["with_components"] = true
	return posted[pb.ExecuteWebhookResponse](s.discord.Call(ctx, caller.Of(ctx), discord.ExecuteWebhook, m.Fields, m.Files...))
}

func (s *service) EditWebhookMessage(ctx context.Context, req *pb.EditWebhookMessageRequest) (*pb.EditWebhookMessageResponse, error) {
	m, err := s.composer.message(discord.UpdateWebhookMessage, req)
	if err != nil {
		return nil, err
	}
	m.Fields["with_components"] = true
	return posted[pb.EditWebhookMessageResponse](s.discord.Call(ctx, caller.Of(ctx), discord.UpdateWebhookMessage, m.Fields, m.Files...))
}
