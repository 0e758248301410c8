package serve_test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"
)

// jsonLines reads the lines of a log, each of which must be an object with time, level and
// message.
func jsonLines(t *testing.T, log string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(log) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		at, _ := object["time"].(string)
		if _, err := time.Parse(time.RFC3339Nano, at); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		level, _ := object["level"].(string)
		if message, _ := object["msg"].(string); message == "" || !slices.Contains([]string{"DEBUG", "INFO", "WARN", "ERROR"}, level) {
			t.Errorf("%q has no message or level", line)
		}
		all = append(all, object)
	}
	return all
}

// TestJSONLog: every line is an object, with the attributes of calls as fields.
func TestJSONLog(t *testing.T) {
	logs := t.TempDir()
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb, "--log-format", "json", "--log-file-path", logs, "--log-file-level", "DEBUG")
	text := "with \"quotes\"\nand lines"
	if _, err := p.Clients()["gRPC"].SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: uint64(sb.World().General), Content: text}); err != nil {
		t.Fatal(err)
	}
	p.Stop()
	log, err := os.ReadFile(filepath.Join(logs, "discordproxyserver.log"))
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for _, line := range jsonLines(t, string(log)) {
		if line["msg"] == "call" && line["method"] == "SendChannelMessage" {
			calls++
			if _, isNumber := line["waited"].(float64); !isNumber || line["protocol"] != "grpc" || line["request_id"] == "" {
				t.Errorf("the call is %v", line)
			}
		}
	}
	if calls != 1 {
		t.Errorf("%d calls in\n%s", calls, log)
	}
}

// TestJSONErrors: an error that prevents the server from starting is a JSON line, too.
func TestJSONErrors(t *testing.T) {
	busy, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = busy.Close() })
	_, port, _ := net.SplitHostPort(busy.Addr().String())
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"--port " + port:           {1, "cannot listen"},
		"--max-queue 0":            {2, "--max-queue must be more than 0"},
		"--config /does/not/exist": {1, "cannot read the configuration file"},
		"nonsense":                 {2, ""},
	} {
		code, out := run(t, append([]string{"--sandbox", "--log-format", "json", "--log-file-path", t.TempDir()}, strings.Fields(args)...)...)
		if want.text == "" { // a mistake in the command line is a line for a person
			if code != want.code || !strings.HasPrefix(out, "ERROR: unknown command") {
				t.Errorf("%s: %d %q", args, code, out)
			}
			continue
		}
		lines := jsonLines(t, out)
		if n := len(lines); code != want.code || n == 0 || lines[n-1]["level"] != "ERROR" || !strings.Contains(lines[n-1]["error"].(string), want.text) {
			t.Errorf("%s: %d %q", args, code, out)
		}
	}
}
