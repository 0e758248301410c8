// Command discordgo is a bot of that library.
package main

import (
	"net/http"
	"net/url"
	"strings"

	"discordproxy/test/libraries/go/harness"

	"github.com/bwmarrin/discordgo"
)

// elsewhere sends requests to another address: the library's own are fixed when
// the program starts.
type elsewhere struct{ *url.URL }

func (to elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.Host = to.Scheme, to.Host, ""
	return http.DefaultTransport.RoundTrip(r)
}

func main() {
	config := &harness.Config
	api, err := url.Parse(config.API)
	harness.Must(err)
	s, err := discordgo.New("Bot " + config.Token)
	harness.Must(err)
	s.Client = &http.Client{Transport: elsewhere{api}}
	s.Identify.Intents = discordgo.IntentsAll
	if harness.Listens() {
		s.SyncEvents = true // else messages may overtake each other
		s.AddHandler(func(*discordgo.Session, *discordgo.Ready) { harness.Ready() })
		s.AddHandler(func(_ *discordgo.Session, m *discordgo.MessageCreate) { harness.Heard(m.Content) })
		harness.Must(s.Open())
		select {}
	}
	ready := make(chan *discordgo.GuildCreate, 10)
	s.AddHandler(func(_ *discordgo.Session, g *discordgo.GuildCreate) { ready <- g })
	s.AddHandler(func(_ *discordgo.Session, m *discordgo.MessageCreate) { harness.Hear("message", m.Content) })
	s.AddHandler(func(_ *discordgo.Session, r *discordgo.MessageReactionAdd) { harness.Hear("reaction", r.Emoji.Name) })
	s.AddHandler(answer)
	harness.Must(s.Open())
	harness.Check((<-ready).Name == "Sandbox")
	steps(s)
	harness.Must(s.Close())
}

func answer(s *discordgo.Session, i *discordgo.InteractionCreate) {
	respond := func(kind discordgo.InteractionResponseType, data *discordgo.InteractionResponseData) {
		harness.Must(s.InteractionRespond(i.Interaction, &discordgo.InteractionResponse{Type: kind, Data: data}))
	}
	row := func(c discordgo.MessageComponent) discordgo.MessageComponent {
		return discordgo.ActionsRow{Components: []discordgo.MessageComponent{c}}
	}
	switch {
	case i.Type == discordgo.InteractionApplicationCommand:
		respond(discordgo.InteractionResponseDeferredChannelMessageWithSource, nil)
		content := "hello " + i.ApplicationCommandData().Options[0].StringValue()
		components := []discordgo.MessageComponent{
			row(discordgo.Button{CustomID: "button", Label: "Press", Style: discordgo.PrimaryButton}),
			row(
				discordgo.SelectMenu{
					CustomID: "select",
					MenuType: discordgo.StringSelectMenu,
					Options:  []discordgo.SelectMenuOption{{Label: "A", Value: "a"}, {Label: "B", Value: "b"}},
				},
			),
		}
		_, err := s.InteractionResponseEdit(i.Interaction, &discordgo.WebhookEdit{Content: &content, Components: &components})
		harness.Must(err)
	case i.Type == discordgo.InteractionModalSubmit:
		why := i.ModalSubmitData().Components[0].(*discordgo.ActionsRow).Components[0].(*discordgo.TextInput).Value
		respond(discordgo.InteractionResponseChannelMessageWithSource, &discordgo.InteractionResponseData{Content: "why: " + why})
	case i.MessageComponentData().CustomID == "button":
		respond(
			discordgo.InteractionResponseModal,
			&discordgo.InteractionResponseData{CustomID: "form", Title: "Form", Components: []discordgo.MessageComponent{
				row(discordgo.TextInput{CustomID: "why", Label: "Why", Style: discordgo.TextInputShort, Required: true}),
			}},
		)
	default:
		respond(discordgo.InteractionResponseDeferredChannelMessageWithSource, nil)
		_, err := s.FollowupMessageCreate(i.Interaction, true, &discordgo.WebhookParams{Content: "picked " + i.MessageComponentData().Values[0]})
		harness.Must(err)
	}
}

func steps(s *discordgo.Session) {
	config := &harness.Config
	member, err := s.GuildMember(config.Guild, config.Bob)
	harness.Must(err)
	harness.Check(member.User.Username == "bob")
	harness.Passed("login")
	harness.Say("hello bot")
	harness.Hears("message", "hello bot")
	harness.Passed("hear")
	m, err := s.ChannelMessageSendComplex(
		config.General,
		&discordgo.MessageSend{Content: "sent", Embeds: []*discordgo.MessageEmbed{{Title: "a title", Color: 255}}},
	)
	harness.Must(err)
	harness.Check(m.Embeds[0].Title == "a title")
	harness.Passed("send")
	reply, err := s.ChannelMessageSendReply(config.General, "a reply", m.Reference())
	harness.Must(err)
	harness.Check(reply.MessageReference.MessageID == m.ID)
	harness.Passed("reply")
	_, err = s.ChannelMessageEdit(config.General, m.ID, "edited")
	harness.Must(err)
	edited, err := s.ChannelMessage(config.General, m.ID)
	harness.Must(err)
	harness.Check(edited.Content == "edited")
	harness.Passed("edit")
	harness.Must(s.MessageReactionAdd(config.General, m.ID, "👍"))
	harness.Hears("reaction", "👍")
	harness.Must(s.MessageReactionRemove(config.General, m.ID, "👍", "@me"))
	harness.Passed("react")
	thread, err := s.MessageThreadStart(config.General, m.ID, "a thread", 60)
	harness.Must(err)
	_, err = s.ChannelMessageSend(thread.ID, "in the thread")
	harness.Must(err)
	harness.Passed("thread")
	upload, err := s.ChannelFileSend(config.General, "ü.txt", strings.NewReader("data"))
	harness.Must(err)
	harness.Check(upload.Attachments[0].Size == 4)
	harness.Passed("upload")
	harness.Must(s.ChannelMessageDelete(config.General, reply.ID))
	harness.Passed("delete")
	harness.Fill()
	var history []string
	for before := ""; ; before = history[len(history)-1] {
		page, err := s.ChannelMessages(config.Quiet, 50, before, "", "")
		harness.Must(err)
		if len(page) == 0 {
			break
		}
		for _, m := range page {
			history = append(history, m.ID)
		}
	}
	harness.Descending(history)
	commands, err := s.ApplicationCommandBulkOverwrite(
		s.State.User.ID,
		"",
		[]*discordgo.ApplicationCommand{{Name: "hello", Description: "Says hello", Options: []*discordgo.ApplicationCommandOption{
			{Type: discordgo.ApplicationCommandOptionString, Name: "who", Description: "Whom", Required: true},
		}}},
	)
	harness.Must(err)
	harness.Check(len(commands) == 1)
	harness.Interact()
	harness.Resume()
	harness.InOrder(func(channel, content string) error {
		_, err := s.ChannelMessageSend(channel, content)
		return err
	})
}
