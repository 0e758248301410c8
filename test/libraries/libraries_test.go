// Package libraries tests bots of many Discord libraries against the sandbox, directly
// and through the proxy. Each bot is a small program in a folder named after its library,
// and reports the steps that it has passed.
package libraries_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/description"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"
)

// steps are what each bot does, in this order.
var steps = []string{
	"login", "hear", "send", "reply", "edit", "react", "thread", "upload", "delete", "history",
	"command", "button", "modal", "select", "resume", "order",
}

// library is a bot and how it is started.
type library struct {
	name      string
	component string // of DISCORDPROXY_TEST_REQUIRE
	needs     string // a file that is there when the library is installed
	install   string // how to install it
	command   []string
}

func python(name string) library {
	interpreter := filepath.Join(name, ".venv", "bin", "python")
	return library{name, "libraries", interpreter, "task libraries", []string{interpreter, filepath.Join(name, "bot.py")}}
}

func node(name string) library {
	return library{name, "libraries", filepath.Join("node_modules", name), "task libraries", []string{"node", filepath.Join(name, "bot.js")}}
}

func golang(name string) library {
	binary := filepath.Join("go", "bin", name)
	return library{name, "libraries", binary, "task libraries", []string{binary}}
}

func TestLibrariesOfPython(t *testing.T) {
	run(t, python("discord.py"), python("py-cord"), python("nextcord"), python("disnake"), python("hikari"), python("interactions.py"))
}

func TestLibrariesOfNode(t *testing.T) { run(t, node("discord.js"), node("oceanic.js")) }

func TestLibrariesOfGo(t *testing.T) { run(t, golang("discordgo"), golang("disgo")) }

// TestLibrariesOfRust and TestLibrariesOfJava are for task test:libraries alone:
// building their bots takes minutes, and a toolchain that nothing else needs.
func TestLibrariesOfRust(t *testing.T) {
	binary := filepath.Join("twilight", "target", "debug", "twilight-bot")
	run(t, library{"twilight", "rust", binary, "task libraries:rust (needs cargo)", []string{binary}})
}

func TestLibrariesOfJava(t *testing.T) {
	classes := filepath.Join("JDA", "target", "classes")
	path := classes + string(filepath.ListSeparator) + filepath.Join("JDA", "target", "dependency", "*")
	run(t, library{"JDA", "java", filepath.Join(classes, "Bot.class"), "task libraries:java (needs mvn and javac 17)", []string{"java", "-cp", path, "Bot"}})
}

// atOnce is how many bots run at the same time. More would miss, on a small
// machine, the three seconds in which an interaction must be answered.
const atOnce = 4

// patience is how long a bot may take.
const patience = 2 * time.Minute

// run lets the bots of libraries run straight to the sandbox and through the
// proxy. They mostly wait for rate limits, so they run at the same time
// whatever -parallel says.
func run(t *testing.T, libraries ...library) {
	var bots []*bot
	for _, l := range installed(t, libraries...) {
		bots = append(bots, prepare(t, l, false), prepare(t, l, true))
	}
	runAll(t, bots)
}

// installed returns the libraries that are there.
func installed(t *testing.T, libraries ...library) (there []library) {
	for _, l := range libraries {
		t.Run(l.name+" is installed", func(t *testing.T) {
			require.File(t, l.component, l.needs, l.install)
			there = append(there, l)
		})
	}
	return there
}

func runAll(t *testing.T, bots []*bot) {
	places := make(chan struct{}, atOnce)
	var running sync.WaitGroup
	for _, b := range bots {
		running.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			b.run(t.Context())
		})
	}
	running.Wait()
	for _, b := range bots {
		t.Run(b.name, b.check)
	}
}

// bot is one run of a library's program.
type bot struct {
	library
	name    string
	proxied bool
	sandbox *sandbox.Sandbox
	config  config

	mu      sync.Mutex
	differs []string // answers that are not as Discord describes them

	out bytes.Buffer
	err error
}

