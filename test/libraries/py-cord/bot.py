import discord
from discord.http import Route

from forks import CONFIG, Forks

Route.API_BASE_URL = CONFIG["api"] + "/v{API_VERSION}"


def modal(submitted):
    form = discord.ui.Modal(title="Form", custom_id="form")
    why = discord.ui.InputText(label="Why", custom_id="why")
    form.add_item(why)

    async def callback(interaction):
        await submitted(interaction, why.value)

    form.callback = callback
    return form


forks = Forks(discord, modal)
bot = discord.Bot(intents=discord.Intents.all())


@bot.slash_command(name="hello", description="Says hello")
async def hello(context, who: str):
    await forks.hello(context.interaction, who)


forks.listen(bot)
bot.run(CONFIG["token"])
