// The parts of the composer: embeds, components, files, what was pasted, and templates.
import { useState } from "preact/hooks";
import { emptyEmbed, limits, linkStyle, pasted, saveTemplates, templates, type ButtonDraft, type Draft, type EmbedDraft, type Field, type RowDraft } from "./draft.js";

export type Change = (change: Partial<Draft>) => void;

interface Props {
  draft: Draft;
  change: Change;
}

/** A list with one element changed, or removed when that is undefined. */
const replaced = <T,>(list: T[], i: number, element: T | undefined) => list.flatMap((old, j) => (i !== j ? [old] : element === undefined ? [] : [element]));

export function Embeds({ draft, change }: Props) {
  return (
    <>
      {draft.embeds.map((embed, i) => (
        <EmbedEditor key={i} number={i + 1} draft={embed} change={(c) => change({ embeds: replaced(draft.embeds, i, { ...embed, ...c }) })}
          remove={() => change({ embeds: replaced(draft.embeds, i, undefined) })} />
      ))}
      <div class="actions">
        <button type="button" class="small" disabled={draft.embeds.length >= limits.embeds} onClick={() => change({ embeds: [...draft.embeds, emptyEmbed] })}>
          Add an embed
        </button>
        <button type="button" class="small" disabled={draft.rows.length >= limits.rows} onClick={() => change({ rows: [...draft.rows, { kind: "buttons", buttons: [newButton] }] })}>
          Add buttons
        </button>
        <button type="button" class="small" disabled={draft.rows.length >= limits.rows} onClick={() => change({ rows: [...draft.rows, { kind: "select", id: "", placeholder: "", options: "" }] })}>
          Add a select
        </button>
      </div>
    </>
  );
}

const newButton: ButtonDraft = { label: "", style: 1, target: "" };
const styles: [number, string][] = [[1, "Blue"], [2, "Grey"], [3, "Green"], [4, "Red"], [linkStyle, "Link"]];

export const Rows = ({ draft, change }: Props) => (
  <>
    {draft.rows.map((row, i) => (
      <fieldset class="embed-editor" key={i}>
        <legend>{row.kind === "buttons" ? "Buttons" : row.kind === "select" ? "Select" : "Pasted component"}</legend>
        <RowEditor row={row} change={(r) => change({ rows: replaced(draft.rows, i, r) })} />
        <button type="button" class="small" onClick={() => change({ rows: replaced(draft.rows, i, undefined) })}>
          Remove this row
        </button>
      </fieldset>
    ))}
  </>
);

function RowEditor({ row, change }: { row: RowDraft; change: (row: RowDraft) => void }) {
  switch (row.kind) {
    case "buttons": {
      const set = (i: number, b: ButtonDraft | undefined) => change({ ...row, buttons: replaced(row.buttons, i, b) });
      return (
        <>
          {row.buttons.map((b, i) => (
            <div class="field" key={i}>
              <label>
                Label
                <input value={b.label} maxLength={80} onInput={(e) => set(i, { ...b, label: e.currentTarget.value })} />
              </label>
              <label>
                {b.style === linkStyle ? "URL" : "Custom ID"}
                <input value={b.target} maxLength={b.style === linkStyle ? 512 : 100} onInput={(e) => set(i, { ...b, target: e.currentTarget.value })} />
              </label>
              <label>
                Style
                <select value={b.style} onChange={(e) => set(i, { ...b, style: Number(e.currentTarget.value) })}>
                  {styles.map(([value, name]) => (
                    <option key={value} value={value}>
                      {name}
                    </option>
                  ))}
                </select>
              </label>
              <button type="button" class="small" onClick={() => set(i, undefined)} disabled={row.buttons.length === 1} aria-label={`Remove button ${i + 1}`}>
                Remove
              </button>
            </div>
          ))}
          <button type="button" class="small" disabled={row.buttons.length >= limits.buttons} onClick={() => change({ ...row, buttons: [...row.buttons, newButton] })}>
            Add a button
          </button>
        </>
      );
    }
    case "select":
      return (
        <>
          <div class="pair">
            <label>
              Custom ID
              <input value={row.id} maxLength={100} onInput={(e) => change({ ...row, id: e.currentTarget.value })} />
            </label>
            <label>
              Placeholder
              <input value={row.placeholder} maxLength={150} onInput={(e) => change({ ...row, placeholder: e.currentTarget.value })} />
            </label>
          </div>
          <label>
            Options, one per line: label or label = value
            <textarea rows={3} value={row.options} onInput={(e) => change({ ...row, options: e.currentTarget.value })} />
          </label>
        </>
      );
    case "other":
      return <pre class="note">{row.json.slice(0, 500)}</pre>;
  }
}

