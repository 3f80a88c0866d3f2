"""The stand-in HLS origin: a scripted livestream on 127.0.0.1 that knows exactly what it offered.

Owns the sliding playlist, the lifetime of segments, keys and byte ranges, and the record of
requests. Used by every test that records; clips come from `tests.media`, misbehaviour from
`tests.faults`, the sockets are those of `tests.origin_web`.
"""

from __future__ import annotations

import hashlib
import math
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Self

from Crypto.Cipher import AES
from Crypto.Util.Padding import pad

from tests.faults import HTML, LIST_TYPE, PAGE_TYPE, Asked, Fault, Offered, Reply, Request
from tests.media import Clip
from tests.origin_web import HOST, STOP_LIMIT_S, Web

VARIANTS = {"1080p60": (1920, 1080, 60, 6_000_000), "720p": (1280, 720, 30, 3_000_000),
            "360p": (640, 360, 30, 800_000)}
KEY_EVERY = 5
RANGED_PER_FILE = 8


@dataclass
class _Entry:
    """A published segment on the wire: bytes [start, start+len) of the resource item.name."""

    item: Offered
    wire: bytes
    start: int
    ranged: bool
    key: str | None
    init: str | None
    date: str | None
    added_s: float
    gone_at: float = math.inf

    def lines(self, before: _Entry | None) -> list[str]:
        """Its playlist lines, with the tags that still hold from the entry before left off."""
        lines = ["#EXT-X-DISCONTINUITY"] if self.item.discontinuity else []
        key = before.key if before else None
        if self.init and (before is None or before.init != self.init):
            # Init sections are sent in clear, and a key would apply to a map that follows it.
            lines += ["#EXT-X-KEY:METHOD=NONE"] if key else []
            lines.append(f'#EXT-X-MAP:URI="{self.init}"')
            key = None
        if self.key and self.key != key:
            lines.append(f'#EXT-X-KEY:METHOD=AES-128,URI="{self.key}"')
        if self.date:
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{self.date}")
        lines.append(f"#EXTINF:{self.item.duration_s:.5f},")
        if self.ranged:
            runs_on = before is not None and before.item.name == self.item.name
            offset = "" if runs_on else f"@{self.start}"
            lines.append(f"#EXT-X-BYTERANGE:{len(self.wire)}{offset}")
        return [*lines, self.item.name]


