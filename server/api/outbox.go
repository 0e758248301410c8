package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"discordproxy/discord"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/caller"
	"discordproxy/server/internal/outbox"
	"discordproxy/server/internal/rpc"
	"discordproxy/server/internal/store"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"golang.org/x/sync/semaphore"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// outboxService implements the API of the outbox.
type outboxService struct {
	outbox *outbox.Outbox // nil without a data folder
	making *making
}

var _ discordapiconnect.OutboxHandler = (*outboxService)(nil)

// Limits of the values that a client chooses.
const (
	maxDeliveryID  = 64
	maxReplaceKey  = 64
	maxPage        = 1000
	standardPage   = 100
	standardExpiry = 24 * time.Hour
	maxSchedule    = 366 * 24 * time.Hour
)

// errNoOutbox is the error of all methods without a data folder.
var errNoOutbox = connect.NewError(
	connect.CodeFailedPrecondition,
	errors.New("the outbox needs a writable data folder or a database; see --data and --database"),
)

func (s *outboxService) open() error {
	if s.outbox == nil {
		return connect.NewError(errNoOutbox.Code(), errors.Unwrap(errNoOutbox)) // headers are added to an error on its way
	}
	return nil
}

func (s *outboxService) Enqueue(ctx context.Context, req *pb.EnqueueRequest) (*pb.EnqueueResponse, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	d, duplicate, err := s.accept(ctx, req)
	if err != nil {
		return nil, err
	}
	return &pb.EnqueueResponse{Delivery: shown(d), Duplicate: duplicate}, nil
}

// accept accepts one call. duplicate is whether it was there before.
func (s *outboxService) accept(ctx context.Context, req *pb.EnqueueRequest) (d store.Delivery, duplicate bool, err error) {
	if d, err = s.delivery(ctx, req, rpc.RepeatOf(ctx).Nonce, time.Now()); err != nil {
		return d, false, err
	}
	results, err := s.outbox.Enqueue(ctx, d)
	if err == nil {
		err = results[0].Err
	}
	if err != nil {
		return d, false, err
	}
	return results[0].Delivery, duplicates(req, results[0]), nil
}

// duplicates reports whether a client has enqueued a call before. A delivery that the
// client did not name can only be there because another server has accepted this very call.
func duplicates(req *pb.EnqueueRequest, r store.Enqueued) bool {
	return r.Duplicate && req.GetDeliveryId() != ""
}

// Limits of the calls that a stream keeps in memory in addition to the one that it
// received last: as many as share a transaction, of 16 MiB together. A larger call
// counts as 16 MiB.
const (
	enqueueAtOnce = 256
	enqueueBytes  = 16 << 20
)

func (s *outboxService) EnqueueMany(ctx context.Context, stream *connect.BidiStream[pb.EnqueueManyRequest, pb.EnqueueManyResponse]) error {
	if err := s.open(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	received := make(chan *pb.EnqueueManyRequest, enqueueAtOnce)
	inFlight := semaphore.NewWeighted(enqueueBytes)
	weight := func(req *pb.EnqueueManyRequest) int64 { return min(int64(proto.Size(req)), enqueueBytes) }
	var broken error
	name := namesOf(ctx)
	go func() {
		defer close(received)
		for {
			req, err := stream.Receive()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					broken = err
				}
				return
			}
			if inFlight.Acquire(ctx, weight(req)) != nil {
				return
			}
			select {
			case received <- req:
			case <-ctx.Done():
				return
			}
		}
	}()
	for first := range received {
		batch := []*pb.EnqueueManyRequest{first}
	gather:
		for len(batch) < enqueueAtOnce {
			select {
			case next, ok := <-received:
				if !ok {
					break gather
				}
				batch = append(batch, next)
			default:
				break gather
			}
		}
		held := int64(0)
		for _, req := range batch {
			held += weight(req)
		}
		if err := s.enqueueBatch(ctx, batch, name, stream.Send); err != nil {
			return err
		}
		inFlight.Release(held)
	}
	return broken
}

