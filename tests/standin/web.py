"""The sockets of the stand-in: accepts, reads requests, sends the answers of a `StandIn`.

Owns every connection and its thread. Used by `proxy`; `adapter` shares the bytes of answers
(`wire`) and what is forwarded (`fetch`). Linux only: shutdown() must wake accept().
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from socketserver import BaseServer
from typing import cast

from requests.structures import CaseInsensitiveDict

from tests.standin.base import Answer, Cut, Forward, Hang, Reply, Request, StandIn

LOOPBACK = "127.0.0.1"
STOP_LIMIT_S = 5.0
IDLE_MAX_S = 30.0
BODY_MAX_BYTES = 16 * 1024 * 1024
# Less than STOP_LIMIT_S: who forwards looks between two reads whether it shall end.
FORWARD_READ_S = 4.0
FORWARD_MAX_S = 30.0
# They are about one connection, or made anew here.
_OWN_HEADERS = {"connection", "content-length", "content-type", "date", "host", "keep-alive",
                "proxy-authorization", "proxy-connection", "server", "transfer-encoding"}


def wire(reply: Reply, method: str, cut: bool = False) -> bytes:
    """An answer as it stands on the line; `cut` leaves out the second half of the body."""
    reason = http.client.responses.get(reply.status, "Unknown")
    lines = [f"HTTP/1.1 {reply.status} {reason}"]
    if reply.status >= 200 and reply.status not in (204, 304):
        lines += [f"Content-Type: {reply.kind}", f"Content-Length: {len(reply.body)}"]
    lines += [f"{name}: {line}" for name, value in reply.headers.items()
              for line in value.splitlines()]
    body = b"" if method == "HEAD" else reply.body
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head + body[:len(body) // 2 if cut else None]


def fetch(port: int, request: Request, stopping: threading.Event) -> Reply | Cut:
    """What 127.0.0.1:`port` answers, read whole; Cut when it breaks off or takes too long."""
    line = http.client.HTTPConnection(LOOPBACK, port, timeout=FORWARD_READ_S)
    try:
        return _fetched(line, request, stopping)
    except (OSError, http.client.HTTPException):
        return Cut()
    finally:
        line.close()


def _fetched(
    line: http.client.HTTPConnection, request: Request, stopping: threading.Event
) -> Reply | Cut:
    headers = {name: value for name, value in request.headers.items()
               if name.lower() not in _OWN_HEADERS}
    if kind := request.headers.get("Content-Type"):
        headers["Content-Type"] = kind
    line.request(request.method, request.target, request.body or None, headers)
    answer, body = line.getresponse(), bytearray()
    deadline_s = time.monotonic() + FORWARD_MAX_S
    while chunk := answer.read1(65536):
        body += chunk
        if stopping.is_set() or time.monotonic() > deadline_s or len(body) > BODY_MAX_BYTES:
            return Cut()
    if answer.length:
        return Cut(Reply(answer.status, bytes(body) * 2))
    given = answer.headers
    more = {name: "\n".join(given.get_all(name, [])) for name in given
            if name.lower() not in _OWN_HEADERS}
    return Reply(answer.status, bytes(body), given.get("Content-Type", "text/plain"), more)


@dataclass(eq=False)
class Link:
    """One open connection; `gone` wakes whatever its thread waits for."""

    sock: socket.socket
    gone: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def break_off(self) -> None:
        """End what its thread does; from any thread."""
        self.gone.set()
        with contextlib.suppress(OSError):
            # An SSLSocket's own shutdown would take the TLS away below a reader.
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class Exchange(BaseHTTPRequestHandler):
    """Requests and answers on one connection. `base` is the address of the host that a
    tunnel leads to; without one the request line or `Host` names it. `lasting`: the
    connection stays for more requests."""

    lasting = True
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_MAX_S

    def __init__(self, standin: StandIn, link: Link, base: str = "") -> None:
        self.standin, self.link, self.base = standin, link, base
        # There is no server object: connections are accepted by Web.
        super().__init__(link.sock, (LOOPBACK, 0), cast(BaseServer, None))

    def do_GET(self) -> None:
        request = self._request()
        answer: Answer = Reply(411) if request is None else self.standin.answer(request)
        if isinstance(answer, Forward) and request is not None:
            answer = fetch(answer.port, request, self.link.gone)
        if isinstance(answer, Reply):
            if not self.lasting:
                self.close_connection = True
                answer = replace(answer, headers={**answer.headers, "Connection": "close"})
            self.wfile.write(wire(answer, self.command))
            return
        self.close_connection = True
        if isinstance(answer, Hang):
            self.link.gone.wait(answer.for_s)
        elif isinstance(answer, Cut) and answer.reply is not None:
            self.wfile.write(wire(answer.reply, self.command, cut=True))

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET

    def _request(self) -> Request | None:
        """None for a body of unknown or too great a length."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (
                length.isascii() and length.isdigit() and int(length) <= BODY_MAX_BYTES):
            self.close_connection = True
            return None
        headers: CaseInsensitiveDict[str] = CaseInsensitiveDict(
            (name, ", ".join(self.headers.get_all(name, []))) for name in self.headers)
        url = self.path
        if url.startswith("/"):
            url = (self.base or f"http://{headers.get('Host', LOOPBACK)}") + url
        return Request.of(self.command, url, headers, self.rfile.read(int(length)))

    def log_message(self, format: str, *args: object) -> None:
        """Requests are recorded by the stand-in; nothing goes to stderr."""


class Web:
    """A listening socket on 127.0.0.1; `serve` has each connection, in its own thread."""

    def __init__(self, serve: Callable[[Link], None]) -> None:
        self._serve = serve
        self._lock = threading.Lock()
        self._links: set[Link] = set()
        self._listener = socket.create_server((LOOPBACK, 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="stand-in", daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """End all connections. Raises RuntimeError when a thread outlives the deadline."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(STOP_LIMIT_S)
        self._listener.close()
        with self._lock:
            links = list(self._links)
        for link in links:
            link.break_off()
        until_s = time.monotonic() + STOP_LIMIT_S
        threads = [link.thread for link in links if link.thread is not None]
        for thread in threads:
            thread.join(max(0.0, until_s - time.monotonic()))
        if left := sum(one.is_alive() for one in (*threads, self._acceptor)):
            raise RuntimeError(f"{left} threads of the stand-in did not end")

    def _accept(self) -> None:
        while True:
            try:
                link = Link(self._listener.accept()[0])
            except OSError:
                return
            link.thread = threading.Thread(
                target=self._one, args=(link,), name="stand-in connection", daemon=True)
            with self._lock:
                self._links.add(link)
            link.thread.start()

    def _one(self, link: Link) -> None:
        try:
            with contextlib.suppress(OSError):
                self._serve(link)
        finally:
            link.sock.close()
            with self._lock:
                self._links.discard(link)
