"""Exceptions that calls raise."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import grpc
from google.protobuf.message import DecodeError

from . import discord_api_pb2 as pb
from ._status_pb2 import Status
from .helpers import details_of, parse_error_details, status_of, trailing_metadata_of


# Apps import all of these from here, as they could from discordproxy 1.x.
__all__ = [
    "DiscordProxyException",
    "DiscordProxyGrpcError",
    "DiscordProxyHttpError",
    "DiscordProxyTimeoutError",
    "DiscordProxyUnavailableError",
    "FieldError",
    "GrpcStatusCode",
    "parse_error_details",
    "to_discord_proxy_exception",
]

GrpcStatusCode = grpc.StatusCode


class FieldError(NamedTuple):
    """An error in one field of a form that Discord refused."""

    field: str
    """Path of the field, such as ``embeds.0.description``."""
    code: str
    """Name of the rule, such as ``BASE_TYPE_MAX_LENGTH``."""
    message: str
    """The error as text."""


class DiscordProxyException(Exception):
    """A call failed.

    The attributes contain the details, and are pickled with the exception.
    """

    errors: tuple[FieldError, ...] = ()
    """Errors of an invalid form, one for each broken rule."""
    retry_after: float | None = None
    """Seconds to wait until the call can succeed, None if unknown."""
    outcome_unknown: bool = False
    """Whether the call may have taken effect."""

    def __reduce__(self) -> tuple[Any, ...]:
        # By default, pickle calls the constructor with args, which are fewer
        # than the constructors of the subclasses need.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[DiscordProxyException], args: tuple[Any, ...], state: dict[str, Any]) -> DiscordProxyException:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class DiscordProxyHttpError(DiscordProxyException):
    """Discord refused the call."""

    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(text)
        self._status = status
        self._code = code
        self._text = text

    @property
    def status(self) -> int:
        """HTTP status of Discord's response."""
        return self._status

    @property
    def code(self) -> int:
        """Discord's error code, 0 if there is none."""
        return self._code

    @property
    def text(self) -> str:
        """Discord's text. For an invalid form, a line for each broken rule follows."""
        return self._text

    def __str__(self) -> str:
        return (
            f"HTTP error from the Discord API. HTTP status code: {self._status} - "
            f"JSON error code: {self._code} - Error message: {self._text}"
        )


class DiscordProxyGrpcError(DiscordProxyException):
    """The call failed between the client and the proxy, or in the proxy."""

    def __init__(self, status: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self._status = status
        self._details = details

    @property
    def status(self) -> grpc.StatusCode:
        """gRPC status."""
        return self._status

    @property
    def details(self) -> str:
        """Text of the status."""
        return self._details

    def __str__(self) -> str:
        # In the tests of apps, the status may be anything.
        name = getattr(self._status, "name", self._status)
        return f"gRPC error. Status code: {name} - Error message: {self._details}"


class DiscordProxyTimeoutError(DiscordProxyGrpcError):
    """The call did not end within its timeout, or its turn comes after it."""


class DiscordProxyUnavailableError(DiscordProxyGrpcError):
    """The proxy or Discord cannot be reached, the connection was lost, or the proxy is shutting down."""


def to_discord_proxy_exception(ex: Exception) -> Exception:
    """Converts a gRPC error. Returns other exceptions unchanged.

    An exception with the methods ``code`` and ``details`` counts as a gRPC
    error. Apps create such exceptions in their tests.
    """
    if not (callable(getattr(ex, "code", None)) and callable(getattr(ex, "details", None))):
        return ex
    return translate(cast(grpc.RpcError, ex))


def translate(ex: grpc.RpcError) -> DiscordProxyException:
    """Converts a gRPC error."""
    status = status_of(ex)
    document = parse_error_details(ex)
    error: DiscordProxyException
    if document.type == "HTTPException":
        error = DiscordProxyHttpError(document.status, document.code, document.text)  # type: ignore[arg-type] # as the server says it
    elif status is grpc.StatusCode.DEADLINE_EXCEEDED:
        error = DiscordProxyTimeoutError(status, details_of(ex))
    elif status is grpc.StatusCode.UNAVAILABLE:
        error = DiscordProxyUnavailableError(status, details_of(ex))
    else:
        error = DiscordProxyGrpcError(status, details_of(ex))
    detail = _typed_detail(ex)
    if detail is None:
        error.outcome_unknown = isinstance(error, DiscordProxyGrpcError) and _lost(error)
    else:
        error.errors = tuple(FieldError(e.field, e.code, e.message) for e in detail.errors)
        error.outcome_unknown = detail.outcome_unknown
        if detail.HasField("retry_after"):
            error.retry_after = detail.retry_after.ToTimedelta().total_seconds()
    return error


_UNCERTAIN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
    }
)

# How the details of a call that found no connection begin, in the various
# versions of gRPC. Any other text counts as uncertain.
_UNCONNECTED = ("failed to connect to all addresses", "DNS resolution failed", "errors resolving")


def _lost(error: DiscordProxyGrpcError) -> bool:
    """Returns whether the call may have taken effect, for a status without details from the proxy."""
    return error.status in _UNCERTAIN and not error.details.startswith(_UNCONNECTED)


def _typed_detail(ex: grpc.RpcError) -> pb.DiscordError | None:
    for key, value in trailing_metadata_of(ex):
        if key != "grpc-status-details-bin" or not isinstance(value, bytes):
            continue
        try:
            for detail in Status.FromString(value).details:
                if detail.Is(pb.DiscordError.DESCRIPTOR):
                    return pb.DiscordError.FromString(detail.value)
        except DecodeError:
            pass
    return None
