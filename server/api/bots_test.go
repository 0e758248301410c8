package api_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server/internal/access"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// rulesOfBots returns rules for a client, whose entry continues with more.
func rulesOfBots(t *testing.T, hash, more string) *access.Rules {
	t.Helper()
	parsed, err := access.Parse(fmt.Appendf(nil, "clients: [{name: shop, hashes: [%q], %s}]", hash, more),
		access.Defaults{Methods: append(methodNames(), access.Pages...), Bots: []string{"main", "games"}})
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// fleets is a dashboard that shows nothing.
type fleets struct {
	discordapiconnect.UnimplementedDashboardHandler
}

// TestBotOfAClient: a client that may not use the bot is refused in each protocol, and
// another one is not.
func TestBotOfAClient(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		key, hash := access.NewKey()
		guard := access.New(access.Config{Rules: rulesOfBots(t, hash, ""), Logger: slog.New(slog.DiscardHandler)})
		q := openQueue(t, sb, queueConfig{folder: t.TempDir(), guard: guard.ForBot("games"), idle: true, dashboard: fleets{}})
		transport := keyed{q.transport, key}
		client := &http.Client{Transport: transport}
		calls := make(map[string]func() error)
		for protocol, options := range map[string][]connect.ClientOption{
			"connect": nil, "json": {connect.WithProtoJSON()}, "get": {connect.WithHTTPGet()}, "grpc": {connect.WithGRPC()}, "grpc-web": {connect.WithGRPCWeb()},
		} {
			methods := discordapiconnect.NewDiscordApiClient(client, "http://proxy", options...)
			calls[protocol] = func() error {
				_, err := methods.GetChannel(t.Context(), &pb.GetChannelRequest{ChannelId: uint64(sb.World().General)})
				return err
			}
			outbox := discordapiconnect.NewOutboxClient(client, "http://proxy", options...)
			calls["outbox, "+protocol] = func() error {
				_, err := outbox.ListDeliveries(t.Context(), new(pb.ListDeliveriesRequest))
				return err
			}
		}
		calls["rest"] = func() error {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://proxy/api/v10/channels/%d", sb.World().General), nil)
			if err != nil {
				return err
			}
			resp, err := transport.RoundTrip(r)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			switch {
			case err != nil || resp.StatusCode == http.StatusOK:
				return err
			case resp.StatusCode == http.StatusForbidden:
				return connect.NewError(connect.CodePermissionDenied, fmt.Errorf("%s", body))
			}
			return fmt.Errorf("status %d %s", resp.StatusCode, body)
		}
		status := discordapiconnect.NewDashboardClient(client, "http://proxy")
		calls["events"] = func() error {
			events, err := discordapiconnect.NewDiscordApiClient(client, "http://proxy").SubscribeEvents(t.Context(), new(pb.SubscribeEventsRequest))
			if err != nil {
				return err
			}
			defer events.Close()
			events.Receive()
			return events.Err()
		}
		calls["dashboard"] = func() error {
			_, err := status.GetFleet(t.Context(), new(pb.GetFleetRequest))
			return err
		}
		for _, step := range []struct {
			bots string
			may  bool
		}{{"", false}, {"bots: [main]", false}, {"bots: [games]", true}, {"bots: ['*']", true}, {"", false}} {
			guard.Use(rulesOfBots(t, hash, step.bots))
			for name, call := range calls {
				err := call()
				refused := connect.CodeOf(err) == connect.CodePermissionDenied && strings.Contains(err.Error(), "client shop may not use bot games")
				if refused == step.may {
					t.Errorf("%q, %s: %v", step.bots, name, err)
				}
			}
		}
	})
}

// TestDeliveriesOfABot: the deliveries of a client that may no longer use the bot wait
// until it may again.
func TestDeliveriesOfABot(t *testing.T) {
	inTime(t, func(t *testing.T, sb *sandbox.Sandbox) {
		w := sb.World()
		key, hash := access.NewKey()
		guard := access.New(access.Config{Rules: rulesOfBots(t, hash, "bots: [games]"), Logger: slog.New(slog.DiscardHandler)})
		q := openQueue(t, sb, queueConfig{folder: t.TempDir(), guard: guard.ForBot("games")})
		later := message(w.General, "later")
		later.NotBefore = timestamppb.New(time.Now().Add(time.Hour))
		if _, err := q.withKey(key).Enqueue(t.Context(), later); err != nil {
			t.Fatal(err)
		}
		guard.Use(rulesOfBots(t, hash, "bots: [main]"))
		time.Sleep(2 * time.Hour)
		d, err := q.outbox.Delivery(context.Background(), "shop", "later")
		if err != nil || !strings.Contains(d.Reason, "client shop may not use bot games") || len(posted(sb, w.General)) != 0 {
			t.Errorf("%+v, %v", d, err)
		}
		guard.Use(rulesOfBots(t, hash, "bots: ['*']"))
		time.Sleep(2 * time.Minute)
		if got := posted(sb, w.General); len(got) != 1 {
			t.Errorf("%v were sent", got)
		}
	})
}
