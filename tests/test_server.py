"""gunicorn and simple-websocket as they really are: a test for each of their pitfalls."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from simple_websocket import Client, ConnectionClosed

from brlib.accounts import FirstAdmin
from brlib.config import Configuration, Settings
from brlib.web import server, ws
from brlib.web.connections import BODY_THREADS, MEDIA_THREADS, RecorderWorker

from .daemon import PROGRAM, ROOT, Daemon, run_command

SOCKETS = 6


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    one = Daemon(tmp_path_factory.mktemp("server"), max_websockets=SOCKETS, threads=2)
    try:
        yield one.start()
    finally:
        one.close()


def connect(one: Daemon) -> Any:
    """An authenticated WebSocket client and, read, its full state."""
    client = Client(f"ws://127.0.0.1:{one.port}/api/ws")
    client.send(json.dumps({"type": "auth", "token": one.key}))
    assert json.loads(client.receive(timeout=10))["type"] == "connected"
    return client


def close(client: Any) -> None:
    try:
        client.close()
    except ConnectionClosed:
        return
    finally:
        client.thread.join(10)


def test_the_engine_runs_in_the_worker_alone(shared: Daemon) -> None:
    """Threads do not survive a fork: the master must have none but its own."""
    threads = {pid: len(os.listdir(f"/proc/{pid}/task")) for pid in (
        shared.pid, shared.worker_pid)}
    assert threads[shared.pid] == 1
    assert threads[shared.worker_pid] > 1


def test_as_many_websockets_as_allowed_leave_room_for_requests(shared: Daemon) -> None:
    """Each holds a thread of the pool for its whole life."""
    with ExitStack() as stack:
        for _ in range(SOCKETS):
            stack.callback(close, connect(shared))
        for _ in range(20):
            assert shared.get("/api/channels") == {"channels": []}


def test_peers_that_linger_after_close_stall_nobody(shared: Daemon) -> None:
    """gunicorn's own lingering close takes up to 2 s a peer, in the main thread: 12 of them
    one after the other would take longer than the deadline of the request."""
    request = (f"GET /api/health HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {shared.key}\r\n"
               "Connection: close\r\n\r\n").encode()
    with ExitStack() as stack:
        for _ in range(12):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", shared.port), 10))
            peer.sendall(request)
            assert peer.recv(4096).startswith(b"HTTP/1.1 200")
        with socket.create_connection(("127.0.0.1", shared.port), 10) as late:
            late.sendall(request)
            assert late.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_large_state_reaches_a_slow_reader_whole(daemon: Callable[..., Daemon]) -> None:
    """simple-websocket 1.1.0 takes one short send for a whole one."""
    one = daemon()
    for number in range(150):
        status, _, _ = one.call("POST", "/api/channels", {
            "platform": "url", "name": f"http://127.0.0.1:9/{number}/" + "x" * 900,
            "enabled": False})
        assert status == 201
    with socket.socket() as narrow:
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.settimeout(10)
        narrow.connect(("127.0.0.1", one.port))
        narrow.sendall(b"GET /api/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                       b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        reader = narrow.makefile("rb")
        while reader.readline() != b"\r\n":
            pass
        narrow.sendall(masked(json.dumps({"type": "auth", "token": one.key}).encode()))
        assert reader.read(1) == b"\x81"
        assert reader.read(1) == b"\x7f"
        length = int.from_bytes(reader.read(8), "big")
        state = json.loads(reader.read(length))
        reader.close()
    assert len(state["data"]["channels"]) == 150


def masked(payload: bytes) -> bytes:
    """A client's text frame (RFC 6455 5.2) with a mask of zeros."""
    return bytes([0x81, 0x80 | len(payload)]) + bytes(4) + payload


