import discord
from discord.http import Route

from harness import CONFIG

Route.API_BASE_URL = CONFIG["api"] + "/v{API_VERSION}"
bot = discord.Bot(intents=discord.Intents.default() | discord.Intents(message_content=True))


@bot.event
async def on_ready():
    print("ready", flush=True)


@bot.event
async def on_message(message):
    print("heard", message.content, flush=True)


bot.run(CONFIG["token"])
