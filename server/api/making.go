package api

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"discordproxy/discord"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/hooks"
	"discordproxy/server/internal/outbox"
	"discordproxy/server/internal/rpc"
	"discordproxy/server/internal/store"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// making makes the calls of the outbox. It implements outbox.Maker.
type making struct {
	*service
	outbox    *outbox.Outbox
	access    *access.Guard
	observers calls.Observers
	hooks     *hooks.Handler
	ending    <-chan struct{} // closed when the server shuts down
}

// handled is a method of the service whose calls can be enqueued.
type handled struct {
	call    func(*service, context.Context, proto.Message) (proto.Message, error)
	request func() proto.Message
	repeats outbox.Repeats
	// done is the code with which Discord refuses to do again what is done already.
	done int
}

// codeCrossposted refuses to crosspost a message again.
// https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
const codeCrossposted = 40033

// enqueueable are the methods whose calls can be enqueued, by the names of their
// requests.
var enqueueable = map[protoreflect.Name]handled{
	"SendChannelMessageRequest":   handledBy((*service).SendChannelMessage, outbox.WithNonce),
	"SendDirectMessageRequest":    handledBy((*service).SendDirectMessage, outbox.WithNonce),
	"EditChannelMessageRequest":   handledBy((*service).EditChannelMessage, outbox.Always),
	"DeleteChannelMessageRequest": handledBy((*service).DeleteChannelMessage, outbox.Always),
	"ExecuteWebhookRequest":       handledBy((*service).ExecuteWebhook, outbox.Never),
	"EditWebhookMessageRequest":   handledBy((*service).EditWebhookMessage, outbox.Always),
	"DeleteWebhookMessageRequest": handledBy((*service).DeleteWebhookMessage, outbox.Always),
	"CrosspostMessageRequest":     handledBy((*service).CrosspostMessage, outbox.Always).refusedAgain(codeCrossposted),
	"AddReactionRequest":          handledBy((*service).AddReaction, outbox.Always),
	"RemoveReactionRequest":       handledBy((*service).RemoveReaction, outbox.Always),
	"RemoveAllReactionsRequest":   handledBy((*service).RemoveAllReactions, outbox.Always),
	"PinMessageRequest":           handledBy((*service).PinMessage, outbox.Always),
	"UnpinMessageRequest":         handledBy((*service).UnpinMessage, outbox.Always),
	"StartThreadRequest":          handledBy((*service).StartThread, outbox.Never),
	"AddThreadMemberRequest":      handledBy((*service).AddThreadMember, outbox.Always),
	"RemoveThreadMemberRequest":   handledBy((*service).RemoveThreadMember, outbox.Always),
}

func handledBy[Req, Res any, P pointer[Req], R pointer[Res]](
	method func(*service, context.Context, P) (R, error),
	repeats outbox.Repeats,
) handled {
	return handled{
		request: func() proto.Message { return P(new(Req)) },
		repeats: repeats,
		call: func(s *service, ctx context.Context, req proto.Message) (proto.Message, error) {
			res, err := method(s, ctx, req.(P))
			if err != nil {
				return nil, err
			}
			return res, nil
		},
	}
}

func (h handled) refusedAgain(code int) handled {
	h.done = code
	return h
}

// callIn returns the call in a request to the outbox, or nil for any other message.
func callIn(m proto.Message) proto.Message {
	if many, ok := m.(*pb.EnqueueManyRequest); ok {
		m = many.GetEnqueue()
	}
	req, ok := m.(*pb.EnqueueRequest)
	if !ok || req == nil {
		return nil
	}
	r := req.ProtoReflect()
	field := r.WhichOneof(r.Descriptor().Oneofs().ByName("call"))
	if field == nil {
		return nil
	}
	return r.Get(field).Message().Interface()
}

// methodOfRequest returns the name of the method that a request calls.
func methodOfRequest(call proto.Message) string {
	return strings.TrimSuffix(string(call.ProtoReflect().Descriptor().Name()), "Request")
}

