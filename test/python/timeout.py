"""Expects that a held call ends with the client's timeout."""

import sys

from discordproxy.client import DiscordClient
from discordproxy.exceptions import DiscordProxyTimeoutError

try:
    DiscordClient(sys.argv[1], timeout=1).create_channel_message(channel_id=int(sys.argv[2]), content="late")
except DiscordProxyTimeoutError:
    print("passed 1")
else:
    raise AssertionError("a timeout was expected")
