"""streamlink's HLS reader with our hooks: what arrives goes whole, in order, once to a sink.

streamlink keeps playlists, decryption, ad filtering and the plugins' own rules; the mixins
replace what a recorder needs otherwise: patience with segments, judgement of playlists,
and init sections by (address, byte range). Only names without underscore are relied on;
`tests/test_streamlink_names.py` lists them. Measured on streamlink 8.6.3.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from queue import Full, Queue
from typing import Any, Protocol

from requests import Response
from streamlink.exceptions import StreamError
from streamlink.stream.hls.segment import Key

from ..continuity import Judgement, Meaning, set_offsets
from ..models import GapCause
from .base import Timeouts
from .download import (
    Aborted, Bad, Body, Missing, OriginHealth, aes_key, cause_of, patient, request_range, whole,
)
from .standins import Tray, name_once

log = logging.getLogger(__name__)

# The queue holds playlist entries; how many bytes wait for their turn is bounded by
# the sink's room. A short queue would stop playlist reloads while its head is retried.
QUEUED_SEGMENTS = 2000
FULL_LOOK_S = 1.0
KEPT_SHARED = 16


class Filtered:
    """A segment that the plugin drops (an ad)."""


class Fetched:
    """A segment with what it needs: its init section and the keys by address."""

    def __init__(self) -> None:
        self.body = Body(b"")
        self.init: Body | None = None
        self.init_key: Any = None
        self.keys: dict[str, bytes] = {}


class Sink(Protocol):
    """The session that a reader works for; called from streamlink's threads."""

    closed: threading.Event
    timeouts: Timeouts
    origin: OriginHealth

    def judge(self, segments: list[Any], endlist: bool, fetch: Any) -> Judgement: ...
    def queued(self, segment: Any) -> int: ...
    def wait_room(self, segment: Any) -> None: ...
    def waits(self, segment: Any, size_bytes: int) -> None: ...
    def commit(self, segment: Any, body: bytes, init: bytes | None) -> None: ...
    def lost(self, segment: Any, cause: GapCause, why: str) -> None: ...
    def reloaded(self, target_duration_s: float) -> None: ...
    def reload_failed(self, error: BaseException) -> None: ...
    def worker_done(self, error: BaseException | None) -> None: ...
    def writer_done(self, error: BaseException | None) -> None: ...