// targetOf names what a call is about, which its first field says.
func targetOf(call proto.Message) string {
	m := call.ProtoReflect()
	f := m.Descriptor().Fields().ByNumber(1)
	return fmt.Sprint(strings.TrimSuffix(string(f.Name()), "_id"), " ", m.Get(f).Uint())
}

// handlerOf returns how a delivery's call is made, and the call.
func handlerOf(method string, request []byte) (handled, proto.Message, error) {
	h, ok := enqueueable[protoreflect.Name(method+"Request")]
	if !ok {
		return h, nil, fmt.Errorf("the outbox cannot call %s", method)
	}
	call := h.request()
	return h, call, proto.Unmarshal(request, call)
}

// errChecked is the error of a call that would be made.
var errChecked = errors.New("the call was only checked")

// unsent is a Discord that no call reaches.
type unsent struct{ Discord }

func (unsent) CreateMessage(context.Context, *discord.Caller, uint64, discord.Message) (json.RawMessage, error) {
	return nil, errChecked
}

func (unsent) SendDirectMessage(context.Context, *discord.Caller, uint64, discord.Message) (json.RawMessage, error) {
	return nil, errChecked
}

func (unsent) Call(context.Context, *discord.Caller, discord.Operation, discord.Args, ...discord.File) (json.RawMessage, error) {
	return nil, errChecked
}

// recorded is a Discord whose calls are recorded.
type recorded struct {
	Discord
	journal *discord.Journal
}

func (r recorded) CreateMessage(ctx context.Context, by *discord.Caller, channelID uint64, m discord.Message) (json.RawMessage, error) {
	m.Journal = r.journal
	return r.Discord.CreateMessage(ctx, by, channelID, m)
}

func (r recorded) SendDirectMessage(ctx context.Context, by *discord.Caller, userID uint64, m discord.Message) (json.RawMessage, error) {
	m.Journal = r.journal
	return r.Discord.SendDirectMessage(ctx, by, userID, m)
}

func (r recorded) Call(
	ctx context.Context, by *discord.Caller, op discord.Operation, args discord.Args, files ...discord.File,
) (json.RawMessage, error) {
	return r.Discord.Call(ctx, by, op.Recorded(r.journal), args, files...)
}

// check refuses a call that Discord would certainly refuse.
func (m *making) check(ctx context.Context, call proto.Message) error {
	s := &service{discord: unsent{}, composer: m.composer, logger: m.logger}
	// A method takes the files out of its request.
	_, err := enqueueable[call.ProtoReflect().Descriptor().Name()].call(s, ctx, proto.Clone(call))
	if errors.Is(err, errChecked) {
		return nil
	}
	return err
}

// Repeats implements outbox.Maker.
func (m *making) Repeats(method string, request []byte) outbox.Repeats {
	h, call, err := handlerOf(method, request)
	if err != nil {
		return outbox.Never
	}
	if own, ok := call.(nonced); ok && own.GetNonce() != "" && isSet(call, "enforce_nonce") && !own.GetEnforceNonce() {
		return outbox.Never
	}
	return h.repeats
}

// nonced is a request to post a message with a nonce.
type nonced interface {
	GetNonce() string
	GetEnforceNonce() bool
}

// withNonce gives a message without a nonce that of its delivery.
func withNonce(call proto.Message, d store.Delivery) {
	own, ok := call.(nonced)
	if !ok || own.GetNonce() != "" {
		return
	}
	name := fmt.Appendf(nil, "%s\x00%s\x00", d.Caller, d.ID)
	digest := sha256.Sum256(binary.BigEndian.AppendUint64(name, uint64(d.EnqueuedAt.UnixMilli())))
	nonce := base32.StdEncoding.EncodeToString(digest[:])[:discord.MaxNonceLength]
	r := call.ProtoReflect()
	r.Set(r.Descriptor().Fields().ByName("nonce"), protoreflect.ValueOfString(nonce))
	r.Clear(r.Descriptor().Fields().ByName("enforce_nonce"))
}

