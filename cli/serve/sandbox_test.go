package serve_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"discordproxy/cli"
	"discordproxy/cli/serve"
)

// TestSandboxState starts the sandbox with the state from a file.
func TestSandboxState(t *testing.T) {
	file := filepath.Join(t.TempDir(), "world.json")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"users": [{"id": "1", "username": "bot", "bot": true}], "nonsense": 1}`)
	if code, output := run(t, "sandbox", "--port", "0", "--state", file); code == 0 || !strings.Contains(output, "nonsense") {
		t.Errorf("a state with a mistake: %d %s", code, output)
	}
	write(`{"users": [{"id": "1", "username": "bot", "bot": true}],
		"guilds": [{"id": "10", "name": "Home", "owner_id": "1", "members": [{"user": "1"}], "channels": [{"id": "11", "name": "general"}]}]}`)
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Run(ctx, serve.Command, cli.Env{Args: []string{"sandbox", "--port", "0", "--state", file}, Out: in, Err: in})
		_ = in.Close()
	}()
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(line, " at ")
	api, _, _ := strings.Cut(rest, " ")
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/v10/channels/11", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bot sandbox-token")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the channel of the file: %s", resp.Status)
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("ended with %d", code)
	}
}
