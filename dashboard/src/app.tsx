// The page: what is above all views, and which view is shown.
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Code } from "discordproxy";
import { clientKey, setClientKey } from "./api.js";
import { forget, openBot, useBots, type Bots } from "./bots.js";
import { Calls } from "./calls.js";
import { causeOf } from "./cause.js";
import { count, long, plain, sentence } from "./format.js";
import { HistoryView } from "./history.js";
import { OutboxView } from "./outbox.js";
import { Overview } from "./overview.js";
import { Sandbox } from "./sandbox.js";
import { Send } from "./send.js";
import { date, Store, type Lock, type Proxy, type State } from "./store.js";

const store = new Store();

function useStatus() {
  const [state, setState] = useState(store.state);
  useEffect(() => store.subscribe(setState), []);
  return state;
}

/** The time, each second. */
function useNow() {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

function useView() {
  const named = () => location.hash.slice(1).split("?")[0]!;
  const [view, setView] = useState(named);
  useEffect(() => {
    const changed = () => setView(named());
    changed();
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return view;
}

const views = [
  { id: "overview", name: "Overview" },
  { id: "history", name: "History" },
  { id: "calls", name: "Calls" },
  { id: "outbox", name: "Outbox" },
  { id: "send", name: "Send" },
  { id: "sandbox", name: "Sandbox" },
];

function App() {
  const state = useStatus();
  const now = useNow();
  const wanted = useView();
  const bots = useBots(state);
  const shown = views.filter((v) => v.id !== "sandbox" || state.proxy?.sandbox);
  const view = shown.find((v) => v.id === wanted)?.id ?? "overview";
  return (
    <>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.querySelector("main")?.focus(); }}>
        Skip to content
      </a>
      <header class="bar">
        <h1>
          <img src="dashboard/icon.svg" alt="" width={24} height={24} /> Discord Proxy
        </h1>
        <nav aria-label="Views">
          {shown.map((v) => (
            <a key={v.id} href={`#${v.id}`} aria-current={v.id === view ? "page" : undefined}>
              {v.name}
            </a>
          ))}
        </nav>
        <Bot bots={bots} />
        <Health state={state} now={now} />
        <Theme />
      </header>
      <main id="main" tabIndex={-1}>
        <Notices state={state} now={now} />
        {state.lock && <Unlock lock={state.lock} trying={state.trying} bots={bots} />}
        {state.proxy && (
          // What was written in the composer outlasts a change of the key.
          <div class="view" hidden={state.lock !== undefined}>
            <View id={view} state={state} now={now} />
          </div>
        )}
      </main>
      <footer class="foot">
        <a href="docs/">API</a>
        {state.proxy && <About proxy={state.proxy} time={now + state.skew} />}
        {clientKey() && (
          <button type="button" class="small" onClick={() => { setClientKey(""); forget(); location.reload(); }}>
            Forget the key
          </button>
        )}
      </footer>
    </>
  );
}

function View({ id, state, now }: { id: string; state: State; now: number }) {
  // Once opened the composer stays, so that what was written does.
  const [sending, setSending] = useState(false);
  useEffect(() => {
    if (id === "send") setSending(true);
  }, [id]);
  return (
    <>
      {id === "overview" && <Overview state={state} now={now} />}
      {id === "history" && <HistoryView state={state} />}
      {id === "calls" && <Calls state={state} />}
      {id === "outbox" && <OutboxView live={state.connection === "live"} />}
      {sending && (
        <div hidden={id !== "send"}>
          <Send state={state} />
        </div>
      )}
      {id === "sandbox" && <Sandbox state={state} />}
    </>
  );
}

/** Which of several bots the page is about. */
function Bot({ bots: { own, names } }: { bots: Bots }) {
  if (names.length === 0) return null;
  return (
    <label class="bot">
      Bot
      <select
        value={own}
        onChange={(e) => {
          openBot(e.currentTarget.value);
          e.currentTarget.value = own; // of this page, should somebody go back to it
        }}
      >
        {!own && <option value="">Choose</option>}
        {names.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function Health({ state, now }: { state: State; now: number }) {
  const cause = causeOf(state, now);
  const [kind, text] =
    cause ? [cause.kind === "bad" ? "bad" : "wait", cause.short]
    : state.connection === "connecting" ? ["wait", "Connecting"]
    : state.connection === "locked" ? ["wait", state.lock?.code === Code.PermissionDenied ? "Not allowed" : "Key needed"]
    : ["good", "Ready"];
  return (
    <p class={`health ${kind}`} role="status">
      {text}
    </p>
  );
}

/** What an admin must know first: a line for each cause. */
function Notices({ state, now }: { state: State; now: number }) {
  const cause = causeOf(state, now);
  const gateway = state.proxy?.gateway;
  const silent = gateway && ["disconnected", "ended", "paused"].includes(gateway.state);
  return (
    <div class="notices" role="status">
      {cause && (
        <p class={`notice ${cause.kind === "bad" ? "bad" : "warn"}`} data-notice={cause.short}>
          <strong>{cause.title}</strong> {cause.text} {silent && cause.blocks && "No events arrive either."}
        </p>
      )}
      {state.connection === "live" && state.again && now - state.since < 10_000 && (
        <p class="notice good" data-notice="again">
          Reconnected.
        </p>
      )}
      {gateway && silent && !cause && (
        <p class={`notice ${gateway.state === "ended" ? "bad" : "warn"}`} data-notice="gateway">
          <strong>{gateway.state === "ended" ? "Events have stopped:" : "No events arrive at the moment:"}</strong> {plain(gateway.reason)}. Calls still work.
          {gateway.state === "ended" && " Fix the cause, then restart the proxy."}
        </p>
      )}
      {state.proxy?.open && (
        <p class="notice warn">
          <strong>Anyone who can reach this address can use the bot.</strong> Clients need no key. Give them keys with --auth-file, or listen on 127.0.0.1 only.
        </p>
      )}
    </div>
  );
}

function About({ proxy, time }: { proxy: Proxy; time: number }) {
  const gateway = proxy.gateway;
  return (
    <>
      <span>Discord Proxy {proxy.version}</span>
      <span>{proxy.bot ? `logged in as ${proxy.bot}` : "not logged in yet"}</span>
      <span>
        {gateway ? `gateway ${gateway.state}, ${count(gateway.subscribers)} event ${gateway.subscribers === 1 ? "subscriber" : "subscribers"}` : "no gateway connection"}
      </span>
      {proxy.sandbox && <span>using the sandbox</span>}
      <span>running for {long(time - date(proxy.started).getTime())}</span>
      <span>{proxy.platform}</span>
    </>
  );
}

function Unlock({ lock, trying, bots }: { lock: Lock; trying: boolean; bots: Bots }) {
  const [key, setKey] = useState("");
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const unknown = lock.code === Code.Unauthenticated && lock.given;
  const denied = lock.code === Code.PermissionDenied;
  const otherBot = denied && /may not use bot/.test(lock.reason);
  const others = bots.names.some((name) => name !== bots.own);
  return (
    <>
      <form
        class="panel unlock"
        onSubmit={(e) => {
          e.preventDefault();
          if (!trying) store.unlock(key.trim());
        }}
      >
        <h2>{otherBot ? `This client may not use ${bots.own ? `the bot ${bots.own}` : "this bot"}` : denied ? "This client may not use the dashboard" : "This proxy requires a key"}</h2>
        <p class={lock.given ? "bad" : "note"} role="alert">
          {unknown ? "The proxy does not know this key." : sentence(lock.reason)}
        </p>
        {denied && others && <p>Choose another bot at the top of the page, or enter another key.</p>}
        <label>
          Client key
          <input ref={field} type="password" autoComplete="off" required value={key} onInput={(e) => setKey(e.currentTarget.value)} />
        </label>
        <p class="note">The page keeps the key until you close this tab.</p>
        <button type="submit" class="primary" disabled={trying}>
          {trying ? "Checking…" : "Continue"}
        </button>
      </form>
      {otherBot && !others && <OtherBot />}
    </>
  );
}

/** For a client that may not even see which bots there are. */
function OtherBot() {
  const [name, setName] = useState("");
  return (
    <form
      class="panel unlock other"
      onSubmit={(e) => {
        e.preventDefault();
        openBot(name);
      }}
    >
      <label>
        Name of another bot
        <input autoComplete="off" autoCapitalize="none" required pattern="[a-z0-9\-]{1,32}" title="1 to 32 lowercase letters, digits and hyphens" value={name} onInput={(e) => setName(e.currentTarget.value)} />
      </label>
      <button type="submit">Open</button>
    </form>
  );
}

const themes = ["auto", "light", "dark"] as const;
const themeName = "discordproxy-theme";

const chosenTheme = () => localStorage.getItem(themeName) ?? "auto";

function applyTheme() {
  const theme = chosenTheme();
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

function Theme() {
  const [theme, setTheme] = useState(chosenTheme);
  const choose = (t: string) => {
    if (t === "auto") localStorage.removeItem(themeName);
    else localStorage.setItem(themeName, t);
    applyTheme();
    setTheme(t);
  };
  return (
    <label class="theme">
      <span class="hidden">Colours</span>
      <select value={theme} onChange={(e) => choose(e.currentTarget.value)}>
        {themes.map((t) => (
          <option key={t} value={t}>
            {t === "auto" ? "System" : t === "light" ? "Light" : "Dark"}
          </option>
        ))}
      </select>
    </label>
  );
}

applyTheme();
render(<App />, document.body);
void store.run();
