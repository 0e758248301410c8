import discord
import yarl
from discord import app_commands
from discord.gateway import DiscordWebSocket
from discord.http import Route

from forks import CONFIG, Forks

Route.BASE = CONFIG["api"] + "/v10"
DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(CONFIG["gateway"])


def modal(submitted):
    form = discord.ui.Modal(title="Form", custom_id="form")
    why = discord.ui.TextInput(label="Why", custom_id="why")
    form.add_item(why)

    async def on_submit(interaction):
        await submitted(interaction, why.value)

    form.on_submit = on_submit
    return form


forks = Forks(discord, modal)


class Client(discord.Client):
    async def setup_hook(self):
        tree = app_commands.CommandTree(self)

        @tree.command(name="hello", description="Says hello")
        async def hello(interaction: discord.Interaction, who: str):
            await forks.hello(interaction, who)

        assert len(await tree.sync()) == 1


client = Client(intents=discord.Intents.all())
forks.listen(client)
client.run(CONFIG["token"], log_handler=None)