// Make implements outbox.Maker.
func (m *making) Make(ctx context.Context, d store.Delivery, request []byte, journal *discord.Journal) (made outbox.Made, err error) {
	h, call, err := handlerOf(d.Method, request)
	if err != nil {
		return made, err
	}
	ctx, end, err := m.act(ctx, d)
	if err != nil {
		return made, &outbox.Held{Err: err}
	}
	defer end()
	if err := access.MayMake(ctx, d.Method, call); err != nil {
		return made, &outbox.Held{Err: err}
	}
	ctx, release := caller.Hold(ctx)
	defer release()
	seen := &calls.Call{Method: d.Method, Protocol: "outbox"}
	about(seen, call)
	ctx, ended := m.observers.Begin(ctx, seen)
	defer func() {
		if value := recover(); value != nil {
			err = rpc.Panicked(ctx, m.logger, d.Method, value)
		}
		if err == nil {
			ended(nil)
			return
		}
		status := toStatus(ctx, err)
		if e, ok := errors.AsType[*discord.Error](err); ok && e.Reason == discord.Revoked {
			if stopped := outbox.Stopped(ctx); stopped != nil { // the client has lost no right
				status = connect.NewError(connect.CodeCanceled, stopped)
			}
		}
		ended(status)
	}()
	withNonce(call, d)
	s := *m.service
	s.discord = recorded{m.discord, journal}
	res, err := h.call(&s, ctx, call)
	if e, ok := errors.AsType[*discord.Error](err); ok && h.done != 0 && e.Code == h.done && !d.TriedAt.IsZero() {
		return made, nil
	}
	if err != nil {
		return made, err
	}
	return madeBy(res), nil
}

// act returns a context in which the proxy acts for who enqueued a delivery, until end.
func (m *making) act(ctx context.Context, d store.Delivery) (_ context.Context, end func(), err error) {
	if hook, ok := hookOf(d); ok {
		if err := m.hooks.MayPost(hook, d.Target); err != nil {
			return nil, nil, err
		}
		return access.WithEveryone(caller.Named(rpc.WithOrigin(ctx, d.ID, ""), d.Caller)), func() {}, nil
	}
	if d.Keyed {
		return m.access.Act(rpc.WithOrigin(ctx, d.ID, ""), d.Caller, true)
	}
	ctx, end, err = m.access.Act(rpc.WithOrigin(ctx, d.ID, d.Caller), d.Caller, false)
	if err != nil {
		return nil, nil, err
	}
	return caller.Named(ctx, ""), end, nil // the observers derive it from the peer
}

// madeBy returns what an answer says of the message or thread that a call made.
func madeBy(res proto.Message) outbox.Made {
	switch part := firstPart(res).(type) {
	case *pb.Message:
		return outbox.Made{Channel: part.GetChannelId(), Message: part.GetId()}
	case *pb.Channel:
		return outbox.Made{Message: part.GetId()}
	}
	return outbox.Made{}
}

// firstPart returns the message in the first field of an answer, or nil if there is none.
func firstPart(res proto.Message) proto.Message {
	m := res.ProtoReflect()
	f := m.Descriptor().Fields().ByNumber(1)
	if f == nil || f.Kind() != protoreflect.MessageKind || f.IsList() || !m.Has(f) {
		return nil
	}
	return m.Get(f).Message().Interface()
}

// Describe implements outbox.Maker.
func (m *making) Describe(err error) (status string, document []byte) {
	ctx := context.Background()
	document, _ = proto.Marshal(failureOf(ctx, err))
	return strings.ToUpper(toStatus(ctx, err).Code().String()), document
}

// explain sets why a delivery waits whose client is no longer known.
func (m *making) explain(d *store.Delivery) {
	if d.State != store.Waiting && d.State != store.Sending {
		return
	}
	_, end, err := m.act(context.Background(), *d)
	if err != nil {
		d.Reason = rpc.Text(err)
		return
	}
	end()
}
