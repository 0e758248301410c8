package server

import (
	"context"
	"net/http"

	"discordproxy/discord"
	"discordproxy/server/discordjson"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// pointer is the pointer to a message of the contract, which is the message.
type pointer[M any] interface {
	*M
	proto.Message
}

// perform answers a method that is one operation of Discord. The fields of the
// request are the operation's arguments, by name; the response holds what
// Discord answers, see discordjson.UnmarshalAnswer.
func perform[Res any, P pointer[Res]](ctx context.Context, s *service, op discord.Operation, req proto.Message) (*connect.Response[Res], error) {
	args, err := arguments(op, req)
	if err != nil {
		return nil, err
	}
	data, err := s.discord.Call(ctx, op, args)
	if err != nil {
		return nil, err
	}
	res := new(Res)
	// What was done is not reported as failed because of how its answer looks.
	if err := discordjson.UnmarshalAnswer(data, P(res)); err != nil && op.Method == http.MethodGet {
		return nil, err
	}
	return connect.NewResponse(res), nil
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
