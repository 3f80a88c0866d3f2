"""Many live HLS streams out of one set of segments, as cheaply as that can be served.

A process of its own, so that its CPU is nobody's: `python -m bench.cost.origin MEDIA STREAMS`
prints its port and ends with its standard input. Stream i is `/i/live.m3u8`; its clock begins
with the process, a share of a segment later than that of the stream before. `/served` tells
which segments were given whole, `/end` closes all playlists. Started by `bench.cost.load`.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections import defaultdict
from http import HTTPStatus
from io import FileIO
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

SEGMENT_S = 2.0
WINDOW = 6
# How long a segment that left the playlist can still be had, in segments (RFC 8216, 6.2.2).
KEPT = 6
IDLE_MAX_S = 60.0
_SEGMENT = re.compile(r"/(\d+)/(\d+)\.ts")
_PLAYLIST = re.compile(r"/(\d+)/live\.m3u8")


class Streams:
    """What is offered at this moment, and what was given."""

    def __init__(self, media: Path, streams: int) -> None:
        self._files = [open(path, "rb", buffering=0) for path in sorted(media.glob("*.ts"))]
        self._sizes = [os.fstat(file.fileno()).st_size for file in self._files]
        self._streams = streams
        self._begun_s = time.monotonic()
        self._ended_s: float | None = None
        self._lock = threading.Lock()
        self._served: dict[int, list[int]] = defaultdict(list)

    def count(self, stream: int) -> int:
        """How many segments were offered so far."""
        now_s = self._ended_s or time.monotonic()
        later_s = SEGMENT_S * stream / self._streams
        whole = int((now_s - self._begun_s - later_s) / SEGMENT_S) + WINDOW
        return max(1, min(whole, len(self._files)))

    def playlist(self, stream: int) -> bytes:
        count = self.count(stream)
        first = max(0, count - WINDOW)
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{SEGMENT_S:.0f}",
                 f"#EXT-X-MEDIA-SEQUENCE:{first}"]
        for number in range(first, count):
            lines += [f"#EXTINF:{SEGMENT_S:.3f},", f"{number}.ts"]
        if self._ended_s is not None or count == len(self._files):
            lines.append("#EXT-X-ENDLIST")
        return ("\n".join(lines) + "\n").encode()

    def segment(self, stream: int, number: int) -> tuple[FileIO, int] | None:
        """File and size; None for what is not there, or no longer."""
        count = self.count(stream)
        if not max(0, count - WINDOW - KEPT) <= number < count:
            return None
        return self._files[number], self._sizes[number]

    def gave(self, stream: int, number: int) -> None:
        with self._lock:
            self._served[stream].append(number)

    def served(self) -> bytes:
        with self._lock:
            return json.dumps(self._served).encode()

    def end(self) -> None:
        self._ended_s = self._ended_s or time.monotonic()


class Answering(StreamRequestHandler):
    """One connection, kept open as long as the other side wants."""

    server: Server
    timeout = IDLE_MAX_S
    disable_nagle_algorithm = True

    def handle(self) -> None:
        try:
            while self._request():
                pass
        except (ConnectionError, TimeoutError):
            # Whoever is killed at the end of its turn hangs up in the middle of an answer.
            return

    def _request(self) -> bool:
        words = self.rfile.readline(4096).split()
        if len(words) != 3:
            return False
        keep = True
        while (line := self.rfile.readline(4096)) not in (b"\r\n", b"\n", b""):
            keep = keep and line.lower().strip() != b"connection: close"
        self._answer(words[1].decode("ascii"))
        return keep

    def _answer(self, path: str) -> None:
        streams = self.server.streams
        if found := _SEGMENT.fullmatch(path):
            self._segment(int(found[1]), int(found[2]))
        elif found := _PLAYLIST.fullmatch(path):
            self._send(HTTPStatus.OK, streams.playlist(int(found[1])))
        elif path == "/served":
            self._send(HTTPStatus.OK, streams.served())
        elif path == "/end":
            streams.end()
            self._send(HTTPStatus.OK, b"")
        else:
            self._send(HTTPStatus.NOT_FOUND, b"")

    def _segment(self, stream: int, number: int) -> None:
        found = self.server.streams.segment(stream, number)
        if found is None:
            self._send(HTTPStatus.NOT_FOUND, b"")
            return
        file, size_bytes = found
        self.wfile.write(_head(HTTPStatus.OK, size_bytes, "video/mp2t"))
        self.connection.sendfile(file, 0, size_bytes)
        self.server.streams.gave(stream, number)

    def _send(self, status: HTTPStatus, body: bytes) -> None:
        self.wfile.write(_head(status, len(body), "application/vnd.apple.mpegurl") + body)


def _head(status: HTTPStatus, size_bytes: int, kind: str) -> bytes:
    return (f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {size_bytes}\r\n\r\n").encode()


class Server(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        super().__init__(("127.0.0.1", 0), Answering)


def main() -> int:
    media, streams = Path(sys.argv[1]), int(sys.argv[2])
    server = Server(Streams(media, streams))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    # Whoever started it holds the other end, and lets go of it however it ends.
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
