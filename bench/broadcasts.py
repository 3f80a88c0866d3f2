"""Broadcasts one after the other on several channels, each faster than real time.

An origin for the table `long`: what a playlist shows follows from the clock alone. Segments
have bytes of their own, by a packet of padding at the end, so that nothing is taken for a
repetition.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.faults import LIST_TYPE, Reply
from tests.media import Clip
from tests.origin_web import HOST, Web

PACKET_BYTES = 188
# Far more than is ever waited for: what is late is late, not lost.
WINDOW = 600
SEGMENT = re.compile(r"/(\d+)/(\d+)-(\d+)\.ts")
PLAYLIST = re.compile(r"/(\d+)/live\.m3u8")


@dataclass(frozen=True)
class Broadcast:
    """`number` counts a channel's; 0 is none yet."""

    number: int = 0
    begun_s: float = 0.0


class Broadcasts:
    """`rate` segments a second are offered of each broadcast, up to all clips; then the
    playlist says that it is over. Use it as a context manager."""

    def __init__(self, clips: list[Clip], channels: int, rate: float) -> None:
        self._clips, self._rate = clips, rate
        self._lock = threading.Lock()
        self._now = [Broadcast() for _ in range(channels)]
        self._target_s = max(1, round(max(clip.duration_s for clip in clips)))
        self._web = Web(self._answer, 0)

    def __enter__(self) -> Self:
        self._web.come_back()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._web.close()

    def url(self, channel: int) -> str:
        return f"http://{HOST}:{self._web.port}/{channel}/live.m3u8"

    def begin(self, channel: int) -> None:
        """The next broadcast of a channel, from its first segment on."""
        with self._lock:
            number = self._now[channel].number + 1
            self._now[channel] = Broadcast(number, time.monotonic())

    def _answer(self, method: str, path: str, range_: str | None) -> Reply:
        if found := SEGMENT.fullmatch(path):
            channel, number, index = map(int, found.groups())
            body = self._clips[index].body + _padding(channel, number, index)
            return Reply(200, body, "video/mp2t")
        if (found := PLAYLIST.fullmatch(path)) and int(found[1]) < len(self._now):
            with self._lock:
                now = self._now[int(found[1])]
            return Reply(200, self._playlist(now).encode(), LIST_TYPE) if now.number else Reply(404)
        return Reply(404)

    def _playlist(self, now: Broadcast) -> str:
        offered = min(len(self._clips), 1 + int((time.monotonic() - now.begun_s) * self._rate))
        first = max(0, offered - WINDOW)
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{self._target_s}",
                 f"#EXT-X-MEDIA-SEQUENCE:{first}"]
        for index in range(first, offered):
            lines += [f"#EXTINF:{self._clips[index].duration_s:.5f},",
                      f"{now.number}-{index}.ts"]
        if offered == len(self._clips):
            lines.append("#EXT-X-ENDLIST")
        return "\n".join(lines) + "\n"


def _padding(channel: int, number: int, index: int) -> bytes:
    """A null packet of MPEG-TS, which players pass over."""
    text = b"%d/%d/%d" % (channel, number, index)
    return b"\x47\x1f\xff\x10" + text.ljust(PACKET_BYTES - 4, b"\xff")
