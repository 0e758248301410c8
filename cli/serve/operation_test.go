package serve_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"
)

func fetch(t *testing.T, p *proxytest.Proxy, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.Address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestMetricsOfACall(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	p := proxytest.Against(t, sb)
	sb.InjectFault(sandbox.Fault{Route: "POST /channels/{channel_id}/messages", Count: 1, Status: 502, After: true})
	_, err := p.Clients()["gRPC"].SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{
		ChannelId: uint64(sb.World().General), Content: "hi",
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := p.Clients()["Connect JSON"].SendDirectMessage(t.Context(), &pb.SendDirectMessageRequest{
			UserId: uint64(sb.World().Users[0]), Content: "hi",
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, text := fetch(t, p, "/metrics")
	for _, line := range []string{
		`discordproxy_calls_total{client="",code="ok",method="SendChannelMessage",protocol="grpc"} 1`,
		`discordproxy_discord_requests_total{outcome="failed",route="POST /channels/{channel_id}/messages",status="502"} 1`,
		`discordproxy_discord_requests_total{outcome="settled",route="POST /channels/{channel_id}/messages",status="200"} 3`,
		`discordproxy_duplicates_avoided_total 1`,
		`discordproxy_dm_channels 1`,
		`discordproxy_dm_channel_hits_total 1`,
		`discordproxy_dm_channel_misses_total 1`,
		`discordproxy_ready 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
	if strings.Contains(text, sb.World().Token) {
		t.Error("the token is among the metrics")
	}
}

// TestReadiness: each reason is reported while it lasts.
func TestReadiness(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	discord := httptest.NewServer(sb)
	defer discord.Close()
	p := proxytest.Start(t, "--token", sb.World().Token, "--discord-api-url", discord.URL+"/api")
	p.WaitReady(t)
	ready := func(status int, reason string) {
		t.Helper()
		if got, text := fetch(t, p, "/readyz"); got != status || !strings.Contains(text, reason) {
			t.Errorf("ready is %d %q, want %d %q", got, text, status, reason)
		}
	}
	send := func() error {
		_, err := p.Clients()["Connect"].SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{
			ChannelId: uint64(sb.World().General), Content: "hi", Nonce: "once", EnforceNonce: new(bool),
		})
		return err
	}
	ready(200, "ready")

	fault := sb.InjectFault(sandbox.Fault{Status: 503})
	if err := send(); err == nil {
		t.Fatal("a message arrived through a fault")
	}
	ready(503, "no valid response from Discord since 20")
	sb.RemoveFault(fault)
	if err := send(); err != nil {
		t.Fatal(err)
	}
	ready(200, "ready")

	sb.Ban(sandbox.Ban{For: time.Hour})
	if err := send(); err == nil {
		t.Fatal("a message arrived through a ban")
	}
	ready(503, "Discord refuses all calls from this address; retry after ")
	if status, text := fetch(t, p, "/healthz"); status != 200 || text != "alive\n" {
		t.Errorf("alive is %d %q", status, text)
	}
}
