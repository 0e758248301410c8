// Sends messages with the TypeScript package until standard input ends, and prints what
// became of each.
import { setTimeout } from "node:timers/promises";
import { pathToFileURL } from "node:url";

const [dist, name, bot, channel, ...addresses] = process.argv.slice(2);
const { createClient, DiscordProxyError } = await import(pathToFileURL(`${dist}/node.js`).href);
const clients = addresses.map((address) => createClient(address, { timeoutMs: 60_000, retries: 10, bot }));
let ended = false;
process.stdin.on("end", () => (ended = true)).resume();

for (let n = 0; !ended; n++) {
  const content = `${name}, ${n}`;
  let outcome = "sent";
  try {
    await clients[Math.floor(Math.random() * clients.length)].sendChannelMessage({ channelId: BigInt(channel), content });
  } catch (err) {
    if (!(err instanceof DiscordProxyError)) throw err;
    outcome = err.outcomeUnknown ? "unknown" : "refused";
  }
  console.log(outcome, content);
  await setTimeout(50 + Math.random() * 300);
}
process.exit();
