package client

import (
	"context"
	"iter"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Call calls a method of the API by its descriptor, for programs that choose the
// method at run time. req must be of the method's input type. Call returns an
// iterator over the responses, which is a single one if the method does not stream.
// If the call fails, the last pair is the error, of the same types as the errors of
// the other methods. Call adds no nonces, so it does not retry a call with an
// unknown outcome if the call changes something.
func (c *Client) Call(ctx context.Context, method protoreflect.MethodDescriptor, req proto.Message) iter.Seq2[proto.Message, error] {
	caller := c.procedure(method, dynamicpb.NewMessageType(method.Output()))
	return func(yield func(proto.Message, error) bool) {
		dynamic := dynamicpb.NewMessage(method.Input())
		proto.Merge(dynamic, req)
		request := connect.NewRequest(&envelope{dynamic})
		if method.IsStreamingServer() {
			for m, err := range All(caller.CallServerStream(ctx, request)) {
				if err != nil {
					yield(nil, err)
					return
				}
				if !yield(m.Message, nil) {
					return
				}
			}
			return
		}
		response, err := caller.CallUnary(ctx, request)
		if err != nil {
			yield(nil, err)
			return
		}
		yield(response.Msg.Message, nil)
	}
}
