"""What existing code may rely on, as a table that both packages are held to.

    python tests/behaviour.py ADDRESS [old]

imports the package discordproxy that it finds, the one of PyPI (then with
"old") or this one, and compares what it does with the table. It prints a line
for each difference and ends with "passed N".
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from typing import Any

import grpc
from discordproxy import discord_api_pb2, discord_api_pb2_grpc
from discordproxy.client import DiscordClient
from discordproxy.exceptions import (
    DiscordProxyException,
    DiscordProxyGrpcError,
    DiscordProxyHttpError,
    DiscordProxyTimeoutError,
    to_discord_proxy_exception,
)
from discordproxy.helpers import GrpcErrorDetails, parse_error_details

ADDRESS, OLD = sys.argv[1], "old" in sys.argv[2:]
GENERAL, ALERTS, FORBIDDEN, GUILD = 1100000000000000010, 1100000000000000012, 1100000000000000014, 1100000000000000100
ALICE, REFUSES = 1100000000000000004, 1100000000000000006
EMBED = discord_api_pb2.Embed(title="Title", color=0x336699)


class Failed(grpc.RpcError):
    """The error of a call, made up."""

    def __init__(self, status: grpc.StatusCode, details: Any) -> None:
        super().__init__()
        self._status, self._details = status, details

    def code(self) -> grpc.StatusCode:
        return self._status

    def details(self) -> Any:
        return self._details


class MadeUp(Exception):
    """An error that is one of gRPC by its methods alone."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.ABORTED

    def details(self) -> str:
        return "made up"


def text_of(call: Callable[[], Any]) -> str:
    """Returns an exception in words."""
    try:
        return f"no exception: {call()}"
    except DiscordProxyException as ex:
        return str(ex)


def seen(what: Any) -> Any:
    """Returns a result or exception in a form that can be compared."""
    if isinstance(what, DiscordProxyHttpError):
        return (type(what).__name__, what.status, what.code, what.text, what.args)
    if isinstance(what, DiscordProxyGrpcError):
        return (type(what).__name__, what.status.name, what.details, what.args)
    if isinstance(what, Exception):
        return type(what).__name__
    if isinstance(what, discord_api_pb2.Message):
        return ("Message", what.content, [embed.title for embed in what.embeds])
    if isinstance(what, GrpcErrorDetails):
        return tuple(what)
    return what


def observe(call: Callable[[], Any]) -> Any:
    try:
        return seen(call())
    except Exception as ex:
        return seen(ex)


def details(text: Any, status: grpc.StatusCode = grpc.StatusCode.INTERNAL) -> Any:
    """What both readers make of the details of a status."""
    error = Failed(status, text)
    return (observe(lambda: parse_error_details(error)), observe(lambda: to_discord_proxy_exception(error)))


def assign(name: str) -> Callable[[], None]:
    return lambda: setattr(DiscordClient(ADDRESS), name, 1)


def parameters(method: Any) -> list[tuple[str, Any]]:
    """The parameters that can be given by position, with their defaults."""
    return [
        (p.name, "required" if p.default is p.empty else p.default)
        for p in inspect.signature(method).parameters.values()
        if p.kind is p.POSITIONAL_OR_KEYWORD
    ]


def timeout() -> Any:
    """A timeout that ends before the call's turn: the test allows 50 messages an hour."""
    hurried = DiscordClient(ADDRESS, timeout=30)
    return observe(lambda: [hurried.create_channel_message(ALERTS, "late") for _ in range(51)])[:2]


class Address:
    """A target that is no str."""

    def __str__(self) -> str:
        return ADDRESS


client = DiscordClient(ADDRESS)
HTTP = {"type": "HTTPException", "status": 404, "code": 10003, "text": "Unknown Channel"}
UNKNOWN_CHANNEL = ("DiscordProxyHttpError", 404, 10003, "Unknown Channel", ("Unknown Channel",))

