// The composer: where to, what, how Discord will show it, and how a program
// sends the same.
import { useEffect, useState } from "preact/hooks";
import { emptyWorld } from "./acting.js";
import { discord, failure, outbox, type Failure } from "./api.js";
import { Components } from "./components.js";
import { Embeds, Files, Paste, Rows, Templates, type Change } from "./compose.js";
import { channelRequest, componentsOf, curl, directRequest, draftOf, embedsOf, emptyDraft, missing, python, type Draft } from "./draft.js";
import { time } from "./format.js";
import { Copy, Panel } from "./parts.js";
import { MessageView } from "./preview.js";
import { Channel_Type, type Channel, type Guild } from "discordproxy/discord_api";
import type { State } from "./store.js";

type Outcome = { sent: string } | { queued: string; at: string } | { error: Failure };

/** A message that another view asks to write again. */
let again = (_: Partial<Draft>) => {};
let waiting: Partial<Draft> | undefined;

/** Opens the composer with a request of SendChannelMessage or SendDirectMessage, as the list of calls has it. */
export function writeAgain(content: string) {
  waiting = draftOf(JSON.parse(content));
  again(waiting);
  location.hash = "send";
}

export function Send({ state }: { state: State }) {
  const [draft, setDraft] = useState<Draft>({ ...emptyDraft, ...waiting });
  useEffect(() => {
    again = (c) => setDraft((old) => ({ ...old, ...c }));
    return () => void (again = () => {});
  }, []);
  const [busy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<Outcome>();
  // An outcome is that of what was sent, not of what is written now.
  const change: Change = (c) => {
    setOutcome(undefined);
    setDraft((old) => ({ ...old, ...c }));
  };
  const lacks = missing(draft);

  const send = async () => {
    setBusy(true);
    setOutcome(undefined);
    try {
      if (draft.when !== "now") {
        const at = draft.when === "time" ? new Date(draft.time) : undefined;
        const { delivery } = await outbox.enqueue({
          call: draft.to === "channel" ? { case: "sendChannelMessage", value: channelRequest(draft) } : { case: "sendDirectMessage", value: directRequest(draft) },
          notBefore: at && { seconds: BigInt(Math.floor(at.getTime() / 1000)), nanos: 0 },
        });
        setOutcome({ queued: delivery?.id ?? "", at: at ? `for ${at.toLocaleString()}` : "" });
        setBusy(false);
        return;
      }
      const { message } = draft.to === "channel" ? await discord.sendChannelMessage(channelRequest(draft)) : await discord.sendDirectMessage(directRequest(draft));
      setOutcome({ sent: String(message?.id ?? "") });
    } catch (err) {
      setOutcome({ error: failure(err) });
    }
    setBusy(false);
  };

  const embeds = embedsOf(draft);
  const components = componentsOf(draft);
  const lines = python(draft);
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
          <Embeds draft={draft} change={change} />
          <Rows draft={draft} change={change} />
          <Files draft={draft} change={change} />
          <label>
            Reply to message (ID)
            <input inputMode="numeric" autoComplete="off" value={draft.reply} onInput={(e) => change({ reply: e.currentTarget.value.trim() })} />
          </label>
          <Paste change={change} />
          <Templates draft={draft} change={change} />
          <div class="pair">
            <label>
              When
              <select value={draft.when} onChange={(e) => change({ when: e.currentTarget.value as Draft["when"] })}>
                <option value="now">Now</option>
                <option value="queue">Through the outbox</option>
                <option value="time">At a set time</option>
              </select>
            </label>
            {draft.when === "time" && (
              <label>
                Time
                <input type="datetime-local" value={draft.time} onInput={(e) => change({ time: e.currentTarget.value })} />
              </label>
            )}
          </div>
          <div class="actions">
            <button type="submit" class="primary" disabled={busy || lacks !== ""}>
              {busy ? "Sending…" : draft.when === "now" ? "Send" : draft.when === "queue" ? "Queue" : "Schedule"}
            </button>
            <span class="note">{lacks}</span>
          </div>
          <div role="status" class="outcome">
            {outcome && "sent" in outcome && <p class="good">Sent as message {outcome.sent}.</p>}
            {outcome && "queued" in outcome && (
              <p class="good">
                Queued in the <a href="#outbox">outbox</a> {outcome.at} as delivery {outcome.queued}.
              </p>
            )}
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
            {draft.content || embeds.length > 0 || components.length > 0 || draft.files.length > 0 ? (
              <MessageView author={state.proxy?.bot || "Your bot"} bot when={`Today at ${time(new Date()).slice(0, 5)}`} content={draft.content} embeds={embeds}>
                <Components components={components} world={emptyWorld} use={() => {}} />
                {draft.files.map((f) => (
                  <p class="note" key={f.name}>
                    {f.name}
                  </p>
                ))}
              </MessageView>
            ) : (
              <p class="empty">Your message appears here as Discord shows it.</p>
            )}
          </div>
        </Panel>
        <Panel id="lines" title="Send it from a program">
          <Snippet name="curl" text={curl(draft)} />
          {lines ? <Snippet name="Python" text={lines} /> : <p class="empty">The short Python calls can send only text and one embed. For this message, use curl.</p>}
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
          <legend class="hidden">Recipient</legend>
          {(["channel", "user"] as const).map((to) => (
            <label key={to}>
              <input type="radio" name="to" checked={draft.to === to} onChange={() => change({ to, id: "" })} /> A {to}
            </label>
          ))}
        </fieldset>
        <label>
          {draft.to === "channel" ? "Channel ID" : "User ID"}
          <input inputMode="numeric" autoComplete="off" value={draft.id} placeholder="1100000000000000010" onInput={(e) => change({ id: e.currentTarget.value.trim() })} />
        </label>
        {draft.to === "channel" && (
          <>
            {guilds && guilds.length > 1 && (
              <label>
                Guild
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
