package test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"discordproxy/test/proxytest"

	"connectrpc.com/connect"
)

// TestTerminate: calls that wait at the signal are delivered within the grace period, and
// every caller gets exactly one response.
func TestTerminate(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			const messages = 6
			p := proxytest.StartProcess(t, nil)
			ended := proxytest.Fill(t, p.Client, messages)
			if err := p.Cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			for range messages {
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
			if err := p.Cmd.Wait(); err != nil {
				t.Errorf("the server ended with %v", err)
			}
		})
	}
}

// TestGraceEnds: calls that do not end within the grace period get an error.
func TestGraceEnds(t *testing.T) {
	t.Parallel()
	const messages = 50
	p := proxytest.StartProcess(t, nil, "--shutdown-grace", "100ms")
	ended := proxytest.Fill(t, p.Client, messages)
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for range messages {
		if err := <-ended; err != nil {
			refused++
			if connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), "shutting down") {
				t.Errorf("a caller got %v", err)
			}
		}
	}
	if refused == 0 {
		t.Error("nothing waited")
	}
	if err := p.Cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// TestSecondSignal ends the process although calls wait.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	const messages = 50
	p := proxytest.StartProcess(t, nil)
	ended := proxytest.Fill(t, p.Client, messages)
	exited := make(chan error, 1)
	go func() { exited <- p.Cmd.Wait() }()
	for waiting := true; waiting; {
		if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
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

// TestLogFolderRemoved: the server continues without its log.
func TestLogFolderRemoved(t *testing.T) {
	t.Parallel()
	p := proxytest.StartProcess(t, nil)
	if err := os.RemoveAll(filepath.Dir(p.Log)); err != nil {
		t.Fatal(err)
	}
	if err := <-proxytest.Fill(t, p.Client, 6); err != nil {
		t.Error(err)
	}
}
