"""The real server with its sandbox, for the tests."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from discordproxy import discord_api_pb2 as pb
from discordproxy.client import DiscordClient
from discordproxy.exceptions import DiscordProxyUnavailableError

ROOT = Path(__file__).parents[2]

# IDs of the sandbox.
GENERAL, FORBIDDEN, GUILD = 1100000000000000010, 1100000000000000014, 1100000000000000100
ALICE, REFUSES = 1100000000000000004, 1100000000000000006
BOT = 1100000000000000001


class Proxy:
    """A running server."""

    def __init__(self, binary: str, folder: Path, *flags: str) -> None:
        self._process = subprocess.Popen(
            [binary, "--sandbox", "--port", "0", "--global-rate-limit", "0", "--log-file-path", str(folder), *flags],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address = self._printed(r"listens on (\S+)")
        self.discord = self._printed(r"Discord, is at (http://\S+)/api\b")
        self.control("DELETE", "limits")

    def _printed(self, pattern: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.search(pattern, line):
                return found[1]
        raise AssertionError(f"the server ended with {self._process.wait()}")

    def await_gateway(self) -> None:
        """Waits until the server is connected to the gateway: what happens before is no event."""
        end = time.monotonic() + 60
        while True:
            try:
                return self._await_connected(end - time.monotonic())
            except DiscordProxyUnavailableError:  # the token has not been checked yet
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def _await_connected(self, timeout: float) -> None:
        connected = pb.Event.GatewayState.CONNECTED
        with DiscordClient(self.address) as client, closing(client.subscribe_events(after=pb.EventPosition(), timeout=timeout)) as stream:
            for response in stream:
                if any(event.gateway_state.state == connected for event in response.events):
                    return

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate()

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Controls the sandbox."""
        request = urllib.request.Request(f"{self.discord}/sandbox/{path}", method=method, data=json.dumps(body or {}).encode())
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read() or "null")

    def contents(self, channel: int = GENERAL) -> list[str]:
        """Returns the texts of the messages of a channel."""
        return [message["content"] for message in self.control("GET", f"channels/{channel}/messages") or ()]


@pytest.fixture(scope="session")
def binary(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The server's binary: that of DISCORDPROXY_TEST_SERVER, or a new one."""
    if given := os.environ.get("DISCORDPROXY_TEST_SERVER"):
        return given
    path = tmp_path_factory.mktemp("bin") / "discordproxyserver"
    subprocess.run(["go", "build", "-o", path, "./cli/discordproxyserver"], cwd=ROOT, check=True)
    return str(path)


@pytest.fixture(scope="session")
def running(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    proxy = Proxy(binary, tmp_path_factory.mktemp("log"))
    yield proxy
    proxy.stop()


@pytest.fixture
def proxy(running: Proxy) -> Proxy:
    """A running server whose sandbox is reset."""
    running.control("POST", "reset")
    running.control("DELETE", "limits")
    return running


@pytest.fixture
def limited(binary: str, tmp_path: Path) -> Iterator[Proxy]:
    """A server of the test's own, because it remembers limits, and is connected to the gateway.

    The 51st message of an hour to a channel waits.
    """
    proxy = Proxy(binary, tmp_path)
    proxy.await_gateway()
    limit = {"name": "n", "routes": ["POST /channels/{channel_id}/messages"], "limit": 50, "window": 3600}
    proxy.control("PUT", "limits", limit)
    yield proxy
    proxy.stop()
