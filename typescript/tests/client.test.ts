// Tests the installed package against the real server with its sandbox. The Go test
// that runs this file sets the addresses in the environment.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import { beforeEach, describe, test } from "node:test";
import { CallError, clientOver, Code, create, HTTPError, parseRefusal, TimeoutError, UnavailableError, type DiscordClient, type Settings } from "discordproxy";
import { ConnectError, createRouterTransport } from "@connectrpc/connect";
import { Dashboard } from "discordproxy/dashboard";
import { DiscordApi, DiscordErrorSchema, Event_Type, SendChannelMessageRequestSchema } from "discordproxy/discord_api";
import { Outbox } from "discordproxy/outbox";
import * as node from "discordproxy/node";
import * as web from "discordproxy/web";
import { relay } from "./relay.js";

const { PROXY: proxy = "", SECURE_PROXY: secure = "", CA: ca = "", KEY: key = "" } = process.env;
// Ids of the sandbox.
const general = 1100000000000000010n;
const forbidden = 1100000000000000014n;
const guild = 1100000000000000100n;
const alice = 1100000000000000004n;

/** Arranges the sandbox, or looks at it. */
async function sandbox(method: string, path: string, body?: unknown): Promise<unknown> {
  const response = await fetch(`http://${proxy}/sandbox/${path}`, { method, body: body === undefined ? null : JSON.stringify(body) });
  const text = await response.text();
  assert.ok(response.ok, `${path}: ${text}`);
  return text ? JSON.parse(text) : undefined;
}

const contents = async () => ((await sandbox("GET", `channels/${general}/messages`)) as { content: string }[] | null)?.map((m) => m.content) ?? [];

/** Returns what a call fails with, which must be of that kind. */
async function failure<E>(kind: abstract new (...args: never[]) => E, call: Promise<unknown>): Promise<E> {
  const err: unknown = await call.then(
    () => assert.fail("the call did not fail"),
    (err: unknown) => err,
  );
  assert.ok(err instanceof kind, String(err));
  return err;
}

const dashboard = clientOver(Dashboard, web.createTransport(`http://${proxy}`));

beforeEach(async () => {
  await sandbox("POST", "reset");
  await sandbox("DELETE", "limits");
});

const entries: Record<string, (address: string, settings?: Settings) => DiscordClient> = {
  "discordproxy/node": node.createClient,
  "discordproxy/web": (address, settings) => web.createClient(`http://${address}`, settings),
};

