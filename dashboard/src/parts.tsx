// Small parts that several views have.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { kindOf } from "./format.js";

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

/** How much of something is used. */
export function Meter({ label, value, max, warn = 0.8 }: { label: string; value: number; max: number; warn?: number }) {
  const part = max > 0 ? Math.min(1, value / max) : 0;
  return (
    <span class={part >= warn ? "meter warn" : "meter"} role="meter" aria-label={label} aria-valuenow={value} aria-valuemin={0} aria-valuemax={Math.max(max, value)}>
      <span style={{ width: `${part * 100}%` }} />
    </span>
  );
}

export const CodeTag = ({ code }: { code: string }) => <span class={`code ${kindOf(code)}`}>{code}</span>;

/** A scrollable region is reached by keyboard. */
export const Scroll = ({ label, children }: { label: string; children: ComponentChildren }) => (
  <div class="scroll" role="region" aria-label={label} tabIndex={0}>
    {children}
  </div>
);

export function Copy({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <button type="button" class="small" aria-label={label} onClick={() => void copy()}>
      {copied ? "Copied" : "Copy"}
    </button>
  );
}
