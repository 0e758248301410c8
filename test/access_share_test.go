package test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	"discordproxy/gen/discord_api/discordapiconnect"
	"discordproxy/server"
	"discordproxy/test/proxytest"

	pb "discordproxy/gen/discord_api"

	"connectrpc.com/connect"
)

// TestShareOfBytes: the size of a client's waiting requests is limited in every protocol,
// and does not reduce the limit of others.
func TestShareOfBytes(t *testing.T) {
	sb := sandbox.New(sandbox.Config{})
	sb.SetLimit(sandbox.Limit{Name: "send", Routes: []string{"POST /channels/{channel_id}/messages"}, Limit: 1, Window: time.Hour})
	key, hash := server.NewKey()
	other, otherHash := server.NewKey()
	p := proxytest.Guarded(t, sb, fmt.Sprintf("clients: [{name: shop, hashes: [%q], max_bytes: 100000}, {name: other, hashes: [%q]}]", hash, otherHash))
	as := func(key string) proxytest.Identity { return proxytest.Identity{Key: key} }
	channel := sb.World().General
	message := func(text string) *pb.SendChannelMessageRequest {
		return &pb.SendChannelMessageRequest{
			ChannelId: uint64(channel), Content: "hi", Attachments: []*pb.AttachmentRequest{{Filename: "a.txt", Data: []byte(text)}},
		}
	}
	large := strings.Repeat("x", 40_000)
	over1, over2 := p.HTTPClient(t, as(key), false), p.HTTPClient(t, as(key), true)
	client := discordapiconnect.NewDiscordApiClient(over2, p.URL(), connect.WithGRPC())
	if _, err := client.SendChannelMessage(t.Context(), message("x")); err != nil {
		t.Fatal(err) // all that the limit allows
	}
	waiting := func(want int32) {
		t.Helper()
		var got int32
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			status, err := client.GetRateLimitStatus(t.Context(), new(pb.GetRateLimitStatusRequest))
			if err != nil {
				t.Fatal(err)
			}
			if got = status.GetWaiting(); got == want {
				return
			}
		}
		t.Fatalf("%d calls wait, not %d", got, want)
	}
	sends := map[string]func(ctx context.Context, text string) error{
		"gRPC": func(ctx context.Context, text string) error {
			return errorOf(client.SendChannelMessage(ctx, message(text)))
		},
		"gzipped": func(ctx context.Context, text string) error {
			zipping := discordapiconnect.NewDiscordApiClient(over2, p.URL(), connect.WithGRPC(), connect.WithSendGzip())
			return errorOf(zipping.SendChannelMessage(ctx, message(text)))
		},
		"JSON": func(ctx context.Context, text string) error {
			json := discordapiconnect.NewDiscordApiClient(over1, p.URL(), connect.WithProtoJSON())
			return errorOf(json.SendChannelMessage(ctx, message(text[:len(text)*3/4]))) // base 64 is longer
		},
		"REST": func(ctx context.Context, text string) error {
			body := fmt.Appendf(nil, `{"content": %q}`, text)
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s/api/v10/channels/%d/messages", p.URL(), channel), bytes.NewReader(body))
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := over1.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if resp.StatusCode == http.StatusTooManyRequests {
				return connect.NewError(connect.CodeResourceExhausted, nil)
			}
			return fmt.Errorf("answered with %s", resp.Status)
		},
	}
	for name, send := range sends {
		t.Run(name, func(t *testing.T) {
			waiting(0)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 2)
			for range 2 {
				go func() { ended <- send(ctx, large) }()
			}
			waiting(2)
			for third, within := range sends {
				if err := within(t.Context(), large); connect.CodeOf(err) != connect.CodeResourceExhausted {
					t.Errorf("a third one by %s ends with %v", third, err)
				}
			}
			go func() { ended <- send(ctx, large[:10]) }() // for which there is room
			waiting(3)
			go func() {
				_, err := p.ClientsAs(t, as(other))["gRPC"].SendChannelMessage(ctx, message(large))
				ended <- err
			}()
			waiting(4)
			cancel()
			for range 4 {
				<-ended
			}
		})
	}
}

func errorOf[T any](_ T, err error) error { return err }
