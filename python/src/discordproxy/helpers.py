"""Helpers for code that uses the generated stubs directly."""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import grpc
from grpc.aio import Metadata

# Apps import all of these from here, as they could from discordproxy 1.x.
__all__ = ["GrpcErrorDetails", "namedtuple", "parse_error_details"]


class GrpcErrorDetails(NamedTuple):
    """What a gRPC error says of Discord's answer.

    ``type`` is ``"HTTPException"`` for an error of Discord. For any other it
    is ``"Other"``, only ``text`` is set, and is the error's own.
    """

    type: str
    status: int | None
    code: int | None
    text: str


def parse_error_details(grpc_error: grpc.RpcError) -> GrpcErrorDetails:
    """Reads the JSON document that the details of Discord's errors are."""
    text = details_of(grpc_error)
    try:
        parsed: object = json.loads(text)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        return GrpcErrorDetails("Other", None, None, text)
    document = cast(dict[str, Any], parsed)
    return GrpcErrorDetails(
        document.get("type", "Other"),
        document.get("status"),
        document.get("code"),
        document.get("text", ""),
    )


def status_of(grpc_error: Exception) -> grpc.StatusCode:
    """Returns the status of an error. The errors of calls are calls themselves."""
    return cast(grpc.Call, grpc_error).code()


def details_of(grpc_error: grpc.RpcError) -> str:
    """Returns the text of a status, "" when there is none."""
    return cast(grpc.Call, grpc_error).details() or ""


def trailing_metadata_of(grpc_error: grpc.RpcError) -> Iterable[tuple[str, str | bytes]]:
    """Returns what came after the answer, nothing when the error is none of a call."""
    trailing_metadata: object = getattr(grpc_error, "trailing_metadata", None)
    metadata: object = trailing_metadata() if callable(trailing_metadata) else None
    # In the tests of apps an error can be a mock, and this is anything.
    return cast("Iterable[tuple[str, str | bytes]]", metadata) if isinstance(metadata, (tuple, list, Metadata)) else ()
