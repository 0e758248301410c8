// A page of another origin that calls the proxy over gRPC-Web. What it sees
// goes back to the server of the page.
import { Code, createClient, DiscordProxyError } from "discordproxy/web";

const world = new URLSearchParams(location.search);
const id = (name: string) => BigInt(world.get(name) ?? "0");
const client = createClient(world.get("proxy") ?? "");

async function failure(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "no error";
  } catch (err) {
    if (!(err instanceof DiscordProxyError)) throw err;
    return `${Code[err.cause.code]} ${err.cause.rawMessage}`;
  }
}

async function look() {
  const direct = await client.sendDirectMessage({ userId: id("alice"), content: "from a page" });
  const posted = await client.sendChannelMessage({
    channelId: id("general"),
    embed: { title: "from a page" },
  });
  const { channels } = await client.getGuildChannels({ guildId: id("guild") });
  return {
    direct: direct.message?.content,
    embed: posted.message?.embeds[0]?.title,
    channels: channels.length,
    forbidden: await failure(client.sendChannelMessage({ channelId: id("forbidden"), content: "x" })),
  };
}

const seen = await look().catch((err: unknown) => ({ error: String(err) }));
await fetch("/seen", { method: "POST", body: JSON.stringify(seen) });
