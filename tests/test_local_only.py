"""Local-only mode: no login, and no web page that could use it; stopping by the API."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import simple_websocket

from brlib.web.guard import is_loopback

from .daemon import Daemon
from .test_api import refused
from .listener import UPGRADE, upgrade


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    one = Daemon(tmp_path_factory.mktemp("local"), local_only="yes", host="0.0.0.0").start()
    yield one
    one.close()


def test_nobody_has_to_log_in(daemon: Daemon) -> None:
    for path in ("/api/channels", "/api/health", "/api/users", "/api/auth/keys", "/api/logs"):
        assert daemon.call("GET", path, key=None)[0] == 200
        assert daemon.call("GET", path, key="br_nonsense")[0] == 200
    status, channel, _ = daemon.call("POST", "/api/channels", {
        "platform": "url", "name": "http://127.0.0.1:9/x.m3u8", "enabled": False}, key=None)
    assert status == 201
    assert daemon.call("DELETE", f"/api/channels/{channel['id']}", key=None)[0] == 204
    assert daemon.get("/api/users") == {"users": []}, "nobody was made who could log in"


def test_it_listens_on_this_machine_alone(daemon: Daemon) -> None:
    ports = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    mine = [line.split()[1] for line in ports.splitlines() if f":{daemon.port:04X} " in line]
    assert {address.partition(":")[0] for address in mine} == {"0100007F"}


@pytest.mark.parametrize("host, loopback", [
    ("localhost", True), ("localhost:8080", True), ("127.0.0.1:8080", True), ("127.9.9.9", True),
    ("[::1]:8080", True), ("LOCALHOST", True), ("", False), ("example.org", False),
    ("localhost.example.org", False), ("127.0.0.1.example.org", False), ("0.0.0.0", False),
    ("192.168.1.5", False), ("[::2]", False), ("localhost@example.org", False),
    ("[::1", False), ("2130706433", False), ("xn--localhost-", False),
])
def test_hosts(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize("headers", [
    {"Host": "rebound.example:80"}, {"Host": "192.168.1.5"}, {"Origin": "https://example.org"},
    {"Origin": "null"}, {"Origin": "http://localhost:1"}, {"Origin": "http://127.0.0.1"},
    {"Origin": "file://"}, {"Origin": ""}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
])
@pytest.mark.parametrize("method, path", [
    ("GET", "/api/channels"), ("POST", "/api/shutdown"), ("GET", "/api/nothing"),
    ("POST", "/api/auth/login"),
])
def test_no_web_page_may_drive_it(
    daemon: Daemon, headers: dict[str, str], method: str, path: str
) -> None:
    for key in (None, ""):
        refused(daemon.call(method, path, {} if method == "POST" else None, key=key,
                            headers=headers), 403, "FORBIDDEN")


def test_its_own_page_may(daemon: Daemon) -> None:
    host = f"127.0.0.1:{daemon.port}"
    for headers in ({"Origin": f"http://{host}"}, {"Sec-Fetch-Site": "none"},
                    {"Sec-Fetch-Site": "same-origin"}, {"Host": f"localhost:{daemon.port}"},
                    {"Host": "localhost", "Origin": "http://localhost"}):
        assert daemon.call("GET", "/api/channels", key=None, headers=headers)[0] == 200


def test_websocket(daemon: Daemon) -> None:
    url = f"ws://127.0.0.1:{daemon.port}/api/ws"
    for foreign in ({"Origin": "https://example.org"}, {"Host": "rebound.example"}):
        status, _, body = upgrade(daemon.port, {**UPGRADE, **foreign})
        assert (status, json.loads(body)["error"]["code"]) == (403, "FORBIDDEN")
    client = simple_websocket.Client(url)
    try:
        # First: simple-websocket 1.1.0 sees a message that came together with the handshake's
        # answer only when something else comes.
        client.send(json.dumps({"type": "auth", "token": "whatever"}))
        assert json.loads(client.receive(timeout=10))["type"] == "connected"
        assert json.loads(client.receive(timeout=10))["type"] == "authenticated"
    finally:
        client.close()
        client.thread.join(5)


def test_shutdown(tmp_path: Path) -> None:
    one = Daemon(tmp_path, local_only="yes").start()
    try:
        status, body, _ = one.call("POST", "/api/shutdown", key=None)
        assert (status, body) == (202, {"status": "stopping"})
        assert one.wait_exit() == 0
        assert not os.path.exists(f"/proc/{one.pid}")
    finally:
        one.close()


def test_shutdown_elsewhere(tmp_path: Path) -> None:
    one = Daemon(tmp_path).start()
    try:
        refused(one.call("POST", "/api/shutdown"), 403, "FORBIDDEN")
        assert one.running()
    finally:
        one.close()
