package server_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/server"
)

// lines are the lines of a log, which many write to.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSpace(l.text.String()), "\n")
}

// TestBotsLog: a line of the log about a bot has one attribute that says which bot it is.
func TestBotsLog(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	t.Cleanup(sb.Close)
	discord := httptest.NewServer(sb)
	t.Cleanup(discord.Close)
	first, second := addBot(t, sb, "first"), addBot(t, sb, "second")
	second.Gateway = server.GatewayConfig{}
	var log lines
	r := run(t, server.Config{
		Bots: []server.BotConfig{first, second}, APIURL: discord.URL + "/api", Logger: slog.New(slog.NewJSONHandler(&log, nil)),
	})
	within(t, func() error {
		for _, line := range log.all() {
			if strings.Contains(line, "connected to Discord's gateway") {
				return nil
			}
		}
		return errors.New("the bot has not connected to the gateway")
	})
	r.stop()
	<-r.done
	for _, line := range log.all() {
		if strings.Count(line, `"bot":`) > 1 {
			t.Errorf("two bots in one line: %s", line)
		}
	}
}