for (const [entry, createClient] of Object.entries(entries)) {
  describe(entry, () => {
    const client = createClient(proxy);

    test("sends, edits and finds a message", async () => {
      const { message } = await client.sendChannelMessage({ channelId: general, content: "hello", embeds: [{ title: "one" }, { title: "two" }] });
      assert.deepEqual(message?.embeds.map((embed) => embed.title), ["one", "two"]);
      const edited = await client.editChannelMessage({ channelId: general, messageId: message.id, content: "edited" });
      assert.equal(edited.message?.id, message.id);
      assert.deepEqual(await contents(), ["edited"]);
      const direct = await client.sendDirectMessage({ userId: alice, content: "hi" });
      assert.equal(direct.message?.content, "hi");
    });

    test("returns a refusal of Discord as an HTTPError", async () => {
      const err = await failure(HTTPError, client.sendChannelMessage({ channelId: forbidden, content: "x" }));
      assert.deepEqual([err.status, err.code, err.text, err.errors, err.outcomeUnknown], [403, 50001, "Missing Access", [], false]);
      assert.equal(err.cause.code, Code.PermissionDenied);
      const form = await failure(HTTPError, client.sendChannelMessage({ channelId: general, content: "x".repeat(2001) }));
      assert.deepEqual([form.status, form.code], [400, 50035]);
      assert.deepEqual(form.errors, [{ field: "content", code: "BASE_TYPE_MAX_LENGTH", message: "Must be 2000 or fewer in length." }]);
    });

    test("ends a call that takes too long", async () => {
      await sandbox("PUT", "latency", { response: { min: 3600, max: 3600 } });
      try {
        await failure(TimeoutError, createClient(proxy, { timeoutMs: 50, retries: 3 }).getGuild({ guildId: guild }));
        await failure(TimeoutError, client.getGuild({ guildId: guild }, { timeoutMs: 50 }));
        const err = await failure(CallError, client.getGuild({ guildId: guild }, { signal: AbortSignal.timeout(50) }));
        assert.equal(err.outcomeUnknown, true);
      } finally {
        await sandbox("PUT", "latency", {});
      }
    });

    test("returns when a call can succeed", async () => {
      await sandbox("PUT", "limits", { name: "n", routes: ["GET /guilds/{guild_id}/roles"], limit: 1, window: 3600 });
      const hurried = createClient(proxy, { timeoutMs: 60_000 });
      await hurried.listGuildRoles({ guildId: guild }).catch(() => {}); // the other entry may have used it up
      const err = await failure(TimeoutError, hurried.listGuildRoles({ guildId: guild }));
      assert.ok(err.retryAfterMs && err.retryAfterMs > 60_000, String(err.retryAfterMs));
      assert.equal(err.outcomeUnknown, false);
    });

    test("ranges over streams", async () => {
      for (const content of ["one", "two", "three"]) await client.sendChannelMessage({ channelId: general, content });
      const found: string[] = [];
      for await (const { message } of client.listChannelMessages({ channelId: general, limit: 2 })) found.push(message?.content ?? "");
      assert.deepEqual(found, ["three", "two"]);
      await failure(HTTPError, client.listChannelMessages({ channelId: forbidden })[Symbol.asyncIterator]().next());
    });

    test("ends a stream with the loop", async () => {
      const headers = { "X-Request-Id": randomUUID() };
      for await (const { events } of client.subscribeEvents({ types: [Event_Type.MESSAGE_CREATE] }, { headers })) {
        // Whether the proxy is at the gateway depends on how long ago the sandbox became as new.
        assert.ok([Event_Type.HEARTBEAT, Event_Type.GATEWAY_STATE].includes(events[0]?.type ?? 0));
        break;
      }
      // The proxy shows calls that have ended.
      for await (const { calls } of dashboard.watchStatus({})) {
        if (calls.some((call) => call.requestId === headers["X-Request-Id"])) break;
      }
    });

    test("makes one message of a call whose answer got lost", async () => {
      for (const { retries, request, ok } of [
        { retries: 0, request: {}, ok: false },
        { retries: 2, request: {}, ok: true },
        { retries: 2, request: { nonce: "n" }, ok: true },
        { retries: 2, request: { nonce: "n", enforceNonce: false }, ok: false },
      ]) {
        await sandbox("POST", "reset");
        const lossy = await relay(proxy, async (relay) => relay.lost === 0 && (await contents()).length > 0);
        const message = create(SendChannelMessageRequestSchema, { ...request, channelId: general, content: "once" });
        const nonce = message.nonce;
        const call = createClient(lossy.address, { retries }).sendChannelMessage(message);
        if (ok) assert.equal((await call).message?.content, "once");
        else assert.equal((await failure(UnavailableError, call)).outcomeUnknown, true);
        assert.deepEqual([lossy.lost, await contents(), message.nonce], [1, ["once"], nonce]);
        await lossy.close();
      }
    });

    test("enqueues one message by a call whose answer got lost", async () => {
      const queued = async () => (await client.listDeliveries({})).deliveries.length;
      for (const { retries, deliveryId, ok } of [
        { retries: 2, deliveryId: "", ok: true },
        { retries: 2, deliveryId: randomUUID(), ok: true },
        { retries: 0, deliveryId: "", ok: false },
      ]) {
        const before = await queued();
        const lossy = await relay(proxy, async (relay) => relay.lost === 0 && (await queued()) > before);
        const request = { deliveryId, call: { case: "sendChannelMessage", value: { channelId: general, content: "once" } } } as const;
        const call = createClient(lossy.address, { retries }).enqueue(request);
        if (ok) assert.ok((await call).delivery?.id);
        else assert.equal((await failure(UnavailableError, call)).outcomeUnknown, true);
        assert.deepEqual([lossy.lost, await queued()], [1, before + 1]);
        await lossy.close();
      }
    });

    test("waits for a proxy that is not there yet", async () => {
      const gone = await relay(proxy, async () => false);
      await gone.close();
      const absent = await failure(UnavailableError, createClient(gone.address).getGuild({ guildId: guild }));
      assert.equal(absent.code, Code.Unavailable);

      let cuts = 0;
      const late = await relay(proxy, async () => ++cuts <= 2);
      const { guild: found } = await createClient(late.address, { retries: 3 }).getGuild({ guildId: guild });
      assert.equal(found?.id, guild);
      assert.ok(late.connections > 2);
      await late.close();
    });

    test("refuses settings that cannot be", () => {
      for (const settings of [{ timeoutMs: -1 }, { timeoutMs: NaN }, { retries: -1 }, { retries: 0.5 }, { key: "a\nb" }, { key: "ü" }, { bot: "a\nb" }]) {
        assert.throws(() => createClient(proxy, settings), RangeError, JSON.stringify(settings));
      }
    });
  });
}

test("enqueues many messages by one stream", async () => {
  async function* requests() {
    for (const content of ["one", "", "three"]) {
      yield { enqueue: { call: { case: "sendChannelMessage", value: { channelId: general, content } } as const } };
    }
  }
  const client = node.createClient(proxy);
  const answers: [boolean, string][] = [];
  for await (const { delivery, status } of client.enqueueMany(requests())) answers.push([!!delivery?.id, status]);
  assert.deepEqual(answers, [[true, ""], [false, "INVALID_ARGUMENT"], [true, ""]]);
  // A browser cannot stream requests.
  const next = web.createClient(`http://${proxy}`).enqueueMany(requests())[Symbol.asyncIterator]().next();
  assert.equal((await failure(CallError, next)).code, Code.Unimplemented);
});

