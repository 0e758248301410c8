// Discord's markdown, as far as messages commonly use it.
// https://support.discord.com/hc/en-us/articles/210298617
import type { ComponentChildren } from "preact";

interface Rule {
  pattern: RegExp;
  render: (match: RegExpExecArray) => ComponentChildren;
}

// The first rule that matches earliest wins, so that longer marks come first.
const inline: Rule[] = [
  { pattern: /\\([^A-Za-z0-9\s])/, render: (m) => m[1] },
  { pattern: /``(.+?)``|`([^`]+)`/s, render: (m) => <code>{m[1] ?? m[2]}</code> },
  { pattern: /\*\*\*(.+?)\*\*\*/s, render: (m) => <strong><em>{spans(m[1]!)}</em></strong> },
  { pattern: /\*\*(.+?)\*\*/s, render: (m) => <strong>{spans(m[1]!)}</strong> },
  { pattern: /__(.+?)__/s, render: (m) => <u>{spans(m[1]!)}</u> },
  { pattern: /~~(.+?)~~/s, render: (m) => <s>{spans(m[1]!)}</s> },
  { pattern: /\|\|(.+?)\|\|/s, render: (m) => <span class="spoiler">{spans(m[1]!)}</span> },
  { pattern: /\*(?!\s)(.+?)(?<!\s)\*/s, render: (m) => <em>{spans(m[1]!)}</em> },
  { pattern: /(?<!\w)_(?!\s)(.+?)(?<!\s)_(?!\w)/s, render: (m) => <em>{spans(m[1]!)}</em> },
  { pattern: /\[([^\]\n]+)\]\(<?(https?:\/\/[^\s)>]+)>?\)/, render: (m) => <Link url={m[2]!}>{spans(m[1]!)}</Link> },
  { pattern: /<(https?:\/\/[^\s>]+)>/, render: (m) => <Link url={m[1]!}>{m[1]}</Link> },
  { pattern: /https?:\/\/[^\s<]*[^\s<.,:;"')\]]/, render: (m) => <Link url={m[0]}>{m[0]}</Link> },
  { pattern: /<@!?(\d+)>/, render: (m) => <span class="mention">@{m[1]}</span> },
  { pattern: /<@&(\d+)>/, render: (m) => <span class="mention">@{m[1]}</span> },
  { pattern: /<#(\d+)>/, render: (m) => <span class="mention">#{m[1]}</span> },
  { pattern: /@(everyone|here)\b/, render: (m) => <span class="mention">{m[0]}</span> },
  { pattern: /<a?(:\w+:)\d+>/, render: (m) => m[1] },
  { pattern: /<t:(-?\d{1,13})(?::[tTdDfFR])?>/, render: (m) => <span class="mention">{new Date(Number(m[1]) * 1000).toLocaleString()}</span> },
];

const Link = ({ url, children }: { url: string; children: ComponentChildren }) => (
  <a href={url} rel="noreferrer noopener" target="_blank">
    {children}
  </a>
);

function spans(text: string): ComponentChildren[] {
  const out: ComponentChildren[] = [];
  while (text) {
    let first: RegExpExecArray | undefined;
    let rule: Rule | undefined;
    for (const candidate of inline) {
      const match = candidate.pattern.exec(text);
      if (match && (!first || match.index < first.index)) [first, rule] = [match, candidate];
    }
    if (!first || !rule) {
      out.push(text);
      break;
    }
    out.push(text.slice(0, first.index), rule.render(first));
    text = text.slice(first.index + first[0].length);
  }
  return out;
}

/** Renders what a message, a description or the value of a field says. */
export function Markdown({ text }: { text: string }) {
  // Every second part is the inside of a block of code.
  const parts = text.split(/```(?:[a-z0-9+-]+\n)?\n?([\s\S]+?)\n?```\n?/i);
  return <div class="markdown">{parts.map((part, i) => (i % 2 ? <pre key={i}>{part}</pre> : <Lines key={i} text={part} />))}</div>;
}

const heading = /^(#{1,3}) +(.+)/;
const item = /^ *(?:[-*]|\d+\.) +(.+)/;

function Lines({ text }: { text: string }) {
  const out: ComponentChildren[] = [];
  const lines = text.split("\n");
  for (let i = 0; i < lines.length; ) {
    const take = (matches: (line: string) => boolean) => {
      const begin = i;
      while (i < lines.length && matches(lines[i]!)) i++;
      return lines.slice(begin, i);
    };
    const line = lines[i]!;
    const title = heading.exec(line);
    if (title) {
      out.push(<p class={`h${title[1]!.length}`}>{spans(title[2]!)}</p>);
      i++;
    } else if (line.startsWith("-# ")) {
      out.push(<p class="small">{spans(line.slice(3))}</p>);
      i++;
    } else if (line.startsWith("> ")) {
      out.push(<blockquote>{spans(take((l) => l.startsWith("> ")).map((l) => l.slice(2)).join("\n"))}</blockquote>);
    } else if (item.test(line)) {
      out.push(<ul>{take((l) => item.test(l)).map((l) => <li>{spans(item.exec(l)![1]!)}</li>)}</ul>);
    } else {
      const rest = take((l) => !heading.test(l) && !l.startsWith("> ") && !l.startsWith("-# ") && !item.test(l)).join("\n");
      if (rest) out.push(<p>{spans(rest)}</p>);
    }
  }
  return <>{out}</>;
}
