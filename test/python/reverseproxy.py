"""Calls the server with grpcio through a reverse proxy that speaks TLS.

Arguments: port, file of the authority, key that may do little, key of a slow
client, id of a channel, id of a guild, how often. The last line is "passed N".
"""

import collections
import sys

import grpc

from discordproxy import discord_api_pb2 as pb
from discordproxy.discord_api_pb2_grpc import DiscordApiStub

PORT, AUTHORITY, KEY, SLOW, CHANNEL, GUILD, TIMES = sys.argv[1:]
HOST = "discord.example.org"
LARGE = 1_000_000

with open(AUTHORITY, "rb") as file:
    credentials = grpc.ssl_channel_credentials(file.read())
channel = grpc.secure_channel(
    f"127.0.0.1:{PORT}",
    credentials,
    [("grpc.ssl_target_name_override", HOST), ("grpc.default_authority", HOST)],
)
api = DiscordApiStub(channel)
unknown = channel.unary_unary("/discord_api.DiscordApi/Nonsense")
without_files = channel.unary_unary("/discord_api.DiscordApi/GetGuildChannels")
small = pb.SendChannelMessageRequest(channel_id=int(CHANNEL), content="x")
large = pb.SendChannelMessageRequest(channel_id=int(CHANNEL), content="x" * LARGE)
channels = pb.GetGuildChannelsRequest(guild_id=int(GUILD))
direct = pb.SendDirectMessageRequest(user_id=5, content="x")
guesses = {"UNAUTHENTICATED the key", "RESOURCE_EXHAUSTED too many unknown keys"}

CASES = [
    # name, key, call, request, the outcomes that are right, how often
    ("unary", KEY, api.GetGuildChannels, channels, {"OK"}, int(TIMES)),
    ("no key", "", api.SendChannelMessage, small, {"UNAUTHENTICATED "}, int(TIMES)),
    ("no key, 1 MB", "", api.SendChannelMessage, large, {"UNAUTHENTICATED "}, int(TIMES)),
    ("wrong key", "dpkey_wrong", api.SendChannelMessage, small, guesses, int(TIMES)),
    ("wrong key, 1 MB", "dpkey_wrong", api.SendChannelMessage, large, guesses, int(TIMES)),
    ("forbidden", KEY, api.SendDirectMessage, direct, {"PERMISSION_DENIED client little"}, int(TIMES)),
    ("unknown method", KEY, unknown, b"x", {"UNIMPLEMENTED "}, int(TIMES)),
    ("too large", KEY, without_files, b"x" * 6 * LARGE, {"RESOURCE_EXHAUSTED message size"}, 10),
    ("rate limited", SLOW, api.GetGuildChannels, channels, {"DEADLINE_EXCEEDED "}, int(TIMES)),
]

passed = 0
for name, key, call, request, want, times in CASES:
    seen = collections.Counter()
    for _ in range(times):
        try:
            call(request, metadata=[("authorization", f"Bearer {key}")] if key else [], timeout=30)
            seen["OK"] += 1
        except grpc.RpcError as error:
            seen[f"{error.code().name} {error.details()}"] += 1
    wrong = {text: n for text, n in seen.items() if not text.startswith(tuple(want))}
    assert not wrong, f"{name}: {wrong}"
    passed += 1

# A stream brings its first event immediately.
subscribe = channel.unary_stream("/discord_api.DiscordApi/SubscribeEvents")
events = subscribe(b"", metadata=[("authorization", f"Bearer {KEY}")], timeout=30)
assert next(events)
events.cancel()
passed += 1

print("passed", passed)
