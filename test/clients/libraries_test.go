package clients

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"discordproxy/discord/sandbox"
	pb "discordproxy/gen/discord_api"
	"discordproxy/test/proxytest"
	"discordproxy/test/require"

	"github.com/bwmarrin/discordgo"
)

// TestLibraries points libraries of other projects at the proxy. Each sends
// five messages to each of ten channels, one after the other, while typed
// calls do the same.
func TestLibraries(t *testing.T) {
	t.Parallel()
	t.Run("discord.py", func(t *testing.T) {
		python := require.Python(t, "discord")
		share(t, "discord.py", func(p *proxytest.Proxy, channels []string) {
			script(t, python, "library.py", append([]string{p.Address}, channels...)...)
		})
	})
	t.Run("@discordjs/rest", func(t *testing.T) {
		node := require.Node(t, filepath.Join("..", "node"))
		share(t, "@discordjs/rest", func(p *proxytest.Proxy, channels []string) {
			out, err := exec.CommandContext(t.Context(), node, append([]string{filepath.Join("..", "node", "library.js"), p.Address}, channels...)...).CombinedOutput()
			if err != nil || string(out) != "passed 50\n" {
				t.Errorf("library.js: %v\n%s", err, out)
			}
		})
	})
	t.Run("discordgo", func(t *testing.T) {
		share(t, "discordgo", func(p *proxytest.Proxy, channels []string) { useDiscordgo(t, p, channels) })
	})
}

// share lets a library and typed calls send to the same channels, and compares
// what the sandbox holds with what was sent.
func share(t *testing.T, library string, use func(p *proxytest.Proxy, channels []string)) {
	t.Parallel()
	sb := sandbox.New(sandbox.Config{Latency: sandbox.RoundTrip(20 * time.Millisecond)})
	for _, l := range sandbox.DefaultLimits() {
		if slices.Contains(l.Routes, "POST /channels/{channel_id}/messages") {
			// Libraries wait until a bucket is full again.
			l.Window = time.Second
			sb.SetLimit(l)
		}
	}
	p := proxytest.Against(t, sb, "--log-console-level", "INFO")
	var channels []string
	for i := range 10 {
		id, err := sb.AddChannel(sandbox.Channel{GuildID: sb.World().Guild, Name: fmt.Sprint("shared-", i)})
		if err != nil {
			t.Fatal(err)
		}
		channels = append(channels, id.String())
	}
	typed := p.Clients()["gRPC"]
	var sending sync.WaitGroup
	for _, channel := range channels {
		sending.Go(func() {
			id, err := sandbox.ParseID(channel)
			for i := 0; i < 5 && err == nil; i++ {
				_, err = typed.SendChannelMessage(t.Context(), &pb.SendChannelMessageRequest{ChannelId: uint64(id), Content: fmt.Sprint("typed ", i)})
			}
			if err != nil {
				t.Errorf("a typed call: %v", err)
			}
		})
	}
	use(p, channels)
	sending.Wait()

	for _, channel := range channels {
		id, _ := sandbox.ParseID(channel)
		var stored []string
		for _, m := range sb.Messages(id) {
			stored = append(stored, m.Content)
		}
		for _, sender := range []string{"typed", library} {
			var want []string
			for i := range 5 {
				want = append(want, fmt.Sprint(sender, " ", i))
			}
			got := slices.DeleteFunc(slices.Clone(stored), func(s string) bool { return !strings.HasPrefix(s, sender+" ") })
			if !slices.Equal(got, want) {
				t.Errorf("channel %s holds %q of %s", channel, got, sender)
			}
		}
		if len(stored) != 10 {
			t.Errorf("channel %s holds %q", channel, stored)
		}
	}
	stats := sb.Stats()
	if n := stats.Statuses[http.StatusTooManyRequests]; n > 0 {
		t.Errorf("Discord was asked %d times too early", n)
	}
	if out := p.Output(); strings.Contains(out, "code=resource_exhausted") || strings.Contains(out, "code=deadline_exceeded") {
		t.Errorf("a call was refused:\n%s", out)
	}
	t.Logf("%d calls to Discord, at most %d in a second", stats.Calls, stats.MaxPerSecond)
}

// elsewhere sends discordgo's requests to the proxy. Its own addresses are
// fixed when the program starts.
type elsewhere string

func (address elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.Host = "http", string(address), ""
	return http.DefaultTransport.RoundTrip(r)
}

func useDiscordgo(t *testing.T, p *proxytest.Proxy, channels []string) {
	session, err := discordgo.New("") // the token lives in the proxy
	if err != nil {
		t.Fatal(err)
	}
	session.Client = &http.Client{Transport: elsewhere(p.Address)}
	session.ShouldRetryOnRateLimit, session.MaxRestRetries = false, 0
	if me, err := session.User("@me"); err != nil || !me.Bot {
		t.Fatalf("logged in as %v, %v", me, err)
	}
	if _, err := session.User("5"); !isRESTError(err, discordgo.ErrCodeUnknownUser) {
		t.Errorf("an unknown user: %v", err)
	}
	var sending sync.WaitGroup
	for _, channel := range channels {
		sending.Go(func() {
			for i := range 5 {
				content := fmt.Sprint("discordgo ", i)
				if m, err := session.ChannelMessageSend(channel, content, discordgo.WithContext(context.WithoutCancel(t.Context()))); err != nil || m.Content != content {
					t.Errorf("%s: %v", content, err)
				}
			}
		})
	}
	sending.Wait()
	m, err := session.ChannelFileSend(channels[0], "ü.txt", strings.NewReader("hello"))
	if err != nil || len(m.Attachments) != 1 {
		t.Fatalf("a file: %v, %v", m, err)
	}
	_, err = session.ChannelMessageEdit(channels[0], m.ID, "edited")
	if err := errors.Join(err, session.MessageReactionAdd(channels[0], m.ID, "👍"), session.ChannelMessageDelete(channels[0], m.ID)); err != nil {
		t.Error(err)
	}
}

func isRESTError(err error, code int) bool {
	e, ok := errors.AsType[*discordgo.RESTError](err)
	return ok && e.Message != nil && e.Message.Code == code
}
