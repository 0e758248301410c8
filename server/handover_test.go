package server_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/internal/lease"
	"discordproxy/server/internal/store/storetest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"github.com/coder/websocket"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
)

// leadsSoon waits until one of two servers leads.
func (r *running) leadsSoon(t *testing.T) {
	t.Helper()
	within(t, func() error {
		if got := r.counts("discordproxy_leads "); got != "1" {
			return fmt.Errorf("discordproxy_leads is %q", got)
		}
		return nil
	})
}

// TestHandOver: a leader that shuts down passes on the calls that wait for a limit, in each
// protocol, those of its own clients and those that were forwarded to it. A call at Discord
// ends there. Streams end with an error that asks for another connection.
func TestHandOver(t *testing.T) {
	f := newFleetOf(t, sandbox.Config{}) // with limits
	f.config.Gateway.Off = false
	var log lockedBuffer
	f.config.Logger = slog.New(slog.NewTextHandler(&log, nil))
	leader, entry := f.pair(t)
	channel := uint64(f.sb.World().General)
	for range 5 { // the channel's limit
		if _, err := leader.SendChannelMessage(t.Context(), hello(f.sb, "before")); err != nil {
			t.Fatal(err)
		}
	}
	arrived, release := f.block("/users/@me/guilds")
	defer release()
	var calling sync.WaitGroup
	list := func(r *running) {
		calling.Go(func() {
			if _, err := r.ListGuilds(t.Context(), new(pb.ListGuildsRequest)); err != nil {
				t.Errorf("a call that Discord takes long for: %v", err)
			}
		})
		receive(t, arrived)
	}
	list(leader)
	calls := 0
	for name, r := range map[string]*running{"leader": leader, "entry": entry} {
		url := "http://" + r.address
		for protocol, option := range map[string]connect.ClientOption{
			"grpc": connect.WithGRPC(), "grpc-web": connect.WithGRPCWeb(), "connect": connect.WithProtoJSON(),
		} {
			calls++
			calling.Go(func() {
				content := name + " " + protocol
				sent, err := discordapiconnect.NewDiscordApiClient(r.client(), url, option).SendChannelMessage(t.Context(), hello(f.sb, content))
				if err != nil || sent.GetMessage().GetContent() != content {
					t.Errorf("%s: %v", content, err)
				}
			})
		}
		calls++
		calling.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
				fmt.Sprintf("%s/api/v10/channels/%d/messages", url, channel), strings.NewReader(`{"content": "plain"}`))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := r.client().Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || !strings.Contains(string(text), `"plain"`) {
				t.Errorf("%s plain: %s %s", name, resp.Status, text)
			}
		})
	}
	within(t, func() error {
		if n := leader.counts("discordproxy_queue_calls "); n != fmt.Sprint(calls) {
			return fmt.Errorf("%s calls wait", n)
		}
		return nil
	})
	stream := leader.events(t)
	ws, resp, err := websocket.Dial(t.Context(), "ws://"+leader.address+"/gateway/?v=10&encoding=json", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	defer func() { _ = ws.CloseNow() }()
	if _, _, err := ws.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(leader.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reflection, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = reflection.Send(&grpc_reflection_v1.ServerReflectionRequest{MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reflection.Recv(); err != nil {
		t.Fatal(err)
	}

	leader.stop()
	for stream.Receive() { // what happened until then
	}
	if err := stream.Err(); connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), "shutting down") {
		t.Errorf("a stream of events ended with %v", err)
	}
	for err = nil; err == nil; {
		_, _, err = ws.Read(t.Context())
	}
	if code := websocket.CloseStatus(err); code != 4000 {
		t.Errorf("a bot's connection ended with %v", err)
	}
	release()
	entry.leadsSoon(t)
	calling.Wait()
	_ = conn.Close() // its stream waits for the client
	if err := receive(t, leader.ended); err != nil {
		t.Error(err)
	}
	if text := log.String(); !strings.Contains(text, `msg="handed the bot over to another server"`) || !strings.Contains(text, "settled=true") {
		t.Errorf("something kept the leader from handing over:\n%s", text)
	}
	contents := make(map[string]int)
	messages, err := entry.ListChannelMessages(t.Context(), &pb.ListChannelMessagesRequest{ChannelId: channel})
	if err != nil {
		t.Fatal(err)
	}
	for messages.Receive() {
		contents[messages.Msg().GetMessage().GetContent()]++
	}
	if messages.Err() != nil || len(contents) != calls || contents["plain"] != 2 || contents["before"] != 5 {
		t.Errorf("Discord got %v, %v", contents, messages.Err())
	}
	// Each of them is one call in the metrics of the server that has made it.
	if n := entry.counts("discordproxy_calls_total", `method="SendChannelMessage"`, `code="ok"`, `protocol="grpc"`); n != "2" {
		t.Errorf("the next leader counts %q calls", n)
	}
}

// TestHandOverDuringReload: a leader that waits for what Discord says of another token hands
// over, with the calls that wait. It follows with that token, which Discord accepts then.
func TestHandOverDuringReload(t *testing.T) {
	f := newFleetOf(t, sandbox.Config{}) // with limits
	leader, srv := f.start(t)
	within(t, leader.ready)
	entry := f.join(t)
	within(t, entry.ready)
	for range 5 { // the channel's limit
		if _, err := leader.SendChannelMessage(t.Context(), hello(f.sb, "before")); err != nil {
			t.Fatal(err)
		}
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := leader.SendChannelMessage(context.WithoutCancel(t.Context()), hello(f.sb, "waits"))
		waiting <- err
	}()
	within(t, func() error {
		if n := leader.counts("discordproxy_queue_calls "); n != "1" {
			return fmt.Errorf("%q calls wait", n)
		}
		return nil
	})
	next := f.config
	next.Token += "-next"
	if err := f.sb.AddToken("Bot "+next.Token, f.sb.World().Bot); err != nil {
		t.Fatal(err)
	}
	arrived, release := f.block("/users/@me")
	defer release()
	reloaded := make(chan error, 1)
	go func() { reloaded <- srv.Reload(t.Context(), next) }()
	receive(t, arrived)
	leader.stop()
	entry.leadsSoon(t)
	if err := receive(t, waiting); err != nil {
		t.Errorf("the call that waited: %v", err)
	}
	select {
	case err := <-reloaded:
		t.Errorf("the reload has ended without an answer of Discord: %v", err)
	default:
	}
	release()
	if err := receive(t, reloaded); err != nil {
		t.Errorf("the reload: %v", err)
	}
	if err := receive(t, leader.ended); err != nil {
		t.Error(err)
	}
}

// TestReplicasWithoutDatabase: while the database is away, a leader serves until its lease
// ends, and then refuses with the reason. Both servers go on when the database is back.
func TestReplicasWithoutDatabase(t *testing.T) {
	p := storetest.NewPostgres(t)
	f := newFleet(t)
	f.config.Database, f.config.RetryFor = p.Address(), time.Millisecond
	leader, entry := f.pair(t)
	send := func(r *running) error {
		_, err := r.SendChannelMessage(t.Context(), hello(f.sb, "hi"))
		return err
	}
	p.Stop(t)
	for _, r := range []*running{leader, entry} {
		if err := send(r); err != nil {
			t.Errorf("while the lease lasts: %v", err)
		}
	}
	for _, r := range []*running{leader, entry} {
		within(t, func() error {
			err := send(r)
			if connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), lease.ErrNotHeld.Error()) {
				return fmt.Errorf("without the lease: %w", errors.Join(err, errors.New("not refused")))
			}
			return nil
		})
	}
	p.Start(t)
	for _, r := range []*running{leader, entry} {
		within(t, func() error { return send(r) })
	}
	select {
	case err := <-leader.ended:
		t.Errorf("the leader ended: %v", err)
	case err := <-entry.ended:
		t.Errorf("the other server ended: %v", err)
	default:
	}
}

