package api_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"discordproxy/discord"
	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/api"
	"discordproxy/server/internal/access"
	"discordproxy/server/internal/calls"
	"discordproxy/server/internal/hooks"
	"discordproxy/server/internal/outbox"
	"discordproxy/server/internal/store"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// queue is a server with an outbox, on a clock that the test sets. A second one in
// the same folder is the server after a restart.
type queue struct {
	*testing.T
	discordapiconnect.OutboxClient
	folder    string // of the data
	outbox    *outbox.Outbox
	transport http.RoundTripper
	url       string
	useHooks  func(*hooks.Hooks)
	stop      func()
}

// queueConfig is what differs between tests.
type queueConfig struct {
	folder  string
	outbox  outbox.Config
	guard   *access.Guard
	idle    bool // nothing is delivered
	tries   http.RoundTripper
	network bool // it has streams
	// readTimeout is that of the network.
	readTimeout time.Duration
	hooks       string
	noData      bool
	observers   calls.Observers
	dashboard   discordapiconnect.DashboardHandler
}

func openQueue(t *testing.T, sb *sandbox.Sandbox, c queueConfig) *queue {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	records, err := store.Open(t.Context(), store.Config{Folder: c.folder})
	if err != nil {
		t.Fatal(err)
	}
	if c.outbox.Records, err = records.Outbox(t.Context(), "bot"); err != nil {
		t.Fatal(err)
	}
	c.outbox.Logger = quiet
	box := outbox.New(c.outbox)
	if c.tries == nil {
		c.tries = sb.Transport()
	}
	// A single try, so that what a crash leaves behind can be made by a fault.
	client, err := discord.New(discord.Config{Token: sb.World().Token, Upstream: c.tries, Logger: quiet, RetryFor: -1})
	if err != nil {
		t.Fatal(err)
	}
	var maker outbox.Maker
	ending := make(chan struct{})
	config := api.Config{
		Discord: client, Logger: quiet, Outbox: box, Access: c.guard, Ending: ending, Observers: c.observers,
		Dashboard: c.dashboard,
		UseMaker:  func(m outbox.Maker) { maker = m },
	}
	q := &queue{T: t, folder: c.folder, outbox: box}
	if c.hooks != "" {
		config.Hooks.Hooks = parsedHooks(t, c.hooks)
		config.UseHooks = func(use func(*hooks.Hooks)) { q.useHooks = use }
	}
	if c.noData {
		config.Outbox = nil
	}
	handler, err := api.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	if !c.idle {
		running.Go(func() { box.Run(ctx, maker) })
	}
	q.transport, q.url = direct{handler}, "http://proxy"
	if c.network {
		srv := httptest.NewUnstartedServer(handler)
		srv.EnableHTTP2 = true
		srv.Config.ReadTimeout = c.readTimeout
		srv.StartTLS()
		t.Cleanup(srv.Close)
		q.transport, q.url = srv.Client().Transport, srv.URL
	}
	q.OutboxClient = discordapiconnect.NewOutboxClient(&http.Client{Transport: q.transport}, q.url)
	q.stop = sync.OnceFunc(func() {
		close(ending)
		cancel()
		running.Wait()
		if err := records.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(q.stop)
	return q
}

// direct serves requests without a network.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	in := r.Clone(r.Context())
	in.RemoteAddr, in.RequestURI = "127.0.0.1:1", r.URL.RequestURI()
	d.handler.ServeHTTP(w, in)
	return w.Result(), nil
}

func message(channel sandbox.ID, text string) *pb.EnqueueRequest {
	return &pb.EnqueueRequest{DeliveryId: text, Call: &pb.EnqueueRequest_SendChannelMessage{
		SendChannelMessage: &pb.SendChannelMessageRequest{ChannelId: uint64(channel), Content: text},
	}}
}

func (q *queue) enqueue(req *pb.EnqueueRequest) *pb.Delivery {
	q.Helper()
	res, err := q.Enqueue(q.Context(), req)
	if err != nil {
		q.Fatal(err)
	}
	return res.GetDelivery()
}

func (q *queue) get(id string) *pb.Delivery {
	q.Helper()
	res, err := q.GetDelivery(q.Context(), &pb.GetDeliveryRequest{DeliveryId: id})
	if err != nil {
		q.Fatal(err)
	}
	return res.GetDelivery()
}

// ends waits until a delivery has ended, and checks how.
func (q *queue) ends(id string, state pb.Delivery_State) *pb.Delivery {
	q.Helper()
	for range 2 * 24 * 3600 {
		if d := q.get(id); d.GetPosition() > 0 {
			if d.GetState() != state {
				q.Errorf("%s is %s, want %s: %v", id, d.GetState(), state, d)
			}
			return d
		}
		time.Sleep(time.Second)
	}
	q.Fatalf("%s has not ended: %v", id, q.get(id))
	return nil
}

func contents(sb *sandbox.Sandbox, channel sandbox.ID) (all []string) {
	for _, m := range sb.Messages(channel) {
		all = append(all, m.Content)
	}
	slices.Sort(all)
	return all
}

// inTime runs a test with a sandbox on a clock of its own.
func inTime(t *testing.T, test func(*testing.T, *sandbox.Sandbox)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, sandbox.New(sandbox.Config{})) })
}

