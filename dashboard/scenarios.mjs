// What a person does with the page, in Chromium. The Go test beside this file
// runs it against a server and reads what it prints: a line of JSON for each
// scenario. playwright-core drives the browser because it waits for conditions
// by itself and costs one pinned package; its Go counterpart would bring the
// whole DevTools protocol into the module.
import { chromium } from "playwright-core";
import axe from "axe-core";
import { readFile } from "node:fs/promises";

const { PROXY: proxy, BELOW: below, KEYED: keyed, CONTENTS: contents, CONTROL: control, REPLICA: replica, BOTS: several, CHROMIUM: executablePath, SCREENSHOTS: screenshots } = process.env;
/** The keys of the proxy that wants one, by the names of its clients. */
const keys = JSON.parse(process.env.KEYS);
const wide = { width: 1280, height: 800 };
const narrow = { width: 390, height: 844 };
const general = "1100000000000000010";
const forbidden = "1100000000000000014";
const channels = [general, "1100000000000000011", "1100000000000000012"];

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });

/** Opens the page of a proxy, the one without keys unless options name another, and has the scenario fail when the page complains or loads anything from elsewhere. */
async function open(view, { from = proxy, script, ...options } = {}) {
  const context = await browser.newContext({ viewport: wide, ...options });
  context.setDefaultTimeout(60_000);
  if (script) await context.addInitScript(script);
  const page = await context.newPage();
  page.complaints = [];
  page.on("pageerror", (err) => page.complaints.push(String(err)));
  page.on("console", (message) => {
    // Calls that fail are named there, too.
    if (message.type() === "error" && !message.text().includes("Failed to load resource")) page.complaints.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(`${from}/`)) page.complaints.push(`loads ${request.url()}`);
  });
  await page.goto(`${from}/#${view}`);
  return page;
}

async function close(page) {
  await page.context().close();
  if (page.complaints.length > 0) throw new Error(page.complaints.join("\n"));
}

const shot = (page, name) => page.screenshot({ path: `${screenshots}/${name}.png` });

/** What a page looks like wide and narrow, light and dark. Nothing may be clipped. */
async function shots(page, name) {
  for (const [width, size] of Object.entries({ wide, narrow })) {
    await page.setViewportSize(size);
    same(await page.evaluate(() => document.documentElement.scrollWidth), size.width, `width of ${name}`);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      await shot(page, `${name}-${width}-${colorScheme}`);
    }
  }
  await page.setViewportSize(wide);
}

/** Controls the sandbox and resolves to what it answers. */
async function sandbox(method, path, body) {
  const response = await fetch(`${proxy}/sandbox/${path}`, { method, body: body && JSON.stringify(body) });
  if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
  const text = await response.text();
  return text && JSON.parse(text);
}

const interactions = async () => (await sandbox("GET", "state")).interactions ?? [];

/** Has somebody use the bot, and the bot answer. On a machine that stalls, an answer may come too late, and both begin again. */
async function answer(press, callback) {
  for (let tries = 5; ; tries--) {
    const before = (await interactions()).length;
    await press();
    let all = [];
    for (const end = Date.now() + 60_000; all.length <= before; all = await interactions()) {
      if (Date.now() > end) throw new Error("no interaction began");
    }
    const { id, token } = all.at(-1);
    const response = await fetch(`${proxy}/api/v10/interactions/${id}/${token}/callback`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(callback),
    });
    if (response.ok) return all.at(-1);
    if (tries === 1) throw new Error(`the answer to interaction ${id}: ${await response.text()}`);
  }
}

const messages = async (channel) => (await sandbox("GET", `channels/${channel}/messages`)).map((m) => m.content);

const tell = (what, body) => fetch(`${control}/${what}`, { method: "POST", body });

