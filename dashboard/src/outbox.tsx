// The outbox: what waits, for whom and by whom, what is scheduled, and what failed.
import { useEffect, useState } from "preact/hooks";
import { Delivery_State as State, type Delivery } from "discordproxy/outbox";
import { failure, outbox, readable, type Failure } from "./api.js";
import { count, long, time } from "./format.js";
import { Named, nameOf, useNames, type Kind } from "./names.js";
import { Panel, Scroll, Shares } from "./parts.js";
import { date } from "./store.js";

const interval = 3_000;
const inProgress = [State.SCHEDULED, State.WAITING, State.SENDING];
/** As many as one answer has. */
const most = 1000;

const lists = [
  { id: "progress", name: "In the queue", states: inProgress },
  { id: "scheduled", name: "Scheduled", states: [State.SCHEDULED] },
  { id: "failed", name: "Failed", states: [State.FAILED, State.EXPIRED, State.UNKNOWN] },
  { id: "cancelled", name: "Cancelled", states: [State.CANCELLED] },
  { id: "delivered", name: "Delivered", states: [State.DELIVERED] },
];

const kinds: Record<number, [string, string]> = {
  [State.SCHEDULED]: ["left", "scheduled"],
  [State.WAITING]: ["limited", "waiting"],
  [State.SENDING]: ["limited", "sending"],
  [State.DELIVERED]: ["good", "delivered"],
  [State.FAILED]: ["failed", "failed"],
  [State.EXPIRED]: ["refused", "expired"],
  [State.CANCELLED]: ["left", "cancelled"],
  [State.UNKNOWN]: ["failed", "unknown"],
};

/** What a delivery is about: the user of a direct message rather than its channel. */
function targetOf(d: Delivery): { kind: Kind | "webhook"; id: bigint } | undefined {
  if (d.userId) return { kind: "user", id: d.userId };
  if (d.webhookId) return { kind: "webhook", id: d.webhookId };
  return d.channelId ? { kind: "channel", id: d.channelId } : undefined;
}

function Target({ delivery }: { delivery: Delivery }) {
  const target = targetOf(delivery);
  if (!target) return null;
  return target.kind === "webhook" ? <span class="id">webhook {String(target.id)}</span> : <Named kind={target.kind} id={target.id} />;
}

const keyOf = (d: Delivery) => `${d.caller} ${d.id}`;

export function OutboxView({ live }: { live: boolean }) {
  const [list, setList] = useState(lists[0]!);
  const [queue, setQueue] = useState<Delivery[]>();
  const [shown, setShown] = useState<Delivery[]>();
  const [error, setError] = useState<Failure>();
  const [refused, setRefused] = useState<Failure>();
  const [busy, setBusy] = useState("");
  const [turn, setTurn] = useState(0);

  useEffect(() => {
    if (!live) return;
    let stale = false;
    let timer = 0;
    const load = async () => {
      try {
        const queued = await outbox.listDeliveries({ states: inProgress, pageSize: most });
        const wanted = list === lists[0] ? queued : await outbox.listDeliveries({ states: list.states, pageSize: 200 });
        if (stale) return;
        setQueue(queued.deliveries);
        setShown(wanted.deliveries);
        setError(undefined);
      } catch (err) {
        if (!stale) setError(failure(err));
      }
      if (!stale) timer = window.setTimeout(() => (document.hidden ? wait() : void load()), interval);
    };
    const wait = () => (timer = window.setTimeout(() => (document.hidden ? wait() : void load()), interval));
    void load();
    return () => {
      stale = true;
      clearTimeout(timer);
    };
  }, [live, list, turn]);

  const act = async (d: Delivery, what: "cancelDelivery" | "retryDelivery") => {
    setBusy(keyOf(d));
    try {
      await outbox[what]({ deliveryId: d.id, caller: d.caller });
      setRefused(undefined);
    } catch (err) {
      setRefused(failure(err));
    }
    setBusy("");
    setTurn((n) => n + 1);
  };

  if (error?.code === "failed_precondition") {
    return (
      <Panel id="outbox" title="Outbox">
        <p class="empty">This proxy has no outbox because it has no data folder. Start it with --data FOLDER to queue messages that survive a restart.</p>
      </Panel>
    );
  }
  return (
    <>
      {error && (
        <p class="notice bad" role="alert">
          <strong>Failed to load the outbox:</strong> {error.text}
        </p>
      )}
      {queue && <Queue queue={queue} />}
      <Panel id="deliveries" title="Deliveries" note={shown && `${count(shown.length)}${shown.length >= (list === lists[0] ? most : 200) ? ", the newest" : ""}`}>
        <fieldset class="tabs">
          <legend class="hidden">Show deliveries</legend>
          {lists.map((l) => (
            <label key={l.id}>
              <input type="radio" name="list" checked={l === list} onChange={() => { setShown(undefined); setList(l); }} />
              <span>{l.name}</span>
            </label>
          ))}
        </fieldset>
        {refused && (
          <p class="bad refused" role="alert">
            {refused.text}
          </p>
        )}
        {shown && <Deliveries deliveries={shown} scheduled={list.id === "scheduled"} busy={busy} act={act} />}
      </Panel>
    </>
  );
}

