package clients

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"discordproxy/cli"
	discordproxymessage "discordproxy/cli/message"
	discordproxyserver "discordproxy/cli/serve"
	"discordproxy/client"
	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"

	pb "discordproxy/gen/discord_api"
)

// onSocket starts a server on a loopback address and on a Unix socket.
func onSocket(t *testing.T, sb *sandbox.Sandbox) (p *proxytest.Proxy, socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "sock")
	p = proxytest.Against(t, sb, "--host", "127.0.0.1,unix:"+socket)
	return p, socket
}

// runCommand runs one of the project's commands and returns what it wrote.
func runCommand(t *testing.T, command func(context.Context, cli.Env) error, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if code := cli.Run(t.Context(), command, cli.Env{Args: args, Out: &out, Err: &out}); code != 0 {
		t.Errorf("%v: exit code %d: %s", args, code, out.String())
	}
	return out.String()
}

func TestUnixSocket(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p, socket := onSocket(t, sb)
	w := sb.World()
	if out := runCommand(t, discordproxyserver.Command, "health", "--host", "unix:"+socket); strings.TrimSpace(out) != "ready" {
		t.Errorf("health: %s", out)
	}
	runCommand(t, discordproxymessage.Command, "--host", "unix:"+socket, "channel", w.General.String(), "by the command")
	c, err := client.New("unix:" + socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: uint64(w.General), Content: "by Go"}); err != nil {
		t.Error(err)
	}
	if got := sb.Messages(w.General); len(got) != 2 || got[1].Content != "by Go" {
		t.Errorf("stored: %v", got)
	}
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Lstat(socket); err == nil {
		t.Error("the socket remains")
	}
}

func TestPythonUnixSocket(t *testing.T) {
	python := require.Python(t)
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	_, socket := onSocket(t, sb)
	script(t, python, "unixsocket.py", socket, sb.World().Alice.String())
}

func TestCurlUnixSocket(t *testing.T) {
	require.Command(t, "curl", "install curl")
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	_, socket := onSocket(t, sb)
	out, err := exec.CommandContext(t.Context(), "curl", "-sS", "--fail-with-body", "--max-time", "20", "--unix-socket", socket, "http://localhost/discord_api.DiscordApi/SendDirectMessage",
		"-H", "Content-Type: application/json", "-d", fmt.Sprintf(`{"userId":%q,"content":"hi"}`, sb.World().Alice)).CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"content":"hi"`) {
		t.Errorf("%v: %s", err, out)
	}
}

// TestNginxUnixSocket: nginx hands gRPC and plain requests on to the socket, with
// the host that its clients name.
func TestNginxUnixSocket(t *testing.T) {
	require.Command(t, "nginx", "apt-get install nginx-light")
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	_, socket := onSocket(t, sb)
	address, overHTTP2 := proxytest.FreeAddress(t), proxytest.FreeAddress(t)
	folder := t.TempDir()
	config := fmt.Sprintf(`user root; daemon off; error_log stderr; pid %[1]s/pid; events {}
http {
  access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  server {
    listen %[4]s http2;
    location / { grpc_pass grpc://unix:%[3]s; grpc_set_header Host $host; }
  }
  server {
    listen %[2]s;
    location / { proxy_pass http://unix:%[3]s; proxy_set_header Host $host; }
  }
}`, folder, address, socket, overHTTP2)
	file := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	nginx := exec.CommandContext(t.Context(), "nginx", "-e", "stderr", "-p", folder, "-c", file)
	nginx.Stderr = &said
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = nginx.Process.Signal(os.Interrupt)
		_ = nginx.Wait()
	}()
	ask := func() (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "discord.example"
		return http.DefaultClient.Do(req)
	}
	resp, err := ask()
	for began := time.Now(); err != nil && time.Since(began) < 20*time.Second; resp, err = ask() {
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		t.Fatalf("nginx does not answer: %v: %s", err, said.String())
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("/readyz: %s", resp.Status)
	}
	c, err := client.New(overHTTP2)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.SendDirectMessage(t.Context(), &pb.SendDirectMessageRequest{UserId: uint64(sb.World().Alice), Content: "hi"}); err != nil {
		t.Error(err)
	}
}
