package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"

	"discordproxy/discord/sandbox"
)

// process is a command that has said where it listens.
type process struct {
	cmd     *exec.Cmd
	address string
	exited  chan struct{}
	err     error // valid when exited is closed
}

// launch starts a command and waits for the line that says where it listens.
func launch(binary string, says *regexp.Regexp, args ...string) (*process, error) {
	cmd := exec.Command(binary, args...) //nolint:noctx // it ends by signals
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	reader := bufio.NewReader(out)
	line, err := reader.ReadString('\n')
	if found := says.FindStringSubmatch(line); found != nil {
		p.address = found[1]
	} else {
		_ = cmd.Process.Kill()
		return nil, fmt.Errorf("%s said %q: %w", binary, line, errors.Join(err, cmd.Wait()))
	}
	go func() {
		_, _ = io.Copy(io.Discard, reader)
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// server is the proxy, in one process after another.
type server struct {
	binary, logs, token, discord string

	address string // the same for every process

	mu      sync.Mutex
	process *process
}

// grace is short, so that calls outlast it.
const grace = 2 * time.Second

func (s *server) start(context.Context) error {
	port := "0"
	if s.address != "" {
		port = s.address[len("127.0.0.1:"):]
	}
	p, err := launch(s.binary, regexp.MustCompile(`listens on (127\.0\.0\.1:\d+)`),
		"--port", port, "--token", s.token, "--discord-api-url", "http://"+s.discord+"/api",
		"--log-file-path", s.logs, "--data", filepath.Join(s.logs, "data"),
		"--connect-timeout", "1s", "--try-timeout", "3s", "--shutdown-grace", grace.String())
	if err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process, s.address = p, p.address
	return nil
}

func (s *server) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

func (s *server) kill() { s.current().kill() }

// terminate shuts the server down gracefully.
func (s *server) terminate() error {
	p := s.current()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("end the server: %w", err)
	}
	select {
	case <-p.exited:
	case <-time.After(grace + 10*time.Second):
		return errors.New("the server does not end")
	}
	if p.err != nil {
		return fmt.Errorf("the server ended: %w", p.err)
	}
	return nil
}

// mustLive returns when ctx has ended, or when the server has by itself.
func (s *server) mustLive(ctx context.Context) error {
	p := s.current()
	select {
	case <-ctx.Done():
		return nil
	case <-p.exited:
		return fmt.Errorf("the server ended by itself: %w", p.err)
	}
}

// endAtRandom ends the server again and again and starts it again, until ctx
// has ended.
func (s *server) endAtRandom(ctx context.Context, rng *rand.Rand) (sent map[string]int, err error) {
	sent = make(map[string]int)
	for {
		select {
		case <-ctx.Done():
			return sent, nil
		case <-time.After(time.Second + rand.N(5*time.Second)):
		}
		if rng.IntN(2) == 0 {
			sent["SIGKILL"]++
			s.kill()
		} else {
			sent["SIGTERM"]++
			if err := s.terminate(); err != nil {
				return sent, err
			}
		}
		if err := s.start(ctx); err != nil {
			return sent, err
		}
	}
}

// sandboxProcess is a sandbox in a process of its own.
type sandboxProcess struct {
	*process
	world sandbox.World
}

func startDiscord(ctx context.Context, binary string) (*sandboxProcess, error) {
	p, err := launch(binary, regexp.MustCompile(`at http://(\S+)/api`), "sandbox", "--port", "0")
	if err != nil {
		return nil, fmt.Errorf("start the sandbox: %w", err)
	}
	d := &sandboxProcess{process: p}
	if err := d.control(ctx, http.MethodGet, "world", nil, &d.world); err != nil {
		p.kill()
		return nil, err
	}
	return d, nil
}

func (d *sandboxProcess) end() { d.kill() }

// control calls one of the sandbox's control methods.
func (d *sandboxProcess) control(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+d.address+"/sandbox/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("control the sandbox: %w", err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode > 299 {
		err = fmt.Errorf("%s: %s", resp.Status, data)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(data, out)
	}
	if err != nil {
		return fmt.Errorf("control the sandbox: %s: %w", path, err)
	}
	return nil
}

// addChannels makes a text channel for each caller.
func (d *sandboxProcess) addChannels(ctx context.Context, n int) ([]sandbox.ID, error) {
	channels := make([]sandbox.ID, n)
	for i := range channels {
		var made struct{ ID sandbox.ID }
		wanted := sandbox.Channel{GuildID: d.world.Guild, Name: fmt.Sprintf("faults-%d", i)}
		if err := d.control(ctx, http.MethodPost, "channels", wanted, &made); err != nil {
			return nil, err
		}
		channels[i] = made.ID
	}
	return channels, nil
}

// injectFaults makes some calls go wrong at Discord.
func (d *sandboxProcess) injectFaults(ctx context.Context) error {
	nonsense := map[string]string{
		"X-RateLimit-Limit": "many", "X-RateLimit-Remaining": "-1", "X-RateLimit-Reset-After": "NaN", "X-RateLimit-Reset": "1e400",
		"X-RateLimit-Bucket": "\t", "Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT", "Content-Type": "a/b/c",
	}
	faults := []sandbox.Fault{
		{Name: "500", Status: http.StatusInternalServerError},
		{Name: "502", Status: http.StatusBadGateway},
		{Name: "503", Status: http.StatusServiceUnavailable},
		{Name: "504", Status: http.StatusGatewayTimeout},
		{Name: "522", Status: 522},
		{Name: "page", Status: http.StatusOK, Body: "<html>Maintenance</html>"},
		{Name: "nonsense", Kind: sandbox.FaultSlow, Bytes: 1 << 20, Header: nonsense},
		{Name: "reset", Kind: sandbox.FaultReset},
		{Name: "truncated", Kind: sandbox.FaultTruncate},
		{Name: "slow", Kind: sandbox.FaultSlow, Bytes: 50},
		{Name: "huge", Kind: sandbox.FaultHuge, Probability: 0.0005},
		{Name: "hang", Kind: sandbox.FaultHang, Probability: 0.003},
	}
	for _, after := range []bool{false, true} {
		for _, f := range faults {
			f.After = after
			if f.Probability == 0 {
				f.Probability = 0.01
			}
			if err := d.control(ctx, http.MethodPost, "faults", f, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeFaults ends the faults and returns how often each has struck.
func (d *sandboxProcess) removeFaults(ctx context.Context) (map[string]int, error) {
	var faults []sandbox.InjectedFault
	if err := d.control(ctx, http.MethodGet, "faults", nil, &faults); err != nil {
		return nil, err
	}
	struck := make(map[string]int)
	for _, f := range faults {
		struck[f.Fault.Name] += f.Hits
	}
	return struck, d.control(ctx, http.MethodDelete, "faults", nil, nil)
}

// contents returns how often each text is stored, in any channel.
func (d *sandboxProcess) contents(ctx context.Context) (stored map[string]int, deduplicated int, err error) {
	var channels []sandbox.Channel
	if err := d.control(ctx, http.MethodGet, "channels", nil, &channels); err != nil {
		return nil, 0, err
	}
	stored = make(map[string]int)
	for _, channel := range channels {
		var messages []sandbox.Message
		if err := d.control(ctx, http.MethodGet, "channels/"+channel.ID.String()+"/messages", nil, &messages); err != nil {
			return nil, 0, err
		}
		for _, m := range messages {
			stored[m.Content]++
		}
	}
	var stats sandbox.Stats
	err = d.control(ctx, http.MethodGet, "stats", nil, &stats)
	return stored, stats.Deduplicated, err
}
