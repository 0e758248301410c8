// A message that is being written, the request that sends it, and the lines
// that do the same from elsewhere.
import { create, toJson, type JsonObject, type JsonValue } from "discordproxy";
import { EmbedSchema, SendChannelMessageRequestSchema, SendDirectMessageRequestSchema, type Embed } from "discordproxy/discord_api";
import { clientKey } from "./api.js";
import { base } from "./base.js";

export interface Field {
  name: string;
  value: string;
  inline: boolean;
}

export interface Draft {
  to: "channel" | "user";
  id: string;
  content: string;
  /** Whether there is an embed. */
  embed: boolean;
  color: string;
  author: string;
  authorIcon: string;
  title: string;
  url: string;
  description: string;
  fields: Field[];
  image: string;
  thumbnail: string;
  footer: string;
  footerIcon: string;
}

export const emptyDraft: Draft = {
  to: "channel", id: "", content: "", embed: false, color: "#4752c4", author: "", authorIcon: "", title: "", url: "",
  description: "", fields: [], image: "", thumbnail: "", footer: "", footerIcon: "",
};

/** The embed of a draft, undefined when it has none. */
export function embedOf(d: Draft): Embed | undefined {
  if (!d.embed) return undefined;
  return create(EmbedSchema, {
    title: d.title, url: d.url, description: d.description,
    color: Number.parseInt(d.color.slice(1), 16),
    author: d.author || d.authorIcon ? { name: d.author, iconUrl: d.authorIcon } : undefined,
    fields: d.fields,
    image: d.image ? { url: d.image } : undefined,
    thumbnail: d.thumbnail ? { url: d.thumbnail } : undefined,
    footer: d.footer || d.footerIcon ? { text: d.footer, iconUrl: d.footerIcon } : undefined,
  });
}

/** Why a draft cannot be sent, "" when it can. */
export function missing(d: Draft): string {
  if (!/^[0-9]{1,20}$/.test(d.id)) return d.to === "channel" ? "Choose a channel." : "Say to whom: the number of a user.";
  if (BigInt(d.id) >= 1n << 64n) return "The id is larger than any at Discord.";
  const e = embedOf(d);
  const says = e && (e.title || e.description || e.author || e.fields.length || e.image || e.thumbnail || e.footer);
  return d.content.trim() || says ? "" : "Write a text or an embed.";
}

const id = (d: Draft) => (/^[0-9]{1,20}$/.test(d.id) ? BigInt(d.id) : 0n);

const request = (d: Draft) => ({ content: d.content, embed: embedOf(d) });

export const channelRequest = (d: Draft) => create(SendChannelMessageRequestSchema, { channelId: id(d), ...request(d) });
export const directRequest = (d: Draft) => create(SendDirectMessageRequestSchema, { userId: id(d), ...request(d) });

const quote = (s: string) => `'${s.replaceAll("'", `'\\''`)}'`;

export function curl(d: Draft): string {
  const json = d.to === "channel" ? toJson(SendChannelMessageRequestSchema, channelRequest(d)) : toJson(SendDirectMessageRequestSchema, directRequest(d));
  const method = d.to === "channel" ? "SendChannelMessage" : "SendDirectMessage";
  return [
    `curl -s ${base}/discord_api.DiscordApi/${method}`,
    "-H 'Content-Type: application/json'",
    ...(clientKey() ? ['-H "Authorization: Bearer $DISCORDPROXY_KEY"'] : []),
    `-d ${quote(JSON.stringify(json))}`,
  ].join(" \\\n  ");
}

/** JSON as Python writes it. */
function literal(value: JsonValue): string {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([name, v]) => `${JSON.stringify(name)}: ${literal(v)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}

/** Lines for the package discordproxy; without key and TLS also for its version 1.5. */
export function python(d: Draft): string {
  const embed = embedOf(d);
  const json = embed && (toJson(EmbedSchema, embed, { useProtoFieldName: true }) as JsonObject);
  const args = [d.to === "channel" ? `channel_id=${id(d)}` : `user_id=${id(d)}`];
  if (d.content) args.push(`content=${literal(d.content)}`);
  if (json) {
    const fields = Object.entries(json).map(([name, value]) => `        ${name}=${literal(value)},\n`);
    args.push(`embed=Embed(\n${fields.join("")}    )`);
  }
  const secure = location.protocol === "https:";
  const options = [literal(location.host)];
  if (clientKey()) options.push('key=os.environ["DISCORDPROXY_KEY"]');
  if (secure) options.push("credentials=grpc.ssl_channel_credentials()");
  return [
    ...(clientKey() ? ["import os", ""] : []),
    ...(secure ? ["import grpc"] : []),
    "from discordproxy.client import DiscordClient",
    ...(json ? ["from discordproxy.discord_api_pb2 import Embed"] : []),
    "",
    `client = DiscordClient(${options.join(", ")})`,
    `client.${d.to === "channel" ? "create_channel_message" : "create_direct_message"}(`,
    ...args.map((arg) => `    ${arg},`),
    ")",
  ].join("\n");
}
