package dropin

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"discordproxy/cli"
	discordproxymessage "discordproxy/cli/message"
	discordproxyserver "discordproxy/cli/serve"
	"discordproxy/discord/sandbox"
	"discordproxy/test/require"
)

// command is something that an admin types.
type command struct {
	name    string
	message bool // discordproxymessage instead of discordproxyserver
	args    []string
	stays   bool // it runs until a signal ends it
	twice   bool // two of them run, with the same arguments
	why     string
}

// In arguments these stand for what differs between two runs.
const (
	anyPort    = "PORT"   // free
	serverPort = "SERVER" // where this server answers
	apiURL     = "API"    // of the sandbox
	logs       = "FOLDER" // empty
	goodToken  = "sandbox-token"
)

// serve is a command line of a server that starts.
func serve(more ...string) []string {
	return append([]string{"--port", anyPort, "--log-file-path", logs, "--token", goodToken}, more...)
}

var allCommands = []command{
	{name: "`--version`", args: []string{"--version"}},
	{name: "`--help`", args: []string{"--help"}, why: "there are more flags"},
	{name: "an unknown flag", args: []string{"--nonsense"}, why: "one line instead of the usage"},
	{name: "a word that is not a flag", args: []string{"nonsense"}, why: "one line instead of the usage"},
	{name: "`--port many`", args: []string{"--port", "many"}, why: "one line instead of the usage"},
	{name: "`--log-file-level LOUD`", args: serve("--log-file-level", "LOUD"), why: "one line instead of the usage"},
	{name: "a shortened flag, `--log-console INFO`", args: serve("--log-console", "INFO"), stays: true, why: "new flags would change what a shortened one means"},
	{name: "no token", args: []string{"--port", anyPort, "--log-file-path", logs}, why: "an error belongs on stderr"},
	{name: "a token that Discord refuses", args: []string{"--port", anyPort, "--log-file-path", logs, "--token", "wrong"}, stays: true, why: "a process manager sees the failure; supervisor restarts it, unless `autorestart` is `false`"},
	{name: "a folder for the log that does not exist", args: []string{"--port", anyPort, "--token", goodToken, "--log-file-path", "/does/not/exist"}, why: "one line instead of a traceback"},
	{name: "a start and SIGTERM", args: serve(), stays: true, why: "it says where it listens"},
	{name: "the log on the console", args: serve("--log-console-level", "INFO"), stays: true, why: "stdout is for results"},
	{name: "two servers on one port", args: serve(), stays: true, twice: true, why: "calls went to one of the two at random, and each counted limits separately"},

	{name: "`discordproxymessage --help`", message: true, args: []string{"--help"}, why: "there are more commands"},
	{name: "`discordproxymessage` alone", message: true, why: "it shows its help, as `--help` does"},
	{name: "`discordproxymessage` with an ID that is not a number", message: true, args: []string{"direct", "me", "hi"}, why: "one line instead of the usage"},
	{name: "`discordproxymessage` with success", message: true, args: []string{"--port", serverPort, "channel", "1100000000000000010", "hi"}},
	{name: "`discordproxymessage` with options behind", message: true, args: []string{"channel", "1100000000000000010", "hi", "--port", serverPort}},
	{name: "`discordproxymessage` with `=`", message: true, args: []string{"channel", "1100000000000000010", "hi", "--host=127.0.0.1", "--port=" + serverPort}},
	{name: "`discordproxymessage` with a text that begins with `-`", message: true, args: []string{"--port", serverPort, "channel", "1100000000000000010", "-4 degrees"}, why: "a mistyped option must not be posted; write such a text after `--`"},
	{name: "`discordproxymessage` with `--` in front of such a text", message: true, args: []string{"--port", serverPort, "channel", "--", "1100000000000000010", "-4 degrees"}},
	{name: "`discordproxymessage` that Discord refuses", message: true, args: []string{"--port", serverPort, "channel", "42", "hi"}, why: "an error belongs on stderr; its text is shorter"},
	{name: "`discordproxymessage` without a server", message: true, args: []string{"--port", "1", "channel", "42", "hi"}, why: "an error belongs on stderr; its text is shorter"},
	{name: "`discordproxymessage` with an empty text", message: true, args: []string{"--port", serverPort, "channel", "1100000000000000010", ""}, why: "one line instead of a traceback"},
}

