package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"discordproxy/discord/gateway"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/events"
	"discordproxy/server/internal/rpc"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Gateway is the source of events and of guilds. The zero value is for a server without a gateway.
type Gateway struct {
	// Hub keeps the events. Nil means that there is no gateway.
	Hub *events.Hub
	// Intents are those of the session at the gateway.
	Intents gateway.Intents
	// Guilds contains the guilds that are known without a call to Discord.
	Guilds *gateway.Guilds
}

// uncompressed leaves messages that many streams share as they are: they would be
// compressed for each of them again.
var uncompressed = connect.WithConditionalHandlerOptions(func(spec connect.Spec) []connect.HandlerOption {
	switch spec.Procedure {
	case discordapiconnect.DiscordApiSubscribeEventsProcedure, discordapiconnect.DashboardWatchStatusProcedure:
	default:
		return nil
	}
	return []connect.HandlerOption{connect.WithCompressMinBytes(math.MaxInt)}
})

// maxFilterIDs bounds the guilds and the channels of a subscription.
const maxFilterIDs = 1000

func (s *service) SubscribeEvents(
	ctx context.Context,
	req *pb.SubscribeEventsRequest,
	stream *connect.ServerStream[pb.SubscribeEventsResponse],
) error {
	if err := s.gateway.check(req); err != nil {
		return err
	}
	filter := events.NewFilter(req.GetTypes(), req.GetGuildIds(), req.GetChannelIds())
	if !access.From(ctx).IsEveryone() {
		// The rules may change while the events flow.
		filter = filter.Seeing(func(channel, parent uint64) bool { return access.From(ctx).SeesChannel(channel, parent) })
	}
	var after *events.Position
	if p := req.GetAfter(); p != nil {
		after = &events.Position{Epoch: p.GetEpoch(), Sequence: p.GetSequence()}
	}
	subscription, err := s.gateway.Hub.Subscribe(filter, after)
	if err != nil {
		return subscriptionError(ctx, err)
	}
	defer subscription.Close()
	asJSON := strings.Contains(requestHeader(ctx).Get("Content-Type"), "json")
	for {
		batch, err := subscription.Next(ctx)
		if err != nil {
			return subscriptionError(ctx, err)
		}
		if err := hideChannels(access.From(ctx), batch.Events, req.GetIncludeRaw()); err != nil {
			return err
		}
		response, err := eventsResponse(batch, req.GetIncludeRaw(), asJSON)
		if err != nil {
			return err
		}
		if err := stream.Send(response); err != nil {
			return subscriptionError(ctx, err)
		}
	}
}

// hideChannels takes channels that the client does not see out of events of a
// whole guild, whose JSON lists them.
func hideChannels(client *access.Client, list []*events.Event, raw bool) error {
	if !client.FiltersChannels() {
		return nil
	}
	for i, e := range list {
		if e.ChannelID != 0 || e.Data == nil || !raw && e.Type != pb.Event_UNTYPED {
			continue
		}
		data, err := client.VisibleEvent(e.Data)
		if err != nil {
			return err
		}
		list[i] = e.WithData(data)
	}
	return nil
}

// check refuses a subscription that could not bring what it asks for.
func (g Gateway) check(req *pb.SubscribeEventsRequest) error {
	if g.Hub == nil {
		return connect.NewError(connect.CodeFailedPrecondition, errors.New("no events: the server was started with --no-gateway"))
	}
	for _, list := range []struct {
		field string
		ids   []uint64
	}{{"guild_ids", req.GetGuildIds()}, {"channel_ids", req.GetChannelIds()}} {
		if n := len(list.ids); n > maxFilterIDs {
			return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%s: %d IDs, at most %d allowed", list.field, n, maxFilterIDs))
		}
		for i, id := range list.ids {
			if id == 0 {
				return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%s.%d: 0 is not an ID", list.field, i))
			}
		}
	}
	for i, t := range req.GetTypes() {
		if _, known := pb.Event_Type_name[int32(t)]; !known || t == pb.Event_UNDEFINED {
			return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("types.%d: %d is not an event type", i, t))
		}
		if needed := events.Intents(t); needed != 0 && g.Intents&needed == 0 {
			return connect.NewError(connect.CodeFailedPrecondition, errors.New(missingIntent(t, needed)))
		}
	}
	return nil
}

