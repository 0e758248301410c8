"""Calls to this machine go past the proxies of http_proxy."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from conftest import GUILD, Proxy
from discordproxy._target import is_local  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    "target",
    [
        "localhost:50051", "LocalHost:50051", "localhost.:50051", "localhost", "proxy.localhost:50051",
        "127.0.0.1:50051", "127.9.8.7:1", "127.0.0.1", "0.0.0.0:50051", "ip6-localhost:1",
        "[::1]:50051", "[0:0:0:0:0:0:0:1]:50051", "[::]:50051", "::1", "[::ffff:127.0.0.1]:1", "[::1]",
        "dns:localhost:50051", "dns:///localhost:50051", "dns://8.8.8.8/localhost:50051", "DNS:///LOCALHOST:1",
        "ipv4:127.0.0.1:50051", "ipv4:///127.0.0.1:50051", "ipv4:127.0.0.1:1,127.0.0.2:1", "ipv6:[::1]:50051",
        "ipv6:%5B::1%5D:50051", "ipv6:///[::1]:1", "dns:///%5B::1%5D:1",
        "unix:/run/discordproxy.sock", "unix:discordproxy.sock", "unix:///run/discordproxy.sock", "unix-abstract:name",
    ],
)  # fmt: skip
def test_this_machine(target: str) -> None:
    assert is_local(target)


@pytest.mark.parametrize(
    "target",
    [
        "discordproxy:50051", "discord.example.com:50051", "localhost.example.com:50051", "mylocalhost:1",
        "127.example.com:1", "10.0.0.1:50051", "128.0.0.1:1", "[2001:db8::1]:50051", "[::ffff:10.0.0.1]:1",
        "dns:///proxy:50051", "dns://127.0.0.1/proxy:50051", "dns://localhost/proxy:1", "ipv4:10.0.0.1:1",
        "ipv4:127.0.0.1:1,10.0.0.1:1", "unix.example.com:50051", "", "dns:", "[", "host:::1",
    ],
)  # fmt: skip
def test_other_machines(target: str) -> None:
    assert not is_local(target)


CALL = """
import asyncio, sys
from discordproxy.client import AsyncDiscordClient, DiscordClient
from discordproxy.exceptions import DiscordProxyUnavailableError, DiscordProxyTimeoutError

target, guild, options = sys.argv[1], int(sys.argv[2]), [("grpc.enable_http_proxy", int(o)) for o in sys.argv[3:]]

async def call():
    async with AsyncDiscordClient(target, options, 5) as client:
        return (await client.get_guild(guild)).id

for made in (lambda: DiscordClient(target, options, 5).get_guild(guild).id, lambda: asyncio.run(call())):
    try:
        print(made())
    except (DiscordProxyUnavailableError, DiscordProxyTimeoutError) as ex:
        print("failed")
"""


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "dns:///localhost"])
def test_proxies_are_ignored_on_this_machine(proxy: Proxy, variable: str, host: str) -> None:
    target = f"{host}:{proxy.address.rpartition(':')[2]}"
    with socket.create_server(("127.0.0.1", 0)) as web_proxy:
        assert call(variable, web_proxy, target) == ([str(GUILD)] * 2, [])
        # The caller's options take precedence.
        printed, asked = call(variable, web_proxy, target, "1")
        assert printed == ["failed"] * 2
        assert set(asked) == {f"CONNECT {target.removeprefix('dns:///')} HTTP/1.1"}


def test_proxies_are_used_for_other_machines() -> None:
    with socket.create_server(("127.0.0.1", 0)) as web_proxy:
        printed, asked = call("http_proxy", web_proxy, "discordproxy.invalid:50051")
        assert printed == ["failed"] * 2
        assert set(asked) == {"CONNECT discordproxy.invalid:50051 HTTP/1.1"}


def call(variable: str, web_proxy: socket.socket, target: str, *options: str) -> tuple[list[str], list[str]]:
    """Makes two calls with a web proxy in the environment that refuses.

    Returns what came of them, and the first line of each request to the web proxy.
    """
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment |= {variable: f"http://127.0.0.1:{web_proxy.getsockname()[1]}", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", CALL, target, str(GUILD), *options]
    asked: list[str] = []
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        web_proxy.settimeout(0.1)
        while process.poll() is None:
            try:
                connection, _ = web_proxy.accept()
            except TimeoutError:
                continue
            with connection, connection.makefile() as lines:
                asked.append(lines.readline().strip())
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
        assert process.stdout is not None
        printed = process.stdout.read().split()
    assert process.returncode == 0
    return printed, asked
