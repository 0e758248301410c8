import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from harness import CONFIG

Route.BASE = CONFIG["api"] + "/v10"
DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(CONFIG["gateway"])
client = discord.Client(intents=discord.Intents.default() | discord.Intents(message_content=True))


@client.event
async def on_ready():
    print("ready", flush=True)


@client.event
async def on_message(message):
    print("heard", message.content, flush=True)


client.run(CONFIG["token"], log_handler=None)