# What is looked at, what must be seen, and, where the package of PyPI differs,
# what it does.
TABLE: list[tuple[Any, ...]] = [
    # The client.
    (lambda: parameters(DiscordClient), [("target", None), ("options", None), ("timeout", None)]),
    (lambda: DiscordClient().target, "localhost:50051"),
    (lambda: DiscordClient("").target, "localhost:50051"),
    (lambda: DiscordClient().options, None),
    (lambda: DiscordClient().timeout, None),
    (lambda: DiscordClient("a:1", [("grpc.max_receive_message_length", 5)], 7).options, [("grpc.max_receive_message_length", 5)]),
    (lambda: DiscordClient("a:1", None, 7).timeout, 7),
    (assign("target"), "AttributeError"),
    (assign("options"), "AttributeError"),
    (assign("timeout"), "AttributeError"),
    # Its calls.
    (lambda: parameters(DiscordClient.create_channel_message), [("self", "required"), ("channel_id", "required"), ("content", ""), ("embed", None)]),
    (lambda: parameters(DiscordClient.create_direct_message), [("self", "required"), ("user_id", "required"), ("content", ""), ("embed", None)]),
    (lambda: parameters(DiscordClient.get_guild_channels), [("self", "required"), ("guild_id", "required")]),
    (lambda: client.create_channel_message(GENERAL, "by position"), ("Message", "by position", [])),
    (lambda: client.create_channel_message(channel_id=GENERAL, content="by name"), ("Message", "by name", [])),
    (lambda: client.create_channel_message(channel_id=GENERAL, content=None), "ValueError"),
    (lambda: client.create_channel_message(GENERAL, "with embed", EMBED), ("Message", "with embed", ["Title"])),
    (lambda: client.create_channel_message(channel_id=GENERAL, embed=EMBED), ("Message", "", ["Title"])),
    (lambda: DiscordClient(ADDRESS, timeout=0).create_channel_message(GENERAL, "no timeout"), ("Message", "no timeout", [])),
    (lambda: client.create_direct_message(ALICE, "direct"), ("Message", "direct", [])),
    (lambda: client.create_direct_message(user_id=ALICE, embed=EMBED), ("Message", "", ["Title"])),
    (lambda: [c.name for c in client.get_guild_channels(GUILD) if c.id == GENERAL], ["general"]),
    (lambda: len(client.get_guild_channels(guild_id=GUILD)) > 5, True),
    # What they raise.
    (lambda: client.create_channel_message(GENERAL), "ValueError"),
    (lambda: client.create_direct_message(ALICE), "ValueError"),
    (lambda: client.create_channel_message(-1, "x"), "ValueError"),
    # Whom there is, the server says.
    (lambda: observe(lambda: client.create_direct_message(0, "x"))[0], "DiscordProxyHttpError"),
    (lambda: observe(lambda: client.create_channel_message(0, "x"))[0], "DiscordProxyHttpError"),
    (lambda: observe(lambda: client.create_channel_message(0, embed=EMBED))[0], "DiscordProxyHttpError"),
    (lambda: observe(lambda: client.get_guild_channels(0))[0], "DiscordProxyHttpError"),
    (lambda: observe(lambda: client.create_channel_message(GENERAL, embed=discord_api_pb2.Embed()))[:3], ("DiscordProxyHttpError", 400, 50006)),
    (lambda: client.create_direct_message(0), "ValueError"),
    (lambda: client.create_channel_message(0), "ValueError"),
    # It is refused before the call, and by the package of PyPI with each call.
    (lambda: DiscordClient(ADDRESS, timeout=-1).create_channel_message(GENERAL, "negative"), "ValueError", ("DiscordProxyTimeoutError", "DEADLINE_EXCEEDED", "Deadline Exceeded", ("Deadline Exceeded",))),
    (lambda: DiscordClient(Address()).target, ADDRESS),
    (lambda: client.create_channel_message("x", "x"), "TypeError"),
    (lambda: client.create_channel_message(42, "x"), UNKNOWN_CHANNEL),
    (lambda: client.create_direct_message(42, "x"), ("DiscordProxyHttpError", 404, 10013, "Unknown User", ("Unknown User",))),
    (lambda: observe(lambda: client.create_direct_message(REFUSES, "x"))[:3], ("DiscordProxyHttpError", 403, 50007)),
    (lambda: client.create_channel_message(FORBIDDEN, "x"), ("DiscordProxyHttpError", 403, 50001, "Missing Access", ("Missing Access",))),
    (lambda: client.get_guild_channels(42), ("DiscordProxyHttpError", 404, 10004, "Unknown Guild", ("Unknown Guild",))),
    (timeout, ("DiscordProxyTimeoutError", "DEADLINE_EXCEEDED")),
    (lambda: observe(lambda: DiscordClient("127.0.0.1:1").create_direct_message(1, "x"))[:2], ("DiscordProxyUnavailableError", "UNAVAILABLE"), ("DiscordProxyGrpcError", "UNAVAILABLE")),
    # The exceptions.
    (lambda: [c.__name__ for c in DiscordProxyHttpError.__mro__[1:3]], ["DiscordProxyException", "Exception"]),
    (lambda: [c.__name__ for c in DiscordProxyTimeoutError.__mro__[1:4]], ["DiscordProxyGrpcError", "DiscordProxyException", "Exception"]),
    (lambda: issubclass(type(to_discord_proxy_exception(Failed(grpc.StatusCode.UNAVAILABLE, "x"))), DiscordProxyGrpcError), True),
    (lambda: DiscordProxyException("a", 1).args, ("a", 1)),
    (lambda: parameters(DiscordProxyHttpError), [("status", "required"), ("code", "required"), ("text", "required")]),
    (lambda: parameters(DiscordProxyGrpcError), [("status", "required"), ("details", "required")]),
    (lambda: setattr(DiscordProxyHttpError(404, 1, "x"), "status", 1), "AttributeError"),
    (lambda: setattr(DiscordProxyGrpcError(grpc.StatusCode.INTERNAL, "x"), "details", ""), "AttributeError"),
    (lambda: str(DiscordProxyHttpError(404, 10003, "some text")), "HTTP error from the Discord API. HTTP status code: 404 - JSON error code: 10003 - Error message: some text"),
    (lambda: str(DiscordProxyHttpError(400, 50035, "two\nlines")), "HTTP error from the Discord API. HTTP status code: 400 - JSON error code: 50035 - Error message: two\nlines"),
    (lambda: str(to_discord_proxy_exception(Failed(grpc.StatusCode.INTERNAL, '{"type": "HTTPException"}'))), "HTTP error from the Discord API. HTTP status code: None - JSON error code: None - Error message: "),
    (lambda: str(DiscordProxyGrpcError(grpc.StatusCode.INTERNAL, "some text")), "gRPC error. Status code: INTERNAL - Error message: some text"),
    (lambda: str(DiscordProxyTimeoutError(grpc.StatusCode.DEADLINE_EXCEEDED, "late")), "gRPC error. Status code: DEADLINE_EXCEEDED - Error message: late"),
    (lambda: str(to_discord_proxy_exception(Failed(grpc.StatusCode.UNAVAILABLE, "away"))), "gRPC error. Status code: UNAVAILABLE - Error message: away"),
    (lambda: str(DiscordProxyException("a")), "a"),
    (lambda: text_of(lambda: client.create_channel_message(42, "x")), "HTTP error from the Discord API. HTTP status code: 404 - JSON error code: 10003 - Error message: Unknown Channel"),
    (lambda: text_of(lambda: client.get_guild_channels(42)), "HTTP error from the Discord API. HTTP status code: 404 - JSON error code: 10004 - Error message: Unknown Guild"),
    # Errors by their form.
    (lambda: observe(lambda: to_discord_proxy_exception(MadeUp())), ("DiscordProxyGrpcError", "ABORTED", "made up", ("made up",))),
    (lambda: observe(lambda: to_discord_proxy_exception(grpc.RpcError("bare"))), "RpcError"),
    (lambda: to_discord_proxy_exception(OSError) is OSError, True),
    # Readers of the details of a status.
    (lambda: GrpcErrorDetails._fields, ("type", "status", "code", "text")),
    (lambda: details(json.dumps(HTTP)), (("HTTPException", 404, 10003, "Unknown Channel"), UNKNOWN_CHANNEL)),
    (lambda: details(json.dumps({**HTTP, "more": 1})), (("HTTPException", 404, 10003, "Unknown Channel"), UNKNOWN_CHANNEL)),
    (lambda: details(json.dumps(HTTP), grpc.StatusCode.DEADLINE_EXCEEDED), (("HTTPException", 404, 10003, "Unknown Channel"), UNKNOWN_CHANNEL)),
    (lambda: details('{"type": "HTTPException"}'), (("HTTPException", None, None, ""), ("DiscordProxyHttpError", None, None, "", ("",)))),
    (lambda: details("plain"), (("Other", None, None, "plain"), ("DiscordProxyGrpcError", "INTERNAL", "plain", ("plain",)))),
    (lambda: details(""), (("Other", None, None, ""), ("DiscordProxyGrpcError", "INTERNAL", "", ("",)))),
    (lambda: details('{"a": 1}'), (("Other", None, None, ""), ("DiscordProxyGrpcError", "INTERNAL", '{"a": 1}', ('{"a": 1}',)))),
    (lambda: details("slow", grpc.StatusCode.DEADLINE_EXCEEDED), (("Other", None, None, "slow"), ("DiscordProxyTimeoutError", "DEADLINE_EXCEEDED", "slow", ("slow",)))),
    (lambda: details("[]"), (("Other", None, None, "[]"), ("DiscordProxyGrpcError", "INTERNAL", "[]", ("[]",))), ("AttributeError", "AttributeError")),
    (lambda: details("5"), (("Other", None, None, "5"), ("DiscordProxyGrpcError", "INTERNAL", "5", ("5",))), ("AttributeError", "AttributeError")),
    (lambda: details(None), (("Other", None, None, ""), ("DiscordProxyGrpcError", "INTERNAL", "", ("",))), ("TypeError", "TypeError")),
    (lambda: to_discord_proxy_exception(KeyError("x")), "KeyError"),
    # The generated modules.
    (lambda: discord_api_pb2.Embed.Field(name="a", value="b", inline=True).name, "a"),
    (lambda: (discord_api_pb2.Channel.GUILD_TEXT, discord_api_pb2.Channel.Type.Name(5), discord_api_pb2.Message.REPLY), (1, "GUILD_CATEGORY", 19)),
    (lambda: discord_api_pb2.SendDirectMessageRequest.DESCRIPTOR.full_name, "discord_api.SendDirectMessageRequest"),
    (lambda: [hasattr(discord_api_pb2_grpc, name) for name in ("DiscordApiStub", "DiscordApiServicer", "add_DiscordApiServicer_to_server")], [True, True, True]),
    (lambda: discord_api_pb2_grpc.DiscordApiStub(grpc.insecure_channel(ADDRESS)).SendDirectMessage(discord_api_pb2.SendDirectMessageRequest(user_id=ALICE, content="stub")).message, ("Message", "stub", [])),
]  # fmt: skip

failed = 0
for number, (look, expected, *differs) in enumerate(TABLE):
    if OLD and differs:
        expected = differs[0]
    got = observe(look)
    if got != expected:
        failed += 1
        print(f"row {number}: {inspect.getsource(look).strip()}\n  got  {got!r}\n  want {expected!r}")
if failed:
    sys.exit(1)
print(f"passed {len(TABLE)}")
