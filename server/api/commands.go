package api

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"discordproxy/discord"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/discordjson"

	pb "discordproxy/gen/discord_api"
)

func (s *service) SetApplicationCommands(
	ctx context.Context,
	req *pb.SetApplicationCommandsRequest,
) (*pb.SetApplicationCommandsResponse, error) {
	op := discord.SetApplicationCommands
	if req.GetGuildId() != 0 {
		op = discord.SetGuildApplicationCommands
	}
	args, err := arguments(op, req)
	if err != nil {
		return nil, err
	}
	if args["commands"], err = commands(req.GetCommands()); err != nil {
		return nil, err
	}
	if args["application_id"], err = s.discord.ApplicationID(ctx, caller.Of(ctx)); err != nil {
		return nil, err
	}
	data, err := s.discord.Call(ctx, caller.Of(ctx), op, args)
	if err != nil {
		return nil, err
	}
	res := new(pb.SetApplicationCommandsResponse)
	// The commands are set, even if the response cannot be read.
	_ = discordjson.UnmarshalAnswer(data, res)
	return res, nil
}

// commands converts commands. None removes all.
func commands(list []*pb.ApplicationCommand) ([]any, error) {
	var f form
	converted := make([]any, len(list))
	for i, command := range list {
		fields := discordjson.Fields(command)
		if options := command.GetOptions(); len(options) > 0 {
			fields["options"] = f.options(at("commands", i)+".options", options)
		}
		converted[i] = fields
	}
	return converted, f.err()
}

// options converts the options of a command, which stand at a path.
func (f *form) options(path string, options []*pb.ApplicationCommand_Option) []any {
	converted := make([]any, len(options))
	for i, option := range options {
		here, fields := at(path, i), discordjson.Fields(option)
		if choices := option.GetChoices(); len(choices) > 0 {
			list := make([]any, len(choices))
			for j, c := range choices {
				list[j] = f.choice(at(here+".choices", j), option.GetType(), c)
			}
			fields["choices"] = list
		}
		if options := option.GetOptions(); len(options) > 0 {
			fields["options"] = f.options(here+".options", options)
		}
		converted[i] = fields
	}
	return converted
}

// Types of the options of a command that have choices.
// https://discord.com/developers/docs/interactions/application-commands#application-command-object-application-command-option-type
const (
	optionString  = 3
	optionInteger = 4
	optionNumber  = 10
)

// choice converts the choice at path of an option of a type. Its value is text in
// this API, and of the option's type in Discord's.
func (f *form) choice(path string, kind int32, c interface {
	GetName() string
	GetValue() string
},
) discord.Args {
	const most = 1 << 53 // as Discord has numbers
	var value any = c.GetValue()
	switch kind {
	case 0, optionString:
		f.between(path+".value", c.GetValue(), 100)
	case optionInteger:
		n, err := strconv.ParseInt(c.GetValue(), 10, 64)
		if err != nil || n < -most || n > most {
			f.add(path+".value", ruleCoerce, "Value %q is not int.", value)
		}
		value = n
	case optionNumber:
		x, err := strconv.ParseFloat(c.GetValue(), 64)
		if err != nil || !(math.Abs(x) <= most) {
			f.add(path+".value", ruleCoerce, "Value %q is not float.", value)
		}
		value = x
	default:
		f.oneOf(path+".type", int64(kind), []int64{optionString, optionInteger, optionNumber})
	}
	return discord.Args{"name": c.GetName(), "value": value}
}

// at names an element of a list.
func at(list string, i int) string { return fmt.Sprintf("%s.%d", list, i) }
