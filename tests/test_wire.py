"""When a request is there to be answered, and the socket in which nobody waits for ever."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.exceptions import RequestTimeout

from brlib.web.wire import (BODY_MAX_BYTES, HEAD_MAX_BYTES, OUTBOX_MAX_BYTES, Asked, ClientSocket,
                            asked)

LARGE = bytes(range(256)) * 24_000
IMAGE = b"api/channels/ch_a1b2c3d4e5f6/images/profile"


@pytest.mark.parametrize(("held", "expected"), [
    (b"", None),
    (b"GET / HT", None),
    (b"GET / HTTP/1.1\r\nHost: x\r\n", None),
    (b"GET / HTTP/1.1\r\nHost: x\r", None),
    (b"GET / HTTP/1.1\r\n\r\n", Asked(18)),
    (b"GET / HTTP/1.1\r\n\r\nGET / HT", Asked(18)),
    (b"GET / HTTP/1.1\nHost: x\n\n", Asked(None)),
    (b"GET /" + b"a" * HEAD_MAX_BYTES, Asked(None)),
    (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", Asked(43)),
    (b"POST / HTTP/1.1\r\ncontent-length:5 \r\n\r\nabcdefgh", Asked(43)),
    (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % BODY_MAX_BYTES, Asked(42 + BODY_MAX_BYTES)),
    (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (BODY_MAX_BYTES + 1), Asked(None)),
    (b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", Asked(None)),
    (b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", Asked(None)),
    (b"POST / HTTP/1.1\r\nContent-Length: %s\r\n\r\n" % (b"9" * 5000), Asked(None)),
    (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Asked(None)),
    (b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", Asked(None)),
    (b"POST /%s HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n" % IMAGE, Asked(None, upload=True)),
    (b"POST /%s?a HTTP/1.1\r\nContent-Length: 1\r\n\r\n" % IMAGE, Asked(84, upload=True)),
    (b"POST /?/images/profile HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n", Asked(None)),
    (b"POST /%ss HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n" % IMAGE, Asked(None)),
])
def test_when_a_thread_can_begin(held: bytes, expected: Asked | None) -> None:
    assert asked(held) == expected


@pytest.fixture
def pair() -> Iterator[tuple[ClientSocket, socket.socket]]:
    """The worker's end of a connection, and the client's."""
    ours, theirs = socket.socketpair()
    with ClientSocket(ours, 0.05) as sock, theirs:
        sock.setblocking(True)
        yield sock, theirs


def test_an_answer_waits_outside_the_thread(pair: tuple[ClientSocket, socket.socket]) -> None:
    sock, client = pair
    sock.holds = True
    sock.sendall(LARGE)
    assert sock.outbox and len(sock.outbox) > OUTBOX_MAX_BYTES
    with pytest.raises(ConnectionResetError):
        sock.sendall(b"the next piece of a long answer waits for its client")
    client.settimeout(10)
    taken = b""
    while len(taken) < len(LARGE):
        taken += client.recv(1 << 20)
        sock.flush()
    assert taken == LARGE and not sock.outbox


def test_a_download_comes_behind_what_waits(
    pair: tuple[ClientSocket, socket.socket], tmp_path: Path
) -> None:
    sock, client = pair
    sock.settimeout(5)
    client.settimeout(5)
    sock.holds = True
    sock.sendall(LARGE)
    path = tmp_path / "file"
    path.write_bytes(b"file")
    with path.open("rb") as file, client.makefile("rb") as reader:
        taker = threading.Thread(target=lambda: taken.append(reader.read(len(LARGE) + 4)))
        taken: list[bytes] = []
        taker.start()
        sock.sendfile(file)
        taker.join(10)
    assert taken == [LARGE + b"file"]


def test_a_download_that_nobody_takes_ends(
    pair: tuple[ClientSocket, socket.socket], tmp_path: Path
) -> None:
    """gunicorn would log a time-out with a traceback."""
    sock, _ = pair
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    with path.open("rb") as file, pytest.raises(ConnectionResetError):
        sock.sendfile(file)


def test_a_slow_download_goes_on(
    pair: tuple[ClientSocket, socket.socket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket says nothing until much was taken."""
    sock, _ = pair
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    taken = [False, True, True]
    monkeypatch.setattr(sock, "took_some", taken.pop)
    with path.open("rb") as file, pytest.raises(ConnectionResetError):
        sock.sendfile(file, 0, len(LARGE))
    assert not taken


def test_whether_a_peer_takes_something(pair: tuple[ClientSocket, socket.socket]) -> None:
    sock, client = pair
    sock.sendall(b"some")
    sock.sendall(b"more")
    assert [sock.took_some(), sock.took_some()] == [True, False]
    assert client.recv(4) == b"some"
    assert [sock.took_some(), sock.took_some()] == [True, False]


def test_a_file_that_became_shorter_breaks_off(
    pair: tuple[ClientSocket, socket.socket], tmp_path: Path
) -> None:
    sock, client = pair
    path = tmp_path / "short"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file, pytest.raises(ConnectionResetError):
        sock.sendfile(file, 2, 100)
    assert client.recv(100) == b"23456789"


def test_a_websocket_sends_for_itself(pair: tuple[ClientSocket, socket.socket]) -> None:
    """It has to notice that its client is slow, and is nothing that must be in by a time."""
    sock, _ = pair
    sock.holds, sock.body_by_s = True, time.monotonic()
    sock.settimeout(0.05)
    with pytest.raises(TimeoutError):
        sock.sendall(LARGE)
    with pytest.raises(TimeoutError):
        sock.recv(1)


def test_the_rest_of_a_body_has_one_deadline(pair: tuple[ClientSocket, socket.socket]) -> None:
    sock, client = pair
    sock.holds, sock.body_by_s = True, time.monotonic() + 0.1
    with pytest.raises(RequestTimeout):
        while True:
            client.sendall(b"x")
            assert sock.recv(1) == b"x"
