import assert from "node:assert/strict";
import { ApplicationCommandOptionTypes, ButtonStyles, Client, ComponentTypes, Intents, InteractionTypes, TextInputStyles } from "oceanic.js";
import { config, descending, exiting, fill, hear, hears, inOrder, interact, passed, resume, say } from "../node/harness.js";

const client = new Client({
  auth: "Bot " + config.token,
  gateway: { intents: Object.values(Intents).filter((bit) => typeof bit === "number").reduce((all, bit) => all | bit, 0), getAllUsers: true },
  rest: { baseURL: config.api + "/v10" },
});
const row = (component) => ({ type: ComponentTypes.ACTION_ROW, components: [component] });

client.on("error", (error) => console.error(error));
client.on("messageCreate", (message) => hear("message", message.content));
client.on("messageReactionAdd", (_message, _user, reaction) => hear("reaction", reaction.emoji.name));
client.on("interactionCreate", async (interaction) => {
  if (interaction.type === InteractionTypes.APPLICATION_COMMAND) {
    await interaction.defer();
    await interaction.editOriginal({
      content: "hello " + interaction.data.options.getString("who"),
      components: [
        row({ type: ComponentTypes.BUTTON, customID: "button", label: "Press", style: ButtonStyles.PRIMARY }),
        row({ type: ComponentTypes.STRING_SELECT, customID: "select", options: [{ label: "A", value: "a" }, { label: "B", value: "b" }] }),
      ],
    });
  } else if (interaction.type === InteractionTypes.MESSAGE_COMPONENT && interaction.data.customID === "button") {
    const why = { type: ComponentTypes.TEXT_INPUT, customID: "why", label: "Why", style: TextInputStyles.SHORT };
    await interaction.createModal({ customID: "form", title: "Form", components: [row(why)] });
  } else if (interaction.type === InteractionTypes.MODAL_SUBMIT) {
    await interaction.createMessage({ content: "why: " + interaction.data.components.getTextInput("why") });
  } else if (interaction.type === InteractionTypes.MESSAGE_COMPONENT) {
    await interaction.defer();
    await interaction.createFollowup({ content: "picked " + interaction.data.values.raw[0] });
  }
});

async function steps() {
  const general = client.getChannel(config.general);
  assert.equal(general.guild.members.get(config.bob).username, "bob");
  passed("login");
  await say("hello bot");
  await hears("message", "hello bot");
  passed("hear");
  const message = await general.createMessage({ content: "sent", embeds: [{ title: "a title", color: 255 }] });
  assert.equal(message.embeds[0].title, "a title");
  passed("send");
  const reply = await general.createMessage({ content: "a reply", messageReference: { messageID: message.id } });
  assert.equal(reply.messageReference.messageID, message.id);
  passed("reply");
  await message.edit({ content: "edited" });
  assert.equal((await general.getMessage(message.id)).content, "edited");
  passed("edit");
  await message.createReaction("👍");
  await hears("reaction", "👍");
  await message.deleteReaction("👍");
  passed("react");
  const thread = await message.startThread({ name: "a thread" });
  await thread.createMessage({ content: "in the thread" });
  passed("thread");
  const upload = await general.createMessage({ files: [{ contents: Buffer.from("data"), name: "ü.txt" }] });
  assert.equal(upload.attachments.first().size, 4);
  passed("upload");
  await reply.delete();
  passed("delete");
  await fill();
  const history = [];
  for (let page; page === undefined || page.length > 0; ) {
    page = await client.getChannel(config.quiet).getMessages({ limit: 50, before: history.at(-1) });
    history.push(...page.map((m) => m.id));
  }
  assert.ok(descending(history), history.length);
  passed("history");
  const options = [{ type: ApplicationCommandOptionTypes.STRING, name: "who", description: "Whom", required: true }];
  const commands = await client.application.bulkEditGlobalCommands([{ type: 1, name: "hello", description: "Says hello", options }]);
  assert.equal(commands.length, 1);
  await interact();
  await resume();
  await inOrder((channel, content) => client.getChannel(channel).createMessage({ content }));
  client.disconnect(false);
}

client.once("ready", () => exiting(steps));
await client.connect();
