"""Tests of brlib.workers: every thread ends when asked, every child is waited for."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable

import pytest

from brlib.pulse import Pulse, stack_of
from brlib.workers import KEPT_LINES, Child, Pool, Worker, run

WAIT_S = 10.0
# Says so once its signal handlers stand: a signal before that would find none.
STUBBORN = "import signal,sys;signal.signal(15,signal.SIG_IGN);print('up',flush=True);"


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def is_gone(pid: int) -> bool:
    """Whether a process has ended and was waited for (a zombie still answers signal 0)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def until(condition: Callable[[], bool]) -> bool:
    end, pause = time.monotonic() + WAIT_S, threading.Event()
    while not condition() and time.monotonic() < end:
        pause.wait(0.01)
    return condition()


class Steps:
    """A step that counts itself and says when it ran."""

    def __init__(self, *results: float | None | Exception) -> None:
        self.count = 0
        self.ran = threading.Semaphore(0)
        self._results = results

    def __call__(self) -> float | None:
        result = self._results[min(self.count, len(self._results) - 1)]
        self.count += 1
        self.ran.release()
        if isinstance(result, Exception):
            raise result
        return result


def test_worker_steps_until_stopped() -> None:
    steps = Steps(0.0)
    worker = Worker("w", steps)
    assert worker.join(0) and not worker.died
    worker.start()
    assert all(steps.ran.acquire(timeout=WAIT_S) for _ in range(5))
    worker.stop()
    worker.stop()
    assert worker.join(WAIT_S) and not worker.died


def test_worker_ends_by_none() -> None:
    worker = Worker("w", Steps(0.0, None))
    worker.start()
    assert worker.join(WAIT_S) and not worker.died


@pytest.mark.parametrize("ask", [Worker.stop, Worker.wake], ids=["stop", "wake"])
def test_a_long_wait_is_ended(ask: Callable[[Worker], None]) -> None:
    steps = Steps(3600.0)
    worker = Worker("w", steps)
    worker.start()
    assert steps.ran.acquire(timeout=WAIT_S)
    ask(worker)
    if ask is Worker.wake:
        assert steps.ran.acquire(timeout=WAIT_S)
        worker.stop()
    assert worker.join(WAIT_S)
    assert steps.count == (2 if ask is Worker.wake else 1)


def test_a_wake_during_a_step_is_not_lost() -> None:
    """What was asked for while the step ran may be what it just missed."""
    worker: Worker
    count = [0]

    def step() -> float | None:
        count[0] += 1
        worker.wake()
        return 3600.0 if count[0] < 3 else None

    worker = Worker("w", step)
    worker.start()
    assert worker.join(WAIT_S) and count[0] == 3


def test_an_error_is_logged_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    steps = Steps(OSError("x"), OSError("x"), OSError("y"), 3600.0)
    worker = Worker("w", steps)
    worker.start()
    for number in range(4):
        assert steps.ran.acquire(timeout=WAIT_S)
        if number == 2:
            assert until(lambda: worker.last_error == "OSError: y")
        worker.wake()
    worker.stop()
    assert worker.join(WAIT_S) and not worker.died
    assert worker.last_error is None
    assert [r.getMessage() for r in caplog.records] == ["w failed and will be tried again"] * 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_worker_says_so() -> None:
    def step() -> float:
        raise SystemExit

    worker = Worker("w", step)
    worker.start()
    assert worker.join(WAIT_S) and worker.died


def test_pool_is_bounded_and_names_its_threads() -> None:
    pool, release, names = Pool("p", 2), threading.Event(), list[str]()

    def task() -> None:
        names.append(threading.current_thread().name)
        release.wait(WAIT_S)

    assert pool.submit("one", task) and pool.submit("two", task)
    assert not pool.submit("three", task)
    assert pool.free == 0 and not pool.join(0.01)
    release.set()
    assert pool.join(WAIT_S) and sorted(names) == ["one", "two"]
    assert until(lambda: pool.free == 2)
    assert not pool.submit("late", task)


def test_pool_survives_its_tasks(caplog: pytest.LogCaptureFixture) -> None:
    pool, done = Pool("p", 1), threading.Event()

    def fail() -> None:
        raise ValueError("no")

    assert pool.submit("bad", fail)
    assert until(lambda: pool.free == 1)
    assert pool.submit("good", done.set)
    assert done.wait(WAIT_S) and pool.join(WAIT_S)
    assert [r.getMessage() for r in caplog.records] == ["bad failed"]


@pytest.mark.parametrize("code, expected", [
    pytest.param("print('a');print('b')", (0, "a\nb"), id="output"),
    pytest.param("import sys;print('e',file=sys.stderr);sys.exit(3)", (3, "e"), id="stderr, code"),
    pytest.param("import sys;sys.stdout.buffer.write(b'\\xff\\n')", (0, "\ufffd"), id="no UTF-8"),
    pytest.param("print('x',end='')", (0, "x"), id="no line end"),
    pytest.param("import os;os.kill(os.getpid(),9)", (-9, ""), id="killed"),
    pytest.param("import sys;print(sys.stdin.read())", (0, ""), id="empty stdin"),
])
def test_run(code: str, expected: tuple[int, str]) -> None:
    assert run("p", python(code), WAIT_S) == expected


def test_run_ends_what_takes_too_long() -> None:
    begun = time.monotonic()
    code, text = run("p", python(STUBBORN + "signal.pause()"), 0.4)
    assert code is None and text == "up"
    assert time.monotonic() - begun < WAIT_S / 2


def test_what_cannot_be_started_is_an_os_error() -> None:
    with pytest.raises(FileNotFoundError):
        run("p", ["/no/such/program"], 1.0)