// TestDelivered: a call that was enqueued is made, and its result is on record.
func TestDelivered(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		q := openQueue(t, sb, queueConfig{folder: t.TempDir()})
		w := sb.World()
		d := q.enqueue(message(w.General, "hi"))
		if d.GetState() != pb.Delivery_WAITING || d.GetMethod() != "SendChannelMessage" || d.GetChannelId() != uint64(w.General) || d.GetExpiresAt().AsTime().Sub(d.GetEnqueuedAt().AsTime()) != 24*time.Hour {
			t.Errorf("%v", d)
		}
		d = q.ends("hi", pb.Delivery_DELIVERED)
		if stored := sb.Messages(w.General); len(stored) != 1 || uint64(stored[0].ID) != d.GetMessageId() || d.GetTries() != 1 {
			t.Errorf("%v, %v", d, stored)
		}
		q.enqueue(message(w.Forbidden, "secret"))
		d = q.ends("secret", pb.Delivery_FAILED)
		if d.GetStatus() != "PERMISSION_DENIED" || d.GetError().GetCode() != 50001 {
			t.Errorf("%v", d)
		}
		again, err := q.Enqueue(t.Context(), message(w.General, "hi"))
		if err != nil || !again.GetDuplicate() || again.GetDelivery().GetState() != pb.Delivery_DELIVERED {
			t.Errorf("%v, %v", again, err)
		}
		other := message(w.General, "other")
		other.DeliveryId = "hi"
		if _, err := q.Enqueue(t.Context(), other); connect.CodeOf(err) != connect.CodeAlreadyExists {
			t.Error(err)
		}
	})
}

// TestEveryCallCanBeEnqueued makes a call of every kind through the outbox.
func TestEveryCallCanBeEnqueued(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		q := openQueue(t, sb, queueConfig{folder: t.TempDir()})
		w := sb.World()
		general, mine, user, token := uint64(w.General), uint64(0), uint64(w.Users[0]), w.WebhookToken
		id, err := sb.AddMessage(sandbox.Message{ChannelID: w.General, Content: "mine"})
		if err != nil {
			t.Fatal(err)
		}
		mine = uint64(id)
		news, err := sb.AddMessage(sandbox.Message{ChannelID: w.Announcement, Content: "news"})
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range []proto.Message{
			&pb.SendChannelMessageRequest{ChannelId: general, Content: "a"},
			&pb.SendDirectMessageRequest{UserId: user, Content: "a"},
			&pb.EditChannelMessageRequest{ChannelId: general, MessageId: mine, Content: proto.String("b")},
			&pb.AddReactionRequest{ChannelId: general, MessageId: mine, EmojiName: "👍"},
			&pb.RemoveReactionRequest{ChannelId: general, MessageId: mine, EmojiName: "👍"},
			&pb.RemoveAllReactionsRequest{ChannelId: general, MessageId: mine},
			&pb.PinMessageRequest{ChannelId: general, MessageId: mine},
			&pb.UnpinMessageRequest{ChannelId: general, MessageId: mine},
			&pb.CrosspostMessageRequest{ChannelId: uint64(w.Announcement), MessageId: uint64(news)},
			&pb.StartThreadRequest{ChannelId: general, Name: "a thread", Type: pb.Channel_PUBLIC_THREAD},
			&pb.AddThreadMemberRequest{ChannelId: uint64(w.Thread), UserId: user},
			&pb.RemoveThreadMemberRequest{ChannelId: uint64(w.Thread), UserId: user},
			&pb.ExecuteWebhookRequest{WebhookId: uint64(w.Webhook), WebhookToken: token, Content: "a"},
			&pb.EditWebhookMessageRequest{WebhookId: uint64(w.Webhook), WebhookToken: token, MessageId: uint64(w.WebhookMessage), Content: proto.String("b")},
			&pb.DeleteWebhookMessageRequest{WebhookId: uint64(w.Webhook), WebhookToken: token, MessageId: uint64(w.WebhookMessage)},
			&pb.DeleteChannelMessageRequest{ChannelId: general, MessageId: mine},
		} {
			req := new(pb.EnqueueRequest)
			m := req.ProtoReflect()
			fields := m.Descriptor().Oneofs().Get(0).Fields()
			for i := range fields.Len() {
				if fields.Get(i).Message().FullName() == call.ProtoReflect().Descriptor().FullName() {
					m.Set(fields.Get(i), m.NewField(fields.Get(i)))
					proto.Merge(m.Get(fields.Get(i)).Message().Interface(), call)
				}
			}
			d := q.ends(q.enqueue(req).GetId(), pb.Delivery_DELIVERED)
			if want := strings.TrimSuffix(string(call.ProtoReflect().Descriptor().Name()), "Request"); d.GetMethod() != want {
				t.Errorf("%s is called %s", want, d.GetMethod())
			}
		}
		if stored := contents(sb, w.General); !slices.Contains(stored, "a") || slices.Contains(stored, "mine") {
			t.Errorf("%q", stored)
		}
	})
}

