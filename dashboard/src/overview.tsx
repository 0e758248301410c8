// The overview: what is going on, for how long it will, and how near the limits
// are.
import { count, duration, kindOf, kinds, long, rate, type Kind } from "./format.js";
import { Resource } from "./names.js";
import { CodeTag, Left, Meter, Panel, Scroll } from "./parts.js";
import { CallTable } from "./calls.js";
import { causeOf } from "./cause.js";
import { Fleet } from "./fleet.js";
import { ms, passed, type Limits, type State } from "./store.js";

export function Overview({ state, now }: { state: State; now: number }) {
  return (
    <>
      <Tiles state={state} now={now} />
      <div class="columns">
        <Hour state={state} now={now} />
        <Buckets state={state} now={now} />
      </div>
      <Fleet live={state.connection === "live"} now={now} />
      <Panel id="latest" title="Latest calls" note={<a href="#calls">All {count(state.calls.length)}</a>}>
        <CallTable state={state} calls={state.calls.slice(0, 8)} />
      </Panel>
    </>
  );
}

function Tile({ name, value, unit, children }: { name: string; value: string; unit?: string; children?: preact.ComponentChildren }) {
  return (
    <div class="tile">
      <dt>{name}</dt>
      <dd>
        <span class="value" data-value={name}>
          {value}
        </span>
        {unit && <span class="unit"> {unit}</span>}
        <div class="below">{children}</div>
      </dd>
    </div>
  );
}

function Tiles({ state, now }: { state: State; now: number }) {
  const limits = state.limits;
  if (!limits) return null;
  const drains = state.drainsIn && Math.max(0, ms(state.drainsIn) - passed(state, now));
  const paused = ms(limits.global?.pausedFor) - passed(state, now);
  const invalid = limits.invalidRequests;
  return (
    <dl class="tiles">
      <Tile name="Calls" value={rate(state.rate)} unit="a second">
        {count(limits.inFlight)} at Discord now
      </Tile>
      <Tile name="Waiting" value={count(limits.waiting)} unit={`of ${count(limits.maxWaiting)}`}>
        {drains === undefined ? "no calls are waiting" : `all sent in about ${long(drains)}`}
      </Tile>
      <Tile name="Global limit" value={limits.global?.limit ? `${limits.global.used}` : "off"} unit={limits.global?.limit ? `of ${limits.global.limit} a second` : undefined}>
        {paused > 0 ? (
          <span class="bad">paused by Discord for {long(paused)}</span>
        ) : (
          <Meter label="Use of the global limit" value={limits.global?.used ?? 0} max={limits.global?.limit ?? 0} />
        )}
      </Tile>
      <Tile name="Invalid requests" value={count(invalid?.count ?? 0)} unit={`of ${count(invalid?.limit ?? 0)} in 10 min`}>
        {invalid?.refusing ? (
          <span class="bad">calls are refused to avoid a ban</span>
        ) : (
          <Meter label="Use of the budget of invalid requests" value={invalid?.count ?? 0} max={invalid?.limit ?? 0} />
        )}
      </Tile>
    </dl>
  );
}

const bars = 120;
const barLength = 30_000;
const order: Kind[] = ["good", "left", "refused", "limited", "failed"];

