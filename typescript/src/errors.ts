import { Code, ConnectError } from "@connectrpc/connect";
import { DiscordErrorSchema, type DiscordError, type DiscordError_FieldError } from "./gen/discord_api/discord_api_pb.js";

/** The details of a failed call. */
interface Circumstances {
  retryAfterMs: number | undefined;
  outcomeUnknown: boolean;
  cause: ConnectError;
}

/** A call failed. */
export abstract class DiscordProxyError extends Error {
  /** Milliseconds until the call can succeed, if that is known. */
  readonly retryAfterMs: number | undefined;
  /** Whether the call may have taken effect. */
  readonly outcomeUnknown: boolean;
  /** What the call ended with, its gRPC status included. */
  declare readonly cause: ConnectError;

  protected constructor(message: string, circumstances: Circumstances) {
    super(message, { cause: circumstances.cause });
    this.retryAfterMs = circumstances.retryAfterMs;
    this.outcomeUnknown = circumstances.outcomeUnknown;
  }
}

/** What is wrong with one field of an invalid form. */
export interface FieldError {
  /** Path, such as embeds.0.description. */
  field: string;
  /** Name of the rule, such as BASE_TYPE_MAX_LENGTH. */
  code: string;
  /** The rule in words. */
  message: string;
}

/** What Discord says when it refuses a call. */
export interface Refusal {
  /** Status of HTTP. */
  status: number;
  /** Discord's own code of the error, 0 when it has none. */
  code: number;
  /** Discord's text, for an invalid form with a line for each broken rule. */
  text: string;
}

/** Discord refused the call. */
export class HTTPError extends DiscordProxyError implements Refusal {
  override readonly name: string = "HTTPError";
  readonly status: number;
  readonly code: number;
  readonly text: string;
  /** The broken rules of an invalid form, one by one. */
  readonly errors: readonly FieldError[];

  constructor(refusal: Refusal, errors: readonly FieldError[], circumstances: Circumstances) {
    super(`Discord answered with HTTP status ${refusal.status}, code ${refusal.code}: ${refusal.text}`, circumstances);
    this.status = refusal.status;
    this.code = refusal.code;
    this.text = refusal.text;
    this.errors = errors;
  }
}

/** The call failed between the client and the proxy, or in the proxy. */
export class CallError extends DiscordProxyError {
  override readonly name: string = "CallError";
  /** Status of gRPC. */
  readonly code: Code;
  readonly text: string;

  constructor(circumstances: Circumstances) {
    super(circumstances.cause.message, circumstances);
    this.code = circumstances.cause.code;
    this.text = circumstances.cause.rawMessage;
  }
}

/** The call's time passed, or its turn lies beyond it. */
export class TimeoutError extends CallError {
  override readonly name = "TimeoutError";
}

/** The proxy or Discord cannot be reached, or not now. */
export class UnavailableError extends CallError {
  override readonly name = "UnavailableError";
}

/** Reads the message of a status, which is a JSON document when Discord refused the call. */
export function parseRefusal(message: string): Refusal | undefined {
  let document: unknown;
  try {
    document = JSON.parse(message);
  } catch {
    return undefined;
  }
  const { type, status, code, text } = Object(document) as { type?: unknown } & Partial<Refusal>;
  if (type !== "HTTPException") return undefined;
  return { status: status ?? 0, code: code ?? 0, text: text ?? "" };
}

/** Returns the typed error for what a call ended with. */
export function translate(err: unknown): DiscordProxyError {
  if (err instanceof DiscordProxyError) return err;
  const cause = ConnectError.from(err);
  const [detail] = cause.findDetails(DiscordErrorSchema);
  const circumstances = { retryAfterMs: milliseconds(detail), outcomeUnknown: detail?.outcomeUnknown ?? lost(cause), cause };
  const refusal = parseRefusal(cause.rawMessage);
  if (refusal) return new HTTPError(refusal, (detail?.errors ?? []).map(plain), circumstances);
  if (cause.code === Code.DeadlineExceeded) return new TimeoutError(circumstances);
  if (cause.code === Code.Unavailable) return new UnavailableError(circumstances);
  return new CallError(circumstances);
}

function milliseconds(detail: DiscordError | undefined): number | undefined {
  const after = detail?.retryAfter;
  return after && Number(after.seconds) * 1000 + after.nanos / 1e6;
}

const plain = ({ field, code, message }: DiscordError_FieldError): FieldError => ({ field, code, message });

/** Codes of Node for a connection that did not come about. */
const unconnected = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND", "EAI_AGAIN"]);

/** Whether a status without details of the proxy may hide that the call took effect. */
function lost(status: ConnectError): boolean {
  switch (status.code) {
    case Code.Unavailable:
    case Code.DeadlineExceeded:
    case Code.Canceled:
    case Code.Unknown:
    case Code.Internal:
      for (let cause = status.cause; cause instanceof Error; cause = cause.cause) {
        if (unconnected.has((cause as { code?: string }).code ?? "")) return false;
      }
      return true;
    default:
      return false;
  }
}
