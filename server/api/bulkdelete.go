package api

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/caller"

	pb "discordproxy/gen/discord_api"
)

// Limits of a bulk deletion: the number of messages, and their age. Discord's limit is
// two weeks; an hour less leaves time for a call that waits.
// https://discord.com/developers/docs/resources/message#bulk-delete-messages
const (
	bulkDelete    = 100
	bulkDeleteAge = 14*24*time.Hour - time.Hour
)

func (s *service) BulkDeleteChannelMessages(
	ctx context.Context,
	req *pb.BulkDeleteChannelMessagesRequest,
) (*pb.BulkDeleteChannelMessagesResponse, error) {
	args, err := arguments(discord.BulkDeleteMessages, req)
	if err != nil {
		return nil, err
	}
	delete(args, "message_ids")
	outcomes := make(map[uint64]*discord.Error)
	deleted := 0
	var ended *discord.Error // the rest would fail with it, too
	for _, ids := range batches(req.GetMessageIds(), time.Now().Add(-bulkDeleteAge)) {
		failed := ended
		if ended == nil {
			err := s.deleteMessages(ctx, args, ids)
			if err != nil && !errors.As(err, &failed) {
				return nil, err
			}
		}
		switch {
		case failed == nil:
			deleted++
		case ended == nil && failed.Code != discord.CodeUnknownMessage && failed.Code != discord.CodeSystemMessage:
			untried := *failed
			untried.OutcomeUnknown = false
			ended = &untried
		}
		for _, id := range ids {
			outcomes[id] = failed
		}
	}
	if ended != nil && deleted == 0 {
		return nil, ended
	}
	res := new(pb.BulkDeleteChannelMessagesResponse)
	for _, id := range req.GetMessageIds() {
		failed, first := outcomes[id]
		if !first {
			continue
		}
		delete(outcomes, id)
		result := &pb.BulkDeleteChannelMessagesResponse_Result{MessageId: id}
		if failed != nil {
			result.Error = discordError(failed)
			if failed.Text == "" {
				result.Error.Text = failed.Error()
			}
		}
		res.Results = append(res.Results, result)
	}
	return res, nil
}

// batches returns the messages as Discord can delete them: those made since
// oldest together, then the others one by one. No id comes twice.
func batches(ids []uint64, oldest time.Time) [][]uint64 {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	first, _ := slices.BinarySearchFunc(ids, oldest, func(id uint64, oldest time.Time) int {
		return discord.Created(id).Compare(oldest)
	})
	all := slices.Collect(slices.Chunk(ids[first:], bulkDelete))
	return slices.AppendSeq(all, slices.Chunk(ids[:first], 1))
}

// deleteMessages deletes the messages of one batch. args say where and why.
func (s *service) deleteMessages(ctx context.Context, args discord.Args, ids []uint64) error {
	op, args := discord.BulkDeleteMessages, maps.Clone(args)
	if len(ids) == 1 {
		// Discord requires at least two messages.
		op, args["message_id"] = discord.DeleteMessage, ids[0]
	} else {
		messages := make([]string, len(ids))
		for i, id := range ids {
			messages[i] = strconv.FormatUint(id, 10)
		}
		args["messages"] = messages
	}
	_, err := s.discord.Call(ctx, caller.Of(ctx), op, args)
	return err
}
