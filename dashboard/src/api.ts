// How the page calls the proxy: as any page may, over gRPC-Web.
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { Dashboard } from "../gen/discord_api/dashboard_pb.js";
import { DiscordApi } from "../gen/discord_api/discord_api_pb.js";

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

const authorize: Interceptor = (next) => async (request) => {
  const key = clientKey();
  if (key) request.header.set("Authorization", `Bearer ${key}`);
  try {
    return await next(request);
  } catch (err) {
    const e = ConnectError.from(err);
    // Discord's own 401 has the same code, but is about the bot's token.
    if (e.code === Code.Unauthenticated && readable(e.rawMessage) === e.rawMessage) refused(e);
    throw err;
  }
};

const transport = createGrpcWebTransport({ baseUrl: location.origin, interceptors: [authorize] });

export const discord = createClient(DiscordApi, transport);
export const dashboard = createClient(Dashboard, transport);

/** Failure is an error as a person reads it. */
export interface Failure {
  code: string;
  text: string;
}

/** Errors of Discord are JSON documents with a text, all others are text. */
export function failure(err: unknown): Failure {
  const e = ConnectError.from(err);
  const code = Code[e.code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase();
  return { code, text: readable(e.rawMessage) };
}

export function readable(message: string): string {
  try {
    const document = JSON.parse(message) as { status?: number; code?: number; text?: string };
    if (document.text) return `${document.text} (HTTP ${document.status}, code ${document.code})`;
  } catch {
    // not of Discord
  }
  return message;
}

/** Controls the pretend Discord; resolves to what it answers. */
export async function control(method: string, path: string, body?: unknown): Promise<unknown> {
  const headers: Record<string, string> = { "Content-Type": "application/json" };
  const key = clientKey();
  if (key) headers["Authorization"] = `Bearer ${key}`;
  const response = await fetch(`/sandbox/${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
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
