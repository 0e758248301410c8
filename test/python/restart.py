"""Makes calls from four threads until stdin ends, over restarts of the server.

The first argument is the address of the server, the second a user's id. Each line of
stdout is a call that was answered; the exit code is 1 if one failed.
"""

import sys
import threading

from discordproxy.client import DiscordClient

target, user_id = sys.argv[1], int(sys.argv[2])
client = DiscordClient(target, timeout=60, retries=30)
stop = threading.Event()
failed = []


def call():
    while not stop.is_set():
        try:
            client.get_user(user_id)
        except Exception as ex:
            failed.append(ex)
            return
        sys.stdout.write("answered\n")
        sys.stdout.flush()
        stop.wait(0.002)


threads = [threading.Thread(target=call) for _ in range(4)]
for thread in threads:
    thread.start()
sys.stdin.read()
stop.set()
for thread in threads:
    thread.join()
for ex in failed:
    print(repr(ex), file=sys.stderr)
sys.exit(bool(failed))
