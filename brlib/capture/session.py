"""One opened stream of a capture: where it goes on, what is on its way, why it ended.

Made by `Capture.open`; called by streamlink's threads through `segments` and watched by
the recording's own thread. Several sessions follow one another in a recording's life.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Event
from typing import Any

from ..clocks import boot_s
from ..continuity import Judgement, Listed, Meaning, Position, Proof, judge, path_hash
from ..models import GapCause, SessionEnd
from ..tally import RECENT_SEGMENTS, digest_of
from .base import Committer, Missed, Source, Timeouts
from .download import OriginHealth, cause_of, is_refusal
from .segments import open_reader

log = logging.getLogger(__name__)

WAITING_BYTES = 32 * 1024 * 1024
RELOAD_FRESH_S = 15.0
# A playlist that is refused so often in a row is gone: its address has expired, or the source
# has left. Who opens the stream anew learns which.
REFUSALS_MAX = 3


@dataclass(frozen=True)
class Start:
    """Where a session goes on: the position the ledger knows, and why there was a break.

    `at_edge`: take only what is new from now on (after a pause).
    """

    position: Position | None
    epoch: int
    cause: GapCause | None
    at_edge: bool = False


@dataclass
class Ticket:
    """A queued segment's place in the order, with what is missing before it."""

    segment: Any
    source: Source
    missed: Missed | None


