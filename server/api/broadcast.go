package api

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"discordproxy/discord"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/discordjson"
	"discordproxy/server/internal/rpc"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Messages of one call that are in progress at the same time. More would only wait,
// because the limits are shared between callers, and each would keep its own copy of the
// files.
const (
	messagesAtOnce = 16
	filesAtOnce    = 2
)

func (s *service) SendDirectMessages(
	ctx context.Context,
	req *pb.SendDirectMessagesRequest,
	stream *connect.ServerStream[pb.SendDirectMessagesResponse],
) error {
	m, err := s.composer.broadcast(req)
	if err != nil {
		return err
	}
	users := once(req.GetUserIds())
	// Clients that choose the same key must not get each other's messages.
	key := access.From(ctx).Name() + "\x00" + cmp.Or(req.GetIdempotencyKey(), rand.Text())
	atOnce := messagesAtOnce
	if len(m.Files) > 0 {
		atOnce = filesAtOnce
	}

	// The senders end before the handler returns.
	ctx, cancel := context.WithCancel(ctx)
	var senders sync.WaitGroup
	defer senders.Wait()
	defer cancel()
	todo, results := make(chan uint64), make(chan *pb.SendDirectMessagesResponse)
	for range min(atOnce, len(users)) {
		senders.Go(func() {
			for user := range todo {
				result := s.sendTo(ctx, user, m, key)
				select {
				case results <- result:
				case <-ctx.Done():
				}
			}
		})
	}
	senders.Go(func() {
		defer close(todo)
		for _, user := range users {
			select {
			case todo <- user:
			case <-ctx.Done():
				return
			}
		}
	})

	pace, failed := newPace(s.discord.RateLimits), int32(0)
	for i := range users {
		select {
		case result := <-results:
			if ctx.Err() != nil {
				return discord.ContextError(ctx)
			}
			if result.GetError() != nil {
				failed++
			}
			done, left := i+1, len(users)-i-1
			result.Done, result.Failed, result.Total = int32(done), failed, int32(len(users))
			result.EstimatedLeft = durationpb.New(pace.result(left).Round(time.Millisecond))
			if err := stream.Send(result); err != nil {
				return err
			}
		case <-ctx.Done():
			return discord.ContextError(ctx)
		}
	}
	return nil
}

// broadcast checks a request for many users and converts its message.
func (c composer) broadcast(req *pb.SendDirectMessagesRequest) (discord.Message, error) {
	var f form
	f.request(discord.Operation{}, req)
	if err := f.err(); err != nil {
		return discord.Message{}, err
	}
	return c.newMessage(discord.Operation{}, req.GetMessage())
}

// sendTo posts the message to one user. A panic is that user's failure: it must
// not end the process, with everybody else's calls.
func (s *service) sendTo(ctx context.Context, user uint64, m discord.Message, key string) (result *pb.SendDirectMessagesResponse) {
	defer func() {
		if value := recover(); value != nil {
			result = failedResult(ctx, user, rpc.Panicked(ctx, s.logger, discordapiconnect.DiscordApiSendDirectMessagesProcedure, value))
			result.Error.OutcomeUnknown = true
		}
	}()
	ctx, release := caller.Hold(ctx)
	defer release()
	m.Fields = maps.Clone(m.Fields)
	m.Fields["nonce"] = userNonce(key, user)
	data, err := s.discord.SendDirectMessage(ctx, caller.Of(ctx), user, m)
	if err != nil {
		return failedResult(ctx, user, err)
	}
	result = &pb.SendDirectMessagesResponse{UserId: user, Message: new(pb.Message)}
	// The message is stored, even if its response cannot be read.
	_ = discordjson.Unmarshal(json.RawMessage(data), result.GetMessage())
	return result
}

// failedResult says why a user did not get the message.
func failedResult(ctx context.Context, user uint64, err error) *pb.SendDirectMessagesResponse {
	status := toStatus(ctx, err)
	return &pb.SendDirectMessagesResponse{UserId: user, Error: failureOf(ctx, err), Status: strings.ToUpper(status.Code().String())}
}

// userNonce names the message of a key to a user.
func userNonce(key string, user uint64) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(strconv.FormatUint(user, 10)))
	return base32.StdEncoding.EncodeToString(mac.Sum(nil))[:discord.MaxNonceLength]
}

// once returns the ids in their order, each once.
func once(ids []uint64) []uint64 {
	seen := make(map[uint64]bool, len(ids))
	return slices.DeleteFunc(slices.Clone(ids), func(id uint64) bool {
		again := seen[id]
		seen[id] = true
		return again
	})
}
