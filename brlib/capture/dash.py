"""A DASH representation as a track: streamlink's reader with our patience.

streamlink keeps the manifest and says which segments there are; the mixins fetch them as
segments of HLS are fetched and give them to FFmpeg. Measured on streamlink 8.6.3: its own
writer drops a segment that fails, a failed reload ends its worker without a word, a
manifest that becomes static offers once more all that it lists, and one whose segments are
counted by the clock is never read again.
"""

from __future__ import annotations

import copy
import logging
import time
from collections import OrderedDict
from collections.abc import Generator
from datetime import timedelta
from typing import Any

from requests import Response
from streamlink.exceptions import StreamError
from streamlink.stream.dash.dash import DASHStream
from streamlink.utils.times import now as streamlink_now

from .. import manifest
from ..models import GapCause, SessionEnd
from .download import (
    Aborted, Bad, Body, Missing, OriginHealth, cause_of, is_refusal, patient,
)
from .inlet import Closed
from .session import REFUSALS_MAX
from .tracks import FRESH_S, Order, Tap, demuxer

log = logging.getLogger(__name__)

# Whole segments that wait for their turn, in memory.
QUEUED_SEGMENTS = 4
REMEMBERED = 4096
# How often a manifest is looked at that says nothing of its segments but how to count them.
COUNTED_LOOK_S = 5.0
TICK_S = 1.0


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
    reader: Any
    writer: Any
    mpd: Any
    closed: bool

    def reload(self) -> bool:
        self.track.asks(self.mpd)
        try:
            super().reload()  # type: ignore[misc]
            self.track.reloaded()
        except Exception as error:
            # Its parser raises whatever a hostile manifest makes Python raise.
            self.track.reload_failed(error)
        # Streamlink waits ten times as long behind a reload without news.
        return True

    def check_sequence_gap(self, segment: Any) -> None:
        """What is missing shows in the timestamps."""

    def iter_segments(self) -> Generator[Any, bool, None]:
        representation = self.mpd.get_representation(self.reader.ident)
        if representation is not None and manifest.counts(representation):
            return self._counted(representation)
        found: Generator[Any, bool, None] = super().iter_segments()  # type: ignore[misc]
        return found

    def _counted(self, representation: Any) -> Generator[Any, bool, None]:
        """Segments as the clock says that they are whole, up to the end that the manifest
        tells of; another way of counting in it is another stream."""
        last, looked_s = None, time.monotonic()
        for segment in representation.segments(timestamp=self.reader.timestamp):
            while not segment.init and last is None:
                due_s = (segment.available_at - streamlink_now()).total_seconds() + segment.duration
                if time.monotonic() - looked_s >= COUNTED_LOOK_S:
                    self.reload()
                    looked_s = time.monotonic()
                    found = self.mpd.get_representation(self.reader.ident)
                    if self.mpd.type == "static" and found is not None:
                        last = manifest.last_number(found) or segment.num - 1
                    elif found is None or not manifest.counted_alike(found, representation):
                        return
                if due_s <= 0:
                    break
                if not self.wait(min(due_s, TICK_S)):  # type: ignore[attr-defined]
                    return
            if self.closed or last is not None and segment.num > last:
                return
            yield segment

    def run(self) -> None:
        try:
            super().run()  # type: ignore[misc]
        except Exception:
            log.exception("%s: the manifest is read no more", self.track.name)
            self.track.broken = True
        finally:
            self.writer.put(None)


class DashTrack(Tap):
    """`edge` is what the manifest ends with, once all of it has been dealt with."""

    def __init__(self, order: Order, stream: DASHStream, representation: Any, moment: Any) -> None:
        super().__init__(order, stream)
        self.name = order.name
        self.broken = False
        self._origin = OriginHealth()
        self._seen: OrderedDict[Any, None] = OrderedDict()
        self._queued = self._taken = 0
        self._init = b""
        self._fed_s = self._alive_s
        self._asked = False
        self._refusals = 0
        self._segment_s = 0.0
        self._newest: str | None = None
        if order.reach_s is not None:
            _reach_back(stream.mpd, order.reach_s)
        base = type(stream).__reader__
        writer = type("CaptureWriter", (DashWriter, base.__writer__), {"track": self})
        worker = type("CaptureWorker", (DashWorker, base.__worker__), {"track": self})
        reader = type("CaptureReader", (base,), {"__writer__": writer, "__worker__": worker})
        self._reader = reader(stream, representation, moment, name=order.name)
        # It is loaded again soon anyway.
        self._reader.worker.manifest_reload_retries = 1

    def start(self) -> None:
        self._reader.open()

    def stop(self) -> None:
        self._closed.set()
        self._reader.worker.close()

    @property
    def edge(self) -> str | None:
        return self._newest

    @property
    def alive_s(self) -> float:
        # Between two manifests nobody waits for the origin, however long that is.
        return super().alive_s if self._asked else time.monotonic()

    @property
    def busy(self) -> bool:
        came_s = max(self._fed_s, self._origin.last_data_s)
        return self._order.inlet.blocked or time.monotonic() - came_s < FRESH_S

    # What follows is called in streamlink's threads.

    def asks(self, mpd: Any) -> None:
        """The manifest is asked for again; `mpd` is the one whose segments were queued."""
        if self._queued == self._taken:
            self._newest = manifest.edge(mpd)
        self._asked, self._alive_s = True, time.monotonic()

    def reloaded(self) -> None:
        self._refusals = 0
        self._answered()

    def reload_failed(self, error: BaseException) -> None:
        self._cause = cause_of(error)
        log.info("%s: the manifest did not come (%s)", self.name, self._cause)
        self._refusals = self._refusals + 1 if is_refusal(error) else 0
        if self._refusals >= REFUSALS_MAX:
            self._break()
        self._answered()

    def _answered(self) -> None:
        self._asked = False
        self._order.inlet.rest(self._segment_s)

    def is_new(self, segment: Any) -> bool:
        place = segment.uri, segment.byterange
        if place in self._seen:
            return False
        self._seen[place] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        self._queued += 1
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
        try:
            self._take(segment, result)
        finally:
            self._taken += 1

    def _take(self, segment: Any, result: Body | Missing | Aborted) -> None:
        if self._closed.is_set() or isinstance(result, Aborted):
            return
        if isinstance(result, Missing):
            log.warning("%s: segment %s is lost: %s", self.name, segment.name, result.why)
            self._cause = result.cause
            if segment.init:
                self._break()
            return
        self._fed_s = time.monotonic()
        if segment.init:
            self._init = result.content
            return
        self._segment_s = segment.duration
        inlet = self._order.inlet
        try:
            inlet.form = demuxer(self._init or result.content)
            inlet.feed(result.content, segment.duration, self._init)
        except Closed as reason:
            if not self._closed.is_set():
                log.info("%s: segment %s is not taken: %s", self.name, segment.name, reason)
            self._break()

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