class WriterMixin:
    """Before streamlink's writer: downloads with patience, hands whole segments on."""

    sink: Sink
    reader: Any
    session: Any
    executor: Any

    # streamlink's: the key that its decryptor uses, and the address it came from.
    key_data: bytes
    key_uri: str | None
    key_uri_override: str | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._closed = False
        self._line: Queue[tuple[Any, Future[Any], tuple[Any, ...]] | None] = Queue(
            QUEUED_SEGMENTS)
        super().__init__(*args, **kwargs)
        self._kept: OrderedDict[Any, Body] = OrderedDict()
        self._generation = 0
        self._epoch = 0
        self._plain_init: tuple[Any, bytes] | None = None

    # streamlink's own line looks twice a second whether it is closed.

    @property
    def closed(self) -> bool:
        return self._closed

    @closed.setter
    def closed(self, closed: bool) -> None:
        self._closed = closed
        if closed and self._line.empty():
            self._line.put(None)

    def queue(self, segment: Any, future: Any, *data: Any) -> None:
        item = None if segment is None or future is None else (segment, future, data)
        while not self.closed:
            try:
                return self._line.put(item, timeout=FULL_LOOK_S)
            except Full:
                log.debug("%d segments are waiting", QUEUED_SEGMENTS)

    def _write_in_turn(self) -> None:
        while not self.closed and (item := self._line.get()) is not None:
            segment, future, data = item
            try:
                result = future.result()
            except CancelledError:
                continue
            self.write(segment, result, *data)
            if isinstance(result, Fetched):
                # The future, and this loop up to the next segment, would keep it.
                result.body.release()
        self.close()  # type: ignore[attr-defined]

    def put(self, segment: Any) -> None:
        if segment is None:
            self.queue(None, None)
        elif not self.closed:
            epoch = self.sink.queued(segment)
            if segment.discontinuity or epoch != self._epoch:
                self._generation += 1
            self._epoch = epoch
            future = self.executor.submit(self._fetch_safely, segment, self._generation)
            self.queue(segment, future, False)

    def _fetch_safely(
        self, segment: Any, generation: int
    ) -> Fetched | Missing | Filtered | Aborted:
        try:
            return self._fetch_whole(segment, generation)
        except Aborted as aborted:
            return aborted
        except Exception as error:  # would otherwise vanish in a future
            log.exception("Fetching segment %s failed", segment.num)
            return Missing(GapCause.SOURCE, repr(error))

    def _fetch_whole(self, segment: Any, generation: int) -> Fetched | Missing | Filtered:
        if self.should_filter_segment(segment):  # type: ignore[attr-defined]
            return Filtered()
        self.sink.wait_room(segment)
        fetched = Fetched()
        if segment.map is not None:
            fetched.init_key = (generation, segment.map.uri, segment.map.byterange)
            init = self._shared(fetched.init_key, segment, segment.map)
            if isinstance(init, Missing):
                return init
            fetched.init = init
        for key in {k.uri: k for k in _keys(segment)}.values():
            got = self._shared((generation, key.uri), segment, key)
            if isinstance(got, Missing):
                return got
            fetched.keys[key.uri] = got.content
        body = self._download(segment, segment)
        if isinstance(body, Missing):
            return body
        fetched.body = body
        self.sink.waits(segment, len(body.content))
        return fetched

    def _shared(self, name: Any, segment: Any, what: Any) -> Body | Missing:
        """An init section or a key, which many segments have in common. A new generation
        (a discontinuity, a new numbering) may have others at the same address."""
        got = self._kept.get(name) or self._download(segment, what)
        if isinstance(got, Body):
            self._kept[name] = got
            if len(self._kept) > KEPT_SHARED:
                self._kept.popitem(last=False)
        return got

    def _download(self, segment: Any, what: Any) -> Body | Missing:
        """`what` is the segment itself, its map or its key."""
        params: dict[str, Any]
        accept: Callable[[Response, bytes], bytes]
        if isinstance(what, Key):
            params, accept = dict(self.reader.request_params), aes_key
        else:
            params = self.create_request_params(  # type: ignore[attr-defined]
                segment.num, what, what is not segment)
            accept = whole(request_range(params), _encrypted(what.key))
        return patient(
            lambda timeout: self.session.http.get(
                what.uri, stream=True, timeout=timeout, exception=StreamError,
                raise_for_status=False, **params),
            accept, self.sink.timeouts, self.sink.origin, self.sink.closed,
        )

    def write(self, segment: Any, result: Any, *data: Any) -> None:
        if self.sink.closed.is_set() or isinstance(result, Aborted):
            return
        match result:
            case Missing():
                self.sink.lost(segment, result.cause, result.why)
            case Filtered():
                self.sink.lost(segment, GapCause.AD, "an ad")
            case Fetched():
                init = self._init_of(segment, result)
                body = self._plain(segment, result, is_map=False)
                if self.closed:
                    return
                if body and (init or result.init is None):
                    self.sink.commit(segment, body, init)
                else:
                    self.sink.lost(segment, GapCause.SOURCE, "it cannot be decrypted")

    def _init_of(self, segment: Any, result: Fetched) -> bytes | None:
        if result.init is None:
            return None
        if self._plain_init is None or self._plain_init[0] != result.init_key:
            plain = self._plain(segment, result, is_map=True)
            self._plain_init = (result.init_key, plain)
        return self._plain_init[1]

    def _plain(self, segment: Any, result: Fetched, is_map: bool) -> bytes:
        """The bytes as streamlink would give them to a player: decrypted, with the key that
        was fetched (and retried) with the segment; streamlink would close at its first failure."""
        key = segment.map.key if is_map else segment.key
        if _encrypted(key) and not self.key_uri_override and key.uri in result.keys:
            self.key_uri, self.key_data = key.uri, result.keys[key.uri]
        self.reader.buffer.take()
        super().write(  # type: ignore[misc]
            segment, result.init if is_map else result.body, is_map)
        taken: bytes = self.reader.buffer.take()
        return taken

    def run(self) -> None:
        error: BaseException | None = None
        try:
            self._write_in_turn()
        except Exception as caught:
            error = caught
        finally:
            self.sink.writer_done(error)
            self.sink.closed.set()
            self.close()  # type: ignore[attr-defined]