// namesOf returns what names the calls of a stream, one after the other, if their client
// does not. Another server that gets the same stream gives them the same names.
func namesOf(ctx context.Context) func() string {
	nonce, n := rpc.RepeatOf(ctx).Nonce, 0
	return func() string {
		if nonce == "" {
			return ""
		}
		n++
		return fmt.Sprintf("%s-%d", nonce, n)
	}
}

// enqueueBatch accepts calls in one transaction and answers each. name names the next call.
func (s *outboxService) enqueueBatch(
	ctx context.Context, batch []*pb.EnqueueManyRequest, name func() string, send func(*pb.EnqueueManyResponse) error,
) error {
	answers := make([]*pb.EnqueueManyResponse, len(batch))
	refuse := func(i int, err error) {
		status := toStatus(ctx, err)
		answers[i] = &pb.EnqueueManyResponse{Error: failureOf(ctx, err), Status: strings.ToUpper(status.Code().String())}
	}
	var accepted []store.Delivery
	var places []int
	now := time.Now()
	for i, req := range batch {
		d, err := s.delivery(ctx, req.GetEnqueue(), name(), now)
		if err != nil {
			refuse(i, err)
			continue
		}
		accepted, places = append(accepted, d), append(places, i)
	}
	if len(accepted) > 0 {
		results, err := s.outbox.Enqueue(ctx, accepted...)
		for n, i := range places {
			switch {
			case err != nil:
				refuse(i, err)
			case results[n].Err != nil:
				refuse(i, results[n].Err)
			default:
				answers[i] = &pb.EnqueueManyResponse{Delivery: shown(results[n].Delivery), Duplicate: duplicates(batch[i].GetEnqueue(), results[n])}
			}
		}
	}
	for _, answer := range answers {
		if err := send(answer); err != nil {
			return err
		}
	}
	return nil
}

// delivery checks a request and returns the delivery that it asks for. Its name is that of
// the request, else the given one, else a random one.
func (s *outboxService) delivery(ctx context.Context, req *pb.EnqueueRequest, name string, now time.Time) (store.Delivery, error) {
	call := callIn(req)
	if call == nil {
		return store.Delivery{}, invalid("call", "is required: set one of the fields from send_channel_message to remove_thread_member")
	}
	method := methodOfRequest(call)
	if err := access.MayMake(ctx, method, call); err != nil {
		return store.Delivery{}, err
	}
	if err := s.making.check(ctx, call); err != nil {
		return store.Delivery{}, err
	}
	d := store.Delivery{
		Caller: caller.Name(ctx), Keyed: access.From(ctx).Name() != "", ID: req.GetDeliveryId(), Method: method, Target: targetOf(call),
		Priority: rankOf(req.GetPriority()), ReplaceKey: req.GetReplaceKey(), Resend: req.GetOnUnknown() == pb.Delivery_RESEND,
	}
	if d.ID != "" && (len(d.ID) > maxDeliveryID || strings.ContainsFunc(d.ID, func(r rune) bool { return r <= ' ' || r > '~' })) {
		return d, invalid("delivery_id", "must be at most %d printable ASCII characters without spaces", maxDeliveryID)
	}
	d.ID = cmp.Or(d.ID, name, rand.Text())
	if utf8.RuneCountInString(d.ReplaceKey) > maxReplaceKey {
		return d, invalid("replace_key", "must be at most %d characters", maxReplaceKey)
	}
	if err := storable("replace_key", d.ReplaceKey); err != nil {
		return d, err
	}
	if _, ok := pb.Delivery_Priority_name[int32(req.GetPriority())]; !ok {
		return d, invalid("priority", "has the unknown value %d", req.GetPriority())
	}
	if _, ok := pb.Delivery_OnUnknown_name[int32(req.GetOnUnknown())]; !ok {
		return d, invalid("on_unknown", "has the unknown value %d", req.GetOnUnknown())
	}
	begins := now
	if t := req.GetNotBefore(); t != nil {
		if t.CheckValid() != nil || t.AsTime().After(now.Add(maxSchedule)) {
			return d, invalid("not_before", "must be a valid time, at most 366 days from now")
		}
		d.NotBefore = t.AsTime()
		if d.NotBefore.After(begins) {
			begins = d.NotBefore
		}
	}
	d.ExpiresAt = begins.Add(standardExpiry)
	if t := req.GetExpiresAt(); t != nil {
		// The store refuses times that have passed, but not for a call that it has already.
		if t.CheckValid() != nil || t.AsTime().After(now.Add(2*maxSchedule)) {
			return d, invalid("expires_at", "must be a valid time, at most 732 days from now")
		}
		d.ExpiresAt = t.AsTime()
	}
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(call)
	if err != nil {
		return d, err
	}
	digest := sha256.Sum256(content)
	d.Digest = digest[:]
	d.Request = content
	return d, nil
}

