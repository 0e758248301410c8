package client

import (
	"context"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// envelope is a message of any type. A connect.Client is compiled for each pair of types
// that it is used with, which adds up to 70 kB a method to a program, so all
// methods without streams use the one for envelopes.
type envelope struct{ proto.Message }

// procedure calls a method of the API.
type procedure = connect.Client[envelope, envelope]

// procedure returns what calls a method, whose responses will be of a type.
func (c *Client) procedure(method protoreflect.MethodDescriptor, response protoreflect.MessageType) *procedure {
	level := connect.IdempotencyUnknown
	if o, ok := method.Options().(*descriptorpb.MethodOptions); ok && o.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS {
		level = connect.IdempotencyNoSideEffects
	}
	return connect.NewClient[envelope, envelope](c.over, c.url+pathOf(method), c.options,
		connect.WithSchema(method),
		connect.WithIdempotency(level),
		connect.WithResponseInitializer(func(_ connect.Spec, message any) error {
			if m, ok := message.(*envelope); ok {
				m.Message = response.New().Interface()
			}
			return nil
		}),
	)
}

// pathOf returns the path of a method.
func pathOf(method protoreflect.MethodDescriptor) string {
	return "/" + string(method.Parent().FullName()) + "/" + string(method.Name())
}

// unaryProcedures returns the methods with one request and one response by their paths.
func (c *Client) unaryProcedures() (map[string]*procedure, error) {
	procedures := make(map[string]*procedure)
	for _, file := range []protoreflect.FileDescriptor{
		pb.File_discord_api_discord_api_proto, pb.File_discord_api_outbox_proto, pb.File_discord_api_dashboard_proto,
	} {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				method := methods.Get(j)
				if method.IsStreamingServer() || method.IsStreamingClient() {
					continue
				}
				response, err := protoregistry.GlobalTypes.FindMessageByName(method.Output().FullName())
				if err != nil {
					return nil, err
				}
				procedures[pathOf(method)] = c.procedure(method, response)
			}
		}
	}
	return procedures, nil
}

// unary calls a method with one request and one response.
func unary[Response proto.Message](ctx context.Context, c *Client, path string, req proto.Message) (response Response, err error) {
	res, err := c.unary[path].CallUnary(ctx, connect.NewRequest(&envelope{req}))
	if err != nil {
		return response, err
	}
	return res.Msg.Message.(Response), nil //nolint:forcetypeassert // procedure made it of the method's type
}

// serverStream calls a method that streams its responses.
func serverStream[Response any](
	ctx context.Context, c *Client, path string, req proto.Message,
) (*connect.ServerStreamForClient[Response], error) {
	caller := connect.NewClient[envelope, Response](c.over, c.url+path, c.options)
	return caller.CallServerStream(ctx, connect.NewRequest(&envelope{req}))
}
