// What the proxy reported, kept up to date over one stream that is opened again
// whenever it breaks.
import { Code, ConnectError, type Duration, type Timestamp } from "discordproxy";
import type {
  WatchStatusResponse,
  WatchStatusResponse_Call as Call,
  WatchStatusResponse_Proxy as Proxy,
  WatchStatusResponse_Sandbox as Sandbox,
} from "discordproxy/dashboard";
import type { GetRateLimitStatusResponse as Limits, Message } from "discordproxy/discord_api";
import { plain } from "./format.js";
import { clientKey, dashboard, onRefusal, setClientKey, statusOf } from "./api.js";

export type { Call, Proxy, Sandbox, Limits, Message };

/** Milliseconds. */
export const ms = (d: Duration | undefined) => (d ? Number(d.seconds) * 1000 + d.nanos / 1e6 : 0);
export const date = (t: Timestamp | undefined) => new Date(t ? Number(t.seconds) * 1000 + t.nanos / 1e6 : 0);

/** Milliseconds since the limits arrived. Clocks of the page tick apart, and a limit is never in the future. */
export const passed = (state: State, now: number) => Math.max(0, now - state.received);

const maxCalls = 200;
const maxMessages = 500;
const hour = 3_600_000;
/** The proxy says something every 15 seconds; after this it counts as lost. */
const patience = 40_000;
/** A hidden page closes its connection: a browser opens only six to an address, for all of its tabs. */
const unseen = 5_000;
const firstWait = 500;
const maxWait = 5_000;

/** Locked is a proxy that wants another key, or a first one. */
export type Connection = "connecting" | "live" | "lost" | "locked";

/** Why a proxy wants another key. */
export interface Lock {
  code: Code;
  reason: string;
  /** Whether it was shown a key. */
  given: boolean;
}

export interface State {
  connection: Connection;
  /** Why the connection was lost. */
  reason: string;
  lock?: Lock;
  /** Whether a key is being tried. */
  trying: boolean;
  /** When the connection was lost, or when it came back; milliseconds. */
  since: number;
  /** Whether it was lost before. */
  again: boolean;
  /** The proxy's clock minus this one's, in milliseconds. */
  skew: number;
  /** When the limits arrived, milliseconds of this clock. */
  received: number;
  proxy?: Proxy;
  limits?: Limits;
  drainsIn?: Duration;
  rate: number;
  /** Calls by code, by the start of ten seconds in milliseconds. */
  slots: Map<number, Record<string, number>>;
  /** Newest first. */
  calls: Call[];
  sandbox?: Sandbox;
  /** Of the sandbox, oldest first. */
  messages: Message[];
}

const empty = () => ({ rate: 0, slots: new Map<number, Record<string, number>>(), calls: [], messages: [] });

/** Why the connection ended, in words: what browsers say of a failed request is for developers. */
const lossOf = (err: ConnectError) => (/fetch|network|load failed|http 50[234]|missing (trailer|endstream)/i.test(err.rawMessage) ? "the proxy does not respond" : plain(err.rawMessage));

/** Ends a stream that nobody sees. */
const left = new ConnectError("nobody looks", Code.Canceled);

