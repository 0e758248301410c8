// A message that is being written, the request that sends it, and the lines
// that do the same from elsewhere.
import { create, toJson, type JsonObject, type JsonValue, type MessageInitShape } from "discordproxy";
import { ComponentSchema, EmbedSchema, SendChannelMessageRequestSchema, SendDirectMessageRequestSchema, type Embed } from "discordproxy/discord_api";
import { clientKey } from "./api.js";
import { address, botName } from "./bots.js";

export interface Field {
  name: string;
  value: string;
  inline: boolean;
}

export interface EmbedDraft {
  /** "#rrggbb", "" for Discord's own. */
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
  timestamp: string;
}

export interface ButtonDraft {
  label: string;
  style: number;
  /** URL of a link, custom ID of any other button. */
  target: string;
}

export type RowDraft =
  | { kind: "buttons"; buttons: ButtonDraft[] }
  /** Options are lines: label, or label = value. */
  | { kind: "select"; id: string; placeholder: string; options: string }
  /** Something else that was pasted, as Discord's JSON. */
  | { kind: "other"; json: string };

export interface FileDraft {
  name: string;
  data: Uint8Array;
}

export interface Draft {
  to: "channel" | "user";
  id: string;
  content: string;
  embeds: EmbedDraft[];
  rows: RowDraft[];
  files: FileDraft[];
  /** Message that is answered, "" for none. */
  reply: string;
  /** When it is sent: immediately, when the outbox can, or at a time. */
  when: "now" | "queue" | "time";
  /** As an input of datetime-local has it. */
  time: string;
}

export const emptyEmbed: EmbedDraft = {
  color: "", author: "", authorIcon: "", title: "", url: "", description: "", fields: [], image: "", thumbnail: "", footer: "", footerIcon: "", timestamp: "",
};

export const emptyDraft: Draft = { to: "channel", id: "", content: "", embeds: [], rows: [], files: [], reply: "", when: "now", time: "" };

export const limits = { embeds: 10, rows: 5, buttons: 5, options: 25, files: 10, fileBytes: 20 << 20 };
export const linkStyle = 5;

function embedOf(d: EmbedDraft): Embed {
  return create(EmbedSchema, {
    title: d.title, url: d.url, description: d.description, timestamp: d.timestamp,
    color: d.color ? Number.parseInt(d.color.slice(1), 16) : 0,
    author: d.author || d.authorIcon ? { name: d.author, iconUrl: d.authorIcon } : undefined,
    fields: d.fields,
    image: d.image ? { url: d.image } : undefined,
    thumbnail: d.thumbnail ? { url: d.thumbnail } : undefined,
    footer: d.footer || d.footerIcon ? { text: d.footer, iconUrl: d.footerIcon } : undefined,
  });
}

/** The embeds of a draft. */
export const embedsOf = (d: Draft) => d.embeds.map(embedOf);

/** The options of a select, which are lines. */
const optionsOf = (lines: string) =>
  lines.split("\n").map((l) => l.trim()).filter(Boolean).map((line) => {
    const [label = "", value = label] = line.split(/\s*=\s*/, 2);
    return { label, value };
  });

function rowOf(row: RowDraft): MessageInitShape<typeof ComponentSchema> {
  switch (row.kind) {
    case "buttons":
      return {
        kind: { case: "actionRow", value: { components: row.buttons.map((b) => ({
          kind: { case: "button" as const, value: { label: b.label, style: b.style, ...(b.style === linkStyle ? { url: b.target } : { customId: b.target }) } },
        })) } },
      };
    case "select":
      return {
        kind: { case: "actionRow", value: { components: [{ kind: { case: "stringSelect", value: { customId: row.id, placeholder: row.placeholder, options: optionsOf(row.options) } } }] } },
      };
    case "other":
      return { kind: { case: "rawJson", value: row.json } };
  }
}

/** The components of a draft. */
export const componentsOf = (d: Draft) => d.rows.map((row) => create(ComponentSchema, rowOf(row)));

/** Why a draft cannot be sent, "" when it can. */
export function missing(d: Draft): string {
  if (!/^[0-9]{1,20}$/.test(d.id)) return d.to === "channel" ? "Choose a channel." : "Enter the ID of a user.";
  if (BigInt(d.id) >= 1n << 64n) return "The ID is too large.";
  if (d.reply && !/^[0-9]{1,20}$/.test(d.reply)) return "The ID of the message to reply to must be a number.";
  if (d.when === "time" && !(new Date(d.time).getTime() > Date.now())) return "Choose a time in the future.";
  for (const row of d.rows) {
    if (row.kind === "buttons" && row.buttons.some((b) => !b.label || !b.target)) return "Each button needs a label, and a custom ID or a URL.";
    if (row.kind === "select" && (!row.id || optionsOf(row.options).length === 0)) return "A select needs a custom ID and options.";
  }
  const says = embedsOf(d).some((e) => e.title || e.description || e.author || e.fields.length || e.image || e.thumbnail || e.footer);
  return d.content.trim() || says || d.files.length > 0 || d.rows.some((r) => r.kind === "other") ? "" : "Write a text or add an embed.";
}

