"""Sends messages through the proxy with discord.py.

Arguments: address of the proxy, then ids of channels. To each of them goes
one message after the other. The last line is "passed N".
"""

import asyncio
import io
import logging
import sys

import discord
import discord.http

ADDRESS, *CHANNELS = sys.argv[1:]
discord.http.Route.BASE = f"http://{ADDRESS}/api/v10"
sent = 0


class Warnings(logging.Handler):
    """Takes down what discord.py warns of, such as a 429."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.seen = []

    def emit(self, record):
        self.seen.append(record.getMessage())


async def send(client, channel):
    global sent
    for i in range(5):
        content = f"discord.py {i}"
        message = await client.get_partial_messageable(int(channel)).send(content)
        assert message.content == content, message
        sent += 1


async def main():
    warnings = Warnings()
    logging.getLogger("discord.http").addHandler(warnings)
    client = discord.Client(intents=discord.Intents.none())
    async with client:
        await client.login("discordproxy")
        assert client.user.bot, client.user
        await asyncio.gather(*(send(client, channel) for channel in CHANNELS))
        channel = client.get_partial_messageable(int(CHANNELS[0]))
        message = await channel.send("file", file=discord.File(io.BytesIO(b"hello"), "ü.txt"))
        assert len(message.attachments) == 1, message
        await message.add_reaction("👍")
        await message.edit(content="edited")
        await message.delete()
        try:
            await client.fetch_user(5)
        except discord.NotFound as ex:
            assert ex.code == 10013, ex
        else:
            raise AssertionError("10013 was expected")
    assert not warnings.seen, warnings.seen


asyncio.run(main())
print(f"passed {sent}")
