// The composer: where to, what, how Discord will show it, and how a program
// sends the same.
import { useEffect, useState } from "preact/hooks";
import { discord, failure, type Failure } from "./api.js";
import { channelRequest, curl, directRequest, embedOf, emptyDraft, missing, python, type Draft, type Field } from "./draft.js";
import { time } from "./format.js";
import { Copy, Panel } from "./parts.js";
import { MessageView } from "./preview.js";
import { Channel_Type, type Channel, type Guild } from "discordproxy/discord_api";
import type { State } from "./store.js";

type Change = (change: Partial<Draft>) => void;

type Outcome = { sent: string } | { error: Failure };

export function Send({ state }: { state: State }) {
  const [draft, setDraft] = useState<Draft>(emptyDraft);
  const [busy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<Outcome>();
  const change: Change = (c) => setDraft((old) => ({ ...old, ...c }));
  const lacks = missing(draft);

  const send = async () => {
    setBusy(true);
    setOutcome(undefined);
    try {
      const { message } = draft.to === "channel" ? await discord.sendChannelMessage(channelRequest(draft)) : await discord.sendDirectMessage(directRequest(draft));
      setOutcome({ sent: String(message?.id ?? "") });
    } catch (err) {
      setOutcome({ error: failure(err) });
    }
    setBusy(false);
  };

  const embed = embedOf(draft);
  return (
    <div class="send">
      <Target draft={draft} change={change} live={state.connection === "live"} />
      <Panel id="compose" title="Message">
        <form
          class="compose"
          onSubmit={(e) => {
            e.preventDefault();
            if (!lacks && !busy) void send();
          }}
        >
          <div>
            <label>
              Text
              <textarea rows={4} maxLength={4000} aria-describedby="length" value={draft.content} onInput={(e) => change({ content: e.currentTarget.value })} />
            </label>
            <p id="length" class={[...draft.content].length > 2000 ? "note bad" : "note"}>
              {[...draft.content].length} of 2000 characters
            </p>
          </div>
          <label class="check">
            <input type="checkbox" checked={draft.embed} onChange={(e) => change({ embed: e.currentTarget.checked })} /> With an embed
          </label>
          {draft.embed && <EmbedEditor draft={draft} change={change} />}
          <div class="actions">
            <button type="submit" class="primary" disabled={busy || lacks !== ""}>
              {busy ? "Waiting for its turn…" : "Send"}
            </button>
            <span class="note">{lacks}</span>
          </div>
          <div role="status" class="outcome">
            {outcome && "sent" in outcome && <p class="good">Sent as message {outcome.sent}.</p>}
            {outcome && "error" in outcome && (
              <p class="bad">
                <strong>{outcome.error.code}</strong> {outcome.error.text}
              </p>
            )}
          </div>
        </form>
      </Panel>
      <div class="stack">
        <Panel id="preview" title="Preview">
          <div class="discord">
            {draft.content || embed ? (
              <MessageView author={state.proxy?.bot || "Your bot"} bot when={`Today at ${time(new Date()).slice(0, 5)}`} content={draft.content} embeds={embed ? [embed] : []} />
            ) : (
              <p class="empty">What you write appears here as in Discord.</p>
            )}
          </div>
        </Panel>
        <Panel id="lines" title="The same from a program">
          <Snippet name="curl" text={curl(draft)} />
          <Snippet name="Python" text={python(draft)} />
        </Panel>
      </div>
    </div>
  );
}

function Snippet({ name, text }: { name: string; text: string }) {
  return (
    <div class="snippet">
      <p>
        {name} <Copy text={text} label={`Copy the lines for ${name}`} />
      </p>
      <pre tabIndex={0} role="region" aria-label={`Lines for ${name}`} data-lines={name}>
        {text}
      </pre>
    </div>
  );
}

/** Where to send: a channel of a guild, or a user. */
function Target({ draft, change, live }: { draft: Draft; change: Change; live: boolean }) {
  const [guilds, setGuilds] = useState<Guild[]>();
  const [guild, setGuild] = useState<bigint>();
  const [channels, setChannels] = useState<Channel[]>();
  const [error, setError] = useState<Failure>();

  // Asked again when the connection comes back.
  useEffect(() => {
    if (!live || guilds) return;
    discord.listGuilds({}).then(
      (answer) => {
        setGuilds(answer.guilds);
        setGuild((old) => old ?? answer.guilds[0]?.id);
        setError(undefined);
      },
      (err) => setError(failure(err)),
    );
  }, [live, guilds]);
  useEffect(() => {
    if (guild === undefined) return;
    let stale = false;
    setChannels(undefined);
    discord.getGuildChannels({ guildId: guild }).then(
      (answer) => !stale && setChannels(answer.channels),
      (err) => !stale && setError(failure(err)),
    );
    return () => void (stale = true);
  }, [guild]);

  return (
    <Panel id="target" title="To">
      <div class="target">
        <fieldset class="switch">
          <legend class="hidden">Kind of receiver</legend>
          {(["channel", "user"] as const).map((to) => (
            <label key={to}>
              <input type="radio" name="to" checked={draft.to === to} onChange={() => change({ to, id: "" })} /> A {to}
            </label>
          ))}
        </fieldset>
        <label>
          {draft.to === "channel" ? "Channel id" : "User id"}
          <input inputMode="numeric" autoComplete="off" value={draft.id} placeholder="1100000000000000010" onInput={(e) => change({ id: e.currentTarget.value.trim() })} />
        </label>
        {draft.to === "channel" && (
          <>
            {guilds && guilds.length > 1 && (
              <label>
                Server
                <select value={String(guild)} onChange={(e) => setGuild(BigInt(e.currentTarget.value))}>
                  {guilds.map((g) => (
                    <option key={g.id} value={String(g.id)}>
                      {g.name}
                    </option>
                  ))}
                </select>
              </label>
            )}
            {guilds?.length === 1 && <p class="guild">{guilds[0]!.name}</p>}
            {error && (
              <p class="bad">
                <strong>{error.code}</strong> {error.text}
              </p>
            )}
            {channels && <Tree channels={channels} chosen={draft.id} choose={(id) => change({ id })} />}
          </>
        )}
      </div>
    </Panel>
  );
}

const voices = [Channel_Type.GUILD_VOICE, Channel_Type.GUILD_STAGE_VOICE];
const speechless = [Channel_Type.GUILD_FORUM, Channel_Type.GUILD_MEDIA, Channel_Type.GUILD_DIRECTORY];
// Signs that fonts without pictures have, too.
const signs = new Map([
  [Channel_Type.GUILD_NEWS, "»"],
  [Channel_Type.GUILD_VOICE, "♪"],
  [Channel_Type.GUILD_STAGE_VOICE, "♪"],
  [Channel_Type.GUILD_FORUM, "≡"],
  [Channel_Type.GUILD_MEDIA, "≡"],
]);

/** Channels as Discord lists them: by position, voice below text. */
function Tree({ channels, chosen, choose }: { channels: Channel[]; chosen: string; choose: (id: string) => void }) {
  const voice = (c: Channel) => Number(voices.includes(c.type));
  const inside = (parent: bigint) =>
    channels
      .filter((c) => c.parentId === parent && c.type !== Channel_Type.GUILD_CATEGORY)
      .sort((a, b) => voice(a) - voice(b) || a.position - b.position || Number(a.id - b.id));
  const categories = channels.filter((c) => c.type === Channel_Type.GUILD_CATEGORY).sort((a, b) => a.position - b.position);
  const list = (of: Channel[]) => (
    <ul>
      {of.map((c) => (
        <li key={c.id}>
          <button type="button" aria-pressed={chosen === String(c.id)} disabled={speechless.includes(c.type)} onClick={() => choose(String(c.id))}>
            <span aria-hidden="true">{signs.get(c.type) ?? "#"}</span> {c.name}
          </button>
        </li>
      ))}
    </ul>
  );
  return (
    <nav class="tree" aria-label="Channels">
      {list(inside(0n))}
      {categories.map((category) => (
        <details key={category.id} open>
          <summary>{category.name}</summary>
          {list(inside(category.id))}
        </details>
      ))}
    </nav>
  );
}

function EmbedEditor({ draft, change }: { draft: Draft; change: Change }) {
  const setField = (i: number, c: Partial<Field>) => change({ fields: draft.fields.map((f, j) => (i === j ? { ...f, ...c } : f)) });
  const line = (name: keyof Draft & ("author" | "authorIcon" | "title" | "url" | "image" | "thumbnail" | "footer" | "footerIcon"), label: string, max: number) => (
    <label>
      {label}
      <input value={draft[name]} maxLength={max} onInput={(e) => change({ [name]: e.currentTarget.value })} />
    </label>
  );
  return (
    <fieldset class="embed-editor">
      <legend>Embed</legend>
      <div class="pair">
        {line("author", "Author", 256)}
        {line("authorIcon", "Icon of the author (URL)", 2048)}
      </div>
      <div class="pair">
        {line("title", "Title", 256)}
        {line("url", "Link of the title (URL)", 2048)}
      </div>
      <label>
        Description
        <textarea rows={3} maxLength={4096} value={draft.description} onInput={(e) => change({ description: e.currentTarget.value })} />
      </label>
      <label class="color">
        Colour
        <input type="color" value={draft.color} onInput={(e) => change({ color: e.currentTarget.value })} />
      </label>
      {draft.fields.map((field, i) => (
        <fieldset class="field" key={i}>
          <legend>Field {i + 1}</legend>
          <label>
            Name
            <input value={field.name} maxLength={256} onInput={(e) => setField(i, { name: e.currentTarget.value })} />
          </label>
          <label>
            Value
            <input value={field.value} maxLength={1024} onInput={(e) => setField(i, { value: e.currentTarget.value })} />
          </label>
          <label class="check">
            <input type="checkbox" checked={field.inline} onChange={(e) => setField(i, { inline: e.currentTarget.checked })} /> Inline
          </label>
          <button type="button" class="small" onClick={() => change({ fields: draft.fields.filter((_, j) => j !== i) })}>
            Remove
          </button>
        </fieldset>
      ))}
      <button type="button" class="small" disabled={draft.fields.length >= 25} onClick={() => change({ fields: [...draft.fields, { name: "", value: "", inline: true }] })}>
        Add a field
      </button>
      <div class="pair">
        {line("image", "Image (URL)", 2048)}
        {line("thumbnail", "Thumbnail (URL)", 2048)}
      </div>
      <div class="pair">
        {line("footer", "Footer", 2048)}
        {line("footerIcon", "Icon of the footer (URL)", 2048)}
      </div>
    </fieldset>
  );
}
