package test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/server"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"
	"discordproxy/gen/discord_api/discordapiconnect"

	"connectrpc.com/connect"
)

// reloading is a process with a configuration file.
type reloading struct {
	*proxytest.Process
	t               *testing.T
	discord         *sandbox.Sandbox
	config, token   string // paths
	key, keyHash    string
	other, otherSum string
}

func startReloading(t *testing.T) *reloading {
	t.Helper()
	folder := t.TempDir()
	r := &reloading{t: t, discord: sandbox.New(sandbox.Config{Unlimited: true}), config: filepath.Join(folder, "config.yaml"), token: filepath.Join(folder, "token")}
	discord := httptest.NewServer(r.discord)
	t.Cleanup(discord.Close)
	t.Cleanup(r.discord.Close)
	r.key, r.keyHash = server.NewKey()
	r.other, r.otherSum = server.NewKey()
	r.write(r.token, r.discord.World().Token)
	r.configure("", r.keyHash)
	r.Process = proxytest.StartProcess(t, nil, "--sandbox=false", "--no-data", "--config", r.config, "--token-file", r.token,
		"--discord-api-url", discord.URL+"/api")
	r.await("logged in")
	return r
}

func (r *reloading) write(path, text string) {
	r.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// configure writes the configuration file with one client.
func (r *reloading) configure(settings string, hashes ...string) {
	r.t.Helper()
	r.write(r.config, fmt.Sprintf("%s\nauth:\n  clients:\n    - name: shop\n      hashes: [\"%s\"]\n", settings, strings.Join(hashes, `", "`)))
}

// await waits for a line of the log and returns the whole log.
func (r *reloading) await(text string) string {
	r.t.Helper()
	for deadline := time.Now().Add(proxytest.Patience); ; time.Sleep(20 * time.Millisecond) {
		log, _ := os.ReadFile(r.Log)
		if strings.Contains(string(log), text) {
			return string(log)
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("the log does not say %q:\n%s", text, log)
		}
	}
}

// awaitGateway waits until the bot has been connected to the gateway n times.
func (r *reloading) awaitGateway(n int) {
	r.t.Helper()
	const connected = "connected to Discord's gateway"
	for deadline := time.Now().Add(proxytest.Patience); strings.Count(r.await(connected), connected) < n; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("the bot is not at the gateway for the %d. time", n)
		}
	}
}

// reload sends the signal, waits until the log says how it ended, and returns the new
// part of the log.
func (r *reloading) reload() string {
	r.t.Helper()
	before, err := os.ReadFile(r.Log)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		r.t.Fatal(err)
	}
	for deadline := time.Now().Add(proxytest.Patience); ; time.Sleep(20 * time.Millisecond) {
		log, _ := os.ReadFile(r.Log)
		added := strings.TrimPrefix(string(log), string(before))
		if strings.Contains(added, `msg="reloaded the configuration"`) || strings.Contains(added, "failed to reload the configuration") {
			return added
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("the log does not speak of the reload:\n%s", log)
		}
	}
}

// client returns a client with a key.
func (r *reloading) client(key string) discordapiconnect.DiscordApiClient {
	return (&proxytest.Proxy{Address: r.Address}).ClientsAs(r.t, proxytest.Identity{Key: key})["gRPC"]
}

// call makes a call with a key and returns the code of its error, 0 for none.
func (r *reloading) call(key string) connect.Code {
	if _, err := r.client(key).GetCurrentUser(r.t.Context(), &pb.GetCurrentUserRequest{}); err != nil {
		return connect.CodeOf(err)
	}
	return 0
}

