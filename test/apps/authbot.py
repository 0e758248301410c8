"""Does with py-cord, which authbot is made with, what authbot does.

Arguments are the address of the REST API with its version, the bot's token and
a channel. The program prints "ready" once it has sent a message, edited it and
reacted to it, waits for the command "lookup", answers it, and prints "passed".
"""

import os
import sys

import discord
from discord.http import Route

Route.API_BASE_URL, token, channel = sys.argv[1], sys.argv[2], int(sys.argv[3])

bot = discord.Bot(intents=discord.Intents.default())


@bot.slash_command(name="lookup", description="Look a pilot up")
async def lookup(context):
    await context.respond("looking")
    await context.edit(content="found")
    await context.followup.send("and more")
    print("passed", flush=True)
    os._exit(0)  # closing from within a command can race with a reconnect


@bot.event
async def on_application_command_error(context, error):
    print(error, file=sys.stderr, flush=True)
    os._exit(1)


@bot.event
async def on_ready():
    message = await bot.get_partial_messageable(channel).send("hello from authbot", embed=discord.Embed(title="pilot"))
    await message.edit(content="edited by authbot")
    await message.add_reaction("👍")
    print("ready", flush=True)


bot.run(token)