func missingIntent(t pb.Event_Type, needed gateway.Intents) string {
	text := fmt.Sprintf(
		"%s needs the intent %s: add it to the server's --intents",
		t,
		strings.ReplaceAll(needed.String(), ",", " or "),
	)
	if switches := needed.Switches(); switches != "" {
		text += " and " + switches
	}
	return text
}

// subscriptionError is the status with which a subscription ends.
func subscriptionError(ctx context.Context, err error) error {
	if status := rpc.Interrupted(ctx); status != nil {
		return status
	}
	if behind, ok := errors.AsType[*events.BehindError](err); ok {
		status := connect.NewError(connect.CodeResourceExhausted, behind)
		if detail, err := connect.NewErrorDetail(position(behind.Position)); err == nil {
			status.AddDetail(detail)
		}
		return status
	}
	if ended, ok := errors.AsType[*events.EndedError](err); ok {
		return connect.NewError(connect.CodeFailedPrecondition, ended)
	}
	switch {
	case errors.Is(err, rpc.ErrShuttingDown):
		return rpc.ShuttingDown()
	case errors.Is(err, events.ErrFull):
		return connect.NewError(connect.CodeResourceExhausted, err)
	}
	if code, ended := rpc.ContextCode(ctx.Err()); ended {
		return connect.NewError(code, ctx.Err())
	}
	return err
}

func position(p events.Position) *pb.EventPosition {
	return &pb.EventPosition{Epoch: p.Epoch, Sequence: p.Sequence}
}

// eventsField is the number of the events in a response.
var eventsField = (*pb.SubscribeEventsResponse)(nil).ProtoReflect().Descriptor().Fields().ByName("events").Number()

// eventsResponse puts events together as they were encoded for all subscribers.
// In the binary form they need not be decoded for that: to the message they are
// unknown fields, which it writes as they are, and so the reader finds them.
func eventsResponse(batch events.Batch, raw, asJSON bool) (*pb.SubscribeEventsResponse, error) {
	encoded := make([][]byte, 0, len(batch.Gaps)+len(batch.Events)+1)
	for _, own := range ownEvents(batch) {
		data, err := proto.Marshal(own)
		if err != nil {
			return nil, err
		}
		encoded = append(encoded, data)
	}
	size := 0
	for _, event := range batch.Events {
		data := event.Encode(raw)
		encoded = append(encoded, data)
		size += protowire.SizeTag(eventsField) + protowire.SizeBytes(len(data))
	}
	wire := make([]byte, 0, size) // grown once for each subscriber, it would cost more than all else
	for _, event := range encoded {
		wire = protowire.AppendBytes(protowire.AppendTag(wire, eventsField, protowire.BytesType), event)
	}
	response := new(pb.SubscribeEventsResponse)
	if asJSON {
		if err := proto.Unmarshal(wire, response); err != nil {
			return nil, err
		}
	} else {
		response.ProtoReflect().SetUnknown(wire)
	}
	response.Position = position(batch.Position)
	return response, nil
}

// ownEvents are the proxy's own events.
func ownEvents(batch events.Batch) []*pb.Event {
	now := timestamppb.New(time.Now())
	var own []*pb.Event
	for _, gap := range batch.Gaps {
		own = append(own, &pb.Event{Type: pb.Event_GAP, Time: now, Payload: &pb.Event_Gap_{Gap: &pb.Event_Gap{
			Epoch: gap.Epoch, First: gap.First, Last: gap.Last,
		}}})
	}
	if batch.Lost != nil {
		own = append(own, &pb.Event{Type: pb.Event_GATEWAY_STATE, Time: now, Payload: &pb.Event_GatewayState_{GatewayState: batch.Lost}})
	}
	if len(own)+len(batch.Events) == 0 {
		own = append(own, &pb.Event{Type: pb.Event_HEARTBEAT, Time: now})
	}
	return own
}
