"""What the programs of all Python libraries share: the configuration, the
control of the sandbox, and events that a step waits for.
"""

import asyncio
import contextlib
import json
import os
import sys
import traceback
import urllib.request

CONFIG = json.loads(os.environ["LIBRARY"])
GENERAL, QUIET, BOB, GUILD = (int(CONFIG[key]) for key in ("general", "quiet", "bob", "guild"))
CHANNELS = [int(channel) for channel in CONFIG["channels"]]
PATIENCE = 60


def _control(method, path, body):
    request = urllib.request.Request(
        CONFIG["control"] + path, method=method, data=None if body is None else json.dumps(body).encode()
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        answer = response.read()
    return json.loads(answer) if answer else None


async def control(method, path, body=None):
    """Controls the sandbox, as the people who use the bot would act in Discord."""
    return await asyncio.to_thread(_control, method, path, body)


async def say(content):
    """Has a person write a message."""
    await control("POST", f"channels/{GENERAL}/messages", {"content": content, "author": {"id": CONFIG["bob"]}})


async def use(**what):
    """Has a person use a command, a component or a modal."""
    return await control("POST", f"channels/{GENERAL}/interactions", what)


async def last_message():
    return (await control("GET", f"channels/{GENERAL}/messages"))[-1]


async def answered(content):
    """Waits until the newest message has a content."""
    for _ in range(PATIENCE * 20):
        message = await last_message()
        if message["content"] == content:
            return message
        await asyncio.sleep(0.05)
    raise AssertionError(f"{content!r} is not there: {await last_message()}")


def passed(step):
    print("passed", step, flush=True)


@contextlib.asynccontextmanager
async def exiting():
    """Ends the program after the steps, whatever the library still does."""
    code = 1
    try:
        yield
        code = 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Heard:
    """Keeps events until a step asks for them."""

    def __init__(self):
        self.seen = asyncio.Queue()

    def put(self, kind, value=None):
        self.seen.put_nowait((kind, value))

    async def wait(self, kind, value=None):
        async with asyncio.timeout(PATIENCE):
            while await self.seen.get() != (kind, value):
                pass


async def interact(heard):
    """Uses the command of the bot, its button, its modal and its select.

    Libraries listen to components and modals only after the call that showed
    them has returned, which the bot notes as "shown" and "opened".
    """
    await use(name="hello", options=[{"name": "who", "type": 3, "value": "you"}])
    await heard.wait("shown")
    await answered("hello you")
    passed("command")
    await use(custom_id="button")
    await heard.wait("opened")
    await use(custom_id="form", fields={"why": "because"})
    await answered("why: because")
    passed("button")
    passed("modal")
    await use(custom_id="select", values=["b"])
    await answered("picked b")
    passed("select")


async def resume(heard):
    """Cuts the bot's connection while somebody writes."""
    await control("POST", "gateway/drop", {})
    await say("while you were away")
    await heard.wait("message", "while you were away")
    gateway = await control("GET", "gateway")
    assert gateway["counts"]["resumes"] >= 1 and gateway["counts"]["identifies"] == 1, gateway["counts"]
    passed("resume")


async def fill():
    """Fills a channel with 120 messages."""
    await control("POST", "gateway/burst", {"count": 120, "message": {"channel_id": str(QUIET), "content": "old"}})


async def in_order(send):
    """Sends ten messages to each of six channels."""

    async def to(channel):
        for i in range(10):
            await send(channel, f"number {i}")

    await asyncio.gather(*map(to, CHANNELS))
    passed("order")
