package serve_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"discordproxy/cli"
	"discordproxy/cli/serve"
)

// TestCheck: check prints what each client may do, and finds what the server
// would refuse.
func TestCheck(t *testing.T) {
	const hash = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	for text, want := range map[string]string{
		"clients: [{name: shop, hashes: ['" + hash + "'], methods: [SendChannelMessage], channels: [7]}, {name: root, addresses: [127.0.0.1]}]": "shop: may call SendChannelMessage, for channel 7; no calls that are about none of them\n" +
			"root: may call every method, for all guilds, channels and users\n",
		"clients: [{name: shop, hashes: ['" + hash + "'], methods: ['GET /api/v10/users/@me']}]": "error: ",
		"clients: [{name: shop}]": "error: ",
	} {
		file := filepath.Join(t.TempDir(), "auth.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		err := serve.Command(t.Context(), cli.Env{Args: []string{"check", "--auth-file", file}, Out: &out, Err: &out})
		switch failed := strings.HasPrefix(want, "error"); {
		case failed && (err == nil || !strings.Contains(err.Error(), file)):
			t.Errorf("%s: %v, %s", text, err, &out)
		case !failed && (err != nil || out.String() != want || strings.Contains(out.String(), hash)):
			t.Errorf("%s: %v, %s", text, err, &out)
		}
	}
	for _, args := range [][]string{{"check"}, {"check", "--auth-file", "no-such-file"}, {"check", "--auth-file", os.DevNull}, {"check", "x"}} {
		t.Setenv("DISCORDPROXY_AUTH_FILE", "")
		if err := serve.Command(t.Context(), cli.Env{Args: args, Out: new(bytes.Buffer), Err: new(bytes.Buffer)}); err == nil {
			t.Errorf("%q succeeds", args)
		}
	}
}
