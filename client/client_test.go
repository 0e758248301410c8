package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"discordproxy/client"
	"discordproxy/client/clienttest"
	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
)

// bounded returns a context that ends with the test, or in a minute: a call that
// never ends fails its test.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestRefusal(t *testing.T) {
	p := clienttest.Start(t)
	w := p.Discord.World()
	_, err := p.GetUser(bounded(t), &pb.GetUserRequest{UserId: 42})
	for target, want := range map[error]bool{
		&client.HTTPError{}:                         true,
		&client.HTTPError{Status: 404}:              true,
		&client.HTTPError{Code: 10013}:              true,
		&client.HTTPError{Status: 403}:              false,
		&client.HTTPError{Status: 404, Code: 100}:   false,
		client.ErrTimeout:                           false,
		client.ErrUnavailable:                       false,
		connect.NewError(connect.CodeNotFound, nil): false,
	} {
		if got := errors.Is(err, target); got != want {
			t.Errorf("errors.Is(%v, %#v) is %t", err, target, got)
		}
	}
	if code := connect.CodeOf(err); code != connect.CodeNotFound {
		t.Errorf("the status is %v", code)
	}

	// A stream refuses as a call does.
	for _, err := range client.All(p.ListChannelMessages(bounded(t), &pb.ListChannelMessagesRequest{ChannelId: uint64(w.Forbidden)})) {
		if !errors.Is(err, &client.HTTPError{Status: 403, Code: 50001}) {
			t.Errorf("the stream ended with %v", err)
		}
	}
}

// TestWatchStatus: the first message of the stream contains the whole state.
func TestWatchStatus(t *testing.T) {
	p := clienttest.Start(t)
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	for status, err := range client.All(p.WatchStatus(ctx, new(pb.WatchStatusRequest))) {
		if err != nil || status.GetProxy().GetBot() != "sandbox" || status.GetLimits() == nil {
			t.Errorf("got %v, %v", status, err)
		}
		cancel() // the end of the loop waits for the end of the stream
		break
	}
}

// TestGetFleet: a proxy that shares nothing is alone.
func TestGetFleet(t *testing.T) {
	p := clienttest.Start(t)
	fleet, err := p.GetFleet(bounded(t), new(pb.GetFleetRequest))
	if err != nil || fleet.GetShared() || len(fleet.GetReplicas()) != 1 || !fleet.GetReplicas()[0].GetAnswered() {
		t.Errorf("got %v, %v", fleet, err)
	}
}

