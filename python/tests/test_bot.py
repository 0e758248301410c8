"""The bot that calls are for, as a server sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from discordproxy._cli import main
from discordproxy.client import AsyncDiscordClient, DiscordClient
from discordproxy.exceptions import DiscordProxyGrpcError
from discordproxy.outbox_pb2 import EnqueueRequest


class Recorder(grpc.GenericRpcHandler):
    """Refuses all calls, and keeps what they say about the bot."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[str]]] = []
        self.address = ""

    def service(self, handler_call_details: Any) -> None:
        metadata = [value for name, value in handler_call_details.invocation_metadata if name == "discord-bot"]
        self.calls.append((handler_call_details.method.rpartition("/")[2], metadata))


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[recorder])
    recorder.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield recorder
    server.stop(None).wait()


METHODS = ["GetUser", "Enqueue", "SubscribeEvents", "WatchDeliveries", "EnqueueMany"]


@pytest.mark.parametrize(("bot", "sent"), [(None, []), ("", []), ("alerts", ["alerts"])])
def test_every_call_names_the_bot(recorder: Recorder, bot: str | None, sent: list[str]) -> None:
    with DiscordClient(recorder.address, bot=bot) as client:
        assert client.bot == (bot or None)
        for call in (
            lambda: client.get_user(1),
            lambda: client.enqueue(),
            lambda: next(client.subscribe_events()),
            lambda: next(client.watch_deliveries()),
            lambda: next(client.enqueue_many([EnqueueRequest()])),
        ):
            with pytest.raises(DiscordProxyGrpcError):
                call()
    assert recorder.calls == [(name, sent) for name in METHODS]
    recorder.calls.clear()

    async def calls() -> None:
        async with AsyncDiscordClient(recorder.address, bot=bot) as client:
            for call in (
                lambda: client.get_user(1),
                lambda: client.enqueue(),
                lambda: anext(client.subscribe_events()),
                lambda: anext(client.watch_deliveries()),
                lambda: anext(client.enqueue_many([EnqueueRequest()])),
            ):
                with pytest.raises(DiscordProxyGrpcError):
                    await call()

    asyncio.run(calls())
    assert recorder.calls == [(name, sent) for name in METHODS]


def test_bot_of_the_command(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    host, _, port = recorder.address.rpartition(":")
    message = ("--host", host, "--port", port, "channel", "1", "hi")

    def sent(*options: str) -> list[str]:
        recorder.calls.clear()
        with pytest.raises(SystemExit, match="UNIMPLEMENTED"):
            main([*options, *message])
        return [bot for _, bots in recorder.calls for bot in bots]

    assert sent() == []
    assert sent("--bot", "alerts") == ["alerts"]
    monkeypatch.setenv("DISCORDPROXY_BOT", "shop")
    assert sent() == ["shop"]
    assert sent("--bot", "alerts") == ["alerts"]
