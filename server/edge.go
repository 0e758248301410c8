package server

import (
	"context"
	"strings"

	"discordproxy/server/calls"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// edge counts what a call costs and tells the observers when it ends.
func edge(observers calls.Observers) connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			call := &calls.Call{
				Method:   methodOf(req.Spec().Procedure),
				Protocol: req.Peer().Protocol,
				Request:  req.Any(),
			}
			call.Target, call.ID = targetOf(req.Any())
			ctx, end := observers.Begin(ctx, call)
			response, err := next(ctx, req)
			end(err)
			return response, err
		}
	}
}

func methodOf(procedure string) string {
	return procedure[strings.LastIndexByte(procedure, '/')+1:]
}

// targetOf returns the name and value of the id that a request is about: the
// contract's requests begin with it.
func targetOf(request any) (string, uint64) {
	m, ok := request.(proto.Message)
	if !ok {
		return "", 0
	}
	f := m.ProtoReflect().Descriptor().Fields().ByNumber(1)
	if f == nil || f.Kind() != protoreflect.Uint64Kind || f.IsList() {
		return "", 0
	}
	return string(f.Name()), m.ProtoReflect().Get(f).Uint()
}
