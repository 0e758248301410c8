"""The command discordproxymessage."""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import grpc

from .client import DiscordClient
from .exceptions import DiscordProxyException


def main(arguments: Sequence[str] | None = None) -> None:
    """Sends a message, or runs the command of the server's release.

    This command has `direct` and `channel` only. For other subcommands, the process
    becomes the command of the same name that comes with the server. The exit code is
    1 if sending fails, and 2 for wrong arguments.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if (command := _command_of_release(given)) is not None:
        release = _release_command()
        if release is None:
            print(
                f"ERROR: the Python package's discordproxymessage has only direct and channel;"
                f" to use {command}, install the server's discordproxymessage in a folder of PATH",
                file=sys.stderr,
            )
            sys.exit(2)
        os.execv(release, [release, *given])
    parser = argparse.ArgumentParser(
        prog="discordproxymessage",
        description="Sends a message through a running Discord Proxy.",
    )
    parser.add_argument("type", choices=("direct", "channel"), help="recipient: a user (direct) or a channel")
    parser.add_argument("recipient_id", type=int, help="ID of the user or channel")
    parser.add_argument("content", help="text of the message")
    parser.add_argument(
        "--host",
        default=os.environ.get("DISCORDPROXY_HOST") or "127.0.0.1",
        help="address of the proxy; or set DISCORDPROXY_HOST (default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=os.environ.get("DISCORDPROXY_PORT") or 50051,
        help="port of the proxy; or set DISCORDPROXY_PORT (default: %(default)s)",
    )
    parser.add_argument(
        "--key-file",
        metavar="FILE",
        default=os.environ.get("DISCORDPROXY_KEY_FILE"),
        help="file with the key for the proxy; or set DISCORDPROXY_KEY to the key",
    )
    parser.add_argument(
        "--bot",
        metavar="NAME",
        default=os.environ.get("DISCORDPROXY_BOT"),
        help="bot that the calls are for; or set DISCORDPROXY_BOT (default: none is named)",
    )
    parser.add_argument("--tls", action="store_true", help="use TLS")
    parser.add_argument(
        "--tls-ca",
        metavar="FILE",
        default=os.environ.get("DISCORDPROXY_TLS_CA"),
        help="use TLS, and trust the CA certificates in this file",
    )
    args = parser.parse_args(arguments)

    try:
        key = os.environ.get("DISCORDPROXY_KEY") or (Path(args.key_file).read_text().strip() if args.key_file else None)
        roots = Path(args.tls_ca).read_bytes() if args.tls_ca else None
        credentials = grpc.ssl_channel_credentials(roots) if args.tls or roots else None
        with DiscordClient(_target(args.host, args.port), key=key, credentials=credentials, bot=args.bot) as client:
            send = client.create_direct_message if args.type == "direct" else client.create_channel_message
            send(args.recipient_id, args.content)
    except (DiscordProxyException, OSError, ValueError) as ex:
        sys.exit(f"ERROR: {ex}")
    print("Message sent")


_OWN_OPTIONS_WITH_VALUES = ("--host", "--port", "--key-file", "--bot", "--tls-ca")
_OWN_SWITCHES = ("--tls", "-h", "--help")


def _command_of_release(arguments: Sequence[str]) -> str | None:
    """Returns the subcommand in the arguments, or None for direct and channel."""
    rest = iter(arguments)
    for argument in rest:
        if argument in _OWN_OPTIONS_WITH_VALUES:
            next(rest, None)
        elif argument in _OWN_SWITCHES or argument.startswith("-"):
            continue
        else:
            return None if argument in ("direct", "channel") else argument
    return None


def _release_command() -> str | None:
    """Returns the path of the server's command, which is the first in PATH that is not a script."""
    for folder in os.get_exec_path():
        path = Path(folder) / "discordproxymessage"
        try:
            if os.access(path, os.X_OK) and path.is_file():
                with path.open("rb") as file:
                    if file.read(2) != b"#!":
                        return str(path)
        except OSError:
            continue
    return None


def _target(host: str, port: int) -> str:
    """Returns the address of the proxy. In the proxy's container, host is the address it listens on."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return f"{host}:{port}"
    if ip.is_unspecified:
        ip = ipaddress.ip_address("127.0.0.1" if ip.version == 4 else "::1")
    return f"{ip}:{port}" if ip.version == 4 else f"[{ip}]:{port}"
