// Numbers and times as people read them.

const whole = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

export const count = (n: number) => whole.format(n);
export const time = (d: Date) => clock.format(d);

export const rate = (n: number) => (n === 0 ? "0" : n.toFixed(n < 0.1 ? 2 : n < 10 ? 1 : 0));

/** A duration of calls: 0, 12 ms, 3.4 s, 2 min 5 s. */
export function duration(ms: number): string {
  if (ms === 0) return "0";
  if (ms < 1) return "< 1 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  return long(ms);
}

/** A duration in its two largest units: 5 s, 2 min 5 s, 3 h 2 min, 4 d 1 h. */
export function long(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const units: [number, string][] = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const first = units.findIndex(([size]) => seconds >= size);
  if (first < 0) return "0 s";
  let rest = seconds;
  return units
    .slice(first, first + 2)
    .map(([size, name]) => {
      const n = Math.floor(rest / size);
      rest -= n * size;
      return n > 0 ? `${n} ${name}` : "";
    })
    .filter(Boolean)
    .join(" ");
}

/** What a code means for an admin. */
export type Kind = "good" | "left" | "limited" | "refused" | "failed";

export const kinds: Record<Kind, string> = {
  good: "succeeded",
  left: "cancelled by the caller",
  refused: "refused",
  limited: "over a limit or timed out",
  failed: "failed",
};

export function kindOf(code: string): Kind {
  switch (code) {
    case "ok":
      return "good";
    case "canceled":
      return "left";
    case "resource_exhausted":
    case "deadline_exceeded":
      return "limited";
    case "unavailable":
    case "internal":
    case "unknown":
    case "data_loss":
    case "unimplemented":
      return "failed";
    default:
      return "refused";
  }
}

/** What the proxy says, as a sentence of its own. */
export const sentence = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

const goDuration = /\b(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)(ms|[µu]s|ns|s))?\b/g;
const goUnits: Record<string, number> = { s: 1000, ms: 1, µs: 0.001, us: 0.001, ns: 1e-6 };
const timestamp = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g;

/** A text of the proxy with its times and durations as people read them. */
export const plain = (text: string) =>
  text
    .replace(/^context deadline exceeded$/, "the deadline of the caller passed")
    .replace(/^context canceled$/, "the caller cancelled the call")
    .replace(timestamp, (t) => time(new Date(t)))
    .replace(goDuration, (whole: string, h?: string, m?: string, n?: string, unit?: string) =>
      whole === "" ? whole : duration(Number(h ?? 0) * 3_600_000 + Number(m ?? 0) * 60_000 + Number(n ?? 0) * (goUnits[unit ?? "s"] ?? 0)),
    );