func TestTimeout(t *testing.T) {
	p := clienttest.Start(t, client.WithTimeout(50*time.Millisecond))
	p.Discord.SetLatency(sandbox.Latency{Response: sandbox.Delay{Min: time.Hour}})
	_, err := p.GetGuild(bounded(t), &pb.GetGuildRequest{GuildId: uint64(p.Discord.World().Guild)})
	if !errors.Is(err, client.ErrTimeout) || errors.Is(err, client.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// TestSeveredAnswer: the proxy dies in the middle of a response.
func TestSeveredAnswer(t *testing.T) {
	for name, beginning := range map[string]string{
		"the length": "\x00\x00", "the message": "\x00\x00\x00\x00\x09\x0a", "nothing, and a reset": "",
	} {
		t.Run(name, func(t *testing.T) {
			type connection struct{}
			var calls atomic.Int32
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				conn := r.Context().Value(connection{}).(*net.TCPConn)
				if beginning == "" {
					_ = conn.SetLinger(0)
				} else {
					w.Header().Set("Content-Type", "application/grpc")
					_, _ = io.WriteString(w, beginning)
					_ = http.NewResponseController(w).Flush()
				}
				_ = conn.Close()
			}))
			srv.Config.Protocols = new(http.Protocols)
			srv.Config.Protocols.SetUnencryptedHTTP2(true)
			srv.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connection{}, c) }
			srv.Start()
			t.Cleanup(srv.Close)
			c, err := client.New(srv.Listener.Addr().String(), client.WithRetries(2))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			_, err = c.DeleteChannelMessage(bounded(t), &pb.DeleteChannelMessageRequest{ChannelId: 1, MessageId: 2})
			e, ok := errors.AsType[*client.Error](err)
			if !ok || !errors.Is(err, client.ErrUnavailable) || connect.CodeOf(err) != connect.CodeUnavailable || !e.OutcomeUnknown {
				t.Errorf("a severed answer is %#v", err)
			}
			calls.Store(0)
			_, err = c.GetCurrentUser(bounded(t), &pb.GetCurrentUserRequest{})
			if n := calls.Load(); n != 3 || !errors.Is(err, client.ErrUnavailable) {
				t.Errorf("what changes nothing is called %d times: %v", n, err)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	p := clienttest.Start(t, client.WithTimeout(time.Minute))
	w := p.Discord.World()
	p.Discord.SetLimit(sandbox.Limit{Name: "n", Routes: []string{"GET /guilds/{guild_id}"}, Limit: 1, Window: time.Hour})
	var err error
	for range 2 {
		_, err = p.GetGuild(bounded(t), &pb.GetGuildRequest{GuildId: uint64(w.Guild)})
	}
	e, ok := errors.AsType[*client.Error](err)
	if !ok || !errors.Is(err, client.ErrTimeout) || e.RetryAfter < time.Minute || e.OutcomeUnknown {
		t.Errorf("got %#v", err)
	}
}

// TestRetryAfterTooLong: a call is not retried if the proxy asks for a long wait.
func TestRetryAfterTooLong(t *testing.T) {
	p := clienttest.Start(t, client.WithRetries(1))
	p.Discord.Ban(sandbox.Ban{For: time.Hour, RetryAfter: true})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := p.GetGuild(ctx, &pb.GetGuildRequest{GuildId: uint64(p.Discord.World().Guild)})
		ended <- err
	}()
	select {
	case err := <-ended:
		e, ok := errors.AsType[*client.Error](err)
		if !ok || !errors.Is(err, client.ErrUnavailable) || e.RetryAfter < time.Minute {
			t.Errorf("got %#v", err)
		}
	case <-time.After(25 * time.Second):
		t.Error("the call waits for the end of the ban")
	}
}

