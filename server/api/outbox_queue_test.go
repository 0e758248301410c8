package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/outbox"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// posted returns the contents of a channel's messages in their order.
func posted(sb *sandbox.Sandbox, channel sandbox.ID) (all []string) {
	messages := sb.Messages(channel)
	slices.SortFunc(messages, func(a, b sandbox.Message) int { return int(a.ID) - int(b.ID) })
	for _, m := range messages {
		all = append(all, m.Content)
	}
	return all
}

// TestOrder: deliveries to one channel keep their order by priority, while Discord
// fails at random and over a restart. Those to other channels do not wait for them.
func TestOrder(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		w, folder := sb.World(), t.TempDir()
		q := openQueue(t, sb, queueConfig{folder: folder, idle: true})
		const each = 20
		var low, normal, high []string
		for i := range each {
			for _, p := range []struct {
				list     *[]string
				priority pb.Delivery_Priority
			}{{&low, pb.Delivery_LOW}, {&normal, pb.Delivery_NORMAL}, {&high, pb.Delivery_HIGH}} {
				text := fmt.Sprint(strings.ToLower(p.priority.String()), " ", i)
				*p.list = append(*p.list, text)
				req := message(w.General, text)
				req.DeliveryId, req.Priority = fmt.Sprintf("%v%d", p.priority, i), p.priority
				q.enqueue(req)
			}
		}
		free := message(w.Random, "free")
		free.Priority = pb.Delivery_LOW
		q.enqueue(free)
		q.stop()
		sb.InjectFault(sandbox.Fault{Route: "POST /channels/{channel_id}/messages", Probability: 0.2})
		sb.InjectFault(sandbox.Fault{Route: "POST /channels/{channel_id}/messages", Kind: sandbox.FaultReset, After: true, Probability: 0.2})
		q = openQueue(t, sb, queueConfig{folder: folder})
		q.ends("free", pb.Delivery_DELIVERED)
		if n := len(posted(sb, w.General)); n == 3*each {
			t.Error("another channel waited for the first")
		}
		q.stop()
		q = openQueue(t, sb, queueConfig{folder: folder})
		q.ends(fmt.Sprintf("%v%d", pb.Delivery_LOW, each-1), pb.Delivery_DELIVERED)
		if got, want := posted(sb, w.General), slices.Concat(high, normal, low); !slices.Equal(got, want) {
			t.Errorf("%q\nwant\n%q", got, want)
		}
	})
}

// TestSchedule: a call is made at its time, and not after it has expired.
func TestSchedule(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		w := sb.World()
		q := openQueue(t, sb, queueConfig{folder: t.TempDir()})
		at := time.Now().Add(3 * time.Hour)
		later := message(w.General, "later")
		later.NotBefore = timestamppb.New(at)
		if d := q.enqueue(later); d.GetState() != pb.Delivery_SCHEDULED {
			t.Errorf("%v", d)
		}
		short := message(w.Random, "short")
		short.ExpiresAt = timestamppb.New(time.Now().Add(time.Minute))
		fault := sb.InjectFault(sandbox.Fault{Kind: sandbox.FaultStatus, Status: 503})
		q.enqueue(short)
		time.Sleep(2 * time.Minute)
		sb.RemoveFault(fault)
		// A 503 leaves open what Discord did, so that the channel was read.
		q.ends("short", pb.Delivery_EXPIRED)
		time.Sleep(time.Until(at) - time.Second)
		if got := posted(sb, w.General); len(got) != 0 {
			t.Errorf("%q was sent early", got)
		}
		q.ends("later", pb.Delivery_DELIVERED)
		if late := time.Since(at); late > 5*time.Second {
			t.Errorf("sent %v late", late)
		}
	})
}

