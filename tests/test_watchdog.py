"""What systemd hears: on a real datagram socket, from the parts and from the real daemon."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from brlib.notify import PHASE_MAX_S, Notifier
from brlib.watchdog import LOOK_EVERY_S, Standstill, Watchdog
from brlib.workers import Worker

from .daemon import Daemon
from .engine import Engine

WAIT_S = 20.0
# A third of it is the time between two signs of life.
PERIOD_S = 0.45


class Listener:
    """systemd's end of the socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def hear(self, timeout_s: float = WAIT_S) -> list[str] | None:
        """The next message's lines; None when there is none."""
        self._socket.settimeout(timeout_s)
        try:
            return self._socket.recv(4096).decode().split("\n")
        except TimeoutError:
            return None

    def wait(self, field: str) -> list[str]:
        """The next message with this line."""
        end_s = time.monotonic() + WAIT_S
        while (said := self.hear(max(0.01, end_s - time.monotonic()))) is not None:
            if field in said:
                return said
        raise AssertionError(f"nobody said {field}")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    address = {"path": str(tmp_path / "notify"),
               "abstract": f"@battles-record-test-{os.getpid()}-{next(_numbers)}"}
    with closing(Listener(address[request.param])) as one:
        yield one


@pytest.fixture
def path_listener(tmp_path: Path) -> Iterator[Listener]:
    with closing(Listener(str(tmp_path / "notify"))) as one:
        yield one


_numbers = itertools.count()


@pytest.mark.parametrize("environ, watchdog_s", [
    ({}, None),
    ({"WATCHDOG_USEC": "60000000"}, 60.0),
    ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 60.0),
    ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, None),
    ({"WATCHDOG_USEC": "0"}, None),
    ({"WATCHDOG_USEC": "soon"}, None),
])
def test_what_systemd_asks_for(environ: dict[str, str], watchdog_s: float | None) -> None:
    """And no child hears of it: FFmpeg is not to speak for us."""
    environ = {"NOTIFY_SOCKET": "/nowhere", "PATH": "/bin", **environ}
    assert Notifier.of(environ, pid=7).watchdog_s == watchdog_s
    assert environ == {"PATH": "/bin"}


def test_every_message(listener: Listener) -> None:
    notifier = Notifier(listener.address)
    notifier.starting("one thing")
    assert listener.hear() == ["WATCHDOG=1", "STATUS=Starting: one thing",
                               f"EXTEND_TIMEOUT_USEC={PHASE_MAX_S}000000"]
    notifier.ready("Recording 1")
    assert listener.hear() == ["READY=1", "STATUS=Recording 1"]
    notifier.alive("Recording 2")
    assert listener.hear() == ["WATCHDOG=1", "STATUS=Recording 2"]
    notifier.stopping()
    said = listener.hear()
    assert said is not None and said[0] == "STOPPING=1"


def test_without_systemd_nothing_is_said() -> None:
    Notifier.of({}).ready("")
    assert Notifier.of({}).watchdog_s is None


def test_a_dead_systemd_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier(str(tmp_path / "gone"))
    notifier.alive("")
    notifier.alive("")
    assert len(caplog.records) == 1
    with closing(Listener(str(tmp_path / "gone"))) as back:
        notifier.alive("a")
        assert back.hear() == ["WATCHDOG=1", "STATUS=a"]


def test_a_start_that_systemd_did_not_hear_of_is_told_again(tmp_path: Path) -> None:
    """It would give the start up: its line holds ten messages, and nobody may read them yet."""
    notifier = Notifier(str(tmp_path / "notify"))
    notifier.ready("a")
    notifier.alive("b")
    with closing(Listener(str(tmp_path / "notify"))) as late:
        notifier.alive("c")
        notifier.alive("d")
        assert late.hear() == ["WATCHDOG=1", "READY=1", "STATUS=c"]
        assert late.hear() == ["WATCHDOG=1", "STATUS=d"]


