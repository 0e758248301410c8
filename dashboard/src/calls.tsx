// The last calls, to be searched, and each in detail.
import { Fragment, type ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { readable } from "./api.js";
import { beyond } from "./draft.js";
import { count, duration, time } from "./format.js";
import { kindOfTarget, Named, nameOf, useNames, type Kind } from "./names.js";
import { CodeTag, Copy, Panel, Scroll } from "./parts.js";
import { writeAgain } from "./send.js";
import { Waiting } from "./waiting.js";
import { date, ms, type Call, type State } from "./store.js";

/** Everything of a call that a search looks at. */
const text = (c: Call) => {
  const kind = kindOfTarget(c.target);
  return [c.method, c.target, c.id, kind && nameOf(kind, c.id), c.code, c.caller, c.protocol, c.requestId, c.error].join(" ").toLowerCase();
};

/** What the address of the page says after its view. */
const inAddress = () => new URLSearchParams(location.hash.split("?")[1] ?? "");

const columns = ["ended", "method", "target", "id", "name", "code", "error", "took_ms", "waited_ms", "at_discord_ms", "tries", "caller", "protocol", "request_id"];

/** Calls as CSV. A cell that a spreadsheet would take for a formula begins with an apostrophe. */
function csv(calls: Call[]): string {
  const cell = (value: string | number | bigint) => {
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const rows = calls.map((c) => {
    const kind = kindOfTarget(c.target);
    const name = kind && c.id ? nameOf(kind, c.id) : "";
    return [date(c.ended).toISOString(), c.method, c.target, c.id || "", name === String(c.id) ? "" : name, c.code, c.error, ms(c.took), ms(c.waited), ms(c.atDiscord), c.tries, c.caller, c.protocol, c.requestId];
  });
  return [columns, ...rows].map((row) => row.map(cell).join(",") + "\r\n").join("");
}

function save(name: string, text: string) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href));
}