// invalid is the error of a field of the outbox's own.
func invalid(field, format string, args ...any) error {
	return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf(field+" "+format, args...))
}

// storable refuses the one character that PostgreSQL cannot store or look for.
func storable(field, text string) error {
	if strings.ContainsRune(text, 0) {
		return invalid(field, "contains the character U+0000")
	}
	return nil
}

// rankOf orders priorities.
func rankOf(p pb.Delivery_Priority) int {
	return map[pb.Delivery_Priority]int{pb.Delivery_LOW: 0, pb.Delivery_NORMAL: 1, pb.Delivery_HIGH: 2}[p]
}

// shown returns a delivery as clients see it.
func shown(d store.Delivery) *pb.Delivery {
	at := func(t time.Time) *timestamppb.Timestamp {
		if t.IsZero() {
			return nil
		}
		return timestamppb.New(t)
	}
	out := &pb.Delivery{
		Id: d.ID, Caller: d.Caller, Method: d.Method, State: pb.Delivery_State(d.State),
		Priority:  []pb.Delivery_Priority{pb.Delivery_LOW, pb.Delivery_NORMAL, pb.Delivery_HIGH}[d.Priority],
		OnUnknown: pb.Delivery_GIVE_UP, ReplaceKey: d.ReplaceKey,
		EnqueuedAt: at(d.EnqueuedAt), NotBefore: at(d.NotBefore), ExpiresAt: at(d.ExpiresAt), FinishedAt: at(d.FinishedAt),
		Tries: int32(d.Tries), Reason: d.Reason, MessageId: uint64(d.Message), Status: d.Status, Position: uint64(d.Position),
	}
	if d.Resend {
		out.OnUnknown = pb.Delivery_RESEND
	}
	var id uint64
	kind, _, _ := strings.Cut(d.Target, " ")
	_, _ = fmt.Sscan(strings.TrimPrefix(d.Target, kind), &id)
	switch kind {
	case "channel":
		out.ChannelId = id
	case "user":
		out.UserId = id
	case "webhook":
		out.WebhookId = id
	}
	if d.Channel != 0 {
		out.ChannelId = uint64(d.Channel)
	}
	if len(d.Failure) > 0 {
		out.Error = new(pb.DiscordError)
		_ = proto.Unmarshal(d.Failure, out.Error) // it was written here
	}
	return out
}

// whose returns the caller whose deliveries a request is about, or "" for all, if the
// client may see them.
func whose(ctx context.Context, wanted string, all bool) (string, error) {
	own := caller.Name(ctx)
	if err := storable("caller", wanted); err != nil {
		return "", err
	}
	if wanted == own || wanted == "" && !all {
		return own, nil
	}
	err := access.MaySeeDeliveries(ctx)
	if err != nil && wanted == "" {
		return own, nil
	}
	return wanted, err
}

func (s *outboxService) GetDelivery(ctx context.Context, req *pb.GetDeliveryRequest) (*pb.GetDeliveryResponse, error) {
	d, err := s.one(ctx, req, s.outboxDelivery)
	return &pb.GetDeliveryResponse{Delivery: d}, err
}

