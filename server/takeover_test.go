//go:build unix

package server_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/internal/store/storetest"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"
)

// process is a server as a process of its own.
type process struct {
	cmd     *exec.Cmd
	lines   chan string // of its output
	address string
	client  discordapiconnect.DiscordApiClient
	ended   chan struct{}
}

func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{lines: make(chan string, 100), ended: make(chan struct{})}
	p.cmd = exec.CommandContext(t.Context(), filepath.Join(proxytest.Commands(t), "discordproxyserver"),
		append([]string{"--port", "0", "--log-file-path", t.TempDir()}, args...)...)
	out, in := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = in, in
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	go func() {
		_ = p.cmd.Wait()
		in.Close()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

// says waits for a line of output.
func (p *process) says(t *testing.T, want string) string {
	t.Helper()
	for {
		if line := receive(t, p.lines); strings.Contains(line, want) {
			return line
		}
	}
}

// serves waits until the server listens.
func (p *process) serves(t *testing.T) {
	t.Helper()
	_, p.address, _ = strings.Cut(p.says(t, "listens on "), "listens on ")
	p.client = proxytest.NewClient(p.address)
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// TestTakeover: when a server dies, or hangs, another one takes over. One that wakes up
// again ends, and sends nothing that it was asked for. All of them have one session at
// the gateway.
func TestTakeover(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	t.Cleanup(sb.Close)
	address := storetest.Database(t)
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	args := []string{"--token", sb.World().Token, "--discord-api-url", discord.URL + "/api", "--database", address, "--no-dashboard"}
	send := func(ctx context.Context, p *process, content string) error {
		_, err := p.client.SendChannelMessage(ctx, &pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General), Content: content})
		return err
	}
	online := func(identifies, resumes int) {
		t.Helper()
		within(t, func() error {
			if got := sb.GatewayCounts(); got.Identifies != identifies || got.Resumes < resumes {
				return fmt.Errorf("at the gateway: %+v, want %d and %d", got, identifies, resumes)
			}
			return nil
		})
	}
	const waits = "waiting to start: another server uses this bot with the database"
	first := startProcess(t, args...)
	first.serves(t)
	within(t, func() error { return send(t.Context(), first, "first") })
	online(1, 0)
	within(t, func() error { // until the session is saved
		return db.QueryRowContext(t.Context(), `SELECT data FROM state WHERE part = 'gateway' AND convert_from(data, 'UTF8') LIKE '%"session":%'`).Scan(new([]byte))
	})
	second := startProcess(t, args...)
	second.says(t, waits)

	began := time.Now()
	first.signal(t, syscall.SIGKILL)
	second.serves(t)
	within(t, func() error { return send(t.Context(), second, "second") })
	t.Logf("the second server sends %v after the first was killed", time.Since(began).Round(time.Millisecond))

	online(1, 1)
	third := startProcess(t, args...)
	third.says(t, waits)
	began = time.Now()
	second.signal(t, syscall.SIGSTOP)
	var status syscall.WaitStatus // it stops a little after the signal
	if _, err := syscall.Wait4(second.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the second server has not stopped: %v, %v", status, err)
	}
	late := make(chan error, 1)
	go func() { late <- send(context.WithoutCancel(t.Context()), second, "late") }()
	third.serves(t)
	within(t, func() error { return send(t.Context(), third, "third") })
	t.Logf("the third server sends %v after the second was paused", time.Since(began).Round(time.Millisecond))
	online(1, 2)
	second.signal(t, syscall.SIGCONT)
	if err := receive(t, late); err == nil {
		t.Error("a server without the lease sent a message")
	}
	second.says(t, "ERROR: another server has taken over the bot")
	receive(t, second.ended)
	if code := second.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("it ended with %d", code)
	}

	fourth := startProcess(t, args...)
	fourth.says(t, waits)
	began = time.Now()
	third.signal(t, syscall.SIGTERM)
	fourth.serves(t)
	within(t, func() error { return send(t.Context(), fourth, "fourth") })
	t.Logf("the fourth server sends %v after the third got SIGTERM", time.Since(began).Round(time.Millisecond))
	online(1, 3)
	stream, err := fourth.client.ListChannelMessages(t.Context(), &pb.ListChannelMessagesRequest{ChannelId: uint64(sb.World().General)})
	if err != nil {
		t.Fatal(err)
	}
	var contents []string
	for stream.Receive() {
		contents = append(contents, stream.Msg().GetMessage().GetContent())
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(contents, " "); !strings.HasPrefix(got, "fourth third second first") || strings.Contains(got, "late") {
		t.Errorf("Discord got %q", got)
	}
}

// TestStandbyWithMistakes: a server that would wait for another one to end does not wait if
// its settings would not let it run after that.
func TestStandbyWithMistakes(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	t.Cleanup(sb.Close)
	args := []string{"--token", sb.World().Token, "--discord-api-url", discord.URL + "/api", "--database", storetest.Database(t)}
	startProcess(t, args...).serves(t)
	for flag, want := range map[string]string{
		"--dashboard-show-content": "--dashboard-show-content would show the contents of calls to anyone",
		"--gateway-proxy":          "--gateway-proxy would let anyone who can reach the server run the bot",
	} {
		p := startProcess(t, append(slices.Clone(args), "--host", "0.0.0.0", flag)...)
		if line := p.says(t, ""); !strings.Contains(line, want) {
			t.Errorf("with %s the first line is %s", flag, line)
		}
		receive(t, p.ended)
		if code := p.cmd.ProcessState.ExitCode(); code != 1 {
			t.Errorf("with %s the exit code is %d", flag, code)
		}
	}
}
