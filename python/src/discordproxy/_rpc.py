"""Methods of the API, and the retries of calls."""

from __future__ import annotations

import random
import secrets
import time
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message

from . import discord_api_pb2 as pb
from .exceptions import DiscordProxyException
from .helpers import status_of
from .outbox_pb2 import EnqueueRequest

Response = TypeVar("Response", bound=Message)

# Recipients of a message. An ID of 0 is not set, and the proxy refuses it.
_RECIPIENTS = ("channel_id", "user_id")

# Seconds. Longer ones cannot be added to the time of day in all of gRPC.
_LONGEST_TIMEOUT = 1e9


def serialize(request: Message) -> bytes:
    return request.SerializeToString()


def check_timeout(timeout: float | None) -> None:
    """Raises ValueError for a timeout that is negative or not a number."""
    if timeout is not None and not timeout >= 0:
        raise ValueError(f"timeout must not be negative, got {timeout}")


def finite(timeout: float | None) -> float | None:
    """Returns a timeout for gRPC, None for no limit."""
    return timeout if timeout and timeout <= _LONGEST_TIMEOUT else None


@dataclass(frozen=True)
class Rpc(Generic[Response]):
    """A method of the API."""

    name: str
    response: type[Response]
    # Whether a request with only a recipient raises ValueError.
    needs_content: bool = False

    @property
    def service(self) -> ServiceDescriptor:
        # Each protobuf file has one.
        (service,) = self.response.DESCRIPTOR.file.services_by_name.values()
        return cast(ServiceDescriptor, service)

    @property
    def path(self) -> str:
        return f"/{self.service.full_name}/{self.name}"

    @property
    def harmless(self) -> bool:
        """Whether repeating the call has no further effect."""
        level = self.service.methods_by_name[self.name].GetOptions().idempotency_level
        return bool(level != MethodOptions.IDEMPOTENCY_UNKNOWN)

    def check(self, request: Message) -> None:
        """Raises ValueError for a message without any content."""
        if self.needs_content and not any(field.name not in _RECIPIENTS for field, _ in request.ListFields()):
            raise ValueError("nothing to send: pass content, an embed or another part of a message")


class Tries:
    """The attempts of one call: how many are left, and how long they may take.

    A call that failed with UNAVAILABLE is retried only where that is safe: it
    changes nothing, the message has a nonce, the delivery has an ID, or the
    call certainly had no effect.
    """

    # Discord remembers a nonce for a few minutes. A retry must come earlier.
    NONCE_SECONDS = 100.0
    FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
    # The proxy can ask for a longer wait, for example during a ban. Such a call is not retried.
    LONGEST_WAIT = 30.0

    def __init__(self, rpc: Rpc[Response], request: Message, retries: int, timeout: float | None) -> None:
        self._left = retries
        self._pause = self.FIRST_PAUSE
        self._begin = time.monotonic()
        self._timeout = timeout
        self._harmless = rpc.harmless
        self._nonce = False
        if retries > 0 and isinstance(request, (pb.SendChannelMessageRequest, pb.SendDirectMessageRequest)):
            # Without enforcement, two messages can have the same nonce.
            self._nonce = not request.HasField("enforce_nonce") or request.enforce_nonce
            if self._nonce and not request.nonce:
                request.nonce = secrets.token_hex(12)
        if retries > 0 and isinstance(request, EnqueueRequest):
            self._harmless = True
            request.delivery_id = request.delivery_id or secrets.token_hex(12)

    def timeout(self) -> float | None:
        """Returns how long the next attempt may take, in seconds."""
        if self._timeout is None:
            return None
        return max(self._timeout - (time.monotonic() - self._begin), 0)

    def pause(self, ex: Exception, error: DiscordProxyException) -> float | None:
        """Returns how long to wait until the next attempt, or None for no retry."""
        pause = max(self._pause * random.uniform(0.5, 1), error.retry_after or 0)
        at = time.monotonic() - self._begin + pause
        if status_of(ex) is not grpc.StatusCode.UNAVAILABLE or self._left <= 0 or pause > self.LONGEST_WAIT:
            return None
        if self._timeout is not None and at >= self._timeout:
            return None
        if not (self._harmless or not error.outcome_unknown or (self._nonce and at < self.NONCE_SECONDS)):
            return None
        self._left -= 1
        self._pause = min(self._pause * 2, self.LONGEST_PAUSE)
        return pause