class WorkerMixin:
    """Before streamlink's worker: every playlist is judged before anything is taken."""

    sink: Sink
    sequence: int
    playlist_end: int | None
    playlist_targetduration: float
    session: Any
    writer: Any

    def reload(self) -> None:
        try:
            super().reload()  # type: ignore[misc]
        except StreamError as error:
            self.sink.reload_failed(error)
            raise
        except Exception as error:
            # What its parser cannot take (a number out of all bounds) is a bad playlist,
            # to be loaded again, not the end of its thread.
            self.sink.reload_failed(error)
            raise StreamError(f"The playlist cannot be read: {error!r}") from error
        self.sink.reloaded(self.playlist_targetduration)

    def process_segments(self, playlist: Any) -> None:
        set_offsets(playlist.segments)
        set_maps(playlist.segments)
        judgement = self.sink.judge(playlist.segments, playlist.is_endlist, self._fetch_digestible)
        if judgement.meaning is Meaning.STALE:
            return
        if judgement.meaning is Meaning.RENUMBERED:
            self.playlist_end = None
        self.sequence = judgement.start
        durations = [(segment, segment.duration) for segment in playlist.segments]
        super().process_segments(playlist)  # type: ignore[misc]
        for segment, duration_s in durations:
            # Twitch's own worker makes those of ads 0: a gap has a length all the same.
            segment.duration = duration_s

    def _fetch_digestible(self, segment: Any) -> bytes | None:
        """The plain bytes of a listed segment for comparison; None when they cannot be had."""
        if _encrypted(segment.key):
            return None
        limits = self.sink.timeouts
        params = self.writer.create_request_params(segment.num, segment, False)
        try:
            response = self.session.http.get(
                segment.uri, timeout=(limits.connect_s, limits.read_s),
                exception=StreamError, **params)
            return whole(request_range(params), False)(response, response.content)
        except (StreamError, Bad) as error:
            log.info("Segment %d cannot be compared: %s", segment.num, cause_of(error))
            return None

    def check_sequence_gap(self, segment: Any) -> None:
        """Gaps were judged and noted with the playlist."""

    def run(self) -> None:
        error: BaseException | None = None
        try:
            super().run()  # type: ignore[misc]
        except Exception as caught:
            error = caught
        finally:
            self.sink.worker_done(error)
            if error is not None:
                self.writer.put(None)


def _encrypted(key: Any) -> bool:
    return key is not None and key.method != "NONE"


def _keys(segment: Any) -> list[Any]:
    """The keys with an address that a segment and its init section need."""
    found = [segment.key] + ([segment.map.key] if segment.map is not None else [])
    return [key for key in found if _encrypted(key) and key.uri]


def set_maps(segments: list[Any]) -> None:
    """An EXT-X-MAP holds until the next one (RFC 8216 4.3.2.5); streamlink's parser drops it
    at a discontinuity. Only segments of the same kind of file get it back: there is no tag
    that ends a map where transport stream follows fMP4."""
    held = None
    for segment in segments:
        if segment.map is not None:
            held = segment
        elif held is not None and segment.fileext == held.fileext:
            segment.map = held.map


def open_reader(stream: Any, sink: Sink, name: str) -> Any:
    """Start streamlink's threads for an HLS stream of any plugin; `sink` gets what comes.

    The reader's `worker.close()` stops it; everything else follows from that.
    """
    base = type(stream).__reader__
    writer = type("CaptureWriter", (WriterMixin, base.__writer__), {"sink": sink})
    worker = type("CaptureWorker", (WorkerMixin, base.__worker__), {"sink": sink})
    reader_class = type("CaptureReader", (base,), {"__writer__": writer, "__worker__": worker})
    name_once(stream)
    # Segments stay as they were served: no stripping of packed audio's timestamps.
    stream.parse_packed_audio = False
    reader = reader_class(stream, name=name)
    # streamlink writes Range into the very dict that playlist reloads use, too.
    stream.session.http.headers.update(reader.request_params.pop("headers", None) or {})
    reader.buffer = Tray()
    reader.open()
    return reader