// TestAway: nothing is lost or sent twice while Discord is unreachable for hours, and
// calls that were certainly not sent are made afterwards.
func TestAway(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		w := sb.World()
		fault := sb.InjectFault(sandbox.Fault{Kind: sandbox.FaultReset})
		q := openQueue(t, sb, queueConfig{folder: t.TempDir()})
		var want []string
		for i := range 10 {
			want = append(want, fmt.Sprint(i))
			q.enqueue(message(w.General, want[i]))
		}
		time.Sleep(2 * time.Hour)
		if d := q.get("0"); d.GetReason() == "" || d.GetPosition() != 0 {
			t.Errorf("%v", d)
		}
		sb.RemoveFault(fault)
		q.ends("9", pb.Delivery_DELIVERED)
		if got := posted(sb, w.General); !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
}

// TestCancelAndRetry cancels waiting deliveries, and retries failed ones.
func TestCancelAndRetry(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		w := sb.World()
		q := openQueue(t, sb, queueConfig{folder: t.TempDir()})
		later := message(w.General, "later")
		later.NotBefore = timestamppb.New(time.Now().Add(time.Hour))
		q.enqueue(later)
		res, err := q.CancelDelivery(t.Context(), &pb.CancelDeliveryRequest{DeliveryId: "later"})
		if err != nil || res.GetDelivery().GetState() != pb.Delivery_CANCELLED {
			t.Errorf("%v, %v", res, err)
		}
		time.Sleep(2 * time.Hour)
		if got := posted(sb, w.General); len(got) != 0 {
			t.Errorf("%q was sent although it was cancelled", got)
		}
		if _, err := q.RetryDelivery(t.Context(), &pb.RetryDeliveryRequest{DeliveryId: "later"}); err != nil {
			t.Error(err)
		}
		q.ends("later", pb.Delivery_DELIVERED)
		for what, call := range map[string]func() error{
			"cancel": func() error {
				_, err := q.CancelDelivery(t.Context(), &pb.CancelDeliveryRequest{DeliveryId: "later"})
				return err
			},
			"retry": func() error {
				_, err := q.RetryDelivery(t.Context(), &pb.RetryDeliveryRequest{DeliveryId: "later"})
				return err
			},
		} {
			if err := call(); connect.CodeOf(err) != connect.CodeFailedPrecondition {
				t.Errorf("%s what was delivered: %v", what, err)
			}
		}
		if _, err := q.CancelDelivery(t.Context(), &pb.CancelDeliveryRequest{DeliveryId: "none"}); connect.CodeOf(err) != connect.CodeNotFound {
			t.Error(err)
		}
		// A delivery that waits for a limit can be cancelled, too.
		for i := range 8 {
			q.enqueue(message(w.General, fmt.Sprint(i)))
		}
		time.Sleep(time.Second)
		if _, err := q.CancelDelivery(t.Context(), &pb.CancelDeliveryRequest{DeliveryId: "6"}); err != nil {
			t.Error(err)
		}
		q.ends("7", pb.Delivery_DELIVERED)
		if got := posted(sb, w.General); slices.Contains(got, "6") || len(got) != 8 {
			t.Errorf("%q", got)
		}
		list, err := q.ListDeliveries(t.Context(), &pb.ListDeliveriesRequest{States: []pb.Delivery_State{pb.Delivery_CANCELLED}})
		if err != nil || len(list.GetDeliveries()) != 1 {
			t.Errorf("%v, %v", list, err)
		}
		if purged, err := q.PurgeDeliveries(t.Context(), new(pb.PurgeDeliveriesRequest)); err != nil || purged.GetPurged() != 9 {
			t.Errorf("%v, %v", purged, err)
		}
	})
}

// ends keeps the ends of the outbox's calls, by request ID.
type ends struct {
	mu  sync.Mutex
	all map[string]string
}

func (e *ends) Ended(_ context.Context, c *calls.Call) {
	if c.Protocol != "outbox" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all[c.RequestID] = fmt.Sprint(c.Code, ": ", c.Err)
}