// ended is how a process ended: its exit code and what it wrote.
type ended struct {
	code        string
	out, errors string
}

func (e ended) facts() facts {
	f := facts{"exit code": e.code}
	for name, text := range map[string]string{"stdout": e.out, "stderr": e.errors} {
		if text = strings.TrimSpace(text); text == "" {
			f[name] = "empty"
			continue
		}
		lines := strings.Split(text, "\n")
		f[name] = quote(lines[0])
		switch last := lines[len(lines)-1]; {
		case strings.HasPrefix(text, "usage:") && name == "stderr", strings.HasPrefix(text, "Traceback"):
			f[name] += " ... " + quote(last)
		case len(lines) > 1:
			f[name] += " ..."
		}
	}
	return f
}

// process is a running command.
type process interface {
	output() string
	signal()
	wait() ended
}

// pythonProcess is a command of the old package.
type pythonProcess struct {
	cmd    *exec.Cmd
	out    buffer
	errors buffer
}

// buffer may be read while a process writes to it.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func startPython(t *testing.T, site require.Site, c *command, api string, args []string) process {
	t.Helper()
	name, first := "oldserver.py", []string{api}
	if c.message {
		name, first = "oldmessage.py", nil
	}
	p := &pythonProcess{cmd: python(t.Context(), site, name, append(first, args...)...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errors
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pythonProcess) output() string { return p.out.String() + p.errors.String() }
func (p *pythonProcess) signal()        { _ = p.cmd.Process.Signal(syscall.SIGTERM) }

func (p *pythonProcess) wait() ended {
	_ = p.cmd.Wait()
	return ended{fmt.Sprint(p.cmd.ProcessState.ExitCode()), p.out.String(), p.errors.String()}
}

// goProcess is a command of this package in the test's own process.
type goProcess struct {
	out, errors buffer
	stop        context.CancelFunc
	code        chan int
}

func startGo(t *testing.T, c *command, api string, args []string) process {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	p := &goProcess{stop: stop, code: make(chan int, 1)}
	run := discordproxyserver.Command
	if c.message {
		run = discordproxymessage.Command
	} else {
		args = append(slices.Clip(args), "--discord-api-url", api)
		if len(args) == 3 { // a flag or a word alone
			args = args[:1]
		}
	}
	go func() { p.code <- cli.Run(ctx, run, cli.Env{Args: args, Out: &p.out, Err: &p.errors}) }()
	return p
}

func (p *goProcess) output() string { return p.out.String() + p.errors.String() }
func (p *goProcess) signal()        { p.stop() }

func (p *goProcess) wait() ended {
	defer p.stop()
	return ended{fmt.Sprint(<-p.code), p.out.String(), p.errors.String()}
}

// lives is what a server writes once it takes calls.
var lives = []string{"port ", "listens on"}

// until waits for a text, or for the end of the process.
func until(t *testing.T, p process, done <-chan ended, texts ...string) (ended, bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		select {
		case e := <-done:
			return e, true
		default:
		}
		for _, text := range texts {
			if strings.Contains(p.output(), text) {
				return ended{}, false
			}
		}
	}
	t.Fatalf("nothing of %q comes: %s", texts, p.output())
	return ended{}, true
}