// TestCrash: a try with an unknown outcome results in exactly one message.
func TestCrash(t *testing.T) {
	const route = "POST /channels/{channel_id}/messages"
	for name, tt := range map[string]struct {
		stored  bool          // the first try took effect
		away    time.Duration // how long the server is down
		hidden  bool          // the bot may not read the history
		newer   bool          // others write meanwhile
		resend  bool
		state   pb.Delivery_State
		copies  int
		reading int // calls that read the history
	}{
		"stored, soon":                    {stored: true, away: 10 * time.Second, state: pb.Delivery_DELIVERED, copies: 1},
		"not stored, soon":                {away: 10 * time.Second, state: pb.Delivery_DELIVERED, copies: 1},
		"stored, later":                   {stored: true, away: time.Hour, newer: true, state: pb.Delivery_DELIVERED, copies: 1, reading: 1},
		"not stored, later":               {away: time.Hour, newer: true, state: pb.Delivery_DELIVERED, copies: 1, reading: 1},
		"stored, hidden":                  {stored: true, away: time.Hour, hidden: true, state: pb.Delivery_UNKNOWN, copies: 1, reading: 1},
		"not stored, hidden, no newer":    {away: time.Hour, hidden: true, state: pb.Delivery_DELIVERED, copies: 1, reading: 1},
		"not stored, hidden, newer":       {away: time.Hour, hidden: true, newer: true, state: pb.Delivery_UNKNOWN, copies: 0, reading: 1},
		"not stored, hidden, resent":      {away: time.Hour, hidden: true, newer: true, resend: true, state: pb.Delivery_DELIVERED, copies: 1, reading: 1},
		"stored, soon, hidden":            {stored: true, away: 10 * time.Second, hidden: true, state: pb.Delivery_DELIVERED, copies: 1},
		"stored, and expired since":       {stored: true, away: 30 * time.Hour, newer: true, state: pb.Delivery_DELIVERED, copies: 1, reading: 1},
		"not stored, and expired since":   {away: 30 * time.Hour, newer: true, state: pb.Delivery_EXPIRED, copies: 0, reading: 1},
		"not stored, hidden, and expired": {away: 30 * time.Hour, hidden: true, newer: true, state: pb.Delivery_UNKNOWN, copies: 0, reading: 1},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
				w, folder := sb.World(), t.TempDir()
				q := openQueue(t, sb, queueConfig{folder: folder})
				fault := sb.InjectFault(sandbox.Fault{Route: route, Kind: sandbox.FaultReset, After: tt.stored, Count: 1})
				req := message(w.General, "once")
				if tt.resend {
					req.OnUnknown = pb.Delivery_RESEND
				}
				q.enqueue(req)
				q.crash(sb, route)
				sb.RemoveFault(fault)
				time.Sleep(tt.away)
				if tt.newer {
					if _, err := sb.AddMessage(sandbox.Message{ChannelID: w.General, Author: &sandbox.User{ID: w.Alice}, Content: "once"}); err != nil {
						t.Fatal(err)
					}
				}
				if tt.hidden {
					const readHistory = 1 << 16
					if err := sb.SetOverwrite(w.General, sandbox.Overwrite{ID: w.Bot, Type: 1, Deny: readHistory}); err != nil {
						t.Fatal(err)
					}
				}
				sb.ResetStats()
				q = openQueue(t, sb, queueConfig{folder: folder})
				d := q.ends("once", tt.state)
				copies, reads := 0, 0
				for _, m := range sb.Messages(w.General) {
					if m.Content == "once" && m.Author.ID == w.Bot {
						copies++
						if d.GetState() == pb.Delivery_DELIVERED && uint64(m.ID) != d.GetMessageId() {
							t.Errorf("message %d of %v", m.ID, d)
						}
					}
				}
				for _, call := range sb.Calls() {
					if call.Route == "GET /channels/{channel_id}/messages" {
						reads++
					}
				}
				if copies != tt.copies || reads != tt.reading {
					t.Errorf("%d messages, want %d; %d reads, want %d: %v", copies, tt.copies, reads, tt.reading, d)
				}
			})
		})
	}
}

