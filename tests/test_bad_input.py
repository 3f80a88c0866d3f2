"""Bad input gets a clear error and changes nothing; bad clients cost nobody but themselves.

The HTTP tests speak to one daemon, which watches one channel that must stay as it is. Tests
of WebSocket clients that hang serve an engine in this process, whose bus they publish to.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from brlib.store.api_keys import FULL
from brlib.web import ws as feed
from brlib.web.app import create_app

from .daemon import Daemon
from .engine import Engine
from .faults import HTML, PAGE_TYPE, Asked, Fault, Reply
from .listener import Listener, wait_until
from .origin import Origin
from .test_api import add, refused, remove
from .test_ws import no_traceback

WATCHED = {"platform": "url", "name": "http://127.0.0.1:9/watched.m3u8", "enabled": False}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    one = Daemon(tmp_path_factory.mktemp("bad")).start()
    one.call("POST", "/api/channels", WATCHED)
    yield one
    one.close()


@pytest.fixture
def path(daemon: Daemon) -> str:
    """Of the channel that is watched."""
    return f"/api/channels/{daemon.get('/api/channels')['channels'][0]['id']}"


@pytest.fixture(autouse=True)
def unchanged(daemon: Daemon) -> Iterator[None]:
    """Channels, recordings and output are after each test what they were before."""
    def everything() -> tuple[Any, ...]:
        return (daemon.get("/api/channels"), daemon.get("/api/recordings"),
                sorted((daemon.directory / "recordings").rglob("*")),
                sorted((daemon.directory / "data" / "captures").iterdir()))

    before = everything()
    yield
    assert everything() == before
    no_traceback(daemon)


@pytest.mark.parametrize("name", [
    "shroud", "../x", "/etc/x", "{channel}/../../x", "file:///etc/passwd", "rtmp://a/b",
    "javascript:alert(1)", "data:text/html,x", "ftp://a/b", "//a/b", "http://", "http:///x",
    "http://a b/", "http://a:99999/", "http://a:b/", "http://[::1", "http://a/\x00", "", " ",
    "http://a/\ud800", "http://" + "a" * 3000, None, 5, ["http://a/"], {"http": 1}, True,
])
def test_no_address(daemon: Daemon, name: Any) -> None:
    refused(daemon.call("POST", "/api/channels", {"platform": "url", "name": name}),
            400, "VALIDATION_ERROR", "name")


@pytest.mark.parametrize(("field", "values"), [
    ("filename_template", [
        "../x", "/etc/x", "{channel}/../../x", "~/{id}", "{channel}\\..\\{id}", "", "{channel}/",
        "{nope}", "{channel", "same", "{channel.__class__}", "{0}", "{}", "{id!r}", "{id:>99}", 5]),
    ("quality", ["4k", "", "BEST ", 1080, None, ["source"]]),
    ("enabled", ["yes", "true", 1, None]),
    ("priority", [1.5, "1", True, 1001, -1001, None, 1e300]),
    ("display_name", ["", "a\nb", None, 5, "x" * 2001]),
    ("nmae", ["x"]), ("id", ["ch_aaaaaaaaaaaa"]), ("status", ["live"]), ("paused", ["yes", 0]),
])
def test_bad_options(daemon: Daemon, path: str, field: str, values: list[Any]) -> None:
    for value in values:
        body = {"platform": "url", "name": "http://bad.invalid/x", "enabled": False, field: value}
        for answer in (daemon.call("POST", "/api/channels", body),
                       daemon.call("PATCH", path, {"priority": 9, field: value})):
            refused(answer, 400, "VALIDATION_ERROR", field)


def test_platform_that_is_none_and_name_that_stays(daemon: Daemon, path: str) -> None:
    others: list[Any] = ["vimeo", "", "URL", None, 5, ["url"], {}]
    for platform in others:
        refused(daemon.call("POST", "/api/channels", {**WATCHED, "platform": platform}),
                400, "VALIDATION_ERROR", "platform")
    for field in ("name", "platform", "url"):
        refused(daemon.call("PATCH", path, {field: "url"}), 400, "VALIDATION_ERROR", field)


def test_bad_output_directories(daemon: Daemon, path: str, tmp_path: Path) -> None:
    data = daemon.directory / "data"
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(data)
    good = {"output_directory": str(tmp_path)}
    (tmp_path / "loop").symlink_to("loop")
    for odd in ("/" + "a" * 300, str(tmp_path / "loop" / "x")):
        refused(daemon.call("PATCH", path, {"output_directory": odd}), 400, "VALIDATION_ERROR",
                "output_directory")
    for directory in ("recordings", "./x", "~", "../../etc", str(data), str(data / "captures"),
                      str(data / "captures" / ".."), str(tmp_path / "link"), "/dev/null",
                      str(tmp_path / "file"), str(tmp_path / "missing"), "", 5):
        body = {"output_directory": directory}
        for answer in (daemon.call("PATCH", path, body), daemon.call("POST", "/api/channels", {
                **WATCHED, "name": "http://127.0.0.1:9/other", **body})):
            refused(answer, 400, "VALIDATION_ERROR", "output_directory")
    assert daemon.call("PATCH", path, good)[0] == 200
    assert daemon.call("PATCH", path, {"output_directory": None})[0] == 200


@pytest.mark.parametrize("raw", [
    b"", b"{", b'{"platform": "url", "name": "http://a/', b"[]", b'[{"platform": "url"}]', b"null",
    b'"x"', b"5", b"NaN", b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 20_000, b"platform=url",
    b'{"priority": ' + b"9" * 5000 + b"}",
], ids=lambda raw: repr(raw[:12]))
def test_bodies_that_are_no_object(daemon: Daemon, path: str, raw: bytes) -> None:
    for method, target in (("POST", "/api/channels"), ("PATCH", path)):
        message = refused(daemon.call(method, target, raw=raw), 400, "VALIDATION_ERROR")
        assert "JSON" in message


def test_body_that_is_too_large(daemon: Daemon) -> None:
    raw = json.dumps({**WATCHED, "name": "http://a/", "display_name": "x" * 300_000}).encode()
    assert "bytes" in refused(
        daemon.call("POST", "/api/channels", raw=raw), 413, "PAYLOAD_TOO_LARGE")


def test_body_that_ends_too_early(daemon: Daemon) -> None:
    with socket.create_connection(("127.0.0.1", daemon.port), 10) as sock:
        sock.sendall(b"POST /api/channels HTTP/1.1\r\nHost: x\r\nContent-Length: 200\r\n"
                     b"Authorization: Bearer " + daemon.key.encode() + b"\r\n\r\n"
                     b'{"platform": "url", "name": "http://a/"}')
        sock.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(sock)
        with answer:
            answer.begin()
            refused((answer.status, json.loads(answer.read()), dict(answer.headers)),
                    400, "VALIDATION_ERROR")


@pytest.mark.parametrize(("method", "path", "status", "code"), [
    ("GET", "/", 404, "NOT_FOUND"), ("GET", "/api/", 404, "NOT_FOUND"),
    ("GET", "/api/channel", 404, "NOT_FOUND"), ("GET", "/api//channels", 404, "NOT_FOUND"),
    ("POST", "/api/recordings/x/y", 404, "NOT_FOUND"),
    ("GET", "/api/channels/%00", 404, "CHANNEL_NOT_FOUND"),
    ("GET", "/api/recordings/..%2f..%2fetc", 404, "NOT_FOUND"),
    ("PUT", "/api/channels", 405, "METHOD_NOT_ALLOWED"),
    ("POST", "/api/health", 405, "METHOD_NOT_ALLOWED"),
    ("GET", "/api/recordings/x/stop", 405, "METHOD_NOT_ALLOWED"),
    ("GET", "/api/recordings?channel=" + "x" * 9000, 414, "VALIDATION_ERROR"),
])
def test_wrong_routes_and_methods(
    daemon: Daemon, method: str, path: str, status: int, code: str
) -> None:
    answer = daemon.call(method, path)
    refused(answer, status, code)
    assert ("Allow" in answer[2]) == (status == 405)


@pytest.mark.parametrize(("header", "value", "status"), [
    ("X-Long", "x" * 70_000, 431), ("Bad Name", "x", 400), ("Transfer-Encoding", "odd", 501),
    ("Content-Length", "many", 400),
])
def test_requests_that_no_route_sees(
    daemon: Daemon, header: str, value: str, status: int
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=10)
    try:
        connection.putrequest("GET", "/api/channels")
        connection._buffer.append(f"{header}: {value}".encode())  # type: ignore[attr-defined]
        connection.endheaders()
        answer = connection.getresponse()
        refused((answer.status, json.loads(answer.read()), dict(answer.headers)), status,
                "VALIDATION_ERROR")
    finally:
        connection.close()


@dataclass
class Page(Fault):
    """The address answers a web page while `now`, and is not there otherwise."""

    now: bool = True

    def act(self, asked: Asked) -> Reply | None:
        return Reply(200, HTML, PAGE_TYPE) if self.now else Reply(404)


def fails(daemon: Daemon, channel: dict[str, Any], *words: str) -> None:
    """A check is a platform error that says why, and the channel shows it."""
    path = f"/api/channels/{channel['id']}"
    message = refused(daemon.call("POST", f"{path}/check"), 502, "PLATFORM_ERROR")
    shown = daemon.get(path)
    assert (shown["status"], shown["last_error"]) == ("error", message)
    assert shown["recording_id"] is None and shown["last_checked_at"]
    assert all(word in message for word in words), message
    assert "s3cret" not in message


def test_addresses_without_a_stream(daemon: Daemon) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        closed = taken.getsockname()[1]
    with Origin() as origin:
        origin.faults.append(Broken())
        for address, words in (
            (f"{origin.base_url}/page.html?token=s3cret", ("HTML", ".m3u8")),
            (f"{origin.base_url}/empty.m3u8", ("no segments",)),
            (f"{origin.base_url}/broken.m3u8?token=s3cret", ("HTTP 500",)),
            (f"http://127.0.0.1:{closed}/live.m3u8?token=s3cret", ("cannot be reached",)),
        ):
            channel = add(daemon, address)
            fails(daemon, channel, *words)
            remove(daemon, channel)


class Broken(Fault):
    def act(self, asked: Asked) -> Reply | None:
        return Reply(500) if asked.path.startswith("/broken") else None


def test_one_error_per_incident(daemon: Daemon) -> None:
    page = Page()
    with Origin() as origin, contextlib.ExitStack() as exits:
        origin.faults.append(page)
        listener = Listener(daemon.port)
        exits.callback(listener.leave)
        listener.enter(daemon.key)
        channel = add(daemon, origin.url)
        path = f"/api/channels/{channel['id']}"
        for _ in range(3):
            fails(daemon, channel, "HTML")
        page.now = False
        assert daemon.call("POST", f"{path}/check")[1]["status"] == "offline"
        assert daemon.get(path)["last_error"] is None
        page.now = True
        fails(daemon, channel, "HTML")
        fails(daemon, channel, "HTML")
        daemon.call("PATCH", path, {"paused": True})
        heard = listener.hear_until(lambda m: m["data"].get("status") == "paused")
        remove(daemon, channel)
    told = [e["data"]["error"] if e["type"] == "channel_error" else e["data"]["status"]
            for e in heard]
    sentence = told[1]
    assert told == ["offline", sentence, "error", "offline", sentence, "error", "paused"]
    assert "HTML" in sentence


# Clients of the WebSocket that hang, and those beside them.


class Served:
    """An engine behind a server in this process, with little room for what is not read."""

    def __init__(self, engine: Engine) -> None:
        self.service = engine.service
        self.key = engine.service.store.api_keys.create("test", FULL)
        self._server = make_server("127.0.0.1", 0, create_app(engine.service), threaded=True)
        self._server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        self._server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.port

    def publish(self, count: int) -> None:
        for _ in range(count):
            self.service.bus.publish("disk_warning", {"pad": "x" * 500})

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()


@pytest.fixture
def served(engine: Callable[..., Engine]) -> Iterator[Served]:
    one = Served(engine())
    yield one
    one.close()


@pytest.fixture
def connect(served: Served) -> Iterator[Callable[[], Listener]]:
    made: list[Listener] = []

    def make() -> Listener:
        made.append(Listener(served.port))
        return made[-1]

    yield make
    for listener in made:
        listener.leave()


Connect = Callable[[], Listener]


def test_nothing_falls_between_state_and_first_event(served: Served, connect: Connect) -> None:
    stop = threading.Event()

    def talk() -> None:
        while not stop.wait(0.001):
            served.publish(3)

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        for _ in range(15):
            listener = connect()
            seq = listener.enter(served.key)["seq"]
            assert [listener.hear()["seq"] for _ in range(20)] == list(range(seq + 1, seq + 21))
            listener.leave()
    finally:
        stop.set()
        talker.join(5)


def test_silence_instead_of_a_token(
    served: Served, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert feed.AUTH_MAX_S == 10.0
    monkeypatch.setattr(feed, "AUTH_MAX_S", 0.4)
    code, heard = connect().hear_end()
    assert code == 4401
    assert [message["error"]["code"] for message in heard] == ["UNAUTHORIZED"]


def test_slow_client_is_told_to_reconnect_and_slows_nobody(
    served: Served, connect: Connect
) -> None:
    slow, quick = connect(), connect()
    seq = slow.enter(served.key)["seq"]
    assert quick.enter(served.key)["seq"] == seq
    slow.deafen()
    began_s = time.monotonic()
    for _ in range(20):
        served.publish(100)
        heard = [quick.hear()["seq"] for _ in range(100)]
        assert heard == list(range(seq + 1, seq + 101))
        seq += 100
    assert time.monotonic() - began_s < feed.SEND_MAX_S / 2
    slow.recover()
    code, late = slow.hear_end()
    assert code == 4408
    assert [event["seq"] for event in late] == list(range(1, len(late) + 1))
    assert 1000 <= len(late) < 2000


def test_client_that_takes_nothing_is_dropped(
    served: Served, connect: Connect, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(feed, "SEND_MAX_S", 0.5)
    caplog.set_level("INFO")
    hung, quick = connect(), connect()
    hung.enter(served.key)
    seq = quick.enter(served.key)["seq"]
    hung.deafen()
    served.publish(500)
    assert [quick.hear()["seq"] for _ in range(500)] == list(range(seq + 1, seq + 501))
    wait_until(lambda: "took nothing for too long" in caplog.text)
    hung.recover()
    assert len(hung.hear_end()[1]) < 500


def test_stopping_daemon_says_goodbye(served: Served, connect: Connect) -> None:
    listener = connect()
    listener.enter(served.key)
    served.service.stop()
    assert listener.hear_end()[0] == 1001