// config is what the program gets in the variable LIBRARY.
type config struct {
	API      string       `json:"api"` // without a version
	Gateway  string       `json:"gateway"`
	Control  string       `json:"control"` // of the sandbox
	Token    string       `json:"token"`
	General  sandbox.ID   `json:"general"`
	Quiet    sandbox.ID   `json:"quiet"` // an empty channel
	Bob      sandbox.ID   `json:"bob"`
	Guild    sandbox.ID   `json:"guild"`
	Channels []sandbox.ID `json:"channels"` // six empty ones
}

func prepare(t *testing.T, l library, proxied bool) *bot {
	t.Helper()
	b := &bot{library: l, name: l.name + " straight", proxied: proxied, sandbox: sandbox.New(sandbox.Config{})}
	server := httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(server.Close)
	t.Cleanup(b.sandbox.Close)
	w := b.sandbox.World()
	b.config = config{
		API: server.URL + "/api", Gateway: strings.Replace(server.URL, "http", "ws", 1) + "/gateway", Control: server.URL + "/sandbox/",
		Token: w.Token, General: w.General, Bob: w.Bob, Guild: w.Guild,
	}
	channel := func(name string) sandbox.ID {
		id, err := b.sandbox.AddChannel(sandbox.Channel{GuildID: w.Guild, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	b.config.Quiet = channel("quiet")
	for i := range 6 {
		b.config.Channels = append(b.config.Channels, channel(fmt.Sprint("order-", i)))
	}
	if proxied {
		b.name = l.name + " proxied"
		b.config.API = "http://" + proxytest.Against(t, b.sandbox).Address + "/api"
	}
	return b
}

// serve is the sandbox, whose answers are compared with Discord's description.
func (b *bot) serve(w http.ResponseWriter, r *http.Request) {
	_, path, v10 := strings.Cut(r.URL.EscapedPath(), "/api/v10")
	d, err := description.Load()
	if !v10 || d == nil || err != nil {
		b.sandbox.ServeHTTP(w, r)
		return
	}
	answer := httptest.NewRecorder()
	b.sandbox.ServeHTTP(answer, r)
	path = strings.ReplaceAll(path, "%40", "@")
	if err := d.Check(r.Method, path, answer.Code, answer.Header(), answer.Body.Bytes()); err != nil {
		b.mu.Lock()
		b.differs = append(b.differs, fmt.Sprintf("%s %s: %v\n%s", r.Method, path, err, answer.Body))
		b.mu.Unlock()
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

func (b *bot) run(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	variable, err := json.Marshal(b.config)
	if err != nil {
		b.err = err
		return
	}
	harness, err := filepath.Abs("python")
	if err != nil {
		b.err = err
		return
	}
	cmd := exec.CommandContext(ctx, b.command[0], b.command[1:]...) //nolint:gosec // the programs above
	cmd.Env = append(os.Environ(), "LIBRARY="+string(variable), "PYTHONPATH="+harness, "PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=127.0.0.1")
	cmd.Stdout, cmd.Stderr = &b.out, &b.out
	b.err = cmd.Run()
}

func (b *bot) check(t *testing.T) {
	var passed []string
	for line := range strings.Lines(b.out.String()) {
		if step, ok := strings.CutPrefix(strings.TrimSpace(line), "passed "); ok {
			passed = append(passed, step)
		}
	}
	if b.err != nil || !slices.Equal(passed, steps) {
		t.Errorf("%v after %q:\n%s", b.err, passed, b.out.String())
	}
	for _, channel := range b.config.Channels {
		messages := b.sandbox.Messages(channel)
		if len(messages) != 10 {
			t.Errorf("channel %d holds %d messages", channel, len(messages))
		}
		for i, m := range messages {
			if m.Content != fmt.Sprint("number ", i) {
				t.Errorf("message %d of channel %d is %q", i, channel, m.Content)
			}
		}
	}
	for _, text := range b.differs {
		t.Errorf("not as Discord describes it: %s", text)
	}
	stats := b.sandbox.Stats()
	for status, n := range stats.Statuses {
		if status >= 400 && status != http.StatusTooManyRequests || status == http.StatusTooManyRequests && b.proxied {
			t.Errorf("%d answers with status %d", n, status)
		}
	}
	t.Logf("%d calls, %d of them too early", stats.Calls, stats.Statuses[http.StatusTooManyRequests])
}
