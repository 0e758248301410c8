package server_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// TestOtherBot: what is for another bot than the server's is refused in its own protocol,
// and the name does not reach Discord.
func TestOtherBot(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	defer sb.Close()
	var passed atomic.Int64 // names that have reached Discord
	discord := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		passed.Add(int64(len(r.Header["Discord-Bot"])))
		sb.ServeHTTP(w, r)
	}))
	defer discord.Close()
	p := proxytest.Start(t, "--no-gateway", "--token", sb.World().Token, "--discord-api-url", discord.URL+"/api")
	p.WaitReady(t)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	general := sb.World().General
	for name, want := range map[string]connect.Code{"": 0, "default": 0, "other": connect.CodeNotFound, "Default": connect.CodeNotFound} {
		for kind, options := range map[string][]connect.ClientOption{
			"Connect": nil, "gRPC": {connect.WithGRPC()}, "gRPC-Web": {connect.WithGRPCWeb()}, "JSON": {connect.WithProtoJSON()},
		} {
			ctx, info := connect.NewClientContext(t.Context())
			if name != "" {
				info.RequestHeader().Set("Discord-Bot", name)
			}
			c := discordapiconnect.NewDiscordApiClient(&http.Client{Transport: transport}, p.URL(), options...)
			_, err := c.GetChannel(ctx, &pb.GetChannelRequest{ChannelId: uint64(general)})
			if err == nil && want != 0 || err != nil && (connect.CodeOf(err) != want || !strings.Contains(err.Error(), `no bot named "`+name+`"`)) {
				t.Errorf("%q by %s: %v", name, kind, err)
			}
		}
		for path, status := range map[string]int{"/api/v10/channels/" + general.String(): http.StatusOK, "/": http.StatusOK} {
			if want != 0 {
				status = http.StatusNotFound
			}
			got, body := getFor(t.Context(), t, p.URL()+path, name)
			if got != status || status == http.StatusNotFound && !strings.Contains(body, "no bot named") {
				t.Errorf("%s for %q: %d %s", path, name, got, body)
			}
		}
	}
	if n := passed.Load(); n != 0 {
		t.Errorf("%d names of bots reached Discord", n)
	}
}

// getFor gets a URL for a bot.
func getFor(ctx context.Context, t *testing.T, url, bot string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if bot != "" {
		req.Header.Set("Discord-Bot", bot)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(data)
}
