"""The outbox, by both clients, against the real server."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import ALICE, FORBIDDEN, GENERAL, Proxy
from discordproxy import discord_api_pb2 as pb
from discordproxy.client import AsyncDiscordClient, DiscordClient
from discordproxy.exceptions import DiscordProxyGrpcError
from discordproxy.outbox_pb2 import Delivery, EnqueueRequest
from google.protobuf.timestamp_pb2 import Timestamp
from relay import Relay


@pytest.fixture
def client(proxy: Proxy) -> Iterator[DiscordClient]:
    with DiscordClient(proxy.address, timeout=60) as client:
        yield client


def hello(text: str) -> pb.SendChannelMessageRequest:
    return pb.SendChannelMessageRequest(channel_id=GENERAL, content=text)


def later() -> Timestamp:
    return Timestamp(seconds=int(time.time()) + 3600)


def test_life_of_a_delivery(proxy: Proxy, client: DiscordClient) -> None:
    results = client.watch_deliveries(timeout=60)
    assert not next(results).HasField("delivery")
    enqueued = client.enqueue(send_channel_message=hello("queued"), delivery_id="life", priority=Delivery.HIGH)
    assert not enqueued.duplicate
    assert client.enqueue(send_channel_message=hello("queued"), delivery_id="life", priority=Delivery.HIGH).duplicate
    ended = next(results).delivery
    results.close()
    assert (ended.id, ended.state, ended.channel_id) == ("life", Delivery.DELIVERED, GENERAL)
    assert client.get_channel_message(GENERAL, ended.message_id).content == "queued"
    assert client.get_delivery("life") == ended
    assert proxy.contents() == ["queued"]


def test_what_waits_can_be_cancelled_and_retried(client: DiscordClient) -> None:
    client.enqueue(send_direct_message=pb.SendDirectMessageRequest(user_id=ALICE, content="a"), delivery_id="wait", not_before=later())
    assert client.get_delivery("wait").state == Delivery.SCHEDULED
    assert client.cancel_delivery("wait").state == Delivery.CANCELLED
    page = client.list_deliveries(states=[Delivery.CANCELLED], user_id=ALICE)
    assert [delivery.id for delivery in page.deliveries] == ["wait"]
    assert client.purge_deliveries(states=[Delivery.CANCELLED]) == 1
    with pytest.raises(DiscordProxyGrpcError) as caught:
        client.retry_delivery("wait")
    assert "NOT_FOUND" in str(caught.value)


def test_many(client: DiscordClient) -> None:
    requests = [EnqueueRequest(send_channel_message=hello(str(n)), delivery_id=f"many-{n}", not_before=later()) for n in range(20)]
    requests[3].ClearField("call")
    answers = list(client.enqueue_many(iter(requests), timeout=60))
    assert [answer.status for answer in answers] == ["INVALID_ARGUMENT" if n == 3 else "" for n in range(20)]
    assert [answer.delivery.id for answer in answers if not answer.status] == [f"many-{n}" for n in range(20) if n != 3]
    for answer in answers:
        if answer.delivery.id:
            client.cancel_delivery(answer.delivery.id)


def test_lost_answer(proxy: Proxy) -> None:
    relay = Relay(proxy.address)
    relay.lose = lambda: relay.lost == 0
    try:
        with DiscordClient(relay.address, timeout=60, retries=2) as client:
            enqueued = client.enqueue(send_channel_message=hello("once"), not_before=later())
            assert (relay.lost, enqueued.duplicate) == (1, True)
            scheduled = client.list_deliveries(states=[Delivery.SCHEDULED]).deliveries
            assert [delivery.id for delivery in scheduled] == [enqueued.delivery.id]
            client.cancel_delivery(enqueued.delivery.id)
    finally:
        relay.close()


def test_tasks_of_the_documentation(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "alliance-auth.md").read_text()
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "shared_task" in b)
    celery = ModuleType("celery")
    setattr(celery, "shared_task", lambda **_: lambda task: task)
    monkeypatch.setitem(sys.modules, "celery", celery)
    tasks: dict[str, Any] = {}
    exec(block.replace("localhost:50051", proxy.address), tasks)
    for _ in range(2):  # Celery repeats tasks
        tasks["announce"](GENERAL, "fleet", "fleet-7")
    with DiscordClient(proxy.address, timeout=60) as client:
        results = client.watch_deliveries(after=0, timeout=60)
        assert any(result.delivery.id == "fleet-7" and result.delivery.state == Delivery.DELIVERED for result in results)
        results.close()
        tasks["announce"](FORBIDDEN, "secret", "fleet-8")
        results = client.watch_deliveries(after=0, timeout=60)
        assert any(result.delivery.id == "fleet-8" and result.delivery.state == Delivery.FAILED for result in results)
        results.close()
    assert proxy.contents() == ["fleet"]
    assert [line.partition(":")[0] for line in tasks["report_failures"]()] == ["fleet-8"]


def test_coroutines(proxy: Proxy) -> None:
    async def use() -> None:
        async with AsyncDiscordClient(proxy.address, timeout=60) as client:
            results = client.watch_deliveries(timeout=60)
            await anext(results)
            await client.enqueue(send_channel_message=hello("async"), delivery_id="async")
            assert (await anext(results)).delivery.state == Delivery.DELIVERED
            await results.aclose()
            assert (await client.get_delivery("async")).id == "async"
            requests = [EnqueueRequest(send_channel_message=hello(str(n)), not_before=later()) for n in range(3)]
            answers = [answer async for answer in client.enqueue_many(requests, timeout=60)]
            for answer in answers:
                assert (await client.cancel_delivery(answer.delivery.id)).state == Delivery.CANCELLED
            assert len(answers) == 3

    asyncio.run(use())
    assert proxy.contents() == ["async"]
