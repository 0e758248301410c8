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
  /** The original error, with its gRPC status. */
  declare readonly cause: ConnectError;

  protected constructor(message: string, circumstances: Circumstances) {
    super(message, { cause: circumstances.cause });
    this.retryAfterMs = circumstances.retryAfterMs;
    this.outcomeUnknown = circumstances.outcomeUnknown;
  }
}

/** An error in one field of an invalid form. */
export interface FieldError {
  /** Path, such as embeds.0.description. */
  field: string;
  /** Name of the rule, such as BASE_TYPE_MAX_LENGTH. */
  code: string;
  /** The error as text. */
  message: string;
}

/** Discord's response to a call that it refuses. */
export interface Refusal {
  /** HTTP status. */
  status: number;
  /** Discord's error code, or 0 if there is none. */
  code: number;
  /** Discord's text. For an invalid form, a line for each violation follows. */
  text: string;
}

/** Discord refused the call. */
export class HTTPError extends DiscordProxyError implements Refusal {
  override readonly name: string = "HTTPError";
  readonly status: number;
  readonly code: number;
  readonly text: string;
  /** The violations of an invalid form. */
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
  /** gRPC status. */
  readonly code: Code;
  readonly text: string;

  constructor(circumstances: Circumstances) {
    super(circumstances.cause.message, circumstances);
    this.code = circumstances.cause.code;
    this.text = circumstances.cause.rawMessage;
  }
}

/** The call did not end within its timeout, or its turn comes after it. */
export class TimeoutError extends CallError {
  override readonly name = "TimeoutError";
}

/** The proxy or Discord cannot be reached, the connection was lost, or the proxy is shutting down. */
export class UnavailableError extends CallError {
  override readonly name = "UnavailableError";
}

/** Reads the message of a status, which is a JSON document if Discord refused the call. */
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

/** Returns the typed error for the error of a call. */
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

/** Node's codes for connections that could not be established. */
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
