/** The client for Node, which calls the proxy over gRPC. */
import type { ConnectionOptions } from "node:tls";
import { Code, type ConnectError, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { discordClient, type DiscordClient, type Settings } from "./client.js";
import { identify, unavailable } from "./interceptors.js";

export * from "./index.js";

/** The default address of a proxy. */
export const defaultTarget = "localhost:50051";

export interface NodeSettings extends Settings {
  /** Encrypts the connection, with Node's defaults or with these options. */
  tls?: boolean | ConnectionOptions;
}

export interface NodeClient extends DiscordClient {
  /** Closes the connection and ends its calls. A further call opens another. */
  close(): void;
}

/**
 * Returns a client of the proxy at target, which is host:port. The default is
 * defaultTarget. The client connects with its first call, keeps the connection,
 * and reconnects after a restart of the proxy. An idle client does not keep Node
 * running.
 */
export function createClient(target = defaultTarget, settings: NodeSettings = {}): NodeClient {
  if (!/^([^\s:/?#@[\]]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}$/.test(target)) throw new RangeError(`target ${JSON.stringify(target)} is not of the form host:port`);
  const { tls = false } = settings;
  const baseUrl = `${tls ? "https" : "http"}://${target}`;
  // A call may wait for minutes. Without pings, a lost connection would not be noticed.
  const pings = { pingIntervalMs: 30_000, pingTimeoutMs: 15_000 };
  const sessionManager = new Http2SessionManager(baseUrl, pings, typeof tls === "object" ? tls : undefined);
  let connection = new AbortController();
  const unlessClosed: Interceptor = (next) => {
    return (request) => {
      const { signal } = connection;
      return unavailable((status) => !signal.aborted && broke(status))(next)(request);
    };
  };
  const transport = createGrpcTransport({ baseUrl, sessionManager, interceptors: [identify(settings), unlessClosed] });
  const close = () => {
    connection.abort();
    connection = new AbortController();
    sessionManager.abort();
  };
  return Object.assign(discordClient(transport, settings), { close });
}

/** Whether the connection did: Node says so by an error with a code, or the stream ends as if it was canceled. */
function broke({ code, cause }: ConnectError): boolean {
  return code === Code.Canceled || code === Code.Aborted || typeof (cause as NodeJS.ErrnoException | undefined)?.code === "string";
}
