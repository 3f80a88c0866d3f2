"""The divisions of the finished files that are being watched, each found out once.

A long file takes seconds, on a slow disk longer: a thread of its own does it, and a request
waits a little for that and no more.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from ..errors import Conflict, RecorderError, Unavailable
from ..workers import Pool
from .base import FinishedFile
from .outline import Outline, outline
from .transport import Range, ranges

Division = Outline | list[Range]

AT_ONCE = 2
KEPT = 32
WAIT_S = 15.0


class Job:
    """One file's division, once `done` is set."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.found: Division | None = None
        self.error: RecorderError | None = None

    def run(self, divide: Callable[[], Division]) -> None:
        try:
            self.found = divide()
        except RecorderError as error:
            self.error = error
        except OSError as error:
            self.error = Unavailable(f"The finished file cannot be read: {error}")
        finally:
            self.done.set()


class Divisions:
    def __init__(self, ffprobe: Callable[[], str], stopping: threading.Event) -> None:
        self._ffprobe = ffprobe
        self._stopping = stopping
        self._lock = threading.Lock()
        self._jobs: OrderedDict[FinishedFile, Job] = OrderedDict()
        self._pool = Pool("divide", AT_ONCE)

    def get(self, file: FinishedFile) -> Division:
        """Raises Conflict for a file that cannot be divided, Unavailable while it takes long
        or when it fails; then the next call tries again."""
        job = self._job(file)
        if not job.done.wait(WAIT_S):
            raise Unavailable(f"{file.path.name} is still being looked through: try again")
        if job.found is not None:
            return job.found
        if not isinstance(job.error, Conflict):
            with self._lock:
                self._jobs.pop(file, None)
        raise job.error or Unavailable(f"{file.path.name} cannot be divided")

    def join(self, deadline_s: float) -> bool:
        return self._pool.join(deadline_s)

    def _job(self, file: FinishedFile) -> Job:
        with self._lock:
            job = self._jobs.get(file)
            if job is None:
                job = self._jobs[file] = self._begin(file)
            self._jobs.move_to_end(file)
            while len(self._jobs) > KEPT:
                self._jobs.popitem(last=False)
        return job

    def _begin(self, file: FinishedFile) -> Job:
        job = Job()
        if not self._pool.submit(
                f"divide-{file.tag}", lambda: job.run(lambda: self._divide(file))):
            raise Unavailable("Too much is being watched at the same time: try again")
        return job

    def _divide(self, file: FinishedFile) -> Division:
        if file.path.suffix == ".ts":
            return ranges(file.path, self._stopping)
        if file.path.suffix in (".mp4", ".mkv"):
            return outline(self._ffprobe(), file, self._stopping)
        raise Conflict(f"A file of the kind {file.path.suffix or 'without a suffix'} cannot be "
                       "watched as HLS: take the whole file, GET /api/recordings/{id}/file")
