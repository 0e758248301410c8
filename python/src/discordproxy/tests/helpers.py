"""Test cases for apps."""

from __future__ import annotations

import socket
from typing import Any, NoReturn
from unittest import TestCase

__all__ = ["NoSocketsTestCase", "SocketAccessError", "TestCase"]


class SocketAccessError(Exception):
    """A test opened a socket although it must not."""


class NoSocketsTestCase(TestCase):
    """A TestCase whose tests fail with SocketAccessError if they open a socket.

    It affects code that uses Python's module ``socket``, but not gRPC, which
    opens its sockets without it.
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
        """Replaces socket.socket."""
        raise SocketAccessError("this test must not use the network")
