package sandbox_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/bwmarrin/discordgo"

	"discordproxy/discord/sandbox"
)

// TestGatewayDiscordgo receives events with discordgo.
func TestGatewayDiscordgo(t *testing.T) {
	r := newGatewayRig(t, sandbox.Config{Now: standing()})
	s, err := discordgo.New("Bot " + r.w.Token)
	if err != nil {
		t.Fatal(err)
	}
	host := strings.TrimSuffix(strings.TrimPrefix(r.url, "ws://"), "/gateway")
	s.Client = &http.Client{Transport: redirect{host}}
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	s.Identify.Intents = discordgo.MakeIntent(discordgo.IntentsAll)
	s.Identify.Presence = discordgo.GatewayStatusUpdate{Status: "idle", Game: discordgo.Activity{Name: "chess"}}
	events := make(chan string, 100)
	s.AddHandler(func(_ *discordgo.Session, m *discordgo.MessageCreate) { events <- m.Author.Username + ": " + m.Content })
	s.AddHandler(func(_ *discordgo.Session, _ *discordgo.Resumed) { events <- "resumed" })
	s.AddHandler(func(_ *discordgo.Session, g *discordgo.GuildCreate) { events <- "guild " + g.Name })
	s.AddHandler(func(_ *discordgo.Session, c *discordgo.GuildMembersChunk) {
		events <- "chunk of " + c.Members[0].User.Username
	})
	s.AddHandler(func(s *discordgo.Session, i *discordgo.InteractionCreate) {
		if err := s.InteractionRespond(i.Interaction, &discordgo.InteractionResponse{
			Type: discordgo.InteractionResponseChannelMessageWithSource,
			Data: &discordgo.InteractionResponseData{Content: "used " + i.ApplicationCommandData().Name},
		}); err != nil {
			t.Error(err)
		}
	})
	next := func(want string) {
		t.Helper()
		select {
		case got := <-events:
			equal(t, "event", got, want)
		case <-time.After(20 * time.Second):
			t.Fatalf("no %q came", want)
		}
	}
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	next("guild Sandbox")
	equal(t, "status", r.Presence(r.w.Bot).Status, "idle")
	if guild, err := s.State.Guild(r.w.Guild.String()); err != nil || len(guild.Channels) != 9 || guild.Channels[0].GuildID != r.w.Guild.String() {
		t.Errorf("state has %+v, %v", guild, err)
	}
	say := func(content string) {
		t.Helper()
		if _, err := r.AddMessage(sandbox.Message{ChannelID: r.w.General, Content: content, Author: &sandbox.User{ID: r.w.Alice}}); err != nil {
			t.Fatal(err)
		}
	}
	say("one")
	next("alice: one")
	if err := s.RequestGuildMembers(r.w.Guild.String(), "nad", 10, "", false); err != nil {
		t.Fatal(err)
	}
	next("chunk of nadia")
	r.AddInteraction(r.w.General)
	next("sandbox: used ping")

	if err := r.SendGateway(0, 7); err != nil {
		t.Fatal(err)
	}
	next("resumed")
	say("two")
	next("alice: two")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// redirect takes calls to Discord to the sandbox.
type redirect struct{ host string }

func (d redirect) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.Host = "http", d.host, d.host
	return http.DefaultTransport.RoundTrip(r)
}
