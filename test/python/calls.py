"""Makes calls with the PyPI package discordproxy 1.5 as they are asked for.

Each line of stdin is a JSON object: "target" is the address of a server,
"timeout" that of the client in seconds or null, "world" are names for ids, and
"do" is an expression. Each line of stdout is what came of it: {"ok": ...} with
the result, or {"error": class, ...} with the attributes of the exception.
"""

import json
import sys

import grpc
from discordproxy.client import (
    Channel,
    DiscordApiStub,
    DiscordClient,
    Embed,
    GetGuildChannelsRequest,
    Message,
    SendChannelMessageRequest,
    SendDirectMessageRequest,
)
from google.protobuf import json_format
from google.protobuf.message import Message as AnyMessage


def plain(value):
    if isinstance(value, AnyMessage):
        return json_format.MessageToDict(value, preserving_proto_field_name=True)
    if isinstance(value, str | int | float | None):
        return value
    return [plain(one) for one in value]


def attempt(job):
    with grpc.insecure_channel(job["target"]) as channel:
        names = {
            **globals(),
            **job["world"],
            "client": DiscordClient(job["target"], timeout=job["timeout"]),
            "stub": DiscordApiStub(channel),
        }
        try:
            return {"ok": plain(eval(job["do"], names))}
        except grpc.RpcError as ex:
            return {"error": "RpcError", "grpc": ex.code().name, "text": ex.details()}
        except Exception as ex:
            found = {"error": type(ex).__name__, "text": str(ex)}
            if isinstance(status := getattr(ex, "status", None), grpc.StatusCode):
                found |= {"grpc": status.name, "text": ex.details}
            elif status is not None:
                found |= {"status": status, "code": ex.code, "text": ex.text}
            return found


for line in sys.stdin:
    print(json.dumps(attempt(json.loads(line))), flush=True)
