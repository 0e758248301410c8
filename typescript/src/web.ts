/** The client for browsers, which calls the proxy over gRPC-Web. */
import type { ConnectError, Interceptor, Transport } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { clientOver, type DiscordClient, type Settings } from "./client.js";
import { DiscordApi } from "./gen/discord_api/discord_api_pb.js";
import { authorize, unavailable } from "./interceptors.js";

export * from "./index.js";

/**
 * Returns a client of the proxy at a URL. Default: the page's own. A proxy
 * at another must name the page's origin with --cors-origin.
 */
export function createClient(url: string = location.origin, settings: Settings = {}): DiscordClient {
  return clientOver(DiscordApi, createTransport(url, settings), settings);
}

/** Returns what clientOver needs to call a proxy at a URL. Calls pass through the interceptors. */
export function createTransport(url: string, settings: Pick<Settings, "key"> & { interceptors?: Interceptor[] } = {}): Transport {
  const { key = "", interceptors = [] } = settings;
  return createGrpcWebTransport({ baseUrl: url, interceptors: [...interceptors, authorize(key), unavailable(broke)] });
}

/** Whether fetch did, whose errors of the network are TypeErrors. */
const broke = (status: ConnectError) => status.cause instanceof TypeError;
