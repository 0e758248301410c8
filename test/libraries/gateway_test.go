package libraries_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/server"
	"discordproxy/test/proxytest"
)

// TestLibrariesOfGateway runs bots wholly through the proxy: REST, gateway, and a
// placeholder instead of the token. Every other bot is a client of a server with keys,
// restricted to its guild, with the key in the path.
func TestLibrariesOfGateway(t *testing.T) {
	var bots []*bot
	for i, l := range installed(t, python("discord.py"), python("py-cord"), python("hikari"), node("discord.js"), golang("discordgo"), golang("disgo")) {
		b := prepare(t, l, false)
		b.name, b.proxied = l.name+" through the proxy", true
		var args []string
		path := ""
		if i%2 == 1 {
			key, hash := server.NewKey()
			rules := filepath.Join(t.TempDir(), "clients.yml")
			text := fmt.Sprintf("clients:\n  - name: bot\n    hashes: [%q]\n    guilds: [%q]\n    channels: [\"*\"]\n    untargeted: true\n", hash, b.config.Guild.String())
			if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			args, path = []string{"--auth-file", rules}, "/k/"+key
		}
		p := withGateway(t, b.sandbox, args...)
		b.config.API, b.config.Gateway = "http://"+p.Address+path+"/api", "ws://"+p.Address+path+"/gateway"
		b.config.Token = placeholder(b.sandbox)
		bots = append(bots, b)
	}
	runAll(t, bots)
	for _, b := range bots {
		sessions := b.sandbox.GatewaySessions()
		if len(sessions) != 1 || sessions[0].Properties["device"] != "discordproxy" || b.sandbox.GatewayCounts().Identifies != 1 {
			t.Errorf("%s: the sandbox has the sessions %+v", b.name, sessions)
		}
	}
}

// withGateway starts a proxy that has all intents, with args.
func withGateway(t *testing.T, sb *sandbox.Sandbox, args ...string) *proxytest.Proxy {
	t.Helper()
	return proxytest.Against(t, sb, append([]string{"--no-gateway=false", "--intents", "default,GUILD_MEMBERS,GUILD_PRESENCES,MESSAGE_CONTENT"}, args...)...)
}

// placeholder returns what stands for the token. It has a token's shape, since some
// libraries read the bot's ID in it.
func placeholder(sb *sandbox.Sandbox) string {
	return base64.RawStdEncoding.EncodeToString([]byte(sb.World().Bot.String())) + ".none.discordproxy"
}

// TestLibrariesOfGatewayTogether: two bots of different libraries share one bot's
// session. They lose their connections, the proxy loses its own, one of them and then the
// proxy are restarted.
func TestLibrariesOfGatewayTogether(t *testing.T) {
	together(t, python("discord.py"), node("discord.js"))
}

// TestLibrariesOfPairs is TestLibrariesOfGatewayTogether for further pairs.
func TestLibrariesOfPairs(t *testing.T) {
	for _, pair := range [][2]library{
		{python("py-cord"), golang("discordgo")},
		{python("hikari"), golang("disgo")},
	} {
		t.Run(pair[0].name+" and "+pair[1].name, func(t *testing.T) { together(t, pair[0], pair[1]) })
	}
}

// listener returns the command of the library's program that only listens.
func (l library) listener() []string {
	if len(l.command) == 1 {
		return []string{l.command[0], "listen"}
	}
	program := "listen-" + strings.ReplaceAll(l.name, ".", "-") + filepath.Ext(l.command[1])
	return []string{l.command[0], filepath.Join("listeners", program)}
}

