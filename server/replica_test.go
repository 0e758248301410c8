package server_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server"
	"discordproxy/server/internal/store/storetest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// fleet is servers that share a database, and the sandbox that they use.
type fleet struct {
	sb     *sandbox.Sandbox
	config server.Config
	named  atomic.Int64 // requests to Discord that name a bot of the proxy
	// blocked has requests to Discord for a path wait while it is not nil.
	blocked atomic.Pointer[block]
}

type block struct {
	path    string
	arrived chan struct{}
	release chan struct{}
}

// newFleet returns one without servers, against a sandbox without limits.
func newFleet(t testing.TB) *fleet {
	t.Helper()
	return newFleetOf(t, sandbox.Config{Unlimited: true})
}

func newFleetOf(t testing.TB, c sandbox.Config) *fleet {
	t.Helper()
	f := &fleet{sb: sandbox.New(c)}
	discord := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.named.Add(int64(len(r.Header["Discord-Bot"])))
		if b := f.blocked.Load(); b != nil && strings.HasSuffix(r.URL.Path, b.path) {
			b.arrived <- struct{}{}
			select {
			case <-b.release:
			case <-r.Context().Done():
			}
		}
		f.sb.ServeHTTP(w, r)
	}))
	t.Cleanup(discord.Close)
	t.Cleanup(f.sb.Close)
	f.config = server.Config{
		Token: f.sb.World().Token, APIURL: discord.URL + "/api", Database: storetest.Database(t), Logger: slog.New(slog.DiscardHandler),
		Gateway: server.GatewayConfig{Off: true}, ShutdownGrace: 20 * time.Second,
	}
	return f
}

// block has requests to Discord for a path wait until release.
func (f *fleet) block(path string) (arrived <-chan struct{}, release func()) {
	b := &block{path, make(chan struct{}, 100), make(chan struct{})}
	f.blocked.Store(b)
	return b.arrived, sync.OnceFunc(func() {
		f.blocked.Store(nil)
		close(b.release)
	})
}

// join starts another server.
func (f *fleet) join(t testing.TB, change ...func(*server.Config)) *running {
	t.Helper()
	r, _ := f.start(t, change...)
	return r
}

// start is join, and returns the server itself, too.
func (f *fleet) start(t testing.TB, change ...func(*server.Config)) (*running, *server.Server) {
	t.Helper()
	lis, err := server.Listen(t.Context(), []string{"127.0.0.1"}, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := f.config
	c.Advertise = lis.Addr().String()
	for _, change := range change {
		change(&c)
	}
	srv, err := server.New(c)
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, srv, lis)
	t.Cleanup(func() {
		r.stop()
		<-r.done
		r.over.CloseIdleConnections()
	})
	return r, srv
}

// pair starts a server that leads and one that forwards, and waits until both serve.
func (f *fleet) pair(t testing.TB, change ...func(*server.Config)) (leader, entry *running) {
	t.Helper()
	leader = f.join(t, change...)
	within(t, leader.ready)
	entry = f.join(t, change...)
	within(t, entry.ready)
	return leader, entry
}

func (r *running) get(path string) (int, string) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+r.address+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	resp, err := r.client().Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

func (r *running) ready() error {
	if code, text := r.get("/readyz"); code != http.StatusOK {
		return errors.New(text)
	}
	return nil
}

// counts returns the value of a metric with all of some labels.
func (r *running) counts(name string, labels ...string) string {
	_, text := r.get("/metrics")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, name) && !slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(line, l) }) {
			return line[strings.LastIndexByte(line, ' ')+1:]
		}
	}
	return ""
}

func hello(sb *sandbox.Sandbox, content string) *pb.SendChannelMessageRequest {
	return &pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General), Content: content}
}

