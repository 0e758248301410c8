// Package dropin compares the server of the PyPI package discordproxy 1.5 with
// this one: the same calls by the package's own client, and the same commands.
package dropin

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"
)

var update = flag.Bool("update", false, "update the tables of docs/migration.md")

// python returns a command of the old package, whose standard error goes to
// the test's.
func python(ctx context.Context, site require.Site, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, site.Python, append([]string{"-u", filepath.Join("..", "python", name)}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+site.Discordproxy, "PYTHONWARNINGS=ignore")
	cmd.Stderr = os.Stderr
	return cmd
}

// lines starts a command and returns its standard output. The command ends
// with the test.
func lines(t *testing.T, cmd *exec.Cmd) *bufio.Scanner {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return bufio.NewScanner(out)
}

// side is one of the two servers.
type side struct {
	sandbox *sandbox.Sandbox
	target  string
	client  *client
}

// client is a running test/python/calls.py.
type client struct {
	in  io.Writer
	out *bufio.Scanner
}

func newClient(t *testing.T, site require.Site) *client {
	t.Helper()
	cmd := python(t.Context(), site, "calls.py")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out := lines(t, cmd)
	out.Buffer(nil, 1<<20)
	return &client{in, out}
}

// oldServer starts the old server and returns when it is ready.
func oldServer(t *testing.T, site require.Site) *side {
	t.Helper()
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	t.Cleanup(sb.Close)
	out := lines(t, python(t.Context(), site, "oldserver.py", discord.URL+"/api",
		"--token", sb.World().Token, "--port", "0", "--log-console-level", "INFO", "--log-file-path", t.TempDir()))
	var log strings.Builder
	s := &side{sandbox: sb, client: newClient(t, site)}
	for out.Scan() {
		if port, found := strings.CutPrefix(out.Text(), "port "); found {
			s.target = "127.0.0.1:" + port
		}
		if strings.HasSuffix(out.Text(), "has connected to Discord") {
			go func() {
				for out.Scan() { // so that the server can continue writing
				}
			}()
			// It fills in members when its gateway has delivered the guild.
			for t.Context().Err() == nil && !strings.Contains(string(s.call(t, &call{do: send}).OK), "joined_at") {
			}
			return s
		}
		fmt.Fprintln(&log, out.Text())
	}
	t.Fatalf("the old server ended: %v\n%s", out.Err(), &log)
	return nil
}

// call makes the client do what a case says.
func (s *side) call(t *testing.T, c *call) outcome {
	t.Helper()
	if c.arrange != nil {
		c.arrange(s.sandbox)
		defer s.sandbox.RemoveFault(0)
	}
	s.sandbox.ResetStats()
	before := s.messages()
	world := make(map[string]any)
	text, err := json.Marshal(s.sandbox.World())
	if err == nil {
		err = json.Unmarshal(text, &world)
	}
	for name, id := range world {
		if id, ok := id.(string); ok && strings.Trim(id, "0123456789") == "" {
			world[name] = json.Number(id)
		} else {
			delete(world, name)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	job := map[string]any{"target": s.target, "timeout": nil, "world": world, "do": c.do}
	if c.timeout > 0 {
		job["timeout"] = c.timeout.Seconds()
	}
	text, err = json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(s.client.in, "%s\n", text); err != nil {
		t.Fatal(err)
	}
	if !s.client.out.Scan() {
		t.Fatalf("the client ended: %v", s.client.out.Err())
	}
	var o outcome
	if err := json.Unmarshal(s.client.out.Bytes(), &o); err != nil {
		t.Fatalf("%v: %s", err, s.client.out.Bytes())
	}
	o.stored = s.messages() - before
	if c.counts {
		o.calls = []string{}
		for _, made := range s.sandbox.Calls() {
			o.calls = append(o.calls, "`"+made.Route+"`")
		}
	}
	return o
}

// messages returns how many messages there are.
func (s *side) messages() (n int) {
	for _, c := range s.sandbox.Channels() {
		n += len(s.sandbox.Messages(c.ID))
	}
	return n
}

// TestCalls makes each call at both servers. What differs has to be in
// docs/migration.md, with the reason.
func TestCalls(t *testing.T) {
	site := require.PythonServer(t)
	old := oldServer(t, site)
	ours := newClient(t, site)
	table := newTable(t, "calls", "what an app does or Discord answers", "Python server", "this one", "why")
	for i := range allCalls {
		c := &allCalls[i]
		t.Run(c.name, func(t *testing.T) {
			sb := sandbox.New(sandbox.Config{Unlimited: true})
			p := proxytest.Against(t, sb, append([]string{"--global-rate-limit", "0"}, c.args...)...)
			isMessage := strings.Contains(c.do, "_message(") || strings.Contains(c.do, "Message(")
			before := old.call(t, c).facts(isMessage)
			after := (&side{sb, p.Address, ours}).call(t, c).facts(isMessage)
			ignored := usualDifferences
			if c.whole {
				ignored = nil
			}
			a, b := differences(before, after, ignored)
			table.row(t, c.why, c.name, a, b)
		})
	}
	table.compare(t)
}
