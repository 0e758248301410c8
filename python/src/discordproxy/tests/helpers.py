"""Test cases for apps."""

from __future__ import annotations

import socket
from typing import Any, NoReturn
from unittest import TestCase

__all__ = ["NoSocketsTestCase", "SocketAccessError", "TestCase"]


class SocketAccessError(Exception):
    """A test opened a socket where it must not."""


class NoSocketsTestCase(TestCase):
    """A TestCase whose tests fail with a SocketAccessError when they open a socket.

    It stops code that uses Python's module ``socket``. gRPC opens its
    sockets by itself.
    """

    socket_original: type[socket.socket]

    @classmethod
    def setUpClass(cls) -> None:
        cls.socket_original = socket.socket
        socket.socket = cls.guard  # type: ignore[assignment, misc] # pyright: ignore[reportAttributeAccessIssue]
        super().setUpClass()

    @classmethod
    def tearDownClass(cls) -> None:
        socket.socket = cls.socket_original  # type: ignore[misc]
        super().tearDownClass()

    @staticmethod
    def guard(*args: Any, **kwargs: Any) -> NoReturn:
        """Takes the place of socket.socket."""
        raise SocketAccessError("this test must not use the network")
