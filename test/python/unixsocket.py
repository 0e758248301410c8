"""Calls the proxy at a Unix socket, with each compression that grpcio has.

usage: unixsocket.py SOCKET USER
"""

import sys

import grpc
from discordproxy.client import DiscordClient
from discordproxy.discord_api_pb2 import SendDirectMessageRequest
from discordproxy.discord_api_pb2_grpc import DiscordApiStub

socket, user = sys.argv[1], int(sys.argv[2])
text = "hi " * 600
for compression in grpc.Compression:
    with grpc.insecure_channel("unix:" + socket, compression=compression) as channel:
        response = DiscordApiStub(channel).SendDirectMessage(SendDirectMessageRequest(user_id=user, content=text))
        assert response.message.content == text.strip(), response
DiscordClient("unix:" + socket).create_direct_message(user_id=user, content="hi")
print("passed", len(list(grpc.Compression)) + 1, "calls")