def test_sigterm_with_open_websockets_and_kept_connections(daemon: Callable[..., Daemon]) -> None:
    one = daemon()
    with ExitStack() as stack:
        client = connect(one)
        stack.callback(close, client)
        kept = stack.enter_context(socket.create_connection(("127.0.0.1", one.port), 10))
        kept.sendall(b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.recv(100).startswith(b"HTTP/1.1 401")
        assert one.terminate() == 0
        with pytest.raises(ConnectionClosed) as closed:
            while client.receive(timeout=5) is not None:
                pass
        assert closed.value.reason == ws.CLOSE_GOING_AWAY
    assert not any("SIGKILL" in line or "Traceback" in line for line in one.log)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_ctrl_c_stops_the_engine_too(number: int, daemon: Callable[..., Daemon]) -> None:
    one = daemon()
    os.kill(one.pid, number)
    assert one.wait_exit() == 0
    assert any("The engine has stopped" in line for line in one.log)


def test_a_second_daemon_on_the_same_data_is_refused(shared: Daemon) -> None:
    second = run_command("serve", "--config", str(shared.config), BR_PORT="0")
    assert second.returncode == 1
    assert "Another Battles Record works in" in second.stderr
    assert "Traceback" not in second.stderr
    assert shared.get("/api/health")["status"] == "healthy"


@pytest.mark.parametrize(("environ", "says"), [
    ({"BR_DATA_DIRECTORY": "/proc/nowhere"}, "/proc/nowhere"),
    ({"BR_HOST": "203.0.113.1"}, "203.0.113.1"),
], ids=["no data directory", "not our address"])
def test_what_cannot_start_says_why(
    environ: dict[str, str], says: str, tmp_path: Path
) -> None:
    config = tmp_path / "config.ini"
    config.touch()
    ended = run_command("serve", "--config", str(config), **{"BR_PORT": "0", **environ})
    assert ended.returncode == 1
    assert says in ended.stderr


def test_settings_that_gunicorn_must_have(tmp_path: Path) -> None:
    made = server.Server(Configuration.fixed(Settings(max_websockets=10, threads=3)))
    cfg = made.cfg
    assert (cfg.workers, cfg.timeout, cfg.preload_app) == (1, 0, False)
    assert cfg.control_socket_disable is True
    assert cfg.worker_class is RecorderWorker
    assert cfg.threads >= 10 + 3 + MEDIA_THREADS + 2 * BODY_THREADS
    assert cfg.worker_connections > cfg.threads
    assert cfg.keepalive > 0
    assert cfg.graceful_timeout == server.GRACEFUL_TIMEOUT_S


@pytest.mark.parametrize(("options", "bind"), [
    ({}, "127.0.0.1:8080"),
    ({"host": "0.0.0.0", "port": 80}, "0.0.0.0:80"),
    ({"host": "::1"}, "[::1]:8080"),
    ({"host": "0.0.0.0", "local_only": True}, "127.0.0.1:8080"),
    ({"host": "::", "local_only": True}, "127.0.0.1:8080"),
])
def test_where_it_listens(options: dict[str, Any], bind: str) -> None:
    assert server.Server(Configuration.fixed(Settings(**options))).cfg.bind == [bind]


@pytest.mark.parametrize(("admin", "told"), [
    (None, ""),
    (FirstAdmin("admin", None), ""),
    (FirstAdmin("eva", "s3cret"), "The first user is 'eva', the password s3cret (shown only now).\n"
     "Change it with: battles_record.py user reset-password eva\n"),
], ids=["there is one", "password given", "password made"])
def test_a_made_password_is_told(
    admin: FirstAdmin | None, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server._tell_first_admin(admin)
    assert capsys.readouterr().err == told


def test_the_engine_can_end_the_daemon(daemon: Callable[..., Daemon]) -> None:
    """The end of the worker alone would only make gunicorn start another."""
    one = daemon(local_only=True)
    status, _, _ = one.call("POST", "/api/shutdown")
    assert status == 202
    assert one.wait_exit() == 0
    assert any("The engine has stopped" in line for line in one.log)


def test_silent_peers_are_dropped_by_the_kernel() -> None:
    """Options of the listener hold for what it accepts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server._when_ready(SimpleNamespace(LISTENERS=[SimpleNamespace(sock=listener)]))
        try:
            with socket.create_connection(listener.getsockname()), listener.accept()[0] as peer:
                assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
                assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        finally:
            for number in server.IGNORED_SIGNALS:
                signal.signal(number, signal.SIG_DFL)


def test_websockets_are_pinged_and_bounded() -> None:
    """A dead client is gone after two intervals; 60 s are promised."""
    assert 2 * ws.SERVER_OPTIONS["ping_interval"] <= 60
    assert ws.SERVER_OPTIONS["max_message_size"] <= 64 * 1024


def test_the_master_loads_no_more_than_it_needs() -> None:
    """What it has in memory, the worker has once more."""
    code = ("import sys, battles_record, brlib.web.server; print(*({'streamlink', 'flask', 'jwt',"
            "'requests', 'lxml', 'werkzeug', 'brlib.store'} & set(sys.modules)))")
    assert run_python(code) == ""


def test_the_worker_leaves_out_what_is_never_used() -> None:
    code = ("import sys; from brlib.omitted import leave_out; leave_out();"
            "import brlib.service, brlib.web.app;"
            "from brlib.platforms import Sessions; from brlib.capture import Capture;"
            "Sessions().new(); print('trio' in sys.modules)")
    assert run_python(code) == "False"


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30,
        check=True).stdout.strip()


def test_a_worker_told_to_end_before_the_engine_is_there_ends_it() -> None:
    told: list[str] = []
    worker = SimpleNamespace(engine=None, ppid=1, alive=False)
    engine = SimpleNamespace(stop=lambda: told.append("stop"))
    RecorderWorker.take(worker, engine)  # type: ignore[arg-type]
    assert worker.engine is engine and told == ["stop"]
    worker.alive = True
    RecorderWorker.take(worker, engine)  # type: ignore[arg-type]
    assert told == ["stop"]


@pytest.mark.parametrize("after_s", [0.0, 0.3, 0.6])
def test_sigterm_while_it_starts(after_s: float, tmp_path: Path) -> None:
    """It is not lost while the worker loads the engine."""
    config = tmp_path / "config.ini"
    config.touch()
    with subprocess.Popen(
            [sys.executable, str(PROGRAM), "serve", "--config", str(config)],
            env={**os.environ, "BR_PORT": "0"}, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "Listening on" in line:
                    break
            threading.Event().wait(after_s)
            begun_s = time.monotonic()
            process.terminate()
            said = process.stderr.read()
            assert process.wait(15) == 0, said
        finally:
            process.kill()
    assert time.monotonic() - begun_s < server.GRACEFUL_TIMEOUT_S, said
    assert "Traceback" not in said
