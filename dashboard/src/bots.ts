// Which of the proxy's bots the page is about: the one that its address names below
// /bots/, or the default bot.
import { useEffect, useState } from "preact/hooks";
import { Code } from "discordproxy";
import { dashboardAt } from "./api.js";
import { base } from "./base.js";
import type { State } from "./store.js";

export interface Bots {
  /** Name of the page's bot, "" while it is not known. */
  own: string;
  /** Names of the bots that the client may see. None if the proxy has one bot without a name. */
  names: string[];
  /** Where the proxy is, whichever bot is meant. */
  root: string;
}

/** What the proxy calls its bot if its configuration has no name for it. */
const unnamed = "default";
/** Where the tab keeps the names, for the page of a bot that the client may not use. */
const listName = "discordproxy-bots";

function remembered(): string[] {
  try {
    return JSON.parse(sessionStorage.getItem(listName) ?? "[]") as string[];
  } catch {
    return [];
  }
}

/** Has the next user of the tab find nothing. */
export const forget = () => sessionStorage.removeItem(listName);

/** A bot that the client may not see is listed on its own page, too. */
const withOwn = (names: string[], own: string) => (names.length === 0 || !own || names.includes(own) ? names : [...names, own].sort());

/** What the address alone shows. */
function guess(): Bots {
  const [path = "", own = ""] = /\/bots\/([a-z0-9-]{1,32})$/.exec(base) ?? [];
  return { own, names: withOwn(remembered(), own), root: base.slice(0, base.length - path.length) };
}

let known = guess();

/** Name of the page's bot, "" if the proxy has no names for its bots. */
export const botName = () => (known.names.length > 0 ? known.own : "");

const pageOf = (name: string) => `${known.root}/bots/${name}`;

/** Where programs find the page's bot, whichever is the default bot. */
export const address = () => (botName() ? pageOf(botName()) : base);

/** Opens the page of another bot, and keeps the view. */
export const openBot = (name: string) => location.assign(`${pageOf(name)}/${location.hash}`);

async function load() {
  // The default bot's page knows all bots, too, if the client may not use this one.
  for (const at of new Set([base, known.root])) {
    try {
      const { bot, bots } = await dashboardAt(at).getFleet({});
      const path = `/bots/${bot}`;
      const all = bots.map((b) => b.name);
      const names = all.length === 1 && all[0] === unnamed ? [] : all;
      known = at === base ? { own: bot, names, root: base.endsWith(path) ? base.slice(0, -path.length) : base } : { ...known, names };
      if (names.length > 0) sessionStorage.setItem(listName, JSON.stringify(names));
      else forget();
      known.names = withOwn(names, known.own);
      return;
    } catch {
      // What the tab found before stays.
    }
  }
}

/** The bots, which are asked for when the proxy answers or refuses. */
export function useBots({ connection, lock }: State): Bots {
  const [bots, setBots] = useState(known);
  useEffect(() => {
    if (connection === "live" || lock?.code === Code.PermissionDenied) void load().then(() => setBots(known));
  }, [connection, lock]);
  useEffect(() => {
    document.title = botName() ? `${bots.own} · Discord Proxy` : "Discord Proxy";
  }, [bots]);
  return bots;
}
