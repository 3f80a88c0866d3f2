"""Clients that mean no good, against the worker alone: two threads, and little patience."""

from __future__ import annotations

import errno
import json
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from brlib.web.connections import BODY_THREADS, Connection, Patience, RecorderWorker
from brlib.web.wire import ClientSocket

THREADS = 2
ROOM = 64
PATIENT = Patience(request_s=10, upload_s=10, idle_s=10, silent_s=10, linger_s=1)
HASTY = replace(PATIENT, request_s=0.3, upload_s=0.4, linger_s=0.1)
LARGE = bytes(range(256)) * 24_000
GET = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /%s HTTP/1.1\r\nHost: x\r\n"
CLOSE = b"Connection: close\r\n\r\n"
IMAGE = b"api/channels/ch_a1b2c3d4e5f6/images/profile"


def application(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
    """/read answers what it was sent; /large a lot; / something, and reads nothing."""
    path, body = environ["PATH_INFO"], b"here"
    if path == "/large":
        body = LARGE
    elif path != "/":
        body = environ["wsgi.input"].read()
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]


class Bench:
    """A worker in a thread of this process, with few threads and little room."""

    def __init__(self) -> None:
        config = Config()
        config.set("threads", THREADS)
        config.set("worker_connections", ROOM)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.worker = RecorderWorker(
            1, os.getppid(), [self._listener], None, 0, config, Logger(config))
        self.worker.tpool = self.worker.get_thread_pool()
        # Its threads would be made as they are needed, and seem to leak.
        meeting = threading.Barrier(THREADS + 1)
        for _ in range(THREADS):
            self.worker.tpool.submit(meeting.wait)
        meeting.wait()
        self.worker.poller = selectors.DefaultSelector()
        self.worker.method_queue.init()
        self.worker.wsgi = application
        self._address = self._listener.getsockname()
        self._thread = threading.Thread(target=self.worker.run)
        self._thread.start()

    def client(self, said: bytes = b"", narrow: bool = False) -> socket.socket:
        """A connection that said something; a `narrow` one takes little unread."""
        sock = socket.socket()
        if narrow:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(10)
        sock.connect(self._address)
        sock.sendall(said)
        return sock

    def ask(self, said: bytes) -> bytes:
        with self.client(said) as sock:
            return heard(sock)

    def close(self) -> None:
        self.worker.handle_exit(0, None)
        self._thread.join(10)
        self.worker.tpool.shutdown()
        self.worker.tmp.close()


def heard(sock: socket.socket) -> bytes:
    """All that comes until the other side ends it."""
    data = bytearray()
    while piece := sock.recv(1 << 16):
        data += piece
    return bytes(data)


@pytest.fixture(scope="module")
def running() -> Iterator[Bench]:
    one = Bench()
    yield one
    one.close()


@pytest.fixture
def bench(running: Bench) -> Iterator[Bench]:
    running.worker.patience = PATIENT
    yield running
    wait_for(lambda: not running.worker.nr_conns, "all connections to end")


