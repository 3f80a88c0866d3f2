"""The network between the daemon and an origin: a TCP proxy that a test can break.

One thread moves all bytes. `tests.chaos.station` has one per channel; where it leads may change
(another broadcast at the same address).
"""

from __future__ import annotations

import select
import selectors
import socket
import struct
import threading
from enum import Enum
from typing import Self

HOST = "127.0.0.1"
APPLY_MAX_S = 5.0
CHUNK_BYTES = 65536


class Weather(Enum):
    FINE = "fine"
    # New connections are refused, the open ones reset.
    REFUSE = "refuse"
    # Nothing moves; what was on its way arrives when the weather is fine again.
    STALL = "stall"
    # The open connections are reset once, new ones get through.
    RESET = "reset"


class Line:
    def __init__(self) -> None:
        self._to_port = 0
        self._weather = self._wanted = Weather.FINE
        self._applied = threading.Event()
        self._stopping = False
        self._selector = selectors.DefaultSelector()
        self._peers: dict[socket.socket, socket.socket] = {}
        # Bound, never listening: keeps the port ours while connections are refused.
        self._hold = socket.socket()
        self._hold.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._hold.bind((HOST, 0))
        self.port: int = self._hold.getsockname()[1]
        self._listener: socket.socket | None = None
        self._wake_end, self._wake = socket.socketpair()
        self._selector.register(self._wake_end, selectors.EVENT_READ)
        self._listen()
        self._thread = threading.Thread(target=self._run, name="line")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._wake.send(b"x")
        self._thread.join(APPLY_MAX_S)
        assert not self._thread.is_alive(), "the line does not end"
        self._reset_all()
        self._refuse()
        for one in (self._hold, self._wake, self._wake_end):
            one.close()
        self._selector.close()

    def lead(self, to_port: int) -> None:
        """To another origin from now on: what is open to the last one is reset."""
        weather, self._to_port = self._weather, to_port
        self.turn(Weather.RESET)
        self.turn(weather)

    def turn(self, weather: Weather) -> None:
        """Returns once it is so."""
        self._applied.clear()
        self._wanted = weather
        self._wake.send(b"x")
        assert self._applied.wait(APPLY_MAX_S), "the weather does not turn"

    def _run(self) -> None:
        while not self._stopping:
            for sock in self._ready():
                if sock is self._wake_end:
                    self._wake_end.recv(16)
                    self._apply()
                    break
                if sock is self._listener:
                    self._accept()
                elif sock in self._peers:
                    self._move(sock)

    def _ready(self) -> list[socket.socket]:
        if self._weather is Weather.STALL:
            return select.select([self._wake_end], [], [], 0.5)[0]
        return [key.fileobj for key, _ in self._selector.select(0.5)
                if isinstance(key.fileobj, socket.socket)]

    def _apply(self) -> None:
        if self._stopping:
            return
        self._weather = self._wanted
        if self._weather in (Weather.REFUSE, Weather.RESET):
            self._reset_all()
        if self._weather is Weather.REFUSE:
            self._refuse()
        else:
            self._listen()
        self._applied.set()

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server((HOST, self.port), backlog=64)
            self._selector.register(self._listener, selectors.EVENT_READ)

    def _refuse(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        assert self._listener is not None
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection((HOST, self._to_port), timeout=1.0)
        except OSError:
            _reset(near)
            return
        for one, other in ((near, far), (far, near)):
            one.settimeout(5.0)
            self._peers[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _move(self, sock: socket.socket) -> None:
        peer = self._peers[sock]
        try:
            data = sock.recv(CHUNK_BYTES)
            if data:
                peer.sendall(data)
        except OSError:
            self._drop(sock, reset=True)
            return
        if not data:
            self._drop(sock, reset=False)

    def _drop(self, sock: socket.socket, reset: bool) -> None:
        """HTTP/1.1 needs no half-closed connections."""
        for one in (sock, self._peers[sock]):
            del self._peers[one]
            self._selector.unregister(one)
            _reset(one) if reset else one.close()

    def _reset_all(self) -> None:
        while self._peers:
            self._drop(next(iter(self._peers)), reset=True)


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
