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
from pathlib import Path
from typing import Any

from .. import ledger
from ..config import Settings
from ..errors import Conflict, RecorderError
from ..events import EventBus
from ..models import Recording, RecordingStatus
from ..store import Store
from ..workers import Pool
from .again import Remux
from .base import AssemblyFailed, Plan
from .job import Feed, Finished, Suspended, wait_or_stop

log = logging.getLogger(__name__)

PROGRESS_EVERY_S = 1.0
RETRY_S = (1.0, 5.0, 15.0, 60.0)
TRIES = 3


class Job:
    """One recording's assembly, from the first try to the last."""

    def __init__(self, recording: Recording, closed: bool, live: bool) -> None:
        self.recording = recording
        self.live = live
        # Set once the capture is closed: from then on tries are counted.
        self.closed = threading.Event()
        self.stop = threading.Event()
        self.feed: Feed | Remux | None = None
        self.fed_bytes = 0
        self.told_s = 0.0
        if closed:
            self.closed.set()


class Assembly:
    def __init__(self, settings: Settings, store: Store, bus: EventBus) -> None:
        self._settings = settings
        self._store = store
        self._bus = bus
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._afterwards = threading.BoundedSemaphore(settings.max_concurrent_processing)
        # Live feeds never wait for one another: those of recordings, those just ending.
        self._pool = Pool("feed", 4 * settings.max_concurrent_recordings + 1000)

    def directory(self, recording_id: str) -> Path:
        return self._settings.captures_directory / recording_id

    def start(self) -> None:
        """Finish what an earlier process left in `processing`."""
        for recording in self._store.recordings.find_with_status([RecordingStatus.PROCESSING]):
            self.finish(recording)

    def begin(self, recording: Recording) -> None:
        """A recording began or goes on: feed it from its first segment, if that is wanted."""
        if self._settings.processing_timing == "live":
            self._run(Job(recording, closed=False, live=True))

    def finish(self, recording: Recording) -> None:
        """The recording is `processing`: its capture is closed."""
        with self._lock:
            job = self._jobs.get(recording.id)
            if job is not None:
                job.recording = recording
        self._bus.publish("processing_started", self._facts(recording))
        if job is not None:
            job.closed.set()
        else:
            self._run(Job(recording, closed=True, live=False))

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

    def stop(self) -> None:
        """Let every job go; the next process does them again. Idempotent."""
        with self._lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            job.stop.set()
            if job.feed is not None:
                job.feed.abandon()

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
                    self._jobs.pop(job.recording.id, None)

        if not self._pool.submit(f"feed-{job.recording.id}", task):
            raise RecorderError("No thread is left to finish recordings")

    def _work(self, job: Job) -> None:
        if not job.live:
            while not self._afterwards.acquire(timeout=0.5):
                if job.stop.is_set():
                    return
        try:
            finished = self._until_finished(job)
        except Suspended:
            return
        except (RecorderError, OSError) as error:
            self._failed(job, str(error))
            return
        finally:
            if not job.live:
                self._afterwards.release()
        self._complete(job, finished)

    def _until_finished(self, job: Job) -> Finished:
        """Try until it is done. While the recording runs a failure costs nothing: the next
        try begins at the first segment again. Afterwards the tries are counted."""
        failures = 0
        while True:
            was_closed = job.closed.is_set()
            plan = Plan.of(job.recording, self._settings)
            for path in plan.leftovers(job.recording.id):
                path.unlink(missing_ok=True)
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

    def _feed(self, job: Job, plan: Plan) -> Feed | Remux:
        if not self._has_capture(job.recording) and self._has_files(job.recording):
            return Remux(job.recording, plan, job.stop)
        return Feed(job.recording, plan, self.directory(job.recording.id), job.closed, job.stop,
                    lambda fed: self._progress(job, fed))

    def _progress(self, job: Job, fed_bytes: int) -> None:
        job.fed_bytes = fed_bytes
        if job.closed.is_set() and time.monotonic() - job.told_s >= PROGRESS_EVERY_S:
            self._tell_progress(job)

    def _tell_progress(self, job: Job) -> None:
        job.told_s = time.monotonic()
        total = job.recording.sums.captured_bytes
        percent = min(100.0, 100.0 * job.fed_bytes / total) if total else 0.0
        self._bus.publish(
            "processing_progress", {**self._facts(job.recording), "percent": round(percent, 1)})

    def _complete(self, job: Job, finished: Finished) -> None:
        if not job.closed.wait(60.0):
            # The index has ended, so the row follows at once unless the store is stuck.
            log.error("%s: the capture is closed, the recording is not", job.recording.id)
        self._tell_progress(job)
        recording = self._store.recordings.change(
            job.recording.id,
            status=RecordingStatus.COMPLETE,
            files=tuple(str(path) for path in finished.files),
            file_size_bytes=finished.size_bytes,
            error=None,
        )
        if self._settings.capture_after == "delete" and self._has_capture(recording):
            shutil.rmtree(self.directory(recording.id))
        log.info("%s is complete: %s", recording.id, finished.files[0])
        self._bus.publish("processing_complete", {
            **self._facts(recording),
            "file_path": recording.file_path,
            "files": list(recording.files),
            "file_size": recording.file_size_bytes,
            "duration": round(recording.sums.captured_s),
            "completeness": round(recording.sums.completeness, 6),
        })

    def _failed(self, job: Job, message: str) -> None:
        log.error("%s failed: %s", job.recording.id, message)
        if not job.closed.wait(60.0):
            log.error("%s: failed before its recording ended", job.recording.id)
        recording = self._store.recordings.change(
            job.recording.id, status=RecordingStatus.FAILED, error=message)
        self._bus.publish("processing_failed", {**self._facts(recording), "error": message})

    def _facts(self, recording: Recording) -> dict[str, Any]:
        return {
            "id": recording.id,
            "channel_id": recording.channel_id,
            "channel": recording.channel_name,
            "platform": recording.platform,
            "title": recording.title,
        }