def test_signs_of_life_stop_for_what_is_vital_alone(
    path_listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    still: list[Standstill] = []
    dog = Watchdog(Notifier(path_listener.address, 60.0), lambda: still, lambda: "fine")
    assert dog.step() == 20.0
    assert path_listener.hear() == ["WATCHDOG=1", "STATUS=fine"]
    still.append(Standstill("rec-1", "rec-1 stands still", vital=False))
    dog.step()
    assert path_listener.hear() == ["WATCHDOG=1", "STATUS=fine"]
    still.append(Standstill(threading.current_thread().name, "the loop stands still", True))
    for _ in range(3):
        dog.step()
    assert path_listener.hear(0.05) is None
    told = [record.getMessage() for record in caplog.records]
    # Once each, and with the line where it stands.
    assert [text.partition("\n")[0] for text in told] == [
        "rec-1 stands still", "the loop stands still"]
    assert "dog.step()" in told[1]
    still.clear()
    dog.step()
    assert path_listener.hear() == ["WATCHDOG=1", "STATUS=fine"]
    assert [record.getMessage() for record in caplog.records[2:]] == [
        f"{name} moves again" for name in sorted(["rec-1", threading.current_thread().name])]


def test_it_looks_also_where_nobody_waits() -> None:
    assert Watchdog(Notifier(), list, str).step() == LOOK_EVERY_S


def test_a_check_loop_that_hangs_ends_the_signs_of_life(
    engine: Callable[..., Engine], path_listener: Listener, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The engine as it is, but for a step of the loop that does not come back."""
    monkeypatch.setattr("brlib.service.service.STEP_MAX_S", 0.3)
    one = engine(notifier=Notifier(path_listener.address, PERIOD_S))
    for _ in range(3):
        path_listener.wait("WATCHDOG=1")
    assert one.service.problems()[0] == []
    release = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(one.service.supervisor, "due_s", lambda: float(release.wait(WAIT_S)))
        one.service.watchlist.hurry()
        silent_since_s = time.monotonic()
        while path_listener.hear(3 * PERIOD_S) is not None:
            assert time.monotonic() - silent_since_s < WAIT_S
        sentences, fatal = one.service.problems()
        assert fatal and "the supervisor thread has been at one step for" in sentences[0]
        # The others go on, and so does everything that is recorded.
        assert len(sentences) == 1
    release.set()
    path_listener.wait("WATCHDOG=1")
    assert one.service.problems() == ([], False)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("name, fatal", [("supervisor", True), ("config", False)])
def test_a_dead_thread_is_noticed(
    engine: Callable[..., Engine], path_listener: Listener, name: str, fatal: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = engine(notifier=Notifier(path_listener.address, PERIOD_S))

    def die() -> float:
        raise SystemExit

    worker: Worker = next(w for w in one.service._workers if w.name == name)
    monkeypatch.setattr(worker, "_step", die)
    worker.wake()
    assert worker.join(WAIT_S)
    assert one.service.problems() == ([f"the {name} thread is dead: restart the daemon"], fatal)
    while path_listener.hear(0.01) is not None:
        continue
    assert (path_listener.hear(3 * PERIOD_S) is None) is fatal


def test_the_daemon_from_start_to_stop(tmp_path: Path, path_listener: Listener) -> None:
    """The real processes: gunicorn does not say READY before the engine runs, whose pings
    come from the worker, and name the present state."""
    one = Daemon(tmp_path)
    one.environ |= {"NOTIFY_SOCKET": path_listener.address,
                    "WATCHDOG_USEC": str(int(PERIOD_S * 1e6))}
    try:
        one.start()
        first = path_listener.hear()
        assert first is not None and "STATUS=Starting: opening the database" in first
        said = path_listener.wait("READY=1")
        # Where the start took long, the line was full of signs of life.
        assert [field for field in said if field != "WATCHDOG=1"] == [
            "READY=1", "STATUS=Recording 0, watching 0 channels"]
        for _ in range(3):
            path_listener.wait("WATCHDOG=1")
        assert one.terminate() == 0
        path_listener.wait("STOPPING=1")
    finally:
        one.close()


def test_a_watchdog_for_another_process_is_left_alone(
    tmp_path: Path, path_listener: Listener
) -> None:
    one = Daemon(tmp_path)
    one.environ |= {"NOTIFY_SOCKET": path_listener.address, "WATCHDOG_PID": "1",
                    "WATCHDOG_USEC": str(int(PERIOD_S * 1e6))}
    try:
        one.start()
        path_listener.wait("READY=1")
        heard = path_listener.hear(3 * PERIOD_S)
        assert heard is None
    finally:
        one.close()
