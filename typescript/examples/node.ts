// Sends a message from Node, over gRPC: node.js [HOST:PORT [KEY]].
import { createClient, DiscordProxyError, HTTPError } from "discordproxy/node";

const [target, key] = process.argv.slice(2);
const client = createClient(target, { key: key ?? "", timeoutMs: 30_000, retries: 10 });
const channelId = 1100000000000000010n;

const { message } = await client.sendChannelMessage({ channelId, content: "hello", embed: { title: "from Node" } });
await client.editChannelMessage({ channelId, messageId: message?.id ?? 0n, content: "hello again" });
for await (const { message } of client.listChannelMessages({ channelId, limit: 5 })) {
  console.log(message?.author?.username, message?.content);
}

try {
  await client.sendDirectMessage({ userId: 1100000000000000006n, content: "hi" });
} catch (err) {
  if (!(err instanceof DiscordProxyError)) throw err;
  if (err instanceof HTTPError && err.code === 50007) console.log("the user does not accept direct messages");
  else console.log("not sent", err.message, err.retryAfterMs, err.outcomeUnknown);
}
