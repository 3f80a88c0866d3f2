"""Tests of the requests behind logins, over real sockets: bounded, not led away, not helped."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from brlib.credentials.exchange import Exchange, new_session
from brlib.errors import PlatformError, Trouble
from brlib.platforms import heads, sessions
from brlib.workers import Worker

from .credentials_home import MARK, secret

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def peer(answer: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """The address of a server that answers each connection so, and what it was sent."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.02)

        def step() -> float:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                return 0.0
            with connection:
                connection.settimeout(5.0)
                try:
                    heard.append(request_of(connection))
                    answer(connection)
                except OSError:
                    heard.append(b"gone")
            return 0.0

        worker = Worker("peer", step)
        worker.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
        finally:
            worker.stop()
            assert worker.join(10.0)


def request_of(connection: socket.socket) -> bytes:
    """Head and body, whole: what is left unread would break the answer."""
    data = b""
    while True:
        head, found, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if found and len(body) >= (int(length[1]) if length else 0):
            return data
        piece = connection.recv(65536)
        if not piece:
            return data
        data += piece


def says(raw: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(raw)


def body(raw: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(raw) + raw


def endless(piece: bytes, first: bytes = HEAD + b"\r\n") -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(piece)

    return answer


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert MARK not in caplog.text


def test_a_form_and_its_answer() -> None:
    with peer(says(body(b'{"a": 1}'))) as (url, heard):
        answer = Exchange().post(url + "/x", {"token": secret("a/b+c")}, {"X-Y": secret("h")})
    assert (answer.host, answer.status, answer.data) == ("127.0.0.1", 200, {"a": 1})
    head, _, sent = heard[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /x HTTP/1.1\r\n")
    assert sent == f"token=a%2Fb%2Bc-{MARK}".encode()
    assert b"X-Y: h-" + MARK.encode() in head
    assert MARK not in repr(answer)


@pytest.mark.parametrize("raw", [b"", b"[1]", b"5", b"<html>", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object(raw: bytes) -> None:
    with peer(says(body(raw))) as (url, _):
        assert Exchange().get(url).data == {}


@pytest.mark.parametrize("answer", [
    says(b""), says(b"nonsense\r\n\r\n"), says(HEAD + b"Content-Length: 99\r\n\r\n{"),
    says(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    says(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),
    endless(b"x" * 65536), endless(b"X: y\r\n", HEAD), endless(b"x" * 65536, b""),
], ids=["none", "nonsense", "broken off", "bad chunk", "bad gzip", "endless body",
        "endless head", "endless line"])
def test_no_answer(
    answer: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "WHOLE_MAX_BYTES", 1024 * 1024)
    monkeypatch.setattr(heads, "HEAD_MAX_S", 2.0)
    with peer(answer) as (url, _), pytest.raises(PlatformError, match="cannot be reached") as e:
        Exchange().get(url + "/" + "path")
    assert str(e.value).startswith("127.0.0.1 cannot be reached (")
    assert e.value.__cause__ is None


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(PlatformError, match="ConnectionError"):
        Exchange().get(f"http://127.0.0.1:{port}")


def test_what_requests_would_repeat_is_not_repeated() -> None:
    """It names the value of a header that it does not take."""
    with pytest.raises(PlatformError) as caught:
        Exchange().get("http://127.0.0.1:1/", {"Authorization": f"Bearer {MARK}\n"})
    assert MARK not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    with peer(says(body(b"{}"))) as (elsewhere, heard):
        redirect = (f"HTTP/1.1 {status} Go\r\nLocation: {elsewhere}/\r\n"
                    "Content-Length: 0\r\n\r\n").encode()
        with peer(says(redirect)) as (url, _):
            answer = Exchange().post(url, {"token": secret("a")})
    assert (answer.status, answer.location) == (status, elsewhere + "/")
    assert heard == []


def test_a_netrc_replaces_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with peer(says(body(b"{}"))) as (url, heard):
        Exchange().get(url, {"Authorization": "Bearer mine"})
        requests.get(url, headers={"Authorization": "Bearer mine"}, timeout=5)
    assert b"Authorization: Bearer mine\r\n" in heard[0]
    assert b"Authorization: Basic" in heard[1]  # or this test shows nothing


def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with peer(says(body(b'{"by": "proxy"}'))) as (url, heard):
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert Exchange().get("http://id.example/x").data == {"by": "proxy"}
    assert heard[0].startswith(b"GET http://id.example/x HTTP/1.1")


@pytest.mark.parametrize("status, header, trouble, wait_s", [
    (429, "7", Trouble.RATE_LIMITED, 7.0), (429, "", Trouble.RATE_LIMITED, None),
    (429, "86400", Trouble.RATE_LIMITED, 3600.0), (503, "soon", Trouble.ERROR, None),
    (503, "Wed, 21 Oct 2999 07:28:00 GMT", Trouble.ERROR, 3600.0), (500, "9", Trouble.ERROR, 9.0),
])
def test_troubles(status: int, header: str, trouble: Trouble, wait_s: float | None) -> None:
    raw = f"HTTP/1.1 {status} X\r\nRetry-After: {header}\r\nContent-Length: 0\r\n\r\n"
    with peer(says(raw.encode())) as (url, _), pytest.raises(PlatformError) as caught:
        Exchange().get(url)
    assert (caught.value.trouble, caught.value.retry_after_s) == (trouble, wait_s)


def test_sessions_bound_their_answers() -> None:
    with new_session() as session:
        for scheme in ("http://", "https://"):
            adapter: Any = session.get_adapter(scheme + "x")
            assert isinstance(adapter, sessions.BoundedAdapter)
            assert adapter.max_retries.total == 0