/** Calls of the last hour, a bar for each half minute. */
function Hour({ state, now }: { state: State; now: number }) {
  const end = (Math.floor((now + state.skew) / barLength) + 1) * barLength;
  const heights = Array.from({ length: bars }, (): Record<Kind, number> => ({ good: 0, left: 0, refused: 0, limited: 0, failed: 0 }));
  const codes = new Map<string, number>();
  for (const [start, calls] of state.slots) {
    const bar = heights[bars - Math.ceil((end - start) / barLength)];
    if (!bar) continue;
    for (const [code, n] of Object.entries(calls)) {
      bar[kindOf(code)] += n;
      codes.set(code, (codes.get(code) ?? 0) + n);
    }
  }
  const total = [...codes.values()].reduce((a, b) => a + b, 0);
  const top = Math.max(1, ...heights.map((bar) => order.reduce((sum, kind) => sum + bar[kind], 0)));
  const unit = 60 / top;
  return (
    <Panel id="hour" title="Calls in the last hour" note={<strong data-value="hour">{count(total)}</strong>}>
      <div class="chart">
        <svg viewBox={`0 0 ${bars * 4} 60`} preserveAspectRatio="none" role="img" aria-label={`${count(total)} calls in the last hour, at most ${count(top)} in half a minute`}>
          {heights.map((bar, i) => {
            let y = 60;
            return order.map((kind) => {
              if (bar[kind] === 0) return null;
              const height = Math.max(1, bar[kind] * unit);
              y -= height;
              return <rect key={`${i}${kind}`} class={kind} x={i * 4} y={y} width={3} height={height} />;
            });
          })}
        </svg>
        <span class="top">{rate((top / barLength) * 1000)} a second</span>
        <span class="from">60 min ago</span>
        <span class="to">now</span>
      </div>
      <ul class="codes">
        {[...codes].sort(([a, n], [b, m]) => m - n || a.localeCompare(b)).map(([code, n]) => (
          <li key={code}>
            <CodeTag code={code} /> {count(n)} <span class="note">{kinds[kindOf(code)]}</span>
          </li>
        ))}
        {total === 0 && <li class="note">No calls yet. Send one from the <a href="#send">composer</a>.</li>}
      </ul>
    </Panel>
  );
}

type Bucket = Limits["buckets"][number];

/** The shortest name that identifies a route: the method and what it is about. */
const routeOf = (b: Bucket) => (b.routes[0] ?? "").replace(/\{(\w+?)(_id|_name)?\}/g, "{$1}");

function Buckets({ state, now }: { state: State; now: number }) {
  const limits = state.limits;
  const left = (d: Parameters<typeof ms>[0]) => Math.max(0, ms(d) - passed(state, now));
  const blocked = causeOf(state, now)?.blocks;
  const busy = limits?.buckets ?? [];
  return (
    <Panel id="buckets" title="Busy limits" note={limits && `${busy.length} of ${count(limits.knownBuckets)} known`}>
      {busy.length === 0 ? (
        <p class="empty">{blocked ? "No calls reach Discord at the moment." : "No rate limit is in use."}</p>
      ) : (
        <Scroll label="Table of limits">
          <table>
            <thead>
              <tr>
                <th scope="col">Route</th>
                <th scope="col" class="n">Left</th>
                <th scope="col" class="n wide">Resets in</th>
                <th scope="col" class="n">Queue</th>
                <th scope="col" class="n">Clears in</th>
              </tr>
            </thead>
            <tbody>
              {busy.map((b) => (
                <tr key={b.routes[0] + b.resource + b.hash}>
                  <td>
                    <span class="route">
                      {routeOf(b).split(/(?<=\/)/).map((part) => (
                        <>
                          {part}
                          <wbr />
                        </>
                      ))}
                    </span>
                    {b.routes.length > 1 && <span class="note"> and {b.routes.length - 1} more</span>}
                    <br />
                    <span class="note">
                      <Resource text={b.resource} />
                    </span>
                    {b.blockedFor && <span class="note">, blocked for {long(left(b.blockedFor))}</span>}
                  </td>
                  <td class="n">
                    {b.limit > 0 ? `${b.remaining} / ${b.limit}` : "unknown"}
                    {b.limit > 0 && <Left label={`Left of ${routeOf(b)}`} value={b.remaining} max={b.limit} />}
                  </td>
                  <td class="n wide">{b.resetAfter ? duration(left(b.resetAfter)) : ""}</td>
                  <td class="n">{b.waiting > 0 ? <strong>{count(b.waiting)}</strong> : "0"}</td>
                  <td class="n">{b.estimatedWait ? long(left(b.estimatedWait)) : ""}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </Panel>
  );
}
