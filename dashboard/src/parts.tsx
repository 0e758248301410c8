// Small parts that several views have.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { count, kindOf } from "./format.js";

export function Panel({ title, note, id, children }: { title: string; note?: ComponentChildren; id: string; children: ComponentChildren }) {
  return (
    <section class="panel" aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {note && <div class="note">{note}</div>}
      </header>
      {children}
    </section>
  );
}

/** How much of something is used. With much of it used the bar is amber, with all of it red. */
export function Meter({ label, value, max, warn = 0.8 }: { label: string; value: number; max: number; warn?: number }) {
  const part = max > 0 ? Math.min(1, value / max) : 0;
  return <Bar label={label} value={value} max={max} part={part} level={part >= 1 ? "full" : part >= warn ? "warn" : ""} />;
}

/** How much of something is left: the bar empties towards 0, and is amber when little is left. */
export function Left({ label, value, max, warn = 0.25 }: { label: string; value: number; max: number; warn?: number }) {
  const part = max > 0 ? Math.max(0, Math.min(1, value / max)) : 0;
  return <Bar label={label} value={value} max={max} part={part} level={part <= warn ? "warn" : ""} />;
}

const Bar = ({ label, value, max, part, level }: { label: string; value: number; max: number; part: number; level: string }) => (
  <span class={`meter ${level}`} role="meter" aria-label={label} aria-valuenow={value} aria-valuemin={0} aria-valuemax={Math.max(max, value)}>
    <span style={{ width: `${part * 100}%` }} />
  </span>
);

/** Who has how much of something, the most first. */
export function Shares({ title, counts, show = (name) => name, action }: {
  title: string;
  counts: Map<string, number>;
  show?: (name: string) => ComponentChildren;
  /** What can be done about one of them. */
  action?: (name: string) => ComponentChildren;
}) {
  const sorted = [...counts].sort(([a, n], [b, m]) => m - n || a.localeCompare(b));
  const top = sorted[0]?.[1] ?? 1;
  const shown = sorted.slice(0, 12);
  const others = sorted.slice(12).reduce((sum, [, n]) => sum + n, 0);
  return (
    <div class="shares">
      <h3>{title}</h3>
      <dl>
        {[...shown, ...(others ? [[`${sorted.length - 12} others`, others] as const] : [])].map(([name, n]) => (
          <div key={name}>
            <dt>{show(name)}</dt>
            <dd>
              <span class="share" style={{ width: `${Math.min(100, (100 * n) / top)}%` }} />
              <span class="n">{count(n)}</span>
              {counts.has(name) && action?.(name)}
            </dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

export const CodeTag = ({ code }: { code: string }) => <span class={`code ${kindOf(code)}`}>{code}</span>;

/** A scrollable region is reached by keyboard. */
export const Scroll = ({ label, children }: { label: string; children: ComponentChildren }) => (
  <div class="scroll" role="region" aria-label={label} tabIndex={0}>
    {children}
  </div>
);

export function Copy({ text, label, name = "Copy" }: { text: string | (() => string); label: string; name?: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(typeof text === "string" ? text : text());
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <button type="button" class="small" aria-label={label} onClick={() => void copy()}>
      {copied ? "Copied" : name}
    </button>
  );
}