func (s *outboxService) outboxDelivery(ctx context.Context, caller, id string) (store.Delivery, error) {
	return s.outbox.Delivery(ctx, caller, id)
}

// one does something with the delivery that a request names.
func (s *outboxService) one(ctx context.Context, req interface {
	GetDeliveryId() string
	GetCaller() string
}, do func(ctx context.Context, caller, id string) (store.Delivery, error),
) (*pb.Delivery, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	if req.GetDeliveryId() == "" {
		return nil, invalid("delivery_id", "is required")
	}
	if err := storable("delivery_id", req.GetDeliveryId()); err != nil {
		return nil, err
	}
	caller, err := whose(ctx, req.GetCaller(), false)
	if err != nil {
		return nil, err
	}
	d, err := do(ctx, caller, req.GetDeliveryId())
	if err != nil {
		return nil, err
	}
	s.making.explain(&d)
	return shown(d), nil
}

func (s *outboxService) CancelDelivery(ctx context.Context, req *pb.CancelDeliveryRequest) (*pb.CancelDeliveryResponse, error) {
	d, err := s.one(ctx, req, func(ctx context.Context, caller, id string) (store.Delivery, error) {
		return s.outbox.Cancel(ctx, caller, id)
	})
	return &pb.CancelDeliveryResponse{Delivery: d}, err
}

func (s *outboxService) RetryDelivery(ctx context.Context, req *pb.RetryDeliveryRequest) (*pb.RetryDeliveryResponse, error) {
	expires := time.Now().Add(standardExpiry)
	if t := req.GetExpiresAt(); t != nil {
		if t.CheckValid() != nil || !t.AsTime().After(time.Now()) || t.AsTime().After(time.Now().Add(2*maxSchedule)) {
			return nil, invalid("expires_at", "must be in the future, at most 732 days from now")
		}
		expires = t.AsTime()
	}
	d, err := s.one(ctx, req, func(ctx context.Context, caller, id string) (store.Delivery, error) {
		return s.outbox.Retry(ctx, caller, id, expires)
	})
	return &pb.RetryDeliveryResponse{Delivery: d}, err
}