// TestReload: after SIGHUP, the process uses the changed file. Streams stay open, and a
// file with a mistake changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	r := startReloading(t)
	r.awaitGateway(1)
	events := proxytest.Follow(t, r.client(r.key), &pb.SubscribeEventsRequest{})
	post := func(text string) {
		t.Helper()
		posted := proxytest.Post(t, r.discord, r.discord.World().General, text)
		if m := events.Until(pb.Event_MESSAGE_CREATE).GetMessage(); m.GetId() != uint64(posted) {
			t.Errorf("the event is %v", m)
		}
	}
	post("before")

	r.configure("max-queue: 7\nactivity: SECRET\nlog-file-level: DEBUG", r.keyHash, r.otherSum)
	added := r.reload()
	if !strings.Contains(added, `settings="activity, max-queue"`) || strings.Contains(added, "SECRET") || !strings.Contains(added, "complete=true") {
		t.Errorf("the log says %s", added)
	}
	if first, second := r.call(r.key), r.call(r.other); first != 0 || second != 0 {
		t.Errorf("calls with both keys: %v, %v", first, second)
	}
	r.await(" request=") // which calls have at DEBUG only
	post("after")

	r.write(r.config, "prot: 1\nauth: {clients: [{name: x, hashes: [\""+r.otherSum+"\"]}]}")
	if added := r.reload(); !strings.Contains(added, "failed to reload the configuration; keeping the previous one") || !strings.Contains(added, "did you mean") {
		t.Errorf("the log says %s", added)
	}
	// What needs a restart can have mistakes, too, that would keep the server from starting.
	for file, text := range map[string]string{
		"status: away": ":1: --status", "intents: [GUILD]": ":1: --intents", "max-queue: -1": ":1: --max-queue",
		"host: 0.0.0.0\ngateway-proxy: true": ":2: --gateway-proxy would let anyone", "bots: [{name: a, token: x}, {name: a, token: y}]": "bots",
	} {
		r.write(r.config, file)
		if added := r.reload(); !strings.Contains(added, "failed to reload the configuration; keeping the previous one") || !strings.Contains(added, text) {
			t.Errorf("%s: the log says %s", file, added)
		}
	}
	r.configure("", "sha256:nonsense")
	if added := r.reload(); !strings.Contains(added, "failed to reload a file; keeping the previous contents") || !strings.Contains(added, "complete=false") {
		t.Errorf("the log says %s", added)
	}
	if first, second := r.call(r.key), r.call(r.other); first != 0 || second != 0 {
		t.Errorf("calls with both keys after mistakes: %v, %v", first, second)
	}

	r.configure("", r.otherSum)
	r.reload()
	if first, second := r.call(r.key), r.call(r.other); first != connect.CodeUnauthenticated || second != 0 {
		t.Errorf("calls with a key that is gone, and with another: %v, %v", first, second)
	}
}

// TestReloadToken: a new token is used if Discord accepts it, else the old one stays.
func TestReloadToken(t *testing.T) {
	t.Parallel()
	r := startReloading(t)
	r.awaitGateway(1)
	old := r.discord.World().Token
	r.write(r.token, "wrong")
	if added := r.reload(); !strings.Contains(added, "failed to reload the bot token; keeping the previous one") || strings.Contains(added, "wrong") {
		t.Errorf("the log says %s", added)
	}
	if code := r.call(r.key); code != 0 {
		t.Errorf("with the old token: %v", code)
	}
	if err := r.discord.AddToken("Bot other", r.discord.World().Alice); err != nil {
		t.Fatal(err)
	}
	r.write(r.token, "other")
	if added := r.reload(); !strings.Contains(added, "the token is that of another bot") {
		t.Errorf("the log says %s", added)
	}
	if err := r.discord.AddToken("Bot renewed", r.discord.World().Bot); err != nil {
		t.Fatal(err)
	}
	r.discord.RevokeToken("Bot " + old)
	for deadline := time.Now().Add(proxytest.Patience); r.call(r.key) == 0; { // until the limiter has learnt it
		if time.Now().After(deadline) {
			t.Fatal("calls with the old token go on")
		}
	}
	r.write(r.token, "renewed\n")
	if added := r.reload(); !strings.Contains(added, "reloaded the bot token") || strings.Contains(added, "renewed") {
		t.Errorf("the log says %s", added)
	}
	if code := r.call(r.key); code != 0 {
		t.Errorf("with the new token: %v", code)
	}
	r.awaitGateway(2)
}

// TestReloadLogs: after a rotation by another program lines go to a new file.
func TestReloadLogs(t *testing.T) {
	t.Parallel()
	r := startReloading(t)
	if err := os.Rename(r.Log, r.Log+".1"); err != nil {
		t.Fatal(err)
	}
	if err := r.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	r.await("reloaded the configuration")
	if info, err := os.Stat(r.Log); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// holding passes requests on to the sandbox, but the message "in flight" only when it is
// released.
type holding struct {
	*sandbox.Sandbox
	arrived chan struct{}
	release chan struct{}
}

func (h *holding) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if bytes.Contains(body, []byte("in flight")) {
		close(h.arrived) // a second try would be a mistake
		<-h.release
	}
	h.Sandbox.ServeHTTP(w, r)
}

