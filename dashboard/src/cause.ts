// Why calls cannot succeed, in words: one cause, however many parts of the proxy
// notice it, and what to do.
import { count, long, plain, sentence, time } from "./format.js";
import { ms, passed, type State } from "./store.js";

export interface Cause {
  kind: "bad" | "warn" | "wait";
  /** In two words, for the top of the page. */
  short: string;
  title: string;
  text: string;
  /** Whether no call goes to Discord. */
  blocks: boolean;
}

const lost = (state: State): Cause => ({
  kind: "bad", short: "Connection lost", blocks: false, title: "Disconnected from the proxy",
  text: `since ${time(new Date(state.since))}: ${state.reason}. The page keeps trying to reconnect${state.proxy ? "; until then it shows the last known state" : ""}. Check that the proxy is running.`,
});

/** Reasons of the proxy that have an explanation of their own, the most telling first. */
const known: { of: RegExp; cause: Omit<Cause, "blocks"> }[] = [
  { of: /the proxy is shutting down/, cause: { kind: "bad", short: "Shutting down", title: "The proxy is shutting down.", text: "Calls in progress are finished; new calls are refused." } },
  { of: /Discord refuses the bot's token|Discord refused the bot token/, cause: {
    kind: "bad", short: "Token refused", title: "Discord refuses the bot's token.",
    text: "Create a new token in Discord's developer portal, put it into the token file, and reload or restart the proxy.",
  } },
  { of: /Discord cannot be reached|no valid response from Discord/, cause: {
    kind: "bad", short: "Discord unreachable", title: "Discord cannot be reached.",
    text: "Calls wait until Discord responds or they time out. Check this machine's network connection and discordstatus.com.",
  } },
  { of: /the bot's token is being checked/, cause: { kind: "wait", short: "Starting", title: "The proxy is starting:", text: "Discord is checking the bot's token." } },
];

/** The cause that somebody must know first, undefined when all is well. */
export function causeOf(state: State, now: number): Cause | undefined {
  const { limits, connection } = state;
  const reasons = state.proxy?.reasons ?? [];
  const left = (d: Parameters<typeof ms>[0]) => Math.max(0, ms(d) - passed(state, now));
  if (connection === "lost") return lost(state);
  if (connection !== "live") return undefined;
  if (limits?.ban) {
    const wait = left(limits.ban.retryAfter);
    const next = wait > 0 ? `The proxy refuses calls for ${long(wait)}` : "The next call shows whether the block has ended";
    return {
      kind: "bad", short: "Banned", blocks: true, title: "Discord blocks this server's address:",
      text: `no call can succeed. ${next}. Find the callers whose calls Discord refuses, and stop them: Discord blocks an address after too many refused calls.`,
    };
  }
  const said = limits?.tokenRefused ? ["Discord refuses the bot's token"] : reasons;
  const { cause } = known.find(({ of }) => said.some((reason) => of.test(reason))) ?? {};
  if (cause) return { ...cause, blocks: cause.kind === "bad" };
  if (reasons.length > 0) return { kind: "bad", short: "Not ready", blocks: true, title: "Calls cannot succeed:", text: reasons.map((r) => sentence(plain(r))).join(" ") };
  const invalid = limits?.invalidRequests;
  if (invalid?.refusing) {
    return {
      kind: "bad", short: "Refusing calls", blocks: true, title: "The proxy refuses calls",
      text: `because Discord has refused ${count(invalid.count)} of them in the last 10 minutes, and blocks an address after ${count(invalid.limit)}. Stop the callers whose calls fail with permission_denied or unauthenticated; calls resume as the old refusals expire.`,
    };
  }
  const paused = left(limits?.global?.pausedFor);
  if (paused > 1_000) {
    return {
      kind: "warn", short: "Paused", blocks: true, title: "Discord has paused the bot",
      text: `for ${long(paused)}, because it exceeded the global limit. Calls wait and are sent afterwards; no action is needed. If this happens often, set --global-rate-limit lower, or look for other programs that use the same token.`,
    };
  }
  return undefined;
}