function Queue({ queue }: { queue: Delivery[] }) {
  useNames(queue.map(targetOf).flatMap((t): [Kind, bigint][] => (t && t.kind !== "webhook" ? [[t.kind, t.id]] : [])));
  const by = (name: (d: Delivery) => string) => {
    const counts = new Map<string, number>();
    for (const d of queue) counts.set(name(d), (counts.get(name(d)) ?? 0) + 1);
    return counts;
  };
  const target = (d: Delivery) => {
    const t = targetOf(d);
    return !t ? "no channel or user" : t.kind === "webhook" ? `webhook ${t.id}` : nameOf(t.kind, t.id);
  };
  const scheduled = queue.filter((d) => d.state === State.SCHEDULED).length;
  const note = `${count(queue.length)}${queue.length >= most ? " or more" : ""}${scheduled ? `, ${count(scheduled)} of them scheduled` : ""}`;
  return (
    <Panel id="queue" title="In the queue" note={<span data-value="queued">{note}</span>}>
      {queue.length === 0 ? (
        <p class="empty">No messages are queued.</p>
      ) : (
        <div class="halves">
          <Shares title="By channel or user" counts={by(target)} />
          <Shares title="By caller" counts={by((d) => d.caller)} />
        </div>
      )}
    </Panel>
  );
}

function Deliveries({ deliveries, scheduled, busy, act }: {
  deliveries: Delivery[];
  scheduled: boolean;
  busy: string;
  act: (d: Delivery, what: "cancelDelivery" | "retryDelivery") => Promise<void>;
}) {
  if (deliveries.length === 0) return <p class="empty">No deliveries.</p>;
  const sorted = scheduled ? deliveries.toSorted((a, b) => date(a.notBefore).getTime() - date(b.notBefore).getTime()) : deliveries;
  return (
    <Scroll label="Table of deliveries">
      <table class="deliveries">
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Call</th>
            <th scope="col">To</th>
            <th scope="col">Caller</th>
            <th scope="col">When</th>
            <th scope="col">
              <span class="hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {sorted.map((d) => {
            const [kind, name] = kinds[d.state] ?? ["left", "?"];
            const why = d.error?.text ? readable(d.error.text) : readable(d.reason);
            return (
              <tr key={keyOf(d)}>
                <td>
                  <span class={`code ${kind}`}>{name}</span>
                  {why && <span class="reason note">{why}</span>}
                </td>
                <td>
                  {d.method}
                  <br />
                  <span class="note id" title={`delivery ${d.id}`}>
                    {d.id}
                  </span>
                </td>
                <td>
                  <Target delivery={d} />
                </td>
                <td class="id">{d.caller}</td>
                <td>
                  <When delivery={d} />
                </td>
                <td class="n">
                  {(d.state === State.SCHEDULED || d.state === State.WAITING) && (
                    <button type="button" class="small" disabled={busy === keyOf(d)} aria-label={`Cancel delivery ${d.id}`} onClick={() => void act(d, "cancelDelivery")}>
                      Cancel
                    </button>
                  )}
                  {[State.FAILED, State.EXPIRED, State.CANCELLED, State.UNKNOWN].includes(d.state) && (
                    <button type="button" class="small" disabled={busy === keyOf(d)} aria-label={`Retry delivery ${d.id}`} onClick={() => void act(d, "retryDelivery")}>
                      Retry
                    </button>
                  )}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Scroll>
  );
}

/** The time that matters: when it is due, since when it waits, or when it ended. */
function When({ delivery: d }: { delivery: Delivery }) {
  const [at, text] =
    d.state === State.SCHEDULED ? [date(d.notBefore), `in ${long(date(d.notBefore).getTime() - Date.now())}`]
    : d.finishedAt ? [date(d.finishedAt), whenOf(date(d.finishedAt))]
    : [date(d.enqueuedAt), `waiting for ${long(Date.now() - date(d.enqueuedAt).getTime())}`];
  return <span title={at.toLocaleString()}>{text}</span>;
}

const whenOf = (d: Date) => (Date.now() - d.getTime() < 12 * 3_600_000 ? time(d) : d.toLocaleString());
