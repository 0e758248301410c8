package api

import (
	"context"

	"discordproxy/discord"

	pb "discordproxy/gen/discord_api"
)

func (s *service) AddReaction(ctx context.Context, req *pb.AddReactionRequest) (*pb.AddReactionResponse, error) {
	return perform[pb.AddReactionResponse](ctx, s, discord.AddMyReaction, req)
}

func (s *service) RemoveReaction(ctx context.Context, req *pb.RemoveReactionRequest) (*pb.RemoveReactionResponse, error) {
	op := discord.DeleteMyReaction
	if req.GetUserId() != 0 {
		op = discord.DeleteUserReaction
	}
	return perform[pb.RemoveReactionResponse](ctx, s, op, req)
}

func (s *service) RemoveAllReactions(ctx context.Context, req *pb.RemoveAllReactionsRequest) (*pb.RemoveAllReactionsResponse, error) {
	op := discord.DeleteAllReactions
	if req.GetEmojiName() != "" {
		op = discord.DeleteReactionsByEmoji
	}
	return perform[pb.RemoveAllReactionsResponse](ctx, s, op, req)
}

func (s *service) ListReactions(ctx context.Context, req *pb.ListReactionsRequest) (*pb.ListReactionsResponse, error) {
	return perform[pb.ListReactionsResponse](ctx, s, discord.ListReactionsByEmoji, req)
}
