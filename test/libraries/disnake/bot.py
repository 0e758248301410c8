import disnake
from disnake.ext import commands
from disnake.http import Route

from forks import CONFIG, Forks

Route.BASE = CONFIG["api"] + "/v10"


def modal(submitted):
    class Form(disnake.ui.Modal):
        async def callback(self, interaction):
            await submitted(interaction, interaction.text_values["why"])

    return Form(title="Form", custom_id="form", components=[disnake.ui.TextInput(label="Why", custom_id="why")])


forks = Forks(disnake, modal)
bot = commands.InteractionBot(intents=disnake.Intents.all())


@bot.slash_command(name="hello", description="Says hello")
async def hello(interaction: disnake.ApplicationCommandInteraction, who: str):
    await forks.hello(interaction, who)


forks.listen(bot)
bot.run(CONFIG["token"])
