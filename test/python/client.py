"""Uses the package discordproxy as applications do.

Arguments: address of the proxy, then names and IDs of the sandbox as
name=id. Every check is an assertion; the last line is "passed N".
"""

import asyncio
import sys

import grpc
from discordproxy import discord_api_pb2, discord_api_pb2_grpc
from discordproxy.client import DiscordClient
from discordproxy.exceptions import (
    DiscordProxyException,
    DiscordProxyGrpcError,
    DiscordProxyHttpError,
)
from discordproxy.helpers import parse_error_details

ADDRESS = sys.argv[1]
WORLD = {name: int(value) for name, value in (arg.split("=") for arg in sys.argv[2:])}
checks = 0


def check(condition, what):
    global checks
    assert condition, what
    checks += 1


def refused(status, code, text, call, **arguments):
    try:
        call(**arguments)
    except DiscordProxyHttpError as ex:
        check((ex.status, ex.code) == (status, code), (ex.status, ex.code, ex.text))
        check(text in ex.text, ex.text)
    else:
        raise AssertionError(f"{code} was expected")


def send(client):
    message = client.create_direct_message(user_id=WORLD["alice"], content="direct")
    check(message.content == "direct" and message.id, message)
    check(message.author.id == WORLD["bot"], message)

    embed = discord_api_pb2.Embed(
        title="Title",
        description="Description",
        color=0x336699,
        author=discord_api_pb2.Embed.Author(name="Author", icon_url="https://example.org/a.png"),
        footer=discord_api_pb2.Embed.Footer(text="Footer"),
        fields=[discord_api_pb2.Embed.Field(name="Name", value="Value", inline=True)],
    )
    message = client.create_channel_message(channel_id=WORLD["general"], content="", embed=embed)
    check(message.content == "" and len(message.embeds) == 1, message)
    stored = message.embeds[0]
    check(stored.title == "Title" and stored.color == 0x336699, stored)
    check(stored.author.icon_url == "https://example.org/a.png", stored)
    check(stored.fields[0].inline, stored)
    check(message.timestamp, message)

    channels = {channel.id: channel for channel in client.get_guild_channels(guild_id=WORLD["guild"])}
    check(channels[WORLD["general"]].type == discord_api_pb2.Channel.GUILD_TEXT, channels)
    check(channels[WORLD["general"]].name, channels)


def errors(client):
    refused(403, 50001, "Missing Access", client.create_channel_message, channel_id=WORLD["forbidden"], content="x")
    refused(404, 10003, "Unknown Channel", client.create_channel_message, channel_id=42, content="x")
    refused(404, 10013, "Unknown User", client.create_direct_message, user_id=42, content="x")
    refused(403, 50007, "Cannot send messages to this user", client.create_direct_message, user_id=WORLD["no_dms"], content="x")
    refused(404, 10004, "Unknown Guild", client.get_guild_channels, guild_id=42)
    refused(400, 50035, "In content: Must be 2000 or fewer in length.", client.create_channel_message, channel_id=WORLD["general"], content="x" * 2001)

    with grpc.insecure_channel(ADDRESS) as channel:
        stub = discord_api_pb2_grpc.DiscordApiStub(channel)
        try:
            stub.SendDirectMessage(discord_api_pb2.SendDirectMessageRequest(user_id=WORLD["no_dms"], content="x"))
        except grpc.RpcError as ex:
            details = parse_error_details(ex)
            check((details.type, details.status, details.code) == ("HTTPException", 403, 50007), details)
            check(ex.code() == grpc.StatusCode.PERMISSION_DENIED, ex)
        else:
            raise AssertionError("50007 was expected")

    try:
        DiscordClient("127.0.0.1:1").create_direct_message(user_id=1, content="x")
    except DiscordProxyGrpcError as ex:
        check(isinstance(ex, DiscordProxyException), ex)
        check(ex.status == grpc.StatusCode.UNAVAILABLE, ex)
    else:
        raise AssertionError("UNAVAILABLE was expected")


async def fifty():
    """Fifty channels at the same time, each with one message."""

    async def one(number):
        async with grpc.aio.insecure_channel(ADDRESS) as channel:
            stub = discord_api_pb2_grpc.DiscordApiStub(channel)
            request = discord_api_pb2.SendDirectMessageRequest(user_id=WORLD["bob"], content=f"message {number}")
            return (await stub.SendDirectMessage(request)).message.id

    ids = await asyncio.gather(*(one(number) for number in range(50)))
    check(len(set(ids)) == 50, ids)


plain = DiscordClient(ADDRESS)
check(plain.target == ADDRESS and plain.timeout is None, plain)
send(plain)
send(DiscordClient(ADDRESS, timeout=30))
errors(plain)
asyncio.run(fifty())
print(f"passed {checks}")
