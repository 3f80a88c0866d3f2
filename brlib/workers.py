"""Threads and child processes with an owner and a stop: the only place that makes either.

`Worker` runs one `step` again and again, `Pool` bounded tasks, `Child` a process in a
session of its own whose output is always drained and which is always waited for.
"""

from __future__ import annotations

import io
import logging
import os
import select
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from typing import cast

from .pulse import Pulse

log = logging.getLogger(__name__)

BACKOFF_MAX_S = 60.0
KEPT_LINES = 40
# What is kept of a line; and a program that ends none must not take all memory.
KEPT_CHARS = 2000
LINE_MAX_BYTES = 64 * 1024 ** 2
# How long a process's own children may keep its output open once it is gone.
ORPHANS_MAX_S = 1.0
OFFER_S = 1.0


class Worker:
    """A thread that calls `step()` until stopped; `step` returns the seconds to wait, or
    None to end. What escapes from a step is logged once per message and backed off.

    `step_max_s`: a step that takes longer is stuck; None where one may take as long as it
    likes."""

    def __init__(
        self, name: str, step: Callable[[], float | None], step_max_s: float | None = None
    ) -> None:
        self.name = name
        self.pulse = Pulse(step_max_s)
        self.stopping = threading.Event()
        self.last_error: str | None = None
        self._wake = threading.Event()
        self._step = step
        self._failures = 0
        self._finished = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask to stop; returns at once, idempotent."""
        self.stopping.set()
        self._wake.set()

    def wake(self) -> None:
        """End the present wait early."""
        self._wake.set()

    def join(self, deadline_s: float) -> bool:
        """Wait for the end; False when the thread still runs after `deadline_s`."""
        if self._thread.ident is not None:
            self._thread.join(deadline_s)
        return not self._thread.is_alive()

    @property
    def died(self) -> bool:
        """Whether the thread ended although nobody asked for it."""
        started = self._thread.ident is not None
        return started and not self._thread.is_alive() and not (
            self.stopping.is_set() or self._finished)

    def _run(self) -> None:
        while not self.stopping.is_set():
            wait_s = self._one_step()
            if wait_s is None:
                self._finished = True
                return
            self._wake.wait(wait_s)
            self._wake.clear()

    def _one_step(self) -> float | None:
        try:
            with self.pulse:
                wait_s: float | None = self._step()
        except Exception as error:
            self._failures += 1
            message = f"{type(error).__name__}: {error}"
            if message != self.last_error:
                log.exception("%s failed and will be tried again", self.name)
            self.last_error = message
            return min(BACKOFF_MAX_S, 0.5 * 2.0 ** min(self._failures, 8))
        self._failures, self.last_error = 0, None
        return wait_s


class Pool:
    """At most `size` tasks at a time, each with a name; nothing waits in line."""

    def __init__(self, name: str, size: int) -> None:
        self.size = size
        self._lock = threading.Lock()
        self._joined = False
        self._tasks: dict[Future[None], str] = {}
        self._executor = ThreadPoolExecutor(size, thread_name_prefix=name)

    @property
    def free(self) -> int:
        with self._lock:
            return self.size - len(self._tasks)

    def submit(self, name: str, task: Callable[[], None]) -> bool:
        """Run `task` in a thread called `name`; False when there is no free thread."""
        with self._lock:
            if self._joined or len(self._tasks) >= self.size:
                return False
            future = self._executor.submit(self._run, name, task)
            self._tasks[future] = name
        future.add_done_callback(self._done)
        return True

    def _run(self, name: str, task: Callable[[], None]) -> None:
        thread = threading.current_thread()
        pool_name, thread.name = thread.name, name
        try:
            task()
        except Exception:
            log.exception("%s failed", name)
        finally:
            thread.name = pool_name

    def _done(self, future: Future[None]) -> None:
        with self._lock:
            self._tasks.pop(future, None)

    def join(self, deadline_s: float) -> bool:
        """Take no more tasks and wait for those that run; False when some still do."""
        end = time.monotonic() + deadline_s
        with self._lock:
            self._joined = True
            waiting = list(self._tasks)
        self._executor.shutdown(wait=False, cancel_futures=True)
        for future in waiting:
            try:
                future.exception(max(0.0, end - time.monotonic()))
            except TimeoutError:
                return False
            except CancelledError:
                log.debug("%s: a task had not begun", self._executor._thread_name_prefix)
        return True


class DaemonThread(threading.Thread):
    """A thread that a library makes for itself (simple-websocket's reader): never keeps
    the process alive."""

    def __init__(self, target: Callable[[], None]) -> None:
        super().__init__(target=target, daemon=True)


class Child:
    """A child process in its own session, output drained line by line by `pump-<name>`.

    Exit code, the last lines and each line as it comes (`on_line`, in the pump's thread)
    are the owner's to judge. `binary`: its standard output is the owner's to `read`, only
    what it says on the other is drained. `pass_fds` stay open in the child under their
    numbers. Raises OSError when the program cannot be started.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        on_line: Callable[[str], None] | None = None,
        feed: bool = False,
        binary: bool = False,
        pass_fds: Sequence[int] = (),
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        nice: int = 0,
    ) -> None:
        """`nice`: how far it stands back behind others for the processor, 0 to 19."""
        self.name = name
        self.tail: deque[str] = deque(maxlen=KEPT_LINES)
        self._on_line = on_line
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if binary else subprocess.STDOUT,
            start_new_session=True,
            bufsize=0,
            pass_fds=pass_fds,
            cwd=cwd,
            env=env,
        )
        if nice:
            # Before it has threads of its own, which take it over (nice(2) on Linux).
            self._stand_back(nice)
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)
        # Set when it could not be waited for: the pump does that, whenever it ends.
        self._left = threading.Event()
        self._pump = Worker(f"pump-{name}", self._drain)
        self._pump.start()

    def _stand_back(self, nice: int) -> None:
        try:
            os.setpriority(os.PRIO_PROCESS, self._process.pid, nice)
        except ProcessLookupError:
            log.debug("%s is gone already", self.name)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def write(self, data: bytes) -> None:
        """Feed stdin; blocks while the child does not read. Raises BrokenPipeError when it
        is gone (also when another thread calls `kill` or `stop`)."""
        view = memoryview(data)
        while view:
            view = view[self.offer(view, OFFER_S):]

    def offer(self, data: memoryview, wait_s: float) -> int:
        """Feed stdin; how many of these bytes the child took within `wait_s`, 0 for none.
        Raises BrokenPipeError as `write`."""
        stdin = self._process.stdin
        assert stdin is not None
        if stdin.closed:
            raise BrokenPipeError(f"{self.name} gets no more input")
        room = select.poll()
        room.register(stdin, select.POLLOUT)
        if not room.poll(1000 * wait_s):
            return 0
        try:
            return stdin.write(data) or 0
        except ValueError as error:
            raise BrokenPipeError(f"{self.name} was stopped") from error

    def read(self, size_bytes: int) -> bytes:
        """What a `binary` child has written, at most so much, as soon as there is something;
        b"" at the end, which `kill` brings. What nobody reads stops the child, not us."""
        assert self._process.stdout is not None
        return self._process.stdout.read(size_bytes) or b""

    def end_input(self) -> None:
        if self._process.stdin is not None and not self._process.stdin.closed:
            try:
                self._process.stdin.close()
            except BrokenPipeError:
                log.debug("%s was gone before its input ended", self.name)

    def wait(self, deadline_s: float) -> int | None:
        """The exit code, or None when it still runs after `deadline_s`."""
        try:
            code = self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            return None
        if not self._pump.join(ORPHANS_MAX_S):
            self._signal_group(signal.SIGKILL)
            self._pump.join(ORPHANS_MAX_S)
        self._close_pipes()
        return code

    def kill(self) -> None:
        """SIGKILL to the whole group at once."""
        self._signal(signal.SIGKILL)

    def stop(self, grace_s: float = 2.0) -> int | None:
        """End of input, then SIGTERM, then SIGKILL; the exit code once it is gone. None for
        what even that does not end, a write to a disk that does not answer: it is waited
        for by its pump, whenever the disk lets go of it."""
        self.end_input()
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if self.wait(grace_s) is not None:
                break
            self._signal(sign)
        code = self.wait(grace_s)
        if code is None:
            self._left.set()
            code = self.wait(0)
        return code

    def _signal(self, sign: signal.Signals) -> None:
        if self._process.poll() is None:
            self._signal_group(sign)

    def _signal_group(self, sign: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, sign)
        except ProcessLookupError:
            log.debug("%s ended by itself just now", self.name)

    def _drain(self) -> None:
        pipe = self._process.stderr or self._process.stdout
        assert pipe is not None
        # The pipe itself looks for the end of a line byte by byte.
        said = io.BufferedReader(cast(io.RawIOBase, pipe))
        try:
            for raw in iter(lambda: said.readline(LINE_MAX_BYTES), b""):
                line = raw.decode("utf-8", "replace").rstrip()
                self.tail.append(line[:KEPT_CHARS])
                if self._on_line is not None:
                    self._on_line(line)
        finally:
            said.detach()
        if self._left.is_set():
            self._process.wait()
            self._close_outputs()

    def _close_pipes(self) -> None:
        self.end_input()
        if self._pump.join(0):
            self._close_outputs()

    def _close_outputs(self) -> None:
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


