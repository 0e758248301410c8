"""Both clients against the real server."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from contextlib import closing
from pathlib import Path
from typing import Any, cast
from unittest.mock import MagicMock

import grpc
import pytest
from conftest import ALICE, BOT, FORBIDDEN, GENERAL, GUILD, Proxy
from discordproxy import discord_api_pb2 as pb
from discordproxy import outbox_pb2
from discordproxy.client import AsyncDiscordClient, DiscordClient
from discordproxy.exceptions import (
    DiscordProxyException,
    DiscordProxyGrpcError,
    DiscordProxyHttpError,
    DiscordProxyTimeoutError,
    DiscordProxyUnavailableError,
    FieldError,
    to_discord_proxy_exception,
)
from discordproxy.tests.factories import create_rpc_error
from google.protobuf.message import Message
from relay import Relay


@pytest.fixture
def client(proxy: Proxy) -> Iterator[DiscordClient]:
    with DiscordClient(proxy.address) as client:
        yield client


@pytest.fixture
def relay(proxy: Proxy) -> Iterator[Relay]:
    relay = Relay(proxy.address)
    yield relay
    relay.close()


def test_every_method_of_the_contract_is_there() -> None:
    services = pb.DESCRIPTOR.services_by_name["DiscordApi"], outbox_pb2.DESCRIPTOR.services_by_name["Outbox"]
    methods = [method for service in services for method in service.methods]
    for kind in (DiscordClient, AsyncDiscordClient):
        public = [n for n, _ in inspect.getmembers(kind, inspect.isfunction) if not n.startswith("_") and n != "close"]
        assert len(public) == len(methods)


def test_life_of_a_message(client: DiscordClient) -> None:
    sent = client.create_channel_message(
        GENERAL,
        "hello <@1100000000000000004>",
        embeds=[pb.Embed(title="one"), pb.Embed(title="two")],
        suppress_mentions=True,
        nonce="nonce",
        enforce_nonce=True,
        attachments=[pb.AttachmentRequest(filename="a.txt", data=b"text")],
    )
    assert [embed.title for embed in sent.embeds] == ["one", "two"]
    assert sent.author.id == BOT
    assert sent.attachments[0].filename == "a.txt"
    assert client.create_channel_message(GENERAL, "again", nonce="nonce", enforce_nonce=True).id == sent.id

    edited = client.edit_channel_message(GENERAL, sent.id, "edited", suppress_mentions=True)
    assert (edited.id, edited.content) == (sent.id, "edited")
    assert client.get_channel_message(GENERAL, sent.id).content == "edited"
    client.add_reaction(GENERAL, sent.id, "👍")
    assert [user.id for user in client.list_reactions(GENERAL, sent.id, "👍")] == [BOT]
    client.pin_message(GENERAL, sent.id)
    assert [item.message.id for item in client.list_pinned_messages(GENERAL).items] == [sent.id]

    client.delete_channel_message(GENERAL, sent.id)
    with pytest.raises(DiscordProxyHttpError) as caught:
        client.delete_channel_message(GENERAL, sent.id)
    assert (caught.value.status, caught.value.code) == (404, 10008)


def test_streams(client: DiscordClient) -> None:
    for number in range(5):
        client.create_channel_message(GENERAL, str(number))
    assert [message.content for message in client.list_channel_messages(GENERAL, limit=3)] == ["4", "3", "2"]
    with closing(client.list_channel_messages(GENERAL)) as messages:
        assert next(messages).content == "4"
    with pytest.raises(DiscordProxyHttpError) as caught:
        list(client.list_channel_messages(FORBIDDEN))
    assert caught.value.code == 50001


def test_typed_detail(client: DiscordClient) -> None:
    with pytest.raises(DiscordProxyHttpError) as caught:
        client.create_channel_message(GENERAL, "x" * 2001)
    want = (FieldError("content", "BASE_TYPE_MAX_LENGTH", "Must be 2000 or fewer in length."),)
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert (error.status, error.code, error.errors, error.outcome_unknown) == (400, 50035, want, False)
        assert str(error) == str(caught.value)


def test_retry_after(limited: Proxy) -> None:
    with DiscordClient(limited.address, timeout=30) as client, pytest.raises(DiscordProxyTimeoutError) as caught:
        for number in range(51):
            client.create_channel_message(GENERAL, str(number))
    assert caught.value.retry_after is not None and caught.value.retry_after > 30
    assert caught.value.outcome_unknown is False
    assert len(limited.contents()) == 50


def test_no_retry_after_a_long_time(binary: str, tmp_path: Path) -> None:
    """A call is not retried if the proxy asks for a long wait."""
    proxy = Proxy(binary, tmp_path)
    proxy.control("POST", "bans", {"for": 3600, "retry_after": True})

    async def call() -> None:
        async with AsyncDiscordClient(proxy.address, retries=1) as client:
            await asyncio.wait_for(client.get_guild(GUILD), 25)

    try:
        with pytest.raises(DiscordProxyUnavailableError) as caught:
            asyncio.run(call())
    finally:
        proxy.stop()
    assert caught.value.retry_after is not None and caught.value.retry_after > 60


def test_timeout(proxy: Proxy) -> None:
    proxy.control("PUT", "latency", {"response": {"min": 60, "max": 60}})
    try:
        with pytest.raises(DiscordProxyTimeoutError) as caught:
            DiscordClient(proxy.address, timeout=0.5, retries=3).create_channel_message(GENERAL, "late")
    finally:
        proxy.control("PUT", "latency", {})
    assert caught.value.status is grpc.StatusCode.DEADLINE_EXCEEDED


def test_large_answers(proxy: Proxy) -> None:
    """Answers may be larger than the 4 MiB of gRPC, and the caller may want less."""
    for options, largest in ((None, 64 << 20), ([("grpc.max_receive_message_length", 5)], 5)):
        seen: list[tuple[str, int]] = []
        original = grpc.insecure_channel
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(grpc, "insecure_channel", lambda target, o, seen=seen: seen.extend(o) or original(target, o))
            with DiscordClient(proxy.address, options) as client:
                if options is None:
                    assert client.get_guild_channels(GUILD)
                else:
                    with pytest.raises(DiscordProxyException, match="larger than max"):
                        client.get_guild_channels(GUILD)
        # Of options with one name gRPC takes the first.
        assert next(value for name, value in seen if name == "grpc.max_receive_message_length") == largest


def test_streams_have_no_timeout(proxy: Proxy) -> None:
    proxy.control("PUT", "latency", {"response": {"min": 1, "max": 1}})
    try:
        client = DiscordClient(proxy.address, timeout=0.3)
        with pytest.raises(DiscordProxyTimeoutError):
            client.create_channel_message(GENERAL, "late")
        sent = client.send_direct_messages(message=pb.NewMessage(content="hi"), user_ids=[ALICE])
        assert [(result.user_id, result.HasField("error")) for result in sent] == [(ALICE, False)]
    finally:
        proxy.control("PUT", "latency", {})


def test_values_that_cannot_be() -> None:
    for key in ("a\nb", "ü"):
        with pytest.raises(ValueError, match="key"):
            DiscordClient(key=key)
        with pytest.raises(ValueError, match="bot"):
            DiscordClient(bot=key)
    with pytest.raises(ValueError, match="retries"):
        DiscordClient(retries=-1)
    assert DiscordClient(retries=2).retries == 2
    assert "secret" not in repr(DiscordClient(key="secret"))


def test_threads_share_one_connection(relay: Relay, proxy: Proxy) -> None:
    with DiscordClient(relay.address) as client, futures.ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(lambda n: client.create_channel_message(GENERAL, str(n)).id, range(40)))
    assert len(set(sent)) == 40
    assert sorted(proxy.contents(), key=int) == [str(n) for n in range(40)]
    assert relay.connections == 1
    # What was closed opens again.
    client.create_channel_message(GENERAL, "40")
    assert relay.connections == 2


@pytest.mark.parametrize("retries", [0, 2])
def test_lost_answer(relay: Relay, proxy: Proxy, retries: int) -> None:
    relay.lose = lambda: relay.lost == 0 and bool(proxy.contents())
    client = DiscordClient(relay.address, retries=retries)
    if retries == 0:
        with pytest.raises(DiscordProxyUnavailableError) as caught:
            client.create_channel_message(GENERAL, "once")
        assert caught.value.status is grpc.StatusCode.UNAVAILABLE
        assert caught.value.outcome_unknown is True
    else:
        assert client.create_channel_message(GENERAL, "once").content == "once"
    assert relay.lost == 1
    assert proxy.contents() == ["once"]


def test_what_could_do_harm_is_not_repeated(relay: Relay, proxy: Proxy) -> None:
    relay.lose = lambda: relay.lost == 0 and bool(proxy.contents())
    client = DiscordClient(relay.address, retries=2)
    with pytest.raises(DiscordProxyGrpcError):
        client.create_channel_message(GENERAL, "twice?", enforce_nonce=False)
    assert proxy.contents() == ["twice?"]


def test_restart_of_the_proxy(binary: str, tmp_path: Path) -> None:
    first = Proxy(binary, tmp_path)
    client = DiscordClient(first.address, retries=8)
    assert client.get_guild(GUILD).name
    first.stop()
    for nowhere in (first.address, "nowhere.invalid:1"):
        with pytest.raises(DiscordProxyUnavailableError) as caught:
            DiscordClient(nowhere).get_guild(GUILD)
        assert (caught.value.status, caught.value.outcome_unknown) == (grpc.StatusCode.UNAVAILABLE, False)
    with futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.create_channel_message, GENERAL, "over the restart")
        second = Proxy(binary, tmp_path, "--port", first.address.rpartition(":")[2])
        try:
            assert answer.result().content == "over the restart"
            assert second.contents() == ["over the restart"]
        finally:
            second.stop()


FORK = """
import os, signal, sys, threading
from discordproxy.client import DiscordClient

