"""One segment, fetched with patience: retries, deadlines for trickling lines, giving up.

Called in streamlink's download threads by `segments`. Facts: requests' read timeout is per
`recv`, so a line that trickles never times out by itself; urllib3 2 raises on a body that
is shorter than its Content-Length.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from requests import Response
from requests.exceptions import HTTPError, RequestException
from streamlink.exceptions import StreamError
from urllib3.exceptions import HTTPError as Urllib3Error, ProtocolError

from .. import fmp4, mpegts
from ..models import GapCause
from ..platforms.heads import plain_answer
from .base import Timeouts
from .rooms import ROOMS

CHUNK_BYTES = 256 * 1024
# Ten seconds of 200 Mbit/s: no segment, but a stream that never ends.
BODY_MAX_BYTES = 256 * 1024 * 1024
# An origin may be away for days: waits stop doubling long before a float overflows.
DOUBLINGS_MAX = 10
# The origin does not have it (any more), or not for us.
REFUSALS = (401, 403, 404, 410)


@dataclass
class Body:
    """A whole body, in the shape of the `requests.Response` that streamlink's writer reads."""

    content: bytes
    # What it was received in, where others may have that afterwards.
    room: io.BytesIO | None = field(default=None, compare=False, repr=False)

    def release(self) -> None:
        """Nobody needs it any more. Whoever keeps this object keeps no bytes with it."""
        room, self.room, self.content = self.room, None, b""
        if room is not None:
            ROOMS.give(room)

    def iter_content(self, chunk_size: int) -> Iterator[bytes]:
        yield self.content

    @property
    def raw(self) -> Body:
        return self

    def drain_conn(self) -> None:
        """There is no connection left to give back."""


@dataclass(frozen=True)
class Missing:
    """A segment that could not be had."""

    cause: GapCause
    why: str


class Aborted(Exception):
    """The session was closed while the segment was on its way."""


class Bad(Exception):
    """The origin answered, but not with the segment."""


class OriginHealth:
    """When the origin last gave something, across the downloads of a session: a whole body,
    or a part of one. `refuses`: it has answered since, and for good."""

    def __init__(self) -> None:
        self.last_success_s = self.last_data_s = 0.0
        self.refuses = False

    def succeeded(self) -> None:
        self.last_success_s, self.refuses = time.monotonic(), False

    def answered(self, status: int) -> None:
        self.refuses = self.refuses or status in REFUSALS


def hopeless(
    tries: int, elapsed_s: float, answered: bool, origin_alive: bool, limits: Timeouts
) -> bool:
    """Whether to give a segment up.

    `answered`: the last failure was an answer of the origin, not silence; `origin_alive`:
    something else arrived since this segment's first try.
    """
    if not (answered or origin_alive):
        return False
    return tries >= limits.give_up_tries and elapsed_s >= limits.give_up_s


def cause_of(error: BaseException) -> GapCause:
    """`source` when the origin gave an answer, `network` when none came."""
    reason = getattr(error, "err", None) or error
    answered = isinstance(reason, Bad) or (
        isinstance(reason, HTTPError) and reason.response is not None)
    return GapCause.SOURCE if answered else GapCause.NETWORK


def is_refusal(error: BaseException) -> bool:
    """Whether the origin answered, and for good."""
    reason = getattr(error, "err", None) or error
    response = reason.response if isinstance(reason, HTTPError) else None
    return response is not None and response.status_code in REFUSALS


def patient(
    get: Callable[[tuple[float, float]], Response],
    accept: Callable[[Response, bytes], bytes],
    limits: Timeouts,
    origin: OriginHealth,
    closed: threading.Event,
) -> Body | Missing:
    """The body of one resource, tried until it is whole or hopeless.

    `get` makes a streaming request with (connect, read) timeouts that does not raise for a
    status: the answer has to be closed whatever it is. `accept` returns the bytes to keep
    or raises Bad. Raises Aborted when `closed` is set meanwhile.
    """
    started_s = time.monotonic()
    tries = 0
    while True:
        doubled = 2 ** min(tries, DOUBLINGS_MAX)
        deadline_s = time.monotonic() + min(limits.attempt_s * doubled, limits.give_up_s)
        tries += 1
        try:
            with get((limits.connect_s, limits.read_s)) as response:
                if not response.ok:
                    origin.answered(response.status_code)
                    raise Bad(f"HTTP {response.status_code}")
                body = _read(response, deadline_s, origin, closed)
                kept = accept(response, body.content)
            origin.succeeded()
            return body if kept is body.content else Body(kept)
        except (StreamError, RequestException, Urllib3Error, OSError, Bad) as error:
            failure = error
        if closed.is_set():
            raise Aborted
        cause = cause_of(failure)
        alive = origin.last_success_s > started_s
        elapsed_s = time.monotonic() - started_s
        if hopeless(tries, elapsed_s, cause is GapCause.SOURCE, alive, limits):
            return Missing(cause, f"{tries} tries in {elapsed_s:.0f} s, last: {failure}")
        if closed.wait(min(limits.retry_max_s, limits.retry_s * doubled)):
            raise Aborted


