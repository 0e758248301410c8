"""Connections that stay and bring nothing more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing

import grpc
import pytest
from conftest import GENERAL, Proxy
from discordproxy import _silence
from discordproxy import discord_api_pb2 as pb
from discordproxy.client import AsyncDiscordClient, DiscordClient
from discordproxy.exceptions import DiscordProxyGrpcError, DiscordProxyUnavailableError
from relay import Relay

LONGEST = 3.0
TYPES = (pb.Event.MESSAGE_CREATE,)


@pytest.fixture
def relay(limited: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    monkeypatch.setitem(_silence.LONGEST, "SubscribeEvents", LONGEST)
    relay = Relay(limited.address)
    yield relay
    relay.close()


def texts(response: pb.SubscribeEventsResponse) -> list[str]:
    return [event.message.content for event in response.events]


def test_silent_subscription(limited: Proxy, relay: Relay) -> None:
    with DiscordClient(relay.address) as client, closing(client.subscribe_events(types=TYPES)) as stream:
        next(stream)
        DiscordClient(limited.address).create_channel_message(GENERAL, "hi")
        time.sleep(1.5 * LONGEST)  # being busy is no silence
        assert texts(next(stream)) == ["hi"]
        relay.flows.clear()
        with pytest.raises(DiscordProxyUnavailableError, match="heartbeat") as caught:
            next(stream)
    assert (caught.value.status, caught.value.outcome_unknown) == (grpc.StatusCode.UNAVAILABLE, True)


def test_silent_subscription_of_a_coroutine(limited: Proxy, relay: Relay) -> None:
    async def use() -> None:
        async with AsyncDiscordClient(relay.address) as client, AsyncDiscordClient(limited.address) as other:
            stream = client.subscribe_events(types=TYPES)
            await anext(stream)
            await other.create_channel_message(GENERAL, "hi")
            await asyncio.sleep(1.5 * LONGEST)
            assert texts(await anext(stream)) == ["hi"]
            relay.flows.clear()
            with pytest.raises(DiscordProxyUnavailableError, match="heartbeat"):
                await anext(stream)

    asyncio.run(use())


def test_silent_connection(relay: Relay) -> None:
    """Other calls end by gRPC's keepalive. Options of the caller take precedence over those of the package."""
    times = dict.fromkeys(("grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms"), 500)
    # Without the probe there is no ping but those of the keepalive.
    with DiscordClient(relay.address, [*times.items(), ("grpc.http2.bdp_probe", 0)]) as client:
        client.get_current_user()
        relay.flows.clear()
        with pytest.raises(DiscordProxyUnavailableError, match="ping|keepalive"):
            client.create_channel_message(GENERAL, "held")


def test_subscription_that_is_refused(relay: Relay) -> None:
    with DiscordClient(relay.address) as client, pytest.raises(DiscordProxyGrpcError) as caught:
        next(client.subscribe_events(types=(pb.Event.GUILD_MEMBER_ADD,)))
    assert caught.value.status is grpc.StatusCode.FAILED_PRECONDITION