class Session:
    def __init__(
        self, name: str, committer: Committer, start: Start, timeouts: Timeouts,
        on_end: Callable[[], None], clock: Callable[[], float] = time.monotonic,
        boot: Callable[[], float] = boot_s,
    ) -> None:
        """`boot` is for what was missed, also in the machine's sleep; `clock` for patience."""
        self.timeouts = timeouts
        self.origin = OriginHealth()
        self.closed = threading.Event()
        self.ended = threading.Event()
        self.error: BaseException | None = None
        self.target_duration_s = 0.0
        self.judged = False
        self.reload_begun_s = self._reloaded_s = clock()
        # By the clock that counts sleep: when a playlist came last, and how long after another.
        self._seen_s, self._blind_s = boot(), 0.0
        self._name = name
        self._on_end = on_end
        self._clock = clock
        self._boot = boot
        self._committer = committer
        self._room = threading.Condition()
        self._tickets: deque[Ticket] = deque()
        self._sizes: dict[int, int] = {}
        self._waiting_bytes = 0
        self._position = start.position
        self._committed = start.position.committed if start.position else -1
        self._recent = OrderedDict(start.position.recent) if start.position else OrderedDict()
        self._queued_at_s = boot() - (start.position.idle_s if start.position else 0.0)
        self._epoch = start.epoch
        self._cause = start.cause
        self._at_edge = start.at_edge
        self._pending_miss: Missed | None = None
        self._deduplicate = False
        self._endlist = False
        self._disk_failed = False
        self._refusals = 0
        self._reader: Any = None

    def open(self, stream: Any) -> None:
        self._reader = open_reader(stream, self, self._name)

    def close(self) -> None:
        """Ask all threads to end; returns at once. Nothing is committed from now on."""
        self.closed.set()
        with self._room:
            self._room.notify_all()
        if self._reader is not None:
            self._reader.worker.close()

    @property
    def end(self) -> SessionEnd | None:
        """Why it ended, once it has."""
        if self._disk_failed:
            return SessionEnd.DISK
        if not self.ended.is_set():
            return None
        if self.error is not None or not self._endlist or self._tickets:
            return SessionEnd.BROKEN
        return SessionEnd.ENDLIST

    @property
    def cause(self) -> GapCause | None:
        """Why something may be missing behind what this session brought, as far as it knows."""
        return self._cause

    @property
    def busy(self) -> bool:
        """Whether segments are on their way and the playlist comes: patience, not doubt."""
        fresh_s = self._clock() - self._reloaded_s
        return bool(self._tickets) and fresh_s < max(RELOAD_FRESH_S, 3 * self.target_duration_s)

    def write_off(self, cause: GapCause | None = None) -> None:
        """Closed and over: what was still on its way is missing. Raises OSError; called again
        it goes on from there."""
        while self._tickets:
            ticket = self._tickets[0]
            # The last one may have been committed by a write that failed behind it.
            if self._committer.digest(ticket.source.num, ticket.source.epoch) is None:
                self._give_up(ticket, cause or self._cause or GapCause.SOURCE, Event())
            self._done(ticket)

    # What follows is called by streamlink's threads, through `segments`.

    def judge(self, segments: list[Any], endlist: bool,
              fetch: Callable[[Any], bytes | None]) -> Judgement:
        listed = [_listed(segment) for segment in segments]
        position = self._where()
        judgement = judge(position, listed)
        if judgement.meaning is Meaning.DOUBT:
            segment = next(s for s in segments if s.num == judgement.start)
            judgement = judge(position, listed, self._prove(segment, fetch))
        if judgement.meaning is Meaning.STALE:
            log.info("%s: the origin gave an older playlist; it is left alone", self._name)
            return judgement
        if self._at_edge and position is not None:
            judgement = _from_edge(judgement, listed)
        if judgement.meaning is Meaning.RENUMBERED:
            self._renumber(judgement)
        self._note_miss(judgement)
        if self._position is not None:
            self._position = replace(self._position, fresh=False)
        self._cause, self._at_edge, self._endlist = None, False, endlist
        self.judged = True
        return judgement

    def _where(self) -> Position | None:
        if self._position is None:
            return None
        return replace(self._position, recent=self._recent, committed=self._committed,
                       idle_s=self._boot() - self._queued_at_s)

    def _prove(self, segment: Any, fetch: Callable[[Any], bytes | None]) -> Proof:
        ours = self._committer.digest(segment.num, self._epoch)
        if ours is None:
            return Proof.NONE
        body = fetch(segment)
        if body is None:
            return Proof.NONE
        return Proof.SAME if digest_of(body) == ours else Proof.OTHER

    def _renumber(self, judgement: Judgement) -> None:
        log.info("%s: the source numbers its segments anew, from %d", self._name, judgement.start)
        self._epoch += 1
        self._committed = -1
        self._recent.clear()
        self._deduplicate = True

    def _note_miss(self, judgement: Judgement) -> None:
        if judgement.missed or judgement.missed_s > 0:
            # Seen all along, and without a number that went by: nobody was sending.
            away = judgement.meaning is Meaning.RENUMBERED and not judgement.missed and (
                self._blind_s < max(RELOAD_FRESH_S, 3 * self.target_duration_s))
            cause = self._cause or (GapCause.OFFLINE if away else GapCause.EXPIRED)
            self._pending_miss = Missed(judgement.missed, judgement.missed_s, cause)

    def queued(self, segment: Any) -> int:
        """The segment is on its way; the number of its numbering."""
        listed = _listed(segment)
        source = Source(segment.num, self._epoch, segment.duration, listed.path, segment.date,
                        segment.discontinuity)
        with self._room:
            self._tickets.append(Ticket(segment, source, self._pending_miss))
        self._pending_miss = None
        self._recent[segment.num] = listed
        if len(self._recent) > RECENT_SEGMENTS:
            self._recent.popitem(last=False)
        end_date = segment.date and segment.date + timedelta(seconds=segment.duration)
        self._queued_at_s = self._boot()
        self._position = Position(
            segment.num + 1, self._recent, end_date, 0.0, segment.duration)
        return self._epoch

    def wait_room(self, segment: Any) -> None:
        """Wait until this segment may take memory: the next to be written always may."""
        with self._room:
            while not self.closed.is_set() and self._waiting_bytes > WAITING_BYTES:
                if not self._tickets or self._tickets[0].segment is segment:
                    return
                self._room.wait(1.0)

    def waits(self, segment: Any, size_bytes: int) -> None:
        """The segment is in memory and waits for its turn."""
        with self._room:
            self._waiting_bytes += size_bytes
            self._sizes[id(segment)] = size_bytes

    def commit(self, segment: Any, body: bytes, init: bytes | None) -> None:
        ticket = self._turn_of(segment)
        if self._deduplicate and self._committer.has(body):
            log.info("%s: segment %d is here already under another number", self._name,
                     segment.num)
            # Behind the newest one that we have everything is new, even if it looks alike.
            self._deduplicate = not self._committer.ends_with(body)
            self._done(ticket)
            return
        self._deduplicate = False

        def take() -> bool:
            return self._commit_miss(ticket, self.closed) and self._committer.commit(
                ticket.source, body, init, self.closed)

        if self._taken(ticket, take) and ticket.source.epoch == self._epoch:
            self._committed = ticket.source.num

    def lost(self, segment: Any, cause: GapCause, why: str) -> None:
        ticket = self._turn_of(segment)
        log.warning("%s: segment %d is lost: %s", self._name, segment.num, why)
        self._taken(ticket, lambda: self._give_up(ticket, cause, self.closed))

    def _taken(self, ticket: Ticket, take: Callable[[], bool]) -> bool:
        """Whether the capture has it now. What it does not take keeps its ticket: the next
        session asks for it anew, or it is written off."""
        try:
            taken = take()
        except OSError as error:
            self.error, self._disk_failed = error, True
            self.close()
            return False
        if taken:
            self._done(ticket)
        return taken

    def _give_up(self, ticket: Ticket, cause: GapCause, closed: Event) -> bool:
        source = ticket.source
        missed = Missed(1, source.duration_s, cause)
        return self._commit_miss(ticket, closed) and self._committer.miss(
            missed, source.num + 1, source.epoch, closed)

    def _commit_miss(self, ticket: Ticket, closed: Event) -> bool:
        if ticket.missed is not None:
            if not self._committer.miss(
                    ticket.missed, ticket.source.num, ticket.source.epoch, closed):
                return False
            ticket.missed = None
        return True

    def _turn_of(self, segment: Any) -> Ticket:
        """The ticket of the next segment to be written, which no longer counts as waiting."""
        with self._room:
            ticket = self._tickets[0]
            self._waiting_bytes -= self._sizes.pop(id(segment), 0)
            self._room.notify_all()
        if ticket.segment is not segment:
            raise AssertionError(f"segment {segment.num} out of order")
        return ticket

    def _done(self, ticket: Ticket) -> None:
        with self._room:
            # It may have been written off meanwhile.
            if self._tickets and self._tickets[0] is ticket:
                self._tickets.popleft()
            self._room.notify_all()

    def reloaded(self, target_duration_s: float) -> None:
        self.target_duration_s = target_duration_s
        seen_s, self._seen_s = self._seen_s, self._boot()
        self._blind_s = self._seen_s - seen_s
        self.reload_begun_s = self._reloaded_s = self._clock()
        self._refusals = 0

    def reload_failed(self, error: BaseException) -> None:
        """What is missing behind this was missed because of it."""
        self._cause = self._cause or cause_of(error)
        self.reload_begun_s = self._clock()
        log.info("%s: the playlist did not come (%s)", self._name, self._cause)
        self._refusals = self._refusals + 1 if is_refusal(error) else 0
        if self._refusals >= REFUSALS_MAX and (self.origin.refuses or not self._tickets):
            self.error = self.error or error
            self.close()

    def worker_done(self, error: BaseException | None) -> None:
        self.error = self.error or error

    def writer_done(self, error: BaseException | None) -> None:
        self.error = self.error or error
        if self.error is not None:
            # As text: whoever keeps the line would keep all that the error passed through.
            log.warning("%s: the stream broke off: %s", self._name, repr(self.error))
        self.ended.set()
        self._on_end()


def _listed(segment: Any) -> Listed:
    offset = segment.byterange.offset if segment.byterange else None
    return Listed(segment.num, segment.duration, path_hash(segment.uri, offset), segment.date)


def _from_edge(judgement: Judgement, listed: list[Listed]) -> Judgement:
    """The judgement with everything before the newest listed segment left out, too."""
    left_out = [s for s in listed[:-1] if s.num >= judgement.start]
    return replace(
        judgement,
        start=max(judgement.start, listed[-1].num),
        missed=judgement.missed + len(left_out),
        missed_s=judgement.missed_s + sum(s.duration_s for s in left_out),
    )
