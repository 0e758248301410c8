"""Uses the sandbox with discord.py, a client that others wrote.

Run with the address of the sandbox and names with ids.
"""

import asyncio
import json
import logging
import sys
import urllib.request

import discord
import yarl

address, ids = sys.argv[1], dict(arg.split("=") for arg in sys.argv[2:])
discord.http.Route.BASE = f"http://{address}/api/v10"
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(f"ws://{address}/gateway")
checks = 0


def equal(what, got, want):
    global checks
    checks += 1
    assert got == want, f"{what}: got {got!r}, want {want!r}"


def control(method, path, body=None):
    request = urllib.request.Request(f"http://{address}/sandbox/{path}", method=method, data=json.dumps(body or {}).encode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or "null")


class Bot(discord.Client):
    def __init__(self):
        intents = discord.Intents.default()
        intents.members = intents.message_content = intents.presences = True
        super().__init__(intents=intents, guild_ready_timeout=0.1, chunk_guilds_at_startup=False, activity=discord.Game("chess"))
        self.seen = asyncio.Queue()
        self.tree = discord.app_commands.CommandTree(self)

        @self.tree.command(description="rolls a die")
        async def roll(interaction: discord.Interaction, sides: int):
            await interaction.response.defer(thinking=True)
            await interaction.followup.send(f"one of {sides}")
            await interaction.followup.send("again")

    async def on_ready(self):
        self.seen.put_nowait(("ready", None))

    async def on_resumed(self):
        self.seen.put_nowait(("resumed", None))

    async def on_message(self, message):
        self.seen.put_nowait(("message", message))

    async def on_reaction_add(self, reaction, user):
        self.seen.put_nowait(("reaction", reaction))

    async def on_member_update(self, before, after):
        self.seen.put_nowait(("member", after))

    async def on_guild_channel_create(self, channel):
        self.seen.put_nowait(("channel", channel))

    async def next(self, kind):
        got, what = await asyncio.wait_for(self.seen.get(), 20)
        equal("event", got, kind)
        return what


async def main():
    async with Bot() as bot:
        running = asyncio.create_task(bot.start(ids["token"]))
        waiting = asyncio.create_task(bot.next("ready"))
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        await waiting
        equal("user", bot.user.id, int(ids["bot"]))
        guild = bot.get_guild(int(ids["guild"]))
        equal("channels", len(guild.channels), 9)
        equal("members", len(guild.members), 6)
        equal("members asked for", len(await guild.query_members("al")), 1)
        equal("roles", len(guild.roles), 5)
        general = guild.get_channel(int(ids["general"]))

        sent = await general.send("hello")
        message = await bot.next("message")
        equal("message", (message.id, message.content, message.author.id), (sent.id, "hello", bot.user.id))
        control("POST", f"channels/{general.id}/messages", {"content": "hi", "author": {"id": ids["alice"]}})
        message = await bot.next("message")
        equal("message of another", (message.content, message.author.display_name), ("hi", "Alice"))
        equal("role of its author", message.author.roles[1].name, "member")
        await message.add_reaction("👍")
        equal("reaction", (await bot.next("reaction")).count, 1)
        await guild.get_member(int(ids["bob"])).edit(nick="Bobby")
        equal("member", (await bot.next("member")).nick, "Bobby")
        made = await guild.create_text_channel("made")
        equal("channel", (await bot.next("channel")).id, made.id)

        # A connection that breaks is resumed, and what was missed comes.
        session = control("GET", "gateway")["sessions"][0]
        equal("activity", session["presence"]["activities"][0]["name"], "chess")
        control("POST", "gateway/drop")
        control("POST", f"channels/{general.id}/messages", {"content": "missed", "author": {"id": ids["alice"]}})
        got = [await asyncio.wait_for(bot.seen.get(), 20) for _ in range(2)]
        equal("after the break", sorted(kind for kind, _ in got), ["message", "resumed"])
        equal("missed", [what.content for kind, what in got if kind == "message"], ["missed"])
        equal("the same session", [s["id"] for s in control("GET", "gateway")["sessions"]], [session["id"]])

        # So is one after an order to reconnect.
        control("POST", "gateway/send", {"op": 7})
        await bot.next("resumed")

        # Slash commands.
        await bot.tree.sync()
        control("POST", f"channels/{general.id}/interactions", {"name": "roll", "options": [{"name": "sides", "type": 4, "value": 6}]})
        equal("promise", (await bot.next("message")).type, discord.MessageType.chat_input_command)
        equal("answer", (await bot.next("message")).content, "again")
        equal("kept promise", [m.content async for m in general.history(limit=2)], ["again", "one of 6"])

        await bot.close()
        await asyncio.wait_for(running, 10)


logging.basicConfig(level=logging.WARNING)
asyncio.run(main())
print("passed", checks)