// lossy hands connections on and can lose the answer to a call: the connection
// ends as soon as lose says so.
func lossy(t *testing.T, address string, lose func() bool) string {
	lis, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // listening does not wait
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lis.Close() })
	go func() {
		for {
			client, err := lis.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", address) //nolint:noctx // on this machine
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(server, client)
				_ = server.Close()
			}()
			go func() {
				defer client.Close()
				defer server.Close()
				buf := make([]byte, 64<<10)
				for {
					n, err := server.Read(buf)
					if err != nil || lose() {
						return
					}
					if _, err := client.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	return lis.Addr().String()
}

// TestLostAnswer: the response to a sent message is lost.
func TestLostAnswer(t *testing.T) {
	no := false
	for name, c := range map[string]struct {
		retries int
		req     *pb.SendChannelMessageRequest
		ok      bool
	}{
		"without retries":      {0, &pb.SendChannelMessageRequest{}, false},
		"with retries":         {3, &pb.SendChannelMessageRequest{}, true},
		"a nonce of its own":   {3, &pb.SendChannelMessageRequest{Nonce: "n"}, true},
		"a nonce not enforced": {3, &pb.SendChannelMessageRequest{Nonce: "n", EnforceNonce: &no}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := clienttest.Start(t)
			general := p.Discord.World().General
			var lost atomic.Bool
			address := lossy(t, p.Address, func() bool {
				return len(p.Discord.Messages(general)) > 0 && lost.CompareAndSwap(false, true)
			})
			cl, err := client.New(address, client.WithRetries(c.retries))
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			nonce := c.req.GetNonce()
			c.req.ChannelId, c.req.Content = uint64(general), "once"
			_, err = cl.SendChannelMessage(bounded(t), c.req)
			if (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
			if e, ok := errors.AsType[*client.Error](err); err != nil && (!ok || !e.OutcomeUnknown || !errors.Is(err, client.ErrUnavailable)) {
				t.Errorf("got %#v", err)
			}
			if got := len(p.Discord.Messages(general)); got != 1 || !lost.Load() {
				t.Errorf("there are %d messages, an answer was lost: %t", got, lost.Load())
			}
			if c.req.GetNonce() != nonce {
				t.Errorf("the caller's request has the nonce %q", c.req.GetNonce())
			}
		})
	}
}

// TestLostAnswerOfEnqueue: a call is enqueued once although the response is lost.
func TestLostAnswerOfEnqueue(t *testing.T) {
	p := clienttest.Start(t)
	general := p.Discord.World().General
	queued := func() int {
		// The answer may come when the test has ended.
		res, _ := p.ListDeliveries(context.Background(), new(pb.ListDeliveriesRequest)) //nolint:usetesting // see above
		return len(res.GetDeliveries())
	}
	var lost atomic.Bool
	address := lossy(t, p.Address, func() bool { return queued() > 0 && lost.CompareAndSwap(false, true) })
	cl, err := client.New(address, client.WithRetries(3))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	req := &pb.EnqueueRequest{Call: &pb.EnqueueRequest_SendChannelMessage{
		SendChannelMessage: &pb.SendChannelMessageRequest{ChannelId: uint64(general), Content: "once"},
	}}
	res, err := cl.Enqueue(bounded(t), req)
	if err != nil || res.GetDelivery().GetId() == "" || req.GetDeliveryId() != "" {
		t.Errorf("%v, %v", res, err)
	}
	if n := queued(); n != 1 || !lost.Load() {
		t.Errorf("%d deliveries, an answer was lost: %t", n, lost.Load())
	}
}

// keyed is a proxy that notes the key of calls.
type keyed struct {
	discordapiconnect.UnimplementedDiscordApiHandler
	keys chan string
}

func (k keyed) note(ctx context.Context) {
	info, _ := connect.CallInfoForHandlerContext(ctx)
	k.keys <- info.RequestHeader().Get("Authorization")
}

func (k keyed) GetUser(ctx context.Context, _ *pb.GetUserRequest) (*pb.GetUserResponse, error) {
	k.note(ctx)
	return new(pb.GetUserResponse), nil
}

func (k keyed) ListGuildMembers(ctx context.Context, _ *pb.ListGuildMembersRequest, _ *connect.ServerStream[pb.ListGuildMembersResponse]) error {
	k.note(ctx)
	return nil
}

// TestRedirect: a redirect is an error, and the key is not sent to another address.
func TestRedirect(t *testing.T) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	serve := func(h http.HandlerFunc) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		s.Config.Protocols = protocols
		s.Start()
		t.Cleanup(s.Close)
		return s
	}
	for _, status := range []int{http.StatusSeeOther, http.StatusTemporaryRedirect} {
		var reached atomic.Bool
		other := serve(func(http.ResponseWriter, *http.Request) { reached.Store(true) })
		proxy := serve(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, status) })
		c, err := client.New(proxy.Listener.Addr().String(), client.WithKey("secret"), client.WithRetries(0))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.GetUser(bounded(t), &pb.GetUserRequest{UserId: 1}); err == nil {
			t.Errorf("%d: no error", status)
		}
		for _, err := range client.All(c.ListGuildMembers(bounded(t), new(pb.ListGuildMembersRequest))) {
			if err == nil {
				t.Errorf("%d: no error of a stream", status)
			}
		}
		if reached.Load() {
			t.Errorf("%d: the other server was called", status)
		}
	}
}

