// A select of values, one or several.
import type { Choice } from "./acting.js";

export function Choices({ label, choices, several, required = false, disabled = false, placeholder = "Choose", chosen, choose }: {
  label: string;
  choices: Choice[];
  several: boolean;
  required?: boolean;
  disabled?: boolean;
  placeholder?: string | undefined;
  chosen: string[];
  choose: (values: string[]) => void;
}) {
  if (!several) {
    return (
      <select aria-label={label || "Select"} required={required} disabled={disabled} value={chosen[0] ?? ""} onChange={(e) => choose(e.currentTarget.value ? [e.currentTarget.value] : [])}>
        <option value="">{placeholder}</option>
        {choices.map((c) => (
          <option key={c.value} value={c.value}>
            {c.label}
          </option>
        ))}
      </select>
    );
  }
  return (
    <select aria-label={label || "Select"} multiple required={required} disabled={disabled} size={Math.min(choices.length, 6)} onChange={(e) => choose([...e.currentTarget.selectedOptions].map((o) => o.value))}>
      {choices.map((c) => (
        <option key={c.value} value={c.value} selected={chosen.includes(c.value)}>
          {c.label}
        </option>
      ))}
    </select>
  );
}
