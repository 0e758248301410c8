//go:build unix

package serve_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"discordproxy/cli"
	"discordproxy/cli/serve"
	"discordproxy/discord/sandbox"
	"discordproxy/server"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// TestPipesAtTheStart: a pipe in the place of a file is an error.
func TestPipesAtTheStart(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--token-file", pipe}, {"--auth-file", pipe, "--sandbox"}, {"--tls-cert", pipe, "--tls-key", pipe, "--sandbox"}} {
		var output bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		code := cli.Run(ctx, serve.Command, cli.Env{Args: append(args, "--port", "0", "--log-file-path", t.TempDir()), Out: &output, Err: &output})
		cancel()
		if code != 1 || !strings.Contains(output.String(), "is not a regular file (a pipe)") {
			t.Errorf("%v: ended with %d: %s", args, code, output.String())
		}
	}
}

// TestPipeInThePlaceOfTheAuthFile: neither later rules nor the shutdown wait for the pipe.
func TestPipeInThePlaceOfTheAuthFile(t *testing.T) {
	key, hash := server.NewKey()
	folder := t.TempDir()
	auth := filepath.Join(folder, "auth.yaml")
	entry := func(methods string) string {
		return fmt.Sprintf("clients: [{name: shop, hashes: [%q], methods: [%s]}]", hash, methods)
	}
	write(t, auth, entry("GetChannel"))
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	p := proxytest.Against(t, sb, "--auth-file", auth, "--log-file-path", folder)
	client := p.ClientsAs(t, proxytest.Identity{Key: key})["gRPC"]
	says := func() string {
		_, err := client.GetUser(t.Context(), &pb.GetUserRequest{UserId: uint64(sb.World().Alice)})
		return fmt.Sprint(err)
	}
	pipe := func() {
		if err := os.Remove(auth); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(auth, 0o600); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the pipe in the log", func() bool {
			log, err := os.ReadFile(filepath.Join(folder, "discordproxyserver.log"))
			return err == nil && strings.Contains(string(log), "is not a regular file (a pipe)")
		})
	}
	pipe()
	if got := says(); !strings.Contains(got, "may not call GetUser") {
		t.Errorf("with the pipe: %s", got)
	}
	if err := os.Remove(auth); err != nil {
		t.Fatal(err)
	}
	write(t, auth, entry("GetUser"))
	eventually(t, "the rules after the pipe", func() bool { return says() == "<nil>" })
	pipe()
	p.Stop()
}

// TestRevokedStreams: streams of a key that is removed end, over every
// protocol.
func TestRevokedStreams(t *testing.T) {
	key, hash := server.NewKey()
	_, other := server.NewKey()
	auth := filepath.Join(t.TempDir(), "auth.yaml")
	write(t, auth, fmt.Sprintf("clients: [{name: shop, hashes: [%q]}]", hash))
	p := proxytest.Against(t, sandbox.New(sandbox.Config{Unlimited: true}), "--auth-file", auth, "--no-gateway=false")
	ends := make(chan string)
	n := 0
	for protocol, client := range p.ClientsAs(t, proxytest.Identity{Key: key}) {
		stream, err := client.SubscribeEvents(t.Context(), &pb.SubscribeEventsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		n++
		go func() {
			for stream.Receive() {
			}
			ends <- fmt.Sprintf("%s %v", protocol, connect.CodeOf(stream.Err()))
		}()
	}
	write(t, auth, fmt.Sprintf("clients: [{name: shop, hashes: [%q]}]", other))
	for range n {
		select {
		case end := <-ends:
			if !strings.HasSuffix(end, " unauthenticated") {
				t.Error(end)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("a stream has not ended")
		}
	}
}
