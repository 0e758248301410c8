// A page of another origin that calls the proxy with Google's client grpc-web,
// in both of its modes. What it sees goes back to the server of the page.
import { fromBinary, toBinary, create, type DescMessage, type MessageShape } from "discordproxy";
import * as grpc from "grpc-web";
import { WatchStatusRequestSchema, WatchStatusResponseSchema } from "discordproxy/dashboard";
import { SendChannelMessageRequestSchema, SendChannelMessageResponseSchema } from "discordproxy/discord_api";

const world = new URLSearchParams(location.search);
const proxy = world.get("proxy") ?? "";

/** Describes a method to the client, as its generated code does. */
function describe<I extends DescMessage, O extends DescMessage>(name: string, kind: string, input: I, output: O) {
  // The constructors are asked for, but only what reads and writes is used.
  const constructor = class {} as never;
  return new grpc.MethodDescriptor<MessageShape<I>, MessageShape<O>>(
    name, kind, constructor, constructor,
    (message: MessageShape<I>) => toBinary(input, message),
    (data: Uint8Array) => fromBinary(output, data),
  );
}

const send = describe("/discord_api.DiscordApi/SendChannelMessage", "unary", SendChannelMessageRequestSchema, SendChannelMessageResponseSchema);
const watch = describe("/discord_api.Dashboard/WatchStatus", "server_streaming", WatchStatusRequestSchema, WatchStatusResponseSchema);

async function look(format: string) {
  const client = new grpc.GrpcWebClientBase({ format });
  const post = async (channel: string, content: string) => {
    const request = create(SendChannelMessageRequestSchema, { channelId: BigInt(world.get(channel) ?? "0"), content });
    const answer = await client.unaryCall(proxy + send.getName(), request, {}, send);
    return answer.message?.content;
  };
  // Long enough for many pieces.
  const long = `${format} ${"ü".repeat(1900)}`;
  const seen: Record<string, unknown> = {
    unary: (await post("general", format)) === format,
    long: (await post("general", long)) === long,
    error: await post("forbidden", "x").catch((err: grpc.RpcError) => `${err.code} ${err.message}`),
  };

  // In binary this client has the messages of a stream when it has ended, which
  // a deadline brings about; in text as they come.
  const deadline = String(Date.now() + (format === "text" ? 60_000 : 2_500));
  const stream = client.serverStreaming(proxy + watch.getName(), create(WatchStatusRequestSchema), { deadline }, watch);
  let messages = 0;
  seen.stream = await new Promise((resolve) => {
    stream.on("data", (m: MessageShape<typeof WatchStatusResponseSchema>) => {
      messages++;
      if (messages === 1 && format === "text") void post("general", "another");
      if (m.calls.some((call) => call.method === "SendChannelMessage") && (format !== "text" || messages > 1)) {
        stream.cancel();
        resolve("calls");
      }
    });
    stream.on("error", (err: grpc.RpcError) => setTimeout(() => resolve(`${messages} messages, ${err.code} ${err.message}`), 0));
    stream.on("end", () => resolve(`${messages} messages`));
  });
  return seen;
}

const seen: Record<string, unknown> = {};
for (const format of ["text", "binary"]) seen[format] = await look(format).catch((err: unknown) => ({ error: String(err) }));
await fetch("/seen", { method: "POST", body: JSON.stringify(seen) });
