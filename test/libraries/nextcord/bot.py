import nextcord
from nextcord.http import Route

from forks import CONFIG, Forks

Route.BASE = CONFIG["api"] + "/v10"


def modal(submitted):
    form = nextcord.ui.Modal(title="Form", custom_id="form")
    why = nextcord.ui.TextInput(label="Why", custom_id="why")
    form.add_item(why)

    async def callback(interaction):
        await submitted(interaction, why.value)

    form.callback = callback
    return form


forks = Forks(nextcord, modal, "edit_original_message")
client = nextcord.Client(intents=nextcord.Intents.all())


@client.slash_command(name="hello", description="Says hello")
async def hello(interaction: nextcord.Interaction, who: str):
    await forks.hello(interaction, who)


forks.listen(client)
client.run(CONFIG["token"])
