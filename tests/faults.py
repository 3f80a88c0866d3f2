"""What the stand-in origin offered, was asked and can do wrong: the scripted faults.

Owns the value types of `tests.origin` and the faults that tests append to `Origin.faults`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.origin import Origin

ALWAYS = 1 << 30
LIST_TYPE, PAGE_TYPE = "application/vnd.apple.mpegurl", "text/html"
HTML = b"<!DOCTYPE html><html><head><title>Live</title></head><body>No stream here</body></html>"
Nums = Callable[[int], bool]


def every(n: int) -> Nums:
    """Segments n, 2n, 3n, ... (never segment 0)."""
    return lambda num: num > 0 and num % n == 0


@dataclass(frozen=True)
class Offered:
    """One segment as it was published; `body` is plain, before any encryption."""

    num: int
    epoch: int
    name: str
    body: bytes = field(repr=False)
    duration_s: float
    frames: int
    init: bytes | None = field(repr=False)
    discontinuity: bool


@dataclass(frozen=True)
class Request:
    """A request as answered; status 0 means that no answer was sent (Hang)."""

    at_s: float
    method: str
    path: str
    range: str | None
    status: int


@dataclass(frozen=True)
class Reply:
    """What the handler shall do: a plain answer, or one spoilt on the way."""

    status: int
    body: bytes = field(default=b"", repr=False)
    kind: str = "text/plain"
    headers: tuple[tuple[str, str], ...] = ()
    cut: bool = False
    hang_s: float | None = None
    bytes_per_s: float = math.inf


@dataclass(frozen=True)
class Asked:
    """A request as faults see it. `tries` counts the earlier ones for the same thing."""

    origin: Origin
    path: str
    item: Offered | None
    age_s: float
    tries: int
    clock_s: float
    normal: Reply


class Fault:
    """A scripted misbehaviour; the first in `Origin.faults` that acts decides the answer."""

    def act(self, asked: Asked) -> Reply | None:
        raise NotImplementedError


@dataclass(frozen=True)
class Missing(Fault):
    """404 for the first `tries` tries; also the base of the faults of single segments."""

    nums: Nums
    tries: int = 1

    def act(self, asked: Asked) -> Reply | None:
        hit = asked.item and asked.tries < self.tries and self.nums(asked.item.num)
        return self.spoilt(asked.normal) if hit else None

    def spoilt(self, normal: Reply) -> Reply:
        return Reply(404)


@dataclass(frozen=True)
class ServerError(Missing):
    status: int = 500

    def spoilt(self, normal: Reply) -> Reply:
        return Reply(self.status)


class Cut(Missing):
    """The right Content-Length, half the body, then a TCP reset."""

    def spoilt(self, normal: Reply) -> Reply:
        return replace(normal, cut=True)


@dataclass(frozen=True)
class Hang(Missing):
    """Nothing at all for `seconds`, then the connection closes."""

    seconds: float = 10.0

    def spoilt(self, normal: Reply) -> Reply:
        return Reply(0, hang_s=self.seconds)


@dataclass(frozen=True)
class Trickle(Missing):
    bytes_per_s: float = 1000.0

    def spoilt(self, normal: Reply) -> Reply:
        return replace(normal, bytes_per_s=self.bytes_per_s)


class Html(Missing):
    def spoilt(self, normal: Reply) -> Reply:
        return Reply(200, HTML, PAGE_TYPE)


@dataclass(frozen=True)
class PlaylistError(Fault):
    from_s: float
    until_s: float
    status: int = 503

    def act(self, asked: Asked) -> Reply | None:
        hit = asked.path.endswith("live.m3u8") and self.from_s <= asked.clock_s < self.until_s
        return Reply(self.status) if hit else None


@dataclass(frozen=True)
class OldPlaylist(Fault):
    """The playlist as it was `age` additions ago, like a stale cache in front of the origin."""

    from_s: float
    until_s: float
    age: int

    def act(self, asked: Asked) -> Reply | None:
        hit = asked.path.endswith("live.m3u8") and self.from_s <= asked.clock_s < self.until_s
        return Reply(200, asked.origin.playlist(self.age), LIST_TYPE) if hit else None


@dataclass(frozen=True)
class Early(Fault):
    """The segment is listed `seconds` before it can be had."""

    nums: Nums
    seconds: float

    def act(self, asked: Asked) -> Reply | None:
        hit = asked.item and self.nums(asked.item.num) and asked.age_s < self.seconds
        return Reply(404) if hit else None
