"""Clients of Discord Proxy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from types import TracebackType
from typing import Any, Iterable, TypeVar, cast
from weakref import WeakKeyDictionary

import grpc
import grpc.aio
from google.protobuf.message import Message as ProtobufMessage

from ._async_methods import AsyncMethods
from ._connection import AsyncConnection, Connection, Options, open_async_channel, open_channel
from ._methods import Methods
from ._rpc import Rpc, Tries, check_timeout, finite, serialize
from ._silence import LONGEST, lost, watched
from .discord_api_pb2 import (
    Channel,
    Embed,
    GetGuildChannelsRequest,
    Message,
    SendChannelMessageRequest,
    SendDirectMessageRequest,
)
from .discord_api_pb2_grpc import DiscordApiStub
from .exceptions import DiscordProxyException, to_discord_proxy_exception, translate
from .outbox_pb2_grpc import OutboxStub

# Apps import all of these from here, as they could from discordproxy 1.x.
__all__ = [
    "AsyncDiscordClient",
    "Channel",
    "DiscordApiStub",
    "DiscordClient",
    "Embed",
    "GetGuildChannelsRequest",
    "Iterable",
    "Message",
    "SendChannelMessageRequest",
    "SendDirectMessageRequest",
    "to_discord_proxy_exception",
]

Response = TypeVar("Response", bound=ProtobufMessage)
Item = TypeVar("Item")

DEFAULT_TARGET = "localhost:50051"


class _Settings:
    """The settings of both clients, read-only."""

    def __init__(
        self,
        target: str | None,
        options: Options | None,
        timeout: float | None,
        key: str | None,
        retries: int,
        bot: str | None,
    ) -> None:
        if retries < 0:
            raise ValueError(f"retries must not be negative, got {retries}")
        check_timeout(timeout)
        if key and not (key.isascii() and key.isprintable()):
            raise ValueError("key must be printable ASCII")
        if bot and not (bot.isascii() and bot.isprintable()):
            raise ValueError("bot must be printable ASCII")
        self._target = str(target) if target else DEFAULT_TARGET
        self._options = options
        self._timeout = timeout
        self._retries = retries
        self._bot = bot or None
        metadata = {"authorization": f"Bearer {key}" if key else None, "discord-bot": bot}
        self._metadata = tuple((name, value) for name, value in metadata.items() if value)

    @property
    def target(self) -> str:
        """Address of the proxy."""
        return self._target

    @property
    def options(self) -> Options | None:
        """Channel options of gRPC."""
        return self._options

    @property
    def timeout(self) -> float | None:
        """Maximum duration of a call in seconds. None and 0 mean no limit."""
        return self._timeout

    @property
    def retries(self) -> int:
        """Maximum number of retries of a call that failed with UNAVAILABLE."""
        return self._retries

    @property
    def bot(self) -> str | None:
        """Name of the bot that makes the calls. None means the default bot of the proxy."""
        return self._bot

    def _timeout_of_call(self, timeout: float | None) -> float | None:
        """Returns the timeout of a call, given its own argument."""
        check_timeout(timeout)
        return finite(self._timeout if timeout is None else timeout)


class DiscordClient(_Settings, Methods):
    """Calls Discord through the proxy. Threads can share a client.

    The client connects with its first call and keeps the connection. After a
    restart of the proxy, it reconnects. Before a fork, it closes the connection
    unless a call uses it. The next call in each process opens a new one.

    Args:
        target: Address of the proxy. Default: localhost:50051.
        options: Channel options of gRPC. Connections to a loopback address
            ignore the variable http_proxy unless the options contain
            ("grpc.enable_http_proxy", 1).
        timeout: Maximum duration of a call in seconds, including retries. None
            and 0 mean no limit: the call waits until Discord's rate limits
            allow it. Streams have no limit. The argument ``timeout`` of a
            method overrides this value, and also limits a stream.
        key: Key of the client at the proxy. None or "" sends no key. Without
            credentials, the key is sent in clear text.
        credentials: TLS settings, for example from
            grpc.ssl_channel_credentials(). By default, the connection is not
            encrypted.
        retries: Maximum number of retries of a call that failed with
            UNAVAILABLE. A call is retried only where that is safe: if it
            changes nothing, if it certainly had no effect, if it sends a
            message, or if it enqueues a call. A message gets a nonce and a
            delivery an ID, so that neither is created twice. A call that could
            succeed only after more than 30 seconds is not retried.
        bot: Name of the bot that the calls are for, if the proxy has several. With
            None or "", the proxy's default bot makes the calls.

    Raises:
        ValueError: by the constructor and the methods, for an invalid value
            such as a negative timeout.
        DiscordProxyHttpError: by the methods, if Discord refuses a call.
        DiscordProxyTimeoutError: by the methods, if a call takes too long.
        DiscordProxyUnavailableError: by the methods, if the proxy or Discord
            cannot be reached, or if the connection is lost.
        DiscordProxyGrpcError: by the methods, for all other errors.
    """

    def __init__(
        self,
        target: str | None = None,
        options: Options | None = None,
        timeout: float | None = None,
        *,
        key: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        retries: int = 0,
        bot: str | None = None,
    ) -> None:
        super().__init__(target, options, timeout, key, retries, bot)
        self._connection = Connection(lambda: open_channel(self._target, options, credentials))
        self._stubs: WeakKeyDictionary[grpc.Channel, DiscordApiStub] = WeakKeyDictionary()
        self._outboxes: WeakKeyDictionary[grpc.Channel, OutboxStub] = WeakKeyDictionary()

    def close(self) -> None:
        """Closes the connection and ends its calls. The next call opens a new one."""
        self._connection.close()

    def __enter__(self) -> DiscordClient:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _method(self, channel: grpc.Channel, rpc: Rpc[Response]) -> Any:
        """Returns the callable of a method, from a stub of its service.

        A channel keeps its stub, because creating one takes longer than a call.
        A new stub is created when a test replaces DiscordApiStub.
        """
        if rpc.service.name == "Outbox":
            outbox = self._outboxes.get(channel)
            if outbox is None:
                outbox = self._outboxes[channel] = OutboxStub(channel)
            return getattr(outbox, rpc.name)
        stub = self._stubs.get(channel)
        if type(stub) is not DiscordApiStub:
            stub = self._stubs[channel] = DiscordApiStub(channel)
        return getattr(stub, rpc.name)

    def _unary(self, rpc: Rpc[Response], request: ProtobufMessage, timeout: float | None) -> Response:
        rpc.check(request)
        tries = Tries(rpc, request, self._retries, self._timeout_of_call(timeout))
        while True:
            try:
                with self._connection.use() as channel:
                    call = self._method(channel, rpc)
                    return cast(Response, call(request, timeout=tries.timeout(), metadata=self._metadata))
            except Exception as ex:
                error = to_discord_proxy_exception(ex)
                if not isinstance(error, DiscordProxyException):
                    raise
                pause = tries.pause(ex, error)
                if pause is None:
                    raise error from ex
            time.sleep(pause)

    def _stream(
        self,
        rpc: Rpc[Response],
        request: ProtobufMessage,
        timeout: float | None,
        item: Callable[[Response], Item],
    ) -> Generator[Item, None, None]:
        check_timeout(timeout)
        return self._items(rpc, request, finite(timeout), item)

    def _exchange(
        self,
        rpc: Rpc[Response],
        requests: Iterable[ProtobufMessage],
        timeout: float | None,
        item: Callable[[Response], Item],
    ) -> Generator[Item, None, None]:
        check_timeout(timeout)
        return self._items(rpc, iter(requests), finite(timeout), item)

    def _items(
        self,
        rpc: Rpc[Response],
        request: ProtobufMessage | Iterator[ProtobufMessage],
        timeout: float | None,
        item: Callable[[Response], Item],
    ) -> Generator[Item, None, None]:
        with self._connection.use() as channel:
            call = self._method(channel, rpc)(request, timeout=timeout, metadata=self._metadata)
            longest = LONGEST.get(rpc.name)
            try:
                for response in call if longest is None else watched(call, call.cancel, longest):
                    yield item(response)
            except grpc.RpcError as ex:
                raise translate(ex) from ex
            finally:
                call.cancel()


class AsyncDiscordClient(_Settings, AsyncMethods):
    """Calls Discord through the proxy, from coroutines.

    It has the same arguments, methods and exceptions as DiscordClient. Each
    event loop has its own connection, which ``close`` closes. A connection
    does not survive a fork.
    """

    def __init__(
        self,
        target: str | None = None,
        options: Options | None = None,
        timeout: float | None = None,
        *,
        key: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        retries: int = 0,
        bot: str | None = None,
    ) -> None:
        super().__init__(target, options, timeout, key, retries, bot)
        self._connection = AsyncConnection(lambda: open_async_channel(self._target, options, credentials))

    async def close(self) -> None:
        """Closes the connection and ends its calls. The next call opens a new one."""
        await self._connection.close()

    async def __aenter__(self) -> AsyncDiscordClient:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _unary(self, rpc: Rpc[Response], request: ProtobufMessage, timeout: float | None) -> Response:
        rpc.check(request)
        tries = Tries(rpc, request, self._retries, self._timeout_of_call(timeout))
        while True:
            try:
                channel = self._connection.channel()
                call = channel.unary_unary(rpc.path, serialize, rpc.response.FromString)
                return await call(request, timeout=tries.timeout(), metadata=self._metadata)
            except grpc.RpcError as ex:
                error = translate(ex)
                pause = tries.pause(ex, error)
                if pause is None:
                    raise error from ex
            await asyncio.sleep(pause)

    def _stream(
        self,
        rpc: Rpc[Response],
        request: ProtobufMessage,
        timeout: float | None,
        item: Callable[[Response], Item],
    ) -> AsyncGenerator[Item, None]:
        check_timeout(timeout)
        return self._items(rpc, request, finite(timeout), item)

    def _exchange(
        self,
        rpc: Rpc[Response],
        requests: Iterable[ProtobufMessage],
        timeout: float | None,
        item: Callable[[Response], Item],
    ) -> AsyncGenerator[Item, None]:
        check_timeout(timeout)
        return self._items(rpc, iter(requests), finite(timeout), item)

    async def _items(
        self,
        rpc: Rpc[Response],
        request: ProtobufMessage | Iterator[ProtobufMessage],
        timeout: float | None,
        item: Callable[[Response], Item],
    ) -> AsyncGenerator[Item, None]:
        channel = self._connection.channel()
        kind: Any = channel.unary_stream if isinstance(request, ProtobufMessage) else channel.stream_stream
        call = kind(rpc.path, serialize, rpc.response.FromString)(request, timeout=timeout, metadata=self._metadata)
        longest = LONGEST.get(rpc.name)
        try:
            while (response := await asyncio.wait_for(call.read(), longest)) is not grpc.aio.EOF:
                yield item(cast(Response, response))
        except asyncio.TimeoutError as ex:
            raise lost(longest or 0) from ex
        except grpc.RpcError as ex:
            raise translate(ex) from ex
        finally:
            call.cancel()
