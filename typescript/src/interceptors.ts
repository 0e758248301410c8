import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Settings } from "./client.js";

/** Gives each call the key and the name of the bot. */
export function identify({ key = "", bot = "" }: Pick<Settings, "key" | "bot">): Interceptor {
  const keyOf = checked("the key", key);
  const botOf = checked("the name of the bot", bot);
  return (next) => (request) => {
    const [key, bot] = [keyOf(), botOf()];
    if (key) request.header.set("Authorization", `Bearer ${key}`);
    if (bot) request.header.set("Discord-Bot", bot);
    return next(request);
  };
}

function checked(name: string, value: string | (() => string)): () => string {
  const get = () => {
    const text = typeof value === "string" ? value : value();
    if (!/^[ -~]*$/.test(text)) throw new RangeError(`${name} must be printable ASCII`);
    return text;
  };
  if (typeof value === "string") get();
  return get;
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
