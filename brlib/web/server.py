"""gunicorn embedded: one `gthread` worker, the engine inside it, stopped before all else.

The master imports neither the engine nor the application: what it has loaded before the fork
would be in memory twice, because counting references writes into every shared page.
Started by the command line's `serve`. Each line that looks odd answers something measured
on gunicorn 27.0.1 and simple-websocket 1.1.0; `tests/test_server.py` holds a test for each.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
import socket
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication

from .. import heap
from ..ballast import Ballast
from ..config import Configuration, Settings
from ..errors import RecorderError, Unavailable
from ..naming import inside
from ..notify import Notifier
from ..omitted import leave_out
from ..workers import leftovers
from .connections import BODY_THREADS, MEDIA_THREADS, PARKED_MAX, RecorderWorker

if TYPE_CHECKING:
    from ..accounts import FirstAdmin

log = logging.getLogger(__name__)

# Deadlines nest: the engine's own < this < systemd's TimeoutStopSec.
GRACEFUL_TIMEOUT_S = 4
# Threads beyond those of WebSockets, bodies and downloads, so that none of these starves the
# API.
SPARE_THREADS = 8
# Files that may be open at the same time, if the system lets us: connections, and what must
# not be left without because of them.
FILES_MAX = 65536
OWN_FILES = 128
RECORDING_FILES = 32
CONNECTIONS_MIN = 32
LEFTOVERS_MAX_S = 0.5
LISTEN_BACKLOG = 1024
# gunicorn's exit code for a worker that cannot boot: the master stops, too.
BOOT_FAILED = 3
# What gunicorn would answer with a second worker or none; a recorder is one process.
IGNORED_SIGNALS = (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2, signal.SIGWINCH)


class Server(BaseApplication):  # type: ignore[misc]
    """The application that gunicorn runs; `run()` ends by SystemExit."""

    def __init__(self, configuration: Configuration, notifier: Notifier = Notifier()) -> None:
        self._settings = configuration.settings
        self._configuration = configuration
        self._notifier = notifier
        # Set after the fork.
        self.worker: RecorderWorker | None = None
        super().__init__()

    def load_config(self) -> None:
        settings = self._settings
        host = _host(settings)
        threads = _threads(settings)
        open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        for name, value in {
            "bind": [f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"],
            "workers": 1,
            "worker_class": RecorderWorker,
            "threads": threads,
            "worker_connections": connections_max(
                threads, settings.max_concurrent_recordings, open_files),
            "backlog": LISTEN_BACKLOG,
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
            # No header of a client's changes what the application sees.
            "forwarder_headers": "",
            "forwarded_allow_ips": "",
            "when_ready": _when_ready,
            "post_fork": _post_fork,
            "post_worker_init": _post_worker_init,
            "worker_exit": _worker_exit,
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Called in the worker, after the fork: threads would not survive it. SIGTERM is heard
        by then: what is loaded takes half a second and more."""
        heap.settle()
        leave_out()
        from ..service import Service
        from .app import create_app

        service = Service(self._configuration, notifier=self._notifier)
        if self.worker is not None:
            self.worker.take(service)
        try:
            service.start()
        except (RecorderError, OSError, sqlite3.Error) as error:
            why = _option_of(error, self._settings) + (
                Ballast(self._settings.data_directory).reason(error))
            print(f"battles-record cannot start: {why}", file=sys.stderr)
            sys.exit(BOOT_FAILED)
        _tell_first_admin(service.first_admin)
        return create_app(service)


def _option_of(error: Exception, settings: Settings) -> str:
    """Which option names the directory that an error is about, as the beginning of a sentence."""
    path = getattr(error, "filename", None)
    for name in ("data_directory", "output_directory"):
        place = getattr(settings, name)
        if isinstance(path, str) and (Path(path) == place or inside(Path(path), place)):
            return f"{name} in [storage] cannot be used: "
    return ""


def serve(configuration: Configuration) -> int:
    """Run the daemon until it is told to stop; its exit code. Raises Unavailable."""
    settings = configuration.settings
    _try_address(_host(settings), settings.port)
    raise_open_files()
    master = os.getpid()
    notifier = Notifier.of(os.environ)
    try:
        Server(configuration, notifier).run()
    except SystemExit as ended:
        if os.getpid() != master:
            # The worker is a fork and comes by here, too: gunicorn reads its code.
            raise
        return 1 if ended.code else 0
    return 0


def _host(settings: Settings) -> str:
    return "127.0.0.1" if settings.local_only else settings.host


def _threads(settings: Settings) -> int:
    """Made as they are needed."""
    return (settings.threads + settings.max_websockets + SPARE_THREADS + MEDIA_THREADS
            + 2 * BODY_THREADS)


def connections_max(threads: int, recordings: int, open_files: int) -> int:
    """How many clients may be connected, so that recordings never lack a descriptor."""
    taken = OWN_FILES + MEDIA_THREADS + recordings * RECORDING_FILES
    if open_files == resource.RLIM_INFINITY:
        return threads + PARKED_MAX
    return max(CONNECTIONS_MIN, min(threads + PARKED_MAX, open_files - taken))


def raise_open_files() -> None:
    """The soft limit is often 1024, for the sake of programs that use select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _tell_first_admin(admin: FirstAdmin | None) -> None:
    """Once, where nobody but who started the program reads it."""
    if admin is not None and admin.password is not None:
        print(f"The first user is {admin.username!r}, the password {admin.password} "
              f"(shown only now).\nChange it with: battles_record.py user reset-password "
              f"{admin.username}", file=sys.stderr, flush=True)


def _try_address(host: str, port: int) -> None:
    """Say at once, and in one line, that the address is taken or not ours: gunicorn would try
    for five seconds. Raises Unavailable."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family):
            return
    except OSError as error:
        raise Unavailable(
            f"Cannot listen on {host} port {port}: {error.strerror or error}. "
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
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT,
                int(RecorderWorker.patience.silent_s * 1000))
        log.info("Listening on %s", listener)
    _ignore_signals()


def _post_fork(server: Any, worker: RecorderWorker) -> None:
    # Looking for garbage among what the master has loaded would write into all of it.
    gc.freeze()
    server.app.worker = worker


def _post_worker_init(worker: RecorderWorker) -> None:
    _ignore_signals()
    if worker.engine is not None:
        worker.engine.notifier.ready(worker.engine.status_line())
    log.info("Ready")


def _worker_exit(server: Any, worker: RecorderWorker) -> None:
    """The end of the worker, however it came. Whatever hangs in a socket by now holds
    nothing that is not on disk: the process leaves without waiting for it."""
    if worker.engine is not None:
        worker.engine.close()
    hanging = leftovers(LEFTOVERS_MAX_S)
    if hanging and worker.booted:
        log.info("Leaving without %s", ", ".join(hanging))
        logging.shutdown()
        os._exit(0)
