"""Every recording's way to its file: who is fed now, who waits, what became of it.

Commanded by the recorder (a recording began, ended), by the API (reprocess) and by the
service (finish what an earlier process left). Moves recordings from `processing` to
`complete` or `failed` and tells of it.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import ledger
from ..config import RECORDINGS_MAX, Settings
from ..errors import Conflict, RecorderError
from ..events import EventBus, about_recording
from ..models import EndReason, Recording, RecordingStatus
from ..store import Store
from ..workers import Pool
from .again import Remux
from .base import AssemblyFailed, Plan
from .job import Feed, Finished, Suspended, wait_or_stop

log = logging.getLogger(__name__)

PROGRESS_EVERY_S = 1.0
RETRY_S = (1.0, 5.0, 15.0, 60.0)
TRIES = 3
TURN_EVERY_S = 0.5
# A capture whose file is proven, on its way out.
DONE = ".done"


class Job:
    """One recording's assembly, from the first try to the last; a feed's `Task`."""

    def __init__(self, recording: Recording, owner: Assembly, *, closed: bool, live: bool) -> None:
        self.recording = recording
        self.live = live
        # Set once the capture is closed: from then on tries are counted.
        self.closed = threading.Event()
        self.stop = threading.Event()
        # Set when no thread works at it any more.
        self.over = threading.Event()
        self.feed: Feed | Remux | None = None
        self.fed_bytes = 0
        self.told_s = 0.0
        self._owner = owner
        if closed:
            self.closed.set()

    def progress(self, fed_bytes: int) -> None:
        self.fed_bytes = fed_bytes
        if self.closed.is_set() and time.monotonic() - self.told_s >= PROGRESS_EVERY_S:
            self._owner.tell_progress(self)

    def naming(self, files: tuple[Path, ...]) -> None:
        self.recording = self._owner.note_files(self.recording, files)


class Assembly:
    def __init__(self, settings: Callable[[], Settings], store: Store, bus: EventBus) -> None:
        self._settings = settings
        self._store = store
        self._bus = bus
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        # How many are finished afterwards at this moment.
        self._afterwards = 0
        self._turn = threading.Condition()
        # Live feeds never wait for one another: those of recordings, those just ending.
        self._pool = Pool("feed", 4 * RECORDINGS_MAX + 1000)

    def directory(self, recording_id: str) -> Path:
        return self._settings().captures_directory / recording_id

    def start(self) -> None:
        """Finish what an earlier process left in `processing`, or half removed."""
        for path in self._settings().captures_directory.glob("*" + DONE):
            shutil.rmtree(path)
        for recording in self._store.recordings.find_with_status([RecordingStatus.PROCESSING]):
            if recording.end_reason is not EndReason.CANCELLED:
                self.finish(recording)

    def begin(self, recording: Recording) -> None:
        """A recording began or goes on: feed it from its first segment, if that is wanted."""
        if self._settings().processing_timing == "live":
            self._run(Job(recording, self, closed=False, live=True))

    def finish(self, recording: Recording) -> None:
        """The recording is `processing`: its capture is closed."""
        with self._lock:
            job = self._jobs.get(recording.id)
            if job is not None:
                job.recording = recording
        self._bus.publish("processing_started", about_recording(recording))
        if job is not None:
            job.closed.set()
        else:
            self._run(Job(recording, self, closed=True, live=False))

    def reprocess(self, recording: Recording) -> Recording:
        """Build the files again, from the capture or, where that is gone, from the files.

        Raises Conflict when neither is there or the recording is not over.
        """
        if recording.status not in (RecordingStatus.COMPLETE, RecordingStatus.FAILED):
            raise Conflict(f"The recording is {recording.status}")
        if not self._has_capture(recording) and not self._has_files(recording):
            raise Conflict("Its capture and its file are gone: there is nothing to build from")
        changed = self._store.recordings.change(
            recording.id, status=RecordingStatus.PROCESSING, error=None)
        self.finish(changed)
        return changed

    def _has_capture(self, recording: Recording) -> bool:
        return (self.directory(recording.id) / ledger.INDEX).exists()

    def _has_files(self, recording: Recording) -> bool:
        return bool(recording.files) and all(Path(name).exists() for name in recording.files)

    def drop(self, recording_id: str, deadline_s: float) -> bool:
        """Work no more at a recording that is to be discarded; False when someone still does."""
        with self._lock:
            job = self._jobs.get(recording_id)
        if job is None:
            return True
        self._let_go(job)
        return job.over.wait(deadline_s)

    @staticmethod
    def _let_go(job: Job) -> None:
        job.stop.set()
        if job.feed is not None:
            job.feed.interrupt()

    def stop(self) -> None:
        """Let every job go; the next process does them again. Returns at once, idempotent."""
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            self._let_go(job)

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
            with self._its_turn(job):
                finished = self._until_finished(job)
        except Suspended:
            return
        except Exception as error:
            if not isinstance(error, (RecorderError, OSError)):
                log.exception("%s: assembly met something unforeseen", job.recording.id)
            self._failed(job, str(error) or type(error).__name__)
            return
        self._complete(job, finished)

    @contextmanager
    def _its_turn(self, job: Job) -> Iterator[None]:
        """A live feed waits for nobody, others until the settings let them begin. Raises
        Suspended."""
        if job.live:
            yield
            return
        with self._turn:
            # Asked again now and then: a raised limit wakes nobody.
            while self._afterwards >= self._settings().max_concurrent_processing:
                if job.stop.is_set():
                    raise Suspended
                self._turn.wait(TURN_EVERY_S)
            self._afterwards += 1
        try:
            yield
        finally:
            with self._turn:
                self._afterwards -= 1
                self._turn.notify()

    def _until_finished(self, job: Job) -> Finished:
        """Try until it is done. While the recording runs a failure costs nothing: the next
        try begins at the first segment again. Afterwards the tries are counted."""
        failures = 0
        while True:
            was_closed = job.closed.is_set()
            plan = Plan.of(job.recording, self._settings())
            self.remove_leftovers(job.recording)
            job.feed = self._feed(job, plan)
            try:
                return job.feed.run()
            except (AssemblyFailed, OSError) as error:
                failures += 1
                if was_closed and failures >= TRIES:
                    raise
                log.warning("%s: assembly failed, to be tried again: %s", job.recording.id, error)
            if not was_closed and job.closed.is_set():
                failures = 0
            else:
                wait_or_stop(job.stop, RETRY_S[min(failures, len(RETRY_S)) - 1])

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

    def _feed(self, job: Job, plan: Plan) -> Feed | Remux:
        if not self._has_capture(job.recording) and self._has_files(job.recording):
            return Remux(job, plan)
        return Feed(job, plan, self.directory(job.recording.id))

    def note_files(self, recording: Recording, files: tuple[Path, ...]) -> Recording:
        """Remember the final names before the files have them."""
        return self._store.recordings.change(
            recording.id, files=tuple(str(path) for path in files))

    def tell_progress(self, job: Job) -> None:
        job.told_s = time.monotonic()
        total = job.recording.sums.captured_bytes
        percent = min(100.0, 100.0 * job.fed_bytes / total) if total else 0.0
        self._bus.publish(
            "processing_progress", {**about_recording(job.recording), "percent": round(percent, 1)})

    def _end(self, job: Job, **changes: Any) -> Recording:
        """Move the recording on and let the job go, as one: who sees the new status may
        begin another job."""
        with self._lock:
            recording = self._store.recordings.change(job.recording.id, **changes)
            self._jobs.pop(job.recording.id, None)
        return recording

    def _complete(self, job: Job, finished: Finished) -> None:
        self.tell_progress(job)
        capture = self.directory(job.recording.id)
        done = capture.with_name(capture.name + DONE)
        drop = self._settings().capture_after == "delete" and self._has_capture(job.recording)
        if drop:
            # At once and whole: a capture that is removed file by file is none any more.
            capture.rename(done)
            self._store.recordings.note_capture(job.recording.id, False)
        recording = self._end(
            job, status=RecordingStatus.COMPLETE, error=None,
            files=tuple(str(path) for path in finished.files),
            file_size_bytes=finished.size_bytes)
        log.info("%s is complete: %s", recording.id, finished.files[0])
        self._bus.publish("processing_complete", {
            **about_recording(recording),
            "file_path": recording.file_path,
            "files": list(recording.files),
            "file_size": recording.file_size_bytes,
            "duration": round(recording.sums.captured_s),
            "completeness": round(recording.sums.completeness, 6),
        })
        if drop:
            shutil.rmtree(done)

    def _failed(self, job: Job, message: str) -> None:
        log.error("%s failed: %s", job.recording.id, message)
        while not job.closed.wait(0.5):
            # A recording fails when it is over, not while it runs.
            if job.stop.is_set():
                return
        files = self._files_left(job.recording)
        changes = {} if files else {"file_size_bytes": 0}
        recording = self._end(
            job, status=RecordingStatus.FAILED, error=message, files=files, **changes)
        self._bus.publish("processing_failed", {**about_recording(recording), "error": message})
