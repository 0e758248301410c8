package test

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// process is discordproxyserver as a process of its own, with the pretend
// Discord of --sandbox and its usual limits.
type process struct {
	cmd     *exec.Cmd
	address string
	client  discordapiconnect.DiscordApiClient
	log     string
}

// build makes both commands in a folder, which it returns.
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

func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	return startProcessWith(t, func(*exec.Cmd) {}, args...)
}

// startProcessWith lets prepare change how the process is started.
func startProcessWith(t *testing.T, prepare func(*exec.Cmd), args ...string) *process {
	t.Helper()
	commands, err := build()
	if err != nil {
		t.Fatal(err)
	}
	logs := t.TempDir()
	cmd := exec.CommandContext(t.Context(), filepath.Join(commands, "discordproxyserver"), append([]string{"--sandbox", "--port", "0", "--log-file-path", logs}, args...)...)
	prepare(cmd)
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
	return &process{
		cmd: cmd, address: address[1], log: filepath.Join(logs, "discordproxyserver.log"),
		client: discordapiconnect.NewDiscordApiClient(newHTTP2Client(), "http://"+address[1], connect.WithGRPC()),
	}
}

func newHTTP2Client() *http.Client {
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: h2}}
}

// fill sends more messages to one channel than it takes at once, and returns
// when the rest wait. Each call's error comes out of the channel.
func (p *process) fill(t *testing.T, messages int) <-chan error {
	t.Helper()
	// The ids of the pretend world are always the same.
	channel := uint64(sandbox.New(sandbox.Config{}).World().General)
	ended := make(chan error, messages)
	for range messages {
		go func() {
			for {
				_, err := p.client.SendChannelMessage(context.WithoutCancel(t.Context()), &pb.SendChannelMessageRequest{ChannelId: channel, Content: "hi"})
				if err != nil && strings.Contains(err.Error(), "is being checked") {
					continue // the server has not logged in yet
				}
				ended <- err
				return
			}
		}()
	}
	for {
		status, err := p.client.GetRateLimitStatus(t.Context(), &pb.GetRateLimitStatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		sent := len(ended)
		if sent > 0 && int(status.GetWaiting())+sent == messages {
			return ended
		}
	}
}

// TestTerminate: what waits when the signal comes is delivered as far as the
// grace goes, and every caller gets exactly one answer.
func TestTerminate(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			const messages = 6
			p := startProcess(t)
			ended := p.fill(t, messages)
			if err := p.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			for range messages {
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
			if err := p.cmd.Wait(); err != nil {
				t.Errorf("the server ended with %v", err)
			}
		})
	}
}

// TestGraceEnds: what does not fit into the grace is told so.
func TestGraceEnds(t *testing.T) {
	t.Parallel()
	const messages = 50
	p := startProcess(t, "--shutdown-grace", "100ms")
	ended := p.fill(t, messages)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for range messages {
		if err := <-ended; err != nil {
			refused++
			if connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), "shutting down") {
				t.Errorf("a caller was told %v", err)
			}
		}
	}
	if refused == 0 {
		t.Error("nothing waited")
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// TestSecondSignal ends the process although calls wait.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	const messages = 50
	p := startProcess(t)
	ended := p.fill(t, messages)
	exited := make(chan error, 1)
	go func() { exited <- p.cmd.Wait() }()
	for waiting := true; waiting; {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		select {
		case err := <-exited:
			exit := new(exec.ExitError)
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("the server ended with %v", err)
			}
			waiting = false
		case err := <-ended:
			t.Logf("a call ended meanwhile: %v", err)
		}
	}
}

// TestLogFolderRemoved: the server goes on without its log.
func TestLogFolderRemoved(t *testing.T) {
	t.Parallel()
	p := startProcess(t)
	if err := os.RemoveAll(filepath.Dir(p.log)); err != nil {
		t.Fatal(err)
	}
	if err := <-p.fill(t, 6); err != nil {
		t.Error(err)
	}
}
