"""A DASH representation as a track: streamlink's reader with our patience.

streamlink keeps the manifest and says which segments there are; the mixins fetch them as
segments of HLS are fetched and give them to FFmpeg. Measured on streamlink 8.6.3: its own
writer drops a segment that fails, a failed reload ends its worker without a word, and a
manifest that becomes static offers once more all that it lists.
"""

from __future__ import annotations

import copy
import logging
import time
from collections import OrderedDict
from datetime import timedelta
from typing import Any

from requests import Response
from streamlink.exceptions import StreamError
from streamlink.stream.dash.dash import DASHStream

from ..ffmpeg import source_format
from ..models import GapCause, SessionEnd
from .download import Aborted, Bad, Body, Missing, OriginHealth, cause_of, patient
from .inlet import Closed
from .tracks import FRESH_S, Order, Tap

log = logging.getLogger(__name__)

# Whole segments that wait for their turn, in memory.
QUEUED_SEGMENTS = 4
REMEMBERED = 4096


class DashWriter:
    """Before streamlink's writer: `fetch` in its download threads, `write` in its own."""

    track: DashTrack
    closed: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, size=QUEUED_SEGMENTS, **kwargs)  # type: ignore[call-arg]

    def put(self, segment: Any) -> None:
        if segment is None or self.track.is_new(segment):
            super().put(segment)  # type: ignore[misc]

    def fetch(self, segment: Any) -> Body | Missing | Aborted:
        try:
            return self.track.fetch(segment)
        except Aborted as aborted:
            return aborted
        except Exception as error:  # would otherwise vanish in a future
            log.exception("Fetching segment %s failed", segment.name)
            return Missing(GapCause.SOURCE, repr(error))

    def write(self, segment: Any, result: Any, *data: Any) -> None:
        self.track.take(segment, result)

    def run(self) -> None:
        try:
            super().run()  # type: ignore[misc]
        except Exception:
            log.exception("%s: segments are taken no more", self.track.name)
            self.track.broken = True
        finally:
            self.track.ended()


class DashWorker:
    """Before streamlink's worker: a manifest that does not come is asked for again."""

    track: DashTrack
    writer: Any
    closed: bool

    def reload(self) -> bool:
        try:
            super().reload()  # type: ignore[misc]
            self.track.heard()
        except Exception as error:
            # Its parser raises whatever a hostile manifest makes Python raise.
            self.track.reload_failed(error)
        # Streamlink waits ten times as long behind a reload without news.
        return True

    def check_sequence_gap(self, segment: Any) -> None:
        """What is missing shows in the timestamps."""

    def run(self) -> None:
        try:
            super().run()  # type: ignore[misc]
        except Exception:
            log.exception("%s: the manifest is read no more", self.track.name)
            self.track.broken = True
        finally:
            self.writer.put(None)


class DashTrack(Tap):
    def __init__(self, order: Order, stream: DASHStream, representation: Any, moment: Any) -> None:
        super().__init__(order, stream)
        self.name = order.name
        self.broken = False
        self._origin = OriginHealth()
        self._seen: OrderedDict[Any, None] = OrderedDict()
        self._head = b""
        self._fed_s = self._alive_s
        if order.reach_s is not None:
            _reach_back(stream.mpd, order.reach_s)
        base = type(stream).__reader__
        writer = type("CaptureWriter", (DashWriter, base.__writer__), {"track": self})
        worker = type("CaptureWorker", (DashWorker, base.__worker__), {"track": self})
        reader = type("CaptureReader", (base,), {"__writer__": writer, "__worker__": worker})
        self._reader = reader(stream, representation, moment, name=order.name)

    def start(self) -> None:
        self._reader.open()

    def stop(self) -> None:
        self._closed.set()
        self._reader.worker.close()

    @property
    def busy(self) -> bool:
        return self._order.inlet.blocked or time.monotonic() - self._fed_s < FRESH_S

    # What follows is called in streamlink's threads.

    def heard(self) -> None:
        self._alive_s = time.monotonic()

    def reload_failed(self, error: BaseException) -> None:
        self._alive_s = time.monotonic()
        self._cause = cause_of(error)
        log.info("%s: the manifest did not come (%s)", self.name, self._cause)

    def is_new(self, segment: Any) -> bool:
        place = segment.uri, segment.byterange
        if place in self._seen:
            return False
        self._seen[place] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return True

    def fetch(self, segment: Any) -> Body | Missing:
        """Raises Aborted."""
        if self._closed.wait(segment.available_in):
            raise Aborted
        args = copy.deepcopy(self._stream.args)
        headers = args.pop("headers", None) or {}
        length = None
        if segment.byterange:
            start, length = segment.byterange
            headers["Range"] = f"bytes={start}-{start + length - 1 if length else ''}"
        return patient(
            lambda timeout: self._stream.session.http.get(
                segment.uri, stream=True, timeout=timeout, exception=StreamError,
                raise_for_status=False, headers=headers, **args),
            lambda response, body: _whole(response, body, length),
            self._order.timeouts, self._origin, self._closed)

    def take(self, segment: Any, result: Body | Missing | Aborted) -> None:
        self._alive_s = self._fed_s = time.monotonic()
        if self._closed.is_set() or isinstance(result, Aborted):
            return
        if isinstance(result, Missing):
            log.warning("%s: segment %s is lost: %s", self.name, segment.name, result.why)
            self._cause = result.cause
            if segment.init:
                self._break()
            return
        if segment.init:
            self._head += result.content
            return
        try:
            self._feed(result.content, segment.duration)
        except Closed as reason:
            if not self._closed.is_set():
                log.info("%s: segment %s is not taken: %s", self.name, segment.name, reason)
            self._break()

    def _feed(self, body: bytes, duration_s: float) -> None:
        body, self._head = self._head + body, b""
        if self._order.inlet.idle:
            form = source_format(body)
            if form is None:
                raise Closed("it is no media that FFmpeg is given")
            self._order.inlet.form = form
        self._order.inlet.feed(body, duration_s)

    def _break(self) -> None:
        self.broken = True
        self.stop()

    def ended(self) -> None:
        self._order.inlet.finish()
        done = self._reader.worker.mpd.type == "static" and not (
            self.broken or self._closed.is_set())
        self._end = SessionEnd.ENDLIST if done else SessionEnd.BROKEN
        self._order.on_end()


def _reach_back(mpd: Any, reach_s: float) -> None:
    """Begin so far back, as far as the manifest keeps what is past. streamlink begins where
    the manifest suggests, or three seconds back."""
    kept = mpd.timeShiftBufferDepth
    reach = timedelta(seconds=reach_s)
    if kept is not None:
        reach = min(reach, kept)
    mpd.suggestedPresentationDelay = max(mpd.suggestedPresentationDelay, reach)


def _whole(response: Response, body: bytes, length: int | None) -> bytes:
    if not body or body.lstrip()[:1] == b"<":
        raise Bad(f"not media ({response.headers.get('Content-Type', 'no type')})")
    if length and len(body) != length:
        raise Bad(f"{len(body)} bytes instead of the {length} asked for")
    return body
