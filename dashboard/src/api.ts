// How the page calls the proxy: as any page may, over gRPC-Web.
import { Dashboard } from "discordproxy/dashboard";
import { DiscordApi } from "discordproxy/discord_api";
import { Outbox } from "discordproxy/outbox";
import { clientOver, Code, ConnectError, createTransport, DiscordProxyError, parseRefusal, type Interceptor } from "discordproxy/web";
import { base } from "./base.js";
import { plain } from "./format.js";

const keyName = "discordproxy-key";

/** The client key that the user gave, "" for none. It ends with the tab. */
export const clientKey = () => sessionStorage.getItem(keyName) ?? "";

export function setClientKey(key: string) {
  if (key) sessionStorage.setItem(keyName, key);
  else sessionStorage.removeItem(keyName);
}

let refused = (_: ConnectError) => {};

/** Has the listener called when the proxy does not know who calls. */
export function onRefusal(listener: (err: ConnectError) => void) {
  refused = listener;
}

const notice: Interceptor = (next) => async (request) => {
  const key = clientKey();
  try {
    return await next(request);
  } catch (err) {
    const e = ConnectError.from(err);
    // Discord's own 401 has the same code, but is about the bot's token. And
    // another key may have been given meanwhile.
    if (e.code === Code.Unauthenticated && key === clientKey() && !parseRefusal(e.rawMessage)) refused(e);
    throw err;
  }
};

const transport = createTransport(base, { key: clientKey, interceptors: [notice] });

export const discord = clientOver(DiscordApi, transport);
export const dashboard = clientOver(Dashboard, transport);
export const outbox = clientOver(Outbox, transport);

/** The dashboard at an address of the proxy. Its refusals do not lock the page. */
export const dashboardAt = (address: string) => (address === base ? dashboard : clientOver(Dashboard, createTransport(address, { key: clientKey })));

/** Failure is an error as a person reads it. */
export interface Failure {
  code: string;
  text: string;
}

export function failure(err: unknown): Failure {
  const status = statusOf(err);
  const code = Code[status.code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase();
  return { code, text: readable(status.rawMessage) };
}

/** The status that a call ended with. */
export const statusOf = (err: unknown) => ConnectError.from(err instanceof DiscordProxyError ? err.cause : err);

/** The message of a status as a person reads it. */
export function readable(message: string): string {
  const refusal = parseRefusal(message);
  return refusal ? `${refusal.text} (HTTP ${refusal.status}, code ${refusal.code})` : plain(message);
}

/** Controls the sandbox; resolves to what it answers. */
export async function control(method: string, path: string, body?: unknown): Promise<unknown> {
  const headers: Record<string, string> = { "Content-Type": "application/json" };
  const key = clientKey();
  if (key) headers["Authorization"] = `Bearer ${key}`;
  const response = await fetch(`${base}/sandbox/${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) {
    let reason = text;
    try {
      reason = (JSON.parse(text) as { error: string }).error;
    } catch {
      // plain text
    }
    throw new Error(reason);
  }
  return text ? JSON.parse(text) : undefined;
}
