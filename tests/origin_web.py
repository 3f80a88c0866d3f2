"""The sockets of the stand-in origin: accepts, answers, spoils answers, goes away, comes back.

Owns every connection and its thread; `tests.origin` decides what each request gets.
Linux only: shutdown() of a listening socket must wake accept(), and TIOCOUTQ must work.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import BaseServer
from typing import cast

from tests.faults import Reply

HOST = "127.0.0.1"
STOP_LIMIT_S = 5.0


@dataclass(eq=False)
class _Link:
    """One open connection; `gone` wakes whatever its handler waits for."""

    sock: socket.socket
    gone: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None


Answer = Callable[[str, str, str | None], Reply]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, answer: Answer, link: _Link) -> None:
        self._answer, self._link = answer, link
        # The handler needs no server object: connections are accepted by Web.
        super().__init__(link.sock, (HOST, 0), cast(BaseServer, None))

    def do_GET(self) -> None:
        reply = self._answer(self.command, self.path, self.headers.get("Range"))
        if reply.hang_s is not None:
            self._link.gone.wait(reply.hang_s)
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in (("Content-Type", reply.kind), *reply.headers):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self._send_body(reply)

    def _send_body(self, reply: Reply) -> None:
        body = reply.body[: len(reply.body) // 2] if reply.cut else reply.body
        step = int(min(65536, max(1, reply.bytes_per_s * 0.05)))
        for at in range(0, len(body), step):
            if self._link.gone.wait(step / reply.bytes_per_s):
                self.close_connection = True
                return
            self.wfile.write(body[at:at + step])
        if reply.cut:
            self._reset_after_delivery()

    def _reset_after_delivery(self) -> None:
        # A reset drops what is still queued here, so first let the peer have its half.
        for _ in range(200):
            queued = fcntl.ioctl(self.connection, termios.TIOCOUTQ, bytes(4))
            if queued == bytes(4) or self._link.gone.wait(0.005):
                break
        _reset_on_close(self.connection)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Requests are recorded by the origin; nothing goes to stderr."""


def _reset_on_close(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Web:
    """The listening socket and its connections; `answer` decides what each request gets."""

    def __init__(self, answer: Answer, port: int) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        # Bound but never listening: keeps the port ours while the server is away.
        self._hold = socket.socket()
        self._hold.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._hold.bind((HOST, port))
        self.port: int = self._hold.getsockname()[1]

    def close(self) -> None:
        """Raises when a connection's thread outlives the deadline."""
        try:
            self.go_away()
        finally:
            self._hold.close()

    def go_away(self) -> None:
        """Refuse new connections and reset the open ones."""
        listener, self._listener = self._listener, None
        if listener and self._acceptor:
            listener.shutdown(socket.SHUT_RDWR)
            self._acceptor.join(STOP_LIMIT_S)
            listener.close()
        with self._lock:
            links = list(self._links)
        for link in links:
            link.gone.set()
            with contextlib.suppress(OSError):
                _reset_on_close(link.sock)
                # Wakes a handler that reads, and says nothing to the peer before the reset.
                link.sock.shutdown(socket.SHUT_RD)
        self._join(links, 0.2)
        for link in links:
            # Only a handler whose peer does not read is still here, blocked in a send.
            with contextlib.suppress(OSError):
                link.sock.shutdown(socket.SHUT_RDWR)
        if left := self._join(links, STOP_LIMIT_S):
            raise RuntimeError(f"{left} connection threads of the origin did not end")

    def come_back(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server((HOST, self.port), backlog=128)
            self._acceptor = threading.Thread(
                target=self._accept, args=(self._listener,), daemon=True)
            self._acceptor.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                link = _Link(listener.accept()[0])
            except OSError:
                return
            link.thread = threading.Thread(target=self._serve, args=(link,), daemon=True)
            with self._lock:
                self._links.add(link)
            link.thread.start()

    def _serve(self, link: _Link) -> None:
        try:
            with contextlib.suppress(OSError):
                _Handler(self._answer, link)
        finally:
            link.sock.close()
            with self._lock:
                self._links.discard(link)

    def _join(self, links: list[_Link], limit_s: float) -> int:
        until = time.monotonic() + limit_s
        threads = [link.thread for link in links if link.thread]
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        return sum(thread.is_alive() for thread in threads)
