// Package clients tests the proxy with clients in other languages, with browsers, and
// with tools of other projects.
package clients

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	pb "discordproxy/gen/discord_api"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"
)

// script runs one of the Python programs, whose last line is "passed N".
func script(t *testing.T, python, name string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), python, append([]string{filepath.Join("..", "python", name)}, args...)...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\npassed ") && !strings.HasPrefix(string(out), "passed ") {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
}

func TestPythonClient(t *testing.T) {
	python := require.Python(t)
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb, "--global-rate-limit", "0")
	w := sb.World()
	script(t, python, "client.py", p.Address,
		fmt.Sprintf("bot=%s", w.Bot), fmt.Sprintf("alice=%s", w.Alice), fmt.Sprintf("bob=%s", w.Bob), fmt.Sprintf("no_dms=%s", w.NoDMs),
		fmt.Sprintf("general=%s", w.General), fmt.Sprintf("forbidden=%s", w.Forbidden), fmt.Sprintf("guild=%s", w.Guild))
	if got := len(sb.Messages(w.General)); got != 2 {
		t.Errorf("the sandbox holds %d messages, not 2", got)
	}
}

func TestPythonTimeout(t *testing.T) {
	python := require.Python(t)
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb)
	sb.SetLatency(sandbox.Latency{Response: sandbox.Delay{Min: time.Hour}})
	script(t, python, "timeout.py", p.Address, sb.World().General.String())
}

// TestPythonMessage runs the command of the Python package.
func TestPythonMessage(t *testing.T) {
	python := require.Python(t)
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb)
	w := sb.World()
	command := filepath.Join(filepath.Dir(python), "discordproxymessage")
	host, port, _ := strings.Cut(p.Address, ":")
	for _, target := range [][]string{{"direct", w.Alice.String()}, {"channel", w.General.String()}} {
		out, err := exec.CommandContext(t.Context(), command, append([]string{"--host", host, "--port", port}, append(target, "hi")...)...).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %v\n%s", target, err, out)
		}
	}
	if got := sb.Messages(w.General); len(got) != 1 || got[0].Content != "hi" {
		t.Errorf("stored is %+v", got)
	}
}

// TestDiceBot runs the example of a bot.
func TestDiceBot(t *testing.T) {
	python := require.Python(t)
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Online(t, sb)
	ctx, cancel := context.WithTimeout(t.Context(), proxytest.Patience)
	defer cancel()
	bot := exec.CommandContext(ctx, python, filepath.Join("..", "..", "examples", "dice_bot.py"), p.Address)
	out, err := bot.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints strings.Builder
	bot.Stderr = &complaints
	if err := bot.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = bot.Wait()
	}()
	if line := bufio.NewScanner(out); !line.Scan() || line.Text() != "ready" {
		t.Fatalf("the bot is not ready: %s", &complaints)
	}
	w := sb.World()
	// It may not hear yet: a command is used until one is answered.
	for len(sb.Messages(w.General)) == 0 && ctx.Err() == nil {
		if _, err := sb.Interact(sandbox.Use{Channel: w.General, Name: "roll", Options: json.RawMessage(`[{"name":"sides","type":4,"value":20}]`)}); err != nil {
			t.Fatal(err)
		}
		proxytest.Follow(t, p.Clients()["gRPC"], &pb.SubscribeEventsRequest{}).Stop()
	}
	if got := sb.Messages(w.General); len(got) == 0 || !strings.Contains(got[0].Content, " rolled ") {
		t.Errorf("the messages are %+v: %s", got, &complaints)
	}
}