func together(t *testing.T, one, other library) {
	t.Helper()
	if len(installed(t, one, other)) < 2 {
		t.SkipNow()
	}
	first, second := one.listener(), other.listener()
	sb := sandbox.New(sandbox.Config{})
	p := withGateway(t, sb)
	between := forward(t, p.Address)
	w := sb.World()
	settings := config{API: "http://" + between.address + "/api", Gateway: "ws://" + between.address + "/gateway", Token: placeholder(sb), General: w.General, Guild: w.Guild, Bob: w.Bob, Channels: []sandbox.ID{}}
	a, b := listen(t, settings, first...), listen(t, settings, second...)
	var said []string
	say := func() {
		t.Helper()
		for range 10 {
			text := fmt.Sprint("number ", len(said))
			if _, err := sb.AddMessage(sandbox.Message{ChannelID: w.General, Content: text, Author: &sandbox.User{ID: w.Bob}}); err != nil {
				t.Fatal(err)
			}
			said = append(said, text)
		}
	}
	from := 0
	heard := func(l *listener) {
		t.Helper()
		if got := l.wait(t, said[len(said)-1]); !slices.Equal(got, said[from:]) {
			t.Fatalf("%v heard %q, want %q", l.command, got, said[from:])
		}
	}
	a.wait(t, "")
	b.wait(t, "")
	say()
	// A library that is cut off while its session begins may begin another one.
	heard(a)
	heard(b)
	between.cut() // both bots resume
	say()
	if err := sb.DropGateway(0); err != nil { // the proxy resumes
		t.Fatal(err)
	}
	say()
	heard(a)
	heard(b)
	a.stop()
	from = len(said)
	b.forget()
	a = listen(t, settings, first...)
	a.wait(t, "")
	say()
	heard(a)
	heard(b)
	if counts := sb.GatewayCounts(); counts.Identifies != 1 {
		t.Errorf("%+v at Discord", counts)
	}

	from = len(said)
	a.forget()
	b.forget()
	p.Stop()
	_, port, _ := net.SplitHostPort(p.Address)
	again := withGateway(t, sb, "--port", port)
	if again.Address != p.Address {
		t.Fatalf("the proxy is at %s", again.Address)
	}
	a.wait(t, "")
	b.wait(t, "")
	say()
	heard(a)
	heard(b)
}

// listener is the program of a bot that writes "ready" when its session begins, and
// what it hears.
type listener struct {
	command []string
	cmd     *exec.Cmd

	mu    sync.Mutex
	ready bool
	heard []string
	all   strings.Builder
}

func listen(t *testing.T, c config, command ...string) *listener {
	t.Helper()
	variable, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	harness, err := filepath.Abs("python")
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{command: command, cmd: exec.CommandContext(t.Context(), command[0], command[1:]...)} //nolint:gosec // the programs above
	l.cmd.Env = append(os.Environ(), "LIBRARY="+string(variable), "PYTHONPATH="+harness, "PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=127.0.0.1")
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	l.cmd.Stderr = l.cmd.Stdout
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			l.mu.Lock()
			text, isHeard := strings.CutPrefix(lines.Text(), "heard ")
			switch {
			case isHeard:
				l.heard = append(l.heard, text)
			case lines.Text() == "ready":
				l.ready = true
			}
			_, _ = fmt.Fprintln(&l.all, lines.Text())
			l.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		l.stop()
		<-read
		_ = l.cmd.Wait()
	})
	return l
}

func (l *listener) stop() { _ = l.cmd.Process.Kill() }

func (l *listener) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready, l.heard = false, nil
}

// wait waits until the bot is ready, or has heard a text, and returns all that it has
// heard.
func (l *listener) wait(t *testing.T, text string) []string {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		l.mu.Lock()
		heard, ready := slices.Clone(l.heard), l.ready
		l.mu.Unlock()
		if text == "" && ready || text != "" && slices.Contains(heard, text) {
			return heard
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Fatalf("%v: %q did not come:\n%s", l.command, text, l.all.String())
	return nil
}

// forwarder passes connections on, and cuts them.
type forwarder struct {
	address string

	mu   sync.Mutex
	open []net.Conn
}

func forward(t *testing.T, to string) *forwarder {
	t.Helper()
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &forwarder{address: lis.Addr().String()}
	t.Cleanup(func() {
		_ = lis.Close()
		f.cut()
	})
	go func() {
		for {
			from, err := lis.Accept()
			if err != nil {
				return
			}
			next, err := new(net.Dialer).DialContext(t.Context(), "tcp", to)
			if err != nil {
				_ = from.Close()
				continue
			}
			f.mu.Lock()
			f.open = append(f.open, from, next)
			f.mu.Unlock()
			pass := func(a, b net.Conn) {
				_, _ = io.Copy(a, b)
				_, _ = a.Close(), b.Close()
			}
			go pass(from, next)
			go pass(next, from)
		}
	}()
	return f
}

// cut ends all connections.
func (f *forwarder) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range f.open {
		_ = conn.Close()
	}
	f.open = nil
}