def run(name: str, argv: Sequence[str], deadline_s: float) -> tuple[int | None, str]:
    """Run a short program; (exit code, output). The code is None when it ran too long and
    was killed. Raises OSError when it cannot be started."""
    lines: list[str] = []
    child = Child(name, argv, on_line=lines.append)
    code = child.wait(deadline_s)
    if code is None:
        child.kill()
        child.stop()
    return code, "\n".join(lines)


def end_strays(last_arguments: Collection[str]) -> None:
    """Kill what an earlier process of ours has left running when it was killed itself: programs
    of this user that were told to write to these files."""
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            *_, last, _ = (directory / "cmdline").read_bytes().split(b"\0")
            if os.fsdecode(last) in last_arguments:
                os.kill(int(directory.name), signal.SIGKILL)
                log.warning("%s still wrote to %s and is killed", directory.name, os.fsdecode(last))
        except (OSError, ValueError) as error:
            # Another's, gone by now, or a thread of the kernel, which has no arguments.
            log.debug("%s: %s", directory, error)


def leftovers(deadline_s: float) -> list[str]:
    """Names of the threads that, besides the main one, still run after `deadline_s`."""
    end_s = time.monotonic() + deadline_s
    others = [t for t in threading.enumerate() if t is not threading.main_thread()]
    for thread in others:
        thread.join(max(0.0, end_s - time.monotonic()))
    return [t.name for t in others if t.is_alive()]
