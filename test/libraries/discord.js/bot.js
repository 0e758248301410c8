import assert from "node:assert/strict";
import {
  ActionRowBuilder, ButtonBuilder, ButtonStyle, Client, Events, GatewayIntentBits, ModalBuilder, Partials,
  SlashCommandBuilder, StringSelectMenuBuilder, TextInputBuilder, TextInputStyle,
} from "discord.js";
import { config, descending, exiting, fill, hear, hears, inOrder, interact, passed, resume, say } from "../node/harness.js";

const client = new Client({
  intents: Object.values(GatewayIntentBits).filter((bit) => typeof bit === "number"),
  partials: [Partials.Message],
  rest: { api: config.api },
});
const row = (component) => new ActionRowBuilder().addComponents(component);

client.on(Events.MessageCreate, (message) => hear("message", message.content));
client.on(Events.MessageReactionAdd, (reaction) => hear("reaction", reaction.emoji.name));
client.on(Events.InteractionCreate, async (interaction) => {
  if (interaction.isChatInputCommand()) {
    await interaction.deferReply();
    await interaction.editReply({
      content: "hello " + interaction.options.getString("who"),
      components: [
        row(new ButtonBuilder().setCustomId("button").setLabel("Press").setStyle(ButtonStyle.Primary)),
        row(new StringSelectMenuBuilder().setCustomId("select").addOptions({ label: "A", value: "a" }, { label: "B", value: "b" })),
      ],
    });
  } else if (interaction.isButton()) {
    const why = new TextInputBuilder().setCustomId("why").setLabel("Why").setStyle(TextInputStyle.Short);
    await interaction.showModal(new ModalBuilder().setCustomId("form").setTitle("Form").addComponents(row(why)));
  } else if (interaction.isModalSubmit()) {
    await interaction.reply("why: " + interaction.fields.getTextInputValue("why"));
  } else if (interaction.isStringSelectMenu()) {
    await interaction.deferReply();
    await interaction.followUp("picked " + interaction.values[0]);
  }
});

async function steps() {
  const general = client.channels.cache.get(config.general);
  const members = await general.guild.members.fetch();
  assert.equal(members.get(config.bob).user.username, "bob");
  passed("login");
  await say("hello bot");
  await hears("message", "hello bot");
  passed("hear");
  const message = await general.send({ content: "sent", embeds: [{ title: "a title", color: 255 }] });
  assert.equal(message.embeds[0].title, "a title");
  passed("send");
  const reply = await message.reply("a reply");
  assert.equal(reply.reference.messageId, message.id);
  passed("reply");
  await message.edit("edited");
  assert.equal((await general.messages.fetch({ message: message.id, force: true })).content, "edited");
  passed("edit");
  await message.react("👍");
  await hears("reaction", "👍");
  await message.reactions.resolve("👍").users.remove();
  passed("react");
  const thread = await message.startThread({ name: "a thread" });
  await thread.send("in the thread");
  passed("thread");
  const upload = await general.send({ files: [{ attachment: Buffer.from("data"), name: "ü.txt" }] });
  assert.equal(upload.attachments.first().size, 4);
  passed("upload");
  await reply.delete();
  passed("delete");
  await fill();
  const quiet = client.channels.cache.get(config.quiet);
  const history = [];
  for (let page; page === undefined || page.size > 0; ) {
    page = await quiet.messages.fetch({ limit: 50, before: history.at(-1) });
    history.push(...page.keys());
  }
  assert.ok(descending(history), history.length);
  passed("history");
  const hello = new SlashCommandBuilder().setName("hello").setDescription("Says hello");
  hello.addStringOption((option) => option.setName("who").setDescription("Whom").setRequired(true));
  assert.equal((await client.application.commands.set([hello])).size, 1);
  await interact();
  await resume();
  await inOrder((channel, content) => client.channels.cache.get(channel).send(content));
  await client.destroy();
}

client.once(Events.ClientReady, () => exiting(steps));
await client.login(config.token);