/** Resolves when the page is seen. */
const seen = () =>
  new Promise<void>((resolve) => {
    const look = () => {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    look();
  });

export class Store {
  state: State = { connection: "connecting", reason: "", trying: false, since: Date.now(), again: false, skew: 0, received: 0, ...empty() };
  private listeners = new Set<(state: State) => void>();
  private retry = () => {};
  private leave = (_: ConnectError) => {};

  constructor() {
    onRefusal((err) => this.leave(err));
  }

  /** Calls the listener with the state, now and whenever it changes. */
  subscribe(listener: (state: State) => void) {
    this.listeners.add(listener);
    listener(this.state);
    return () => void this.listeners.delete(listener);
  }

  private set(change: Partial<State>) {
    this.state = { ...this.state, ...change };
    for (const listener of this.listeners) listener(this.state);
  }

  /** Tries another key. */
  unlock(key: string) {
    setClientKey(key);
    this.set({ trying: true });
    this.retry();
  }

  /** Watches for ever, while the page is seen. */
  async run() {
    for (let wait = firstWait; ; wait = Math.min(2 * wait, maxWait)) {
      await seen();
      const err = await this.watch(() => (wait = firstWait));
      if (err === left) continue;
      const lock = this.lockOf(err);
      const first = this.state.connection === "live" || this.state.connection === "connecting";
      this.set({
        connection: lock ? "locked" : "lost",
        reason: lossOf(err),
        lock,
        trying: false,
        since: first ? Date.now() : this.state.since,
        again: this.state.again || this.state.connection === "live",
      });
      await new Promise<void>((resolve) => {
        this.retry = resolve;
        // A hidden page can wait, and many pages should not reconnect at the same time.
        if (!lock) setTimeout(resolve, wait * (0.5 + Math.random() / 2));
      });
    }
  }

  /** Why the error asks for another key, if it does: to try the same one again is of no use. */
  private lockOf(err: ConnectError): Lock | undefined {
    const given = clientKey() !== "";
    switch (err.code) {
      case Code.Unauthenticated:
        // Each reload would try the key again, and an address has few attempts.
        setClientKey("");
        break;
      case Code.PermissionDenied:
        break;
      case Code.ResourceExhausted: // too many keys were tried
        if (this.state.connection === "locked") break;
        return undefined;
      default:
        return undefined;
    }
    return { code: err.code, reason: err.rawMessage, given };
  }

  private async watch(works: () => void): Promise<ConnectError> {
    const abort = new AbortController();
    this.leave = (err) => abort.abort(err);
    let timer = 0;
    let hidden = 0;
    const look = () => {
      clearTimeout(hidden);
      if (document.hidden) hidden = window.setTimeout(() => this.leave(left), unseen);
    };
    document.addEventListener("visibilitychange", look);
    const wake = () => {
      clearTimeout(timer);
      timer = window.setTimeout(() => this.leave(new ConnectError("no data arrived for a while", Code.Unavailable)), patience);
    };
    try {
      wake();
      let first = true;
      for await (const message of dashboard.watchStatus({}, { signal: abort.signal })) {
        wake();
        if (first) {
          works();
          this.set({ ...empty(), proxy: undefined, limits: undefined, sandbox: undefined, connection: "live", lock: undefined, trying: false, since: Date.now() });
        }
        first = false;
        this.take(message);
      }
      return new ConnectError("the proxy ended the stream", Code.Unavailable);
    } catch (err) {
      return statusOf(err);
    } finally {
      clearTimeout(timer);
      clearTimeout(hidden);
      document.removeEventListener("visibilitychange", look);
      abort.abort();
    }
  }

  private take(m: WatchStatusResponse) {
    const now = Date.now();
    const change: Partial<State> = { rate: m.callsPerSecond, drainsIn: m.drainsIn, skew: date(m.time).getTime() - now };
    if (m.proxy) change.proxy = m.proxy;
    if (m.limits) {
      change.limits = m.limits;
      change.received = now;
    }
    if (m.sandbox) change.sandbox = m.sandbox;
    if (m.slots.length > 0) {
      const slots = new Map(this.state.slots);
      for (const slot of m.slots) slots.set(date(slot.start).getTime(), slot.calls);
      for (const start of slots.keys()) if (start < date(m.time).getTime() - hour) slots.delete(start);
      change.slots = slots;
    }
    if (m.calls.length > 0) change.calls = [...m.calls.toReversed(), ...this.state.calls].slice(0, maxCalls);
    if (m.sandboxMessages.length > 0) {
      const messages = new Map(this.state.messages.map((message) => [message.id, message]));
      for (const { message, deleted } of m.sandboxMessages) {
        if (message && deleted) messages.delete(message.id);
        else if (message) messages.set(message.id, message);
      }
      change.messages = [...messages.values()].slice(-maxMessages);
    }
    this.set(change);
  }
}
