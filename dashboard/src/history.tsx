// The last minutes, hours or the day as charts. What draws them comes when it is first
// wanted: it is a fifth of the page.
import { useEffect, useRef, useState } from "preact/hooks";
import type { GetHistoryResponse } from "discordproxy/dashboard";
import { dashboard, failure } from "./api.js";
import { count, duration, kindOf } from "./format.js";
import { Panel } from "./parts.js";
import { date, ms, type State } from "./store.js";
import { Waiting } from "./waiting.js";
import type { Chart } from "./chart.js";

const ranges = [
  { id: "5m", name: "5 min", seconds: 300n },
  { id: "1h", name: "1 h", seconds: 3600n },
  { id: "24h", name: "24 h", seconds: 86_400n },
];

const colours: Record<ReturnType<typeof kindOf>, string> = { good: "--good-bar", left: "--strong-line", refused: "--refused-bar", limited: "--limited-bar", failed: "--failed-bar" };

const seconds = (n: number) => duration(n * 1000);

export function HistoryView({ state }: { state: State }) {
  const [range, setRange] = useState(ranges[1]!);
  const [past, setPast] = useState<GetHistoryResponse>();
  const [error, setError] = useState("");
  const live = state.connection === "live";
  useEffect(() => {
    if (!live) return;
    let stale = false;
    const load = async () => {
      if (document.hidden) return;
      try {
        const answer = await dashboard.getHistory({ range: { seconds: range.seconds } });
        if (stale) return;
        setPast(answer);
        setError("");
      } catch (err) {
        if (!stale) setError(failure(err).text);
      }
    };
    void load();
    const timer = setInterval(load, range.seconds > 3600n ? 30_000 : 5_000);
    return () => {
      stale = true;
      clearInterval(timer);
    };
  }, [live, range]);
  const begin = past ? date(past.start).getTime() / 1000 : 0;
  const step = past ? ms(past.step) / 1000 : 10;
  const times = (past?.waiting ?? []).map((_, i) => begin + i * step);
  const per = step === 60 ? "per minute" : `per ${step} s`;
  return (
    <>
      <fieldset class="tabs ranges">
        <legend class="hidden">Range</legend>
        {ranges.map((r) => (
          <label key={r.id}>
            <input type="radio" name="range" checked={r === range} onChange={() => setRange(r)} />
            <span>{r.name}</span>
          </label>
        ))}
      </fieldset>
      {error && (
        <p class="notice bad" role="alert">
          <strong>Failed to load the history:</strong> {error}
        </p>
      )}
      {past && (
        <div class="charts">
          <Plot id="calls-chart" title={`Calls ${per}, by code`} times={times} stacked whole
            lines={past.calls.map((c) => ({ label: c.code, colour: colours[kindOf(c.code)], values: c.counts }))} format={count}
            note={`${count(past.calls.reduce((sum, c) => sum + c.counts.reduce((a, b) => a + b, 0), 0))} in total`} />
          <Plot id="queue-chart" title="Waiting calls over time" times={times} whole lines={[{ label: "waiting", colour: "--limited-bar", values: past.waiting }]} format={count} />
          <Plot id="wait-chart" title="Waiting time" times={times} format={seconds}
            lines={[{ label: "p50", colour: "--good-bar", values: past.waitedP50 }, { label: "p99", colour: "--failed-bar", values: past.waitedP99 }]} />
          <Plot id="discord-chart" title="Discord's response time" times={times} format={seconds}
            lines={[{ label: "p50", colour: "--good-bar", values: past.discordP50 }, { label: "p99", colour: "--failed-bar", values: past.discordP99 }]} />
          <Plot id="limited-chart" title={`429 responses ${per}`} times={times} whole lines={[{ label: "429", colour: "--failed-bar", values: past.limited }]} format={count} />
          <Plot id="global-chart" title="Requests in the busiest second" times={times} whole
            lines={[
              { label: "requests", colour: "--accent", values: past.busiestSecond },
              ...(past.globalLimit ? [{ label: "global limit", colour: "--refused-bar", values: past.busiestSecond.map(() => past.globalLimit), dashed: true }] : []),
            ]}
            format={count} />
        </div>
      )}
      <Waiting state={state} list={false} />
    </>
  );
}

export interface Line {
  label: string;
  /** A custom property of the style sheet. */
  colour: string;
  /** NaN is a gap. */
  values: number[];
  dashed?: boolean;
}

export interface Drawing {
  times: number[];
  lines: Line[];
  /** Whether each line stands on the one before. */
  stacked?: boolean;
  /** Whether values are whole numbers. */
  whole?: boolean;
  format: (n: number) => string;
}

function Plot({ id, title, note, ...drawing }: Drawing & { id: string; title: string; note?: string }) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<Chart | undefined>(undefined);
  const newest = useRef(drawing);
  newest.current = drawing;
  useEffect(() => {
    let gone = false;
    void import("./chart.js").then(({ Chart }) => {
      if (!gone && place.current) chart.current = new Chart(place.current, newest.current);
    });
    return () => {
      gone = true;
      chart.current?.end();
    };
  }, []);
  useEffect(() => chart.current?.draw(drawing));
  const peaks = drawing.lines.map((l) => {
    const measured = l.values.filter((v) => !Number.isNaN(v));
    return `${l.label} at most ${measured.length > 0 ? drawing.format(Math.max(...measured)) : "not measured"}`;
  });
  return (
    <Panel id={id} title={title} note={note}>
      <div class="plot" ref={place} role="img" aria-label={`${title}: ${peaks.join(", ") || "no data yet"}`} />
    </Panel>
  );
}