func TestKeyOverTLS(t *testing.T) {
	k := keyed{keys: make(chan string, 2)}
	mux := http.NewServeMux()
	mux.Handle(discordapiconnect.NewDiscordApiHandler(k))
	server := httptest.NewUnstartedServer(mux)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())

	c, err := client.New(server.Listener.Addr().String(), client.WithKey("secret"), client.WithTLS(&tls.Config{RootCAs: trusted}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.GetUser(bounded(t), &pb.GetUserRequest{UserId: 1}); err != nil {
		t.Fatal(err)
	}
	for _, err := range client.All(c.ListGuildMembers(bounded(t), new(pb.ListGuildMembersRequest))) {
		t.Fatal(err)
	}
	for range 2 {
		if got := <-k.keys; got != "Bearer secret" {
			t.Errorf("the key came as %q", got)
		}
	}
}

// TestBot: every kind of call names the bot, each attempt once.
func TestBot(t *testing.T) {
	var mu sync.Mutex
	got := make(map[string][]string) // by path
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got[r.URL.Path] = append(got[r.URL.Path], fmt.Sprintf("%q", r.Header["Discord-Bot"]))
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", "14")
	}))
	srv.Config.Protocols = protocols
	srv.Start()
	defer srv.Close()
	for name, bot := range map[string]string{"": "[]", "alerts": `["alerts"]`} {
		clear(got)
		c, err := client.New(srv.Listener.Addr().String(), client.WithBot(name), client.WithRetries(1))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx := bounded(t)
		refused := func(err error) {
			t.Helper()
			if !errors.Is(err, client.ErrUnavailable) {
				t.Errorf("bot %q: %v", name, err)
			}
		}
		_, err = c.GetUser(ctx, &pb.GetUserRequest{UserId: 1})
		refused(err)
		_, err = c.Enqueue(ctx, new(pb.EnqueueRequest))
		refused(err)
		_, err = c.GetFleet(ctx, new(pb.GetFleetRequest))
		refused(err)
		for _, err := range client.All(c.SubscribeEvents(ctx, new(pb.SubscribeEventsRequest))) {
			refused(err)
		}
		for _, err := range client.All(c.WatchStatus(ctx, new(pb.WatchStatusRequest))) {
			refused(err)
		}
		many, err := c.EnqueueMany(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_ = many.Send(new(pb.EnqueueManyRequest)) // the server may have ended the call already
		_, err = many.Receive()
		refused(err)
		methods := pb.File_discord_api_discord_api_proto.Services().ByName("DiscordApi").Methods()
		for _, err := range c.Call(ctx, methods.ByName("GetGuild"), new(pb.GetGuildRequest)) {
			refused(err)
		}
		mu.Lock()
		want := map[string][]string{
			"/discord_api.DiscordApi/GetUser": {bot, bot}, "/discord_api.Outbox/Enqueue": {bot, bot}, "/discord_api.Dashboard/GetFleet": {bot, bot},
			"/discord_api.DiscordApi/SubscribeEvents": {bot}, "/discord_api.Dashboard/WatchStatus": {bot}, "/discord_api.Outbox/EnqueueMany": {bot},
			"/discord_api.DiscordApi/GetGuild": {bot, bot},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("bot %q: %s", name, diff)
		}
		mu.Unlock()
	}
}

func TestNew(t *testing.T) {
	for name, c := range map[string]struct {
		target string
		opts   []client.Option
		ok     bool
	}{
		"default":             {"", nil, true},
		"address of IPv6":     {"[::1]:50051", nil, true},
		"no port":             {"localhost", nil, false},
		"URL":                 {"http://localhost:50051", nil, false},
		"negative retries":    {"", []client.Option{client.WithRetries(-1)}, false},
		"negative timeout":    {"", []client.Option{client.WithTimeout(-1)}, false},
		"key with a new line": {"", []client.Option{client.WithKey("a\nb")}, false},
		"bot with a new line": {"", []client.Option{client.WithBot("a\nb")}, false},
	} {
		if _, err := client.New(c.target, c.opts...); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEvents(t *testing.T) {
	p := clienttest.Start(t, client.WithTimeout(time.Minute))
	general := uint64(p.Discord.World().General)
	sent := false
	for response, err := range client.All(p.SubscribeEvents(bounded(t), &pb.SubscribeEventsRequest{Types: []pb.Event_Type{pb.Event_MESSAGE_CREATE}})) {
		if err != nil {
			t.Fatal(err)
		}
		if !sent { // the first response comes immediately
			sent = true
			if _, err := p.SendChannelMessage(bounded(t), &pb.SendChannelMessageRequest{ChannelId: general, Content: "hi"}); err != nil {
				t.Fatal(err)
			}
		}
		for _, event := range response.GetEvents() {
			if event.GetMessage().GetContent() == "hi" {
				return
			}
		}
	}
	t.Fatal("the stream ended")
}
