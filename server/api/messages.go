package api

import (
	"context"

	"discordproxy/discord"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

func (s *service) GetChannelMessage(ctx context.Context, req *pb.GetChannelMessageRequest) (*pb.GetChannelMessageResponse, error) {
	return perform[pb.GetChannelMessageResponse](ctx, s, discord.GetMessage, req)
}

func (s *service) DeleteChannelMessage(ctx context.Context, req *pb.DeleteChannelMessageRequest) (*pb.DeleteChannelMessageResponse, error) {
	return perform[pb.DeleteChannelMessageResponse](ctx, s, discord.DeleteMessage, req)
}

func (s *service) CrosspostMessage(ctx context.Context, req *pb.CrosspostMessageRequest) (*pb.CrosspostMessageResponse, error) {
	return perform[pb.CrosspostMessageResponse](ctx, s, discord.CrosspostMessage, req)
}

func (s *service) PinMessage(ctx context.Context, req *pb.PinMessageRequest) (*pb.PinMessageResponse, error) {
	return perform[pb.PinMessageResponse](ctx, s, discord.CreatePin, req)
}

func (s *service) UnpinMessage(ctx context.Context, req *pb.UnpinMessageRequest) (*pb.UnpinMessageResponse, error) {
	return perform[pb.UnpinMessageResponse](ctx, s, discord.DeletePin, req)
}

func (s *service) ListPinnedMessages(ctx context.Context, req *pb.ListPinnedMessagesRequest) (*pb.ListPinnedMessagesResponse, error) {
	return perform[pb.ListPinnedMessagesResponse](ctx, s, discord.ListPins, req)
}

func (s *service) TriggerTyping(ctx context.Context, req *pb.TriggerTypingRequest) (*pb.TriggerTypingResponse, error) {
	return perform[pb.TriggerTypingResponse](ctx, s, discord.TriggerTyping, req)
}

func (s *service) DeleteWebhookMessage(ctx context.Context, req *pb.DeleteWebhookMessageRequest) (*pb.DeleteWebhookMessageResponse, error) {
	return perform[pb.DeleteWebhookMessageResponse](ctx, s, discord.DeleteWebhookMessage, req)
}

// Discord's largest page of messages, and the number that it lists when none
// is asked for.
const (
	messagePage     = 100
	messageStandard = 50
)

func (s *service) ListChannelMessages(
	ctx context.Context,
	req *pb.ListChannelMessagesRequest,
	stream *connect.ServerStream[pb.ListChannelMessagesResponse],
) error {
	args, err := arguments(discord.ListMessages, req)
	if err != nil {
		return err
	}
	limit := int(req.GetLimit())
	if limit == 0 {
		limit = messageStandard
	}
	if req.GetAround() != 0 && limit > messagePage {
		var f form
		f.add("limit", ruleNumberMax, "int value should be less than or equal to %d.", messagePage)
		return f.err()
	}
	list := pages[pb.Message, *pb.Message]{op: discord.ListMessages, size: messagePage, cursor: "before", id: (*pb.Message).GetId}
	if req.GetAfter() != 0 {
		list.cursor = "after"
	}
	return list.walk(ctx, s, args, limit, func(m *pb.Message) error {
		return stream.Send(&pb.ListChannelMessagesResponse{Message: m})
	})
}
