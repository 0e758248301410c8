// Sends messages from a web page, over gRPC-Web. The proxy must name the page's
// origin with --cors-origin. A page that others can open must not contain a key:
// its users enter their own.
import { Channel_Type } from "discordproxy/discord_api";
import { createClient, DiscordProxyError } from "discordproxy/web";

const proxy = new URLSearchParams(location.search).get("proxy") ?? "http://localhost:50051";
const client = createClient(proxy, { timeoutMs: 30_000, retries: 10 });

const form = document.querySelector("form")!;
const output = document.querySelector("output")!;

async function listChannels() {
  const { channels } = await client.getGuildChannels({ guildId: 1100000000000000100n });
  for (const { id, name, type } of channels) {
    if (type === Channel_Type.GUILD_TEXT) form.channel.add(new Option(`#${name}`, String(id)));
  }
}

async function send() {
  const { message } = await client.sendChannelMessage({ channelId: BigInt(form.channel.value), content: form.content.value });
  form.content.value = "";
  return `sent as ${message?.id}`;
}

/** Shows how it went. */
async function show(done: Promise<string | void>) {
  try {
    output.value = (await done) ?? "";
  } catch (err) {
    output.value = err instanceof DiscordProxyError ? err.message : String(err);
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void show(send());
});
void show(listChannels());
