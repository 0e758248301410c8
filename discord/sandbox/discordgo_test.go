package sandbox_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/bwmarrin/discordgo"

	"discordproxy/discord/sandbox"
)

// TestDiscordgo uses the sandbox with discordgo.
func TestDiscordgo(t *testing.T) {
	sb := sandbox.New(sandbox.Config{Unlimited: true})
	w := sb.World()
	s, err := discordgo.New("Bot " + w.Token)
	if err != nil {
		t.Fatal(err)
	}
	s.Client = sb.Client()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	me, err := s.User("@me")
	must(err)
	equal(t, "me", me.ID, w.Bot.String())

	m, err := s.ChannelMessageSendComplex(w.General.String(), &discordgo.MessageSend{
		Content: "hi", Embeds: []*discordgo.MessageEmbed{{Title: "t", Fields: []*discordgo.MessageEmbedField{{Name: "n", Value: "v"}}}},
		Files: []*discordgo.File{{Name: "a.txt", Reader: strings.NewReader("text")}},
	})
	must(err)
	equal(t, "attachments", len(m.Attachments), 1)
	equal(t, "embeds", m.Embeds[0].Fields[0].Name, "n")
	reply, err := s.ChannelMessageSendReply(w.General.String(), "re", m.Reference())
	must(err)
	equal(t, "reply", reply.ReferencedMessage.ID, m.ID)
	edited, err := s.ChannelMessageEdit(w.General.String(), m.ID, "ho")
	must(err)
	if equal(t, "edited", edited.Content, "ho"); edited.EditedTimestamp == nil {
		t.Error("no time of editing")
	}
	list, err := s.ChannelMessages(w.General.String(), 10, "", "", "")
	must(err)
	equal(t, "messages", len(list), 2)

	must(s.MessageReactionAdd(w.General.String(), m.ID, "👍"))
	users, err := s.MessageReactions(w.General.String(), m.ID, "👍", 10, "", "")
	must(err)
	equal(t, "reacted", users[0].ID, w.Bot.String())
	must(s.MessageReactionRemove(w.General.String(), m.ID, "👍", "@me"))
	must(s.ChannelMessagePin(w.General.String(), m.ID))
	must(s.ChannelTyping(w.General.String()))

	dm, err := s.UserChannelCreate(w.Alice.String())
	must(err)
	equal(t, "recipient", dm.Recipients[0].ID, w.Alice.String())
	_, err = s.ChannelMessageSend(dm.ID, "psst")
	must(err)
	equal(t, "direct messages", sb.DirectMessages(w.Alice).String(), dm.ID)

	channels, err := s.GuildChannels(w.Guild.String())
	must(err)
	equal(t, "channels", len(channels), 9)
	guild, err := s.Guild(w.Guild.String())
	must(err)
	equal(t, "roles", len(guild.Roles), 5)
	members, err := s.GuildMembers(w.Guild.String(), "", 1000)
	must(err)
	equal(t, "members", len(members), 6)
	thread, err := s.MessageThreadStart(w.General.String(), m.ID, "thread", 60)
	must(err)
	equal(t, "thread", thread.ID, m.ID)
	hook, err := s.WebhookCreate(w.General.String(), "hook", "")
	must(err)
	said, err := s.WebhookExecute(hook.ID, hook.Token, true, &discordgo.WebhookParams{Content: "said"})
	must(err)
	equal(t, "webhook", said.WebhookID, hook.ID)
	must(s.ChannelMessageDelete(w.General.String(), m.ID))

	_, err = s.ChannelMessageSend(w.Forbidden.String(), "hi")
	var rest *discordgo.RESTError
	if !errors.As(err, &rest) || rest.Response.StatusCode != http.StatusForbidden || rest.Message.Code != discordgo.ErrCodeMissingAccess {
		t.Errorf("forbidden: %v", err)
	}
}
