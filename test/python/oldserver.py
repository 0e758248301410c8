"""Runs the server of the PyPI package discordproxy 1.5 against another Discord.

Arguments: base URL of Discord's API without a version, then the server's own
arguments. The port that the server listens on is printed as "port N". The pauses
between tries of one request last no time, so that the server gives up soon.
"""

import asyncio
import sys

import discord.http
import grpc.aio
from discordproxy import _server

discord.http.Route.API_BASE_URL = sys.argv[1] + "/v{API_VERSION}"
sys.argv = ["discordproxyserver", *sys.argv[2:]]



class Server(grpc.aio._server.Server):
    def add_insecure_port(self, address):
        self.port = super().add_insecure_port(address)
        return self.port

    async def start(self):
        await super().start()
        print("port", self.port, flush=True)


grpc.aio._server.Server = Server


class Impatient:
    """The module asyncio, without the pauses that are shorter than 10 s."""

    def __getattr__(self, name):
        return getattr(asyncio, name)

    @staticmethod
    async def sleep(delay):
        await asyncio.sleep(delay if delay > 10 else 0)


discord.http.asyncio = Impatient()

if __name__ == "__main__":
    _server.main()
