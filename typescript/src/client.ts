import type { DescMethodUnary, DescService } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { createClient, makeAnyClient, type CallOptions, type Client, type Transport } from "@connectrpc/connect";
import { translate, UnavailableError, type DiscordProxyError } from "./errors.js";
import { SendChannelMessageRequestSchema, SendDirectMessageRequestSchema, type DiscordApi } from "./gen/discord_api/discord_api_pb.js";

/** Every method of the API, with its messages. */
export type DiscordClient = Client<typeof DiscordApi>;

/** How calls are made. */
export interface CallSettings {
  /**
   * Bounds each call, its repetitions included, in milliseconds. Streams are
   * not bounded. Without it, and for 0, a call waits for its turn at Discord
   * however long that takes. The option timeoutMs of a call takes precedence.
   */
  timeoutMs?: number;
  /**
   * How often a call that failed with an UnavailableError is made again, where
   * that can do no harm: when it changes nothing, when it had no effect for
   * sure, or when it sends a message, which gets a nonce for that so that
   * Discord makes no second one. Default: 0.
   */
  retries?: number;
}

/** How a proxy is called. */
export interface Settings extends CallSettings {
  /**
   * Key for the proxy, or a function that returns it for each call; an empty key is
   * not sent. Without TLS, the key crosses the network in clear text.
   */
  key?: string | (() => string);
}

type UnaryCall = (request: object, options?: CallOptions) => Promise<object>;
type StreamCall = (request: object, options?: CallOptions) => AsyncIterable<object>;

/**
 * Returns a client of a service of the proxy over a transport of Connect. Its
 * calls fail with a DiscordProxyError. A stream begins when it is iterated, and
 * ends with the loop.
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
    return null; // the API has no other kind
  }) as Client<S>;
}

const firstPauseMs = 200;
const longestPauseMs = 10_000;
/** How long a message with a nonce may be repeated. Discord keeps nonces for a few minutes. */
const nonceMs = 100_000;

function repeated(method: DescMethodUnary, call: UnaryCall, defaultTimeoutMs: number, retries: number): UnaryCall {
  return async (request, options = {}) => {
    const begin = performance.now();
    const { timeoutMs = defaultTimeoutMs, signal } = options;
    const sent = retries > 0 && enforced(method, request) ? named(request) : request;
    for (let left = retries, pauseMs = firstPauseMs; ; left--, pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      try {
        const leftMs = timeoutMs - (performance.now() - begin);
        return await call(sent, { ...options, timeoutMs: timeoutMs > 0 ? Math.max(Math.ceil(leftMs), 1) : 0 });
      } catch (err) {
        const error = translate(err);
        const waitMs = Math.max(error.retryAfterMs ?? 0, pauseMs * (0.5 + Math.random() / 2));
        const afterMs = performance.now() - begin + waitMs;
        const inTime = timeoutMs <= 0 || afterMs < timeoutMs;
        const again = left > 0 && inTime && error instanceof UnavailableError && harmless(method, sent, error, afterMs);
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
  return !error.outcomeUnknown || (enforced(method, request) && afterMs < nonceMs);
}

/** What matters here of a request that sends one message. */
interface Message {
  nonce?: string;
  enforceNonce?: boolean;
}

const sending = new Set<string>([SendChannelMessageRequestSchema.typeName, SendDirectMessageRequestSchema.typeName]);

/** Whether Discord makes one message of those with one nonce. */
function enforced(method: DescMethodUnary, request: Message): boolean {
  return sending.has(method.input.typeName) && request.enforceNonce !== false;
}

/** The message with a nonce. The caller's own is left as it is: two calls with it are two messages. */
function named(request: Message): Message {
  if (request.nonce) return request;
  const nonce = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { ...request, nonce };
}

function streamed(call: StreamCall): StreamCall {
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
