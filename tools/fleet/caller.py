"""Sends messages with the Python package until standard input ends, and prints what became of each."""

import random
import sys
import threading
import time

from discordproxy.client import DiscordClient
from discordproxy.exceptions import DiscordProxyException

name, bot, channel, *addresses = sys.argv[1:]
clients = [DiscordClient(address, timeout=60, retries=10, bot=bot or None) for address in addresses]
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()

n = 0
while not ended.is_set():
    text = f"{name}, {n}"
    try:
        random.choice(clients).create_channel_message(channel_id=int(channel), content=text)
        outcome = "sent"
    except DiscordProxyException as error:
        outcome = "unknown" if error.outcome_unknown else "refused"
    print(outcome, text, flush=True)
    n += 1
    time.sleep(random.uniform(0.05, 0.35))
