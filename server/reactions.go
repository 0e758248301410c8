package server

import (
	"context"

	"discordproxy/discord"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

func (s *service) AddReaction(ctx context.Context, req *connect.Request[pb.AddReactionRequest]) (*connect.Response[pb.AddReactionResponse], error) {
	return perform[pb.AddReactionResponse](ctx, s, discord.AddMyReaction, req.Msg)
}

func (s *service) RemoveReaction(ctx context.Context, req *connect.Request[pb.RemoveReactionRequest]) (*connect.Response[pb.RemoveReactionResponse], error) {
	op := discord.DeleteMyReaction
	if req.Msg.GetUserId() != 0 {
		op = discord.DeleteUserReaction
	}
	return perform[pb.RemoveReactionResponse](ctx, s, op, req.Msg)
}

func (s *service) RemoveAllReactions(ctx context.Context, req *connect.Request[pb.RemoveAllReactionsRequest]) (*connect.Response[pb.RemoveAllReactionsResponse], error) {
	op := discord.DeleteAllReactions
	if req.Msg.GetEmojiName() != "" {
		op = discord.DeleteReactionsByEmoji
	}
	return perform[pb.RemoveAllReactionsResponse](ctx, s, op, req.Msg)
}

func (s *service) ListReactions(ctx context.Context, req *connect.Request[pb.ListReactionsRequest]) (*connect.Response[pb.ListReactionsResponse], error) {
	return perform[pb.ListReactionsResponse](ctx, s, discord.ListReactionsByEmoji, req.Msg)
}
