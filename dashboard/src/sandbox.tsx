// The sandbox: what it holds, what people do in it, and what can go wrong with it.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { emptyWorld, interact, loadWorld, type Modal } from "./acting.js";
import { control } from "./api.js";
import { Components } from "./components.js";
import { count, duration, long, time } from "./format.js";
import { ModalForm } from "./modal.js";
import { Panel } from "./parts.js";
import { People } from "./people.js";
import { MessageView } from "./preview.js";
import { ms, type Message, type State } from "./store.js";

/** Flags of messages: only one person sees it; the bot will edit it. */
const ephemeral = 64;
const loading = 128;
const sending = "POST /channels/{channel_id}/messages";

/** Things that can go wrong with messages, each a fault with a name. */
const faults = [
  { name: "discord fails", label: "Discord fails", hint: "Every message gets a 500 response and is not stored.", fault: { status: 500 } },
  { name: "answers get lost", label: "Responses get lost", hint: "Two of three messages are stored, but the connection breaks before the response. The proxy retries, and no message is sent twice.", fault: { kind: "reset", after: true, probability: 0.66 } },
  { name: "discord is slow", label: "Discord is slow", hint: "Every response takes 3 seconds.", fault: { kind: "slow", delay: 3, bytes: 1000000 } },
  { name: "not allowed", label: "The bot lacks permission", hint: "Every message gets a 403 response, Missing Access.", fault: { status: 403, body: '{"message": "Missing Access", "code": 50001}' } },
];

export function Sandbox({ state }: { state: State }) {
  const [chosen, setChosen] = useState<bigint>();
  const [world, setWorld] = useState(emptyWorld);
  const [person, setPerson] = useState("");
  const [place, setPlace] = useState("");
  const [modal, setModal] = useState<Modal>();
  const [error, setError] = useState("");
  const channels = state.sandbox?.channels ?? [];
  const channel = place || String(chosen ?? channels[0]?.id ?? "");
  const reload = () => {
    loadWorld().then(
      (w) => {
        setWorld(w);
        setPerson((old) => (w.people.some((p) => p.value === old) ? old : (w.people.find((p) => p.label === "alice") ?? w.people[0])?.value ?? ""));
      },
      (err: Error) => setError(err.message),
    );
  };
  useEffect(reload, []);
  /** Waits for something, shows why it failed, and resolves to whether it worked. */
  const attempt = async (work: Promise<unknown>) => {
    setError("");
    try {
      await work;
      return true;
    } catch (err) {
      setError((err as Error).message);
      return false;
    }
  };
  const act = async (where: string, use: object) => setModal(await interact(where, { user: person, ...use }));
  return (
    <div class="sandbox">
      <div class="stack">
        <Channels
          state={state}
          chosen={chosen}
          choose={(id) => {
            setChosen(id);
            setPlace("");
          }}
          below={(m) => <Components components={m.components} world={world} use={(customId, values) => void attempt(act(String(m.channelId), { message: String(m.id), custom_id: customId, values }))} />}
        />
        {error && (
          <p class="bad" role="alert">
            {error}
          </p>
        )}
      </div>
      <div class="stack">
        <People
          world={world}
          reload={reload}
          person={person}
          setPerson={setPerson}
          channel={channel}
          channels={channels}
          setChannel={setPlace}
          messages={state.messages.filter((m) => String(m.channelId) === channel).slice(-25)}
          write={(content) => attempt(control("POST", `channels/${channel}/messages`, { content, author: { id: person } }))}
          use={(use) => attempt(act(channel, use))}
        />
        <Controls state={state} />
      </div>
      {modal && <ModalForm key={modal.interaction} modal={modal} world={world} submit={(fields) => act(modal.channel, { interaction: modal.interaction, custom_id: modal.custom_id, fields })} close={() => setModal(undefined)} />}
    </div>
  );
}

function Channels({ state, chosen, choose, below }: { state: State; chosen: bigint | undefined; choose: (id?: bigint) => void; below: (m: Message) => ComponentChildren }) {
  const all = state.sandbox?.channels ?? [];
  const shown = state.messages.filter((m) => chosen === undefined || m.channelId === chosen);
  const names = new Map(all.map((c) => [c.id, (c.direct ? "@" : "#") + c.name]));
  const end = useRef<HTMLDivElement>(null);
  const newest = shown.at(-1)?.id;
  useEffect(() => {
    const box = end.current;
    if (box) box.scrollTop = box.scrollHeight;
  }, [newest, chosen]);
  return (
    <Panel id="sandbox-messages" title="The sandbox" note={`${count(shown.length)} ${shown.length === 1 ? "message" : "messages"} since shortly before you opened the page`}>
      <div class="world">
        <nav class="tree" aria-label="Channels of the sandbox">
          <ul>
            <li>
              <button type="button" aria-pressed={chosen === undefined} onClick={() => choose()}>
                All channels
              </button>
            </li>
            {all.map((c) => {
              const n = state.messages.filter((m) => m.channelId === c.id).length;
              return (
                <li key={c.id}>
                  <button type="button" aria-pressed={chosen === c.id} onClick={() => choose(c.id)}>
                    <span aria-hidden="true">{c.direct ? "@" : "#"}</span> {c.name} {n > 0 && <span class="badge">{count(n)}</span>}
                  </button>
                </li>
              );
            })}
          </ul>
        </nav>
        <div class="discord stream" ref={end} role="log" aria-label="Messages in the sandbox" tabIndex={0}>
          {shown.length === 0 && (
            <p class="empty">
              No messages yet. <a href="#send">Send a message</a>, or run one of the commands that the server printed.
            </p>
          )}
          {shown.slice(-100).map((m) => (
            <MessageView
              key={m.id}
              fresh
              author={m.author?.globalName || m.author?.username || "somebody"}
              bot={m.author?.bot ?? false}
              when={`${names.get(m.channelId) ?? m.channelId} ${time(new Date(m.timestamp))}`}
              content={m.content}
              embeds={m.embeds}
            >
              {below(m)}
              {(m.flags & loading) !== 0 && <p class="note">{m.author?.username} is thinking…</p>}
              {(m.flags & ephemeral) !== 0 && <p class="note">Only the person who used the bot can see this.</p>}
            </MessageView>
          ))}
        </div>
      </div>
    </Panel>
  );
}