func (s *outboxService) ListDeliveries(ctx context.Context, req *pb.ListDeliveriesRequest) (*pb.ListDeliveriesResponse, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	f, err := filter(ctx, req.GetStates(), req.GetCaller())
	if err != nil {
		return nil, err
	}
	for _, target := range []struct {
		kind string
		id   uint64
	}{{"channel", req.GetChannelId()}, {"user", req.GetUserId()}, {"webhook", req.GetWebhookId()}} {
		if target.id == 0 {
			continue
		}
		if f.Target != "" {
			return nil, invalid("channel_id, user_id and webhook_id", "cannot be combined")
		}
		f.Target = fmt.Sprint(target.kind, " ", target.id)
	}
	if f.Since, err = timeOf("since", req.GetSince()); err != nil {
		return nil, err
	}
	if f.Until, err = timeOf("until", req.GetUntil()); err != nil {
		return nil, err
	}
	size := int(req.GetPageSize())
	if size < 0 || size > maxPage {
		return nil, invalid("page_size", "must be between 1 and %d", maxPage)
	}
	size = cmp.Or(size, standardPage)
	before, err := placeOf(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	all, err := s.outbox.List(ctx, f, before, size+1)
	if err != nil {
		return nil, err
	}
	res := new(pb.ListDeliveriesResponse)
	if len(all) > size {
		all = all[:size]
		res.NextPageToken = pageToken(all[size-1].Seq)
	}
	for _, d := range all {
		s.making.explain(&d)
		res.Deliveries = append(res.Deliveries, shown(d))
	}
	return res, nil
}

// timeOf returns a time in a request, the zero time only if it is not set: a filter that
// matches nothing must not become one that matches everything.
func timeOf(field string, t *timestamppb.Timestamp) (time.Time, error) {
	if t == nil {
		return time.Time{}, nil
	}
	if t.CheckValid() != nil {
		return time.Time{}, invalid(field, "is not a valid time")
	}
	at := t.AsTime()
	if at.IsZero() {
		at = at.Add(time.Millisecond)
	}
	return at, nil
}

// pageToken names a place in the list.
func pageToken(seq int64) string {
	return base64.RawURLEncoding.EncodeToString(binary.AppendVarint(nil, seq))
}

func placeOf(token string) (int64, error) {
	if token == "" {
		return 0, nil
	}
	data, err := base64.RawURLEncoding.DecodeString(token)
	seq, n := binary.Varint(data)
	if err != nil || n != len(data) || seq <= 0 {
		return 0, invalid("page_token", "is not a next_page_token of ListDeliveries")
	}
	return seq, nil
}

func filter(ctx context.Context, states []pb.Delivery_State, caller string) (f store.DeliveryFilter, err error) {
	for _, state := range states {
		if state < pb.Delivery_SCHEDULED || state > pb.Delivery_UNKNOWN {
			return f, invalid("states", "has the unknown value %d", state)
		}
		f.States = append(f.States, store.DeliveryState(state))
	}
	f.Caller, err = whose(ctx, caller, true)
	return f, err
}

// resultsAtOnce limits the results that are read at a time.
const resultsAtOnce = 100

func (s *outboxService) WatchDeliveries(
	ctx context.Context,
	req *pb.WatchDeliveriesRequest,
	stream *connect.ServerStream[pb.WatchDeliveriesResponse],
) error {
	if err := s.open(); err != nil {
		return err
	}
	f, err := filter(ctx, req.GetStates(), req.GetCaller())
	if err != nil {
		return err
	}
	counts, err := s.outbox.Counts(ctx)
	if err != nil {
		return err
	}
	from := counts.Position
	first := new(pb.WatchDeliveriesResponse)
	if req.After != nil {
		if req.GetAfter() > uint64(counts.Position) {
			return invalid("after", "is %d, but the newest result has position %d", req.GetAfter(), counts.Position)
		}
		from = int64(req.GetAfter())
		first.Gap = from > 0 && from < counts.Purged
	}
	first.Position = uint64(from)
	if err := stream.Send(first); err != nil {
		return err
	}
	for {
		changed := s.outbox.Changed()
		counts, err := s.outbox.Counts(ctx)
		if err != nil {
			return err
		}
		results, err := s.outbox.Results(ctx, f, from, resultsAtOnce)
		if err != nil {
			return err
		}
		for _, d := range results {
			if err := stream.Send(&pb.WatchDeliveriesResponse{Delivery: shown(d), Position: uint64(d.Position)}); err != nil {
				return err
			}
			from = d.Position
		}
		if len(results) == resultsAtOnce {
			continue
		}
		// The results of others up to there are not read again and again.
		from = max(from, counts.Position)
		select {
		case <-changed:
		case <-s.making.ending:
			return rpc.ShuttingDown()
		case <-ctx.Done():
			return discord.ContextError(ctx)
		}
	}
}

func (s *outboxService) PurgeDeliveries(ctx context.Context, req *pb.PurgeDeliveriesRequest) (*pb.PurgeDeliveriesResponse, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	f, err := filter(ctx, req.GetStates(), req.GetCaller())
	if err != nil {
		return nil, err
	}
	for _, state := range f.States {
		if !state.Ended() {
			return nil, invalid("states", "includes %s: only deliveries that have ended can be purged", pb.Delivery_State(state))
		}
	}
	if f.EndedBefore, err = timeOf("before", req.GetBefore()); err != nil {
		return nil, err
	}
	purged, err := s.outbox.Purge(ctx, f)
	if err != nil {
		return nil, err
	}
	return &pb.PurgeDeliveriesResponse{Purged: purged}, nil
}
