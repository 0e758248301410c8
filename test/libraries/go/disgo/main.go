// Command disgo is a bot of that library.
package main

import (
	"context"
	"strings"

	"discordproxy/test/libraries/go/harness"

	"github.com/disgoorg/disgo"
	"github.com/disgoorg/disgo/bot"
	"github.com/disgoorg/disgo/discord"
	"github.com/disgoorg/disgo/events"
	"github.com/disgoorg/disgo/gateway"
	"github.com/disgoorg/disgo/rest"
	"github.com/disgoorg/snowflake/v2"
)

func message(content string) *discord.MessageCreateBuilder {
	return discord.NewMessageCreateBuilder().SetContent(content)
}

func must[T any](v T, err error) T {
	harness.Must(err)
	return v
}

func main() {
	if harness.Listens() {
		listen()
	}
	ready := make(chan *events.GuildReady, 10)
	client := must(disgo.New(harness.Config.Token,
		bot.WithRestClientConfigOpts(rest.WithURL(harness.Config.API+"/v10")),
		bot.WithGatewayConfigOpts(gateway.WithIntents(gateway.IntentsAll), gateway.WithURL(harness.Config.Gateway)),
		bot.WithEventListenerFunc(func(e *events.GuildReady) { ready <- e }),
		bot.WithEventListenerFunc(func(e *events.MessageCreate) { harness.Hear("message", e.Message.Content) }),
		bot.WithEventListenerFunc(func(e *events.MessageReactionAdd) { harness.Hear("reaction", *e.Emoji.Name) }),
		bot.WithEventListenerFunc(func(e *events.ApplicationCommandInteractionCreate) {
			harness.Must(e.DeferCreateMessage(false))
			must(e.Client().Rest().UpdateInteractionResponse(e.ApplicationID(), e.Token(), discord.NewMessageUpdateBuilder().
				SetContent("hello "+e.SlashCommandInteractionData().String("who")).
				AddActionRow(discord.NewPrimaryButton("Press", "button")).
				AddActionRow(discord.NewStringSelectMenu("select", "",
					discord.NewStringSelectMenuOption("A", "a"), discord.NewStringSelectMenuOption("B", "b"))).
				Build()))
		}),
		bot.WithEventListenerFunc(func(e *events.ComponentInteractionCreate) {
			if e.Data.CustomID() == "button" {
				harness.Must(
					e.Modal(
						discord.NewModalCreateBuilder().SetCustomID("form").SetTitle("Form").AddActionRow(discord.NewShortTextInput("why", "Why")).Build(),
					),
				)
				return
			}
			harness.Must(e.DeferCreateMessage(false))
			must(
				e.Client().
					Rest().
					CreateFollowupMessage(e.ApplicationID(), e.Token(), message("picked "+e.StringSelectMenuInteractionData().Values[0]).Build()),
			)
		}),
		bot.WithEventListenerFunc(func(e *events.ModalSubmitInteractionCreate) {
			harness.Must(e.CreateMessage(message("why: " + e.Data.Text("why")).Build()))
		}),
	))
	ctx := context.Background()
	harness.Must(client.OpenGateway(ctx))
	harness.Check((<-ready).Guild.Name == "Sandbox")
	steps(client)
	client.Close(ctx)
}

func listen() {
	client := must(disgo.New(harness.Config.Token,
		bot.WithRestClientConfigOpts(rest.WithURL(harness.Config.API+"/v10")),
		bot.WithGatewayConfigOpts(gateway.WithIntents(gateway.IntentsAll), gateway.WithURL(harness.Config.Gateway)),
		bot.WithEventListenerFunc(func(*events.Ready) { harness.Ready() }),
		bot.WithEventListenerFunc(func(e *events.MessageCreate) { harness.Heard(e.Message.Content) }),
	))
	harness.Must(client.OpenGateway(context.Background()))
	select {}
}

func steps(client bot.Client) {
	config, api := &harness.Config, client.Rest()
	general, quiet := snowflake.MustParse(config.General), snowflake.MustParse(config.Quiet)
	bob := must(api.GetMember(snowflake.MustParse(config.Guild), snowflake.MustParse(config.Bob)))
	harness.Check(bob.User.Username == "bob")
	harness.Passed("login")
	harness.Say("hello bot")
	harness.Hears("message", "hello bot")
	harness.Passed("hear")
	m := must(api.CreateMessage(general, message("sent").SetEmbeds(discord.Embed{Title: "a title", Color: 255}).Build()))
	harness.Check(m.Embeds[0].Title == "a title")
	harness.Passed("send")
	reply := must(api.CreateMessage(general, message("a reply").SetMessageReferenceByID(m.ID).Build()))
	harness.Check(*reply.MessageReference.MessageID == m.ID)
	harness.Passed("reply")
	must(api.UpdateMessage(general, m.ID, discord.NewMessageUpdateBuilder().SetContent("edited").Build()))
	harness.Check(must(api.GetMessage(general, m.ID)).Content == "edited")
	harness.Passed("edit")
	harness.Must(api.AddReaction(general, m.ID, "👍"))
	harness.Hears("reaction", "👍")
	harness.Must(api.RemoveOwnReaction(general, m.ID, "👍"))
	harness.Passed("react")
	thread := must(api.CreateThreadFromMessage(general, m.ID, discord.ThreadCreateFromMessage{Name: "a thread"}))
	must(api.CreateMessage(thread.ID(), message("in the thread").Build()))
	harness.Passed("thread")
	upload := must(api.CreateMessage(general, discord.NewMessageCreateBuilder().AddFile("ü.txt", "", strings.NewReader("data")).Build()))
	harness.Check(upload.Attachments[0].Size == 4)
	harness.Passed("upload")
	harness.Must(api.DeleteMessage(general, reply.ID))
	harness.Passed("delete")
	harness.Fill()
	var history []string
	for before := snowflake.ID(0); ; {
		page := must(api.GetMessages(quiet, 0, before, 0, 50))
		if len(page) == 0 {
			break
		}
		for _, m := range page {
			history = append(history, m.ID.String())
			before = m.ID
		}
	}
	harness.Descending(history)
	commands := must(api.SetGlobalCommands(client.ApplicationID(), []discord.ApplicationCommandCreate{discord.SlashCommandCreate{
		Name: "hello", Description: "Says hello",
		Options: []discord.ApplicationCommandOption{
			discord.ApplicationCommandOptionString{Name: "who", Description: "Whom", Required: true},
		},
	}}))
	harness.Check(len(commands) == 1)
	harness.Interact()
	harness.Resume()
	harness.InOrder(func(channel, content string) error {
		_, err := api.CreateMessage(snowflake.MustParse(channel), message(content).Build())
		return err
	})
}