function Controls({ state }: { state: State }) {
  const [error, setError] = useState("");
  const run = (work: Promise<unknown>) => {
    work.then(
      () => setError(""),
      (err: Error) => setError(err.message),
    );
  };
  const sandbox = state.sandbox;
  const active = sandbox?.faults ?? [];
  // What switches were set to, until the sandbox reports the same.
  const [wanted, setWanted] = useState<Record<string, boolean>>({});
  const isOn = (name: string) => active.some((f) => f.name === name);
  useEffect(() => {
    const open = Object.entries(wanted).filter(([name, on]) => isOn(name) !== on);
    if (open.length < Object.keys(wanted).length) setWanted(Object.fromEntries(open));
  });
  const toggle = (name: string, fault: object, on: boolean) => {
    setWanted((old) => ({ ...old, [name]: on }));
    const work = on ? control("POST", "faults", { name, route: sending, ...fault }) : Promise.all(active.filter((f) => f.name === name).map((f) => control("DELETE", `faults/${f.id}`)));
    work.catch(() => setWanted({}));
    run(work);
  };
  const limits = sandbox?.limits.filter((l) => l.limit > 0) ?? [];
  const limit = limits.find((l) => l.name === "send");
  const others = active.filter((f) => !faults.some(({ name }) => name === f.name));
  return (
    <div class="stack">
      <Panel id="faults" title="Faults">
        <ul class="switches">
          {faults.map(({ name, label, hint, fault }) => {
            const on = active.find((f) => f.name === name);
            return (
              <li key={name}>
                <label class="check">
                  <input type="checkbox" role="switch" checked={wanted[name] ?? on !== undefined} aria-describedby={`hint-${name.replaceAll(" ", "-")}`} onChange={(e) => toggle(name, fault, e.currentTarget.checked)} /> {label}
                  {on && <span class="badge">{hits(on.hits)}</span>}
                </label>
                <p class="note" id={`hint-${name.replaceAll(" ", "-")}`}>
                  {hint}
                </p>
              </li>
            );
          })}
          {others.map((f) => (
            <li key={f.id}>
              <label class="check">
                <input type="checkbox" role="switch" checked onChange={() => run(control("DELETE", `faults/${f.id}`))} /> {f.name}
                <span class="badge">{hits(f.hits)}</span>
              </label>
            </li>
          ))}
        </ul>
        <div class="actions">
          <button type="button" onClick={() => run(control("POST", "bans/global", { for: 10 }))}>
            Exceed the global limit for 10 s
          </button>
          <button type="button" onClick={() => run(control("POST", "bans", { for: 30 }))}>
            Ban for 30 s
          </button>
          <button type="button" onClick={() => run(control("DELETE", "bans"))}>
            End bans
          </button>
        </div>
        {error && (
          <p class="bad" role="alert">
            {error}
          </p>
        )}
      </Panel>
      <Panel id="limits" title="Message limit">
        <Limit key={limit ? `${limit.limit}/${ms(limit.window)}` : ""} limit={limit?.limit ?? 0} seconds={ms(limit?.window) / 1000} set={(n, window) => run(control("PUT", "limits", { name: "send", routes: [sending], limit: n, window }))} />
        <details class="more">
          <summary>All {count(limits.length)} limits</summary>
          <ul>
            {limits.map((l) => (
              <li key={l.name}>
                {l.name} <span class="note">{`${count(l.limit)} in ${within(ms(l.window))}`}</span>
              </li>
            ))}
          </ul>
        </details>
      </Panel>
    </div>
  );
}

const hits = (n: number) => `${count(n)} ${n === 1 ? "hit" : "hits"}`;

const within = (ms: number) => (ms < 1000 ? duration(ms) : long(ms));

function Limit({ limit, seconds, set }: { limit: number; seconds: number; set: (limit: number, seconds: number) => void }) {
  const [n, setN] = useState(limit);
  const [window, setWindow] = useState(seconds);
  return (
    <form
      class="limit"
      onSubmit={(e) => {
        e.preventDefault();
        set(n, window);
      }}
    >
      <label>
        Messages
        <input type="number" min={1} max={1000} required value={n} onInput={(e) => setN(e.currentTarget.valueAsNumber)} />
      </label>
      <label>
        in seconds
        <input type="number" min={1} max={3600} required value={window} onInput={(e) => setWindow(e.currentTarget.valueAsNumber)} />
      </label>
      <button type="submit">Set</button>
      <p class="note">for each channel; the proxy learns it from Discord's responses</p>
    </form>
  );
}
