import asyncio

import hikari

from harness import (
    BOB, CONFIG, GENERAL, GUILD, QUIET, Heard, exiting, fill, in_order, interact, passed, resume, say,
)

bot = hikari.GatewayBot(
    CONFIG["token"], rest_url=CONFIG["api"] + "/v10", intents=hikari.Intents.ALL, banner=None, logs=None
)
heard = Heard()


@bot.listen()
async def on_message(event: hikari.MessageCreateEvent):
    heard.put("message", event.content)


@bot.listen()
async def on_reaction(event: hikari.ReactionAddEvent):
    heard.put("reaction", event.emoji_name)


@bot.listen()
async def on_interaction(event: hikari.InteractionCreateEvent):
    interaction = event.interaction
    if isinstance(interaction, hikari.CommandInteraction):
        await interaction.create_initial_response(hikari.ResponseType.DEFERRED_MESSAGE_CREATE)
        buttons = bot.rest.build_message_action_row()
        buttons.add_interactive_button(hikari.ButtonStyle.PRIMARY, "button", label="Press")
        select = bot.rest.build_message_action_row()
        menu = select.add_text_menu("select")
        for value in "ab":
            menu.add_option(value.upper(), value)
        await interaction.edit_initial_response("hello " + interaction.options[0].value, components=[buttons, select])
        heard.put("shown")
    elif isinstance(interaction, hikari.ComponentInteraction) and interaction.custom_id == "button":
        row = bot.rest.build_modal_action_row()
        row.add_text_input("why", "Why")
        await interaction.create_modal_response("Form", "form", components=[row])
        heard.put("opened")
    elif isinstance(interaction, hikari.ComponentInteraction):
        await interaction.create_initial_response(hikari.ResponseType.DEFERRED_MESSAGE_CREATE)
        await interaction.execute("picked " + interaction.values[0])
    elif isinstance(interaction, hikari.ModalInteraction):
        why = interaction.components[0].components[0].value
        await interaction.create_initial_response(hikari.ResponseType.MESSAGE_CREATE, "why: " + why)


@bot.listen()
async def on_available(event: hikari.GuildAvailableEvent):
    asyncio.create_task(run())


async def run():
    async with exiting():
        await steps()


async def steps():
    rest = bot.rest
    me = bot.get_me()
    assert me.is_bot and bot.cache.get_guild(GUILD).name == "Sandbox"
    assert (await rest.fetch_member(GUILD, BOB)).username == "bob"
    passed("login")
    await say("hello bot")
    await heard.wait("message", "hello bot")
    passed("hear")
    message = await rest.create_message(GENERAL, "sent", embed=hikari.Embed(title="a title", color=255))
    assert message.embeds[0].title == "a title"
    passed("send")
    reply = await message.respond("a reply", reply=True)
    assert reply.message_reference.id == message.id
    passed("reply")
    await message.edit("edited")
    assert (await rest.fetch_message(GENERAL, message)).content == "edited"
    passed("edit")
    await message.add_reaction("👍")
    await heard.wait("reaction", "👍")
    await message.remove_reaction("👍")
    passed("react")
    thread = await rest.create_message_thread(GENERAL, message, "a thread")
    await thread.send("in the thread")
    passed("thread")
    upload = await rest.create_message(GENERAL, attachment=hikari.Bytes(b"data", "ü.txt"))
    assert upload.attachments[0].size == 4
    passed("upload")
    await reply.delete()
    passed("delete")
    await fill()
    history = [m.id async for m in rest.fetch_messages(QUIET)]
    assert len(history) == 120 and history == sorted(history, reverse=True)
    passed("history")
    command = rest.slash_command_builder("hello", "Says hello")
    command.add_option(hikari.CommandOption(type=hikari.OptionType.STRING, name="who", description="Whom", is_required=True))
    assert len(await rest.set_application_commands(me.id, [command])) == 1
    await interact(heard)
    await resume(heard)
    await in_order(rest.create_message)


bot.run(check_for_updates=False)
