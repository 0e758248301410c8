"""Creates channels and errors for the tests of apps."""

from __future__ import annotations

import itertools
import json
from collections.abc import Generator
from typing import Any

import grpc

from discordproxy.discord_api_pb2 import Channel

__all__ = ["Channel", "create_discordproxy_channel", "create_rpc_error", "id_generator", "unique_ids"]

_UNKNOWN_USER = {"type": "HTTPException", "status": 404, "code": 50001, "text": "User not found"}


def id_generator() -> Generator[int, None, None]:
    """Yields 1, 2, 3 and so on."""
    yield from itertools.count(1)


unique_ids = id_generator()


def create_discordproxy_channel(**kwargs: Any) -> Channel:
    """Returns a channel with these fields. By default, it is a text channel with a unique ID."""
    if "id" not in kwargs:
        kwargs["id"] = next(unique_ids)
    kwargs.setdefault("type", Channel.Type.GUILD_TEXT)
    return Channel(**kwargs)


def create_rpc_error(**kwargs: Any) -> grpc.RpcError:
    """Returns an error like those that gRPC raises.

    Args:
        code: Status. Default: grpc.StatusCode.NOT_FOUND.
        details: Details of the status. Default: the JSON document for a
            response of Discord with status 404 and code 50001.
    """
    return _MadeUpError(
        kwargs.get("code", grpc.StatusCode.NOT_FOUND),
        kwargs.get("details", json.dumps(_UNKNOWN_USER)),
    )


class _MadeUpError(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__()
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details
