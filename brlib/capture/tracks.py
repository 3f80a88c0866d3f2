"""What feeds FFmpeg: an HLS rendition, or a plain HTTP answer. (`dash` has the third.)

Made by `remux` for each part of a stream. A rendition is read with all the patience of a
plain HLS session; its segments go to FFmpeg instead of the capture.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from requests import Response
from streamlink.exceptions import StreamError

from .. import fmp4
from ..continuity import Judgement
from ..ffmpeg import source_format
from ..models import GapCause, SessionEnd
from ..tally import RECENT_SEGMENTS, digest_of
from ..workers import Worker
from .base import Missed, Source, Timeouts
from .download import Bad, cause_of
from .inlet import Closed, Inlet
from .session import Session, Start

log = logging.getLogger(__name__)

CHUNK_BYTES = 64 * 1024
# Enough to tell what it is; an MP4 is told by its whole init section.
HEAD_BYTES = 4096
INIT_MAX_BYTES = 4 * 1024 * 1024
# Whoever gave bytes so recently has more on their way.
FRESH_S = 15.0
CLOCK_HZ = 90_000
_APPLE_CLOCK = b"com.apple.streaming.transportStreamTimestamp\0"


@dataclass(frozen=True)
class Order:
    """What a track is told: whose it is, where its bytes go, and how far back to begin
    (None: with all that is offered)."""

    name: str
    inlet: Inlet
    reach_s: float | None
    timeouts: Timeouts
    on_end: Callable[[], None]


class Track(Protocol):
    """`alive_s`: when the origin last gave a sign, on the monotonic clock. `end` is None
    until it has ended, `cause` says why something may be missing behind it, `edge` names its
    newest segment as `Broadcast.edge` does."""

    @property
    def end(self) -> SessionEnd | None: ...

    @property
    def cause(self) -> GapCause | None: ...

    @property
    def alive_s(self) -> float: ...

    @property
    def busy(self) -> bool: ...

    @property
    def edge(self) -> str | None: ...

    def start(self) -> None: ...

    def stop(self) -> None:
        """Ask its threads to end; returns at once, idempotent."""


class Rendition(Session):
    """A session that begins no further back than its order says, and tells when a playlist
    was loaded or did not come."""

    reach_s: float | None = None
    on_reload: Callable[[], None]

    def reloaded(self, target_duration_s: float) -> None:
        super().reloaded(target_duration_s)
        self.on_reload()

    def reload_failed(self, error: BaseException) -> None:
        super().reload_failed(error)
        self.on_reload()

    def judge(self, segments: list[Any], endlist: bool,
              fetch: Callable[[Any], bytes | None]) -> Judgement:
        first = not self.judged
        judgement = super().judge(segments, endlist, fetch)
        if not first or self.reach_s is None:
            return judgement
        start, reached_s = segments[-1].num, 0.0
        for segment in reversed(segments):
            if reached_s > self.reach_s:
                break
            start, reached_s = segment.num, reached_s + segment.duration
        return replace(judgement, start=max(judgement.start, start))


class HlsTrack:
    """One HLS rendition; the `Committer` of its session."""

    def __init__(self, order: Order, stream: Any) -> None:
        self._order = order
        self._stream = stream
        self._session = Rendition(
            order.name, self, Start(None, 0, None), order.timeouts, self._ended)
        self._session.reach_s = order.reach_s
        self._session.on_reload = lambda: order.inlet.rest(self._session.target_duration_s)
        self._digests: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._joint: tuple[int, bytes | None] | None = None
        self._lost_s = 0.0
        self._lost: GapCause | None = None
        self._edge: str | None = None
        self._refused = False

    def start(self) -> None:
        self._session.open(self._stream)

    def stop(self) -> None:
        self._session.close()

    @property
    def end(self) -> SessionEnd | None:
        end = self._session.end
        return SessionEnd.BROKEN if end is not None and self._refused else end

    @property
    def cause(self) -> GapCause | None:
        return self._lost or self._session.cause

    @property
    def alive_s(self) -> float:
        return self._session.reload_begun_s

    @property
    def busy(self) -> bool:
        return self._session.busy

    @property
    def edge(self) -> str | None:
        return self._edge

    def _ended(self) -> None:
        self._order.inlet.finish()
        self._order.on_end()

    # The session's side: `Committer`.

    def commit(
        self, source: Source, body: bytes, init: bytes | None, closed: threading.Event
    ) -> bool:
        try:
            self._feed(source, body, init)
        except Closed as reason:
            if not closed.is_set():
                log.info("%s: segment %d is not taken: %s", self._order.name, source.num, reason)
            self._refused = True
            self._session.close()
            return False
        self._edge = f"{source.num}:{source.path}"
        self._digests[digest_of(body)] = source.num, source.epoch
        if len(self._digests) > RECENT_SEGMENTS:
            self._digests.popitem(last=False)
        return True

    def _feed(self, source: Source, body: bytes, init: bytes | None) -> None:
        inlet, joint = self._order.inlet, (source.epoch, init)
        packed = body[:3] == b"ID3"
        if self._joint is not None and (source.discontinuity or joint != self._joint):
            inlet.missing_s = self._lost_s
            inlet.turn()
        elif packed and self._lost_s:
            # Its frames have no times of their own: only a beginning is told one.
            inlet.renew()
        self._joint, self._lost_s = joint, 0.0
        if packed:
            inlet.offset_s, body = split_id3(body)
        inlet.form = demuxer(init or body)
        inlet.feed(body, source.duration_s, init or b"")

    def miss(
        self, missed: Missed, next_num: int, epoch: int, closed: threading.Event
    ) -> bool:
        """What is lost shows in the timestamps, except before a new beginning."""
        self._lost_s += missed.duration_s
        self._lost = missed.cause
        return True

    def has(self, body: bytes) -> bool:
        return digest_of(body) in self._digests

    def ends_with(self, body: bytes) -> bool:
        return next(reversed(self._digests), None) == digest_of(body)

    def digest(self, num: int, epoch: int) -> str | None:
        return next((digest for digest, place in reversed(self._digests.items())
                     if place == (num, epoch)), None)


def demuxer(media: bytes) -> str:
    """FFmpeg's demuxer for a segment, or for its init section. Raises Closed."""
    form = source_format(media)
    if form is None:
        raise Closed("it is no media that FFmpeg is given")
    return form


