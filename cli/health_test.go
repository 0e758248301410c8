package cli_test

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"discordproxy/cli"
	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// TestHealthCommand: the exit code says whether the server is ready, or with
// --live whether it lives.
func TestHealthCommand(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb)
	_, port, err := net.SplitHostPort(p.Address)
	if err != nil {
		t.Fatal(err)
	}
	health := func(args ...string) (code int, text string) {
		t.Helper()
		var out bytes.Buffer
		code = cli.Run(t.Context(), cli.Server, cli.Env{Args: append([]string{"health"}, args...), Out: &out, Err: &out})
		return code, out.String()
	}
	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", ""} {
		if code, text := health("--port", port, "--host", host); code != 0 || text != "ready\n" {
			t.Errorf("at %q it is %d %q", host, code, text)
		}
	}
	t.Run("variables", func(t *testing.T) {
		t.Setenv("DISCORDPROXY_PORT", port)
		t.Setenv("DISCORDPROXY_HOST", "0.0.0.0")
		if code, text := health(); code != 0 || text != "ready\n" {
			t.Errorf("it is %d %q", code, text)
		}
	})

	sb.Ban(sandbox.Ban{For: time.Hour})
	_, err = p.Clients()["Connect"].SendChannelMessage(t.Context(), connect.NewRequest(&pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General), Content: "hi"}))
	if err == nil {
		t.Fatal("a message arrived through a ban")
	}
	if code, text := health("--port", port); code != 1 || !strings.HasPrefix(text, "ERROR: Discord refuses all calls from this address") {
		t.Errorf("while Discord bans the address it is %d %q", code, text)
	}
	if code, text := health("--port", port, "--live"); code != 0 || text != "alive\n" {
		t.Errorf("while Discord bans the address it lives: %d %q", code, text)
	}

	p.Stop()
	if code, text := health("--port", port); code != 1 || !strings.HasPrefix(text, "ERROR: the server does not answer: ") {
		t.Errorf("after its end it is %d %q", code, text)
	}
	for _, args := range [][]string{{"--port", "70000"}, {"now"}, {"--nonsense"}} {
		if code, text := health(args...); code != 1 || strings.Count(text, "\n") != 1 {
			t.Errorf("%q: %d %q", args, code, text)
		}
	}
}