def test_grandchildren_go_with_their_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that holds the output open must not hold up whoever waits."""
    monkeypatch.setattr("brlib.workers.ORPHANS_MAX_S", 0.2)
    begun = time.monotonic()
    code, text = run("p", ["sh", "-c", "sleep 600 & echo $!"], 60.0)
    assert code == 0 and time.monotonic() - begun < WAIT_S
    assert until(lambda: is_gone(int(text)) or "Z" in state(int(text)))


def state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


def test_much_output_is_drained_and_its_end_kept() -> None:
    seen: list[str] = []
    child = Child("c", python("for n in range(30000): print(n)"), on_line=seen.append)
    assert child.wait(WAIT_S) == 0
    assert seen == [str(n) for n in range(30000)]
    assert list(child.tail) == seen[-KEPT_LINES:]


def test_a_child_that_is_killed_from_outside_is_reaped() -> None:
    child = Child("c", python("import signal;signal.pause()"))
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait(WAIT_S) == -9 == child.exit_code
    assert is_gone(child.pid)
    child.kill()
    assert child.stop() == -9


def test_a_feed_arrives_whole() -> None:
    child = Child("c", python("import sys;print(len(sys.stdin.buffer.read()))"), feed=True)
    for _ in range(20):
        child.write(b"x" * 1_000_001)
    child.end_input()
    child.end_input()
    assert child.wait(WAIT_S) == 0 and list(child.tail) == ["20000020"]


@pytest.mark.parametrize("end", [Child.kill, lambda child: child.stop(0.2)],
                         ids=["kill", "stop"])
def test_a_feed_that_nobody_reads_is_ended_from_another_thread(
    end: Callable[[Child], object]
) -> None:
    child = Child("c", python("print('up',flush=True);import signal;signal.pause()"), feed=True)
    errors: list[BaseException] = []

    def feed() -> None:
        try:
            while True:
                child.write(b"x" * 1_000_000)
        except Exception as error:
            errors.append(error)

    feeder = threading.Thread(target=feed)
    feeder.start()
    assert until(lambda: "up" in child.tail)
    end(child)
    feeder.join(WAIT_S)
    assert child.stop(0.2) is not None and is_gone(child.pid)
    assert [type(error) for error in errors] == [BrokenPipeError]
    with pytest.raises(BrokenPipeError):
        child.write(b"x")


@pytest.mark.parametrize("code, expected", [
    pytest.param("print('up',flush=True);sys.stdin.read()", 0, id="end of input is enough"),
    pytest.param("print('up',flush=True);signal.pause()", -15, id="SIGTERM"),
    pytest.param("signal.signal(15,lambda *_:sys.exit(5));print('up',flush=True);signal.pause()", 5,
                 id="SIGTERM, its own way"),
    pytest.param(STUBBORN + "\nwhile True: signal.pause()", -9, id="SIGKILL"),
])
def test_stop_escalates(code: str, expected: int) -> None:
    child = Child("c", python("import sys,signal;" + code), feed=True)
    assert until(lambda: "up" in child.tail)
    assert child.exit_code is None and child.wait(0.01) is None
    assert child.stop(grace_s=0.2) == expected
    assert is_gone(child.pid)
    assert child.stop() == expected


def test_a_step_that_takes_too_long_is_stuck() -> None:
    steps, release = Steps(3600.0), threading.Event()
    begun = threading.Event()

    def step() -> float | None:
        begun.set()
        release.wait(WAIT_S)
        return steps()

    worker = Worker("w", step, step_max_s=0.05)
    assert not worker.pulse.stuck
    worker.start()
    assert begun.wait(WAIT_S) and until(lambda: worker.pulse.stuck)
    assert "release.wait(WAIT_S)" in stack_of("w")
    release.set()
    assert steps.ran.acquire(timeout=WAIT_S)
    assert until(lambda: worker.pulse.busy_s == 0.0) and not worker.pulse.stuck
    worker.stop()
    assert worker.join(WAIT_S) and stack_of("w") == ""


@pytest.mark.parametrize("max_s, busy_s, stuck", [
    (60.0, 59.0, False), (60.0, 61.0, True), (None, 1e6, False),
])
def test_what_counts_as_stuck(max_s: float | None, busy_s: float, stuck: bool) -> None:
    now_s = [0.0]
    pulse = Pulse(max_s, lambda: now_s[0])
    now_s[0] += 1e6
    assert (pulse.busy_s, pulse.stuck) == (0.0, False)
    with pulse:
        now_s[0] += busy_s
        assert (pulse.busy_s, pulse.stuck) == (busy_s, stuck)
    assert (pulse.busy_s, pulse.stuck) == (0.0, False)


def test_a_failing_step_is_not_stuck() -> None:
    worker = Worker("w", Steps(OSError("x")), step_max_s=0.0)
    worker.start()
    assert until(lambda: worker.last_error is not None and worker.pulse.busy_s == 0.0)
    assert not worker.pulse.stuck
    worker.stop()
    assert worker.join(WAIT_S)


def test_what_was_handed_over_right_before_the_end_does_not_disturb_it() -> None:
    """No thread has taken it yet: it is let go."""
    for _ in range(20):
        pool = Pool("p", 2)
        assert pool.submit("a", lambda: None) and pool.submit("b", lambda: None)
        assert pool.join(WAIT_S)


def test_of_a_line_without_an_end_a_little_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brlib.workers.LINE_MAX_BYTES", 3000)
    heard: list[int] = []
    child = Child("endless", [sys.executable, "-c", "print('x' * 7000, end='')"],
                  on_line=lambda line: heard.append(len(line)))
    assert child.wait(WAIT_S) == 0
    assert heard == [3000, 3000, 1000]
    assert [len(line) for line in child.tail] == [2000, 2000, 1000]
