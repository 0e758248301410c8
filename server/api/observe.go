package api

import (
	"context"
	"slices"
	"strings"

	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/rpc"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// observe returns the interceptor that counts what a call costs and notifies the
// observers when it ends.
func observe(observers calls.Observers) connect.Interceptor {
	return rpc.Interceptor{
		Unary: func(next connect.UnaryFunc) connect.UnaryFunc {
			return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
				call := unaryCall(req)
				ctx, end := observers.Begin(ctx, call)
				response, err := next(ctx, req)
				end(err)
				return response, err
			}
		},
		Stream: func(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
			return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
				call := newCall(conn.Spec(), conn.Peer())
				call.Stream = true
				ctx, end := observers.Begin(ctx, call)
				err := next(ctx, &observed{conn, call})
				end(err)
				return err
			}
		},
	}
}

// observed is a stream whose call is filled in as messages pass.
type observed struct {
	connect.StreamingHandlerConn
	call *calls.Call
}

// Receive implements connect.StreamingHandlerConn.
func (o *observed) Receive(m any) error {
	err := o.StreamingHandlerConn.Receive(m)
	if err == nil && o.call.Request == nil {
		about(o.call, m)
	}
	return err
}

// Send implements connect.StreamingHandlerConn.
func (o *observed) Send(m any) error {
	err := o.StreamingHandlerConn.Send(m)
	if err == nil && m != nil { // nil is the header alone
		o.call.Sent++
	}
	return err
}

func unaryCall(req connect.AnyRequest) *calls.Call {
	call := newCall(req.Spec(), req.Peer())
	about(call, req.Any())
	return call
}

func newCall(spec connect.Spec, peer connect.Peer) *calls.Call {
	return &calls.Call{
		Method:   spec.Procedure[strings.LastIndexByte(spec.Procedure, '/')+1:],
		Protocol: peer.Protocol,
	}
}

// about notes what the call asks for, and the name and value of the id that it
// is about: requests that are about one begin with it.
func about(call *calls.Call, request any) {
	m, ok := request.(proto.Message)
	if !ok {
		return
	}
	if enqueued := callIn(m); enqueued != nil {
		m = enqueued
	}
	call.Request = withoutSecrets(m)
	f := m.ProtoReflect().Descriptor().Fields().ByNumber(1)
	if f == nil || f.Kind() != protoreflect.Uint64Kind || f.IsList() || !strings.HasSuffix(string(f.Name()), "_id") {
		return
	}
	call.Target, call.ID = string(f.Name()), m.ProtoReflect().Get(f).Uint()
}

// secrets are the fields that no observer may see.
var secrets = []protoreflect.Name{"webhook_token", "interaction_token"}

// withoutSecrets returns a message without its secrets. What it contains in addition to
// them is shared with the original.
func withoutSecrets(m proto.Message) proto.Message {
	r := m.ProtoReflect()
	has := func(name protoreflect.Name) bool { return r.Descriptor().Fields().ByName(name) != nil }
	if !slices.ContainsFunc(secrets, has) {
		return m
	}
	shown := r.New()
	r.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if !slices.Contains(secrets, f.Name()) {
			shown.Set(f, v)
		}
		return true
	})
	return shown.Interface()
}
