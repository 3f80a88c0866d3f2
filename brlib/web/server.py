"""gunicorn embedded: one `gthread` worker, the engine inside it, stopped before all else.

Started by the command line's `serve`. Each line that looks odd answers something measured
on gunicorn 27.0.1 and simple-websocket 1.1.0; `tests/test_server.py` holds a test for each.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sqlite3
import sys
from http import HTTPStatus
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.http import errors as refusals
from gunicorn.workers.gthread import ThreadWorker

from ..config import Settings
from ..errors import RecorderError, Unavailable
from ..service import Service
from ..workers import Pool, leftovers
from .app import create_app

log = logging.getLogger(__name__)

# Deadlines nest: the engine's own < this < systemd's TimeoutStopSec.
GRACEFUL_TIMEOUT_S = 4
# Threads beyond the WebSocket clients', so that those never starve the API.
SPARE_THREADS = 8
# An unread answer or a silent peer holds a thread at most so long.
PEER_SILENT_MAX_S = 30
LEFTOVERS_MAX_S = 0.5
LISTEN_BACKLOG = 256
CLOSERS = 4
# What gunicorn refuses itself, and with which status.
REFUSALS = {
    refusals.LimitRequestLine: 414, refusals.LimitRequestHeaders: 431,
    refusals.UnsupportedTransferCoding: 501, refusals.InvalidResponseHeader: 500,
    refusals.InvalidResponseHeaderName: 500, refusals.ConfigurationProblem: 500,
    refusals.ParseException: 400,
}
REFUSED_MAX_S = 1.0
MESSAGE_MAX = 300
# gunicorn's exit code for a worker that cannot boot: the master stops, too.
BOOT_FAILED = 3
# What gunicorn would answer with a second worker or none; a recorder is one process.
IGNORED_SIGNALS = (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2, signal.SIGWINCH)


class RecorderWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, which tells the engine of SIGTERM at once and closes
    connections without stalling its main thread."""

    engine: Service | None = None

    def init_process(self) -> None:
        self.closers = Pool("closer", CLOSERS)
        super().init_process()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM. gunicorn calls no hook for it and waits for open connections."""
        if self.engine is not None:
            self.engine.stop()
        super().handle_exit(sig, frame)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """SIGINT and SIGQUIT of the master: stop as cleanly."""
        self.handle_exit(sig, frame)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """What gunicorn refuses before the application sees it, in the API's shape instead of
        as a page of HTML."""
        status = next((s for kind, s in REFUSALS.items() if isinstance(exc, kind)), 500)
        code, message = "VALIDATION_ERROR", f"This is not a request that can be answered: {exc}"
        if status == 500:
            log.error("A request failed outside the application", exc_info=exc)
            code, message = "INTERNAL_ERROR", "Something went wrong here; the log says what"
        body = json.dumps({"error": {"code": code, "message": message[:MESSAGE_MAX]}}).encode()
        head = (f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nConnection: close\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n")
        try:
            client.settimeout(REFUSED_MAX_S)
            client.sendall(head.encode() + body)
        except OSError:
            log.debug("Whoever sent a bad request was gone already")

    def enqueue_req(self, conn: Any) -> None:
        """Lingering close takes up to 2 s a connection and would run in the main thread; and
        a WebSocket that closed its socket itself would be counted out twice."""
        if "close" not in vars(conn):
            really_close = conn.close

            def close(graceful: bool = False) -> None:
                def run() -> None:
                    try:
                        really_close(graceful=graceful)
                    except OSError as error:
                        log.debug("A connection was closed already: %s", error)

                if not graceful or not self.closers.submit("closer", run):
                    try:
                        really_close()
                    except OSError as error:
                        log.debug("A connection was closed already: %s", error)

            conn.close = close
        super().enqueue_req(conn)


class Server(BaseApplication):  # type: ignore[misc]
    """The application that gunicorn runs; `run()` ends by SystemExit."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._service = Service(settings)
        super().__init__()

    def load_config(self) -> None:
        settings = self._settings
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        for name, value in {
            "bind": [f"{host}:{settings.port}"],
            "workers": 1,
            "worker_class": RecorderWorker,
            "threads": settings.threads + settings.max_websockets + SPARE_THREADS,
            "worker_connections": 1000,
            "backlog": LISTEN_BACKLOG,
            "keepalive": 5,
            # The arbiter must never kill the recorder because an answer takes long.
            "timeout": 0,
            "graceful_timeout": GRACEFUL_TIMEOUT_S,
            "control_socket_disable": True,
            "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,
            "preload_app": False,
            "accesslog": None,
            "errorlog": "-",
            "loglevel": "warning",
            "proc_name": "battles-record",
            "when_ready": _when_ready,
            "post_fork": _post_fork,
            "post_worker_init": _post_worker_init,
            "worker_exit": _worker_exit,
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Called in the worker, after the fork: threads would not survive it."""
        try:
            self._service.start()
        except (RecorderError, OSError, sqlite3.Error) as error:
            print(f"battles-record cannot start: {error}", file=sys.stderr)
            sys.exit(BOOT_FAILED)
        return create_app(self._service)

    @property
    def service(self) -> Service:
        return self._service


def serve(settings: Settings) -> int:
    """Run the daemon until it is told to stop; its exit code."""
    _try_address(settings)
    master = os.getpid()
    try:
        Server(settings).run()
    except SystemExit as ended:
        if os.getpid() != master:
            # The worker is a fork and comes by here, too: gunicorn reads its code.
            raise
        return 1 if ended.code else 0
    return 0


def _try_address(settings: Settings) -> None:
    """Say at once, and in one line, that the address is taken or not ours: gunicorn would try
    for five seconds. Raises Unavailable."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.create_server((settings.host, settings.port), family=family):
            return
    except OSError as error:
        raise Unavailable(
            f"Cannot listen on {settings.host} port {settings.port}: {error.strerror or error}. "
            "Another program may have it; host and port are in [server]") from error


def _ignore_signals() -> None:
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _when_ready(server: Any) -> None:
    """Options set on the listener hold for every accepted connection: a peer that takes
    nothing would otherwise hold a thread for ever."""
    for listener in server.LISTENERS:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if listener.sock.family in (socket.AF_INET, socket.AF_INET6):
            listener.sock.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, PEER_SILENT_MAX_S * 1000)
        log.info("Listening on %s", listener)
    _ignore_signals()


def _post_fork(server: Any, worker: RecorderWorker) -> None:
    worker.engine = server.app.service


def _post_worker_init(worker: RecorderWorker) -> None:
    _ignore_signals()
    log.info("Ready")


def _worker_exit(server: Any, worker: RecorderWorker) -> None:
    """The end of the worker, however it came. Whatever hangs in a socket by now holds
    nothing that is not on disk: the process leaves without waiting for it."""
    if worker.engine is not None:
        worker.engine.close()
    worker.closers.join(0.0)
    hanging = leftovers(LEFTOVERS_MAX_S)
    if hanging and worker.booted:
        log.info("Leaving without %s", ", ".join(hanging))
        logging.shutdown()
        os._exit(0)