// run runs a command to its end, or until it is stopped.
func run(t *testing.T, c *command, start func(args []string) process, free string) ended {
	t.Helper()
	args := slices.Clone(c.args)
	folder := t.TempDir()
	for i := range args {
		args[i] = strings.NewReplacer(anyPort, free, logs, folder).Replace(args[i])
	}
	once := func() (process, <-chan ended) {
		p := start(args)
		done := make(chan ended, 1)
		go func() { done <- p.wait() }()
		return p, done
	}
	p, done := once()
	if !c.stays {
		return <-done
	}
	e, isOver := until(t, p, done, lives...)
	if isOver {
		return e
	}
	if c.twice {
		second, over := once()
		e, isOver := until(t, second, over, lives...)
		if !isOver {
			second.signal()
			<-over
			e = ended{code: "none: both run"}
		}
		p.signal()
		<-done
		return e
	}
	if slices.Contains(c.args, "wrong") { // ends by itself, or not
		select {
		case e := <-done:
			return e
		case <-time.After(20 * time.Second):
			p.signal()
			e := <-done
			e.code = "none: it runs on"
			return e
		}
	}
	p.signal()
	return <-done
}

// tidy replaces what differs between two runs.
func tidy(e ended) ended {
	clean := func(text string) string {
		var kept []string
		for line := range strings.SplitSeq(text, "\n") {
			if !strings.HasPrefix(line, "port ") && !strings.Contains(line, "PyNaCl") {
				kept = append(kept, line)
			}
		}
		if i := slices.IndexFunc(kept, func(line string) bool { return line == cli.Version() || line == oldVersion }); i >= 0 {
			kept[i] = "VERSION"
		}
		text = strings.ReplaceAll(strings.Join(kept, "\n"), cli.Version(), "VERSION")
		return tempFolder.ReplaceAllString(text, "FOLDER/")
	}
	return ended{e.code, clean(e.out), clean(e.errors)}
}

// TestCommands gives both packages the same command lines.
func TestCommands(t *testing.T) {
	site := require.PythonServer(t)
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	discord := httptest.NewServer(sb)
	defer discord.Close()
	defer sb.Close()
	running := startGo(t, &command{}, discord.URL+"/api", []string{"--port", "0", "--log-file-path", t.TempDir(), "--token", goodToken})
	defer running.signal()
	until(t, running, nil, "listens on")
	_, rest, _ := strings.Cut(running.output(), "listens on 127.0.0.1:")
	port, _, _ := strings.Cut(rest, "\n")

	table := newTable(t, "commands", "what an admin types", "Python server", "this one", "why")
	before := make([]chan ended, len(allCommands))
	twoAtOnce := make(chan struct{}, 2)
	for i := range allCommands {
		c := &allCommands[i]
		for j := range c.args {
			c.args[j] = strings.ReplaceAll(c.args[j], serverPort, port)
		}
		before[i] = make(chan ended, 1)
		go func() {
			twoAtOnce <- struct{}{}
			defer func() { <-twoAtOnce }()
			free := "0"
			if c.twice {
				free = freePort(t)
			}
			before[i] <- run(t, c, func(args []string) process { return startPython(t, site, c, discord.URL+"/api", args) }, free)
		}()
	}
	for i := range allCommands {
		c := &allCommands[i]
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("XDG_STATE_HOME", t.TempDir()) // the running server has the data folder of the others
			free := "0"
			if c.twice {
				free = freePort(t)
			}
			after := run(t, c, func(args []string) process { return startGo(t, c, discord.URL+"/api", args) }, free)
			a, b := differences(tidy(<-before[i]).facts(), tidy(after).facts(), nil)
			table.row(t, c.why, c.name, a, b)
		})
	}
	table.compare(t)
}

// oldVersion is the version of the package in the site.
const oldVersion = "1.5.1"

// tempFolder is a folder of a test.
var tempFolder = regexp.MustCompile(`/\S*/TestCommands\S*?/\d{3}/`)

// freePort returns a port that is free.
func freePort(t *testing.T) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // is closed below
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	_, port, _ := net.SplitHostPort(lis.Addr().String())
	return port
}