export function Calls({ state }: { state: State }) {
  const [query, setQuery] = useState(() => inAddress().get("q") ?? "");
  const [code, setCode] = useState(() => inAddress().get("code") ?? "");
  /** The calls as they were when the list was paused. */
  const [paused, setPaused] = useState<Call[]>();
  useEffect(() => {
    const changed = () => {
      setQuery(inAddress().get("q") ?? "");
      setCode(inAddress().get("code") ?? "");
    };
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  useEffect(() => {
    const filter = new URLSearchParams({ ...(query && { q: query }), ...(code && { code }) }).toString();
    if (location.hash.slice(1).split("?")[0] === "calls") history.replaceState(null, "", `#calls${filter && `?${filter}`}`);
  }, [query, code]);
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const calls = paused ?? state.calls;
  // Calls are found by names, too, whether they are shown or not.
  useNames(calls.flatMap((c): [Kind, bigint][] => (kindOfTarget(c.target) && c.id ? [[kindOfTarget(c.target)!, c.id]] : [])));
  const found = calls.filter(
    (c) => (code === "" || (code === "errors" ? c.code !== "ok" : c.code === code)) && words.every((word) => text(c).includes(word)),
  );
  const codes = [...new Set([...calls.map((c) => c.code), ...(code && code !== "errors" ? [code] : [])])].sort();
  const newer = paused ? state.calls.filter((c) => c.number > (paused[0]?.number ?? 0n)).length : 0;
  return (
    <>
      {state.proxy?.open === false && <Waiting state={state} list />}
      <Panel id="last" title="Recent calls" note={`${count(found.length)} of ${count(calls.length)}; the last 200 are kept`}>
        <form class="filter" onSubmit={(e) => e.preventDefault()}>
          <label>
            Search
            <input type="search" value={query} placeholder="method, name, id, caller, error" onInput={(e) => setQuery(e.currentTarget.value)} />
          </label>
          <label>
            Code
            <select value={code} onChange={(e) => setCode(e.currentTarget.value)}>
              <option value="">all</option>
              <option value="errors">all errors</option>
              {codes.map((c) => (
                <option key={c}>{c}</option>
              ))}
            </select>
          </label>
          <div class="actions">
            <button type="button" aria-pressed={paused !== undefined} onClick={() => setPaused(paused ? undefined : state.calls)}>
              {paused ? `Resume${newer ? ` (${newer} new)` : ""}` : "Pause"}
            </button>
            <Copy text={() => location.href} label="Copy link to this filter" name="Copy link" />
            <button type="button" class="small" disabled={found.length === 0} onClick={() => save("calls.csv", csv(found))}>
              Export CSV
            </button>
          </div>
        </form>
        <CallTable state={state} calls={found} />
      </Panel>
    </>
  );
}

export function CallTable({ state, calls }: { state: State; calls: Call[] }) {
  const [open, setOpen] = useState<bigint>();
  const toggle = (c: Call) => setOpen((old) => (old === c.number ? undefined : c.number));
  if (state.proxy?.open) {
    return (
      <p class="empty">
        Others can reach this proxy without a key, so it does not show who calls what. Listen on a loopback address, or give clients keys with --auth-file.
      </p>
    );
  }
  if (calls.length === 0) return <p class="empty">{state.calls.length === 0 ? "No calls yet." : "No calls match."}</p>;
  return (
    <Scroll label="Table of calls">
      <table class="calls">
        <thead>
          <tr>
            <th scope="col">Ended</th>
            <th scope="col">Method</th>
            <th scope="col" class="wide">Target</th>
            <th scope="col">Code</th>
            <th scope="col" class="n">Waited</th>
            <th scope="col" class="n wide">At Discord</th>
            <th scope="col" class="wide">Caller</th>
          </tr>
        </thead>
        <tbody>
          {calls.map((c) => (
            <Fragment key={c.number}>
              {/* The button does the same by keyboard. */}
              <tr class="openable" onClick={(e) => !(e.target as Element).closest("button, a") && !getSelection()?.toString() && toggle(c)}>
                <td class="n">{time(date(c.ended))}</td>
                <td>
                  <button type="button" class="row" aria-expanded={open === c.number} onClick={() => toggle(c)}>
                    {c.method.split(/(?<=\/)/).map((part) => (
                      <>
                        {part}
                        <wbr />
                      </>
                    ))}
                  </button>
                </td>
                <td class="about wide">
                  <About call={c} />
                </td>
                <td class="outcome">
                  <CodeTag code={c.code} />
                  {c.error && <span class="reason note">{readable(c.error)}</span>}
                </td>
                <td class="n waited">{duration(ms(c.waited))}</td>
                <td class="n wide">{duration(ms(c.atDiscord))}</td>
                <td class="id wide">{c.caller}</td>
              </tr>
              {open === c.number && (
                <tr class="detail">
                  <td colSpan={7}>
                    <Detail call={c} contents={state.proxy?.contents ?? false} />
                  </td>
                </tr>
              )}
            </Fragment>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Detail({ call: c, contents }: { call: Call; contents: boolean }) {
  return (
    <dl>
      <Row name="Ended" value={date(c.ended).toLocaleString()} />
      {c.target && <Row name={c.target.replace(/_id$/, "")} value={<About call={c} copy />} />}
      {c.error && <Row name="Error" value={readable(c.error)} />}
      <Row name="Duration" value={`${duration(ms(c.took))}: waited ${duration(ms(c.waited))}, at Discord ${duration(ms(c.atDiscord))}`} />
      <Row name="Requests to Discord" value={String(c.tries)} />
      <Row name="Caller" value={`${c.caller} over ${c.protocol}`} />
      <Row name="Request ID" value={c.requestId} />
      {/^Send(Channel|Direct)Message$/.test(c.method) && c.code !== "ok" && (
        <Row name="Send again" value={<Again content={c.content} contents={contents} />} />
      )}
      {contents ? c.content && <Row name="Request" value={c.content} /> : <Row name="Request" value="not shown; start the proxy with --dashboard-show-content to see it" />}
    </dl>
  );
}

/** Leads to the composer, or says why it cannot restore the message. */
function Again({ content, contents }: { content: string; contents: boolean }) {
  if (!contents) return <>the proxy does not keep the content of messages; --dashboard-show-content changes that</>;
  let request;
  try {
    request = JSON.parse(content);
  } catch {
    return <>the proxy kept only part of this message</>;
  }
  const more = beyond(request);
  if (more.length > 0) return <>the composer cannot restore the {more.join(", ")} of this message</>;
  return (
    <button type="button" class="small" onClick={() => writeAgain(content)}>
      Open in the composer
    </button>
  );
}

/** What a call is about. */
function About({ call: c, copy = false }: { call: Call; copy?: boolean }) {
  const kind = kindOfTarget(c.target);
  if (kind && c.id) return <Named kind={kind} id={c.id} copy={copy} />;
  return <span class="id">{c.id ? String(c.id) : ""}</span>;
}

const Row = ({ name, value }: { name: string; value: ComponentChildren }) => (
  <div>
    <dt>{name}</dt>
    <dd class="id">{value}</dd>
  </div>
);
