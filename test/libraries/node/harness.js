// What the programs of the Node libraries share: the configuration, the control
// of the sandbox, and events that a step waits for.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

export const config = JSON.parse(process.env.LIBRARY);
const patience = 60_000;

/** Controls the sandbox, as the people who use the bot would act in Discord. */
export async function control(method, path, body) {
  const response = await fetch(config.control + path, { method, body: body && JSON.stringify(body) });
  const text = await response.text();
  assert.ok(response.ok, `${method} ${path}: ${text}`);
  return text ? JSON.parse(text) : undefined;
}

/** Has a person write a message. */
export const say = (content) =>
  control("POST", `channels/${config.general}/messages`, { content, author: { id: config.bob } });

/** Has a person use a command, a component or a modal. */
const use = (what) => control("POST", `channels/${config.general}/interactions`, what);

/** Waits until the newest message has a content. */
async function answered(content) {
  let last;
  for (const end = Date.now() + patience; Date.now() < end; await sleep(50)) {
    last = (await control("GET", `channels/${config.general}/messages`)).at(-1);
    if (last.content === content) return;
  }
  assert.fail(`${content} is not there: ${JSON.stringify(last)}`);
}

export const passed = (step) => console.log("passed", step);

const heard = [];
/** Notes an event. */
export const hear = (...event) => heard.push(event.join(" "));
/** Waits for an event. */
export async function hears(...event) {
  for (const end = Date.now() + patience; Date.now() < end; await sleep(20)) {
    const i = heard.indexOf(event.join(" "));
    if (i >= 0) return void heard.splice(0, i + 1);
  }
  assert.fail(`${event} was not heard`);
}

/** Uses the command of the bot, its button, its modal and its select. */
export async function interact() {
  await use({ name: "hello", options: [{ name: "who", type: 3, value: "you" }] });
  await answered("hello you");
  passed("command");
  await use({ custom_id: "button" });
  for (const end = Date.now() + patience; ; await sleep(50)) {
    try {
      await use({ custom_id: "form", fields: { why: "because" } });
      break;
    } catch (error) {
      if (Date.now() > end) throw error; // until then the bot may still open the modal
    }
  }
  await answered("why: because");
  passed("button");
  passed("modal");
  await use({ custom_id: "select", values: ["b"] });
  await answered("picked b");
  passed("select");
}

/** Cuts the bot's connection while somebody writes. */
export async function resume() {
  await control("POST", "gateway/drop", {});
  await say("while you were away");
  await hears("message", "while you were away");
  const { counts } = await control("GET", "gateway");
  assert.ok(counts.resumes >= 1 && counts.identifies === 1, JSON.stringify(counts));
  passed("resume");
}

/** Fills a channel with 120 messages. */
export const fill = () =>
  control("POST", "gateway/burst", { count: 120, message: { channel_id: config.quiet, content: "old" } });

/** Sends ten messages to each of six channels. */
export async function inOrder(send) {
  await Promise.all(
    config.channels.map(async (channel) => {
      for (let i = 0; i < 10; i++) await send(channel, `number ${i}`);
    }),
  );
  passed("order");
}

export const descending = (ids) => {
  const sorted = [...ids].sort((a, b) => (BigInt(a) < BigInt(b) ? 1 : -1));
  return ids.length === 120 && ids.every((id, i) => id === sorted[i]);
};

/** Runs the steps and ends the program. */
export function exiting(steps) {
  steps().then(
    () => process.exit(0),
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
}