// TestWithdrawn: the log says why a call that waited for a limit was not made, and does
// not blame the client's rights.
func TestWithdrawn(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		w, seen := sb.World(), &ends{all: make(map[string]string)}
		sb.ClearLimits()
		sb.SetLimit(sandbox.Limit{Name: "slow", Routes: []string{"POST /channels/{channel_id}/messages"}, Limit: 1, Window: time.Hour})
		q := openQueue(t, sb, queueConfig{folder: t.TempDir(), observers: calls.Observers{seen}})
		for id, channel := range map[string]sandbox.ID{
			"cancelled": w.General, "replaced": w.Random, "expired": w.Alerts, "stopped": w.Announcement,
		} {
			q.enqueue(message(channel, "first-"+id))
			req := message(channel, id)
			if req.ReplaceKey = id; id == "expired" {
				req.ExpiresAt = timestamppb.New(time.Now().Add(time.Minute))
			}
			q.enqueue(req)
		}
		time.Sleep(2 * time.Minute)
		if _, err := q.CancelDelivery(t.Context(), &pb.CancelDeliveryRequest{DeliveryId: "cancelled"}); err != nil {
			t.Fatal(err)
		}
		newer := message(w.Random, "newer")
		newer.ReplaceKey = "replaced"
		q.enqueue(newer)
		time.Sleep(time.Second)
		q.stop()
		seen.mu.Lock()
		defer seen.mu.Unlock()
		for id, want := range map[string]string{
			"cancelled": "the delivery was cancelled", "replaced": "the delivery was replaced by a newer one",
			"expired": "the delivery has expired", "stopped": "the server is shutting down",
		} {
			if got := seen.all[id]; !strings.HasPrefix(got, "canceled: ") || !strings.HasSuffix(got, want) {
				t.Errorf("%s ended with %q, want %q", id, got, want)
			}
		}
	})
}

// TestPages: ListDeliveries returns every delivery once.
func TestPages(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		q := openQueue(t, sb, queueConfig{folder: t.TempDir(), idle: true})
		for i := range 25 {
			q.enqueue(message(sb.World().Channels[i%2], fmt.Sprint(i)))
		}
		req := &pb.ListDeliveriesRequest{PageSize: 10, States: []pb.Delivery_State{pb.Delivery_WAITING}}
		var ids []string
		for {
			page, err := q.ListDeliveries(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range page.GetDeliveries() {
				ids = append(ids, d.GetId())
			}
			if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
				break
			}
		}
		if len(ids) != 25 || ids[0] != "24" || ids[24] != "0" {
			t.Errorf("%q", ids)
		}
		one, err := q.ListDeliveries(t.Context(), &pb.ListDeliveriesRequest{ChannelId: uint64(sb.World().Channels[1])})
		if err != nil || len(one.GetDeliveries()) != 12 {
			t.Errorf("%d of one channel, %v", len(one.GetDeliveries()), err)
		}
		for want, req := range map[string]*pb.ListDeliveriesRequest{
			"page_size":          {PageSize: 1001},
			"page_token":         {PageToken: "x"},
			"states":             {States: []pb.Delivery_State{9}},
			"cannot be combined": {ChannelId: 1, UserId: 2},
		} {
			if _, err := q.ListDeliveries(t.Context(), req); connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", want, err)
			}
		}
	})
}

// TestOddFilters: a time before all others matches what it says, and what no database can
// look for is refused by name.
func TestOddFilters(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		q := openQueue(t, sb, queueConfig{folder: t.TempDir()})
		q.enqueue(message(sb.World().General, "a"))
		q.ends("a", pb.Delivery_DELIVERED)
		first := timestamppb.New(time.Time{})
		if list, err := q.ListDeliveries(t.Context(), &pb.ListDeliveriesRequest{Until: first}); err != nil || len(list.GetDeliveries()) != 0 {
			t.Errorf("before all times: %v, %v", list, err)
		}
		if list, err := q.ListDeliveries(t.Context(), &pb.ListDeliveriesRequest{Since: first}); err != nil || len(list.GetDeliveries()) != 1 {
			t.Errorf("since the first time: %v, %v", list, err)
		}
		if res, err := q.PurgeDeliveries(t.Context(), &pb.PurgeDeliveriesRequest{Before: first}); err != nil || res.GetPurged() != 0 {
			t.Errorf("purged before all times: %v, %v", res, err)
		}
		_, byID := q.GetDelivery(t.Context(), &pb.GetDeliveryRequest{DeliveryId: "\x00"})
		_, byCaller := q.CancelDelivery(t.Context(), &pb.CancelDeliveryRequest{DeliveryId: "a", Caller: "\x00"})
		_, listed := q.ListDeliveries(t.Context(), &pb.ListDeliveriesRequest{Caller: "\x00"})
		for _, c := range []struct {
			want string
			err  error
		}{{"delivery_id contains", byID}, {"caller contains", byCaller}, {"caller contains", listed}} {
			if connect.CodeOf(c.err) != connect.CodeInvalidArgument || !strings.Contains(c.err.Error(), c.want) {
				t.Errorf("%v, want %q", c.err, c.want)
			}
		}
	})
}

