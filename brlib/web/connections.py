"""Connections: a request gets a thread once it is there, and its answer leaves without one.

`RecorderWorker` is gunicorn's threaded worker with the waiting for clients moved into its
poller: for a request's bytes, for the client to take its answer, for its goodbye. gunicorn
27.0.1 waits for these in threads (for a goodbye: in the main one), some without a deadline.
Used by `server`; `files` reads how many downloads there may be.
"""

from __future__ import annotations

import errno
import logging
import os
import selectors
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from gunicorn.http import errors as refusals
from gunicorn.workers.gthread import TConn, ThreadWorker

from .wire import LATE, Asked, ClientSocket, asked, refusal

if TYPE_CHECKING:
    from ..service import Service

log = logging.getLogger(__name__)

# Downloads at the same time: each holds a thread for as long as its client takes.
MEDIA_THREADS = 16
# Bodies that only a thread can read: so many images, and so many others.
BODY_THREADS = 8
# Connections beyond those that threads work for.
PARKED_MAX = 432
RECEIVED_AT_ONCE = 16 * 1024
ACCEPTED_AT_ONCE = 32
# A client that still sends what nobody will read can see why only so.
DISCARDED_MAX_BYTES = 16 * 1024 * 1024
LOOK_EVERY_S = 0.5
# A stopping worker still answers a request that is on its way.
STOP_LINGER_S = 0.5
EXHAUSTED_PAUSE_S = 1.0
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
# What is refused outside the application, and with which status.
REFUSALS = {
    refusals.LimitRequestLine: 414, refusals.LimitRequestHeaders: 431,
    refusals.UnsupportedTransferCoding: 501, refusals.InvalidResponseHeader: 500,
    refusals.InvalidResponseHeaderName: 500, refusals.ConfigurationProblem: 400,
    refusals.ParseException: 400,
}
BUSY = "Too many large bodies arrive at the same time: try again soon"


@dataclass(frozen=True)
class Patience:
    """How long a client may take, in seconds."""

    # For a request's head, and again for its body, however they trickle.
    request_s: float = 10.0
    upload_s: float = 60.0
    # Between two requests.
    idle_s: float = 30.0
    # For taking the next bytes of an answer.
    silent_s: float = 30.0
    # For reading an answer while what it still sends is thrown away.
    linger_s: float = 2.0