def wait_for(fact: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + 15
    pause = threading.Event()
    while not fact():
        assert time.monotonic() < deadline_s, f"waited in vain for {what}"
        pause.wait(0.02)


@pytest.mark.parametrize(("said", "status"), [
    (b"", b""),
    (b"GET / HTTP/1.1\r\nHo", b"408"),
    (POST % b"read" + b"Content-Length: 5\r\n\r\nab", b"408"),
    (POST % b"read" + b"Content-Length: 1000000000\r\n\r\nab", b"408"),
    (POST % b"read" + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab", b"408"),
    (POST % b"read" + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", b"100"),
    (POST % IMAGE + b"Content-Length: 5000000\r\n\r\nab", b"408"),
    (GET % b"" + b"GET / HTTP/1.1\r\nHo", b"200"),
], ids=["nothing", "half a head", "half a body", "a large body", "chunks", "expecting", "an image",
        "pipelined"])
def test_whoever_is_late_gets_an_end(said: bytes, status: bytes, bench: Bench) -> None:
    bench.worker.patience = HASTY
    answer = bench.ask(said)
    assert answer[9:12] == status
    if status == b"408":
        error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
        assert error["code"] == "VALIDATION_ERROR"


def test_an_idle_connection_ends(bench: Bench) -> None:
    bench.worker.patience = replace(PATIENT, idle_s=0.2)
    assert bench.ask(GET % b"").endswith(b"here")


def test_an_answer_that_nobody_takes_ends(bench: Bench) -> None:
    bench.worker.patience = replace(PATIENT, silent_s=0.2)
    with bench.client(GET % b"large", narrow=True) as sock:
        wait_for(lambda: bool(bench.worker.nr_conns), "the connection")
        wait_for(lambda: not bench.worker.nr_conns, "its end")
        assert not heard(sock).endswith(LARGE)


def test_an_answer_that_is_taken_slowly_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for: list[ClientSocket] = []

    def took_some(sock: ClientSocket) -> bool:
        asked_for.append(sock)
        return True

    monkeypatch.setattr(ClientSocket, "took_some", took_some)
    bench.worker.patience = replace(PATIENT, silent_s=0.2)
    with bench.client(GET[:-2] % b"large" + CLOSE, narrow=True) as sock:
        wait_for(lambda: len(asked_for) > 1, "the second question")
        assert heard(sock).endswith(LARGE)


def test_an_image_may_take_longer(bench: Bench) -> None:
    bench.worker.patience = replace(PATIENT, request_s=0.3)
    one = b"Content-Length: 5\r\n" + CLOSE + b"ab"
    with bench.client(POST % IMAGE + one) as image, bench.client(POST % b"read" + one) as other:
        assert heard(other)[9:12] == b"408"
        image.sendall(b"cde")
        assert heard(image).endswith(b"abcde")


@pytest.mark.parametrize("before", [b"", GET % b""], ids=["first", "kept"])
def test_bytes_that_trickle_win_no_time(before: bytes, bench: Bench) -> None:
    bench.worker.patience = HASTY
    pause = threading.Event()
    with bench.client(before) as sock, pytest.raises((BrokenPipeError, ConnectionResetError)):
        for _ in range(500):
            sock.sendall(b"G")
            pause.wait(0.02)


@pytest.mark.parametrize(("said", "narrow"), [
    (b"", False),
    (GET[:20], False),
    (GET % b"", False),
    (POST % b"read" + b"Content-Length: 50\r\n\r\n{", False),
    (POST % b"" + b"Content-Length: 1000000000\r\n\r\n", False),
    (POST % b"" + b"Transfer-Encoding: chunked\r\n\r\n", False),
    (GET % b"large", True),
    (GET % b"" + GET % b"large", True),
    (GET % b"large" + GET % b"large", True),
], ids=["nothing", "half a head", "kept", "half a body", "unread", "unread chunks", "slow reader",
        "slow reader that was kept", "slow reader that asks again"])
def test_clients_that_wait_hold_no_thread(said: bytes, narrow: bool, bench: Bench) -> None:
    """There are two, and five times as many clients."""
    with ExitStack() as stack:
        for _ in range(5 * THREADS):
            stack.enter_context(bench.client(said, narrow))
        for _ in range(10):
            assert bench.ask(GET[:-2] % b"" + CLOSE).endswith(b"here")


def test_a_slow_reader_gets_all(bench: Bench) -> None:
    with bench.client(GET[:-2] % b"large" + CLOSE, narrow=True) as sock:
        assert bench.ask(GET[:-2] % b"" + CLOSE).endswith(b"here")
        assert heard(sock).endswith(LARGE)


def test_pipelined_requests_are_answered_in_their_order(bench: Bench) -> None:
    one = POST % b"read" + b"Content-Length: 3\r\n\r\n"
    with bench.client(one + b"abc" + GET % b"" + one) as sock:
        sock.sendall(b"def" + GET[:-2] % b"")
        sock.sendall(CLOSE)
        answers = heard(sock).split(b"HTTP/1.1 200 OK")
    assert [a[-4:] for a in answers] == [b"", b"\nabc", b"here", b"\ndef", b"here"]


def test_who_still_sends_what_nobody_reads_gets_the_answer(bench: Bench) -> None:
    answer = bench.ask(POST % b"" + b"Content-Length: 5000000\r\n\r\n" + bytes(5_000_000))
    assert answer.endswith(b"here") and b"Connection: close" in answer


def test_bodies_for_threads_are_counted(bench: Bench) -> None:
    """As many as there are threads for; images have theirs."""
    bench.worker.patience = replace(PATIENT, request_s=0.5)
    endless = POST % b"read" + b"Transfer-Encoding: chunked\r\n\r\n"
    with ExitStack() as stack:
        held = [stack.enter_context(bench.client(endless))
                for _ in range(BODY_THREADS + 1)]
        answers = sorted(heard(sock)[9:12] for sock in held)
        assert answers == [b"408"] * BODY_THREADS + [b"503"]
    assert bench.ask(endless + b"2\r\nab\r\n0\r\n\r\n").endswith(b"\nab")


def test_the_longest_idle_makes_room(bench: Bench) -> None:
    with ExitStack() as stack:
        taking = stack.enter_context(bench.client(GET[:-2] % b"large" + CLOSE, narrow=True))
        wait_for(lambda: any(c.sock.outbox for c in list(bench.worker._parked)), "the answer")
        idle = [stack.enter_context(bench.client()) for _ in range(2 * ROOM)]
        assert [heard(sock) for sock in idle[:ROOM]] == [b""] * ROOM
        idle[-1].sendall(GET[:-2] % b"" + CLOSE)
        assert heard(idle[-1]).endswith(b"here")
        assert heard(taking).endswith(LARGE)


def test_without_a_descriptor_the_worker_goes_on(bench: Bench) -> None:
    worker = RecorderWorker(1, 1, [], None, 0, bench.worker.cfg, bench.worker.log)
    worker.tmp.close()
    worker.nr_conns = 7

    def accept() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    worker.accept(SimpleNamespace(accept=accept))
    assert worker.worker_connections == 0, "gunicorn accepts none"
    worker._accept_again_s = time.monotonic()
    worker.poller = selectors.DefaultSelector()
    try:
        worker.wait_for_and_dispatch_events(0)
    finally:
        worker.poller.close()
    assert worker.worker_connections == ROOM, "as many as before"


def test_a_connection_closed_by_its_websocket_is_counted_once(bench: Bench) -> None:
    """gunicorn's own second close raises, and it would count the connection out again."""
    worker = RecorderWorker(1, 1, [], None, 0, bench.worker.cfg, bench.worker.log)
    worker.tmp.close()
    worker.nr_conns = 1
    ours, theirs = socket.socketpair()
    with theirs:
        conn = Connection(worker.cfg, ClientSocket(ours, 1.0), ("127.0.0.1", 1), ("127.0.0.1", 2))
        conn.sock.close()
        done: Future[bool] = Future()
        done.set_result(False)
        worker.finish_request(conn, done)
    assert worker.nr_conns == 0