def split_id3(body: bytes) -> tuple[float, bytes]:
    """The time that packed audio begins at (RFC 8216 3.4: a 33-bit clock in an ID3 PRIV
    frame; 0 where it is not told), and the audio behind the tag."""
    if len(body) < 10:
        return 0.0, body
    a, b, c, d = body[6:10]
    end = 10 + (a << 21 | b << 14 | c << 7 | d)
    at = body.find(_APPLE_CLOCK, 0, end)
    ticks = 0
    if at >= 0:
        value = body[at + len(_APPLE_CLOCK):][:8]
        ticks = int.from_bytes(value, "big") & (1 << 33) - 1
    return ticks / CLOCK_HZ, body[end:]


class Tap:
    """What every track says of itself that is not read as our own HLS."""

    def __init__(self, order: Order, stream: Any) -> None:
        self._order = order
        self._stream = stream
        self._closed = threading.Event()
        self._end: SessionEnd | None = None
        self._cause: GapCause | None = None
        self._alive_s = time.monotonic()

    @property
    def end(self) -> SessionEnd | None:
        return self._end

    @property
    def cause(self) -> GapCause | None:
        return self._cause

    @property
    def edge(self) -> str | None:
        return None

    @property
    def alive_s(self) -> float:
        # While FFmpeg (or the disk behind it) does not take what came, the origin waits for us.
        return time.monotonic() if self._order.inlet.blocked else self._alive_s


class HttpTrack(Tap):
    """An answer without end (or with one), read as it comes."""

    def __init__(self, order: Order, stream: Any) -> None:
        super().__init__(order, stream)
        self._worker = Worker(f"{order.name}-http", self._read_all)
        self._response: Response | None = None

    def start(self) -> None:
        self._worker.start()

    def stop(self) -> None:
        self._closed.set()
        self._worker.stop()
        response = self._response
        if response is not None:
            _interrupt(response)

    @property
    def busy(self) -> bool:
        return time.monotonic() - self.alive_s < FRESH_S

    def _read_all(self) -> None:
        end = SessionEnd.BROKEN
        try:
            with self._request() as response:
                self._response = response
                end = self._read(response)
        except Closed as reason:
            log.info("%s: %s", self._order.name, reason)
        except Exception as error:
            # The kinds that a socket closed under a reader raises are many.
            if not self._closed.is_set():
                self._cause = cause_of(error)
                log.warning("%s: the stream broke off (%s): %s", self._order.name, self._cause,
                            type(error).__name__)
        # A response keeps its pool of connections open as long as it is known.
        self._response = None
        self._order.inlet.finish()
        self._end = end
        self._order.on_end()

    def _request(self) -> Response:
        limits = self._order.timeouts
        args = dict(self._stream.session.http.valid_request_args(**self._stream.args))
        args.setdefault("method", "GET")
        response: Response = self._stream.session.http.request(
            stream=True, exception=StreamError, raise_for_status=False,
            timeout=(limits.connect_s, limits.attempt_s), **args)
        return response

    def _read(self, response: Response) -> SessionEnd:
        """Until the end: one that was announced is the stream's, another may be anyone's."""
        if not response.ok:
            self._cause = GapCause.SOURCE
            log.warning("%s: HTTP %d", self._order.name, response.status_code)
            return SessionEnd.BROKEN
        kind, head = response.headers.get("Content-Type", ""), b""
        while not self._closed.is_set():
            data = response.raw.read1(CHUNK_BYTES, decode_content=True)
            self._alive_s = time.monotonic()
            head += data
            if data and self._order.inlet.idle and not _tells(head):
                continue
            if head and self._order.inlet.idle:
                self._order.inlet.form = _form(head, kind)
            if head:
                self._order.inlet.feed(head)
                head = b""
            if not data:
                self._cause = GapCause.SOURCE
                announced = "Content-Length" in response.headers
                return SessionEnd.ENDLIST if announced else SessionEnd.BROKEN
        return SessionEnd.BROKEN


def _tells(head: bytes) -> bool:
    """Whether a beginning says what it is."""
    if fmp4.looks_like_mp4(head):
        return bool(fmp4.tracks(head)) or len(head) > INIT_MAX_BYTES
    return len(head) >= HEAD_BYTES


def _form(head: bytes, content_type: str) -> str:
    form = source_format(head, content_type)
    if form is None:
        raise Bad(f"not media ({content_type or 'no type'})")
    return form


def _interrupt(response: Response) -> None:
    """End a read that waits in another thread. Its connection may be gone just now."""
    try:
        response.raw.shutdown()
    except (ValueError, RuntimeError, OSError) as error:
        log.debug("A connection was closed already: %s", error)
