"""A client's bytes: when a request is there to be answered, and the socket they pass through.

Used by `connections`, below gunicorn's own parser.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import socket
import sys
import termios
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from werkzeug.exceptions import RequestTimeout

MESSAGE_MAX = 300
LATE = "The request did not arrive in time"
# Above these a thread reads for itself: gunicorn then refuses the head, or the application
# the body. And a body that is left unread, gunicorn throws away only below 64 KiB.
HEAD_MAX_BYTES = 32 * 1024
BODY_MAX_BYTES = 64 * 1024 - 1
# Of an answer in pieces so much may wait for the client before the next piece is made.
OUTBOX_MAX_BYTES = 1024 * 1024

_END = b"\r\n\r\n"
_FRAMING = re.compile(
    rb"\r\n(content-length|transfer-encoding|expect):[ \t]*([^\r\n]*)", re.IGNORECASE)
_LENGTH = re.compile(rb"\d{1,18}[ \t]*")
_UPLOAD = re.compile(rb"[A-Z]+ [^ ?]*/images/(?:profile|banner)[ ?]")


@dataclass(frozen=True)
class Asked:
    """What a request needs before a thread begins: `size` bytes in all, or None where only a
    thread can read it. `upload`: its body is an image."""

    size: int | None
    upload: bool = False


def asked(held: bytes | bytearray) -> Asked | None:
    """How to go on with a connection that said `held` so far; None: wait for more of the head.

    Judges nothing: gunicorn parses the same bytes again and refuses what is wrong with them.
    """
    end = held.find(_END)
    if end < 0:
        hopeless = len(held) > HEAD_MAX_BYTES or held.count(b"\n") != held.count(b"\r\n")
        return Asked(None) if hopeless else None
    size = end + len(_END)
    upload = _UPLOAD.match(held) is not None
    framing = _FRAMING.findall(held, 0, size)
    if not framing:
        return Asked(size, upload)
    name, value = framing[0]
    if len(framing) == 1 and name.lower() == b"content-length" and _LENGTH.fullmatch(value):
        if int(value) <= BODY_MAX_BYTES:
            return Asked(size + int(value), upload)
    return Asked(None, upload)


def refusal(status: int, code: str, message: str) -> bytes:
    """A whole answer in the API's shape."""
    body = json.dumps({"error": {"code": code, "message": message[:MESSAGE_MAX]}}).encode()
    head = (f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n")
    return head.encode() + body


class ClientSocket(socket.socket):
    """An accepted socket in which nobody waits without a deadline.

    While it `holds`, `sendall` sends what the peer takes at once and leaves the rest in
    `outbox` for the poller, and `recv` knows when a body must be in. Whoever sets a time-out
    of his own (the WebSocket does) ends that.
    """

    def __init__(self, accepted: socket.socket, silent_s: float) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, accepted.detach())
        self.outbox = bytearray()
        self.holds = False
        # Monotonic: by then the rest of the request must be in.
        self.body_by_s: float | None = None
        self._silent_s = silent_s
        self._unsent = -1

    def setblocking(self, flag: bool) -> None:
        """gunicorn's True would be for ever."""
        super().settimeout(self._silent_s if flag else 0.0)

    def settimeout(self, value: float | None) -> None:
        super().settimeout(value)
        self.holds = False

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Raises RequestTimeout, which Flask and the worker turn into an answer."""
        if self.body_by_s is None or not self.holds:
            return super().recv(bufsize, flags)
        left_s = self.body_by_s - time.monotonic()
        if left_s <= 0:
            raise _late()
        try:
            super().settimeout(left_s)
            return super().recv(bufsize, flags)
        except TimeoutError as error:
            raise _late() from error
        finally:
            super().settimeout(self._silent_s)

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Raises ConnectionResetError for a time-out, which gunicorn would log as a crash."""
        while True:
            try:
                return super().send(data, flags)
            except TimeoutError as error:
                if not self.took_some():
                    raise _let_go() from error

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        if not self.holds:
            super().sendall(data, flags)
            return
        if len(self.outbox) > OUTBOX_MAX_BYTES:
            self._empty()
        self.outbox += data
        self.flush()

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Raises ConnectionResetError also for a file that is shorter than announced: the
        client would wait for the rest."""
        self._empty()
        end = os.fstat(file.fileno()).st_size if count is None else offset + count
        at = offset
        while at < end:
            file.seek(at)
            try:
                sent = super().sendfile(file, at, end - at)
            except TimeoutError as error:
                if not self.took_some():
                    raise _let_go() from error
                sent = file.tell() - at
            else:
                if not sent:
                    raise ConnectionResetError(errno.ECONNRESET, "The file ended too early")
            at += sent
        return end - offset

    def took_some(self) -> bool:
        """Whether the peer took anything since the last call. A socket gets writable only
        once a third of its buffer is free, which can be more than a megabyte."""
        before, self._unsent = self._unsent, _unsent_bytes(self)
        return self._unsent != before

    def flush(self) -> None:
        """Send what the peer takes now. Raises OSError when it is gone."""
        waits_s = self.gettimeout()
        super().settimeout(0.0)
        try:
            self._empty()
        except BlockingIOError:
            return
        finally:
            super().settimeout(waits_s)

    def _empty(self) -> None:
        while self.outbox:
            del self.outbox[:self.send(self.outbox)]


def _unsent_bytes(sock: socket.socket) -> int:
    """What the peer's side has not acknowledged yet."""
    return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def _late() -> RequestTimeout:
    """Imported here, in the worker: gunicorn's master has this module, too (see web.server)."""
    from werkzeug.exceptions import RequestTimeout

    return RequestTimeout(LATE)


def _let_go() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, "The client took nothing for too long")
