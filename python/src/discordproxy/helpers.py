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
    """Discord's response, as a gRPC error reports it.

    ``type`` is ``"HTTPException"`` if Discord refused the call. For any other
    error it is ``"Other"``, and only ``text`` is set, to the error's details.
    """

    type: str
    status: int | None
    code: int | None
    text: str


def parse_error_details(grpc_error: grpc.RpcError) -> GrpcErrorDetails:
    """Parses the details of an error, which are a JSON document if Discord refused the call."""
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
    """Returns the status of an error. gRPC's errors are also calls."""
    return cast(grpc.Call, grpc_error).code()


def details_of(grpc_error: grpc.RpcError) -> str:
    """Returns the details of an error, or "" if there are none."""
    return cast(grpc.Call, grpc_error).details() or ""


def trailing_metadata_of(grpc_error: grpc.RpcError) -> Iterable[tuple[str, str | bytes]]:
    """Returns the trailing metadata, or nothing if the error has none."""
    trailing_metadata: object = getattr(grpc_error, "trailing_metadata", None)
    metadata: object = trailing_metadata() if callable(trailing_metadata) else None
    # In the tests of apps, an error can be a mock, and this can be anything.
    return cast("Iterable[tuple[str, str | bytes]]", metadata) if isinstance(metadata, (tuple, list, Metadata)) else ()
