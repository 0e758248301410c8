package clients

import (
	"bufio"
	"bytes"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"
)

// TestRestartsOfTheServer restarts the server while grpcio makes calls: clients that
// repeat them lose none.
func TestRestartsOfTheServer(t *testing.T) {
	python := require.Python(t)
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	t.Cleanup(sb.Close)
	address := proxytest.FreeAddress(t)
	_, port, _ := strings.Cut(address, ":")
	args := []string{
		"--sandbox=false", "--token", sb.World().Token, "--discord-api-url", discord.URL + "/api", "--no-gateway",
		"--global-rate-limit", "0", "--data", filepath.Join(t.TempDir(), "data"), "--port", port,
	}
	server := proxytest.StartProcess(t, nil, args...)

	cmd := exec.CommandContext(t.Context(), python, filepath.Join("..", "python", "restart.py"), address, sb.World().Alice.String())
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join("..", "..", "python", "src"), "PYTHONDONTWRITEBYTECODE=1")
	var problems bytes.Buffer
	cmd.Stderr = &problems
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var answered atomic.Int64
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			answered.Add(1)
		}
	}()
	for range 4 {
		from := answered.Load()
		for end := time.Now().Add(proxytest.Patience); answered.Load() < from+20; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				_ = in.Close()
				_ = cmd.Wait()
				t.Fatalf("%d calls were answered, then none: %s", answered.Load(), problems.String())
			}
		}
		if err := server.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := server.Cmd.Wait(); err != nil {
			t.Errorf("the server ended: %v", err)
		}
		server = proxytest.StartProcess(t, nil, args...)
	}
	_ = in.Close()
	<-read
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, problems.String())
	}
}
