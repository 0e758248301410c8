package server_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/server"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// spans is a collector of OpenTelemetry that keeps what it gets.
type spans struct {
	mu   sync.Mutex
	kept []*tracepb.Span
}

func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var export collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(body, &export) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range export.GetResourceSpans() {
		for _, in := range of.GetScopeSpans() {
			s.kept = append(s.kept, in.GetSpans()...)
		}
	}
}

// botsOf returns the bots that a span names.
func botsOf(span *tracepb.Span) (bots []string) {
	for _, a := range span.GetAttributes() {
		if a.GetKey() == "discord.bot" {
			bots = append(bots, a.GetValue().GetStringValue())
		}
	}
	return bots
}

// TestBotsTraces: each span of a server with several bots names the bot of its call, whichever
// protocol the call uses. Without a list of bots, no span names one.
func TestBotsTraces(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	for name, several := range map[string]bool{"several": true, "one": false} {
		t.Run(name, func(t *testing.T) {
			sb := sandbox.New(sandbox.Config{Unlimited: true})
			t.Cleanup(sb.Close)
			discord := httptest.NewServer(sb)
			t.Cleanup(discord.Close)
			got := new(spans)
			collector := httptest.NewServer(got)
			t.Cleanup(collector.Close)
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
			c := server.Config{APIURL: discord.URL + "/api", Getenv: os.Getenv, Logger: slog.New(slog.DiscardHandler), HooksFile: "hooks.yaml"}
			bots := []string{"default"}
			if several {
				bots = []string{"first", "second"}
				c.Bots = []server.BotConfig{addBot(t, sb, "first"), addBot(t, sb, "second")}
			} else {
				c.Token, c.Gateway.Off = sb.World().Token, true
			}
			const secret = "0123456789abcdef01234567"
			var hooks strings.Builder
			for _, bot := range bots {
				fmt.Fprintf(&hooks, "- {name: hook-%s, bot: %s, secret: %s, channel: %q}\n", bot, bot, secret, sb.World().General)
			}
			c.Hooks = []byte("hooks:\n" + hooks.String())
			r := run(t, c)
			of := make(map[string]string) // the bot of each trace
			trace := func(bot string) string {
				id := fmt.Sprintf("%032x", len(of)+1)
				of[id] = bot
				return "00-" + id + "-b7ad6b7169203331-01"
			}
			for _, bot := range bots {
				within(t, func() error { return readyAt(r, "/bots/"+bot) })
				for path, body := range map[string]string{
					"/discord_api.DiscordApi/GetCurrentUser":                         "{}",
					"/api/v10/channels/" + sb.World().General.String() + "/messages": `{"content": "hi"}`,
					"/hooks/hook-" + bot + "/" + secret:                              `{"content": "hi"}`,
				} {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.address+"/bots/"+bot+path, strings.NewReader(body))
					if err != nil {
						t.Fatal(err)
					}
					req.Header.Set("Content-Type", "application/json")
					req.Header.Set("Traceparent", trace(bot))
					resp, err := r.over.RoundTrip(req)
					if err != nil {
						t.Fatal(err)
					}
					text, _ := io.ReadAll(resp.Body)
					_ = resp.Body.Close()
					if resp.StatusCode >= 300 {
						t.Errorf("%s: %s %s", path, resp.Status, text)
					}
				}
			}
			r.stop()
			<-r.done

			spans := make(map[string]int)
			for _, span := range got.kept {
				id := hex.EncodeToString(span.GetTraceId())
				bot, known := of[id]
				if !known {
					t.Errorf("a span of another trace: %v", span)
				}
				spans[id]++
				want := fmt.Sprint([]string{bot})
				if !several {
					want = "[]"
				}
				if named := fmt.Sprint(botsOf(span)); named != want {
					t.Errorf("the span %q names the bots %s, want %s", span.GetName(), named, want)
				}
			}
			for id := range of {
				if spans[id] != 3 { // the call, a wait and a request
					t.Errorf("a trace of %s has %d spans", of[id], spans[id])
				}
			}
		})
	}
}