test("gives the key over TLS", async () => {
  const tls = { ca: await readFile(ca) };
  const client = node.createClient(secure, { key, tls });
  assert.equal((await client.getGuild({ guildId: guild })).guild?.id, guild);
  const err = await failure(CallError, node.createClient(secure, { key: "wrong", tls }).getGuild({ guildId: guild }));
  assert.deepEqual([err.code, err.outcomeUnknown], [Code.Unauthenticated, false]);
  let given = "";
  const changing = node.createClient(secure, { key: () => given, tls });
  await failure(CallError, changing.getGuild({ guildId: guild }));
  given = key;
  await changing.getGuild({ guildId: guild });
  // The certificate is from an unknown authority.
  await failure(CallError, node.createClient(secure, { key, tls: true }).getGuild({ guildId: guild }));
});

test("names the bot in every call", async () => {
  const calls: string[] = [];
  const record = ({ url = "", headers }: http.IncomingMessage | http2.Http2ServerRequest) => calls.push(`${url.split("/").at(-1)} ${headers["discord-bot"]}`);
  const over2 = http2.createServer((request, response) => {
    record(request);
    response.writeHead(200, { "content-type": "application/grpc", "grpc-status": "7" }).end();
  });
  const over1 = http.createServer((request, response) => {
    record(request);
    response.writeHead(200, { "content-type": "application/grpc-web+proto", "grpc-status": "7" }).end();
  });
  const listening = async (server: net.Server) => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return `127.0.0.1:${(server.address() as net.AddressInfo).port}`;
  };
  const [address2, address1] = [await listening(over2), await listening(over1)];
  let chosen = "shop";
  for (const [bot, sent] of [[undefined, "undefined"], ["", "undefined"], ["alerts", "alerts"], [() => chosen, "shop"]] as const) {
    const settings = bot === undefined ? {} : { bot };
    const inNode = node.createClient(address2, settings);
    for (const client of [inNode, web.createClient(`http://${address1}`, settings)]) {
      calls.length = 0;
      await failure(CallError, client.getGuild({ guildId: guild }));
      await failure(CallError, client.enqueue({}));
      await failure(CallError, client.subscribeEvents({})[Symbol.asyncIterator]().next());
      assert.deepEqual(calls, [`GetGuild ${sent}`, `Enqueue ${sent}`, `SubscribeEvents ${sent}`]);
    }
    inNode.close();
  }
  const changing = web.createClient(`http://${address1}`, { bot: () => chosen });
  chosen = "other";
  calls.length = 0;
  await failure(CallError, changing.getGuild({ guildId: guild }));
  chosen = "a\nb";
  await assert.rejects(changing.getGuild({ guildId: guild }));
  assert.deepEqual(calls, ["GetGuild other"]);
  over1.closeAllConnections();
  for (const server of [over1, over2]) server.close();
});

test("does not retry if the proxy asks for a long wait", { timeout: 25_000 }, async () => {
  const error = new ConnectError("Discord refuses all calls from this address", Code.Unavailable, undefined, [
    { desc: DiscordErrorSchema, value: { retryAfter: { seconds: 3600n } } },
  ]);
  const banned = createRouterTransport(({ rpc }) => {
    rpc(DiscordApi.method.getGuild, () => Promise.reject(error));
  });
  const err = await failure(UnavailableError, clientOver(DiscordApi, banned, { retries: 1 }).getGuild({ guildId: guild }));
  assert.equal(err.retryAfterMs, 3_600_000);
});

test("ends its calls when it is closed", async () => {
  const client = node.createClient(proxy, { retries: 3 });
  const events = client.subscribeEvents({})[Symbol.asyncIterator]();
  await events.next(); // the first response arrives immediately
  const next = events.next();
  client.close();
  assert.equal((await failure(CallError, next)).code, Code.Canceled);
  assert.equal((await client.getGuild({ guildId: guild })).guild?.id, guild);
});

test("takes targets of the form host:port", () => {
  for (const target of ["localhost:50051", "[::1]:50051", "proxy.example.org:443"]) node.createClient(target);
  for (const target of ["localhost", "http://localhost:50051", "a:b", "[::1]", ""]) assert.throws(() => node.createClient(target), RangeError, target);
});

test("has every method of the API", () => {
  const client = node.createClient() as unknown as Record<string, unknown>;
  for (const { localName } of [...DiscordApi.methods, ...Outbox.methods]) assert.equal(typeof client[localName], "function", localName);
});

test("reads the document of a refusal", () => {
  assert.deepEqual(parseRefusal(`{"type":"HTTPException","status":403,"code":50001,"text":"Missing Access"}`), { status: 403, code: 50001, text: "Missing Access" });
  for (const text of ["", "no document", "null", "3", `{"type":"Other"}`]) assert.equal(parseRefusal(text), undefined);
});
