// What a person does in the sandbox, and what the bot answers.
import { control } from "./api.js";

/** A choice of a select. */
export interface Choice {
  value: string;
  label: string;
}

/** An option of a command, as Discord names its fields. */
export interface Option {
  type: number;
  name: string;
  description: string;
  required?: boolean;
  choices?: { name: string; value: string | number }[];
  options?: Option[];
}

export interface Command extends Option {
  id: string;
  application_id: string;
}

/** A component of a modal, as Discord names its fields. */
export interface Field {
  type: number;
  custom_id?: string;
  label?: string;
  description?: string;
  content?: string;
  style?: number;
  placeholder?: string;
  value?: string;
  required?: boolean;
  default?: boolean;
  min_length?: number;
  max_length?: number;
  min_values?: number;
  max_values?: number;
  options?: { label: string; value: string; default?: boolean }[];
  component?: Field;
  components?: Field[];
}

export interface Modal {
  /** The interaction that was answered with it, and its channel. */
  interaction: string;
  channel: string;
  custom_id: string;
  title: string;
  components: Field[];
}

/** Who and what there is to act with. */
export interface World {
  people: Choice[];
  users: Choice[];
  roles: Choice[];
  channels: Choice[];
  commands: Command[];
}

export const emptyWorld: World = { people: [], users: [], roles: [], channels: [], commands: [] };

interface StateJSON {
  users: { id: string; username: string; bot?: boolean }[];
  guilds: { roles: { id: string; name: string }[] | null; channels: { id: string; name: string }[] | null }[] | null;
  commands: Command[] | null;
}

export async function loadWorld(): Promise<World> {
  const state = (await control("GET", "state")) as StateJSON;
  const guilds = state.guilds ?? [];
  const named = (list: { id: string; name: string }[], mark: string) => list.map(({ id, name }) => ({ value: id, label: mark + name.replace(/^@/, "") }));
  const user = (u: StateJSON["users"][number]) => ({ value: u.id, label: u.username });
  return {
    people: state.users.filter((u) => !u.bot).map(user),
    users: state.users.map(user),
    roles: named(guilds.flatMap((g) => g.roles ?? []), "@"),
    channels: named(guilds.flatMap((g) => g.channels ?? []), "#"),
    commands: state.commands ?? [],
  };
}

/** What a select of Discord's type 5 to 8 offers, or an option of a command's type 6 to 9. */
export const usersIn = (w: World) => w.users;
export const rolesIn = (w: World) => w.roles;
export const channelsIn = (w: World) => w.channels;
export const mentionsIn = (w: World) => [...w.users, ...w.roles];

interface Answer {
  answer?: number;
  modal?: Omit<Modal, "interaction" | "channel">;
}

const modalAnswer = 9;
/** How long Discord waits for a bot's first answer, in milliseconds. */
const patience = 3_000;

/** Acts in a channel, and resolves to the modal that the bot opens, if it opens one. Fails when the bot does not answer. */
export async function interact(channel: string, use: object): Promise<Modal | undefined> {
  const { id } = (await control("POST", `channels/${channel}/interactions`, use)) as { id: string };
  for (const end = Date.now() + patience; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
    const { answer, modal } = (await control("GET", `interactions/${id}`)) as Answer;
    if (answer === modalAnswer && modal) return { ...modal, interaction: id, channel };
    if (answer) return undefined;
    if (Date.now() > end) throw new Error("The bot did not respond within 3 seconds.");
  }
}
