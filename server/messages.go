package server

import (
	"context"

	"discordproxy/discord"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

func (s *service) GetChannelMessage(ctx context.Context, req *connect.Request[pb.GetChannelMessageRequest]) (*connect.Response[pb.GetChannelMessageResponse], error) {
	return perform[pb.GetChannelMessageResponse](ctx, s, discord.GetMessage, req.Msg)
}

func (s *service) DeleteChannelMessage(ctx context.Context, req *connect.Request[pb.DeleteChannelMessageRequest]) (*connect.Response[pb.DeleteChannelMessageResponse], error) {
	return perform[pb.DeleteChannelMessageResponse](ctx, s, discord.DeleteMessage, req.Msg)
}

func (s *service) CrosspostMessage(ctx context.Context, req *connect.Request[pb.CrosspostMessageRequest]) (*connect.Response[pb.CrosspostMessageResponse], error) {
	return perform[pb.CrosspostMessageResponse](ctx, s, discord.CrosspostMessage, req.Msg)
}

func (s *service) PinMessage(ctx context.Context, req *connect.Request[pb.PinMessageRequest]) (*connect.Response[pb.PinMessageResponse], error) {
	return perform[pb.PinMessageResponse](ctx, s, discord.CreatePin, req.Msg)
}

func (s *service) UnpinMessage(ctx context.Context, req *connect.Request[pb.UnpinMessageRequest]) (*connect.Response[pb.UnpinMessageResponse], error) {
	return perform[pb.UnpinMessageResponse](ctx, s, discord.DeletePin, req.Msg)
}

func (s *service) ListPinnedMessages(ctx context.Context, req *connect.Request[pb.ListPinnedMessagesRequest]) (*connect.Response[pb.ListPinnedMessagesResponse], error) {
	return perform[pb.ListPinnedMessagesResponse](ctx, s, discord.ListPins, req.Msg)
}

func (s *service) TriggerTyping(ctx context.Context, req *connect.Request[pb.TriggerTypingRequest]) (*connect.Response[pb.TriggerTypingResponse], error) {
	return perform[pb.TriggerTypingResponse](ctx, s, discord.TriggerTyping, req.Msg)
}

func (s *service) DeleteWebhookMessage(ctx context.Context, req *connect.Request[pb.DeleteWebhookMessageRequest]) (*connect.Response[pb.DeleteWebhookMessageResponse], error) {
	return perform[pb.DeleteWebhookMessageResponse](ctx, s, discord.DeleteWebhookMessage, req.Msg)
}

// Discord's largest page of messages, and the number that it lists when none
// is asked for.
const (
	messagePage     = 100
	messageStandard = 50
)

func (s *service) ListChannelMessages(ctx context.Context, req *connect.Request[pb.ListChannelMessagesRequest], stream *connect.ServerStream[pb.ListChannelMessagesResponse]) error {
	args, err := arguments(discord.ListMessages, req.Msg)
	if err != nil {
		return err
	}
	limit := int(req.Msg.GetLimit())
	if limit == 0 {
		limit = messageStandard
	}
	if req.Msg.GetAround() != 0 && limit > messagePage {
		var f form
		f.add("limit", ruleNumberMax, "int value should be less than or equal to %d.", messagePage)
		return f.err()
	}
	list := pages[pb.Message, *pb.Message]{op: discord.ListMessages, size: messagePage, cursor: "before", id: (*pb.Message).GetId}
	if req.Msg.GetAfter() != 0 {
		list.cursor = "after"
	}
	return list.walk(ctx, s, args, limit, func(m *pb.Message) error {
		return stream.Send(&pb.ListChannelMessagesResponse{Message: m})
	})
}
