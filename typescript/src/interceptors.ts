import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Settings } from "./client.js";

/** Gives each call the key. */
export function authorize(key: NonNullable<Settings["key"]>): Interceptor {
  if (typeof key === "string") checked(key);
  return (next) => (request) => {
    const given = typeof key === "string" ? key : checked(key());
    if (given) request.header.set("Authorization", `Bearer ${given}`);
    return next(request);
  };
}

function checked(key: string): string {
  if (!/^[ -~]*$/.test(key)) throw new RangeError("the key must be printable ASCII");
  return key;
}

/**
 * Reports a lost connection as Unavailable, as gRPC does. Transports report such
 * connections in different ways; broke recognizes them.
 */
export function unavailable(broke: (status: ConnectError) => boolean): Interceptor {
  return (next) => async (request) => {
    const named = (err: unknown) => {
      const status = ConnectError.from(err);
      if (request.signal.aborted || !broke(status)) return status;
      return new ConnectError(status.rawMessage, Code.Unavailable, undefined, undefined, status);
    };
    async function* each<M>(messages: AsyncIterable<M>) {
      try {
        yield* messages;
      } catch (err) {
        throw named(err);
      }
    }
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: each(response.message) } : response;
    } catch (err) {
      throw named(err);
    }
  };
}
