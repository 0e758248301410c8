package api

import (
	"context"
	"errors"
	"time"

	"discordproxy/discord"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/discordjson"

	pb "discordproxy/gen/discord_api"
)

// respondTimeout is how long Discord waits for the first response to an interaction.
// Discord refuses later responses.
const respondTimeout = 3 * time.Second

func (s *service) RespondInteraction(ctx context.Context, req *pb.RespondInteractionRequest) (*pb.RespondInteractionResponse, error) {
	args, files, err := s.composer.callback(req)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, respondTimeout)
	defer cancel()
	if _, err := s.discord.Call(ctx, caller.Of(ctx), discord.CreateInteractionResponse, args, files...); err != nil {
		return nil, err
	}
	return new(pb.RespondInteractionResponse), nil
}

// callback checks the first answer to an interaction and converts it.
func (c composer) callback(req *pb.RespondInteractionRequest) (discord.Args, []discord.File, error) {
	args, err := arguments(discord.CreateInteractionResponse, &pb.RespondInteractionRequest{
		InteractionId: req.GetInteractionId(), InteractionToken: req.GetInteractionToken(), Type: req.GetType(),
	})
	if err != nil {
		return nil, nil, err
	}
	data := req.GetData()
	if data == nil {
		data = new(pb.RespondInteractionRequest_Data)
	}
	var m discord.Message
	switch req.GetType() {
	case pb.RespondInteractionRequest_PONG:
	case pb.RespondInteractionRequest_MODAL:
		m.Fields, err = modal(data)
	case pb.RespondInteractionRequest_APPLICATION_COMMAND_AUTOCOMPLETE_RESULT:
		m.Fields, err = suggestions(data)
	case pb.RespondInteractionRequest_CHANNEL_MESSAGE_WITH_SOURCE:
		m, err = c.newMessage(discord.Operation{}, data)
	default:
		m, err = c.message(discord.Operation{}, data)
	}
	if err != nil {
		return nil, nil, within("data.", err)
	}
	if len(m.Fields) > 0 {
		args["data"] = m.Fields
	}
	return args, m.Files, nil
}

// within returns an error whose fields are in a part of the request.
func within(part string, err error) error {
	if e, ok := errors.AsType[*discord.Error](err); ok {
		for i := range e.Fields {
			e.Fields[i].Field = part + e.Fields[i].Field
		}
	}
	return err
}

// modal checks a form that is shown and converts it.
func modal(data *pb.RespondInteractionRequest_Data) (discord.Args, error) {
	shown := &pb.RespondInteractionRequest_Data{CustomId: data.GetCustomId(), Title: data.GetTitle(), Components: data.GetComponents()}
	f := &form{modal: true}
	f.request(discord.Operation{}, shown)
	f.between("custom_id", shown.GetCustomId(), maxCustomID)
	f.between("title", shown.GetTitle(), maxModalTitle)
	switch n := len(shown.GetComponents()); {
	case n == 0:
		f.required("components")
	case n > maxModalComponents:
		f.add("components", ruleBadLength, "Must be between 1 and %d in length.", maxModalComponents)
	}
	return discordjson.Fields(shown), f.err()
}

// Bounds of a modal.
// https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-response-object-modal
const (
	maxCustomID        = 100
	maxModalTitle      = 45
	maxModalComponents = 5
)

// suggestions checks values that are suggested and converts them. None is a
// statement too.
func suggestions(data *pb.RespondInteractionRequest_Data) (discord.Args, error) {
	var f form
	f.request(discord.Operation{}, &pb.RespondInteractionRequest_Data{Choices: data.GetChoices()})
	choices := make([]any, 0, len(data.GetChoices()))
	for i, c := range data.GetChoices() {
		choices = append(choices, f.choice(at("choices", i), c.GetType(), c))
	}
	return discord.Args{"choices": choices}, f.err()
}

func (s *service) EditInteractionResponse(
	ctx context.Context,
	req *pb.EditInteractionResponseRequest,
) (*pb.EditInteractionResponseResponse, error) {
	m, err := s.composer.message(discord.UpdateInteractionResponse, req)
	if err != nil {
		return nil, err
	}
	data, err := s.discord.Call(ctx, caller.Of(ctx), discord.UpdateInteractionResponse, m.Fields, m.Files...)
	return posted[pb.EditInteractionResponseResponse](data, err)
}

func (s *service) FollowupInteraction(ctx context.Context, req *pb.FollowupInteractionRequest) (*pb.FollowupInteractionResponse, error) {
	m, err := s.composer.newMessage(discord.CreateInteractionFollowup, req)
	if err != nil {
		return nil, err
	}
	return posted[pb.FollowupInteractionResponse](s.discord.Call(ctx, caller.Of(ctx), discord.CreateInteractionFollowup, m.Fields, m.Files...))
}
