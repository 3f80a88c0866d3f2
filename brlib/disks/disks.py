"""Who asks the disks, so that nobody else has to: each directory in a thread of its own.

One loop hands the questions out; a disk that hangs keeps one thread of a bounded pool for
each directory and is not asked again until it answers. Everybody reads the last answer. Made
by `Service`; `Room` says which directories there are besides those of the settings.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..config import Settings
from ..workers import Pool, Worker
from .base import Answer, Group, NoAnswer, measure
from .calls import Calls

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_EVERY_S = 0.5
ASK_EVERY_S = 3.0
# A disk that sleeps takes some seconds to wake up.
SILENT_S = 10.0
# Nobody begins something that a person waits for on a disk that has been quiet for so long.
REQUIRED_S = 3.0
# Questions out at the same time, and how many of them are kept for the settings' directories.
ASKERS, OWN_ASKERS = 32, 4
CALL_MAX_S = 5.0
FIRST_MAX_S = 3.0
STEP_MAX_S = 30.0


@dataclass(eq=False)
class Root:
    """A directory whose disk is asked. `out_s`: since when a question is out."""

    path: str
    wanted_s: float
    due_s: float = 0.0
    out_s: float | None = None
    asked_s: float = 0.0
    answer: Answer | None = None
    error: str | None = None

    def quiet_s(self, now_s: float) -> float:
        """For how long it owes an answer."""
        if self.out_s is not None:
            return now_s - self.out_s
        heard = self.answer is not None or self.error is not None
        return 0.0 if heard else now_s - self.wanted_s


class Disks:
    def __init__(
        self, settings: Callable[[], Settings], clock: Callable[[], float] = time.monotonic,
        measure: Callable[[Path], Answer] = measure,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._measure = measure
        self._lock = threading.Lock()
        self._roots: dict[str, Root] = {}
        self._others: tuple[str, ...] = ()
        self._pool = Pool("disk", ASKERS)
        self._calls = Calls(clock)
        self._heard = threading.Event()
        self.worker = Worker("disks", self.step, STEP_MAX_S)

    def start(self) -> None:
        """Ask at once, and wait a little for the settings' own directories to answer."""
        self.worker.start()
        end_s = time.monotonic() + FIRST_MAX_S
        while any(self._unheard(path) for path in self._own()):
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                return
            self._heard.wait(min(left_s, LOOK_EVERY_S))
            self._heard.clear()

    def stop(self) -> None:
        """Ask nothing more. Returns at once, idempotent."""
        self.worker.stop()

    def join(self, deadline_s: float) -> bool:
        end_s = time.monotonic() + deadline_s
        return all([join(max(0.0, end_s - time.monotonic()))
                    for join in (self.worker.join, self._pool.join, self._calls.join)])

    def watch(self, directories: Iterable[str]) -> None:
        """The directories that are asked, besides those of the settings, from now on."""
        self._others = tuple(dict.fromkeys(directories))

    # The loop.

    def step(self) -> float:
        now_s = self._clock()
        own = self._own()
        for root in self._sort_out((*own, *self._others), now_s):
            free = self._pool.free - (0 if root.path in own else OWN_ASKERS)
            if free > 0 and root.out_s is None and root.due_s <= now_s and (
                    root.path in own or not self._hangs_with(root, now_s)):
                self._ask(root, now_s)
        return LOOK_EVERY_S

    def _own(self) -> tuple[str, str]:
        settings = self._settings()
        return str(settings.captures_directory), str(settings.output_directory)

    def _sort_out(self, wanted: tuple[str, ...], now_s: float) -> list[Root]:
        """The roots that are wanted, in that order. Another goes once no question is out."""
        with self._lock:
            for path in wanted:
                self._roots.setdefault(path, Root(path, now_s))
            for path in [p for p, root in self._roots.items()
                         if p not in wanted and root.out_s is None]:
                del self._roots[path]
            return [self._roots[path] for path in dict.fromkeys(wanted)]

    def _hangs_with(self, root: Root, now_s: float) -> bool:
        """Whether its disk owes another root an answer: that one alone is waited for."""
        if root.answer is None:
            return False
        with self._lock:
            return any(
                other.answer is not None and other.answer.device == root.answer.device
                and other.out_s is not None and other.quiet_s(now_s) > REQUIRED_S
                for other in self._roots.values())

    def _ask(self, root: Root, now_s: float) -> None:
        root.out_s = now_s

        def task() -> None:
            answer, error = root.answer, None
            try:
                answer = self._measure(Path(root.path))
            except OSError as problem:
                error = problem.strerror or str(problem)
            with self._lock:
                root.answer, root.error, root.asked_s = answer, error, now_s
                root.out_s, root.due_s = None, self._clock() + ASK_EVERY_S
            self._heard.set()

        if not self._pool.submit(f"disk {root.path}", task):
            root.out_s = None

    # What is known, from any thread, at once.

    def groups(self) -> list[Group]:
        """Every disk that has answered, or should have by now; the captures' first."""
        now_s = self._clock()
        with self._lock:
            gathered: dict[int | str, list[Root]] = {}
            for root in self._roots.values():
                if self._unheard(root.path) and root.quiet_s(now_s) <= SILENT_S:
                    continue
                gathered.setdefault(_key(root), []).append(root)
            return [_group(key, roots, now_s) for key, roots in gathered.items()]

    def _unheard(self, path: str) -> bool:
        root = self._roots.get(path)
        return root is None or (root.answer is None and root.error is None)

    def find(self, directory: str) -> Group | None:
        """The disk that a directory is on, as far as it is known."""
        root = self._root_of(directory)
        if root is None:
            return None
        return next((group for group in self.groups() if root.path in group.paths), None)

    def _root_of(self, path: str) -> Root | None:
        """The watched directory that a path is in, the innermost one."""
        with self._lock:
            around = [root for root in self._roots.values()
                      if Path(path).is_relative_to(root.path)]
        return max(around, key=lambda root: len(root.path), default=None)

    def free_bytes(self, directory: str) -> int | None:
        """None while the disk does not say."""
        group = self.find(directory)
        return group.answer.free_bytes if group and group.usable and group.answer else None

    def require(self, path: Path | str) -> None:
        """Raises NoAnswer, at once, when the disk of a path does not answer."""
        root = self._root_of(str(path))
        if root is not None and root.quiet_s(self._clock()) > REQUIRED_S:
            raise NoAnswer(root.path)

    def ask(self, path: Path | str, work: Callable[[], T], max_s: float = CALL_MAX_S) -> T:
        """What `work`, which goes to the disk of `path`, gives or raises; in a thread of ours,
        so that a disk that hangs keeps nobody for longer than `max_s`.

        Raises NoAnswer; `work` may then be done all the same, once the disk answers.
        """
        self.require(path)
        root = self._root_of(str(path))
        return self._calls.run(root.path if root else str(path), work, max_s)


def _key(root: Root) -> int | str:
    """Roots of one device are one disk; one that is away is none of that device."""
    return root.answer.device if root.answer is not None and root.error is None else root.path


def _group(key: int | str, roots: list[Root], now_s: float) -> Group:
    newest = max(roots, key=lambda root: root.asked_s)
    error = newest.error
    if error is None and newest.answer is not None and newest.answer.read_only:
        error = "it is mounted read-only"
    return Group(
        key, tuple(root.path for root in roots), newest.answer, newest.asked_s,
        any(root.quiet_s(now_s) > SILENT_S for root in roots), error)
