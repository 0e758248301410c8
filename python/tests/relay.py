"""A relay between client and proxy that counts connections and can cut one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable


class Relay:
    """Passes bytes on. ``lose`` takes away the answer to the next call.

    The answer is lost as a broken network loses it: what the call does has been
    done, and the connection ends before the first frame of the answer.
    Cleared, ``flows`` holds all bytes back while the connections stay.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._to = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self.lost = 0
        self.flows = threading.Event()
        self.flows.set()
        self.lose: Callable[[], bool] = lambda: False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        self.flows.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(self._to)
            threading.Thread(target=self._up, args=(client, server), daemon=True).start()
            threading.Thread(target=self._down, args=(client, server), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while data := client.recv(65536):
                self.flows.wait()
                server.sendall(data)
        except OSError:
            pass
        _end(client, server)

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        """Passes frames of HTTP/2 on, those of the connection (stream 0) always."""
        stream = server.makefile("rb")
        try:
            while head := stream.read(9):
                frame = head + stream.read(int.from_bytes(head[:3], "big"))
                if int.from_bytes(head[5:9], "big") != 0 and self.lose():
                    self.lost += 1
                    break
                self.flows.wait()
                client.sendall(frame)
        except OSError:
            pass
        _end(client, server)


def _end(*sockets: socket.socket) -> None:
    for each in sockets:
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
