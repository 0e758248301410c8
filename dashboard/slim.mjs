// Leaves out of the page's descriptors what the page never uses: they are a third of
// the page. Messages keep their places, by which the generated code finds them, and
// lose their fields and their names.
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";

const client = createRequire(new URL("../typescript/package.json", import.meta.url));
const load = (name) => import(pathToFileURL(client.resolve(name)));
const generated = fileURLToPath(new URL("../typescript/src/gen/discord_api", import.meta.url));
const descriptor = /fileDesc\("([^"]+)"/;

/** The methods that the sources of the page call, and the schemas that they name. */
async function used(sources) {
  const names = new Set();
  for (const name of await readdir(sources)) {
    const text = await readFile(`${sources}/${name}`, "utf8");
    for (const [, method] of text.matchAll(/\b(?:discord|dashboard|outbox)\.(\w+)\(/g)) names.add(method.toLowerCase());
    for (const [, method] of text.matchAll(/"(\w+(?:Delivery|Message))"/g)) names.add(method.toLowerCase());
    for (const [, schema] of text.matchAll(/\b(\w+)Schema\b/g)) names.add(schema);
  }
  return names;
}

export async function slim(sources) {
  const { fromBinary, toBinary } = await load("@bufbuild/protobuf");
  const { FileDescriptorProtoSchema } = await load("@bufbuild/protobuf/wkt");
  const { base64Decode, base64Encode } = await load("@bufbuild/protobuf/wire");
  const names = await used(sources);
  const files = new Map();
  const messages = new Map();
  for (const name of await readdir(generated)) {
    const text = await readFile(`${generated}/${name}`, "utf8");
    const file = fromBinary(FileDescriptorProtoSchema, base64Decode(descriptor.exec(text)[1]));
    files.set(name, { text, file });
    const walk = (prefix, list) => {
      for (const m of list) {
        messages.set(`${prefix}.${m.name}`, m);
        walk(`${prefix}.${m.name}`, m.nestedType);
      }
    };
    walk(`.${file.package}`, file.messageType);
  }

  // The roots, and all that they hold.
  const needed = new Set();
  const need = (name) => {
    if (needed.has(name)) return;
    needed.add(name);
    // Of the calls that can be enqueued, the page enqueues messages.
    const message = messages.get(name);
    if (message?.name === "EnqueueRequest") message.field = message.field.filter((f) => f.oneofIndex !== 0 || f.proto3Optional || f.name.startsWith("send_") || !f.typeName);
    for (const field of message?.field ?? []) if (field.typeName) need(field.typeName);
  };
  for (const { file } of files.values()) {
    for (const service of file.service) {
      service.method = service.method.filter((m) => names.has(m.name.toLowerCase()));
      for (const m of service.method) for (const type of [m.inputType, m.outputType]) need(type);
    }
  }
  for (const [name, m] of messages) if (names.has(m.name)) need(name);
  // What the client itself names.
  for (const name of ["DiscordError", "SendChannelMessageRequest", "SendDirectMessageRequest"]) need(`.discord_api.${name}`);

  // The names of needed types begin with those of the messages that they are in.
  const holders = [...needed].map((name) => `${name}.`).join("\n");
  let stripped = 0;
  const short = () => `_${(stripped++).toString(36)}`;
  const strip = (prefix, list) => {
    for (const m of list) {
      const name = `${prefix}.${m.name}`;
      if (!needed.has(name)) {
        if (!holders.includes(`${name}.`)) m.name = short();
        m.field = m.oneofDecl = m.reservedRange = m.reservedName = [];
      }
      strip(name, m.nestedType);
      enums(name, m.enumType);
    }
  };
  const enums = (prefix, list) => {
    for (const e of list) {
      if (needed.has(`${prefix}.${e.name}`)) continue;
      e.name = short();
      e.value = e.value.slice(0, 1);
      e.value[0].name = short();
    }
  };
  const slimmed = new Map();
  for (const [name, { text, file }] of files) {
    strip(`.${file.package}`, file.messageType);
    enums(`.${file.package}`, file.enumType);
    slimmed.set(name, text.replace(descriptor, `fileDesc("${base64Encode(toBinary(FileDescriptorProtoSchema, file), "std_raw")}"`));
  }
  return {
    name: "slim",
    setup(build) {
      build.onLoad({ filter: /\/gen\/discord_api\/\w+_pb\.ts$/ }, ({ path }) => ({ contents: slimmed.get(path.split("/").at(-1)), loader: "ts" }));
    },
  };
}