// TestLeadsAgain: a server that loses its lease forwards, and leads again later, with what
// the other one has left. Nothing of its first tenure is left over.
func TestLeadsAgain(t *testing.T) {
	f := newFleet(t)
	f.config.Gateway.Off = false
	ignore := goleak.IgnoreCurrent()
	first, second := f.pair(t)
	stream := first.events(t)
	if err := enqueue(first, f.sb, "first"); err != nil {
		t.Fatal(err)
	}
	takeLease(t, f.config.Database)
	for stream.Receive() {
	}
	if err := stream.Err(); connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), lease.ErrLost.Error()) {
		t.Errorf("a stream of events ended with %v", err)
	}
	freeLease(t, f.config.Database)
	for round := range 3 { // so that one of them leads twice
		within(t, func() error {
			if first.counts("discordproxy_leads ") == "1" || second.counts("discordproxy_leads ") == "1" {
				return nil
			}
			return errors.New("no server leads")
		})
		id := fmt.Sprint("round", round)
		for _, r := range []*running{first, second} {
			within(t, func() error { return enqueue(r, f.sb, id) })
			within(t, func() error {
				got, err := r.outbox().GetDelivery(context.Background(), &pb.GetDeliveryRequest{DeliveryId: id})
				if err == nil && got.GetDelivery().GetState() != pb.Delivery_DELIVERED {
					err = errors.New(got.GetDelivery().GetState().String())
				}
				return err
			})
			if _, err := r.SendChannelMessage(t.Context(), hello(f.sb, "again")); err != nil {
				t.Error(err)
			}
		}
		takeLease(t, f.config.Database)
		within(t, func() error {
			if first.counts("discordproxy_leads ") != "0" || second.counts("discordproxy_leads ") != "0" {
				return errors.New("a server leads without the lease")
			}
			return nil
		})
		freeLease(t, f.config.Database)
	}
	for _, r := range []*running{first, second} {
		r.stop()
		if err := receive(t, r.ended); err != nil {
			t.Error(err)
		}
		r.over.CloseIdleConnections()
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	if err := goleak.Find(ignore); err != nil {
		t.Errorf("something is left: %v", err)
	}
}

// takeLease gives the lease of the bot to a server that does not exist, and freeLease
// releases it.
func takeLease(t *testing.T, address string) {
	t.Helper()
	changeLease(t, address, "UPDATE leases SET holder = 'another', epoch = epoch + 1, until_at = 1e15")
}

func freeLease(t *testing.T, address string) {
	t.Helper()
	changeLease(t, address, "UPDATE leases SET until_at = 0")
}

func changeLease(t *testing.T, address, change string) {
	t.Helper()
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), change); err != nil {
		t.Fatal(err)
	}
}
