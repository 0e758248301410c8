"""The command discordproxymessage."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .client import DiscordClient
from .exceptions import DiscordProxyException


def main(arguments: Sequence[str] | None = None) -> None:
    """Sends a message. Exits with 1 when that fails, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(
        prog="discordproxymessage",
        description="Sends a message through a running Discord Proxy.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("type", choices=("direct", "channel"), help="to a user or to a channel")
    parser.add_argument("recipient_id", type=int, help="id of the user or channel")
    parser.add_argument("content", help="text of the message")
    parser.add_argument("--host", default="127.0.0.1", help="address of the proxy")
    parser.add_argument("--port", type=int, default=50051, help="port of the proxy")
    args = parser.parse_args(arguments)

    with DiscordClient(f"{args.host}:{args.port}") as client:
        send = client.create_direct_message if args.type == "direct" else client.create_channel_message
        try:
            send(args.recipient_id, args.content)
        except (DiscordProxyException, ValueError) as ex:
            sys.exit(f"ERROR: {ex}")
    print("Message sent")
