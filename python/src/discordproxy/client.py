"""Clients of a Discord Proxy."""

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
    ) -> None:
        if retries < 0:
            raise ValueError(f"retries is {retries}, and must not be negative")
        check_timeout(timeout)
        if key and not (key.isascii() and key.isprintable()):
            raise ValueError("key must be printable ASCII")
        self._target = str(target) if target else DEFAULT_TARGET
        self._options = options
        self._timeout = timeout
        self._retries = retries
        self._metadata = (("authorization", f"Bearer {key}"),) if key else ()

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
        """Seconds that a call may take. None and 0 mean no limit."""
        return self._timeout

    @property
    def retries(self) -> int:
        """How often a call that failed with UNAVAILABLE is made again."""
        return self._retries

    def _timeout_of_call(self, timeout: float | None) -> float | None:
        """Returns the limit of a call in seconds, given its own argument."""
        check_timeout(timeout)
        return finite(self._timeout if timeout is None else timeout)


class DiscordClient(_Settings, Methods):
    """Calls Discord through a proxy. Threads may share one.

    It connects with the first call and keeps the connection, also over a
    restart of the proxy. Before a fork the connection is closed unless a call
    uses it, and either side opens its own with the next call.

    Args:
        target: Address of the proxy. Default: localhost:50051.
        options: Channel options of gRPC. Connections to a loopback address
            ignore the variable http_proxy, unless ("grpc.enable_http_proxy", 1)
            is among the options.
        timeout: Seconds that a call may take, its repetitions included. None
            and 0 mean no limit: a call then waits for its turn at Discord
            however long that takes. Streams have no limit. The argument
            ``timeout`` of a method takes precedence for that call, and also
            limits a stream.
        key: Key that the proxy asks for, an empty one is none. Without
            credentials it travels in clear text.
        credentials: For TLS, as grpc.ssl_channel_credentials() makes them.
            Not given, the connection is not encrypted.
        retries: How often a call that failed with UNAVAILABLE is made again
            where that can do no harm: when it changes nothing, when it had no
            effect for sure, or when it sends a message, which gets
            a nonce for that so that Discord makes no second one, or enqueues a
            call, which gets a delivery_id.

    Raises:
        ValueError: by the constructor and the methods, for a value that cannot
            be, such as a negative timeout.
        DiscordProxyHttpError: by the methods, when Discord refuses a call.
        DiscordProxyTimeoutError: by the methods, when a call takes too long.
        DiscordProxyUnavailableError: by the methods, when the proxy or Discord
            cannot be reached, or the connection is lost.
        DiscordProxyGrpcError: by the methods, for what else goes wrong.
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
    ) -> None:
        super().__init__(target, options, timeout, key, retries)
        self._connection = Connection(lambda: open_channel(self._target, options, credentials))
        self._stubs: WeakKeyDictionary[grpc.Channel, DiscordApiStub] = WeakKeyDictionary()
        self._outboxes: WeakKeyDictionary[grpc.Channel, OutboxStub] = WeakKeyDictionary()

    def close(self) -> None:
        """Closes the connection and ends its calls. A further call opens another."""
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
        """Returns what calls a method over a channel, from a stub of its service.

        A stub is made once for a channel, because that takes longer than a call
        itself takes gRPC, and made again when a test replaces DiscordApiStub.
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
    """Calls Discord through a proxy, from coroutines.

    As DiscordClient, with the same arguments, methods and exceptions. Each
    event loop has a connection of its own, which ``close`` closes. It does not
    outlive a fork.
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
    ) -> None:
        super().__init__(target, options, timeout, key, retries)
        self._connection = AsyncConnection(lambda: open_async_channel(self._target, options, credentials))

    async def close(self) -> None:
        """Closes the connection and ends its calls. A further call opens another."""
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
