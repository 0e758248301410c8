// The calls that wait: who has them, for what, how to cancel them, and how to pause a channel.
import { useEffect, useState } from "preact/hooks";
import type { CancelWaitingRequestSchema, ListWaitingResponse } from "discordproxy/dashboard";
import type { MessageInitShape } from "discordproxy";
import { dashboard, failure } from "./api.js";
import { count, long, time } from "./format.js";
import { nameOf, Resource } from "./names.js";
import { Panel, Scroll, Shares } from "./parts.js";
import { date, type State } from "./store.js";

const interval = 2_000;
const shown = 20;

const calls = (n: number) => `${count(n)} ${n === 1 ? "call" : "calls"}`;

const channelOf = (resource: string) => /^channel (\d{1,20})$/.exec(resource)?.[1];

export function Waiting({ state, list }: { state: State; list: boolean }) {
  const [waiting, setWaiting] = useState<ListWaitingResponse>();
  const [outcome, setOutcome] = useState<{ text: string; bad: boolean }>();
  const [turn, setTurn] = useState(0);
  const [channel, setChannel] = useState("");
  // The limits do not count the calls of paused channels: they are asked for always.
  const asks = state.connection === "live" && state.proxy?.open === false;
  useEffect(() => {
    if (!asks) {
      setWaiting(undefined);
      return;
    }
    let stale = false;
    const load = () => {
      if (document.hidden) return;
      dashboard.listWaiting({}).then(
        (answer) => !stale && setWaiting(answer),
        (err) => !stale && setOutcome({ text: failure(err).text, bad: true }),
      );
    };
    load();
    const timer = setInterval(load, interval);
    return () => {
      stale = true;
      clearInterval(timer);
    };
  }, [asks, turn]);

  const act = async (run: () => Promise<string>) => {
    try {
      setOutcome({ text: await run(), bad: false });
    } catch (err) {
      setOutcome({ text: failure(err).text, bad: true });
    }
    setTurn((n) => n + 1);
  };
  const cancel = async (which: MessageInitShape<typeof CancelWaitingRequestSchema>, what: string) => {
    if (!which.numbers && !confirm(`Cancel ${what}? The calls are not sent, and their callers get an error.`)) return;
    await act(async () => {
      const { cancelled } = await dashboard.cancelWaiting(which);
      return `Cancelled ${calls(cancelled)}.`;
    });
  };
  const pause = async (channelId: bigint) => {
    if (!confirm(`Pause ${nameOf("channel", channelId)}? Its calls wait until someone resumes it or until their deadlines pass.`)) return;
    await act(async () => {
      await dashboard.pauseChannel({ channelId });
      setChannel("");
      return "Paused the channel.";
    });
  };
  const resume = (channelId: bigint) =>
    act(async () => {
      const { pause } = await dashboard.resumeChannel({ channelId });
      return `Resumed the channel: ${calls(pause?.waiting ?? 0)} ${pause?.waiting === 1 ? "continues" : "continue"}.`;
    });
  const button = (label: string, text: string, run: () => Promise<void>) => (
    <button type="button" class="small" aria-label={label} onClick={() => void run()}>
      {text}
    </button>
  );
  const counts = (shares: ListWaitingResponse["callers"]) => new Map(shares.map((s) => [s.name, s.waiting]));
  return (
    <Panel id="waiting" title="Waiting calls" note={waiting && <span data-value="all waiting">{count(waiting.total)} waiting</span>}>
      {outcome && (
        <p class={outcome.bad ? "refused bad" : "refused good"} role="status">
          {outcome.text}
        </p>
      )}
      {!!waiting?.pauses.length && (
        <ul class="pauses" aria-label="Paused channels">
          {waiting.pauses.map((p) => (
            <li key={String(p.channelId)}>
              <span>
                <strong>
                  <Resource text={`channel ${p.channelId}`} />
                </strong>{" "}
                was paused by <span class="id">{p.by}</span> at {time(date(p.since))}; {calls(p.waiting)} {p.waiting === 1 ? "is" : "are"} waiting.
              </span>
              {button(`Resume channel ${p.channelId}`, "Resume", () => resume(p.channelId))}
            </li>
          ))}
        </ul>
      )}
      {!waiting?.total ? (
        <p class="empty">{state.proxy?.open ? "Others can reach this proxy without a key, so it does not show who calls what." : "No calls are waiting."}</p>
      ) : (
        <>
          <div class="halves">
            <Shares title="By channel, guild or webhook" counts={counts(waiting.resources)} show={(name) => <Resource text={name} />}
              action={(name) => {
                const id = channelOf(name);
                return (
                  id && (
                    <>
                      {!waiting.pauses.some((p) => p.channelId === BigInt(id)) && button(`Pause ${name}`, "Pause", () => pause(BigInt(id)))}
                      {button(`Cancel all of ${name}`, "Cancel all", () => cancel({ channelId: BigInt(id) }, `all calls that wait for ${name}`))}
                    </>
                  )
                );
              }} />
            <Shares title="By caller" counts={counts(waiting.callers)} action={(name) => button(`Cancel all of caller ${name}`, "Cancel all", () => cancel({ caller: name }, `all waiting calls of ${name}`))} />
          </div>
          {list && (
            <Scroll label="Table of waiting calls">
              <table class="deliveries">
                <thead>
                  <tr>
                    <th scope="col">Route</th>
                    <th scope="col">Target</th>
                    <th scope="col">Caller</th>
                    <th scope="col">Waiting time</th>
                    <th scope="col">
                      <span class="hidden">Actions</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {waiting.calls.slice(0, shown).map((c) => (
                    <tr key={c.number}>
                      <td class="route">{c.route}</td>
                      <td>
                        <Resource text={c.resource} />
                      </td>
                      <td class="id">{c.caller}</td>
                      <td class="waits">{long(Date.now() + state.skew - date(c.since).getTime())}</td>
                      <td class="n">{button(`Cancel call ${c.number}`, "Cancel", () => cancel({ numbers: [c.number] }, "this call"))}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
              {waiting.total > shown && <p class="empty">The {shown} oldest of {count(waiting.total)}.</p>}
            </Scroll>
          )}
        </>
      )}
      {list && asks && (
        <form
          class="pausing"
          onSubmit={(e) => {
            e.preventDefault();
            void pause(BigInt(channel));
          }}
        >
          <label>
            Channel ID <input value={channel} onInput={(e) => setChannel(e.currentTarget.value.trim())} required pattern="[1-9][0-9]{0,18}" inputMode="numeric" title="a channel ID, digits only" />
          </label>
          <button type="submit" class="small">
            Pause the channel
          </button>
        </form>
      )}
    </Panel>
  );
}
