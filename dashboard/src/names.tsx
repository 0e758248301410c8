// Names instead of IDs. The proxy knows them without asking Discord; what it does not
// know is asked again later.
import { useEffect, useState } from "preact/hooks";
import { dashboard } from "./api.js";
import { Copy } from "./parts.js";

export type Kind = "guild" | "channel" | "user";

interface Name {
  name: string;
  guild: string;
}

const known = new Map<string, Name>();
/** When a name was asked for that nobody knew, milliseconds. */
const unknown = new Map<string, number>();
const wanted = new Set<string>();
const listeners = new Set<() => void>();
const perCall = 500;
const again = 60_000;
let asking = false;

async function ask() {
  if (asking) return;
  asking = true;
  // What is shown at the same time is asked for together.
  await new Promise((resolve) => setTimeout(resolve, 50));
  const keys = [...wanted].slice(0, perCall);
  for (const key of keys) {
    wanted.delete(key);
    unknown.set(key, Date.now());
  }
  const ids = (kind: Kind) => keys.filter((key) => key.startsWith(kind)).map((key) => BigInt(key.slice(kind.length)));
  try {
    const found = await dashboard.getNames({ guildIds: ids("guild"), channelIds: ids("channel"), userIds: ids("user") });
    for (const [kind, names] of [["guild", found.guilds], ["channel", found.channels], ["user", found.users]] as const) {
      for (const { id, name, guild } of names) known.set(`${kind}${id}`, { name, guild });
    }
    for (const listener of listeners) listener();
  } catch {
    // The IDs stay.
  }
  asking = false;
  if (wanted.size > 0) void ask();
}

const sign = (kind: Kind) => (kind === "channel" ? "#" : kind === "user" ? "@" : "");

/** The name of something as text, its ID while that is not known. */
export function nameOf(kind: Kind, id: bigint): string {
  const name = known.get(`${kind}${id}`);
  return name ? sign(kind) + name.name : String(id);
}

/** What a target of a call is, by the name of its ID. */
export const kindOfTarget = (target: string): Kind | undefined => (/^(guild|channel|user)_id$/.test(target) ? (target.slice(0, -3) as Kind) : undefined);

/** Asks for names, and shows the component again when they come. */
export function useNames(ids: [Kind, bigint][]) {
  const [, changed] = useState(0);
  const keys = ids.map(([kind, id]) => `${kind}${id}`).join();
  useEffect(() => {
    const listener = () => changed((n) => n + 1);
    listeners.add(listener);
    const want = () => {
      for (const key of keys.split(",")) {
        if (key && !known.has(key) && Date.now() - (unknown.get(key) ?? 0) >= again) wanted.add(key);
      }
      if (wanted.size > 0) void ask();
    };
    want();
    const timer = setInterval(want, again);
    return () => {
      listeners.delete(listener);
      clearInterval(timer);
    };
  }, [keys]);
}

/** A name, with the ID on hover and to be copied where there is space. */
export function Named({ kind, id, copy = false }: { kind: Kind; id: bigint; copy?: boolean }) {
  useNames([[kind, id]]);
  const key = `${kind}${id}`;
  const name = known.get(key);
  const title = `${kind} ${id}${name?.guild ? ` of ${name.guild}` : ""}`;
  return (
    <span class="named" title={title}>
      {name ? nameOf(kind, id) : <span class="id">{String(id)}</span>}
      {copy && name && (
        <>
          {" "}
          <span class="note id">{String(id)}</span>
        </>
      )}
      {copy && (
        <>
          {" "}
          <Copy text={String(id)} label={`Copy the ID of ${kind} ${nameOf(kind, id)}`} />
        </>
      )}
    </span>
  );
}

/** A resource of a limit, such as "channel 123". */
export function Resource({ text }: { text: string }) {
  const found = /^(guild|channel) (\d{1,20})$/.exec(text);
  return found ? <Named kind={found[1] as Kind} id={BigInt(found[2]!)} /> : <span class="id">{text}</span>;
}