// TestFull: Enqueue refuses calls beyond the limit, and accepts them again when there is space.
func TestFull(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		q := openQueue(t, sb, queueConfig{folder: t.TempDir(), idle: true, outbox: outbox.Config{MaxDeliveries: 2}})
		for i := range 2 {
			q.enqueue(message(sb.World().General, fmt.Sprint(i)))
		}
		if _, err := q.Enqueue(t.Context(), message(sb.World().General, "2")); connect.CodeOf(err) != connect.CodeResourceExhausted {
			t.Error(err)
		}
		if _, err := q.CancelDelivery(t.Context(), &pb.CancelDeliveryRequest{DeliveryId: "0"}); err != nil {
			t.Error(err)
		}
		q.enqueue(message(sb.World().General, "2"))
	})
}

// TestKept: records are deleted when they are old.
func TestKept(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		q := openQueue(t, sb, queueConfig{folder: t.TempDir(), outbox: outbox.Config{Keep: time.Hour}})
		q.enqueue(message(sb.World().General, "a"))
		q.ends("a", pb.Delivery_DELIVERED)
		time.Sleep(50 * time.Minute)
		q.get("a")
		time.Sleep(15 * time.Minute)
		if _, err := q.GetDelivery(t.Context(), &pb.GetDeliveryRequest{DeliveryId: "a"}); connect.CodeOf(err) != connect.CodeNotFound {
			t.Error(err)
		}
	})
}

// withKey is an Outbox client with a key.
func (q *queue) withKey(key string) discordapiconnect.OutboxClient {
	return discordapiconnect.NewOutboxClient(&http.Client{Transport: keyed{q.transport, key}}, q.url)
}

type keyed struct {
	next http.RoundTripper
	key  string
}

func (k keyed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+k.key)
	return k.next.RoundTrip(r)
}

