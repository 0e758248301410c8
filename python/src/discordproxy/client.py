"""Clients of a Discord Proxy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator
from types import TracebackType
from typing import TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import Message

from ._async_methods import AsyncMethods
from ._connection import AsyncConnection, Connection, Options, open_async_channel, open_channel
from ._methods import Methods
from ._rpc import Rpc, Tries, serialize
from ._silence import LONGEST, lost, watched
from .exceptions import translate

__all__ = ["AsyncDiscordClient", "DiscordClient"]

Response = TypeVar("Response", bound=Message)
Item = TypeVar("Item")

DEFAULT_TARGET = "localhost:50051"


class _Settings:
    """What both clients are told, read-only."""

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
        if key and not (key.isascii() and key.isprintable()):
            raise ValueError("key must be printable ASCII")
        self._target = target or DEFAULT_TARGET
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
        """Seconds that a call may take. None and 0 are as long as it takes."""
        return self._timeout

    @property
    def retries(self) -> int:
        """How often a call that failed with UNAVAILABLE is made again."""
        return self._retries


class DiscordClient(_Settings, Methods):
    """Calls Discord through a proxy. Threads may share one.

    It connects with the first call and keeps the connection, also over a
    restart of the proxy. Before a fork the connection is closed unless a call
    uses it, and either side opens its own with the next call.

    Args:
        target: Address of the proxy, localhost:50051 unless given.
        options: Channel options of gRPC.
        timeout: Seconds that a call may take, its repetitions included. Not
            given, or 0, a call waits for its turn at Discord however long that
            takes. Streams are not bounded.
        key: Key that the proxy asks for, an empty one is none. Without
            credentials it travels in clear text.
        credentials: For TLS, as grpc.ssl_channel_credentials() makes them.
            Not given, the connection is not encrypted.
        retries: How often a call that failed with UNAVAILABLE is made again
            where that can do no harm: when it changes nothing, when it had no
            effect for sure, or when it sends a message, which gets
            a nonce for that so that Discord makes no second one.

    Raises:
        ValueError: for a value that cannot be, by the constructor and the methods.
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

    def _unary(self, rpc: Rpc[Response], request: Message) -> Response:
        rpc.check(request)
        tries = Tries(rpc, request, self._retries, self._timeout or None)
        while True:
            try:
                with self._connection.use() as channel:
                    call = channel.unary_unary(rpc.path, serialize, rpc.response.FromString)
                    return call(request, timeout=tries.timeout(), metadata=self._metadata)
            except grpc.RpcError as ex:
                error = translate(ex)
                pause = tries.pause(ex, error)
                if pause is None:
                    raise error from ex
            time.sleep(pause)

    def _stream(
        self,
        rpc: Rpc[Response],
        request: Message,
        item: Callable[[Response], Item],
    ) -> Generator[Item, None, None]:
        with self._connection.use() as channel:
            method = channel.unary_stream(rpc.path, serialize, rpc.response.FromString)
            call = method(request, metadata=self._metadata)
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

    async def _unary(self, rpc: Rpc[Response], request: Message) -> Response:
        rpc.check(request)
        tries = Tries(rpc, request, self._retries, self._timeout or None)
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

    async def _stream(
        self,
        rpc: Rpc[Response],
        request: Message,
        item: Callable[[Response], Item],
    ) -> AsyncGenerator[Item, None]:
        method = self._connection.channel().unary_stream(rpc.path, serialize, rpc.response.FromString)
        call = method(request, metadata=self._metadata)
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