export function Files({ draft, change }: Props) {
  const [error, setError] = useState("");
  const add = async (list: FileList) => {
    const chosen = [...list];
    const large = chosen.find((f) => f.size > limits.fileBytes);
    if (large) return setError(`${large.name} is larger than 20 MiB.`);
    if (draft.files.length + chosen.length > limits.files) return setError(`A message takes at most ${limits.files} files.`);
    setError("");
    const files = await Promise.all(chosen.map(async (f) => ({ name: f.name, data: new Uint8Array(await f.arrayBuffer()) })));
    change({ files: [...draft.files, ...files] });
  };
  return (
    <div>
      <label>
        Files
        <input type="file" multiple onChange={(e) => { const field = e.currentTarget; if (field.files) void add(field.files).then(() => (field.value = "")); }} />
      </label>
      {error && (
        <p class="bad" role="alert">
          {error}
        </p>
      )}
      <ul class="files">
        {draft.files.map((f, i) => (
          <li key={i}>
            {f.name} <span class="note">{Math.ceil(f.data.length / 1024)} KiB</span>{" "}
            <button type="button" class="small" aria-label={`Remove ${f.name}`} onClick={() => change({ files: replaced(draft.files, i, undefined) })}>
              Remove
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

export function Paste({ change }: { change: Change }) {
  const [text, setText] = useState("");
  const [error, setError] = useState("");
  return (
    <details class="more-tools">
      <summary>Paste Discord JSON</summary>
      <label>
        A message, an embed, or a list of embeds
        <textarea rows={4} value={text} onInput={(e) => { setText(e.currentTarget.value); setError(""); }} />
      </label>
      {error && (
        <p class="bad" role="alert">
          {error}
        </p>
      )}
      <button type="button" class="small" disabled={!text.trim()}
        onClick={() => {
          try {
            change(pasted(text));
            setText("");
          } catch (err) {
            setError((err as Error).message);
          }
        }}>
        Load
      </button>
    </details>
  );
}

export function Templates({ draft, change }: Props) {
  const [all, setAll] = useState(templates);
  const [name, setName] = useState("");
  const [error, setError] = useState("");
  const save = (next: typeof all) => {
    try {
      saveTemplates(next);
      setAll(next);
      setError("");
    } catch {
      setError("The browser's storage is full.");
    }
  };
  const names = Object.keys(all).sort();
  return (
    <details class="more-tools">
      <summary>Templates{names.length > 0 && ` (${names.length})`}</summary>
      <p class="note">Saved in this browser, without files and recipient.</p>
      <ul class="files">
        {names.map((n) => (
          <li key={n}>
            {n}{" "}
            <button type="button" class="small" aria-label={`Use template ${n}`} onClick={() => change(structuredClone(all[n]!))}>
              Use
            </button>{" "}
            <button type="button" class="small" aria-label={`Delete template ${n}`} onClick={() => save(Object.fromEntries(Object.entries(all).filter(([other]) => other !== n)))}>
              Delete
            </button>
          </li>
        ))}
      </ul>
      <div class="line">
        <input aria-label="Template name" placeholder="Name" maxLength={60} value={name} onInput={(e) => setName(e.currentTarget.value)} />
        <button type="button" disabled={!name.trim()} onClick={() => { save({ ...all, [name.trim()]: { content: draft.content, embeds: draft.embeds, rows: draft.rows } }); setName(""); }}>
          Save
        </button>
      </div>
      {error && (
        <p class="bad" role="alert">
          {error}
        </p>
      )}
    </details>
  );
}

function EmbedEditor({ number, draft, change, remove }: { number: number; draft: EmbedDraft; change: (change: Partial<EmbedDraft>) => void; remove: () => void }) {
  const setField = (i: number, c: Partial<Field>) => change({ fields: draft.fields.map((f, j) => (i === j ? { ...f, ...c } : f)) });
  const line = (name: keyof EmbedDraft & ("author" | "authorIcon" | "title" | "url" | "image" | "thumbnail" | "footer" | "footerIcon"), label: string, max: number) => (
    <label>
      {label}
      <input value={draft[name]} maxLength={max} onInput={(e) => change({ [name]: e.currentTarget.value })} />
    </label>
  );
  return (
    <fieldset class="embed-editor">
      <legend>Embed {number}</legend>
      <div class="pair">
        {line("author", "Author", 256)}
        {line("authorIcon", "Author icon (URL)", 2048)}
      </div>
      <div class="pair">
        {line("title", "Title", 256)}
        {line("url", "Title link (URL)", 2048)}
      </div>
      <label>
        Description
        <textarea rows={3} maxLength={4096} value={draft.description} onInput={(e) => change({ description: e.currentTarget.value })} />
      </label>
      <div class="color">
        <label class="check">
          <input type="checkbox" checked={draft.color !== ""} onChange={(e) => change({ color: e.currentTarget.checked ? "#4752c4" : "" })} /> Set a colour
        </label>
        {draft.color && <input type="color" aria-label="Colour" value={draft.color} onInput={(e) => change({ color: e.currentTarget.value })} />}
      </div>
      {draft.fields.map((field, i) => (
        <fieldset class="field" key={i}>
          <legend>Field {i + 1}</legend>
          <label>
            Name
            <input value={field.name} maxLength={256} onInput={(e) => setField(i, { name: e.currentTarget.value })} />
          </label>
          <label>
            Value
            <input value={field.value} maxLength={1024} onInput={(e) => setField(i, { value: e.currentTarget.value })} />
          </label>
          <label class="check">
            <input type="checkbox" checked={field.inline} onChange={(e) => setField(i, { inline: e.currentTarget.checked })} /> Inline
          </label>
          <button type="button" class="small" onClick={() => change({ fields: draft.fields.filter((_, j) => j !== i) })}>
            Remove
          </button>
        </fieldset>
      ))}
      <button type="button" class="small" disabled={draft.fields.length >= 25} onClick={() => change({ fields: [...draft.fields, { name: "", value: "", inline: true }] })}>
        Add a field
      </button>
      <div class="pair">
        {line("image", "Image (URL)", 2048)}
        {line("thumbnail", "Thumbnail (URL)", 2048)}
      </div>
      <div class="pair">
        {line("footer", "Footer", 2048)}
        {line("footerIcon", "Footer icon (URL)", 2048)}
      </div>
      <button type="button" class="small" onClick={remove}>
        Remove embed {number}
      </button>
    </fieldset>
  );
}
