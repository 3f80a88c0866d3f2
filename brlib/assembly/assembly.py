"""Every recording's way to its file: who is fed now, who waits, what became of it.

Commanded by the recorder (a recording began, ended), by the API (reprocess) and by the
service (finish what an earlier process left). Moves recordings from `processing` to
`complete` or `failed` and tells of it.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from .. import ledger
from ..config import RECORDINGS_MAX, Settings
from ..disk import sync_names
from ..errors import CaptureDamaged, Conflict, RecorderError, RecordingNotFound
from ..events import EventBus, about_recording
from ..models import EndReason, Recording, RecordingStatus
from ..store import Store
from ..workers import Pool
from . import sentences
from .again import Remux
from .base import Finished, Plan, Suspended
from .feed import Feed
from .job import HELD_UP_S, Job
from .place import Places, find_originals
from .turns import Turns

log = logging.getLogger(__name__)

# Once the capture is closed; together some minutes, for what passes by itself.
TRIES = 5
RETRY_S = (2.0, 15.0, 60.0, 240.0)
# A capture whose file is proven, on its way out.
DONE = ".done"


class Assembly:
    def __init__(self, settings: Callable[[], Settings], store: Store, bus: EventBus) -> None:
        self._settings = settings
        self._store = store
        self._bus = bus
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._turns = Turns(lambda: self._settings().max_concurrent_processing)
        self._places = Places()
        # Live feeds never wait for one another: those of recordings, those just ending.
        self._pool = Pool("feed", 4 * RECORDINGS_MAX + 1000)

    def directory(self, recording_id: str) -> Path:
        return self._settings().captures_directory / recording_id

    def start(self) -> None:
        """Finish what an earlier process left in `processing`, or half removed."""
        for path in self._settings().captures_directory.glob("*" + DONE):
            try:
                self._clear_done(path)
            except OSError as error:
                log.warning("%s cannot be cleared away: %s", path, error)
        for recording in self._store.recordings.find_with_status([RecordingStatus.PROCESSING]):
            if recording.end_reason is not EndReason.CANCELLED:
                self.finish(self._as_held(recording))

    def _clear_done(self, path: Path) -> None:
        """A capture whose file had its name; the file may be made anew unless the row says
        that it is there. Raises OSError."""
        recording_id = path.name.removesuffix(DONE)
        try:
            recording = self._store.recordings.get(recording_id)
        except RecordingNotFound:
            recording = None
        capture = self.directory(recording_id)
        if recording is None or recording.status is RecordingStatus.COMPLETE or capture.exists():
            shutil.rmtree(path)
        else:
            path.rename(capture)
            self._store.recordings.note_capture(recording_id, True)

    def begin(self, recording: Recording) -> None:
        """A recording began or goes on: feed it from its first segment, if that is wanted."""
        if self._settings().processing_timing == "live":
            self._run(Job(recording, self._store, self._bus, closed=False, live=True))

    def finish(self, recording: Recording) -> None:
        """The recording is `processing`: its capture is closed."""
        with self._lock:
            job = self._jobs.get(recording.id)
        self._bus.publish("processing_started", about_recording(recording))
        if job is not None:
            job.close(recording)
        else:
            self._run(Job(recording, self._store, self._bus, closed=True, live=False))

    def reprocess(self, recording: Recording) -> Recording:
        """Build the files again, from the capture or, where that is gone, from the files.

        Raises Conflict when neither is there or the recording is not over.
        """
        if recording.status not in (RecordingStatus.COMPLETE, RecordingStatus.FAILED):
            raise Conflict(f"The recording is {recording.status}")
        if not self._has_capture(recording) and not self._has_files(recording):
            raise Conflict("Its capture and its file are gone: there is nothing to build from")
        changed = self._as_held(self._store.recordings.change(
            recording.id, status=RecordingStatus.PROCESSING, error=None))
        self.finish(changed)
        return changed

    def _as_held(self, recording: Recording) -> Recording:
        """What the disk lost of a capture although it was closed (a power cut, a disk that
        failed at the end) is not waited for: the recording is what is left of it."""
        if not self._has_capture(recording):
            return recording
        try:
            tally = ledger.settle(self.directory(recording.id))
        except (CaptureDamaged, OSError) as error:
            log.warning("%s: its capture is fed as it is: %s", recording.id, error)
            return recording
        if tally.sums == recording.sums:
            return recording
        log.warning("%s: its capture holds %d segments, not %d", recording.id,
                    tally.sums.segments, recording.sums.segments)
        return self._store.recordings.change(recording.id, sums=tally.sums)

    def _has_capture(self, recording: Recording) -> bool:
        return (self.directory(recording.id) / ledger.INDEX).exists()

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
            for job in jobs if job.silent_s >= HELD_UP_S]

    def stop(self) -> None:
        """Let every job go; the next process does them again. Returns at once, idempotent."""
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            job.let_go()

    def join(self, deadline_s: float) -> bool:
        return self._pool.join(deadline_s)

    def _run(self, job: Job) -> None:
        with self._lock:
            self._jobs[job.recording.id] = job

        def task() -> None:
            try:
                self._work(job)
            finally:
                with self._lock:
                    if self._jobs.get(job.recording.id) is job:
                        del self._jobs[job.recording.id]
                job.over.set()

        if not self._pool.submit(f"feed-{job.recording.id}", task):
            raise RecorderError("No thread is left to finish recordings")

    def _work(self, job: Job) -> None:
        try:
            try:
                # A live feed waits for nobody.
                with nullcontext() if job.live else self._turns.turn(job):
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
        """Raises RecorderError, sqlite3.Error, Suspended."""
        plan = Plan.of(job.recording, self._settings())
        try:
            job.moved()
            self.remove_leftovers(job.recording)
            return self._way(job, plan).run()
        except OSError as error:
            raise sentences.of_disk(error, plan.directory) from error

    def _way(self, job: Job, plan: Plan) -> Feed | Remux:
        if not self._has_capture(job.recording) and self._has_files(job.recording):
            return Remux(job, plan, self._places)
        return Feed(job, plan, self.directory(job.recording.id), self._places)

    def _files_left(self, recording: Recording) -> tuple[str, ...]:
        """The files that are there; all of them where nobody can tell, because their root is
        away: a share comes back."""
        root = Path(recording.output_directory or self._settings().output_directory)
        if not root.is_dir():
            return recording.files
        return tuple(name for name in recording.files if Path(name).exists())

    def remove_leftovers(self, recording: Recording) -> None:
        """Temporary files that no process finished. Raises OSError."""
        for path in Plan.of(recording, self._settings()).leftovers(recording.id):
            path.unlink(missing_ok=True)

    def clear_place(self, recording: Recording) -> None:
        """Remove what was begun for a recording's files, and the folders made for it alone."""
        self.remove_leftovers(recording)
        plan = Plan.of(recording, self._settings())
        for folder in plan.stem.parents:
            if not folder.is_relative_to(plan.directory) or folder == plan.directory:
                return
            if not folder.is_dir() or any(folder.iterdir()):
                return
            folder.rmdir()

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
        done = self._set_aside(job)
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
            try:
                shutil.rmtree(done)
            except OSError as error:
                log.warning("%s is removed at the next start: %s", done, error)

    def _set_aside(self, job: Job) -> Path | None:
        """Take the capture out of its place, if it is not to be kept: at once and whole, as
        one that is removed file by file is none any more."""
        if self._settings().capture_after != "delete" or not self._has_capture(job.recording):
            return None
        capture = self.directory(job.recording.id)
        done = capture.with_name(capture.name + DONE)
        try:
            capture.rename(done)
            sync_names(capture.parent)
        except OSError as error:
            log.warning("%s: its capture cannot be removed: %s", job.recording.id, error)
        return done if done.exists() else None

    def _failed(self, job: Job, error: Exception) -> None:
        """Raises Suspended."""
        message = sentences.for_person(job.recording.id, error)
        log.error("%s failed: %s", job.recording.id, message)
        while not job.closed.wait(0.5):
            # A recording fails when it is over, not while it runs.
            job.moved()
            if job.stop.is_set():
                return
        current = job.kept_trying(lambda: self._store.recordings.get(job.recording.id))
        files = self._files_left(current)
        changes = {} if files else {"file_size_bytes": 0}
        recording = job.kept_trying(lambda: self._end(
            job, status=RecordingStatus.FAILED, error=message, files=files, **changes))
        self._bus.publish("processing_failed", {**about_recording(recording), "error": message})
