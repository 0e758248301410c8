import { Client, Events, GatewayIntentBits } from "discord.js";
import { config } from "../node/harness.js";

const client = new Client({
  intents: [GatewayIntentBits.Guilds, GatewayIntentBits.GuildMessages, GatewayIntentBits.MessageContent],
  rest: { api: config.api },
});
client.on(Events.ShardReady, () => console.log("ready"));
client.on(Events.Debug, (text) => text.includes("attempting to reconnect") && console.log("refused"));
client.on(Events.MessageCreate, (message) => console.log("heard", message.content));
await client.login(config.token);
