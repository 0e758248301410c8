package api

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"discordproxy/server/internal/access"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/discordjson"
	"discordproxy/server/internal/hooks"
	"discordproxy/server/internal/store"

	pb "discordproxy/gen/discord_api"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// hookQueue puts messages of hooks into the outbox. The hook is their caller, regardless of who
// used it: the right to a hook is no right to the call that it makes.
type hookQueue struct{ *outboxService }

// hookOf returns the hook that enqueued a delivery.
func hookOf(d store.Delivery) (name string, ok bool) {
	if d.Keyed {
		return "", false
	}
	return strings.CutPrefix(d.Caller, hooks.Caller(""))
}

// Enqueue implements hooks.Queue.
func (q hookQueue) Enqueue(ctx context.Context, m hooks.Queued) (hooks.Accepted, error) {
	if err := q.open(); err != nil {
		return hooks.Accepted{}, err
	}
	ctx = access.WithEveryone(caller.Named(ctx, hooks.Caller(m.Hook)))
	req, err := hookRequest(m)
	if err != nil {
		return hooks.Accepted{}, err
	}
	d, duplicate, err := q.accept(ctx, req)
	if errors.Is(err, store.ErrOtherCall) {
		// The same event can produce a different message the second time, for example if
		// its template contains the time.
		duplicate = true
		d, err = q.outbox.Delivery(ctx, caller.Name(ctx), m.ID)
	}
	if err == nil && duplicate && (d.State == store.Failed || d.State == store.Expired) {
		d, err = q.outbox.Retry(ctx, d.Caller, d.ID, time.Now().Add(standardExpiry))
	}
	if err != nil {
		return hooks.Accepted{}, err
	}
	return hooks.Accepted{DeliveryID: d.ID, Duplicate: duplicate}, nil
}

// Flags for which a request has fields.
var requestFlags = map[protoreflect.Name]uint64{
	"suppress_embeds": flagSuppressEmbeds, "suppress_notifications": flagSuppressNotifications, "components_v2": flagComponentsV2,
}

// hookRequest returns the request to enqueue a hook's message.
func hookRequest(m hooks.Queued) (*pb.EnqueueRequest, error) {
	data, err := json.Marshal(m.Fields)
	if err != nil {
		return nil, err
	}
	req := &pb.EnqueueRequest{DeliveryId: m.ID}
	var call proto.Message
	switch {
	case m.Channel != 0:
		send := new(pb.SendChannelMessageRequest)
		call, req.Call = send, &pb.EnqueueRequest_SendChannelMessage{SendChannelMessage: send}
	case m.User != 0:
		send := new(pb.SendDirectMessageRequest)
		call, req.Call = send, &pb.EnqueueRequest_SendDirectMessage{SendDirectMessage: send}
	default:
		execute := new(pb.ExecuteWebhookRequest)
		call, req.Call = execute, &pb.EnqueueRequest_ExecuteWebhook{ExecuteWebhook: execute}
	}
	if err := discordjson.Unmarshal(data, call); err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	r := call.ProtoReflect()
	if flags, err := strconv.ParseUint(string(fields["flags"]), 10, 32); err == nil {
		for name, bit := range requestFlags {
			if flags&bit != 0 {
				r.Set(r.Descriptor().Fields().ByName(name), protoreflect.ValueOfBool(true))
			}
		}
	}
	// Components of any kind are passed on unchanged.
	field := r.Descriptor().Fields().ByName("components")
	r.Clear(field)
	var components []json.RawMessage
	if given := fields["components"]; given != nil && json.Unmarshal(given, &components) != nil {
		components = []json.RawMessage{given} // which is refused
	}
	for _, c := range components {
		raw := &pb.Component{Kind: &pb.Component_RawJson{RawJson: string(c)}}
		r.Mutable(field).List().Append(protoreflect.ValueOfMessage(raw.ProtoReflect()))
	}
	switch call := call.(type) {
	case *pb.SendChannelMessageRequest:
		call.ChannelId = m.Channel
	case *pb.SendDirectMessageRequest:
		call.UserId = m.User
	case *pb.ExecuteWebhookRequest:
		call.WebhookId, call.WebhookToken, call.ThreadId = m.Webhook, m.Token, m.Thread
	}
	return req, nil
}
