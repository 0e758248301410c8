package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/gateway"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/discordjson"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// pointer is a pointer to a struct that implements a message of the API.
type pointer[M any] interface {
	*M
	proto.Message
}

// perform answers a method that is one operation of Discord. The fields of the
// request are the operation's arguments, by name; the response holds what
// Discord answers, see discordjson.UnmarshalAnswer.
func perform[Res any, P pointer[Res]](ctx context.Context, s *service, op discord.Operation, req proto.Message) (*Res, error) {
	args, err := arguments(op, req)
	if err != nil {
		return nil, err
	}
	return carryOut[Res, P](ctx, s, op, args)
}

// cacheable is a request whose answer may be known from the gateway.
type cacheable interface {
	proto.Message
	GetGuildId() uint64
	GetAllowCached() *durationpb.Duration
}

// performCached is perform for a request that may be answered from the gateway's
// state, if known returns it and it is young enough. known may be nil.
func performCached[Res any, P pointer[Res]](ctx context.Context, s *service, op discord.Operation, req cacheable,
	known func(*gateway.Guilds, uint64, time.Duration) (json.RawMessage, bool),
) (*Res, error) {
	args, err := arguments(op, req)
	if err != nil {
		return nil, err
	}
	delete(args, "allow_cached") // is the proxy's, not Discord's
	if age := req.GetAllowCached(); age != nil {
		if age.AsDuration() < 0 {
			return nil, discord.InvalidForm(
				discord.FieldError{Field: "allow_cached", Code: ruleNumberMin, Message: "duration should be greater than or equal to 0."},
			)
		}
		if known != nil {
			if data, ok := known(s.gateway.Guilds, req.GetGuildId(), age.AsDuration()); ok {
				if data, err = access.From(ctx).Visible(data); err != nil {
					return nil, err
				}
				res := new(Res)
				return res, discordjson.UnmarshalAnswer(data, P(res))
			}
		}
	}
	return carryOut[Res, P](ctx, s, op, args)
}

// listsChannels are the operations whose answers list channels of a guild.
var listsChannels = map[string]bool{discord.ListGuildChannels.Name: true, discord.ListActiveThreads.Name: true}

// carryOut calls Discord and reads its answer.
func carryOut[Res any, P pointer[Res]](ctx context.Context, s *service, op discord.Operation, args discord.Args) (*Res, error) {
	data, err := s.discord.Call(ctx, caller.Of(ctx), op, args)
	if err != nil {
		return nil, err
	}
	if listsChannels[op.Name] {
		if data, err = access.From(ctx).Visible(data); err != nil {
			return nil, err
		}
	}
	res := new(Res)
	// A call that took effect is not reported as failed because its response cannot be read.
	if err := discordjson.UnmarshalAnswer(data, P(res)); err != nil && op.Method == http.MethodGet {
		return nil, err
	}
	return res, nil
}

// arguments checks a request and returns the arguments of its operation.
func arguments(op discord.Operation, req proto.Message) (discord.Args, error) {
	var f form
	f.request(op, req)
	if err := f.err(); err != nil {
		return nil, err
	}
	return discordjson.Fields(req), nil
}