client = DiscordClient(sys.argv[1], timeout=20)
client.create_channel_message({channel}, "before")
children = []
for number in range(3):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)  # a hanging child would be waited for
        client.create_channel_message({channel}, f"child {{number}}")
        os._exit(0)
    children.append(pid)
    client.create_channel_message({channel}, f"parent {{number}}")
print(*(os.waitpid(pid, 0)[1] for pid in children))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_fork(proxy: Proxy) -> None:
    """As Celery's workers: the client was used before the process forks."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK.format(channel=GENERAL), proxy.address],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert run.stdout == "0 0 0\n", run
    want = ["before"] + [f"{who} {number}" for who in ("child", "parent") for number in range(3)]
    assert sorted(proxy.contents()) == sorted(want)


def test_key_over_tls(binary: str, tmp_path: Path) -> None:
    key_file, certificate, rules = tmp_path / "key.pem", tmp_path / "certificate.pem", tmp_path / "auth.yaml"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
    subprocess.run([*make.split(), "-keyout", key_file, "-out", certificate], check=True, capture_output=True)
    made = json.loads(subprocess.check_output([binary, "key", "new", "--name", "shop", "--json"]))
    key = made["key"]
    rules.write_text("clients:\n" + made["entry"])
    trusted = grpc.ssl_channel_credentials(certificate.read_bytes())

    flags = {"--auth-file": rules, "--tls-cert": certificate, "--tls-key": key_file}
    proxy = Proxy(binary, tmp_path, *(str(word) for flag in flags.items() for word in flag))
    try:
        with DiscordClient(proxy.address, key=key, credentials=trusted, retries=8) as client:
            assert client.get_current_user().id == BOT

        async def call() -> None:
            async with AsyncDiscordClient(proxy.address, key=key, credentials=trusted, retries=8) as client:
                assert (await client.get_current_user()).id == BOT

        asyncio.run(call())
        for wrong, message in ((None, "a key is required"), ("", "a key is required"), ("dpkey_" + "A" * 52, "")):
            with pytest.raises(DiscordProxyGrpcError) as caught:
                DiscordClient(proxy.address, key=wrong, credentials=trusted).get_current_user()
            assert caught.value.status is grpc.StatusCode.UNAUTHENTICATED
            assert message in caught.value.details
            assert not isinstance(caught.value, DiscordProxyUnavailableError)
        with pytest.raises(DiscordProxyUnavailableError) as caught:
            DiscordClient(proxy.address, timeout=20, key=key).get_current_user()
        assert caught.value.status is grpc.StatusCode.UNAVAILABLE
    finally:
        proxy.stop()


def test_async(proxy: Proxy) -> None:
    shared = AsyncDiscordClient(proxy.address, timeout=30)

    async def use() -> None:
        async with AsyncDiscordClient(proxy.address) as client:
            sent = await client.create_channel_message(GENERAL, "hi", embed=pb.Embed(title="t"))
            assert (await client.get_channel_message(GENERAL, sent.id)).embeds[0].title == "t"
            assert [message.content async for message in client.list_channel_messages(GENERAL, limit=1)] == ["hi"]
            assert (await client.create_direct_message(ALICE, "hi")).content == "hi"
            await client.delete_channel_message(GENERAL, sent.id)
            with pytest.raises(DiscordProxyHttpError) as caught:
                await client.delete_channel_message(GENERAL, sent.id)
            assert (caught.value.code, caught.value.outcome_unknown) == (10008, False)
            with pytest.raises(DiscordProxyHttpError):
                async for _ in client.list_channel_messages(FORBIDDEN):
                    pass
            with pytest.raises(ValueError):
                await client.create_channel_message(GENERAL)
            ids = await asyncio.gather(*(client.create_channel_message(GENERAL, str(n)) for n in range(50)))
            assert len({message.id for message in ids}) == 50

        assert (await shared.get_guild(GUILD)).id == GUILD

    # A client may be used from one event loop after the other.
    for _ in range(2):
        asyncio.run(use())


def test_async_lost_answer(relay: Relay, proxy: Proxy) -> None:
    relay.lose = lambda: relay.lost == 0 and bool(proxy.contents())

    async def use() -> Message:
        async with AsyncDiscordClient(relay.address, retries=2) as client:
            return await client.create_channel_message(GENERAL, "once")

    asyncio.run(use())
    assert (relay.lost, proxy.contents()) == (1, ["once"])


def test_one_exception_stands_for_all(client: DiscordClient) -> None:
    with pytest.raises(DiscordProxyException):
        client.get_user(42)


def test_events(limited: Proxy) -> None:
    # Not with the shared server: the new sandbox knows
    # nothing of the server's session at its gateway.
    client = DiscordClient(limited.address)
    stream = client.subscribe_events(types=[pb.Event.MESSAGE_CREATE])
    with closing(stream):
        next(stream)  # the first response arrives immediately
        client.create_channel_message(GENERAL, "hi")
        contents = (event.message.content for response in stream for event in response.events if event.message.id)
        assert next(contents) == "hi"


def test_timeout_of_one_call(proxy: Proxy) -> None:
    proxy.control("PUT", "latency", {"response": {"min": 1, "max": 1}})
    try:
        patient, hurried = DiscordClient(proxy.address), DiscordClient(proxy.address, timeout=0.3)
        with pytest.raises(DiscordProxyTimeoutError):
            patient.create_channel_message(GENERAL, "late", timeout=0.3)
        with pytest.raises(DiscordProxyTimeoutError):
            list(patient.send_direct_messages(message=pb.NewMessage(content="late"), user_ids=[ALICE], timeout=0.3))
        # Neither a longer time nor no limit is the client's.
        for timeout in (60, 0, float("inf"), 1e300):
            assert hurried.get_channel(GENERAL, timeout=timeout).id == GENERAL

        async def call() -> None:
            async with AsyncDiscordClient(proxy.address, timeout=0.3) as client:
                assert (await client.get_channel(GENERAL, timeout=60)).id == GENERAL
                with pytest.raises(DiscordProxyTimeoutError):
                    await client.get_channel(GENERAL)
            async with AsyncDiscordClient(proxy.address) as client:
                with pytest.raises(DiscordProxyTimeoutError):
                    await client.get_channel(GENERAL, timeout=0.3)
                sent = client.send_direct_messages(
                    message=pb.NewMessage(content="late"), user_ids=[ALICE], timeout=0.3
                )
                with pytest.raises(DiscordProxyTimeoutError):
                    async for _ in sent:
                        pass

        asyncio.run(call())
    finally:
        proxy.control("PUT", "latency", {})


@pytest.mark.parametrize("timeout", [-1, -0.001, float("-inf"), float("nan")])
def test_timeouts_that_cannot_be(proxy: Proxy, timeout: float) -> None:
    for kind in (DiscordClient, AsyncDiscordClient):
        with pytest.raises(ValueError, match="timeout must not be negative"):
            kind(timeout=timeout)
    client = DiscordClient(proxy.address)
    with pytest.raises(ValueError, match="timeout must not be negative"):
        client.create_channel_message(GENERAL, "hi", timeout=timeout)
    with pytest.raises(ValueError, match="timeout must not be negative"):
        client.subscribe_events(timeout=timeout)

    async def call() -> None:
        async with AsyncDiscordClient(proxy.address) as client:
            with pytest.raises(ValueError, match="timeout must not be negative"):
                await client.create_channel_message(GENERAL, "hi", timeout=timeout)
            with pytest.raises(ValueError, match="timeout must not be negative"):
                client.subscribe_events(timeout=timeout)

    asyncio.run(call())
    assert proxy.contents() == []


def test_each_method_has_a_timeout() -> None:
    services = pb.DESCRIPTOR.services_by_name["DiscordApi"], outbox_pb2.DESCRIPTOR.services_by_name["Outbox"]
    methods = [method for service in services for method in service.methods]
    for kind in (DiscordClient, AsyncDiscordClient):
        public = [m for n, m in inspect.getmembers(kind, inspect.isfunction) if not n.startswith("_") and n != "close"]
        limits = [inspect.signature(method).parameters["timeout"] for method in public]
        assert len(limits) == len(methods)
        assert {(limit.kind, limit.default) for limit in limits} == {(inspect.Parameter.KEYWORD_ONLY, None)}


def test_mock_of_the_stub(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in tests of apps, whose client can be one that they made before."""
    client = DiscordClient(proxy.address)
    assert client.get_guild(GUILD).id == GUILD
    stub = MagicMock()
    stub.return_value.GetGuild.return_value.guild.id = 7
    stub.return_value.SendChannelMessage.side_effect = create_rpc_error()
    stub.return_value.GetUser.side_effect = RuntimeError("other")
    with monkeypatch.context() as patch:
        patch.setattr("discordproxy.client.DiscordApiStub", stub)
        assert client.get_guild(GUILD).id == 7
        with pytest.raises(DiscordProxyHttpError, match="User not found"):
            client.create_channel_message(GENERAL, "hi")
        with pytest.raises(RuntimeError, match="other"):
            client.get_user(ALICE)
    assert client.get_guild(GUILD).id == GUILD
    assert proxy.contents() == []


def test_errors_that_are_mocks() -> None:
    error = MagicMock(spec=["code", "details", "trailing_metadata"])
    error.code.return_value, error.details.return_value = grpc.StatusCode.ABORTED, "made up"
    got = to_discord_proxy_exception(error)
    assert isinstance(got, DiscordProxyGrpcError)
    assert str(got) == "gRPC error. Status code: ABORTED - Error message: made up"
    # What is no error of gRPC is left alone.
    for other in (KeyError("x"), grpc.RpcError(), got):
        assert to_discord_proxy_exception(other) is other
    assert str(DiscordProxyGrpcError(cast(Any, 14), "x")) == "gRPC error. Status code: 14 - Error message: x"
    assert isinstance(to_discord_proxy_exception(create_rpc_error(details="[" * 100_000)), DiscordProxyGrpcError)