function same(got, want, what) {
  if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(`${what}: ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

/** Waits until a value of the page lies between two numbers, and resolves to it. */
async function value(page, name, min, max = Infinity) {
  const found = await page.waitForFunction(
    ([name, min, max]) => {
      const n = Number(document.querySelector(`[data-value="${name}"]`)?.textContent.replaceAll(",", ""));
      return n >= min && n <= max && { n };
    },
    [name, min, max],
  );
  return (await found.jsonValue()).n;
}

const send = (content, signal, channelId = general) =>
  fetch(`${proxy}/discord_api.DiscordApi/SendChannelMessage`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ channelId, content }),
    signal,
  });

// The policy of the pages keeps axe out.
const forAxe = { bypassCSP: true, reducedMotion: "reduce" };

/** What axe finds on a page that has it, in both colours. */
async function violations(view, page) {
  const found = [];
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    for (const v of violations) found.push(`${view}, ${colorScheme}: ${v.id}: ${v.nodes.map((n) => `${n.html.slice(0, 160)} ${n.any.map((a) => a.message).join("; ")}`).join("\n  ")}`);
  }
  return found;
}

const wanted = (page) => page.getByRole("heading", { name: "This proxy requires a key" });

async function unlock(page, key) {
  await page.getByLabel("Client key").fill(key);
  await page.getByRole("button", { name: "Continue" }).click();
}

/** With two replicas: the page is that of the one that does not lead. */
const fleetScenarios = {
  async "replicas, and a handover"() {
    const page = await open("overview", { from: replica, ...forAxe, script: axe.source });
    const panel = page.getByRole("region", { name: "Replicas", exact: true });
    const rows = async (table) => {
      const cells = await panel.getByRole("region", { name: table }).locator("tbody tr").all();
      return Promise.all(cells.map(async (row) => (await row.locator("td").allTextContents()).map((text) => text.trim())));
    };
    await value(page, "replicas", 2, 2);
    const [leader, own] = [proxy, replica].map((url) => new URL(url).host);
    const [bot] = await rows("Table of bots");
    same([bot[0], bot[1], bot[3], bot[4], bot[5]], ["default", leader, "first", "", "1"], "the bot");
    const [first, second] = await rows("Table of replicas");
    same([first[0], first[1]], [`${leader} answers this page`, "default"], "the leader");
    same([second[0], second[1]], [own, "none"], "the other replica");
    for (const age of [bot[2], first[6], second[6], first[5].replace(/ ago$/, "")]) same(/^\d+ (s|min( \d+ s)?)$/.test(age), true, `age ${age}`);
    same(await violations("replicas", page), [], "axe");
    await shots(page, "replicas");

    await tell("stop");
    await panel.getByRole("cell", { name: "handed over" }).waitFor();
    await value(page, "replicas", 1, 1);
    const [taken] = await rows("Table of bots");
    same([taken[1], taken[4], taken[5]], [own, leader, "2"], "the bot after the handover");
    await close(page);
  },
};

/** The longest that a name can be. */
const longest = "alerts-for-the-whole-alliance-01";

/** With the bots longest, games and main, which is the default. The client admin may use all of them, watcher games and main, and gamer games. */
const botScenarios = {
  async "choose a bot"() {
    const page = await open("overview", { ...forAxe, script: axe.source });
    const bot = page.getByRole("combobox", { name: "Bot", exact: true });
    const title = (want) => page.waitForFunction((want) => document.title === want, want);
    await unlock(page, keys.admin);
    await title("main · Discord Proxy");
    await page.getByText("Ready", { exact: true }).waitFor();
    await bot.waitFor();
    same(await bot.locator("option").allTextContents(), [longest, "games", "main"], "the bots");
    same(await bot.inputValue(), "main", "the bot of the page");
    await value(page, "replicas", 2, 2);
    same(await page.getByRole("region", { name: "Table of bots" }).locator("tbody tr td:first-child").allTextContents(), [longest, "games", "main"], "the bots of the replicas");
    same(await violations("overview", page), [], "axe");
    await shots(page, "bots");

    // The page of another one keeps the view.
    await page.evaluate(() => (location.hash = "calls?q=SendChannel"));
    await page.getByRole("heading", { name: "Recent calls" }).waitFor();
    await bot.selectOption("games");
    await page.waitForURL(({ href }) => href === `${proxy}/bots/games/#calls?q=SendChannel`);
    await title("games · Discord Proxy");
    await page.getByText("logged in as games").waitFor();
    await page.waitForFunction(() => document.querySelector("h1 img").naturalWidth > 0);
    same(await bot.inputValue(), "games", "the bot after the choice");

    // Whatever sends, sends as this bot.
    const write = async (name) => {
      await page.getByRole("link", { name: "Send", exact: true }).click();
      await page.getByRole("button", { name: "general" }).click();
      await page.getByLabel("Text", { exact: true }).fill("hello");
      const lines = (of) => page.locator(`[data-lines="${of}"]`).textContent();
      same((await lines("curl")).includes(`curl -s ${proxy}/bots/${name}/discord_api.DiscordApi/SendChannelMessage`), true, "the address for curl");
      same((await lines("Python")).includes(`DiscordClient("${new URL(proxy).host}", bot="${name}", key=`), true, "the bot for Python");
      return lines("curl");
    };
    const lines = await write("games");
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.getByText("Sent as message").waitFor();
    const ran = await tell("run/curl", `export DISCORDPROXY_KEY=${keys.admin}\n${lines}`);
    same([ran.status, await ran.text()], [200, ""], "curl");
    await page.getByRole("link", { name: "Calls", exact: true }).click();
    await page.locator("tbody .row", { hasText: "SendChannelMessage" }).nth(1).waitFor();
    await page.getByRole("link", { name: "API" }).click();
    await page.waitForURL(`${proxy}/bots/games/docs/`);
    same((await page.locator("pre code").first().textContent()).includes(`${proxy}/bots/games/discord_api.DiscordApi/`), true, "the bot in the documentation");

    // From the address without a bot, too.
    await page.goto(`${proxy}/#send`);
    await title("main · Discord Proxy");
    await page.getByText("Ready", { exact: true }).waitFor();
    await write("main");
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.getByText("Sent as message").waitFor();
    await page.getByRole("link", { name: "Calls", exact: true }).click();
    await page.locator("tbody .row", { hasText: "SendChannelMessage" }).first().waitFor();
    same(await page.locator("tbody .row", { hasText: "SendChannelMessage" }).count(), 1, "calls of this bot");

    await bot.selectOption(longest);
    await title(`${longest} · Discord Proxy`);
    await page.goBack();
    await title("main · Discord Proxy");
    same(await bot.inputValue(), "main", "the bot after going back");
    await close(page);
  },

  async "a bot that the client may not use"() {
    const refused = (page) => page.getByRole("heading", { name: `This client may not use the bot ${longest}` }).waitFor();
    const bots = (page) => page.getByRole("combobox", { name: "Bot", exact: true });
    const page = await open("history", { ...forAxe, script: axe.source });
    await unlock(page, keys.watcher);
    await page.getByText("Ready", { exact: true }).waitFor();
    await bots(page).waitFor();
    same(await bots(page).locator("option").allTextContents(), ["games", "main"], "the bots of the client");
    await page.goto(`${proxy}/bots/${longest}/#history`);
    await refused(page);
    await page.getByRole("alert").getByText(`Client watcher may not use bot ${longest}`).waitFor();
    await page.getByText("Choose another bot at the top of the page").waitFor();
    await page.waitForFunction((want) => document.title === want, `${longest} · Discord Proxy`);
    same(await bots(page).inputValue(), longest, "the bot that is refused");
    same(await violations("refused", page), [], "axe");
    await shots(page, "bots-refused");
    await bots(page).selectOption("games");
    await page.waitForURL(`${proxy}/bots/games/#history`);
    await page.getByText("Ready", { exact: true }).waitFor();
    await close(page);

    // A tab that has seen no other page yet asks the default bot for the list.
    const second = await open("calls");
    await wanted(second).waitFor();
    await second.goto(`${proxy}/bots/${longest}/#calls`);
    await unlock(second, keys.watcher);
    await refused(second);
    await bots(second).selectOption("main");
    await second.waitForURL(`${proxy}/bots/main/#calls`);
    await second.getByText("Ready", { exact: true }).waitFor();
    await close(second);

    // To this client the default bot is as little use.
    const third = await open("calls", { ...forAxe, script: axe.source });
    await unlock(third, keys.gamer);
    await third.getByRole("heading", { name: "This client may not use this bot" }).waitFor();
    same(await bots(third).count(), 0, "bots that are not known");
    same(await violations("unknown", third), [], "axe");
    await shots(third, "bots-unknown");
    await third.getByLabel("Name of another bot").fill("games");
    await third.getByRole("button", { name: "Open" }).click();
    await third.waitForURL(`${proxy}/bots/games/#calls`);
    await third.getByText("Ready", { exact: true }).waitFor();
    await bots(third).waitFor();
    same(await bots(third).locator("option").allTextContents(), ["games"], "the bot of the client");
    await close(third);
  },
};

