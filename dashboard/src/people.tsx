// A person of the sandbox: who it is, what it writes, which command it uses.
import { useState } from "preact/hooks";
import { channelsIn, mentionsIn, rolesIn, usersIn, type Command, type Option, type World } from "./acting.js";
import { Choices } from "./choices.js";
import { Panel } from "./parts.js";
import type { Message } from "./store.js";

/** The types of commands and of their options. */
const Type = { user: 2, message: 3 };
const OptionType = { sub: 1, group: 2, integer: 4, boolean: 5, user: 6, channel: 7, role: 8, mention: 9, number: 10, attachment: 11 };

interface Usable {
  command: Command;
  /** Names of a group and a subcommand. */
  path: string[];
  options: Option[];
}

/** Each subcommand is a command of its own to who uses it. */
function usable(command: Command): Usable[] {
  const walk = (path: string[], options: Option[]): Usable[] => {
    const below = options.filter((o) => o.type === OptionType.sub || o.type === OptionType.group);
    return below.length > 0 ? below.flatMap((o) => walk([...path, o.name], o.options ?? [])) : [{ command, path, options }];
  };
  return walk([], command.options ?? []);
}

const title = ({ command, path }: Usable) => (command.type === Type.user || command.type === Type.message ? command.name : `/${[command.name, ...path].join(" ")}`);

/** The options of a command as Discord sends them, within those of its subcommand and group. */
function filledIn({ path, options }: Usable, values: Record<string, string>) {
  const given: object[] = options.flatMap((o) => {
    const text = values[o.name];
    if (!text) return [];
    const value = o.type === OptionType.integer || o.type === OptionType.number ? Number(text) : o.type === OptionType.boolean ? text === "true" : text;
    return [{ name: o.name, type: o.type, value }];
  });
  return path.reduceRight((inner, name, i) => [{ name, type: i === path.length - 1 ? OptionType.sub : OptionType.group, options: inner }], given);
}

export function People({ world, reload, person, setPerson, channel, channels, setChannel, messages, write, use }: {
  world: World;
  reload: () => void;
  person: string;
  setPerson: (id: string) => void;
  channel: string;
  channels: { id: bigint; name: string }[];
  setChannel: (id: string) => void;
  messages: Message[];
  /** Resolves to whether it worked. */
  write: (content: string) => Promise<boolean>;
  use: (what: object) => Promise<boolean>;
}) {
  const [content, setContent] = useState("");
  const all = world.commands.flatMap(usable);
  const [chosen, setChosen] = useState(0);
  const command = all[chosen] ?? all[0];
  return (
    <Panel id="people" title="People">
      <div class="compose">
        <div class="pair">
          <label>
            Act as
            <select aria-label="Act as" value={person} onFocus={reload} onChange={(e) => setPerson(e.currentTarget.value)}>
              {world.people.map((p) => (
                <option key={p.value} value={p.value}>
                  {p.label}
                </option>
              ))}
            </select>
          </label>
          <label>
            Channel
            <select aria-label="Channel" value={channel} onChange={(e) => setChannel(e.currentTarget.value)}>
              {channels.map((c) => (
                <option key={c.id} value={String(c.id)}>
                  {c.name}
                </option>
              ))}
            </select>
          </label>
        </div>
        <form
          class="line"
          onSubmit={(e) => {
            e.preventDefault();
            void write(content).then((ok) => ok && setContent(""));
          }}
        >
          <input aria-label="Message from this person" placeholder="Message" required maxLength={4000} value={content} onInput={(e) => setContent(e.currentTarget.value)} />
          <button type="submit">Write</button>
        </form>
        <label>
          Command
          <select aria-label="Command" value={String(chosen)} onFocus={reload} onChange={(e) => setChosen(Number(e.currentTarget.value))}>
            {all.length === 0 && <option value="0">No bot has registered commands</option>}
            {all.map((u, i) => (
              <option key={`${u.command.id} ${u.path.join(" ")}`} value={String(i)}>
                {title(u)}
              </option>
            ))}
          </select>
        </label>
        {command && <CommandForm key={`${command.command.id} ${command.path.join(" ")}`} usable={command} world={world} messages={messages} use={use} />}
      </div>
    </Panel>
  );
}

function CommandForm({ usable: u, world, messages, use }: { usable: Usable; world: World; messages: Message[]; use: (what: object) => Promise<boolean> }) {
  const [values, setValues] = useState<Record<string, string>>({});
  const [target, setTarget] = useState("");
  const { command } = u;
  const targets = command.type === Type.user ? usersIn(world) : command.type === Type.message ? messages.map((m) => ({ value: String(m.id), label: m.content.slice(0, 60) || String(m.id) })) : undefined;
  return (
    <form
      class="compose bare"
      onSubmit={(e) => {
        e.preventDefault();
        void use({ bot: command.application_id, name: command.name, ...(targets ? { target } : { options: filledIn(u, values) }) });
      }}
    >
      {targets && <Choices label={command.type === Type.user ? "User" : "Message"} choices={targets} several={false} required chosen={target ? [target] : []} choose={([value = ""]) => setTarget(value)} />}
      {u.options.map((o) => (
        <OptionView key={o.name} option={o} world={world} value={values[o.name] ?? ""} set={(value) => setValues((old) => ({ ...old, [o.name]: value }))} />
      ))}
      <div class="actions">
        <button type="submit">Use {title(u)}</button>
      </div>
    </form>
  );
}

function OptionView({ option: o, world, value, set }: { option: Option; world: World; value: string; set: (value: string) => void }) {
  const choices = () => {
    if (o.choices?.length) return o.choices.map((c) => ({ value: String(c.value), label: c.name }));
    switch (o.type) {
      case OptionType.boolean:
        return [{ value: "true", label: "Yes" }, { value: "false", label: "No" }];
      case OptionType.user:
        return usersIn(world);
      case OptionType.channel:
        return channelsIn(world);
      case OptionType.role:
        return rolesIn(world);
      case OptionType.mention:
        return mentionsIn(world);
      default:
        return undefined;
    }
  };
  if (o.type === OptionType.attachment) return <p class="note">{o.name}: the dashboard cannot attach files to commands.</p>;
  const offered = choices();
  const shared = { required: o.required ?? false, value, onInput: (e: { currentTarget: HTMLInputElement }) => set(e.currentTarget.value) };
  const step = o.type === OptionType.integer ? 1 : o.type === OptionType.number ? "any" : undefined;
  return (
    <label title={o.description}>
      {o.name}
      {offered ? (
        <Choices label={o.name} choices={offered} several={false} required={o.required ?? false} chosen={value ? [value] : []} choose={([chosen = ""]) => set(chosen)} />
      ) : step ? (
        <input type="number" step={step} {...shared} />
      ) : (
        <input {...shared} />
      )}
    </label>
  );
}
