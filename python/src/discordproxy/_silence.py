"""Detects streams whose connection was lost, by their silence.

gRPC limits the duration of a whole stream, but not the wait for its next message.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

import grpc

from .exceptions import DiscordProxyUnavailableError

Response = TypeVar("Response")

# Seconds without a message after which a stream counts as lost, by method. The
# proxy sends a HEARTBEAT after 15 seconds without another event.
LONGEST = {"SubscribeEvents": 45.0}


def lost(longest: float) -> DiscordProxyUnavailableError:
    """Returns the exception for a stream that was silent for this many seconds."""
    error = DiscordProxyUnavailableError(
        grpc.StatusCode.UNAVAILABLE, f"connection lost: received no event and no heartbeat for {longest:g} seconds"
    )
    error.outcome_unknown = True  # as for any connection that is lost
    return error


def watched(
    messages: Iterator[Response], cancel: Callable[[], object], longest: float
) -> Generator[Response, None, None]:
    """Yields the messages of a call, and cancels the call if one takes too long to arrive.

    The time that the caller spends on a message does not count.
    """
    watch = _Watch(cancel, longest)
    try:
        while True:
            watch.until = time.monotonic() + longest
            message = next(messages, None)
            watch.until = math.inf
            if message is None:
                return
            yield message
    except grpc.RpcError as ex:
        if watch.expired:
            raise lost(longest) from ex
        raise
    finally:
        watch.ended.set()


class _Watch:
    """A thread that cancels a call at a time that may be put off."""

    def __init__(self, cancel: Callable[[], object], longest: float) -> None:
        self.until = math.inf
        self.expired = False
        self.ended = threading.Event()
        self._cancel = cancel
        self._longest = longest
        threading.Thread(target=self._run, name="discordproxy silence", daemon=True).start()

    def _run(self) -> None:
        wait = self._longest
        while not self.ended.wait(wait):
            left = self.until - time.monotonic()
            if left <= 0:
                self.expired = True
                self._cancel()
                return
            wait = min(left, self._longest)
