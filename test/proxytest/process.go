package proxytest

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "discordproxy")
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(context.Background(), "go", "build", "-o", dir, "discordproxy/cli/...").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return dir, nil
})

// Commands builds both commands once and returns the folder that holds them.
func Commands(t testing.TB) string {
	t.Helper()
	folder, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// Process is discordproxyserver as a process of its own, with the sandbox and
// its usual limits.
type Process struct {
	Cmd     *exec.Cmd
	Address string
	Client  discordapiconnect.DiscordApiClient
	Log     string // the path of its log file
}

// StartProcess starts a process on a free port. It is killed when the test ends.
// prepare, if not nil, can change how it is started.
func StartProcess(t testing.TB, prepare func(*exec.Cmd), args ...string) *Process {
	t.Helper()
	logs := t.TempDir()
	cmd := exec.CommandContext(
		t.Context(),
		filepath.Join(Commands(t), "discordproxyserver"),
		append([]string{"--sandbox", "--port", "0", "--log-file-path", logs}, args...)...)
	if prepare != nil {
		prepare(cmd)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address := regexp.MustCompile(`listens on (\S+)`).FindStringSubmatch(line)
	if address == nil {
		t.Fatalf("the first line is %q", line)
	}
	return &Process{Cmd: cmd, Address: address[1], Client: NewClient(address[1]), Log: filepath.Join(logs, "discordproxyserver.log")}
}

// NewClient returns a client that speaks gRPC to an address, over connections of
// its own.
func NewClient(address string) discordapiconnect.DiscordApiClient {
	return discordapiconnect.NewDiscordApiClient(NewHTTP2Client(), "http://"+address, connect.WithGRPC())
}

// NewHTTP2Client returns a client for cleartext HTTP/2.
func NewHTTP2Client() *http.Client {
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: h2}}
}

// Fill sends more messages to one channel of the sandbox than Discord accepts
// immediately, and returns when the rest wait. Each call's error is sent to the
// channel.
func Fill(t testing.TB, client discordapiconnect.DiscordApiClient, messages int) <-chan error {
	t.Helper()
	// The IDs of the sandbox's world are always the same.
	channel := uint64(sandbox.New(sandbox.Config{}).World().General)
	ended := make(chan error, messages)
	for range messages {
		go func() {
			for {
				_, err := client.SendChannelMessage(
					context.WithoutCancel(t.Context()),
					&pb.SendChannelMessageRequest{ChannelId: channel, Content: "hi"},
				)
				if err != nil && strings.Contains(err.Error(), "is being checked") {
					continue // the server has not logged in yet
				}
				ended <- err
				return
			}
		}()
	}
	for {
		status, err := client.GetRateLimitStatus(t.Context(), &pb.GetRateLimitStatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		sent := len(ended)
		if sent > 0 && int(status.GetWaiting())+sent == messages {
			return ended
		}
	}
}

// FreeAddress returns a loopback address on which nothing listens at the moment.
func FreeAddress(t testing.TB) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // listening does not wait
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	return lis.Addr().String()
}
