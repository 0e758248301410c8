import type { DescMethodUnary, DescService } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { createClient, makeAnyClient, type CallOptions, type Client, type Transport } from "@connectrpc/connect";
import { translate, UnavailableError, type DiscordProxyError } from "./errors.js";
import { DiscordApi, SendChannelMessageRequestSchema, SendDirectMessageRequestSchema } from "./gen/discord_api/discord_api_pb.js";
import { EnqueueRequestSchema, Outbox } from "./gen/discord_api/outbox_pb.js";

/** Every method of the API and of the outbox, with its messages. */
export type DiscordClient = Client<typeof DiscordApi> & Client<typeof Outbox>;

/** Settings of calls. */
export interface CallSettings {
  /**
   * Maximum duration of each call in milliseconds, including retries. Streams
   * have no limit. By default, and for 0, a call waits until Discord's rate
   * limits allow it. The option timeoutMs of a call overrides this value.
   */
  timeoutMs?: number;
  /**
   * Maximum number of retries of a call that failed with an UnavailableError. A
   * call is retried only where that is safe: if it changes nothing, if it
   * certainly had no effect, or if it sends or enqueues a message. Messages get
   * a nonce and deliveries a random ID, so that neither is created twice. A call
   * that could succeed only after more than 30 seconds is not retried. Default: 0.
   */
  retries?: number;
}

/** Settings of a client. */
export interface Settings extends CallSettings {
  /**
   * Key of the client at the proxy, or a function that returns it for each call.
   * An empty key is not sent. Without TLS, the key is sent in clear text.
   */
  key?: string | (() => string);
  /**
   * Name of the bot that the calls are for, or a function that returns it for each
   * call, if the proxy has several bots. By default, and if it is empty, the proxy's
   * default bot makes the calls.
   */
  bot?: string | (() => string);
}

type UnaryCall = (request: object, options?: CallOptions) => Promise<object>;
type StreamCall = (request: object, options?: CallOptions) => AsyncIterable<object>;
type BidiCall = (requests: AsyncIterable<object>, options?: CallOptions) => AsyncIterable<object>;

/** Returns a client of the API and of the outbox over a transport of Connect. */
export function discordClient(transport: Transport, settings: CallSettings): DiscordClient {
  return Object.assign(clientOver(DiscordApi, transport, settings), clientOver(Outbox, transport, settings));
}

/**
 * Returns a client of a service of the proxy over a transport of Connect. Its
 * calls fail with a DiscordProxyError. A stream begins when it is iterated, and
 * ends with the loop. Streams of requests need a transport that can send them: in
 * browsers, they fail with a CallError with the code Unimplemented.
 */
export function clientOver<S extends DescService>(service: S, transport: Transport, settings: CallSettings = {}): Client<S> {
  const { timeoutMs = 0, retries = 0 } = settings;
  if (!(timeoutMs >= 0)) throw new RangeError("timeoutMs must not be negative");
  if (!(Number.isInteger(retries) && retries >= 0)) throw new RangeError("retries must be a whole number, and not negative");
  const calls = createClient(service, transport) as Record<string, unknown>;
  return makeAnyClient(service, (method) => {
    const call = calls[method.localName];
    if (method.methodKind === "unary") return repeated(method, call as UnaryCall, timeoutMs, retries);
    if (method.methodKind === "server_streaming") return streamed(call as StreamCall);
    if (method.methodKind === "bidi_streaming") return streamed(call as BidiCall);
    return null; // the API has no other kind
  }) as Client<S>;
}

const firstPauseMs = 200;
const longestPauseMs = 10_000;
/** How long the proxy may ask a call to wait before it is retried. During a ban, for example, it asks for up to an hour. */
const longestWaitMs = 30_000;
/** How long a message with a nonce may be repeated. Discord keeps nonces for a few minutes. */
const nonceMs = 100_000;

function repeated(method: DescMethodUnary, call: UnaryCall, defaultTimeoutMs: number, retries: number): UnaryCall {
  return async (request, options = {}) => {
    const begin = performance.now();
    const { timeoutMs = defaultTimeoutMs, signal } = options;
    const sent = retries > 0 ? named(method, request) : request;
    for (let left = retries, pauseMs = firstPauseMs; ; left--, pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      try {
        const leftMs = timeoutMs - (performance.now() - begin);
        return await call(sent, { ...options, timeoutMs: timeoutMs > 0 ? Math.max(Math.ceil(leftMs), 1) : 0 });
      } catch (err) {
        const error = translate(err);
        const waitMs = Math.max(error.retryAfterMs ?? 0, pauseMs * (0.5 + Math.random() / 2));
        const afterMs = performance.now() - begin + waitMs;
        const inTime = timeoutMs <= 0 || afterMs < timeoutMs;
        const again = left > 0 && inTime && waitMs <= longestWaitMs && error instanceof UnavailableError && harmless(method, sent, error, afterMs);
        if (!again || !(await sleep(waitMs, signal))) throw error;
      }
    }
  };
}

/** Resolves to false as soon as the signal is aborted. */
function sleep(ms: number, signal: AbortSignal | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve(false);
    const end = (slept: boolean) => () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", aborted);
      resolve(slept);
    };
    const aborted = end(false);
    const timer = setTimeout(end(true), ms);
    signal?.addEventListener("abort", aborted);
  });
}

/** Whether a call that failed can be made again, that long after it began. */
function harmless(method: DescMethodUnary, request: Message, error: DiscordProxyError, afterMs: number): boolean {
  if (method.idempotency !== Idempotency.IDEMPOTENCY_UNKNOWN) return true;
  if (!error.outcomeUnknown || (enqueues(method) && request.deliveryId)) return true;
  return enforced(method, request) && afterMs < nonceMs;
}

/** The fields that retries need, of a request that sends or enqueues one message. */
interface Message {
  nonce?: string;
  enforceNonce?: boolean;
  deliveryId?: string;
}

const sending = new Set<string>([SendChannelMessageRequestSchema.typeName, SendDirectMessageRequestSchema.typeName]);

/** Whether Discord stores one message for repeated calls with the same nonce. */
function enforced(method: DescMethodUnary, request: Message): boolean {
  return sending.has(method.input.typeName) && request.enforceNonce !== false;
}

/** Whether the proxy stores one delivery for repeated calls with the same ID. */
function enqueues(method: DescMethodUnary): boolean {
  return method.input.typeName === EnqueueRequestSchema.typeName;
}

/** A copy of the request with a nonce for its message, or an ID for its delivery. The caller's own request stays unchanged: two calls with it are two messages. */
function named(method: DescMethodUnary, request: Message): Message {
  if (enqueues(method)) return request.deliveryId ? request : { ...request, deliveryId: randomName() };
  return request.nonce || !enforced(method, request) ? request : { ...request, nonce: randomName() };
}

function randomName(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function streamed<Request>(call: (request: Request, options?: CallOptions) => AsyncIterable<object>): typeof call {
  return async function* (request, options = {}) {
    const left = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, left.signal]) : left.signal;
    try {
      yield* call(request, { ...options, signal });
    } catch (err) {
      throw translate(err);
    } finally {
      left.abort();
    }
  };
}
