"""Clients of `/api/ws` that say when each message came: many in one thread, on bare sockets.

A library for WebSockets would take longer for a message than the daemon. Used by the tables
that wait for an event.
"""

from __future__ import annotations

import base64
import json
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

ENTER_MAX_S = 20.0
LOOK_EVERY_S = 0.2
STOP_MAX_S = 5.0
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


@dataclass(frozen=True)
class Heard:
    """A message: which client got it, when (monotonic), and what it says."""

    client: int
    at_s: float
    text: bytes

    @property
    def message(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found


class Ear:
    """One client, logged in. `deaf`: it reads nothing after it has entered."""

    def __init__(self, port: int, key: str, deaf: bool = False) -> None:
        self.sock = socket.socket()
        try:
            if deaf:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self.sock.settimeout(ENTER_MAX_S)
            self.sock.connect(("127.0.0.1", port))
            nonce = base64.b64encode(os.urandom(16)).decode()
            self.sock.sendall((
                f"GET /api/ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {nonce}\r\n\r\n").encode())
            self._rest = self._upgraded()
            self._say(_TEXT, json.dumps({"type": "auth", "token": key}).encode())
        except BaseException:
            self.sock.close()
            raise

    def _upgraded(self) -> bytes:
        answer = b""
        while b"\r\n\r\n" not in answer:
            more = self.sock.recv(4096)
            if not more:
                break
            answer += more
        if not answer.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(f"no WebSocket: {answer[:300]!r}")
        return answer.partition(b"\r\n\r\n")[2]

    def _say(self, code: int, payload: bytes) -> None:
        mask = os.urandom(4)
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        self.sock.sendall(bytes([0x80 | code]) + length + mask + masked)

    def messages(self) -> Iterator[bytes]:
        """Those that are whole by now; call it when there is something to read. Raises
        ConnectionError when the daemon has hung up."""
        more = self.sock.recv(65536)
        if not more:
            raise ConnectionError("the daemon hung up")
        self._rest += more
        while (frame := self._frame()) is not None:
            code, payload = frame
            if code == _PING:
                self._say(_PONG, payload)
            elif code == _CLOSE:
                raise ConnectionError(f"the daemon said goodbye: {payload!r}")
            elif code == _TEXT:
                yield payload

    def _frame(self) -> tuple[int, bytes] | None:
        data = self._rest
        if len(data) < 2:
            return None
        size, begin = data[1] & 0x7F, 2
        if size > 125:
            begin += 2 if size == 126 else 8
            size = int.from_bytes(data[2:begin], "big")
        if len(data) < begin + size:
            return None
        self._rest = data[begin + size:]
        return data[0] & 0x0F, data[begin:begin + size]


class Ears:
    """Clients that all read, in one thread. `heard` is called in it for every message."""

    def __init__(self, port: int, key: str, count: int, heard: Callable[[Heard], None]) -> None:
        self._heard = heard
        self._selector = selectors.DefaultSelector()
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._connected = threading.Semaphore(0)
        self._ears: list[Ear] = []
        self._thread = threading.Thread(target=self._run)
        try:
            for number in range(count):
                ear = Ear(port, key)
                self._ears.append(ear)
                self._selector.register(ear.sock, selectors.EVENT_READ, (number, ear))
        except BaseException:
            self._close()
            raise
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(STOP_MAX_S)
        self._close()

    def wait_all(self) -> None:
        """Until each has the state with which its events begin. Raises TimeoutError."""
        for _ in self._ears:
            if not self._connected.acquire(timeout=ENTER_MAX_S):
                self.check()
                raise TimeoutError("a WebSocket client was told nothing")

    def check(self) -> None:
        """Raises what ended the reading."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                for key, _ in self._selector.select(LOOK_EVERY_S):
                    number, ear = key.data
                    for text in ear.messages():
                        self._heard(Heard(number, time.monotonic(), text))
                        if text.startswith(b'{"type":"connected"'):
                            self._connected.release()
        except Exception as error:
            self._error = error

    def _close(self) -> None:
        for ear in self._ears:
            ear.sock.close()
        self._selector.close()