@dataclass(eq=False)
class Playback:
    """Publishes clips in real time from its own thread; errors come out of `wait`."""

    origin: Origin
    clips: Iterable[Clip]
    every_s: float
    init: bytes | None
    then_end: bool
    stalls: Mapping[int, float]
    ended_at: float | None = None

    def __post_init__(self) -> None:
        self._error: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        due = time.monotonic()
        try:
            for index, clip in enumerate(self.clips):
                due += self.stalls.get(index, 0.0)
                if self._stop.wait(max(0.0, due - time.monotonic())):
                    return
                self.origin.add(clip, init=self.init)
                due += self.every_s
            if self.then_end:
                self.origin.end()
                self.ended_at = time.monotonic()
        except Exception as error:
            self._error = error

    def wait(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TimeoutError(f"still playing after {timeout_s} s")
        if self._error:
            raise self._error

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(STOP_LIMIT_S)


def _part(body: bytes, wanted: str | None, kind: str) -> tuple[int, Reply]:
    """The first byte asked for and the answer to a request for all or one range of `body`."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted or "")
    if not match or not any(match.groups()):
        return 0, Reply(200, body, kind, (("Accept-Ranges", "bytes"),))
    first, last = match.groups()
    start = int(first) if first else max(0, len(body) - int(last))
    stop = min(int(last) + 1, len(body)) if first and last else len(body)
    if start >= stop:
        return start, Reply(416, headers=(("Content-Range", f"bytes */{len(body)}"),))
    span = f"bytes {start}-{stop - 1}/{len(body)}"
    return start, Reply(206, body[start:stop], kind, (("Content-Range", span),))


def _fixed_pages() -> dict[str, Reply]:
    master = "#EXTM3U\n" + "".join(
        f"#EXT-X-STREAM-INF:BANDWIDTH={rate},RESOLUTION={width}x{height},FRAME-RATE={fps}.000,"
        f'CODECS="avc1.4d401f,mp4a.40.2"\n{name}/live.m3u8\n'
        for name, (width, height, fps, rate) in VARIANTS.items())
    empty = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n"
    return {"master.m3u8": Reply(200, master.encode(), LIST_TYPE),
            "empty.m3u8": Reply(200, empty, LIST_TYPE),
            "moved.m3u8": Reply(302, headers=(("Location", "/live.m3u8"),)),
            "page.html": Reply(200, HTML, PAGE_TYPE)}


class Origin:
    """A livestream and its web server; use it as a context manager."""

    def __init__(self, *, window: int = 10, target_s: int = 1, encrypted: bool = False,
                 byteranges: bool = False, program_dates: bool = False, port: int = 0,
                 first_num: int = 0) -> None:
        self.window, self.target_s, self.port = window, target_s, port
        self.encrypted, self.byteranges = encrypted, byteranges
        self.program_dates = program_dates
        self.faults: list[Fault] = []
        self.clock_zero = time.monotonic()
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._web: Web | None = None
        self._playbacks: list[Playback] = []
        self._requests: deque[Request] = deque(maxlen=20_000)
        self._tries: Counter[object] = Counter()
        self._offered: list[Offered] = []
        self._listed: list[_Entry] = []
        self._files: dict[str, list[_Entry]] = {}
        self._fixed = _fixed_pages()
        self._next_num, self._epoch, self._name_epoch = first_num, 0, 0
        self._restarted = self._ended = False
        self._discontinuities_gone = 0
        self._date = datetime.now(timezone.utc)
        # As many past playlists as OldPlaylist may reasonably want.
        self._playlists: deque[bytes] = deque([self._render()], maxlen=100)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        self._web = Web(self.answer, self.port)
        self.port = self._web.port
        self.reset_clock()
        self.come_back()
        return self

    def stop(self) -> None:
        """End playbacks, handlers and sockets; raises when a thread outlives the deadline."""
        self._stopping.set()
        for playback in self._playbacks:
            playback.stop()
        if self._web:
            self._web.close()
            self._web = None

    def reset_clock(self) -> None:
        self.clock_zero = time.monotonic()

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.base_url}/live.m3u8"

    @property
    def master_url(self) -> str:
        return f"{self.base_url}/master.m3u8"

    @property
    def offered(self) -> list[Offered]:
        with self._lock:
            return list(self._offered)

    @property
    def requests(self) -> list[Request]:
        with self._lock:
            return list(self._requests)

    def listed(self) -> list[Offered]:
        with self._lock:
            return [entry.item for entry in self._listed]

    def fetches(self, name: str) -> int:
        """Requests for a file name in any directory, whatever the answer was."""
        with self._lock:
            return self._tries[name]

    def playlist(self, age: int = 0) -> bytes:
        """The media playlist as it was `age` additions ago."""
        with self._lock:
            return self._playlists[max(0, len(self._playlists) - 1 - age)]

    def add(self, clip: Clip, *, init: bytes | None = None,
            discontinuity: bool = False) -> Offered:
        with self._lock:
            num, total = self._next_num, len(self._offered)
            item = Offered(num, self._epoch, self._name(num, init), clip.body, clip.duration_s,
                           clip.frames, init, discontinuity or self._restarted)
            wire, key = self._encrypted(clip.body, num, total // KEY_EVERY)
            files = [entry for entry in self._files.get(item.name, [])
                     if self.byteranges and entry.item.epoch == self._epoch]
            start = sum(len(entry.wire) for entry in files)
            date = self._date.isoformat(timespec="milliseconds") if self.program_dates else None
            entry = _Entry(item, wire, start, self.byteranges, key, self._map(init), date,
                           time.monotonic())
            self._date += timedelta(seconds=clip.duration_s)
            self._files[item.name] = [*files, entry]
            self._offered.append(item)
            self._listed.append(entry)
            self._next_num, self._restarted = num + 1, False
            if 0 < self.window < len(self._listed):
                self._leave(self._listed.pop(0))
            self._playlists.append(self._render())
            return item

    def end(self) -> None:
        with self._lock:
            self._ended = True
            self._playlists[-1] = self._render()

    def restart_numbering(self, first_num: int = 0, *, reuse_names: bool = False) -> None:
        """The encoder starts anew; with `reuse_names` it overwrites the files of before."""
        with self._lock:
            for entry in self._listed:
                self._leave(entry)
            self._listed = []
            self._epoch += 1
            self._name_epoch = self._name_epoch if reuse_names else self._epoch
            self._next_num, self._restarted, self._ended = first_num, True, False
            self._playlists[-1] = self._render()

    def play(self, clips: Iterable[Clip], *, every_s: float, init: bytes | None = None,
             then_end: bool = True, stalls: Mapping[int, float] | None = None) -> Playback:
        """Publish one clip each `every_s`, the first at once; before clip i stall stalls[i] s."""
        playback = Playback(self, clips, every_s, init, then_end, stalls or {})
        self._playbacks.append(playback)
        return playback

    def away(self, seconds: float) -> None:
        """Be unreachable for `seconds`, and return when the origin is back (or stopped)."""
        self.go_away()
        if not self._stopping.wait(seconds):
            self.come_back()

    def go_away(self) -> None:
        """Refuse new connections and reset the open ones."""
        if self._web:
            self._web.go_away()

    def come_back(self) -> None:
        """Listen on the same port again."""
        if self._web:
            self._web.come_back()

    def answer(self, method: str, path: str, range_: str | None) -> Reply:
        """Count and record a request and decide its answer; called by the handler threads."""
        now = time.monotonic()
        with self._lock:
            entry, normal = self._normal(path, range_)
            name = path.split("?")[0].rpartition("/")[2]
            item = entry.item if entry else None
            thing = (item.epoch, item.num) if item else (path,)
            tries = self._tries[thing]
            self._tries.update([thing, name])
        age_s = now - entry.added_s if entry else 0.0
        asked = Asked(self, path, item, age_s, tries, now - self.clock_zero, normal)
        spoilt = (fault.act(asked) for fault in tuple(self.faults))
        reply = next((reply for reply in spoilt if reply), normal)
        with self._lock:
            self._requests.append(Request(now, method, path, range_, reply.status))
        return reply

    def _normal(self, path: str, range_: str | None) -> tuple[_Entry | None, Reply]:
        folder, _, name = path.split("?")[0].rpartition("/")
        if folder.strip("/") not in ("", *VARIANTS):
            return None, Reply(404)
        if name == "live.m3u8":
            return None, Reply(200, self._playlists[-1], LIST_TYPE)
        entries = self._files.get(name)
        if not entries:
            return None, self._fixed.get(name, Reply(404))
        kind = "video/mp4" if name.endswith(".m4s") else "video/mp2t"
        start, reply = _part(b"".join(entry.wire for entry in entries), range_, kind)
        asked = next(entry for entry in reversed(entries) if entry.start <= start)
        gone = all(len(self._offered) >= entry.gone_at for entry in entries)
        return asked, Reply(404) if gone else reply

    def _name(self, num: int, init: bytes | None) -> str:
        epoch = f"e{self._name_epoch}-" if self._name_epoch else ""
        stem = f"media-{num // RANGED_PER_FILE}" if self.byteranges else f"seg-{num}"
        return f"{epoch}{stem}.{'m4s' if init else 'ts'}"

    def _encrypted(self, body: bytes, num: int, key_num: int) -> tuple[bytes, str | None]:
        if not self.encrypted:
            return body, None
        name, key = f"key-{key_num}.bin", hashlib.sha256(b"%d" % key_num).digest()[:16]
        self._fixed[name] = Reply(200, key, "application/octet-stream")
        # Without an IV attribute the media sequence number is the IV (RFC 8216, 5.2).
        cipher = AES.new(key, AES.MODE_CBC, iv=num.to_bytes(16, "big"))
        return cipher.encrypt(pad(body, 16)), name

    def _map(self, init: bytes | None) -> str | None:
        if init is None:
            return None
        name = f"init-{hashlib.sha256(init).hexdigest()[:12]}.mp4"
        self._fixed[name] = Reply(200, init, "video/mp4")
        return name

    def _leave(self, entry: _Entry) -> None:
        self._discontinuities_gone += entry.item.discontinuity
        if self.window:
            entry.gone_at = len(self._offered) + self.window

    def _render(self) -> bytes:
        has_map = any(entry.init for entry in self._listed)
        first = self._listed[0].item.num if self._listed else self._next_num
        lines = ["#EXTM3U", f"#EXT-X-VERSION:{6 if has_map else 4 if self.byteranges else 3}",
                 f"#EXT-X-TARGETDURATION:{self.target_s}", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
        if self._discontinuities_gone:
            lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{self._discontinuities_gone}")
        before = None
        for entry in self._listed:
            lines += entry.lines(before)
            before = entry
        if self._ended:
            lines.append("#EXT-X-ENDLIST")
        return ("\n".join(lines) + "\n").encode()