// rules returns rules for clients, one line of YAML each, who have the keys.
func rules(t *testing.T, hashes map[string]string, lines map[string]string) *access.Rules {
	t.Helper()
	var file strings.Builder
	file.WriteString("clients:\n")
	for name, line := range lines {
		fmt.Fprintf(&file, "- {name: %s, hashes: [%q]%s}\n", name, hashes[name], line)
	}
	parsed, err := access.Parse([]byte(file.String()), access.Defaults{Methods: append(methodNames(), access.Hooks)})
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func methodNames() []string {
	var names []string
	methods := pb.File_discord_api_discord_api_proto.Services().Get(0).Methods()
	for i := range methods.Len() {
		names = append(names, string(methods.Get(i).Name()))
	}
	return names
}

// TestAccessToTheOutbox: a client may enqueue what it may send, when it enqueues it
// and when it is delivered, and sees its own deliveries.
func TestAccessToTheOutbox(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		w, folder := sb.World(), t.TempDir()
		keys, hashes := make(map[string]string), make(map[string]string)
		for _, name := range []string{"shop", "news", "admin"} {
			keys[name], hashes[name] = access.NewKey()
		}
		shop := fmt.Sprintf(", methods: [SendChannelMessage], channels: [%q]", fmt.Sprint(w.General))
		all := rules(t, hashes, map[string]string{"shop": shop, "news": "", "admin": ", all_deliveries: true"})
		guard := access.New(access.Config{Rules: all, Logger: slog.New(slog.DiscardHandler)})
		q := openQueue(t, sb, queueConfig{folder: folder, guard: guard})
		byShop, byNews, byAdmin := q.withKey(keys["shop"]), q.withKey(keys["news"]), q.withKey(keys["admin"])
		if _, err := q.Enqueue(t.Context(), message(w.General, "x")); connect.CodeOf(err) != connect.CodeUnauthenticated {
			t.Errorf("without a key: %v", err)
		}
		for what, req := range map[string]*pb.EnqueueRequest{
			"another channel": message(w.Random, "x"),
			"another method": {Call: &pb.EnqueueRequest_DeleteChannelMessage{
				DeleteChannelMessage: &pb.DeleteChannelMessageRequest{ChannelId: uint64(w.General), MessageId: 5},
			}},
			"a forward from another channel": {Call: &pb.EnqueueRequest_SendChannelMessage{SendChannelMessage: &pb.SendChannelMessageRequest{
				ChannelId: uint64(w.General), MessageReference: &pb.MessageReference{Type: pb.Message_Reference_FORWARD, ChannelId: uint64(w.Random), MessageId: 5},
			}}},
		} {
			if _, err := byShop.Enqueue(t.Context(), req); connect.CodeOf(err) != connect.CodePermissionDenied {
				t.Errorf("%s: %v", what, err)
			}
		}
		// Nobody sees those of others, but for who may.
		later := message(w.General, "later")
		later.NotBefore = timestamppb.New(time.Now().Add(time.Hour))
		if _, err := byShop.Enqueue(t.Context(), later); err != nil {
			t.Fatal(err)
		}
		if _, err := byNews.GetDelivery(t.Context(), &pb.GetDeliveryRequest{DeliveryId: "later"}); connect.CodeOf(err) != connect.CodeNotFound {
			t.Error(err)
		}
		for _, caller := range []string{"shop", ""} {
			list, err := byNews.ListDeliveries(t.Context(), &pb.ListDeliveriesRequest{Caller: caller})
			if caller == "" && (err != nil || len(list.GetDeliveries()) != 0) || caller != "" && connect.CodeOf(err) != connect.CodePermissionDenied {
				t.Errorf("of %q: %v, %v", caller, list, err)
			}
		}
		if _, err := byNews.CancelDelivery(t.Context(), &pb.CancelDeliveryRequest{DeliveryId: "later", Caller: "shop"}); connect.CodeOf(err) != connect.CodePermissionDenied {
			t.Error(err)
		}
		if list, err := byAdmin.ListDeliveries(t.Context(), new(pb.ListDeliveriesRequest)); err != nil || len(list.GetDeliveries()) != 1 {
			t.Errorf("%v, %v", list, err)
		}
		if list, err := byShop.ListDeliveries(t.Context(), new(pb.ListDeliveriesRequest)); err != nil || len(list.GetDeliveries()) != 1 || list.GetDeliveries()[0].GetCaller() != "shop" {
			t.Errorf("%v, %v", list, err)
		}
		// A client that is removed, or loses the right, has its deliveries held.
		state := func() *pb.Delivery {
			t.Helper()
			res, err := byAdmin.GetDelivery(t.Context(), &pb.GetDeliveryRequest{DeliveryId: "later", Caller: "shop"})
			if err != nil {
				t.Fatal(err)
			}
			return res.GetDelivery()
		}
		admin := ", all_deliveries: true"
		for _, step := range []struct {
			rules  map[string]string
			reason string
		}{
			{map[string]string{"admin": admin}, "was removed"},
			{map[string]string{"admin": admin, "shop": ", methods: [GetChannel]"}, "may not call SendChannelMessage"},
			{map[string]string{"admin": admin, "shop": fmt.Sprintf(", channels: [%q]", fmt.Sprint(w.Random))}, "may not use channel"},
		} {
			guard.Use(rules(t, hashes, step.rules))
			time.Sleep(61 * time.Minute)
			if d := state(); d.GetState() != pb.Delivery_WAITING || !strings.Contains(d.GetReason(), step.reason) {
				t.Errorf("want %q: %v", step.reason, d)
			}
		}
		if n := len(posted(sb, w.General)); n != 0 {
			t.Errorf("%d messages were sent", n)
		}
		guard.Use(rules(t, hashes, map[string]string{"admin": admin, "shop": shop}))
		time.Sleep(time.Minute)
		if d := state(); d.GetState() != pb.Delivery_DELIVERED {
			t.Errorf("%v", d)
		}
	})
}

