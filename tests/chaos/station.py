"""A channel of the chaos test: one broadcast after the other, at one address, with a log.

`Broadcast` is an origin that remembers when it offered each segment and until when; `Station`
puts broadcasts on the air and takes them off. The reckoning (tests.chaos.reckoning) reads both.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any, Self

from ..faults import Offered
from ..media import Clip, fmp4_clips, ts_clips
from ..origin import Origin, _Entry
from .line import Line

SEGMENT_S = 0.5
CLIPS = 120
MEDIA: dict[str, Any] = {"segment_s": SEGMENT_S, "size": "64x36", "fps": 10}
STOP_MAX_S = 5.0


def marked(clip: Clip, init: bytes | None, mark: str) -> Clip:
    """The same pictures with bytes of their own: a null packet (ISO/IEC 13818-1, 2.4.3.3) or a
    `free` box (ISO/IEC 14496-12, 8.1.2) behind them."""
    text = mark.encode().ljust(176, b" ")
    more = (b"\x47\x1f\xff\x10" + text.ljust(184, b"\xff") if init is None
            else (8 + len(text)).to_bytes(4, "big") + b"free" + text)
    return replace(clip, body=clip.body + more)


@dataclass
class Offer:
    """A segment in the playlist: from when (monotonic) until when."""

    item: Offered
    from_s: float
    until_s: float = math.inf


class Broadcast(Origin):
    """Publishes a clip every half second until it is ended."""

    def __init__(self, name: str, init: bytes | None, clips: list[Clip], **options: Any) -> None:
        self.name = name
        self.offers: list[Offer] = []
        self.off_s = math.inf
        self._init = init
        self._clips = clips
        self._over = threading.Event()
        self._publisher = threading.Thread(target=self._publish, name=f"publish-{name}")
        super().__init__(**options)

    def add(self, clip: Clip, **options: Any) -> Offered:
        with self._lock:
            item = super().add(clip, **options)
            self.offers.append(Offer(item, time.monotonic()))
            return item

    def _leave(self, entry: _Entry) -> None:
        super()._leave(entry)
        self.offers[entry.item.num].until_s = time.monotonic()

    def _publish(self) -> None:
        due_s = time.monotonic()
        for number, clip in enumerate(self._clips):
            self.add(marked(clip, self._init, f"{self.name} {number}"), init=self._init)
            due_s += SEGMENT_S
            if self._over.wait(max(0.0, due_s - time.monotonic())):
                break
        self.end()

    def begin(self) -> None:
        self.start()
        self._publisher.start()

    def finish(self) -> None:
        """The playlist says that it is the end, and stays."""
        self._over.set()
        self._publisher.join(STOP_MAX_S)
        assert not self._publisher.is_alive()

    def fetched_s(self) -> list[float]:
        """When segments were asked for and given."""
        return [r.at_s for r in self.requests
                if r.path.endswith((".ts", ".m4s")) and r.status in (200, 206)]


@dataclass
class Station:
    name: str
    fragmented: bool = False
    origin: dict[str, Any] = field(default_factory=dict)
    line: Line = field(default_factory=Line)
    broadcasts: list[Broadcast] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._init: bytes | None = None
        if self.fragmented:
            self._init, self._clips = fmp4_clips(CLIPS, **MEDIA)
        else:
            self._clips = ts_clips(CLIPS, **MEDIA)

    def __enter__(self) -> Self:
        self.line.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for broadcast in self.broadcasts:
                broadcast.finish()
                broadcast.stop()
        finally:
            self.line.__exit__()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.line.port}/live.m3u8"

    @property
    def now(self) -> Broadcast:
        return self.broadcasts[-1]

    @property
    def on_air(self) -> bool:
        return not self.now._over.is_set() and self.now._publisher.is_alive()

    def go_live(self) -> None:
        """Another broadcast, in the place of the last."""
        one = Broadcast(f"{self.name}-{len(self.broadcasts)}", self._init, self._clips,
                        **self.origin)
        one.begin()
        if self.broadcasts:
            self.now.off_s = time.monotonic()
        self.broadcasts.append(one)
        self.line.lead(one.port)
