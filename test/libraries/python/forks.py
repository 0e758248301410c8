"""The steps of discord.py and of its forks, which share most of its API.

A fork gives its module, its client, and what differs.
"""

import io

from harness import BOB, CONFIG, GENERAL, QUIET, Heard, exiting, fill, in_order, interact, passed, resume, say


class Forks:
    """Runs the steps once the client is ready.

    modal makes a modal "form" with a text field "why" and calls a function with
    an interaction and the text; edit_original is the name of that method.
    """

    def __init__(self, d, modal, edit_original="edit_original_response"):
        self.d, self.modal, self.edit_original = d, modal, edit_original
        self.heard = Heard()
        self.started = False

    def listen(self, client):
        """Adds the client's listeners."""
        heard = self.heard

        async def on_message(message):
            heard.put("message", message.content)

        async def on_raw_reaction_add(payload):
            heard.put("reaction", str(payload.emoji))

        async def on_ready():
            if self.started:
                return
            self.started = True
            async with exiting():
                await self.steps(client)

        for listener in (on_message, on_raw_reaction_add, on_ready):
            client.event(listener)

    def view(self):
        d = self.d
        view = d.ui.View(timeout=None)
        button = d.ui.Button(label="Press", custom_id="button")
        select = d.ui.Select(custom_id="select", options=[d.SelectOption(label=v.upper(), value=v) for v in "ab"])

        async def submitted(interaction, text):
            await interaction.response.send_message("why: " + text)

        async def pressed(interaction):
            await interaction.response.send_modal(self.modal(submitted))
            self.heard.put("opened")

        async def picked(interaction):
            await interaction.response.defer()
            await interaction.followup.send("picked " + select.values[0])

        button.callback, select.callback = pressed, picked
        view.add_item(button)
        view.add_item(select)
        return view

    async def hello(self, interaction, who):
        """Answers the command."""
        await interaction.response.defer()
        await getattr(interaction, self.edit_original)(content="hello " + who, view=self.view())
        self.heard.put("shown")

    async def steps(self, client):
        d, heard = self.d, self.heard
        general, quiet = client.get_channel(GENERAL), client.get_channel(QUIET)
        assert client.user.bot and general.guild.get_member(BOB).name == "bob", "the bot's guild is not complete"
        passed("login")
        await say("hello bot")
        await heard.wait("message", "hello bot")
        passed("hear")
        message = await general.send("sent", embed=d.Embed(title="a title", colour=255))
        assert message.embeds[0].title == "a title"
        passed("send")
        reply = await message.reply("a reply")
        assert reply.reference.message_id == message.id
        passed("reply")
        await message.edit(content="edited")
        assert (await general.fetch_message(message.id)).content == "edited"
        passed("edit")
        await message.add_reaction("👍")
        await heard.wait("reaction", "👍")
        await message.remove_reaction("👍", client.user)
        passed("react")
        thread = await message.create_thread(name="a thread")
        await thread.send("in the thread")
        passed("thread")
        upload = await general.send(file=d.File(io.BytesIO(b"data"), "ü.txt"))
        assert upload.attachments[0].size == 4
        passed("upload")
        await reply.delete()
        passed("delete")
        await fill()
        history = [m async for m in quiet.history(limit=None)]
        assert len(history) == 120 and [m.id for m in history] == sorted((m.id for m in history), reverse=True)
        passed("history")
        await interact(heard)
        await resume(heard)
        await in_order(lambda channel, content: client.get_channel(channel).send(content))


__all__ = ["CONFIG", "Forks"]