// TestEnqueueAgainTooLate: a client that repeats a call gets its delivery, also when
// expires_at has passed since.
func TestEnqueueAgainTooLate(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		q := openQueue(t, sb, queueConfig{folder: t.TempDir()})
		req := message(sb.World().General, "hi")
		req.ExpiresAt = timestamppb.New(time.Now().Add(time.Minute))
		q.enqueue(req)
		time.Sleep(time.Hour)
		res, err := q.Enqueue(t.Context(), req)
		if err != nil || !res.GetDuplicate() || res.GetDelivery().GetState() != pb.Delivery_DELIVERED {
			t.Errorf("%v, %v", res, err)
		}
		req.DeliveryId = "another"
		if _, err := q.Enqueue(t.Context(), req); connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "expires_at") {
			t.Errorf("a new delivery that has expired: %v", err)
		}
		if got := contents(sb, sb.World().General); len(got) != 1 {
			t.Errorf("%q", got)
		}
	})
}

// TestRefusedFields: the error names the invalid field of a request.
func TestRefusedFields(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		q := openQueue(t, sb, queueConfig{folder: t.TempDir(), idle: true})
		for want, change := range map[string]func(*pb.EnqueueRequest){
			"call is required":           func(r *pb.EnqueueRequest) { r.Call = nil },
			"content":                    func(r *pb.EnqueueRequest) { r.GetSendChannelMessage().Content = strings.Repeat("x", 2001) },
			"empty message":              func(r *pb.EnqueueRequest) { r.GetSendChannelMessage().Content = "" },
			"Unknown Channel":            func(r *pb.EnqueueRequest) { r.GetSendChannelMessage().ChannelId = 0 },
			"at most 64":                 func(r *pb.EnqueueRequest) { r.DeliveryId = strings.Repeat("x", 65) },
			"delivery_id must":           func(r *pb.EnqueueRequest) { r.DeliveryId = "with space" },
			"replace_key contains":       func(r *pb.EnqueueRequest) { r.ReplaceKey = "a\x00" },
			"replace_key must":           func(r *pb.EnqueueRequest) { r.ReplaceKey = strings.Repeat("ü", 65) },
			"priority has the unknown":   func(r *pb.EnqueueRequest) { r.Priority = 9 },
			"on_unknown has the unknown": func(r *pb.EnqueueRequest) { r.OnUnknown = 9 },
			"not_before must":            func(r *pb.EnqueueRequest) { r.NotBefore = &timestamppb.Timestamp{Seconds: 1 << 60} },
			"expires_at must be ":        func(r *pb.EnqueueRequest) { r.ExpiresAt = timestamppb.New(time.Now()) },
			"after not_before": func(r *pb.EnqueueRequest) {
				r.NotBefore, r.ExpiresAt = timestamppb.New(time.Now().Add(time.Hour)), timestamppb.New(time.Now().Add(time.Minute))
			},
		} {
			req := message(sb.World().General, "hi")
			change(req)
			_, err := q.Enqueue(t.Context(), req)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("want %q: %v", want, err)
			}
		}
		if n := len(sb.Calls()); n != 0 {
			t.Errorf("%d calls to Discord", n)
		}
	})
}