const id = (text: string) => (/^[0-9]{1,20}$/.test(text) ? BigInt(text) : 0n);

const request = (d: Draft) => ({
  content: d.content,
  // A single one goes where clients of every version have it.
  embed: d.embeds.length === 1 ? embedsOf(d)[0] : undefined,
  embeds: d.embeds.length > 1 ? embedsOf(d) : [],
  components: componentsOf(d),
  attachments: d.files.map((f) => ({ filename: f.name, data: f.data })),
  messageReference: d.reply ? { messageId: id(d.reply) } : undefined,
});

export const channelRequest = (d: Draft) => create(SendChannelMessageRequestSchema, { channelId: id(d.id), ...request(d) });
export const directRequest = (d: Draft) => create(SendDirectMessageRequestSchema, { userId: id(d.id), ...request(d) });

const hex = (color: unknown) => (Number(color) ? `#${Number(color).toString(16).padStart(6, "0")}` : "");
type JSONObject = Record<string, any>;

function embedIn(e: JSONObject): EmbedDraft {
  const text = (value: unknown) => (typeof value === "string" ? value : "");
  const icon = (o?: JSONObject) => text(o?.icon_url ?? o?.iconUrl);
  return {
    color: hex(e.color), author: text(e.author?.name), authorIcon: icon(e.author), title: text(e.title), url: text(e.url), description: text(e.description),
    fields: (Array.isArray(e.fields) ? e.fields : []).map((f: JSONObject) => ({ name: text(f.name), value: text(f.value), inline: f.inline === true })),
    image: text(e.image?.url), thumbnail: text(e.thumbnail?.url), footer: text(e.footer?.text), footerIcon: icon(e.footer), timestamp: text(e.timestamp),
  };
}

const componentTypes: Record<string, number> = {
  actionRow: 1, button: 2, stringSelect: 3, userSelect: 5, roleSelect: 6, mentionableSelect: 7, channelSelect: 8, section: 9, textDisplay: 10, thumbnail: 11,
  mediaGallery: 12, file: 13, separator: 14, container: 17,
};
const buttonStyles = ["UNDEFINED", "PRIMARY", "SECONDARY", "SUCCESS", "DANGER", "LINK", "PREMIUM"];

/** A component of the proxy's API as Discord's JSON has it. */
function discordComponent(c: JSONObject): JSONObject {
  if (typeof c.rawJson === "string") return JSON.parse(c.rawJson) as JSONObject;
  const [kind = "", fields] = Object.entries(c)[0] ?? [];
  const type = componentTypes[kind];
  if (!type) return c;
  const out: JSONObject = { type };
  for (const [name, value] of Object.entries(fields as JSONObject)) {
    out[name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)] =
      name === "components" ? value.map(discordComponent) : name === "accessory" ? discordComponent(value) : name === "style" ? buttonStyles.indexOf(value) : value;
  }
  return out;
}

/** What the composer takes of a request. The nonce belongs to the first message, and the proxy does not keep files. */
const takes = ["channelId", "userId", "content", "embed", "embeds", "components", "messageReference", "nonce"];

/** What a request says that a draft cannot. */
export const beyond = (request: JSONObject) => Object.keys(request).filter((name) => !takes.includes(name));

/** The draft of a request of SendChannelMessage or SendDirectMessage, as the list of calls has it. */
export function draftOf(request: JSONObject): Draft {
  const says = ["content", "embed", "embeds", "components"].some((name) => request[name] !== undefined);
  return {
    ...emptyDraft, ...(says ? pasted(JSON.stringify(request)) : {}), to: request.userId ? "user" : "channel", id: request.userId ?? request.channelId ?? "",
  };
}

