// The servers that share a database: who leads each bot, and what each has to do.
import { useEffect, useState } from "preact/hooks";
import type { GetFleetResponse } from "discordproxy/dashboard";
import { dashboard } from "./api.js";
import { count, long, rate } from "./format.js";
import { Panel, Scroll } from "./parts.js";
import { date } from "./store.js";

const interval = 2_000;

export function Fleet({ live, now }: { live: boolean; now: number }) {
  const [fleet, setFleet] = useState<{ seen: GetFleetResponse; at: number }>();
  const several = fleet && (fleet.seen.shared || fleet.seen.replicas.length > 1);
  useEffect(() => {
    if (!live) return;
    let stale = false;
    const load = () => {
      if (document.hidden) return;
      // What was seen last stays while nobody answers, and its ages grow.
      dashboard.getFleet({}).then(
        (seen) => !stale && setFleet({ seen, at: Date.now() }),
        () => {},
      );
    };
    load();
    // A server that is alone remains so until it is started again, and the page reconnects.
    const timer = several === false ? undefined : setInterval(load, interval);
    return () => {
      stale = true;
      clearInterval(timer);
    };
  }, [live, several]);
  if (!fleet || !several) return null;

  const { bots, replicas, time } = fleet.seen;
  const clock = date(time).getTime() + Math.max(0, now - fleet.at); // of the database
  const age = (t: Parameters<typeof date>[0]) => (t ? long(clock - date(t).getTime()) : "unknown");
  const names = new Map(replicas.map((r) => [r.id, r.address]));
  const versions = new Set(replicas.map((r) => r.version)).size;
  return (
    <Panel id="fleet" title="Replicas" note={<span data-value="replicas">{count(replicas.length)}{versions > 1 && ` with ${versions} versions`}</span>}>
      <Scroll label="Table of bots">
        <table>
          <thead>
            <tr>
              <th scope="col">Bot</th>
              <th scope="col">Leader</th>
              <th scope="col" class="n">For</th>
              <th scope="col">Reason</th>
              <th scope="col" class="wide">Previous leader</th>
              <th scope="col" class="n wide">Epoch</th>
            </tr>
          </thead>
          <tbody>
            {bots.map((b) => (
              <tr key={b.name}>
                <td>{b.name}</td>
                <td class="id">{b.leader ? names.get(b.leader) || "one without --advertise" : <strong class="bad">none</strong>}</td>
                <td class="n">{b.leader && age(b.since)}</td>
                <td>{b.reason}</td>
                <td class="id wide">{b.previous}</td>
                <td class="n wide">{String(b.epoch)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      <Scroll label="Table of replicas">
        <table class="second">
          <thead>
            <tr>
              <th scope="col">Replica</th>
              <th scope="col">Leads</th>
              <th scope="col" class="n wide">Calls a second</th>
              <th scope="col" class="n wide">In progress</th>
              <th scope="col" class="n wide">Waiting</th>
              <th scope="col" class="n">Seen</th>
              <th scope="col" class="n wide">Running for</th>
              <th scope="col" class="wide">Version</th>
            </tr>
          </thead>
          <tbody>
            {replicas.map((r) => (
              <tr key={r.id}>
                <td class="id">
                  {r.address || "this one"}
                  {r.answered && <span class="note"> answers this page</span>}
                </td>
                <td class="names">{r.leads.join(", ") || "none"}</td>
                <td class="n wide">{r.load ? rate(r.load.callsPerSecond) : "unknown"}</td>
                <td class="n wide">{r.load && count(Number(r.load.inProgress))}</td>
                <td class="n wide">{r.load && count(Number(r.load.waiting))}</td>
                <td class="n">{age(r.seen)} ago</td>
                <td class="n wide">{age(r.since)}</td>
                <td class="wide">{r.version}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Panel>
  );
}
