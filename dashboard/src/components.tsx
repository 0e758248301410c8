// The components of a message, which a person can press and choose from.
import { useState } from "preact/hooks";
import { Component_Button_Style as Style, type Component, type Component_Button, type Component_Select } from "discordproxy/discord_api";
import { channelsIn, mentionsIn, rolesIn, usersIn, type Choice, type World } from "./acting.js";
import { Choices } from "./choices.js";
import { Markdown } from "./markdown.js";

/** Has a person use a component; values are of selects. */
export type Use = (customId: string, values?: string[]) => void;

interface Props {
  components: Component[];
  world: World;
  use: Use;
}

export const Components = ({ components, world, use }: Props) => (
  <>
    {components.map((c, i) => (
      <One key={i} component={c} world={world} use={use} />
    ))}
  </>
);

function One({ component: { kind }, world, use }: { component: Component; world: World; use: Use }) {
  const all = (components: Component[]) => <Components components={components} world={world} use={use} />;
  const select = (s: Component_Select, choices: Choice[]) => <Select select={s} choices={choices} use={use} />;
  switch (kind.case) {
    case "actionRow":
      return <div class="component-row">{all(kind.value.components)}</div>;
    case "button":
      return <Button button={kind.value} use={use} />;
    case "stringSelect":
      return select(kind.value, kind.value.options);
    case "userSelect":
      return select(kind.value, usersIn(world));
    case "roleSelect":
      return select(kind.value, rolesIn(world));
    case "mentionableSelect":
      return select(kind.value, mentionsIn(world));
    case "channelSelect":
      return select(kind.value, channelsIn(world));
    case "section":
      return (
        <div class="section">
          <div>{all(kind.value.components)}</div>
          {kind.value.accessory && all([kind.value.accessory])}
        </div>
      );
    case "container":
      return <div class="embed container">{all(kind.value.components)}</div>;
    case "textDisplay":
      return <Markdown text={kind.value.content} />;
    case "separator":
      return <hr />;
    case "thumbnail":
      return <Picture url={kind.value.media?.url ?? ""} />;
    case "mediaGallery":
      return (
        <>
          {kind.value.items.map((item, i) => (
            <Picture key={i} url={item.media?.url ?? ""} />
          ))}
        </>
      );
    case "file":
      return <p class="note">File {kind.value.name || kind.value.file?.url}</p>;
    default:
      return null;
  }
}

const Picture = ({ url }: { url: string }) => <p class="note">Picture {url}</p>;

const styles: Partial<Record<Style, string>> = { [Style.PRIMARY]: "primary", [Style.SUCCESS]: "success", [Style.DANGER]: "danger" };

function Button({ button: b, use }: { button: Component_Button; use: Use }) {
  const text = [b.emoji?.id ? `:${b.emoji.name}:` : b.emoji?.name, b.label].filter(Boolean).join(" ") || "Button";
  if (b.style === Style.LINK) {
    return (
      <a href={b.url} rel="noreferrer noopener" target="_blank">
        {text || b.url}
      </a>
    );
  }
  return (
    <button type="button" class={`component ${styles[b.style] ?? ""}`} disabled={b.disabled || !b.customId} onClick={() => use(b.customId)}>
      {text || b.customId}
    </button>
  );
}

function Select({ select: s, choices, use }: { select: Component_Select; choices: Choice[]; use: Use }) {
  const given = [...s.options.filter((o) => o.default).map((o) => o.value), ...s.defaultValues.map((d) => String(d.id))];
  const [chosen, setChosen] = useState(given);
  const several = (s.maxValues ?? 1) > 1;
  const least = s.minValues ?? 1;
  return (
    <>
      <Choices
        label={s.placeholder || s.customId}
        placeholder={s.placeholder || undefined}
        choices={choices}
        several={several}
        disabled={s.disabled}
        chosen={chosen}
        choose={(values) => {
          setChosen(values);
          if (!several && values.length >= least) use(s.customId, values);
        }}
      />
      {several && (
        <button type="button" class="component" disabled={s.disabled} onClick={() => use(s.customId, chosen)}>
          Pick
        </button>
      )}
    </>
  );
}