// TestLibrariesOfGatewayRestarts: two bots of different libraries continue while the
// proxy is stopped or killed and started again, and events keep arriving. Neither the one
// that resumes misses any, nor discord.js, which begins another session when its
// connection is refused. Discord sees one session all the time.
func TestLibrariesOfGatewayRestarts(t *testing.T) {
	if len(installed(t, python("discord.py"), node("discord.js"))) < 2 {
		t.SkipNow()
	}
	sb := sandbox.New(sandbox.Config{})
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	t.Cleanup(sb.Close)
	_, port, _ := net.SplitHostPort(proxytest.FreeAddress(t))
	args := []string{
		"--sandbox=false", "--token", sb.World().Token, "--discord-api-url", discord.URL + "/api", "--port", port,
		"--data", filepath.Join(t.TempDir(), "data"), "--shutdown-grace", "1s", "--intents", "default,MESSAGE_CONTENT",
	}
	p := proxytest.StartProcess(t, nil, args...)
	w := sb.World()
	settings := config{API: "http://" + p.Address + "/api", Gateway: "ws://" + p.Address + "/gateway", Token: placeholder(sb), General: w.General, Guild: w.Guild, Bob: w.Bob, Channels: []sandbox.ID{}}
	py := listen(t, settings, python("discord.py").listener()...)
	js := listen(t, settings, node("discord.js").listener()...)
	py.wait(t, "")
	js.wait(t, "")
	var said []string
	say := func() {
		t.Helper()
		text := fmt.Sprint("number ", len(said))
		if _, err := sb.AddMessage(sandbox.Message{ChannelID: w.General, Content: text, Author: &sandbox.User{ID: w.Bob}}); err != nil {
			t.Fatal(err)
		}
		said = append(said, text)
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		refused := strings.Count(js.log(), "refused\n")
		if err := p.Cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(patience); strings.Count(js.log(), "refused\n") == refused; time.Sleep(50 * time.Millisecond) {
			if say(); time.Now().After(end) {
				t.Fatalf("after %v discord.js is not refused:\n%s", signal, js.log())
			}
		}
		_ = p.Cmd.Wait() // killed
		started := make(chan *proxytest.Process)
		go func() { started <- proxytest.StartProcess(t, nil, args...) }()
		end := time.After(patience)
		for p = nil; p == nil; {
			select {
			case p = <-started:
			case <-end:
				t.Fatal("the proxy does not start")
			case <-time.After(20 * time.Millisecond):
				say()
			}
		}
		for range 10 {
			say()
			time.Sleep(20 * time.Millisecond)
		}
		if got := py.wait(t, said[len(said)-1]); !slices.Equal(got, said) {
			t.Fatalf("after %v discord.py heard %q, want %q", signal, got, said)
		}
		if got := js.wait(t, said[len(said)-1]); !slices.Equal(got, said) {
			t.Fatalf("after %v discord.js heard %q, want %q\n%s", signal, got, said, js.log())
		}
	}
	// discord.js begins a session of its own after each restart.
	if n := strings.Count(js.log(), "ready\n"); n != 3 {
		t.Errorf("discord.js was ready %d times, want 3:\n%s", n, js.log())
	}
	if counts := sb.GatewayCounts(); counts.Identifies != 1 {
		t.Errorf("%+v at Discord, want 1 identify\n%s", counts, js.log())
	}
}

// log returns everything that the bot has written.
func (l *listener) log() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}
