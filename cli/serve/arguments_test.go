package serve

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	command "discordproxy/cli"
)

// FuzzArguments: arguments of any kind give a configuration that holds what was
// promised, or one line that does not show the token.
func FuzzArguments(f *testing.F) {
	for _, args := range []string{
		"", "--port\x000", "--port=70000", "--port\x00x", "--shutdown-grace\x00-1s", "--shutdown-grace=1h", "--cors-origin\x00https://a.example\x00--cors-origin=https://b.example",
		"--global-rate-limit=-1", "--max-queue=0", "--max-queue-bytes\x0099999999999999999999", "--try-timeout=", "--sandbox=maybe", "--nonsense", "nonsense", "--", "--\x00--port", "-port\x001",
		"--log-file-level\x00LOUD", "--token", "--token=\x00x", "--help", "--version", "--host=\x00::1", "-", "--allowed-host=a,b", "--connect-timeout\x001e9s", "--token-file\x00/dev/null",
	} {
		f.Add(args)
	}
	const token = "MTk4NjIyNDgzNDcxOTI1MjQ4.secret"
	f.Fuzz(func(t *testing.T, joined string) {
		var c serverConfig
		served := false
		args := append([]string{"--token", token}, strings.Split(joined, "\x00")...)
		err := c.app(command.Env{Out: io.Discard, Err: io.Discard}, func(context.Context, command.Env) error {
			served = true
			return c.check()
		}).RunContext(t.Context(), append([]string{"discordproxyserver"}, args...))
		if err != nil {
			if text := err.Error(); strings.Contains(text, token) || !strings.Contains(joined, "\n") && strings.Contains(text, "\n") {
				t.Errorf("%q: the error is %q", args, text)
			}
			return
		}
		if served && (c.port < 0 || c.port > 65535 || c.sandboxPort < 0 || c.sandboxPort > 65535 || c.grace < 0 || c.maxQueue <= 0 || c.maxQueueBytes <= 0 ||
			c.connectTimeout <= 0 || c.tryTimeout <= 0 || c.globalRateLimit < 0 || c.invalidRequestLimit <= 0) {
			t.Errorf("%q: taken %+v", args, c)
		}
	})
}

// TestEmptyVariables: variables that are empty, as .env and Compose files leave them, set
// nothing.
func TestEmptyVariables(t *testing.T) {
	for _, variable := range []string{"HOST", "PORT", "COMPAT_ENUMS", "LOG_FORMAT", "CORS_ORIGIN", "SHUTDOWN_GRACE", "MAX_QUEUE_BYTES"} {
		t.Setenv("DISCORDPROXY_"+variable, "")
	}
	t.Setenv("DISCORD_BOT_TOKEN", "")
	t.Setenv("DISCORDPROXY_TOKEN", "the token")
	var c serverConfig
	app := c.app(command.Env{Out: io.Discard, Err: io.Discard}, func(context.Context, command.Env) error { return c.check() })
	args, err := arrange(app, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := app.RunContext(t.Context(), append([]string{app.Name}, args...)); err != nil {
		t.Fatal(err)
	}
	if c.host != "127.0.0.1" || c.port != 50051 || !c.compatEnums || c.logs.format != "text" || len(c.corsOrigins) > 0 ||
		c.grace != 110*time.Second || c.maxQueueBytes != 256<<20 || c.token != "the token" {
		t.Errorf("the configuration is %+v", c)
	}
}