function rowIn(c: JSONObject): RowDraft {
  if (typeof c.type !== "number") c = discordComponent(c);
  const inner: JSONObject[] = Array.isArray(c.components) ? c.components : [];
  const plain = (o: JSONObject, names: string[]) => Object.keys(o).every((name) => names.includes(name));
  if (c.type === 1 && inner.length > 0 && inner.every((b) => b.type === 2 && typeof b.label === "string" && (b.custom_id || b.url) && plain(b, ["type", "id", "label", "style", "custom_id", "url"]))) {
    return { kind: "buttons", buttons: inner.map((b) => ({ label: b.label, style: Number(b.style) || 2, target: String(b.url ?? b.custom_id) })) };
  }
  const [s] = inner;
  if (c.type === 1 && inner.length === 1 && s?.type === 3 && Array.isArray(s.options) && plain(s, ["type", "id", "custom_id", "placeholder", "options"]) && s.options.every((o: JSONObject) => plain(o, ["label", "value"]) && !`${o.label}${o.value}`.includes("="))) {
    return { kind: "select", id: String(s.custom_id ?? ""), placeholder: String(s.placeholder ?? ""), options: s.options.map((o: JSONObject) => (o.label === o.value ? o.label : `${o.label} = ${o.value}`)).join("\n") };
  }
  return { kind: "other", json: JSON.stringify(c) };
}

/**
 * What a message of Discord's JSON says: of a bot, a webhook or an editor of embeds. An
 * embed alone, or a list of them, is a message, too. Throws an error in words.
 */
export function pasted(text: string): Pick<Draft, "content" | "embeds" | "rows" | "reply"> {
  let json: any;
  try {
    json = JSON.parse(text);
  } catch (err) {
    throw new Error(`This is not valid JSON: ${(err as Error).message}`);
  }
  if (Array.isArray(json)) json = { embeds: json };
  if (typeof json !== "object" || json === null) throw new Error("A message must be a JSON object, such as {\"content\": \"Hello\"}.");
  if (json.message && typeof json.message === "object") json = json.message;
  const embeds = json.embeds ?? (json.embed ? [json.embed] : undefined);
  if (json.content === undefined && embeds === undefined && json.components === undefined) {
    if (!json.title && !json.description && !json.fields && !json.author) throw new Error("The JSON has no content, embeds or components.");
    json = { embeds: [json] };
  }
  const list: unknown[] = json.embeds ?? embeds ?? [];
  const rows: unknown[] = json.components ?? [];
  if (!Array.isArray(list) || !Array.isArray(rows)) throw new Error("embeds and components must be lists.");
  const reference = json.message_reference ?? json.messageReference;
  return {
    content: typeof json.content === "string" ? json.content : "",
    embeds: list.slice(0, limits.embeds).map((e) => embedIn((e ?? {}) as JSONObject)),
    rows: rows.slice(0, limits.rows).map((c) => rowIn((c ?? {}) as JSONObject)),
    reply: String(reference?.message_id ?? reference?.messageId ?? ""),
  };
}

const templatesName = "discordproxy-templates";

/** What a template keeps: neither where to, nor files. */
export type Template = Pick<Draft, "content" | "embeds" | "rows">;

export function templates(): Record<string, Template> {
  try {
    return JSON.parse(localStorage.getItem(templatesName) ?? "{}") as Record<string, Template>;
  } catch {
    return {};
  }
}

export function saveTemplates(all: Record<string, Template>) {
  localStorage.setItem(templatesName, JSON.stringify(all));
}

const quote = (s: string) => `'${s.replaceAll("'", `'\\''`)}'`;

export function curl(d: Draft): string {
  // Files would fill the screen.
  const small = { ...d, files: d.files.map((f) => ({ ...f, data: f.data.slice(0, 30) })) };
  const json = d.to === "channel" ? toJson(SendChannelMessageRequestSchema, channelRequest(small)) : toJson(SendDirectMessageRequestSchema, directRequest(small));
  const method = d.to === "channel" ? "SendChannelMessage" : "SendDirectMessage";
  return [
    `curl -s ${address()}/discord_api.DiscordApi/${method}`,
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

/** Lines for the package discordproxy; without key, bot and TLS also for its version 1.5. Undefined for a message that its short calls cannot send. */
export function python(d: Draft): string | undefined {
  if (d.embeds.length > 1 || d.rows.length > 0 || d.files.length > 0 || d.reply) return undefined;
  const [embed] = embedsOf(d);
  const json = embed && (toJson(EmbedSchema, embed, { useProtoFieldName: true }) as JsonObject);
  const args = [d.to === "channel" ? `channel_id=${id(d.id)}` : `user_id=${id(d.id)}`];
  if (d.content) args.push(`content=${literal(d.content)}`);
  if (json) {
    const fields = Object.entries(json).map(([name, value]) => `        ${name}=${literal(value)},\n`);
    args.push(`embed=Embed(\n${fields.join("")}    )`);
  }
  const secure = location.protocol === "https:";
  const options = [literal(location.host)];
  if (botName()) options.push(`bot=${literal(botName())}`);
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
