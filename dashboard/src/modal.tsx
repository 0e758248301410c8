// The form that a bot opens.
import { useEffect, useRef, useState } from "preact/hooks";
import { channelsIn, mentionsIn, rolesIn, usersIn, type Choice, type Field, type Modal, type World } from "./acting.js";
import { Choices } from "./choices.js";
import { Markdown } from "./markdown.js";

type Value = string | string[] | boolean;
type Values = Record<string, Value>;

/** The types of Discord's components. */
const Type = { row: 1, select: 3, input: 4, users: 5, roles: 6, mentions: 7, channels: 8, text: 10, label: 18, upload: 19, radio: 21, checkboxes: 22, checkbox: 23 };
const paragraph = 2;

export function ModalForm({ modal, world, submit, close }: {
  modal: Modal;
  world: World;
  /** Resolves when the bot has answered. */
  submit: (fields: Values) => Promise<void>;
  close: () => void;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [values, setValues] = useState<Values>({});
  const [error, setError] = useState("");
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby="modal" onClose={close}>
      <form
        class="compose"
        onSubmit={(e) => {
          e.preventDefault();
          submit(values).catch((err: Error) => setError(err.message));
        }}
      >
        <h2 id="modal">{modal.title}</h2>
        {modal.components.map((f, i) => (
          <FieldView key={i} field={f} world={world} values={values} set={(name, value) => setValues((old) => ({ ...old, [name]: value }))} />
        ))}
        {error && (
          <p class="bad" role="alert">
            {error}
          </p>
        )}
        <div class="actions">
          <button type="submit" class="primary">
            Submit
          </button>
          <button type="button" onClick={close}>
            Cancel
          </button>
        </div>
      </form>
    </dialog>
  );
}

interface Props {
  field: Field;
  label?: string | undefined;
  world: World;
  values: Values;
  set: (name: string, value: Value) => void;
}

function FieldView({ field: f, label, ...rest }: Props) {
  const { world, values, set } = rest;
  const name = f.custom_id ?? "";
  const title = label ?? f.label ?? name;
  const required = f.required !== false;
  const value = values[name];
  const select = (choices: Choice[]) => {
    const given = (f.options ?? []).filter((o) => o.default).map((o) => o.value);
    // Discord has no select for several values here, but checkboxes.
    const several = f.type === Type.checkboxes ? true : (f.max_values ?? 1) > 1;
    return <Choices label={title} choices={choices} several={several} required={required} placeholder={f.placeholder} chosen={(value as string[] | undefined) ?? given} choose={(chosen) => set(name, chosen)} />;
  };
  switch (f.type) {
    case Type.row:
      return (
        <>
          {f.components?.map((c, i) => (
            <FieldView key={i} field={c} {...rest} />
          ))}
        </>
      );
    case Type.label:
      return (
        <div>
          <p class="note">
            <strong>{f.label}</strong> {f.description}
          </p>
          {f.component && <FieldView field={f.component} label={f.label} {...rest} />}
        </div>
      );
    case Type.text:
      return <Markdown text={f.content ?? ""} />;
    case Type.input: {
      const shared = { "aria-label": title, required, minLength: f.min_length, maxLength: f.max_length, placeholder: f.placeholder, value: (value as string | undefined) ?? f.value ?? "" };
      return (
        <>
          {label === undefined && <p class="note">{title}</p>}
          {f.style === paragraph ? <textarea rows={4} {...shared} onInput={(e) => set(name, e.currentTarget.value)} /> : <input {...shared} onInput={(e) => set(name, e.currentTarget.value)} />}
        </>
      );
    }
    case Type.users:
      return select(usersIn(world));
    case Type.roles:
      return select(rolesIn(world));
    case Type.mentions:
      return select(mentionsIn(world));
    case Type.channels:
      return select(channelsIn(world));
    case Type.select:
    case Type.radio:
    case Type.checkboxes:
      return select(f.options ?? []);
    case Type.checkbox:
      return <input type="checkbox" aria-label={title} checked={(value as boolean | undefined) ?? f.default ?? false} onChange={(e) => set(name, e.currentTarget.checked)} />;
    case Type.upload:
      return <input aria-label={title} required={required} placeholder="Names of files, separated by commas" onInput={(e) => set(name, e.currentTarget.value.split(",").map((n) => n.trim()).filter(Boolean))} />;
    default:
      return <p class="note">The dashboard cannot show a component of type {f.type}.</p>;
  }
}
