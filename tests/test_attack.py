"""The real daemon under clients that hold every connection they can get.

It starts with a limit of open files that is too small for all that comes.
"""

from __future__ import annotations

import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from brlib.web import server

from . import media
from .daemon import Daemon
from .origin import Origin
from .scenario import publish


@pytest.mark.parametrize(("threads", "recordings", "open_files", "expected"), [
    (80, 3, 65536, 512),
    (80, 3, resource.RLIM_INFINITY, 512),
    (80, 3, 512, 512 - 128 - 16 - 3 * 32),
    (80, 500, 20000, 512),
    (80, 500, 1024, 32),
    (1300, 3, 65536, 1300 + 432),
])
def test_connections_leave_descriptors_for_recordings(
    threads: int, recordings: int, open_files: int, expected: int
) -> None:
    assert server.connections_max(threads, recordings, open_files) == expected


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    one = Daemon(tmp_path_factory.mktemp("connections"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        one.start()
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        yield one
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        one.close()


def test_the_daemon_may_open_as_many_files_as_it_is_let(daemon: Daemon) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, _ = resource.prlimit(daemon.worker_pid, resource.RLIMIT_NOFILE)
    assert soft == min(hard, server.FILES_MAX)


class Trickle:
    """Sends half a head on many connections, one byte each after the other, until it stops."""

    def __init__(self, socks: list[socket.socket]) -> None:
        self._socks = socks
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for byte in b"GET /api/health HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 10_000:
            for sock in list(self._socks):
                try:
                    sock.send(bytes([byte]))
                except OSError:
                    self._socks.remove(sock)
            if self._stopping.wait(0.02):
                return

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)


def attack(stack: ExitStack, port: int, key: str) -> None:
    """More connections than there is room for, of every kind that would like to hold a thread."""
    def client(said: bytes = b"") -> socket.socket:
        sock = stack.enter_context(socket.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(10)
        sock.connect(("127.0.0.1", port))
        sock.sendall(said)
        return sock

    login = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\n"
    health = b"GET /api/health HTTP/1.1\r\nHost: x\r\n"
    owner = b"Authorization: Bearer %s\r\n" % key.encode()
    for said, count in {
        b"": 600,
        health + b"\r\n": 100,
        login + b"Content-Length: 50\r\n\r\n{": 100,
        login + b"Content-Length: 1000000000\r\n\r\n": 50,
        login + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{": 50,
        health + owner + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{": 10,
        (health + owner + b"\r\n") * 20: 2,
    }.items():
        for _ in range(count):
            client(said)
    stack.callback(Trickle([client() for _ in range(200)]).stop)


def healthy(one: Daemon) -> bool:
    """Whether a new client is answered; an idle daemon needs milliseconds."""
    with socket.create_connection(("127.0.0.1", one.port), 5) as sock:
        sock.sendall(b"GET /api/health HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                     % one.key.encode() + b"Connection: close\r\n\r\n")
        return sock.recv(100).startswith(b"HTTP/1.1 200")


def test_an_attack_keeps_nobody_from_the_api_nor_a_recording_from_its_bytes(
    daemon: Daemon
) -> None:
    clips = media.ts_clips(12)
    with ExitStack() as stack:
        origin = stack.enter_context(Origin(window=len(clips)))
        publish(origin, clips[:4], every_s=0)
        attack(stack, daemon.port, daemon.key)
        daemon.renew_key()
        status, channel, _ = daemon.call(
            "POST", "/api/channels", {"platform": "url", "name": origin.url})
        assert status == 201
        daemon.wait("/api/recordings", lambda body: body["recordings"])
        assert all(healthy(daemon) for _ in range(20))
        attack(stack, daemon.port, daemon.key)
        daemon.renew_key()
        publish(origin, clips[4:])
        assert all(healthy(daemon) for _ in range(20))
        origin.end()
        recording = daemon.wait("/api/recordings", lambda body: body["recordings"] and (
            body["recordings"][0]["status"] == "complete"))["recordings"][0]
    assert recording["channel_id"] == channel["id"]
    assert (recording["completeness"], recording["gaps"]) == (1.0, 0)
    assert recording["segments"] == len(clips)
    assert not any("Traceback" in line for line in daemon.log)
