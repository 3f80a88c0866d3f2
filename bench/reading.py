"""Clients that ask over a connection that stays, and how long each answer takes.

On bare sockets: `http.client` takes as long for an answer as the daemon does. Used by table `api`.
"""

from __future__ import annotations

import itertools
import socket
import statistics
import threading
import time
from collections.abc import Iterator, Sequence

ANSWER_MAX_S = 30.0
# The daemon lets a key read 100 times a minute.
READS_EACH = 90


class Keys:
    """Each as often as it may; from any thread."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys: Iterator[str] = itertools.chain.from_iterable(
            itertools.repeat(key, READS_EACH) for key in keys)
        self._lock = threading.Lock()

    def next(self) -> str:
        with self._lock:
            return next(self._keys)


class Client:
    """One connection."""

    def __init__(self, port: int, keys: Keys) -> None:
        self._keys = keys
        self._host = f"127.0.0.1:{port}"
        self._sock = socket.create_connection(("127.0.0.1", port), ANSWER_MAX_S)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self._sock.close()

    def ms(self, path: str) -> float:
        """From the first byte sent to the last one received. Raises RuntimeError for anything but
        200."""
        asked = (f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n"
                 f"Authorization: Bearer {self._keys.next()}\r\n\r\n").encode()
        begun_s = time.perf_counter()
        self._sock.sendall(asked)
        answer = bytearray()
        while (end := answer.find(b"\r\n\r\n")) < 0:
            self._more(answer)
        head = bytes(answer[:end])
        size = next(int(line.partition(b":")[2]) for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:"))
        while len(answer) < end + 4 + size:
            self._more(answer)
        taken_s = time.perf_counter() - begun_s
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{path}: {bytes(answer[:500])!r}")
        return 1000 * taken_s

    def _more(self, answer: bytearray) -> None:
        data = self._sock.recv(1 << 18)
        if not data:
            raise ConnectionError("the daemon hung up in the middle of an answer")
        answer += data


def timed(port: int, keys: Keys, path: str, count: int, clients: int) -> list[float]:
    """How long `count` answers took in ms, asked for by so many clients at once."""
    found: list[float] = []
    errors: list[Exception] = []

    def ask(share: int) -> None:
        try:
            client = Client(port, keys)
            try:
                found.extend([client.ms(path) for _ in range(share)])
            finally:
                client.close()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=ask, args=(count // clients,)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return found


def share(values: Sequence[float], percent: int) -> float:
    """The value that so many percent stay below."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
