package api_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"discordproxy/discord/sandbox"
	"discordproxy/server/api"

	pb "discordproxy/gen/discord_api"
)

// TestIcons: an icon that Discord would refuse is left out, whichever request
// carries it, and the message is sent.
func TestIcons(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	w := sb.World()
	var log bytes.Buffer
	client := start(t, sb, api.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	embed := func(icon string) *pb.Embed {
		return &pb.Embed{Title: "title", Author: &pb.Embed_Author{Name: "author", IconUrl: icon}, Footer: &pb.Embed_Footer{Text: "footer", IconUrl: icon}}
	}
	for icon, kept := range map[string]bool{
		"https://cdn.example.org/icon.png":                 true,
		"HTTP://example.org":                               true,
		"http://192.0.2.7:8000/icon.png":                   true,
		"attachment://icon.png":                            true,
		"attachment:":                                      false,
		"attachment:icon.png":                              false,
		"attachment://":                                    false,
		"/static/icon.png":                                 false,
		"icon.png":                                         false,
		"//example.org/icon.png":                           false,
		"example.org/icon.png":                             false,
		"http://localhost:8000/icon.png":                   false,
		"http://auth/icon.png":                             false,
		"http://auth./icon.png":                            false,
		"https://":                                         false,
		"https:///icon.png":                                false,
		"https://:443/icon.png":                            false,
		"http://[::1]/icon.png":                            false,
		"http://exa mple.org/icon.png":                     false,
		"data:image/png;base64,AAAA":                       false,
		"ftp://example.org/icon.png":                       false,
		"None":                                             false,
		"https://example.org/" + strings.Repeat("x", 2048): false,
		"https://example.org/%zz":                          false,
		"\nhttps://example.org/icon.png":                   false,
	} {
		for range 2 {
			res, err := client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: uint64(w.General), Embed: embed(icon)})
			if err != nil {
				t.Errorf("%.100q: %v", icon, err)
				continue
			}
			got := res.GetMessage().GetEmbeds()[0]
			if (got.GetAuthor().GetIconUrl() != "") != kept || (got.GetFooter().GetIconUrl() != "") != kept || got.GetAuthor().GetName() != "author" {
				t.Errorf("%.100q is sent as %v", icon, got)
			}
		}
		begin := icon[:min(len(icon), 100)]
		if n := strings.Count(log.String(), slog.StringValue(begin).String()); kept && n > 0 {
			t.Errorf("%q is logged %d times", begin, n)
		}
	}
	if n := strings.Count(log.String(), "leaving out an embed's icon"); n != 21 {
		t.Errorf("%d icons are logged:\n%s", n, log.String())
	}

	const bad = "/static/icon.png"
	user := uint64(w.Alice)
	sent, err := client.SendDirectMessage(t.Context(), &pb.SendDirectMessageRequest{UserId: user, Embed: embed(bad)})
	if err != nil {
		t.Fatal(err)
	}
	message := sent.GetMessage()
	for name, call := range map[string]func() error{
		"edit": func() error {
			_, err := client.EditChannelMessage(t.Context(), &pb.EditChannelMessageRequest{ChannelId: message.GetChannelId(), MessageId: message.GetId(), Embeds: []*pb.Embed{embed(bad)}})
			return err
		},
		"broadcast": func() error {
			stream, err := client.SendDirectMessages(t.Context(), &pb.SendDirectMessagesRequest{UserIds: []uint64{user}, Message: &pb.NewMessage{Embeds: []*pb.Embed{embed(bad)}}})
			if err != nil {
				return err
			}
			defer stream.Close()
			for stream.Receive() {
				if failed := stream.Msg().GetError(); failed != nil {
					return errors.New(failed.String())
				}
			}
			return stream.Err()
		},
		"an author that is nothing but an icon": func() error {
			_, err := client.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: uint64(w.General), Content: "text", Embed: &pb.Embed{Author: &pb.Embed_Author{IconUrl: bad}}})
			return err
		},
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
