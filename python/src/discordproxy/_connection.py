"""Opens, shares and closes channels."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from . import __version__
from ._target import is_local

Options = Sequence[tuple[str, Any]]

# The proxy is usually back within a second after an update. gRPC's own longest
# pause until it tries to connect again is two minutes.
_RECONNECT: Options = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000))
# So a call notices that its connection died without a word. By default servers
# of gRPC cut a client whose pings come less than five minutes apart.
_KEEPALIVE: Options = (
    ("grpc.keepalive_time_ms", 330_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 20_000),  # what newer versions of gRPC go by
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.http2.max_pings_without_data", 0),  # a call that waits sends none, however long
)
# The largest answers are events of large guilds and long lists. gRPC refuses
# more than 4 MiB by default, with the status that a client also gets for reading
# events too slowly.
_LIMITS: Options = (("grpc.max_receive_message_length", 64 << 20),)
# Channels of one address share their connection. One that is opened after a
# fork must not get the connection of one that was just closed. Of options
# with one name gRPC takes the first, so those of the caller come before these.
# By the user agent the server sees that this package defines all types of
# channels. See the flag --compat-enums.
_OPTIONS: Options = (
    *_RECONNECT,
    *_KEEPALIVE,
    *_LIMITS,
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.primary_user_agent", f"discordproxy/{__version__}"),
)

# Where Linux names the threads of the process, and how those of gRPC begin.
_THREADS = Path("/proc/self/task")
_OF_GRPC = ("event_engine", "grpc_", "lifeguard")


# The variable http_proxy is meant for other machines: a proxy there would look
# for the target on its own machine.
_DIRECT: Options = (("grpc.enable_http_proxy", 0),)


def _complete(target: str, options: Options | None) -> Options:
    return [*(options or ()), *_OPTIONS, *(_DIRECT if is_local(target) else ())]


def open_channel(target: str, options: Options | None, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
    options = _complete(target, options)
    if credentials is None:
        return grpc.insecure_channel(target, options)
    return grpc.secure_channel(target, credentials, options)


def open_async_channel(
    target: str, options: Options | None, credentials: grpc.ChannelCredentials | None
) -> grpc.aio.Channel:
    options = _complete(target, options)
    if credentials is None:
        return grpc.aio.insecure_channel(target, options)
    return grpc.aio.secure_channel(target, credentials, options)


def _await_end_of_threads() -> None:
    """Waits until gRPC has ended, which it does soon after its last channel was closed.

    A fork before that would leave the child with a gRPC whose threads are gone.
    Where there are further channels, of others or with a call in progress, they
    do not end.
    """
    end = time.monotonic() + 0.5
    while time.monotonic() < end and any(name.startswith(_OF_GRPC) for name in _names_of_threads()):
        time.sleep(0.001)


def _names_of_threads() -> Generator[str, None, None]:
    for name in _THREADS.glob("*/comm"):
        with suppress(OSError):  # it has ended
            yield name.read_text()


class Connection:
    """A channel that is opened with the first call and shared by threads.

    gRPC does not survive a fork: in the child, and sometimes in the parent,
    its calls hang. Therefore a channel without a call in progress is closed
    before the fork, and the fork waits until its threads have ended. The next
    call in each process opens a new channel. A channel with a call in progress
    stays with the parent, and the child never touches it.
    """

    # Guards the fields of all connections, so that a fork can wait for it.
    _lock = threading.Lock()
    _all: weakref.WeakSet[Connection] = weakref.WeakSet()
    # Channels of the parent process. They are kept forever, because closing
    # them can hang, and garbage collection closes them.
    _of_parents: list[grpc.Channel] = []

    def __init__(self, open_channel: Callable[[], grpc.Channel]) -> None:
        self._open = open_channel
        self._channel: grpc.Channel | None = None
        self._calls = 0  # in progress on _channel
        with self._lock:
            self._all.add(self)

    @contextmanager
    def use(self) -> Generator[grpc.Channel, None, None]:
        """Lends the channel for one call."""
        with self._lock:
            if self._channel is None:
                self._channel = self._open()
                self._calls = 0
            channel = self._channel
            self._calls += 1
        try:
            yield channel
        finally:
            with self._lock:
                if self._channel is channel:
                    self._calls -= 1

    def close(self) -> None:
        """Ends the calls in progress. The next call opens a new channel."""
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    @classmethod
    def before_fork(cls) -> None:
        cls._lock.acquire()
        closed = False
        for connection in cls._all:
            if connection._channel is not None and connection._calls == 0:
                connection._channel.close()
                connection._channel = None
                closed = True
        if closed:
            _await_end_of_threads()

    @classmethod
    def after_fork_in_parent(cls) -> None:
        cls._lock.release()

    @classmethod
    def after_fork_in_child(cls) -> None:
        for connection in cls._all:
            if connection._channel is not None:
                cls._of_parents.append(connection._channel)
                connection._channel = None
        cls._lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=Connection.before_fork,
        after_in_parent=Connection.after_fork_in_parent,
        after_in_child=Connection.after_fork_in_child,
    )


class AsyncConnection:
    """A channel for each event loop that makes calls."""

    def __init__(self, open_channel: Callable[[], grpc.aio.Channel]) -> None:
        self._open = open_channel
        self._lock = threading.Lock()  # guards the fields below
        self._channels: dict[asyncio.AbstractEventLoop, grpc.aio.Channel] = {}

    def channel(self) -> grpc.aio.Channel:
        loop = asyncio.get_running_loop()
        with self._lock:
            for ended in [other for other in self._channels if other.is_closed()]:
                del self._channels[ended]
            if loop not in self._channels:
                self._channels[loop] = self._open()
            return self._channels[loop]

    async def close(self) -> None:
        """Ends the calls of the running loop. The next call opens a new channel."""
        with self._lock:
            channel = self._channels.pop(asyncio.get_running_loop(), None)
        if channel is not None:
            await channel.close()
