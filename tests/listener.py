"""A WebSocket client for tests, its bad habits, and handshakes by hand."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import simple_websocket
from simple_websocket.ws import Base

from .daemon import another_address

UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
           "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}


class Gated:
    """A socket that reads nothing while its gate is closed, as a client that hangs would."""

    def __init__(self, sock: socket.socket) -> None:
        self.open = threading.Event()
        self._socket = sock

    def recv(self, size: int) -> bytes:
        self.open.wait()
        return self._socket.recv(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class Listener(simple_websocket.Client):  # type: ignore[misc]
    """A client of `/api/ws`."""

    sock: Any

    def __init__(self, port: int, address: str | None = None) -> None:
        try:
            super().__init__(f"ws://127.0.0.1:{port}/api/ws",
                             headers={"X-Forwarded-For": address or another_address()})
        except BaseException:
            self.sock.close()
            raise

    def say(self, message: Any) -> None:
        self.send(message if isinstance(message, (str, bytes)) else json.dumps(message))

    def hear(self, timeout_s: float = 10.0) -> dict[str, Any]:
        """The next message. Raises ConnectionClosed."""
        message = self.receive(timeout=timeout_s)
        assert message is not None, f"nothing was said for {timeout_s} s"
        given = json.loads(message)
        assert isinstance(given, dict)
        return given

    def hear_until(self, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Everything up to the first message that is as wanted."""
        heard = [self.hear()]
        while not wanted(heard[-1]):
            heard.append(self.hear())
        return heard

    def hear_end(self) -> tuple[int, list[dict[str, Any]]]:
        """The close code, and what was said before."""
        heard: list[dict[str, Any]] = []
        with pytest.raises(simple_websocket.ConnectionClosed) as ended:
            while True:
                heard.append(self.hear())
        return int(ended.value.reason), heard

    def enter(self, token: str) -> dict[str, Any]:
        """Authenticate; the first message."""
        self.say({"type": "auth", "token": token})
        return self.hear()

    def deafen(self) -> None:
        """Read nothing from now on (but what is being read already)."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock = Gated(self.sock)

    def recover(self) -> None:
        """Read again all that waits."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.sock.open.set()

    def leave(self, politely: bool = True) -> None:
        with contextlib.suppress(simple_websocket.ConnectionClosed, OSError):
            if politely:
                Base.close(self)
        if isinstance(self.sock, Gated):
            self.sock.open.set()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)


def wait_until(true: Callable[[], Any], timeout_s: float = 5.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    pause = threading.Event()
    while not true():
        assert time.monotonic() < deadline_s, "it did not come true"
        pause.wait(0.02)


def upgrade(
    port: int, headers: dict[str, str], method: str = "GET"
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """A handshake by hand: status, headers and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(
            method, "/api/ws", headers={"X-Forwarded-For": another_address(), **headers})
        answer = connection.getresponse()
        return answer.status, answer.headers, b"" if answer.status == 101 else answer.read()
    finally:
        connection.close()