// TestReloadFiles: new connections get the new certificate, while a call on an old one
// ends well; the hooks are those of the new file; and broken files change nothing.
func TestReloadFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sb := &holding{sandbox.New(sandbox.Config{Unlimited: true}), make(chan struct{}), make(chan struct{})}
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	t.Cleanup(sb.Close)
	release := sync.OnceFunc(func() { close(sb.release) })
	t.Cleanup(release)
	authority := proxytest.NewAuthority(t)
	first := authority.Issue(t, proxytest.ServerName)
	authority.Files(t, folder, first)
	hooks := filepath.Join(folder, "hooks.yaml")
	r := &reloading{t: t, discord: sb.Sandbox}
	channel := r.discord.World().General
	hook := func(name string) { r.write(hooks, fmt.Sprintf("hooks: [{name: %s, channel: %s}]", name, channel)) }
	hook("before")
	r.Process = proxytest.StartProcess(t, nil, "--sandbox=false", "--no-data", "--token", r.discord.World().Token, "--discord-api-url", discord.URL+"/api",
		"--tls-cert", filepath.Join(folder, "cert.pem"), "--tls-key", filepath.Join(folder, "key.pem"), "--hooks-file", hooks)
	r.await("logged in")
	proxy := &proxytest.Proxy{Address: r.Address, Trust: &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12}}
	wantCertificate := func(want tls.Certificate) {
		t.Helper()
		conn, err := (&tls.Dialer{Config: proxy.Trust.Clone()}).DialContext(t.Context(), "tcp", r.Address)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if got := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]; !got.Equal(want.Leaf) {
			t.Errorf("a new connection gets certificate %d, want %d", got.SerialNumber, want.Leaf.SerialNumber)
		}
	}
	wantHook := func(name string, want int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, proxy.URL()+"/hooks/"+name, strings.NewReader("hi"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := proxy.HTTPClient(t, proxytest.Identity{}, true).Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("hook %s is answered with %d, want %d", name, res.StatusCode, want)
		}
	}
	wantCertificate(first)
	wantHook("before", http.StatusOK) // Discord shows that others need not wait for the next
	client := proxy.ClientsAs(t, proxytest.Identity{})["gRPC"]
	ended := make(chan error, 1)
	go func() {
		_, err := client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: uint64(channel), Content: "in flight"})
		ended <- err
	}()
	select {
	case <-sb.arrived:
	case err := <-ended:
		t.Fatalf("the call ended: %v", err)
	}

	second := authority.Issue(t, proxytest.ServerName)
	authority.Files(t, folder, second)
	hook("after")
	if added := r.reload(); !strings.Contains(added, "complete=true") {
		t.Errorf("the log says %s", added)
	}
	wantCertificate(second)
	wantHook("before", http.StatusNotFound)
	wantHook("after", http.StatusOK)
	select {
	case err := <-ended:
		t.Errorf("the call in flight ended: %v", err)
	default:
	}
	release()
	if err := <-ended; err != nil {
		t.Errorf("the call in flight: %v", err)
	}

	r.write(filepath.Join(folder, "cert.pem"), "no certificate")
	if added := r.reload(); !strings.Contains(added, "failed to reload a file; keeping the previous contents") || !strings.Contains(added, "cert.pem") || !strings.Contains(added, "complete=false") {
		t.Errorf("the log says %s", added)
	}
	authority.Files(t, folder, second)
	r.write(hooks, "hooks: [{name: broken}]")
	if added := r.reload(); !strings.Contains(added, "failed to reload a file; keeping the previous contents") || !strings.Contains(added, "hooks.yaml") || !strings.Contains(added, "complete=false") {
		t.Errorf("the log says %s", added)
	}
	wantCertificate(second)
	wantHook("after", http.StatusOK)
}

// TestReloadBots: each of several bots gets its new token, and what a reload does not change
// of them is in the log.
func TestReloadBots(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	t.Cleanup(sb.Close)
	r := &reloading{t: t, discord: sb, config: filepath.Join(folder, "config.yaml"), token: filepath.Join(folder, "token")}
	id := sb.AddUser(sandbox.User{Username: "second", Bot: true})
	for _, token := range []string{"Bot before", "Bot after"} {
		if err := sb.AddToken(token, id); err != nil {
			t.Fatal(err)
		}
	}
	r.write(r.token, "before")
	bots := fmt.Sprintf("bots:\n- {name: first, token: %s}\n- {name: second, token-file: %s}\n", sb.World().Token, r.token)
	r.write(r.config, bots)
	r.Process = proxytest.StartProcess(t, nil, "--sandbox=false", "--no-data", "--config", r.config, "--discord-api-url", discord.URL+"/api")
	second := func() int {
		resp, err := http.Get("http://" + r.Address + "/bots/second/api/v10/users/@me") //nolint:noctx // it is bounded by the server
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	for deadline := time.Now().Add(proxytest.Patience); second() != http.StatusOK; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the second bot cannot be used")
		}
	}
	r.write(r.token, "after")
	if added := r.reload(); !strings.Contains(added, "reloaded the bot token") || !strings.Contains(added, "second") || strings.Contains(added, "restart") {
		t.Errorf("the log says %s", added)
	}
	sb.RevokeToken("Bot before")
	if code := second(); code != http.StatusOK {
		t.Errorf("with the new token: %d", code)
	}
	r.write(r.config, bots+"- {name: third, token: abc}\n")
	if added := r.reload(); !strings.Contains(added, "some changed settings need a restart") || !strings.Contains(added, "settings=bots") {
		t.Errorf("the log says %s", added)
	}
}
