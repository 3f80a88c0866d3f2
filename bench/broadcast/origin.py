"""The origin of a table's broadcasts: a process of its own, so that its work is nobody's.

`python -m bench.broadcast.origin TEMPLATE --streams N --count C --pace P --window W` says on its
standard output, a JSON object a line, the port, then for each stream when its last segment was
answered. It obeys `end` on its standard input and leaves at the end of that. A stream's clock
starts when somebody has its first segment; its last `--tail` segments come in real time, so that it
ends as any broadcast does. `launch` starts and commands it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import socket
import sys
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bench.broadcast.template import SEGMENT_S, Template

HOST = "127.0.0.1"
# What a stream lists before anybody watches.
AT_BEGIN = 3
CLIENT_MAX_S = 60
_PATH = re.compile(r"/(\d+)/(?:live\.m3u8|seg-(\d+)\.ts)")


class Stream:
    """What is listed at each moment. The playlist is over from the moment on at which its last
    segment was answered."""

    def __init__(self, number: int, count: int, pace: float, window: int, tail: int) -> None:
        self._number = number
        self._count = count
        self._fast = max(0, count - tail - AT_BEGIN)
        self._pace = pace
        self._window = window
        self._lock = threading.Lock()
        self._begun_s: float | None = None
        self._answered = -1
        self._over = False

    def _published(self) -> int:
        if self._begun_s is None:
            return min(self._count, AT_BEGIN)
        gone_s = time.monotonic() - self._begun_s
        fast_s = self._fast * SEGMENT_S / self._pace
        more = (gone_s * self._pace / SEGMENT_S if gone_s < fast_s
                else self._fast + (gone_s - fast_s) / SEGMENT_S)
        return min(self._count, AT_BEGIN + int(more))

    def has(self, segment: int) -> bool:
        with self._lock:
            return segment < self._published()

    def playlist(self) -> bytes:
        with self._lock:
            published, over = self._published(), self._over
        first = max(0, published - self._window)
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{SEGMENT_S}",
                 f"#EXT-X-MEDIA-SEQUENCE:{first}"]
        for segment in range(first, published):
            lines += (f"#EXTINF:{SEGMENT_S}.0,", f"seg-{segment}.ts")
        return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if over else []), ""]).encode()

    def answered(self, segment: int) -> None:
        with self._lock:
            self._answered = max(self._answered, segment)
            if self._begun_s is None:
                self._begun_s = time.monotonic()
            self._end_if_all()

    def end(self) -> None:
        """What is listed now is all."""
        with self._lock:
            self._count = self._published()
            self._end_if_all()

    def _end_if_all(self) -> None:
        if self._answered == self._count - 1 and not self._over:
            self._over = True
            say(stream=self._number, last_s=time.monotonic(), count=self._count)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = CLIENT_MAX_S

    def __init__(self, template: Template, streams: list[Stream], *args: Any) -> None:
        self._template = template
        self._streams = streams
        super().__init__(*args)

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        found = _PATH.fullmatch(self.path)
        if found is None or int(found[1]) >= len(self._streams):
            self._answer(404, "text/plain", b"")
            return
        stream = self._streams[int(found[1])]
        if found[2] is None:
            self._answer(200, "application/vnd.apple.mpegurl", stream.playlist())
            return
        segment = int(found[2])
        if not stream.has(segment):
            self._answer(404, "text/plain", b"")
            return
        self._answer(200, "video/mp2t", self._template.segment(segment))
        stream.answered(segment)

    def _answer(self, status: int, kind: str, body: bytes | bytearray) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Standard output is for `say`."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A recorder that hangs up in the middle of an answer is nothing to report."""


def say(**words: object) -> None:
    print(json.dumps(words), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("template", type=Path)
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--count", type=int, default=10 ** 9)
    parser.add_argument("--pace", type=float, default=1.0)
    parser.add_argument("--window", type=int, default=10)
    parser.add_argument("--tail", type=int, default=0)
    given = parser.parse_args()
    template = Template(given.template)
    streams = [Stream(number, given.count, given.pace, given.window, given.tail)
               for number in range(given.streams)]
    server = Server((HOST, 0), partial(Handler, template, streams))
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    say(port=server.server_port)
    for stream in itertools.chain.from_iterable(
            streams for line in sys.stdin if line.strip() == "end"):
        stream.end()
    server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
