"""Every recording's way to its file: who is fed now, who waits, what became of it.

Commanded by the recorder (a recording began, ended), by the API (reprocess) and by the
service (finish what an earlier process left). Moves recordings from `processing` to
`complete` or `failed` and tells of it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..config import RECORDINGS_MAX, Settings
from ..encoding import Encoding
from ..errors import CaptureDamaged, Conflict, RecorderError, RecordingNotFound, Unavailable
from ..events import EventBus, about_recording
from ..ledger import ARCHIVE, DONE
from ..mark import kept_mark
from ..models import EndReason, Recording, RecordingStatus
from ..processing import Processing
from ..store import Store
from ..workers import Pool, Worker
from . import sentences
from .again import Remux
from .archive import CaptureArchive
from .base import AssemblyFailed, Finished, NothingLeft, Plan, Suspended
from .captures import Captures
from .feed import Feed
from .job import HELD_UP_S, Job
from .place import Places, files_left, find_originals
from .plans import Plans
from .turns import Turns
from .ways import WayFailed, is_to_blame, with_way

log = logging.getLogger(__name__)

# Once the capture is closed; together some minutes, for what passes by itself.
TRIES = 5
RETRY_S = (2.0, 15.0, 60.0, 240.0)


class Assembly:
    def __init__(self, settings: Callable[[], Settings], store: Store, bus: EventBus) -> None:
        self._settings = settings
        self._store = store
        self._bus = bus
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        # Two lines: a copy takes seconds and does not wait behind hours of encoding.
        self._copies, self._encodings = (
            Turns(lambda: self._settings().max_concurrent_processing) for _ in range(2))
        self.plans = Plans(settings, store)
        self._places = Places()
        self._captures = Captures(settings)
        self._archive = CaptureArchive(settings, store, self._captures)
        self._daemon: str | None = None
        # Live feeds never wait for one another: those of recordings, those just ending.
        self._pool = Pool("feed", 4 * RECORDINGS_MAX + 1000)

    def start(self) -> None:
        """Finish what an earlier process left in `processing`, or half removed."""
        self._daemon = kept_mark(self._settings().data_directory)
        for name in (ARCHIVE, DONE):
            for recording_id, aside in self._captures.find_leaving(name):
                try:
                    self._clear(recording_id, aside)
                except OSError as error:
                    log.warning("%s cannot be cleared away: %s", aside, error)
        for recording in self._store.recordings.find_with_status([RecordingStatus.PROCESSING]):
            if recording.end_reason is not EndReason.CANCELLED:
                try:
                    self.finish(self._as_held(recording))
                except (RecorderError, OSError) as error:
                    # One recording's trouble must not keep the daemon from starting.
                    log.error("%s cannot be finished before the next start: %s",
                              recording.id, error)
        self._archive.worker.start()

    def _clear(self, recording_id: str, aside: Path) -> None:
        """A capture whose file had its name; the file may be made anew unless the row says
        that it is there. What is to be archived waits for that. Raises OSError."""
        try:
            over = self._store.recordings.get(recording_id).status is RecordingStatus.COMPLETE
        except RecordingNotFound:
            over = True
        if not over and self._captures.put_back(recording_id, aside):
            self._store.recordings.note_capture(recording_id, True)
        elif aside.suffix == DONE:
            self._captures.remove(aside)

    def begin(self, recording: Recording) -> None:
        """A recording began or goes on: feed it from its first segment, if that is wanted.

        One that goes on may be over by now: nobody would end its feed."""
        if not self.plans.live(recording):
            return
        with self._lock:
            if recording.id in self._jobs or self._is_over(recording.id):
                return
            job = self._new_job(recording, closed=False, live=True)
        self._run(job)

    def _is_over(self, recording_id: str) -> bool:
        try:
            return not self._store.recordings.get(recording_id).active
        except (RecordingNotFound, Unavailable, sqlite3.Error) as error:
            log.warning("%s: its row cannot be read yet: %s", recording_id, error)
            return False

    def _new_job(self, recording: Recording, *, closed: bool, live: bool) -> Job:
        """Under the lock: nobody else makes one for it."""
        job = Job(recording, self._store, self._bus, closed=closed, live=live,
                  daemon=self._daemon)
        self._jobs[recording.id] = job
        return job

    def finish(self, recording: Recording) -> None:
        """The recording is `processing`: its capture is closed."""
        with self._lock:
            job = self._jobs.get(recording.id)
            new = self._new_job(recording, closed=True, live=False) if job is None else None
        self._bus.publish("processing_started", about_recording(recording))
        if job is not None:
            job.close(recording)
        elif new is not None:
            self._run(new)

    def reprocess(self, recording: Recording, archived: bool = False) -> Recording:
        """Build the files again: from the capture, here or in the archive, or, where that is gone,
        from the files. `archived`: the archive has it.

        Raises Conflict when the recording is not over, NothingLeft.
        """
        if recording.status not in (RecordingStatus.COMPLETE, RecordingStatus.FAILED):
            raise Conflict(f"The recording is {recording.status}")
        if not (archived or self._captures.has(recording) or self._has_files(recording)
                or self._captures.waiting(recording.id).exists()):
            raise NothingLeft("Its capture and its file are gone: there is nothing to build from")
        changed = self._store.recordings.change(
            recording.id, status=RecordingStatus.PROCESSING, error=None)
        self._captures.take_back(recording.id)
        changed = self._as_held(changed)
        self.finish(changed)
        return changed

    def is_archived(self, recording: Recording) -> bool:
        """Whether the archive has its capture. Raises Unavailable when its disk hangs."""
        return self._archive.find(recording) is not None

    def _as_held(self, recording: Recording) -> Recording:
        """What the disk lost of a capture although it was closed (a power cut, a disk that
        failed at the end) is not waited for: the recording is what is left of it."""
        try:
            tally = self._captures.settle(recording)
        except (CaptureDamaged, OSError) as error:
            log.warning("%s: its capture is fed as it is: %s", recording.id, error)
            return recording
        if tally is None or tally.sums == recording.sums:
            return recording
        log.warning("%s: its capture holds %d segments, not %d", recording.id,
                    tally.sums.segments, recording.sums.segments)
        return self._store.recordings.change(recording.id, sums=tally.sums)

    def _has_files(self, recording: Recording) -> bool:
        return find_originals(recording.files) is not None

    def drop(self, recording_id: str, deadline_s: float) -> bool:
        """Work no more at a recording that is to be discarded; False when someone still does."""
        with self._lock:
            job = self._jobs.get(recording_id)
        if job is None:
            return True
        job.let_go()
        return job.over.wait(deadline_s)

    def fed_bytes(self, recording_id: str) -> int:
        """How much of a capture is in the file that is being made of it; 0 without one."""
        with self._lock:
            job = self._jobs.get(recording_id)
        return job.fed_bytes if job is not None else 0

    def problems(self) -> list[str]:
        """Whose assembly is held up, for health. It goes on by itself when its disk answers."""
        with self._lock:
            jobs = list(self._jobs.values())
        return [
            f"the file of {job.recording.id} ({job.recording.channel_name}) has not moved for "
            f"{job.silent_s:.0f} s: the disk of its output directory may not answer"
            for job in jobs if job.silent_s >= HELD_UP_S
        ] + [f"the file of {job.recording.id} ({job.recording.channel_name}) waits: {job.trouble}"
             for job in jobs if job.trouble is not None] + self._archive.problems()

    @property
    def archiving(self) -> Worker:
        return self._archive.worker

    def stop(self) -> None:
        """Let every job go; the next process does them again. Returns at once, idempotent."""
        with self._lock:
            jobs = list(self._jobs.values())
        self._archive.worker.stop()
        for job in jobs:
            job.let_go()

    def join(self, deadline_s: float) -> bool:
        end_s = time.monotonic() + deadline_s
        return all([self._pool.join(deadline_s),
                    self._archive.join(max(0.0, end_s - time.monotonic()))])

    def _run(self, job: Job) -> None:
        def task() -> None:
            try:
                self._work(job)
            finally:
                self._forget(job)

        if not self._pool.submit(f"feed-{job.recording.id}", task):
            self._forget(job)
            raise RecorderError("No thread is left to finish recordings")

    def _forget(self, job: Job) -> None:
        with self._lock:
            if self._jobs.get(job.recording.id) is job:
                del self._jobs[job.recording.id]
        job.over.set()

    def _work(self, job: Job) -> None:
        try:
            try:
                finished = job.until_finished(lambda: self._attempt(job), TRIES, RETRY_S)
            except Suspended:
                return
            except Exception as error:
                if not isinstance(error, (RecorderError, sqlite3.Error)):
                    log.exception("%s: assembly met something unforeseen", job.recording.id)
                self._failed(job, error)
                return
            self._complete(job, finished)
        except Suspended:
            log.info("%s: what became of it is told at the next start", job.recording.id)

    def _attempt(self, job: Job) -> Finished:
        """A live feed waits for nobody; of others each try waits for its turn, so that many that
        failed on one disk do not begin all at once when it is back.

        Raises RecorderError, sqlite3.Error, Suspended."""
        if job.live:
            # Asked once: settings that change in between would encode it live.
            wanted = self.plans.processing_of(job.recording)
            if wanted.live:
                return self._try(job, wanted)
            log.info("%s: its file is made afterwards from now on", job.recording.id)
            job.live = False
        job.until_closed()
        job.rank = self.plans.rank(job.recording)
        encodes = self.plans.processing_of(job.recording).mode == "reencode"
        with (self._encodings if encodes else self._copies).turn(job):
            return self._try(job, self.plans.processing_of(job.recording))

    def _try(self, job: Job, wanted: Processing) -> Finished:
        plan = self.plans.plan(job.recording, wanted, live=job.live)
        try:
            job.moved()
            self.plans.remove_leftovers(job.recording)
            while True:
                try:
                    return self._by_a_way(job, plan, wanted.encoding)
                except WayFailed as error:
                    log.warning("%s: %s", job.recording.id, error)
                    job.passed_over[error.encoder] = error.reason
        except OSError as error:
            raise sentences.of_disk(error, plan.directory) from error

    def _by_a_way(self, job: Job, plain: Plan, wanted: Encoding) -> Finished:
        """Raises WayFailed beside what `_attempt` raises."""
        plan, trouble = with_way(plain, wanted, job, job.passed_over)
        try:
            finished = self._source(job, plan).run()
        except AssemblyFailed as error:
            if plan.way is None or not is_to_blame(
                    plan.way, error, job.recording.sums.captured_bytes, job.doubted):
                raise
            raise WayFailed(plan.way.encoder, str(error)) from error
        if trouble is None:
            return finished
        log.warning("%s: %s", job.recording.id, trouble)
        return replace(finished, trouble="; ".join(filter(None, (trouble, finished.trouble))))

    def _source(self, job: Job, plan: Plan) -> Feed | Remux:
        capture = self._archive.find_source(job.recording)
        return Remux(job, plan, self._places) if capture is None else Feed(
            job, plan, capture, self._places)

    def _end(self, job: Job, **changes: Any) -> Recording:
        """Move the recording on and let the job go, as one: who sees the new status may
        begin another job."""
        with self._lock:
            recording = self._store.recordings.change(job.recording.id, **changes)
            self._jobs.pop(job.recording.id, None)
        return recording

    def _complete(self, job: Job, finished: Finished) -> None:
        """Raises Suspended."""
        job.tell_progress()
        wanted = job.kept_trying(lambda: self.plans.processing_of(job.recording))
        aside = self._captures.set_aside(job.recording, wanted.capture_after, finished.made_of)
        done = aside if aside is not None and aside.suffix == DONE else None
        if done is not None:
            job.kept_trying(
                lambda: self._store.recordings.note_capture(job.recording.id, False))
        recording = job.kept_trying(lambda: self._end(
            job, status=RecordingStatus.COMPLETE, error=finished.trouble,
            files=tuple(str(path) for path in finished.files),
            file_size_bytes=finished.size_bytes))
        log.info("%s is complete: %s", recording.id, finished.files[0])
        self._bus.publish("processing_complete", {
            **about_recording(recording),
            "file_path": recording.file_path,
            "files": list(recording.files),
            "file_size": recording.file_size_bytes,
            "duration": round(recording.sums.captured_s),
            "completeness": round(recording.sums.completeness, 6),
        })
        if done is not None:
            self._captures.remove(done)
        elif aside is not None:
            self._archive.worker.wake()

    def _failed(self, job: Job, error: Exception) -> None:
        """Raises Suspended."""
        message = sentences.for_person(job.recording.id, error)
        log.error("%s failed: %s", job.recording.id, message)
        # A recording fails when it is over, not while it runs.
        job.until_closed()
        current = job.kept_trying(lambda: self._store.recordings.get(job.recording.id))
        files = files_left(current.files, Path(
            current.output_directory or self._settings().output_directory))
        changes = {} if files else {"file_size_bytes": 0}
        recording = job.kept_trying(lambda: self._end(
            job, status=RecordingStatus.FAILED, error=message, files=files, **changes))
        self._bus.publish("processing_failed", {**about_recording(recording), "error": message})
