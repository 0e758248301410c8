/** What the clients for Node, discordproxy/node, and for browsers, discordproxy/web, have in common. */
export { clientOver, type CallSettings, type DiscordClient, type Settings } from "./client.js";
export {
  CallError,
  DiscordProxyError,
  HTTPError,
  parseRefusal,
  TimeoutError,
  UnavailableError,
  type FieldError,
  type Refusal,
} from "./errors.js";
// What is used with messages, their schemas and statuses.
export { create, fromBinary, fromJson, toBinary, toJson } from "@bufbuild/protobuf";
export type { DescMessage, JsonObject, JsonValue, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
export type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
export { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