def _read(
    response: Response, deadline_s: float, origin: OriginHealth, closed: threading.Event
) -> Body:

    def came(size_bytes: int) -> None:
        """So much is here, and something of it came just now."""
        origin.last_data_s = time.monotonic()
        _check_size(size_bytes)
        if closed.is_set():
            raise Aborted
        if time.monotonic() > deadline_s:
            raise TimeoutError("the line trickles")

    answer = plain_answer(response.raw)
    if answer is not None and answer.length is not None:
        _check_size(answer.length)
        body = _in_place(answer.take, answer.length, came)
        response.raw.release_conn()
        return body
    # read1 returns what one recv brought: read() would wait for a full chunk and a
    # trickling line would never come to the deadline.
    chunks, here_bytes = [], 0
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
        chunks.append(chunk)
        here_bytes += len(chunk)
        came(here_bytes)
    return Body(b"".join(chunks))


def _in_place(
    take: Callable[[memoryview], int], size_bytes: int, came: Callable[[int], None]
) -> Body:
    """A body of a known length, without a copy of it: BytesIO lends and gives away the very
    bytes that it is made of."""
    room, here_bytes = ROOMS.take(size_bytes), 0
    with room.getbuffer() as place:
        while here_bytes < size_bytes:
            taken = take(place[here_bytes:])
            if not taken:
                raise ProtocolError(f"{here_bytes} of {size_bytes} bytes came")
            here_bytes += taken
            came(here_bytes)
    return Body(room.getvalue(), room)


def _check_size(size_bytes: int) -> None:
    if size_bytes > BODY_MAX_BYTES:
        raise Bad(f"more than {BODY_MAX_BYTES} bytes and no end")


def whole(expected_range: str | None, encrypted: bool) -> Callable[[Response, bytes], bytes]:
    """An `accept` for media: the asked range (cut out where the origin ignored it) of what
    looks like media (where it can be looked at)."""

    def accept(response: Response, body: bytes) -> bytes:
        if expected_range is not None:
            body = _ranged(response, body, expected_range)
        if not body:
            raise Bad("an empty body")
        if not encrypted and not looks_like_media(body):
            kind = response.headers.get("Content-Type", "no type")
            raise Bad(f"not media ({kind})")
        return body

    return accept


def aes_key(response: Response, body: bytes) -> bytes:
    """An `accept` for AES-128 keys (RFC 8216 4.3.2.4: 16 octets)."""
    if len(body) != 16:
        raise Bad(f"a key of {len(body)} bytes instead of 16")
    return body


def _ranged(response: Response, body: bytes, expected: str) -> bytes:
    first, _, last = expected.removeprefix("bytes=").partition("-")
    length = int(last) - int(first) + 1
    if response.status_code == 200:
        body = body[int(first):int(last) + 1]
    if len(body) != length:
        raise Bad(f"{len(body)} bytes instead of the {length} asked for")
    return body


def looks_like_media(body: bytes) -> bool:
    """Transport stream, fragmented MP4, or packed audio (RFC 8216 3.4); never a web page."""
    if mpegts.looks_like_ts(body) or fmp4.looks_like_mp4(body):
        return True
    return body[:3] == b"ID3" or body[:2] == b"\x0b\x77" or (
        len(body) > 1 and body[0] == 0xFF and body[1] & 0xE0 == 0xE0
        and body[1] != 0xFE)  # a page in UTF-16 begins like MPEG layer I, which HLS has not


def request_range(params: dict[str, Any]) -> str | None:
    value = params.get("headers", {}).get("Range")
    return value if isinstance(value, str) else None
