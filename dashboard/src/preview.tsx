// A message as Discord shows it. Pictures are named, not loaded: the page loads
// nothing from elsewhere.
import type { ComponentChildren } from "preact";
import { Markdown } from "./markdown.js";
import type { Embed } from "discordproxy/discord_api";
import type { MessageInitShape } from "discordproxy";
import type { EmbedSchema } from "discordproxy/discord_api";

type Shown = MessageInitShape<typeof EmbedSchema> | Embed;

export function MessageView({ author, bot = false, when, content, embeds, fresh = false, children }: {
  author: string;
  bot?: boolean;
  when: string;
  content: string;
  embeds: Shown[];
  fresh?: boolean;
  /** What is below the embeds. */
  children?: ComponentChildren;
}) {
  return (
    <article class={fresh ? "message fresh" : "message"}>
      <span class="avatar" aria-hidden="true">
        {author.slice(0, 1).toUpperCase()}
      </span>
      <div class="said">
        <p class="by">
          <strong>{author}</strong> {bot && <span class="app">APP</span>} <span class="note">{when}</span>
        </p>
        {content && <Markdown text={content} />}
        {embeds.map((embed, i) => (
          <EmbedView key={i} embed={embed} />
        ))}
        {children}
      </div>
    </article>
  );
}

const Picture = ({ url, what }: { url: string; what: string }) => (
  <span class={`picture ${what}`} role="img" aria-label={`${what}: ${url}`} title={url}>
    {what === "image" ? url : ""}
  </span>
);

function EmbedView({ embed: e }: { embed: Shown }) {
  const color = e.color ? `#${e.color.toString(16).padStart(6, "0")}` : undefined;
  const footer = [e.footer?.text, e.timestamp && new Date(e.timestamp).toLocaleString()].filter(Boolean).join(" • ");
  return (
    <div class="embed" style={color ? { borderLeftColor: color } : undefined}>
      <div class="embed-text">
        {e.author?.name && (
          <p class="embed-author">
            {e.author.iconUrl && <Picture url={e.author.iconUrl} what="icon" />}
            {e.author.name}
          </p>
        )}
        {e.title && <p class={e.url ? "embed-title linked" : "embed-title"}>{e.title}</p>}
        {e.description && <Markdown text={e.description} />}
        {e.fields && e.fields.length > 0 && (
          <dl class="embed-fields">
            {e.fields.map((field, i) => (
              <div key={i} class={field.inline ? "inline" : ""}>
                <dt>{field.name}</dt>
                <dd>
                  <Markdown text={field.value ?? ""} />
                </dd>
              </div>
            ))}
          </dl>
        )}
        {e.image?.url && <Picture url={e.image.url} what="image" />}
        {footer && (
          <p class="embed-footer">
            {e.footer?.iconUrl && <Picture url={e.footer.iconUrl} what="icon" />}
            {footer}
          </p>
        )}
      </div>
      {e.thumbnail?.url && <Picture url={e.thumbnail.url} what="thumbnail" />}
    </div>
  );
}