// TestReplicaProtocols: a server that does not lead serves everything that the leader
// does, in each protocol.
func TestReplicaProtocols(t *testing.T) {
	f := newFleet(t)
	hooks := filepath.Join(t.TempDir(), "hooks.yaml")
	text := fmt.Sprintf("hooks: [{name: alerts, secret: correct-horse-battery, channel: %d}]", f.sb.World().General)
	if err := os.WriteFile(hooks, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f.config.Gateway.Off, f.config.HooksFile = false, hooks
	leader, entry := f.pair(t)
	if leader.counts("discordproxy_calls_total") != "" {
		t.Fatal("the leader was called before")
	}
	url := "http://" + entry.address
	over1 := &http.Client{Transport: new(http.Transport)}
	t.Cleanup(over1.CloseIdleConnections)
	clients := map[string]discordapiconnect.DiscordApiClient{
		"gRPC":         discordapiconnect.NewDiscordApiClient(entry.client(), url, connect.WithGRPC()),
		"gRPC-Web":     discordapiconnect.NewDiscordApiClient(over1, url, connect.WithGRPCWeb()),
		"Connect":      discordapiconnect.NewDiscordApiClient(entry.client(), url),
		"Connect JSON": discordapiconnect.NewDiscordApiClient(over1, url, connect.WithProtoJSON(), connect.WithHTTPGet()),
	}
	for name, client := range clients {
		t.Run(name, func(t *testing.T) {
			sent, err := client.SendChannelMessage(t.Context(), hello(f.sb, name))
			if err != nil || sent.GetMessage().GetContent() != name {
				t.Fatal(sent, err)
			}
			file := bytes.Repeat([]byte("0123456789abcdef"), 5<<16) // 5 MiB
			upload := hello(f.sb, "file")
			upload.Attachments = []*pb.AttachmentRequest{{Filename: "file", Data: file}}
			got, err := client.SendChannelMessage(t.Context(), upload)
			if err != nil || got.GetMessage().GetAttachments()[0].GetSize() != int32(len(file)) {
				t.Error("upload:", err)
			}
			_, err = client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: 5, Content: "x"})
			if connect.CodeOf(err) != connect.CodeNotFound || !strings.Contains(err.Error(), "Unknown Channel") {
				t.Errorf("an error of Discord: %v", err)
			}
			stream, err := client.ListChannelMessages(t.Context(), &pb.ListChannelMessagesRequest{ChannelId: uint64(f.sb.World().General)})
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for stream.Receive() {
				n++
			}
			if stream.Err() != nil || n < 2 {
				t.Errorf("a stream of %d messages: %v", n, stream.Err())
			}
		})
	}
	t.Run("grpc-go", func(t *testing.T) {
		conn, err := grpc.NewClient(entry.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		health, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), new(grpc_health_v1.HealthCheckRequest))
		if err != nil || health.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Error("health:", health, err)
		}
		sent := new(pb.SendChannelMessageResponse)
		err = conn.Invoke(t.Context(), discordapiconnect.DiscordApiSendChannelMessageProcedure, hello(f.sb, "grpc-go"), sent)
		if err != nil || sent.GetMessage().GetContent() != "grpc-go" {
			t.Error(sent, err)
		}
		// Refused before there is a message, in a response without a body.
		err = conn.Invoke(t.Context(), "/discord_api.DiscordApi/None", new(pb.GetCurrentUserRequest), new(pb.GetCurrentUserResponse))
		if status.Code(err) != codes.Unimplemented {
			t.Error("an unknown method:", err)
		}
	})
	t.Run("streams", func(t *testing.T) {
		entry.events(t)
		watched, err := entry.dashboard.WatchStatus(t.Context(), new(pb.WatchStatusRequest))
		if err != nil || !watched.Receive() {
			t.Fatal(err, watched.Err())
		}
		if err := enqueue(entry, f.sb, "delivery"); err != nil {
			t.Error(err)
		}
		many, err := entry.outbox().EnqueueMany(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 { // each response comes before the next request
			id := fmt.Sprintf("many%d", i)
			err := many.Send(&pb.EnqueueManyRequest{Enqueue: &pb.EnqueueRequest{
				DeliveryId: id, Call: &pb.EnqueueRequest_SendChannelMessage{SendChannelMessage: hello(f.sb, id)},
			}})
			if err != nil {
				t.Fatal(err)
			}
			if resp, err := many.Receive(); err != nil || resp.GetDelivery().GetId() != id {
				t.Fatal(resp, err)
			}
		}
		_ = many.CloseRequest()
		if _, err := many.Receive(); !errors.Is(err, io.EOF) {
			t.Errorf("the end: %v", err)
		}
	})
	t.Run("REST and pages", func(t *testing.T) {
		post := func(path, body string) (code int, ids []string, answer string) {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-Request-Id", "mine")
			resp, err := over1.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			data, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode, resp.Header["X-Request-Id"], string(data)
		}
		code, ids, body := post(fmt.Sprintf("/api/v10/channels/%d/messages", f.sb.World().General), `{"content":"plain"}`)
		if code != http.StatusOK || !strings.Contains(body, `"plain"`) {
			t.Error("REST:", code, body)
		}
		if !slices.Equal(ids, []string{"mine"}) {
			t.Errorf("the request's ID: %q", ids)
		}
		code, _, body = post("/api/v10/channels/5/messages", `{"content":"plain"}`)
		if code != http.StatusNotFound || !strings.Contains(body, "10003") {
			t.Error("REST for no channel:", code, body)
		}
		if code, _, body = post("/hooks/alerts/correct-horse-battery", `{"text":"alert"}`); code >= 300 {
			t.Error("hook:", code, body)
		}
		if code, _, body = post("/hooks/alerts/wrong-horse-battery", `{"text":"alert"}`); code != http.StatusUnauthorized {
			t.Error("hook with a wrong secret:", code, body)
		}
		for path, want := range map[string]string{"/": "<html", "/docs/": "<html", "/healthz": "alive", "/readyz": "ready"} {
			if code, text := entry.get(path); code != http.StatusOK || !strings.Contains(text, want) {
				t.Errorf("%s: %d %.100s", path, code, text)
			}
		}
		// The address of the gateway is that of the server that was asked.
		if _, text := entry.get("/api/v10/gateway"); !strings.Contains(text, `"ws://`+entry.address+`/gateway"`) {
			t.Errorf("the gateway: %s", text)
		}
	})
	t.Run("websocket", func(t *testing.T) {
		ws, resp, err := websocket.Dial(t.Context(), "ws://"+entry.address+"/gateway/?v=10&encoding=json", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body != nil {
			_ = resp.Body.Close()
		}
		defer func() { _ = ws.CloseNow() }()
		ws.SetReadLimit(-1)
		read := func(want string) {
			t.Helper()
			for {
				_, data, err := ws.Read(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(data), want) {
					return
				}
			}
		}
		read(`"op":10`)
		identify := `{"op":2,"d":{"token":"discordproxy","intents":513,"properties":{"os":"x","browser":"x","device":"x"}}}`
		if err := ws.Write(t.Context(), websocket.MessageText, []byte(identify)); err != nil {
			t.Fatal(err)
		}
		read(`"READY"`)
		if _, err := entry.SendChannelMessage(t.Context(), hello(f.sb, "seen")); err != nil {
			t.Fatal(err)
		}
		read(`"MESSAGE_CREATE"`)
	})
	if n := leader.counts("discordproxy_calls_total", `method="SendChannelMessage"`, `protocol="grpc"`, `code="ok"`); n == "" {
		t.Error("the leader did not count the calls")
	}
	if n := entry.counts("discordproxy_calls_total", `code="ok"`); n != "" {
		t.Errorf("the other server counted %s calls as its own", n)
	}
}

// TestReplicaMetrics: metrics say who leads and what was forwarded. TestPrometheus of
// test/deploy relies on their names.
func TestReplicaMetrics(t *testing.T) {
	f := newFleet(t)
	leader, entry := f.pair(t)
	if _, err := entry.GetCurrentUser(t.Context(), new(pb.GetCurrentUserRequest)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]string{
		"discordproxy_leads ":                               {"1", "0"},
		"discordproxy_lease_epoch ":                         {"1", "0"},
		"discordproxy_replicas ":                            {"2", "2"},
		"discordproxy_replica_versions ":                    {"1", "1"},
		`discordproxy_lease_renewals_total{outcome="ok"}`:   {"1", "0"},
		`discordproxy_forwarded_total{outcome="answered"} `: {"0", "1"},
		`discordproxy_forwarded_total{outcome="refused"} `:  {"0", "0"},
		`discordproxy_forwarded_total{outcome="broken"} `:   {"0", "0"},
		"discordproxy_forwarded_in_progress ":               {"0", "0"},
	} {
		within(t, func() error { // the leader learns of the other one within 2 s
			got := [2]string{leader.counts(name), entry.counts(name)}
			if name == `discordproxy_lease_renewals_total{outcome="ok"}` && got[0] > "0" {
				got[0] = "1" // it goes on
			}
			if got != want {
				return fmt.Errorf("%s is %q, want %q", name, got, want)
			}
			return nil
		})
	}
	if took := leader.counts("discordproxy_lease_renewal_seconds_total "); took == "" || took == "0" {
		t.Errorf("renewals took %q s", took)
	}
}

// TestReplicaAccess: the server that a client calls decides whether it may, and the
// leader knows who it is.
func TestReplicaAccess(t *testing.T) {
	f := newFleet(t)
	key, hash := server.NewKey()
	auth := filepath.Join(t.TempDir(), "auth.yaml")
	rules := fmt.Sprintf(`clients:
- {name: shop, hashes: ["%s"], methods: [SendChannelMessage, "POST /channels/*", metrics]}
- {name: admin, addresses: [127.0.0.9]}
`, hash)
	if err := os.WriteFile(auth, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	var audit lockedBuffer
	f.config.AuthFile, f.config.OpenMetrics = auth, true
	leader := f.join(t, func(c *server.Config) { c.Audit = &audit })
	within(t, leader.ready)
	entry := f.join(t)
	within(t, entry.ready)
	_, err := entry.SendChannelMessage(t.Context(), hello(f.sb, "x"))
	if connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("without a key: %v", err)
	}
	entry.key = "dp_wrong"
	if _, err = entry.SendChannelMessage(t.Context(), hello(f.sb, "x")); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("with a wrong key: %v", err)
	}
	entry.key = key
	if _, err := entry.GetCurrentUser(t.Context(), new(pb.GetCurrentUserRequest)); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("another method: %v", err)
	}
	if n := leader.counts("discordproxy_calls_total"); n != "" {
		t.Errorf("the leader got %s calls that were refused", n)
	}
	if n := entry.counts("discordproxy_calls_total", `client="shop"`, `code="permission_denied"`); n != "1" {
		t.Errorf("the server that refused it counted %q calls", n)
	}
	if _, err := entry.SendChannelMessage(t.Context(), hello(f.sb, "x")); err != nil {
		t.Errorf("an allowed call: %v", err)
	}
	if n := leader.counts("discordproxy_calls_total", `method="SendChannelMessage"`, `client="shop"`, `code="ok"`); n != "1" {
		t.Errorf("the leader counted %q calls of the client", n)
	}
	if text := audit.String(); !strings.Contains(text, `"shop"`) || !strings.Contains(text, "127.0.0.1") {
		t.Errorf("the leader's audit: %s", text)
	}
	// The address of a client is what it is known by at the leader, too.
	own := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}).DialContext}
	defer own.CloseIdleConnections()
	admin := discordapiconnect.NewDiscordApiClient(&http.Client{Transport: own}, "http://"+entry.address)
	if _, err := admin.GetCurrentUser(t.Context(), new(pb.GetCurrentUserRequest)); err != nil {
		t.Errorf("by address: %v", err)
	}
	if n := leader.counts("discordproxy_calls_total", `client="admin"`); n != "1" {
		t.Errorf("the leader counted %q calls by address", n)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("http://%s/k/%s/api/v10/channels/%d/messages", entry.address, key, f.sb.World().General), strings.NewReader(`{"content":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Errorf("REST with the key in the path: %s", resp.Status)
	}
	for name, to := range map[string]*running{"leader": leader, "entry": entry} {
		for _, forged := range []string{"", "e30.e30", `eyJib3QiOiIifQ.AAAA`} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+to.address+"/discord_api.DiscordApi/GetCurrentUser", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Discordproxy-Forwarded", forged)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if resp.Body.Close(); err != nil || resp.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "does not prove") {
				t.Errorf("a forged header at the %s: %s %s", name, resp.Status, body)
			}
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// TestReplicaEnds: deadlines and cancellation pass through.
func TestReplicaEnds(t *testing.T) {
	f := newFleet(t)
	leader, entry := f.pair(t)
	arrived, release := f.block("/users/@me/guilds")
	defer release()
	for name, client := range map[string]discordapiconnect.DiscordApiClient{
		"grpc":    discordapiconnect.NewDiscordApiClient(entry.client(), "http://"+entry.address, connect.WithGRPC()),
		"connect": entry.DiscordApiClient,
	} {
		list := func(ctx context.Context) error {
			_, err := client.ListGuilds(ctx, new(pb.ListGuildsRequest))
			return err
		}
		// The client itself has no deadline, so that the leader's answer is what it gets.
		late := discordapiconnect.NewDiscordApiClient(shorter{entry.client()}, "http://"+entry.address)
		if name == "grpc" {
			late = discordapiconnect.NewDiscordApiClient(shorter{entry.client()}, "http://"+entry.address, connect.WithGRPC())
		}
		_, err := late.ListGuilds(t.Context(), new(pb.ListGuildsRequest))
		if connect.CodeOf(err) != connect.CodeDeadlineExceeded {
			t.Errorf("%s: a deadline: %v", name, err)
		}
		within(t, func() error {
			if n := leader.counts("discordproxy_calls_total", `code="deadline_exceeded"`, `protocol="`+name+`"`); n != "1" {
				return fmt.Errorf("%s: the leader counted %q calls whose deadline has passed", name, n)
			}
			return nil
		})
		for len(arrived) > 0 {
			<-arrived
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- list(ctx) }()
		receive(t, arrived)
		cancel()
		if err := receive(t, ended); connect.CodeOf(err) != connect.CodeCanceled {
			t.Errorf("%s: a call that was canceled: %v", name, err)
		}
		within(t, func() error {
			if n := leader.counts("discordproxy_calls_total", `code="canceled"`, `protocol="`+name+`"`); n != "1" {
				return fmt.Errorf("%s: the leader counted %q calls that were canceled", name, n)
			}
			return nil
		})
	}
}

// TestReplicaOneHop: a server that does not lead refuses what another one forwards to it.
func TestReplicaOneHop(t *testing.T) {
	f := newFleet(t)
	leader, entry := f.pair(t)
	other := f.join(t)
	within(t, other.ready)
	db, err := sql.Open("pgx", f.config.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "UPDATE replicas SET address = $1 WHERE address = $2", other.address, leader.address); err != nil {
		t.Fatal(err)
	}
	within(t, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := entry.GetCurrentUser(ctx, new(pb.GetCurrentUserRequest))
		if err == nil {
			return errors.New("it was served")
		}
		if text := err.Error(); !strings.Contains(text, "does not lead the bot") && !strings.Contains(text, "deadline") {
			t.Fatal(err)
		}
		return nil
	})
	within(t, func() error {
		if code, text := entry.get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(text, "does not lead the bot") {
			return fmt.Errorf("/readyz: %d %s", code, text)
		}
		return nil
	})
	if _, err := db.ExecContext(t.Context(), "UPDATE replicas SET address = $1 WHERE id = (SELECT holder FROM leases)", leader.address); err != nil {
		t.Fatal(err)
	}
	within(t, func() error {
		_, err := entry.GetCurrentUser(t.Context(), new(pb.GetCurrentUserRequest))
		return err
	})
}

// TestReplicaTakesOver: when the leader ends, calls at other servers wait for the next
// one. The new leader goes on serving without a restart.
func TestReplicaTakesOver(t *testing.T) {
	f := newFleet(t)
	leader, entry := f.pair(t)
	third := f.join(t)
	within(t, third.ready)
	ctx, cancel := context.WithCancel(t.Context())
	var calling sync.WaitGroup
	var made atomic.Int64
	for _, r := range []*running{entry, third} {
		for range 4 {
			calling.Go(func() {
				for ctx.Err() == nil {
					if _, err := r.GetCurrentUser(context.WithoutCancel(ctx), new(pb.GetCurrentUserRequest)); err != nil {
						t.Errorf("after %d calls: %v", made.Load(), err)
						return
					}
					made.Add(1)
				}
			})
		}
	}
	more := func(n int64) {
		t.Helper()
		n += made.Load()
		within(t, func() error {
			if made.Load() < n && !t.Failed() {
				return errors.New("the calls do not go on")
			}
			return nil
		})
	}
	more(50)
	began := time.Now()
	leader.stop()
	<-leader.done
	t.Logf("the leader ended after %v", time.Since(began))
	more(20)
	t.Logf("calls go on after %v", time.Since(began))
	more(200)
	t.Logf("all after %v", time.Since(began))
	within(t, func() error {
		if entry.counts("discordproxy_calls_total", `code="ok"`) == "" && third.counts("discordproxy_calls_total", `code="ok"`) == "" {
			return errors.New("neither of the others leads")
		}
		return nil
	})
	cancel()
	calling.Wait()
	late := f.join(t)
	within(t, late.ready)
	if _, err := late.GetCurrentUser(t.Context(), new(pb.GetCurrentUserRequest)); err != nil {
		t.Error(err)
	}
}

// TestReplicaAlone: without a leader that can be reached, calls fail in their protocol.
func TestReplicaAlone(t *testing.T) {
	f := newFleet(t)
	silent := f.config
	silent.Advertise = ""
	leader := run(t, silent)
	within(t, leader.ready)
	defer func() {
		leader.stop()
		<-leader.done
	}()
	entry := f.join(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	const want = "the server that leads the bot has no address: start it with --advertise"
	within(t, func() error {
		if code, text := entry.get("/readyz"); code != http.StatusServiceUnavailable || !strings.HasPrefix(text, want) {
			return fmt.Errorf("/readyz: %d %s", code, text)
		}
		return nil
	})
	if code, text := entry.get("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz: %d %s", code, text)
	}
	for name, option := range map[string]connect.ClientOption{"grpc": connect.WithGRPC(), "grpc-web": connect.WithGRPCWeb(), "connect": connect.WithProtoJSON()} {
		req := connect.NewRequest(new(pb.GetCurrentUserRequest))
		req.Header().Set("Connect-Timeout-Ms", "300") // the client has more time
		client := connect.NewClient[pb.GetCurrentUserRequest, pb.GetCurrentUserResponse](entry.client(), "http://"+entry.address+discordapiconnect.DiscordApiGetCurrentUserProcedure, option)
		if name != "connect" {
			req.Header().Del("Connect-Timeout-Ms")
			client = connect.NewClient[pb.GetCurrentUserRequest, pb.GetCurrentUserResponse](shorter{entry.client()}, "http://"+entry.address+discordapiconnect.DiscordApiGetCurrentUserProcedure, option)
		}
		_, err := client.CallUnary(context.WithoutCancel(ctx), req)
		if connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// shorter sets a deadline that the client does not know of.
type shorter struct{ *http.Client }

func (s shorter) Do(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		r.Header.Set("Grpc-Timeout", "300m")
	} else {
		r.Header.Set("Connect-Timeout-Ms", "300")
	}
	return s.Client.Do(r)
}

// TestReplicaConfig: mistakes are refused.
func TestReplicaConfig(t *testing.T) {
	for want, c := range map[string]server.Config{
		"Advertise needs Database":      {Advertise: "10.0.0.1:1"},
		"is not an address such as 10.": {Advertise: "here", Database: "postgres://x/y"},
	} {
		c.Token = "token"
		if _, err := server.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestLogOfFollower: a server that follows logs the leader's address and its own apart.
func TestLogOfFollower(t *testing.T) {
	f := newFleet(t)
	var log lockedBuffer
	f.config.Logger = slog.New(slog.NewTextHandler(&log, nil))
	leader, entry := f.pair(t)
	want := `msg="another server leads the bot; forwarding requests to it" leader=` + leader.address + " own_address=" + entry.address + "\n"
	if text := log.String(); !strings.Contains(text, want) {
		t.Errorf("there is no %s in\n%s", want, text)
	}
}

// TestFollowerWritesNothing: a follower that asks who leads does not touch the lease, which
// would lock it and make the database write with each question.
func TestFollowerWritesNothing(t *testing.T) {
	f := newFleet(t)
	_, entry := f.pair(t)
	changeLease(t, f.config.Database, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not free'; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON leases FOR EACH ROW EXECUTE FUNCTION refuse()`)
	takeLease(t, f.config.Database)
	within(t, func() error { // it has asked since then
		if _, text := entry.get("/readyz"); !strings.Contains(text, "has no address") {
			return errors.New(text)
		}
		return nil
	})
}
