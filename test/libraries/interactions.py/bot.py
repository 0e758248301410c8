import asyncio
import io

import interactions
from interactions import (
    ActionRow, Button, ButtonStyle, Client, Embed, File, Intents, Modal, OptionType, ShortText, SlashContext,
    StringSelectMenu, listen, slash_command, slash_option,
)
from interactions.api.http.route import Route

from harness import BOB, CONFIG, GENERAL, QUIET, Heard, exiting, fill, in_order, interact, passed, resume, say

Route.BASE = CONFIG["api"] + "/v10"
heard = Heard()
bot = Client(intents=Intents.ALL, fetch_members=True, sync_interactions=True)


@slash_command(name="hello", description="Says hello")
@slash_option(name="who", description="Whom", opt_type=OptionType.STRING, required=True)
async def hello(ctx: SlashContext, who: str):
    await ctx.defer()
    rows = [
        ActionRow(Button(style=ButtonStyle.PRIMARY, label="Press", custom_id="button")),
        ActionRow(StringSelectMenu("a", "b", custom_id="select")),
    ]
    await ctx.send("hello " + who, components=rows)
    heard.put("shown")


@listen()
async def on_component(event: interactions.api.events.Component):
    ctx = event.ctx
    if ctx.custom_id == "button":
        await ctx.send_modal(Modal(ShortText(label="Why", custom_id="why"), title="Form", custom_id="form"))
        heard.put("opened")
    else:
        await ctx.defer()
        await ctx.send("picked " + ctx.values[0])


@listen()
async def on_modal_completion(event: interactions.api.events.ModalCompletion):
    await event.ctx.send("why: " + event.ctx.responses["why"])


@listen()
async def on_message_create(event: interactions.api.events.MessageCreate):
    heard.put("message", event.message.content)


@listen()
async def on_message_reaction_add(event: interactions.api.events.MessageReactionAdd):
    heard.put("reaction", event.emoji.name)


started = False


@listen()
async def on_startup():
    global started
    if not started:
        started = True
        asyncio.create_task(run())


async def run():
    async with exiting():
        await steps()  # stopping hangs after a lost connection


async def steps():
    general, quiet = await bot.fetch_channel(GENERAL), await bot.fetch_channel(QUIET)
    assert bot.user.bot and (await general.guild.fetch_member(BOB)).username == "bob"
    passed("login")
    await say("hello bot")
    await heard.wait("message", "hello bot")
    passed("hear")
    message = await general.send("sent", embed=Embed(title="a title", color=255))
    assert message.embeds[0].title == "a title"
    passed("send")
    reply = await message.reply("a reply")
    assert reply.message_reference.message_id == message.id
    passed("reply")
    await message.edit(content="edited")
    assert (await general.fetch_message(message.id, force=True)).content == "edited"
    passed("edit")
    await message.add_reaction("👍")
    await heard.wait("reaction", "👍")
    await message.remove_reaction("👍", bot.user)
    passed("react")
    thread = await message.create_thread("a thread")
    await thread.send("in the thread")
    passed("thread")
    upload = await general.send(file=File(io.BytesIO(b"data"), file_name="ü.txt"))
    assert upload.attachments[0].size == 4
    passed("upload")
    await reply.delete()
    passed("delete")
    await fill()
    history = [int(m.id) async for m in quiet.history(limit=0)]
    assert len(history) == 120 and history == sorted(history, reverse=True)
    passed("history")
    await interact(heard)
    await resume(heard)

    async def send(channel, content):
        await bot.get_channel(channel).send(content)

    await in_order(send)


bot.start(CONFIG["token"])