// TestOutboxStreamsFollowTheRules: a stream of the deliveries of all clients ends when its
// client may no longer see them. Streams that need no right which was lost go on.
func TestOutboxStreamsFollowTheRules(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	w := sb.World()
	keys, hashes := make(map[string]string), make(map[string]string)
	for _, name := range []string{"shop", "admin"} {
		keys[name], hashes[name] = access.NewKey()
	}
	shop := fmt.Sprintf(", methods: [SendChannelMessage], channels: [%q]", fmt.Sprint(w.General))
	guard := access.New(access.Config{
		Rules:  rules(t, hashes, map[string]string{"shop": shop, "admin": ", all_deliveries: true"}),
		Logger: slog.New(slog.DiscardHandler),
	})
	q := openQueue(t, sb, queueConfig{folder: t.TempDir(), guard: guard, network: true})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	watch := func(key, caller string) *connect.ServerStreamForClient[pb.WatchDeliveriesResponse] {
		t.Helper()
		stream, err := q.withKey(key).WatchDeliveries(ctx, &pb.WatchDeliveriesRequest{Caller: caller})
		if err != nil || !stream.Receive() {
			t.Fatal(err, stream.Err())
		}
		t.Cleanup(func() { _ = stream.Close() })
		return stream
	}
	ofAll, ofShop, ofAdmin, byShop := watch(keys["admin"], ""), watch(keys["admin"], "shop"), watch(keys["admin"], "admin"), watch(keys["shop"], "")
	calls, err := q.withKey(keys["shop"]).EnqueueMany(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = calls.CloseRequest() }()
	enqueue := func(channel sandbox.ID, text string) *pb.EnqueueManyResponse {
		t.Helper()
		if err := calls.Send(&pb.EnqueueManyRequest{Enqueue: message(channel, text)}); err != nil {
			t.Fatal(err)
		}
		res, err := calls.Receive()
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	if res := enqueue(w.Random, "refused"); res.GetStatus() != "PERMISSION_DENIED" {
		t.Errorf("got %v", res)
	}
	guard.Use(rules(t, hashes, map[string]string{"shop": shop, "admin": ""}))
	for what, stream := range map[string]*connect.ServerStreamForClient[pb.WatchDeliveriesResponse]{"all": ofAll, "shop": ofShop} {
		if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodePermissionDenied {
			t.Errorf("the stream of %s: %v, %v", what, stream.Msg(), stream.Err())
		}
	}
	if res := enqueue(w.General, "of-shop"); res.GetDelivery().GetId() != "of-shop" {
		t.Errorf("got %v", res)
	}
	if _, err := q.withKey(keys["admin"]).Enqueue(ctx, message(w.General, "of-admin")); err != nil {
		t.Fatal(err)
	}
	for id, stream := range map[string]*connect.ServerStreamForClient[pb.WatchDeliveriesResponse]{"of-admin": ofAdmin, "of-shop": byShop} {
		if !stream.Receive() || stream.Msg().GetDelivery().GetId() != id {
			t.Errorf("%s: %v, %v", id, stream.Msg(), stream.Err())
		}
	}
}

// TestWatch: results arrive in order, starting from a position, also across restarts.
func TestWatch(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	w, folder := sb.World(), t.TempDir()
	q := openQueue(t, sb, queueConfig{folder: folder, network: true})
	watch := func(q *queue, req *pb.WatchDeliveriesRequest, n int) (ids []string, last uint64) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		stream, err := q.WatchDeliveries(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		for len(ids) < n && stream.Receive() {
			if d := stream.Msg().GetDelivery(); d != nil {
				ids = append(ids, d.GetId())
			}
			last = stream.Msg().GetPosition()
		}
		if len(ids) < n {
			t.Fatalf("%q, %v", ids, stream.Err())
		}
		return ids, last
	}
	for i := range 3 {
		q.enqueue(message(w.General, fmt.Sprint(i)))
	}
	ids, last := watch(q, &pb.WatchDeliveriesRequest{After: proto.Uint64(0)}, 3)
	if !slices.Equal(ids, []string{"0", "1", "2"}) || last != 3 {
		t.Errorf("%q, %d", ids, last)
	}
	q.stop()
	q = openQueue(t, sb, queueConfig{folder: folder, network: true})
	q.enqueue(message(w.General, "3"))
	if ids, _ := watch(q, &pb.WatchDeliveriesRequest{After: proto.Uint64(last - 1)}, 2); !slices.Equal(ids, []string{"2", "3"}) {
		t.Errorf("%q", ids)
	}
	// Results that are not wanted come before, between and after those that are.
	failing, err := q.WatchDeliveries(t.Context(), &pb.WatchDeliveriesRequest{After: proto.Uint64(0), States: []pb.Delivery_State{pb.Delivery_FAILED}})
	if err != nil || !failing.Receive() {
		t.Fatal(err)
	}
	for i := range 3 {
		q.enqueue(message(w.General, fmt.Sprint("between-", i)))
		q.enqueue(message(w.Forbidden, fmt.Sprint("refused-", i)))
		if !failing.Receive() || failing.Msg().GetDelivery().GetId() != fmt.Sprint("refused-", i) {
			t.Errorf("%d: %v, %v", i, failing.Msg(), failing.Err())
		}
	}
	_ = failing.Close()
	if _, err := q.PurgeDeliveries(t.Context(), new(pb.PurgeDeliveriesRequest)); err != nil {
		t.Fatal(err)
	}
	stream, err := q.WatchDeliveries(t.Context(), &pb.WatchDeliveriesRequest{After: proto.Uint64(1)})
	if err != nil || !stream.Receive() || !stream.Msg().GetGap() {
		t.Errorf("no gap: %v, %v", stream.Msg(), err)
	}
	_ = stream.Close()
}

// TestEnqueueManyForLong: a stream may last longer than a body may take.
func TestEnqueueManyForLong(t *testing.T) {
	const readTimeout = 200 * time.Millisecond
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	q := openQueue(t, sb, queueConfig{folder: t.TempDir(), network: true, idle: true, readTimeout: readTimeout})
	stream, err := q.EnqueueMany(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := stream.Send(&pb.EnqueueManyRequest{Enqueue: message(sb.World().General, fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
		if res, err := stream.Receive(); err != nil || res.GetDelivery().GetId() != fmt.Sprint(i) {
			t.Fatalf("%d: %v, %v", i, res, err)
		}
		time.Sleep(2 * readTimeout)
	}
	if err := stream.CloseRequest(); err != nil {
		t.Fatal(err)
	}
	if res, err := stream.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v, %v", res, err)
	}
}

// TestEnqueueMany: each call gets its response, whatever happens to the others.
func TestEnqueueMany(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	w := sb.World()
	q := openQueue(t, sb, queueConfig{folder: t.TempDir(), network: true, idle: true})
	stream, err := q.EnqueueMany(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const n = 500
	for i := range n {
		req := message(w.General, fmt.Sprint(i))
		if i%10 == 3 {
			req.GetSendChannelMessage().Content = ""
		}
		if i%20 == 0 { // together more than a stream may keep in memory
			req.GetSendChannelMessage().Attachments = []*pb.AttachmentRequest{{Filename: "a", Data: make([]byte, 1<<20)}}
		}
		if err := stream.Send(&pb.EnqueueManyRequest{Enqueue: req}); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseRequest(); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		res, err := stream.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if bad := i%10 == 3; bad && (res.GetStatus() != "INVALID_ARGUMENT" || res.GetError().GetCode() != 50006) || !bad && res.GetDelivery().GetId() != fmt.Sprint(i) {
			t.Errorf("%d: %v", i, res)
		}
	}
	counts, err := q.outbox.Counts(t.Context())
	if err != nil || counts.Unfinished != n*9/10 {
		t.Errorf("%+v, %v", counts, err)
	}
}
