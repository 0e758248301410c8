// Package server answers the calls of the contract: it checks a request,
// hands it to Discord, and turns what comes back into an answer or a status.
package server

import (
	"context"
	"encoding/json"

	"discordproxy/discord"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/discordjson"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Discord is what the service needs of Discord. *discord.Client is one.
// Answers are Discord's JSON; every error is or wraps a *discord.Error, or is
// a defect.
type Discord interface {
	CreateMessage(ctx context.Context, channelID uint64, m discord.MessageCreate) (json.RawMessage, error)
	SendDirectMessage(ctx context.Context, userID uint64, m discord.MessageCreate) (json.RawMessage, error)
	Call(ctx context.Context, op discord.Operation, args discord.Args) (json.RawMessage, error)
	RateLimits() discord.RateLimits
}

// service implements the contract over Discord.
type service struct {
	discord Discord
}

var _ discordapiconnect.DiscordApiHandler = (*service)(nil)

func (s *service) SendChannelMessage(ctx context.Context, req *connect.Request[pb.SendChannelMessageRequest]) (*connect.Response[pb.SendChannelMessageResponse], error) {
	create, err := messageCreate("channel_id", req.Msg.GetChannelId(), req.Msg)
	if err != nil {
		return nil, err
	}
	data, err := s.discord.CreateMessage(ctx, req.Msg.GetChannelId(), create)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.SendChannelMessageResponse{Message: message(data)}), nil
}

func (s *service) SendDirectMessage(ctx context.Context, req *connect.Request[pb.SendDirectMessageRequest]) (*connect.Response[pb.SendDirectMessageResponse], error) {
	create, err := messageCreate("user_id", req.Msg.GetUserId(), req.Msg)
	if err != nil {
		return nil, err
	}
	data, err := s.discord.SendDirectMessage(ctx, req.Msg.GetUserId(), create)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.SendDirectMessageResponse{Message: message(data)}), nil
}

// message reads the message that Discord stored. Whatever the answer looks
// like, the message was sent, so that there is always one to return.
func message(data json.RawMessage) *pb.Message {
	m := new(pb.Message)
	if err := discordjson.Unmarshal(data, m); err != nil {
		return new(pb.Message)
	}
	return m
}

// messageRequest is what the requests that post a message have in common.
type messageRequest interface {
	proto.Message
	GetContent() string
	GetEmbed() *pb.Embed
	GetEmbeds() []*pb.Embed
	GetNonce() string
	GetEnforceNonce() bool
}

// messageCreate checks a request to post a message and converts it.
func messageCreate(idField string, id uint64, req messageRequest) (discord.MessageCreate, error) {
	embeds := req.GetEmbeds()
	if req.GetEmbed() != nil {
		embeds = append([]*pb.Embed{req.GetEmbed()}, embeds...)
	}
	create := discord.MessageCreate{
		Content: req.GetContent(),
		Nonce:   req.GetNonce(),
		// Unset is true: only an explicit false allows a second message.
		AllowDuplicate: isSet(req, "enforce_nonce") && !req.GetEnforceNonce(),
	}
	kept := embeds[:0:0]
	for _, embed := range embeds {
		data, err := discordjson.Marshal(embed)
		if err != nil {
			return create, err
		}
		if data != nil { // an empty embed is no embed
			create.Embeds = append(create.Embeds, data)
			kept = append(kept, embed)
		}
	}
	return create, checkMessage(idField, id, create, kept)
}

func isSet(m proto.Message, name protoreflect.Name) bool {
	r := m.ProtoReflect()
	return r.Has(r.Descriptor().Fields().ByName(name))
}
