// Sends messages through the proxy with @discordjs/rest.
//
// Arguments: address of the proxy, then ids of channels. To each of them goes
// one message after the other. The last line is "passed N".
import assert from "node:assert/strict";
import { REST } from "@discordjs/rest";
import { Routes } from "discord-api-types/v10";

const [address, ...channels] = process.argv.slice(2);
const rest = new REST({ api: `http://${address}/api`, version: "10", timeout: 300_000 }).setToken("discordproxy");
const statuses = {};
rest.on("response", (_request, response) => (statuses[response.status] = (statuses[response.status] ?? 0) + 1));

const me = await rest.get(Routes.user());
assert.equal(me.bot, true);
assert.match((await rest.get(Routes.gatewayBot())).url, /^wss?:/);
await assert.rejects(rest.get(Routes.user("5")), { status: 404, code: 10013 });

let sent = 0;
await Promise.all(
  channels.map(async (channel) => {
    for (let i = 0; i < 5; i++) {
      const content = `@discordjs/rest ${i}`;
      const message = await rest.post(Routes.channelMessages(channel), { body: { content } });
      assert.equal(message.content, content);
      sent++;
    }
  }),
);
const message = await rest.post(Routes.channelMessages(channels[0]), {
  body: { content: "files" },
  files: [{ name: "ü.txt", data: Buffer.from("hello") }],
});
assert.equal(message.attachments.length, 1);
await rest.put(Routes.channelMessageOwnReaction(channels[0], message.id, encodeURIComponent("👍")));
await rest.patch(Routes.channelMessage(channels[0], message.id), { body: { content: "edited" } });
await rest.delete(Routes.channelMessage(channels[0], message.id), { reason: "ü" });
assert.deepEqual(Object.keys(statuses).sort(), ["200", "204", "404"]);
console.log(`passed ${sent}`);