class Connection(TConn):  # type: ignore[misc]
    """One client's. It is parked (it waits in the poller), or a thread works for it."""

    sock: ClientSocket
    # What becomes of it at the next event.
    step: Callable[[Connection], None]

    def __init__(self, cfg: Any, sock: ClientSocket, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.init()
        self.deadline_s = 0.0
        # The next request, as far as it has come.
        self.held = bytearray()
        self.asked: Asked | None = None
        # Whether it stays after the present answer.
        self.kept = False
        self.discarded_bytes = 0


class RecorderWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, which tells the engine of SIGTERM at once."""

    engine: Service | None = None
    patience = Patience()
    worker_connections: int

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        # The longest parked first.
        self._parked: dict[Connection, None] = {}
        # Threads that read bodies: images (True) and others.
        self._reading: Counter[bool] = Counter()
        self._accept_again_s = 0.0

    def take(self, engine: Service) -> None:
        """This engine is to end with us, also when we were told to before it was there."""
        self.engine = engine
        # The worker's end alone would make gunicorn start another.
        engine.on_shutdown = partial(os.kill, self.ppid, signal.SIGTERM)
        if not self.alive:
            engine.stop()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM. gunicorn calls no hook for it and waits for open connections."""
        if self.engine is not None:
            self.engine.stop()
        super().handle_exit(sig, frame)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """SIGINT and SIGQUIT of the master: stop as cleanly."""
        self.handle_exit(sig, frame)

    # In a thread of the pool.

    def handle_request(self, req: Any, conn: Connection) -> Any:
        """gunicorn waits 5 s for what the application left of a body, unless it closes."""
        if conn.sock.body_by_s is not None:
            req.force_close()
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """What gunicorn refuses before the application sees it, in the API's shape instead of
        as a page of HTML."""
        from werkzeug.exceptions import RequestTimeout  # not for the master; see web.server

        kinds = {**REFUSALS, RequestTimeout: 408}
        status = next((s for kind, s in kinds.items() if isinstance(exc, kind)), 500)
        code, message = "VALIDATION_ERROR", f"This is not a request that can be answered: {exc}"
        if status == 500:
            log.error("A request failed outside the application", exc_info=exc)
            code, message = "INTERNAL_ERROR", "Something went wrong here; the log says what"
        try:
            client.sendall(refusal(status, code, LATE if status == 408 else message))
        except OSError:
            log.debug("Whoever sent a bad request was gone already")

    # In the main thread.

    def accept(self, listener: Any) -> None:
        """gunicorn would give each a thread at once, and die for want of a descriptor."""
        for _ in range(ACCEPTED_AT_ONCE):
            if self.nr_conns >= self.worker_connections:
                return
            try:
                accepted, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("A connection could not be taken: %s", error)
                if error.errno in EXHAUSTED:
                    # The listener stays readable: one that waits goes, and accepting rests.
                    self._make_room()
                    self._accept_again_s = time.monotonic() + EXHAUSTED_PAUSE_S
                    self.worker_connections = 0
                return
            self.nr_conns += 1
            sock = ClientSocket(accepted, self.patience.silent_s)
            self._safely(Connection(self.cfg, sock, address, listener.getsockname()), self._next)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        super().wait_for_and_dispatch_events(min(timeout, LOOK_EVERY_S))
        now_s = time.monotonic()
        for conn in [c for c in self._parked if c.deadline_s <= now_s]:
            self._safely(conn, self._late)
        if self._accept_again_s > now_s:
            return
        self.worker_connections = self.cfg.worker_connections
        if self.nr_conns >= self.worker_connections:
            # With so many, gunicorn accepts none.
            self._make_room()

    def _late(self, conn: Connection) -> None:
        """Its deadline is over."""
        if conn.held:
            self._refuse(conn, 408, "VALIDATION_ERROR", LATE)
        elif conn.sock.outbox and conn.sock.took_some():
            conn.deadline_s = time.monotonic() + self.patience.silent_s
        else:
            self._drop(conn)

    def _make_room(self) -> None:
        """Close the connection that has waited longest, before any that has to get an answer."""
        waiting = [c for c in self._parked if not c.sock.outbox] or list(self._parked)
        for conn in waiting[:1]:
            self._drop(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """The worker stops."""
        end_s = time.monotonic() + STOP_LINGER_S
        for conn in self._parked:
            if not conn.sock.outbox:
                conn.deadline_s = min(conn.deadline_s, end_s)

    def finish_request(self, conn: Connection, fs: Future[Any]) -> None:
        """A thread is done with it."""
        if conn.asked is not None and conn.sock.body_by_s is not None:
            self._reading[conn.asked.upload] -= 1
        conn.asked, conn.sock.body_by_s = None, None
        error = fs.exception()
        if error is not None:
            log.error("A request ended the thread's work", exc_info=error)
        conn.kept = error is None and bool(fs.result())
        self._safely(conn, self._answered)

    def _answered(self, conn: Connection) -> None:
        """After an answer: once the client took it, the next request or goodbye."""
        self._unpark(conn)
        conn.sock.flush()
        if conn.sock.outbox:
            self._park(conn, self._answered, self.patience.silent_s, selectors.EVENT_WRITE)
        elif conn.kept:
            self._next(conn)
        else:
            conn.sock.shutdown(socket.SHUT_WR)
            self._park(conn, self._discard, self.patience.linger_s)

    def _discard(self, conn: Connection) -> None:
        data = conn.sock.recv(RECEIVED_AT_ONCE)
        conn.discarded_bytes += len(data)
        if not data or conn.discarded_bytes > DISCARDED_MAX_BYTES:
            self._drop(conn)

    def _next(self, conn: Connection) -> None:
        """Wait for a request; gunicorn may have read some of it with the one before."""
        conn.held += conn.parser.unreader.take_buffered()
        begun = conn.held or not conn.kept
        wait_s = self.patience.request_s if begun else self.patience.idle_s
        self._park(conn, self._hear, wait_s if self.alive else STOP_LINGER_S)
        if conn.held:
            self._consider(conn)

    def _hear(self, conn: Connection) -> None:
        data = conn.sock.recv(RECEIVED_AT_ONCE)
        if data:
            if not conn.held:
                conn.deadline_s = time.monotonic() + self.patience.request_s
            conn.held += data
            self._consider(conn)
        elif conn.asked is not None:
            # The application can say that the body broke off.
            self._begin(conn)
        else:
            self._drop(conn)

    def _consider(self, conn: Connection) -> None:
        """Give the request a thread as soon as that need not wait for the client."""
        if conn.asked is None:
            conn.asked = asked(conn.held)
            if conn.asked is None:
                return
            conn.deadline_s = time.monotonic() + (
                self.patience.upload_s if conn.asked.upload else self.patience.request_s)
        if conn.asked.size is None:
            if self._reading[conn.asked.upload] >= BODY_THREADS:
                self._refuse(conn, 503, "UNAVAILABLE", BUSY)
                return
            self._reading[conn.asked.upload] += 1
            conn.sock.body_by_s = conn.deadline_s
        elif len(conn.held) < conn.asked.size:
            return
        self._begin(conn)

    def _begin(self, conn: Connection) -> None:
        self._unpark(conn)
        conn.parser.unreader.unread(bytes(conn.held))
        conn.held.clear()
        # Done with: gunicorn would look for its body once more, with a time-out of its own.
        conn.parser.mesg = None
        conn.sock.holds = True
        self.enqueue_req(conn)

    def _refuse(self, conn: Connection, status: int, code: str, message: str) -> None:
        conn.held.clear()
        conn.asked, conn.kept = None, False
        conn.sock.outbox += refusal(status, code, message)
        self._safely(conn, self._answered)

    def _park(self, conn: Connection, step: Callable[[Connection], None], wait_s: float,
              events: int = selectors.EVENT_READ) -> None:
        conn.sock.setblocking(False)
        conn.step, conn.deadline_s = step, time.monotonic() + wait_s
        self.poller.register(conn.sock, events, partial(self._woken, conn))
        self._parked[conn] = None

    def _unpark(self, conn: Connection) -> None:
        if conn in self._parked:
            del self._parked[conn]
            self.poller.unregister(conn.sock)

    def _woken(self, conn: Connection, sock: Any) -> None:
        """An event of the poller, for one that may have been closed since."""
        if conn in self._parked:
            self._safely(conn, conn.step)

    def _safely(self, conn: Connection, step: Callable[[Connection], None]) -> None:
        """A client that is gone costs its connection; an error here, gunicorn's main loop."""
        try:
            step(conn)
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            log.debug("A connection was lost: %s", error)
            self._drop(conn)

    def _drop(self, conn: Connection) -> None:
        self._unpark(conn)
        self.nr_conns -= 1
        conn.close()
