/** The client for browsers, which calls the proxy over gRPC-Web. */
import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { discordClient, type DiscordClient, type Settings } from "./client.js";
import { identify, unavailable } from "./interceptors.js";

export * from "./index.js";

/**
 * Returns a client of the proxy at a URL. The default is the page's own origin. A
 * proxy at another origin must allow the page's origin with --cors-origin. Browsers
 * cannot stream requests: enqueueMany fails with a CallError with the code
 * Unimplemented.
 */
export function createClient(url: string = location.origin, settings: Settings = {}): DiscordClient {
  return discordClient(createTransport(url, settings), settings);
}

/** Returns what clientOver needs to call a proxy at a URL. Calls pass through the interceptors. */
export function createTransport(url: string, settings: Pick<Settings, "key" | "bot"> & { interceptors?: Interceptor[] } = {}): Transport {
  const { interceptors = [] } = settings;
  return createGrpcWebTransport({ baseUrl: url, interceptors: [...interceptors, sendable, identify(settings), unavailable(broke)] });
}

/** Whether fetch did, whose errors of the network are TypeErrors. */
const broke = (status: ConnectError) => status.cause instanceof TypeError;

/** Refuses calls that stream requests, which fetch cannot do. */
const sendable: Interceptor = (next) => async (request) => {
  if (request.stream && request.method.methodKind !== "server_streaming") {
    throw new ConnectError(`${request.method.name} streams requests, which browsers cannot do; make a call for each`, Code.Unimplemented);
  }
  return await next(request);
};