const scenarios = several ? botScenarios : replica ? fleetScenarios : {
  async "send, and see it arrive"() {
    const page = await open("send");
    await page.getByRole("button", { name: "general" }).click();
    await page.getByLabel("Text", { exact: true }).fill("hello **Discord**\n> quoted");
    await page.getByRole("button", { name: "Add an embed" }).click();
    await page.getByLabel("Author", { exact: true }).fill("Somebody");
    await page.getByLabel("Title", { exact: true }).fill("It's \"a\" title");
    await page.getByLabel("Description").fill("with `code` and a [link](https://example.org)");
    await page.getByRole("button", { name: "Add a field" }).click();
    await page.getByLabel("Name", { exact: true }).fill("Name");
    await page.getByLabel("Value").fill("Wert\\ß");
    await page.getByLabel("Image (URL)").fill("https://example.org/image.png");
    await page.getByLabel("Footer", { exact: true }).fill("the end");
    const preview = page.getByRole("region", { name: "Preview" });
    same(await preview.locator("strong", { hasText: "Discord" }).count(), 1, "bold text in the preview");
    same(await preview.locator("blockquote").textContent(), "quoted", "quoted text in the preview");
    same(await preview.locator(".embed a").getAttribute("href"), "https://example.org", "link in the preview");
    await shot(page, "send");
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.getByText("Sent as message").waitFor();
    same(await messages(general), ["hello **Discord**\n> quoted"], "messages at Discord");

    // The lines do the same.
    for (const name of ["curl", "Python"]) {
      const said = await tell(`run/${name}`, await page.locator(`[data-lines="${name}"]`).textContent());
      if (!said.ok) throw new Error(`${name}: ${await said.text()}`);
    }
    const [first, ...others] = await sandbox("GET", `channels/${general}/messages`);
    same(others.length, 2, "messages of the lines");
    for (const m of others) same([m.content, m.embeds], [first.content, first.embeds], "message of the lines");

    await page.getByRole("link", { name: "Sandbox" }).click();
    await page.getByRole("log").getByText("It's \"a\" title").nth(2).waitFor();
    await page.getByRole("link", { name: "Calls" }).click();
    await page.getByRole("cell", { name: "SendChannelMessage" }).nth(2).waitFor();
    // What was written is still there.
    await page.getByRole("link", { name: "Send" }).click();
    same(await page.getByLabel("Footer", { exact: true }).inputValue(), "the end", "footer after other views");
    await close(page);
  },

  async "send to a user"() {
    const page = await open("send");
    await page.getByLabel("A user").check();
    same(await page.getByRole("button", { name: "Send", exact: true }).isDisabled(), true, "Send without a user");
    await page.getByLabel("User ID").fill("1100000000000000004");
    await page.getByLabel("Text", { exact: true }).fill("psst");
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.getByText("Sent as message").waitFor();
    await page.getByRole("link", { name: "Sandbox" }).click();
    await page.getByRole("log").getByText("psst").waitFor();
    await page.getByRole("link", { name: "Send" }).click();
    for (const name of ["curl", "Python"]) {
      const said = await tell(`run/${name}`, await page.locator(`[data-lines="${name}"]`).textContent());
      if (!said.ok) throw new Error(`${name}: ${await said.text()}`);
    }
    await page.getByRole("link", { name: "Sandbox" }).click();
    await page.getByRole("log").getByText("psst").nth(2).waitFor();
    await close(page);
  },

  async "send a failed message again"() {
    const page = await open("send", { from: contents });
    await page.getByText("Paste Discord JSON").click();
    await page.getByLabel("A message, an embed, or a list of embeds").fill(JSON.stringify({
      content: "it's \"lost\"\n**not**",
      embeds: [{ title: "One", color: 255, footer: { text: "foot" } }, { title: "Two", fields: [{ name: "n", value: "v", inline: true }] }],
      components: [{ type: 1, components: [{ type: 2, style: 3, label: "Yes", custom_id: "yes" }, { type: 2, style: 5, label: "Site", url: "https://example.org" }] }],
    }));
    await page.getByRole("button", { name: "Load" }).click();
    await page.getByText("The short Python calls can send only text and one embed.").waitFor();
    await page.getByRole("button", { name: "forbidden" }).click();
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.locator(".outcome .bad").getByText("Missing Access").waitFor();
    await page.reload(); // what was written is gone
    await page.getByRole("link", { name: "Calls", exact: true }).click();
    await page.getByRole("button", { name: "SendChannelMessage" }).click();
    await page.getByRole("button", { name: "Open in the composer" }).click();
    const text = page.getByLabel("Text", { exact: true });
    await text.waitFor();
    same(await text.inputValue(), "it's \"lost\"\n**not**", "the text in the composer");
    same(await page.locator('[data-lines="curl"]').textContent().then((lines) => lines.includes(forbidden)), true, "its channel in the composer");
    await page.getByRole("button", { name: "general" }).click();
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.getByText("Sent as message").waitFor();
    const [m, ...others] = await (await fetch(`${contents}/sandbox/channels/${general}/messages`)).json();
    same(others.length, 0, "other messages");
    same([m.content, m.embeds.map((e) => [e.title, e.color, e.footer?.text, e.fields?.map((f) => [f.name, f.value, f.inline])])],
      ["it's \"lost\"\n**not**", [["One", 255, "foot", undefined], ["Two", undefined, undefined, [["n", "v", true]]]]], "the message");
    same(m.components.map((row) => row.components.map((c) => [c.type, c.style, c.label, c.custom_id ?? c.url])),
      [[[2, 3, "Yes", "yes"], [2, 5, "Site", "https://example.org"]]], "its components");

    // The composer does not leave out what it cannot restore.
    await fetch(`${contents}/discord_api.DiscordApi/SendChannelMessage`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ channelId: forbidden, content: "loud", tts: true, attachments: [{ id: "0", filename: "a.txt", data: "aGk=" }] }),
    });
    await page.getByRole("link", { name: "Calls", exact: true }).click();
    await page.getByLabel("Code").selectOption("permission_denied");
    await page.getByRole("button", { name: "SendChannelMessage" }).nth(1).waitFor(); // the newest comes first
    await page.getByRole("button", { name: "SendChannelMessage" }).first().click();
    await page.getByText("the composer cannot restore the attachments, tts of this message").waitFor();
    await close(page);
  },

  async "an error is shown"() {
    const page = await open("send");
    await page.getByRole("button", { name: "forbidden" }).click();
    await page.getByLabel("Text", { exact: true }).fill("hi");
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.getByText("Missing Access (HTTP 403, code 50001)").waitFor();
    await page.getByRole("link", { name: "Calls", exact: true }).click();
    await page.getByLabel("Code").selectOption("permission_denied");
    await page.getByLabel("Search").fill(`${forbidden} sendchannel`);
    const row = page.getByRole("button", { name: "SendChannelMessage" });
    await row.first().waitFor();
    same(await row.count(), 1, "calls that are found");
    await page.locator("td.outcome").getByText("Missing Access (HTTP 403, code 50001)").waitFor();
    // A name stands for the ID, which is there on hover and to be copied; both are found.
    await page.getByTitle(`channel ${forbidden} of Sandbox`).getByText("#forbidden").first().waitFor();
    await page.getByLabel("Search").fill("#forbidden");
    same(await row.count(), 1, "calls that are found by a name");
    // A click anywhere on a row opens it, and another one closes it.
    await page.locator(".openable .waited").click();
    await page.locator(".detail").waitFor();
    await page.locator(".openable .about").click();
    await page.locator(".detail").waitFor({ state: "detached" });
    await row.click();
    await page.getByRole("button", { name: "Copy the ID of channel #forbidden" }).waitFor();
    await page.locator(".detail").getByText("Missing Access (HTTP 403, code 50001)").waitFor();
    await shot(page, "calls");

    // The address has the filter.
    same(new URL(page.url()).hash, `#calls?${new URLSearchParams({ q: "#forbidden", code: "permission_denied" })}`, "the address of a filter");
    const other = await page.context().newPage();
    await other.goto(page.url());
    await other.getByRole("button", { name: "SendChannelMessage" }).first().waitFor();
    same([await other.getByLabel("Search").inputValue(), await other.getByLabel("Code").inputValue()], ["#forbidden", "permission_denied"], "the filter of an address");
    const download = other.waitForEvent("download");
    await other.getByRole("button", { name: "Export CSV" }).click();
    const lines = (await readFile(await (await download).path(), "utf8")).split("\r\n");
    same([lines.length, lines[0].split(",").slice(0, 4)], [3, ["ended", "method", "target", "id"]], "the CSV");
    same(lines[1].includes(`SendChannelMessage,channel_id,${forbidden},#forbidden,permission_denied,`), true, `a line of the CSV: ${lines[1]}`);
    // A paused list stays as it is.
    await other.getByRole("button", { name: "Pause", exact: true }).click();
    await send("not allowed", undefined, forbidden);
    await other.getByRole("button", { name: "Resume (1 new)" }).waitFor();
    same(await other.getByRole("button", { name: "SendChannelMessage" }).count(), 1, "calls while the list is paused");
    await other.getByRole("button", { name: "Resume (1 new)" }).click();
    await other.getByRole("button", { name: "SendChannelMessage" }).nth(1).waitFor();
    await close(page);
  },

  async "the composer"() {
    const page = await open("send");
    await page.getByText("Paste Discord JSON").click();
    const paste = page.getByLabel("A message, an embed, or a list of embeds");
    await paste.fill("{");
    await page.getByRole("button", { name: "Load", exact: true }).click();
    await page.getByRole("alert").getByText("This is not valid JSON").waitFor();
    await paste.fill(JSON.stringify({
      content: "pasted",
      embeds: [{ title: "One", color: 255, footer: { text: "foot" } }, { title: "Two", fields: [{ name: "n", value: "v", inline: true }] }],
      components: [
        { type: 1, components: [{ type: 2, style: 3, label: "Yes", custom_id: "yes" }, { type: 2, style: 5, label: "Site", url: "https://example.org" }] },
        { type: 1, components: [{ type: 3, custom_id: "pick", options: [{ label: "A", value: "a" }, { label: "B", value: "B" }] }] },
      ],
    }));
    await page.getByRole("button", { name: "Load", exact: true }).click();
    same(await page.getByLabel("Text", { exact: true }).inputValue(), "pasted", "the text that was pasted");
    await page.getByLabel("Files").setInputFiles(["note.txt", "list.txt"].map((name) => ({ name, mimeType: "text/plain", buffer: Buffer.from("hello") })));
    await page.getByRole("button", { name: "Remove list.txt" }).waitFor();
    await page.getByText("Templates").click();
    await page.getByLabel("Template name").fill("alert");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("button", { name: "Use template alert" }).waitFor();
    // An error is that of what was sent, not of what is written afterwards.
    await page.getByRole("button", { name: "forbidden" }).click();
    await page.getByRole("button", { name: "Send", exact: true }).click();
    const error = page.locator(".outcome .bad");
    await error.getByText("Missing Access").waitFor();
    await page.getByRole("button", { name: "alerts" }).click();
    await error.waitFor({ state: "detached" });
    await shot(page, "composer");
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.getByText("Sent as message").waitFor();
    const stored = (await sandbox("GET", `channels/${channels[2]}/messages`)).at(-1);
    same([stored.content, stored.embeds.map((e) => [e.title, e.color]), stored.attachments.map((a) => a.filename)], ["pasted", [["One", 255], ["Two", undefined]], ["note.txt", "list.txt"]], "the message at Discord");
    same(stored.components.map((row) => row.components.map((c) => [c.type, c.custom_id ?? c.url])), [[[2, "yes"], [2, "https://example.org"]], [[3, "pick"]]], "its components");

    // A template outlasts the page; an answer, through the outbox.
    await page.reload();
    await page.getByText("Templates (1)").click();
    await page.getByRole("button", { name: "Use template alert" }).click();
    await page.getByRole("button", { name: "alerts" }).click();
    await page.getByLabel("Reply to message (ID)").fill(stored.id);
    await page.getByLabel("When").selectOption("queue");
    await page.getByRole("button", { name: "Queue", exact: true }).click();
    await page.getByText(/as delivery/).waitFor();
    let last = stored;
    for (const end = Date.now() + 60_000; last.id === stored.id; last = (await sandbox("GET", `channels/${channels[2]}/messages`)).at(-1)) {
      if (Date.now() > end) throw new Error("the delivery does not arrive");
    }
    same([last.content, last.message_reference?.message_id], ["pasted", stored.id], "the answer");
    await page.getByLabel("When").selectOption("time");
    await page.getByText("Choose a time in the future.").waitFor();
    same(await page.getByRole("button", { name: "Schedule", exact: true }).isDisabled(), true, "Schedule without a time");
    await page.setViewportSize(narrow);
    await shot(page, "composer-narrow");
    await close(page);
  },

  async "faults and limits of the sandbox"() {
    const page = await open("sandbox");
    await page.getByLabel("The bot lacks permission").check();
    await page.getByText("0 hits").waitFor();
    same((await send("not allowed")).status, 403, "status while the bot lacks permission");
    await page.getByText("1 hit").waitFor();
    await page.getByRole("switch", { name: "The bot lacks permission" }).uncheck();
    await page.getByText("1 hit").waitFor({ state: "detached" });
    same((await send("allowed")).status, 200, "status once it is");
    await page.getByLabel("Messages", { exact: true }).fill("7");
    await page.getByRole("button", { name: "Set" }).click();
    await page.getByText(/^All \d+ limits$/).click();
    await page.getByText("7 in 5 s").waitFor();
    await page.getByRole("log").getByText("allowed", { exact: true }).waitFor();
    await shot(page, "sandbox");
    await close(page);
  },

  async "a person uses the bot in the sandbox"() {
    const row = (component) => ({ type: 1, components: [component] });
    const alerts = channels[2];
    const commands = await fetch(`${proxy}/api/v10/applications/1100000000000000001/commands`, {
      method: "PUT",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify([
        { name: "roll", description: "Rolls dice", options: [{ type: 1, name: "many", description: "Several", options: [
          { type: 4, name: "count", description: "How many", required: true },
          { type: 6, name: "for", description: "For whom" },
          { type: 5, name: "loud", description: "Whether all hear it" },
        ] }] },
        { name: "Report", type: 2 },
      ]),
    });
    same(commands.status, 200, "status of the commands");
    const page = await open("sandbox");
    await page.getByLabel("Act as", { exact: true }).selectOption({ label: "bob" });
    await page.getByLabel("Channel", { exact: true }).selectOption(alerts);
    await page.getByLabel("Message from this person").fill("hello bot");
    await page.getByRole("button", { name: "Write" }).click();
    const log = page.getByRole("log");
    await log.getByText("hello bot").waitFor();
    await page.getByLabel("Command", { exact: true }).selectOption({ label: "/roll many" });
    await page.getByLabel("count").fill("3");
    await page.getByLabel("for", { exact: true }).selectOption({ label: "alice" });
    await page.getByLabel("loud").selectOption({ label: "No" });
    const used = await answer(() => page.getByRole("button", { name: "Use /roll many" }).click(), {
      type: 4,
      data: {
        content: "rolled",
        components: [
          row({ type: 2, style: 1, label: "Why?", custom_id: "why" }),
          row({ type: 2, style: 2, label: "Off", custom_id: "off", disabled: true }),
          row({ type: 3, custom_id: "dice", placeholder: "Dice", max_values: 2, options: [{ label: "First", value: "1" }, { label: "Second", value: "2" }] }),
          row({ type: 5, custom_id: "whom", placeholder: "Somebody" }),
        ],
      },
    });
    same([used.channel_id, used.user], [alerts, "1100000000000000005"], "where the command was used, and by whom");
    same(await page.getByRole("button", { name: "Off" }).isDisabled(), true, "whether a disabled button is");
    const why = await answer(() => page.getByRole("button", { name: "Why?" }).click(), {
      type: 9,
      data: {
        custom_id: "reason", title: "Your reason",
        components: [
          { type: 18, label: "Reason", component: { type: 4, custom_id: "text", style: 2, min_length: 3 } },
          { type: 18, label: "Colour", component: { type: 3, custom_id: "colour", options: [{ label: "Red", value: "red" }, { label: "Blue", value: "blue" }] } },
        ],
      },
    });
    same(why.type, 3, "type of a press");
    const form = page.getByRole("dialog", { name: "Your reason" });
    await form.getByLabel("Reason").fill("because");
    await form.getByLabel("Colour").selectOption({ label: "Blue" });
    await shot(page, "sandbox-modal");
    await answer(() => form.getByRole("button", { name: "Submit" }).click(), { type: 4, data: { content: "a **good** reason", flags: 64 } });
    await form.waitFor({ state: "detached" });
    await log.getByText("Only the person who used the bot can see this.").waitFor();
    await page.getByLabel("Dice").selectOption(["1", "2"]);
    await answer(() => page.getByRole("button", { name: "Pick" }).click(), { type: 7, data: { content: "picked" } });
    await log.getByText("picked").waitFor();
    const whom = page.getByLabel("Somebody");
    await answer(async () => {
      await whom.selectOption("");
      await whom.selectOption({ label: "alice" });
    }, { type: 5 });
    await log.getByText("is thinking").waitFor();
    await page.getByLabel("Command", { exact: true }).selectOption({ label: "Report" });
    await page.getByLabel("User", { exact: true }).selectOption({ label: "alice" });
    await page.getByRole("button", { name: "Use Report" }).click();
    await page.getByText("The bot did not respond within 3 seconds.").waitFor();
    await shot(page, "sandbox-people");
    await page.setViewportSize(narrow);
    await shot(page, "sandbox-people-narrow");
    await close(page);
  },

  async "pause a channel, and resume it"() {
    const page = await open("calls", { ...forAxe, script: axe.source });
    page.on("dialog", (dialog) => dialog.accept());
    const queue = page.getByRole("region", { name: "Waiting calls", exact: true });
    const before = await messages(general);
    await queue.getByLabel("Channel ID").fill(general);
    await queue.getByRole("button", { name: "Pause the channel" }).click();
    await queue.getByText("Paused the channel.").waitFor();
    const abort = new AbortController();
    const calls = ["first", "second"].map((text) => send(`paused ${text}`, abort.signal));
    const paused = queue.getByRole("list", { name: "Paused channels" });
    await paused.getByText(/#general was paused by 127\.0\.0\.1 at \d+:\d+:\d+.*; 2 calls are waiting\./).waitFor();
    same(await messages(general), before, "messages of a paused channel");
    same(await violations("paused", page), [], "axe");
    // The pause belongs to the proxy: another page shows it, too.
    await page.reload();
    await paused.waitFor();
    await shots(page, "paused");
    await queue.getByRole("button", { name: `Resume channel ${general}` }).click();
    await queue.getByText("Resumed the channel: 2 calls continue.").waitFor();
    same((await Promise.all(calls)).map((r) => r.status), [200, 200], "calls after the pause");
    same((await messages(general)).length, before.length + 2, "messages after the pause");
    // From the list of who waits, and with a call that is cancelled meanwhile.
    await queue.getByLabel("Channel ID").fill(general);
    await queue.getByRole("button", { name: "Pause the channel" }).click();
    await paused.waitFor();
    const third = send("paused third", abort.signal);
    await queue.getByRole("button", { name: /^Cancel call / }).click();
    same((await third).status, 409, "a call that was cancelled while it was paused");
    await queue.getByRole("button", { name: `Resume channel ${general}` }).click();
    await paused.waitFor({ state: "detached" });
    await close(page);
  },

  async "500 calls wait"() {
    const page = await open("overview", { ...forAxe, script: axe.source });
    const abort = new AbortController();
    const calls = Array.from({ length: 500 }, (_, i) => send(`call ${i}`, abort.signal, channels[i % channels.length]).catch(() => undefined));
    const waiting = await value(page, "Waiting", 400);
    await page.getByText("all sent in about").waitFor();
    await page.getByRole("region", { name: "Busy limits" }).getByText("POST /channels/{channel}/messages").first().waitFor();
    await page.getByRole("region", { name: "Busy limits" }).getByText("#general").first().waitFor();
    same(await violations("overview with busy limits", page), [], "axe");
    // What is left empties towards 0, in amber.
    const meter = page.getByRole("meter", { name: "Left of POST" }).first();
    const [left, max, level, width] = await meter.evaluate((m) => [m.ariaValueNow, m.ariaValueMax, m.className, m.firstElementChild.style.width]);
    // The browser keeps six digits of a width.
    same([level.includes("warn"), Number.parseFloat(width).toFixed(3)], [left / max <= 0.25, ((100 * left) / max).toFixed(3)], "the meter of what is left");
    await value(page, "Waiting", 1, waiting - 1);
    await value(page, "hour", 3);
    await shot(page, "overview");
    await page.setViewportSize(narrow);
    await shot(page, "overview-narrow");
    await page.setViewportSize(wide);

    // The same as charts, with values under the mouse.
    await page.getByRole("link", { name: "History" }).click();
    const chart = page.getByRole("img", { name: /^Waiting calls over time: waiting at most \d/ });
    await chart.locator("canvas").waitFor();
    const plot = await chart.locator(".u-over").boundingBox();
    await page.mouse.move(plot.x + plot.width - 3, plot.y + 20);
    await page.waitForFunction(() => Number(document.querySelector('[aria-label^="Waiting calls over time"] .u-series:last-child .u-value')?.textContent) > 0);
    same((await page.getByRole("img", { name: /^Discord's response time: p50 at most \d.*p99 at most \d/ }).count()) > 0, true, "times of Discord");
    await page.getByRole("region", { name: "Waiting calls", exact: true }).getByText("127.0.0.1").waitFor();
    await shot(page, "history");
    await page.getByText("24 h", { exact: true }).click();
    await page.getByText("Calls per minute, by code").waitFor();
    await page.getByText("5 min", { exact: true }).click();
    await page.getByText("Calls per 10 s, by code").waitFor();
    await page.getByLabel("Colours").selectOption("dark");
    await page.setViewportSize(narrow);
    same(await page.evaluate(() => document.documentElement.scrollWidth), narrow.width, "width of the history");
    await shot(page, "history-narrow-dark");
    await page.getByLabel("Colours").selectOption("auto");
    await page.setViewportSize(wide);

    // One is cancelled, then all of a channel, then all of a caller.
    await page.getByRole("link", { name: "Calls", exact: true }).click();
    const queue = page.getByRole("region", { name: "Waiting calls", exact: true });
    await shot(page, "waiting");
    await queue.getByRole("button", { name: /^Cancel call / }).last().click();
    await queue.getByText("Cancelled 1 call.").waitFor();
    page.on("dialog", (dialog) => dialog.accept());
    await queue.getByRole("button", { name: `Cancel all of channel ${general}` }).click();
    await queue.getByText(/^Cancelled \d\d+ calls\.$/).waitFor();
    await queue.getByRole("button", { name: `Cancel all of channel ${general}` }).waitFor({ state: "detached" });
    await page.getByRole("link", { name: "History" }).click();
    await queue.getByRole("button", { name: "Cancel all of caller 127.0.0.1" }).click();
    await page.getByRole("link", { name: "Overview" }).click();
    await value(page, "Waiting", 0, 0);
    await page.goto(`${proxy}/#calls?code=aborted`);
    await page.locator("td.outcome").getByText("an operator cancelled this call while it waited").first().waitFor();
    await page.goto(`${proxy}/#overview`);
    abort.abort();
    await Promise.all(calls);
    await value(page, "Waiting", 0, 0);
    await page.getByText("no calls are waiting").waitFor();
    await close(page);
  },

  async "the outbox"() {
    const enqueue = async (channelId, content, more = {}) => {
      const response = await fetch(`${proxy}/discord_api.Outbox/Enqueue`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ sendChannelMessage: { channelId, content }, ...more }),
      });
      same(response.status, 200, `status of ${content}`);
    };
    const page = await open("outbox", { ...forAxe, script: axe.source });
    await page.getByText("No messages are queued.").waitFor();
    await shot(page, "outbox-empty");
    await enqueue(general, "later", { deliveryId: "later", notBefore: new Date(Date.now() + 3_600_000).toISOString() });
    await enqueue(general, "much later", { deliveryId: "much-later", notBefore: new Date(Date.now() + 7_200_000).toISOString() });
    await enqueue(forbidden, "never", { deliveryId: "never" });
    await enqueue(general, "soon", { deliveryId: "soon" });
    const queue = page.getByRole("region", { name: "In the queue" });
    await queue.getByText("2 of them scheduled").waitFor();
    await queue.getByText("#general").waitFor();
    await queue.getByText("127.0.0.1").waitFor();
    await page.getByText("Scheduled", { exact: true }).click();
    await page.getByText(/^in (59 min|1 h 1 s|1 h$)/).first().waitFor();
    same(await page.locator("td .id[title]").allTextContents(), ["later", "much-later"], "the schedule");
    await shot(page, "outbox");
    same(await violations("outbox with deliveries", page), [], "axe");
    await page.getByRole("button", { name: "Cancel delivery later" }).click();
    await page.getByRole("button", { name: "Cancel delivery later" }).waitFor({ state: "detached" });
    await page.getByText("Delivered", { exact: true }).click();
    await page.getByText("soon", { exact: true }).waitFor();
    await page.getByText("Failed", { exact: true }).click();
    await page.getByText("Missing Access").waitFor();
    await page.getByText("#forbidden").waitFor();
    await shot(page, "outbox-failed");
    await page.setViewportSize(narrow);
    await shot(page, "outbox-narrow");
    await page.setViewportSize(wide);
    await page.getByText("Cancelled", { exact: true }).click();
    await page.getByRole("button", { name: "Retry delivery later" }).click();
    await page.getByRole("button", { name: "Retry delivery later" }).waitFor({ state: "detached" });
    await page.getByText("In the queue", { exact: true }).last().click();
    for (const id of ["much-later", "later"]) {
      const cancel = page.getByRole("button", { name: `Cancel delivery ${id}` });
      if (id === "later" && !(await cancel.isVisible())) continue; // it was delivered
      await cancel.click();
      await cancel.waitFor({ state: "detached" });
    }
    await page.getByText("No messages are queued.").waitFor();
    await close(page);
    // Without the right to them, there are none, and the proxy says why.
    const sender = await open("outbox", { from: keyed });
    await unlock(sender, keys.watcher);
    await sender.getByText("No messages are queued.").waitFor();
    await close(sender);
  },

  async "more tabs than a browser has connections"() {
    // All tabs of a headless browser are seen: the page is told what others would find out.
    const show = (page, hidden) =>
      page.evaluate((hidden) => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event("visibilitychange"));
      }, hidden);
    const first = await open("overview");
    const pages = [first];
    for (let i = 0; i < 8; i++) {
      await pages.at(-1).getByText("Ready", { exact: true }).waitFor();
      await show(pages.at(-1), true);
      const page = await first.context().newPage();
      await page.goto(`${proxy}/#overview`);
      pages.push(page);
    }
    await pages.at(-1).getByText("Ready", { exact: true }).waitFor();
    const before = await value(first, "hour", 0);
    same((await send("unseen")).status, 200, "status of a call");
    await value(pages.at(-1), "hour", before + 1);
    same(await value(first, "hour", 0), before, "calls on a page that nobody sees");
    await show(first, false);
    await value(first, "hour", before + 1);
    await close(first);
  },

  async "reconnect after a restart"() {
    const page = await open("overview");
    await page.getByText("Ready", { exact: true }).waitFor();
    await tell("stop");
    await page.getByText("Disconnected from the proxy").waitFor();
    await page.getByText("Connection lost", { exact: true }).waitFor();
    await shots(page, "lost");
    await tell("start");
    await page.getByText("Reconnected.").waitFor();
    await page.getByText("Ready", { exact: true }).waitFor();
    await page.getByText("No calls yet. Send one").waitFor();
    same((await send("after the restart")).status, 200, "status after the restart");
    await value(page, "hour", 1, 1);
    await close(page);
  },

  async "the gateway ends"() {
    const page = await open("overview");
    await page.getByText("gateway connected, 0 event subscribers").waitFor();
    await sandbox("POST", "gateway/close", { code: 4004 });
    await page.getByText("Events have stopped: Discord's gateway refused the bot's token. Calls still work.").waitFor();
    await shots(page, "gateway-lost");
    await page.getByText("Ready", { exact: true }).waitFor();
    await close(page);
  },

  async "a key is asked for"() {
    const page = await open("overview", { from: keyed });
    await wanted(page).waitFor();
    await page.getByText("A key is required").waitFor();
    await shot(page, "key");
    await unlock(page, "wrong");
    await page.getByRole("alert").getByText("The proxy does not know this key.").waitFor();
    await shot(page, "key-unknown");
    await page.reload();
    await page.getByText("A key is required").waitFor();
    await page.locator("input:focus").waitFor();
    await page.keyboard.type(keys.admin);
    await page.keyboard.press("Enter");
    await page.getByText("Ready", { exact: true }).waitFor();
    await page.getByRole("link", { name: "Send" }).click();
    await page.getByRole("button", { name: "general" }).click();
    await page.getByLabel("Text", { exact: true }).fill("with a key");
    for (const name of ["curl", "Python"]) {
      const lines = await page.locator(`[data-lines="${name}"]`).textContent();
      same([lines.includes("DISCORDPROXY_KEY"), lines.includes(keys.admin)], [true, false], `the key in the lines of ${name}`);
    }
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.getByText("Sent as message").waitFor();

    // The key is this tab's, until it is forgotten.
    await page.reload();
    await page.getByText("Ready", { exact: true }).waitFor();
    const { cookies, origins } = await page.context().storageState();
    same(JSON.stringify([cookies, origins]).includes(keys.admin), false, "the key outside the tab");
    const other = await page.context().newPage();
    await other.goto(`${keyed}/`);
    await wanted(other).waitFor();
    await page.getByRole("button", { name: "Forget the key" }).click();
    await wanted(page).waitFor();
    same(await page.evaluate(() => sessionStorage.length), 0, "what the tab keeps");
    await close(page);
  },

  async "a key is asked for before anything is painted"() {
    // The answer comes before the first effects of the page.
    const script = () => {
      const later = setTimeout;
      globalThis.setTimeout = (f, ms = 0, ...args) => later(f, ms + 500, ...args);
      globalThis.requestAnimationFrame = (f) => later(f, 500);
    };
    const page = await open("overview", { from: keyed, script });
    await wanted(page).waitFor();
    await close(page);
  },

  async "a key that is taken away"() {
    const page = await open("send", { from: keyed });
    await unlock(page, keys.fired);
    await page.getByLabel("Text", { exact: true }).fill("still here");
    await page.getByLabel("Channel ID").fill(general);
    await tell("fire");
    // The page's stream ends with the key: nothing has to be clicked.
    await wanted(page).waitFor();
    await page.getByRole("alert").getByText("The proxy does not know this key.").waitFor();
    await unlock(page, keys.admin);
    await page.getByText("Ready", { exact: true }).waitFor();
    same(await page.getByLabel("Text", { exact: true }).inputValue(), "still here", "text after another key");
    await close(page);
  },

  async "a key that may not do everything"() {
    const page = await open("send", { from: keyed });
    await unlock(page, keys.sender);
    await page.getByRole("heading", { name: "This client may not use the dashboard" }).waitFor();
    await page.getByText("Client sender may not call dashboard.").waitFor();
    await shot(page, "key-not-allowed");
    await unlock(page, keys.watcher);
    await page.getByText("Ready", { exact: true }).waitFor();
    await page.getByText("client watcher may not call ListGuilds").waitFor();
    await page.getByLabel("Channel ID").fill(general);
    await page.getByLabel("Text", { exact: true }).fill("not mine");
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.getByText("client watcher may not call SendChannelMessage").waitFor();
    await close(page);
  },

  async "too many keys are tried"() {
    const page = await open("overview", { from: keyed });
    await wanted(page).waitFor();
    for (let i = 0; i < 20 && !(await page.getByText("Too many unknown keys came from this address").isVisible()); i++) {
      await unlock(page, `wrong ${i}`);
      await page.getByRole("button", { name: "Continue" }).waitFor();
    }
    await page.getByText("Too many unknown keys came from this address").waitFor();
    await unlock(page, keys.admin);
    await page.getByText("Ready", { exact: true }).waitFor();
    await close(page);
  },

  async "clocks that tick apart"() {
    // The limits are told later than the page last looked at its clock.
    const script = () => {
      const now = Date.now;
      let ahead = 0;
      Date.now = () => now() + (ahead += 1000);
      globalThis.setInterval = () => 0;
    };
    const page = await open("overview", { script });
    await page.getByText("Ready", { exact: true }).waitFor();
    await page.getByText("of 50 a second").waitFor();
    same(await page.getByText(/paused/i).count(), 0, "pauses that there are not");
    await close(page);
  },

  async "light and dark"() {
    const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const page = await open("overview", { colorScheme: "dark" });
    await page.getByText("Ready", { exact: true }).waitFor();
    const dark = await background(page);
    await shot(page, "dark");
    await page.getByLabel("Colours").selectOption("light");
    const light = await background(page);
    await page.reload();
    same(await background(page), light, "background after a choice and a reload");
    await page.getByLabel("Colours").selectOption("auto");
    same(await background(page), dark, "background by the system");
    if (light === dark) throw new Error(`light and dark are both ${light}`);
    await close(page);
  },

  async "narrow screen"() {
    const page = await open("overview", { viewport: narrow, hasTouch: true });
    for (const view of ["Overview", "History", "Calls", "Outbox", "Send", "Sandbox"]) {
      await page.getByRole("link", { name: view, exact: true }).tap();
      await page.locator("[aria-current]", { hasText: view }).waitFor();
      same(await page.evaluate(() => document.documentElement.scrollWidth), narrow.width, `width of ${view}`);
      const clipped = await page.evaluate(() => [...document.querySelectorAll(".scroll")].filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.getAttribute("aria-label")));
      same(clipped, [], `what is clipped in ${view}`);
      await shot(page, `narrow-${view.toLowerCase().replace(" ", "-")}`);
    }
    await close(page);
  },

  async "keyboard alone"() {
    const page = await open("overview");
    await page.getByText("Ready", { exact: true }).waitFor();
    const focused = () => page.evaluate(() => document.activeElement?.textContent ?? "");
    const until = async (text) => {
      for (let i = 0; i < 60; i++) {
        await page.keyboard.press("Tab");
        if ((await focused()).trim() === text) return;
      }
      throw new Error(`Tab does not reach ${text}`);
    };
    await page.keyboard.press("Tab");
    same((await focused()).trim(), "Skip to content", "what Tab reaches first");
    await until("Calls");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Recent calls" }).waitFor();
    await until("SendChannelMessage");
    await page.keyboard.press("Enter");
    await page.getByText("Requests to Discord").waitFor();
    await page.goto(`${proxy}/#send`);
    await page.getByRole("button", { name: "general" }).waitFor();
    await until("# general");
    await page.keyboard.press("Space");
    same(await page.getByLabel("Channel ID").inputValue(), general, "channel chosen by keyboard");
    await close(page);
  },

  async "axe finds nothing"() {
    const page = await open("overview", forAxe);
    await page.evaluate(axe.source);
    const found = [];
    await page.getByText("Ready", { exact: true }).waitFor();
    await page.locator(".row").first().waitFor();
    found.push(...(await violations("overview", page)));
    await page.getByRole("link", { name: "Calls", exact: true }).click();
    await page.locator(".row").first().click();
    found.push(...(await violations("calls", page)));
    await page.getByRole("link", { name: "History", exact: true }).click();
    await page.locator(".plot canvas").nth(5).waitFor();
    found.push(...(await violations("history", page)));
    await page.getByRole("link", { name: "Outbox", exact: true }).click();
    await page.getByText("No messages are queued.").waitFor();
    found.push(...(await violations("outbox", page)));
    await page.getByRole("link", { name: "Send", exact: true }).click();
    await page.getByRole("button", { name: "general" }).click();
    await page.getByLabel("Text", { exact: true }).fill("# Title\n@here <@1> `x` ||y|| https://example.org\n-# small");
    await page.getByRole("button", { name: "Add an embed" }).click();
    await page.getByLabel("Title", { exact: true }).fill("title");
    await page.getByLabel("Image (URL)").fill("https://example.org/i.png");
    await page.getByLabel("Footer", { exact: true }).fill("footer");
    await page.getByRole("button", { name: "Add a field" }).click();
    await page.getByRole("button", { name: "Add buttons" }).click();
    await page.getByRole("button", { name: "Add a select" }).click();
    await page.getByText("Templates").click();
    await page.getByText("Paste Discord JSON").click();
    await page.getByLabel("When").selectOption("time");
    found.push(...(await violations("send", page)));
    await page.getByRole("link", { name: "Sandbox", exact: true }).click();
    await page.getByRole("log").getByText("after the restart").waitFor();
    const components = [{ type: 2, style: 1, label: "First", custom_id: "a" }, { type: 2, style: 3, label: "Second", custom_id: "b" }, { type: 2, style: 4, label: "Third", custom_id: "c" }];
    await sandbox("POST", `channels/${general}/messages`, {
      content: "with components",
      components: [{ type: 1, components }, { type: 1, components: [{ type: 3, custom_id: "s", max_values: 2, options: [{ label: "A", value: "a" }] }] }],
    });
    await page.getByRole("button", { name: "Third" }).waitFor();
    found.push(...(await violations("sandbox", page)));
    await answer(() => page.getByRole("button", { name: "First" }).click(), {
      type: 9,
      data: { custom_id: "m", title: "Form", components: [{ type: 18, label: "Why", component: { type: 4, custom_id: "t", style: 1 } }] },
    });
    await page.getByRole("dialog", { name: "Form" }).waitFor();
    found.push(...(await violations("a modal", page)));
    await page.getByRole("button", { name: "Cancel" }).click();
    await close(page);
    const locked = await open("overview", { ...forAxe, from: keyed });
    await locked.evaluate(axe.source);
    await unlock(locked, keys.sender);
    await locked.getByRole("alert").getByText("may not call").waitFor();
    found.push(...(await violations("key", locked)));
    await close(locked);
    same(found, [], "violations");
  },

  async "the API's documentation"() {
    const page = await open("overview", forAxe);
    await page.getByRole("link", { name: "API" }).click();
    await page.getByRole("heading", { name: "API of Discord Proxy" }).waitFor();
    await page.waitForLoadState(); // the page's script listens to keys from then on
    const tab = () => page.keyboard.press("Tab");
    const focused = (what) => page.evaluate((what) => document.activeElement?.[what] ?? "", what);

    // By keyboard alone.
    await tab();
    same(await focused("textContent"), "Skip to the documentation", "what Tab reaches first");
    await page.keyboard.press("/");
    same(await focused("id"), "filter", "what / reaches");
    await page.keyboard.type("sendchannelmessage");
    await page.getByText("1 found").waitFor();
    await page.keyboard.press("Enter");
    await page.waitForURL("**/docs/#SendChannelMessage");
    const section = page.locator("#SendChannelMessage");
    same((await section.locator("pre").textContent()).includes(`curl -s ${proxy}/discord_api.DiscordApi/`), true, "the server in the example");
    await section.locator("pre").focus();
    await tab();
    same(await focused("textContent"), "Copy", "what follows the example");
    await page.keyboard.press("/");
    await page.keyboard.press("Escape");
    same(await page.locator("#filter").inputValue(), "", "the filter after Escape");
    await page.getByRole("link", { name: "GetUser", exact: true }).first().waitFor();

    await shot(page, "docs");
    // All methods and types look alike: axe would take minutes for all of them.
    await page.evaluate(() => {
      const kept = ["SendChannelMessage", "GetUser", "SendDirectMessages", "type-Embed", "type-Channel.Type"];
      for (const part of document.querySelectorAll("section.method, section.type")) if (!kept.includes(part.id)) part.remove();
      for (const link of document.querySelectorAll("nav section li")) if (!kept.includes(link.querySelector("a").hash.slice(1))) link.remove();
    });
    for (const kind of [".method", ".type", ".verb.stream", ".verb.get", "dl", "nav section li"]) await page.locator(kind).first().waitFor();
    await page.evaluate(axe.source);
    const found = await violations("wide", page);
    await page.setViewportSize(narrow);
    await page.getByText("Discord Proxy API").click();
    found.push(...(await violations("narrow", page)));
    await shot(page, "docs-narrow");
    same(await page.evaluate(() => document.documentElement.scrollWidth), narrow.width, "width");
    same(found, [], "violations");
    await close(page);
  },

  async "below a path"() {
    const page = await open("send", { from: below });
    await page.getByText("Discord Proxy").first().waitFor();
    await page.waitForFunction(() => document.querySelector("header img, img")?.naturalWidth > 0);
    const answer = await page.evaluate(async () => (await fetch("sandbox/channels/1100000000000000010/messages")).status);
    same(answer, 200, "the sandbox below the path");
    await page.goto(`${below}/#`);
    await page.locator("main").first().waitFor();
    // The state comes over a stream.
    await page.getByText(/connected|ready|healthy/i).first().waitFor();
    await shot(page, "below-a-path");
    await page.getByRole("link", { name: "API" }).click();
    await page.waitForURL(`${below}/docs/`);
    await page.locator("section.method").first().waitFor();
    same((await page.locator("pre code").first().textContent()).includes(`${below}/discord_api.DiscordApi/`), true, "the example names the path");
    await page.goto(`${below}/docs`);
    await page.waitForURL(`${below}/docs/`);
    await close(page);
  },

  // The last: a ban lasts a minute at least, and this proxy is not used afterwards.
  async "a ban"() {
    const page = await open("overview", { from: keyed });
    await unlock(page, keys.admin);
    await page.getByText("Ready", { exact: true }).waitFor();
    const post = (path, body) =>
      fetch(`${keyed}/${path}`, { method: "POST", headers: { "Content-Type": "application/json", Authorization: `Bearer ${keys.admin}` }, body: JSON.stringify(body) });
    same((await post("sandbox/bans", { for: 60, retry_after: true })).status, 204, "status of the ban");
    same((await post("discord_api.DiscordApi/SendChannelMessage", { channelId: general, content: "banned" })).status, 503, "status during a ban");
    await page.getByText("Banned", { exact: true }).waitFor();
    await page.getByText("Discord blocks this server's address:").waitFor();
    await page.getByText("No calls reach Discord at the moment.").waitFor();
    same(await page.getByText("Ready", { exact: true }).count(), 0, "Ready during a ban");
    same(await page.locator(".notice").count(), 1, "notices of one cause");
    await shot(page, "ban");
    await page.setViewportSize(narrow);
    await shot(page, "ban-narrow");
    await page.locator(".row").first().click();
    const detail = await page.locator(".detail").textContent();
    same(/\d(ms|s|m\d)\b/.test(detail), false, `durations of Go in ${detail}`);
    await close(page);
  },
};

const only = process.env.SCENARIO; // a pattern of names, when somebody works on them
for (const [name, scenario] of Object.entries(scenarios)) {
  if (only && !new RegExp(only).test(name)) continue;
  const began = Date.now();
  let error = "";
  try {
    await scenario();
  } catch (err) {
    error = err.stack ?? String(err);
  }
  for (const context of browser.contexts()) await context.close();
  console.log(JSON.stringify({ name, error, ms: Date.now() - began }));
}
await browser.close();
