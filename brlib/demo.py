"""The demo: a live broadcast made here, recorded by the real daemon, with proof at the end.

Owns the demo's directory, its daemon (as a process) and what is printed. Run by the command
line's `demo`; everything it starts has ended when `run` returns, however that comes.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from . import config
from .demo_origin import Origin, need_ffmpeg
from .errors import ConfigError, Problem, RecorderError
from .models import ChannelStatus, RecordingStatus
from .service import DataLock
from .store import open_store
from .store.api_keys import FULL
from .workers import Child

PROGRAM = Path(__file__).resolve().parent.parent / "battles_record.py"
# A check may come two seconds late, and the first segment is there after one.
SECONDS_MIN = 5
PATIENCE_S = 30.0
STOP_MAX_S = 10.0
POLL_S = 0.1
# One key may read 100 times a minute: see `finish_pause_s`, too.
ASK_EVERY_S = 1.25
LINE_EVERY_S = 2.0
INTERRUPTED = 130
ENDING = (signal.SIGTERM, signal.SIGHUP)
OVER = (RecordingStatus.COMPLETE, RecordingStatus.FAILED)
LABEL = "demo"
MARK = "# Made by `battles_record.py demo`; its next run writes it anew.\n"
CONFIG = MARK + """[server]
port = {port}
[storage]
data_directory = data
output_directory = recordings
min_free_space = 50M
[recording]
url_interval = 1s
"""

Answer = dict[str, Any]
say = partial(print, flush=True)


class Api:
    """The daemon's REST API, spoken to as any client would."""

    def __init__(self, port: int, key: str) -> None:
        self.key = key
        self.base = f"127.0.0.1:{port}"
        # A proxy from the environment would not find our loopback.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def call(self, method: str, path: str, body: Answer | None = None) -> Answer:
        """Raises RecorderError for an error answer, OSError for none."""
        request = urllib.request.Request(
            f"http://{self.base}{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.key}"})
        try:
            with self._opener.open(request, timeout=10) as answer:
                return dict(json.loads(answer.read() or b"{}"))
        except urllib.error.HTTPError as error:
            with error:
                said = error.read().decode("utf-8", "replace").strip()
            raise RecorderError(f"{method} {path} answers {error.code}: {said}") from error


class DemoDaemon:
    """`serve` as a process of its own. Its options come from the demo's config.ini alone."""

    def __init__(self, config_file: Path) -> None:
        self.argv = [sys.executable, str(PROGRAM), "serve", "--config", str(config_file)]
        self._child = Child("demo-daemon", self.argv, env=environment() | {"no_proxy": "127.0.0.1"})

    def must_run(self) -> None:
        """Raises RecorderError with the daemon's last words when it is gone."""
        if self._child.exit_code is not None:
            self._child.wait(1.0)  # for its last lines
            raise RecorderError(f"The daemon has ended by itself. {self.last_lines()}")

    def last_lines(self) -> str:
        return "\n  ".join(["The daemon's last lines:", *self._child.tail])

    def stop(self) -> None:
        """As systemd does it: SIGTERM to the main process, which stops the rest."""
        if self._child.exit_code is None:
            os.kill(self._child.pid, signal.SIGTERM)
        if self._child.wait(STOP_MAX_S) is None:
            self._child.kill()
            self._child.wait(STOP_MAX_S)


class Progress:
    """One line that changes at a terminal; elsewhere a line now and then."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._shown_s = 0.0
        self._open = False

    def show(self, text: str, last: bool = False) -> None:
        if self._terminal:
            say("\r" + text.ljust(78), end="")
            self._open = True
        elif last or time.monotonic() - self._shown_s >= LINE_EVERY_S:
            self._shown_s = time.monotonic()
            say(text)

    def end(self) -> None:
        """Whatever is printed next begins a line of its own."""
        say("\n" if self._open else "", end="")
        self._open = False


class Demo:
    """One demo in one directory, which further demos may use again."""

    def __init__(self, directory: str, seconds: int) -> None:
        self._directory = Path(directory).resolve()
        self._config = self._directory / "config.ini"
        self._seconds = seconds
        self._pause = threading.Event()
        self._progress = Progress()
        self._ends = ExitStack()
        self._ends.callback(self._progress.end)

    def run(self) -> int:
        """The whole story; the exit code. Raises RecorderError, OSError, sqlite3.Error."""
        for number in ENDING:
            signal.signal(number, signal.default_int_handler)
        try:
            self._prepare()
            self._start_daemon()
            self._watch()
            ended_s = self._broadcast()
            recording, complete_s = self._finished(ended_s)
            self._show_result(recording, complete_s - ended_s)
        except KeyboardInterrupt:
            print("\nInterrupted: stopping everything", file=sys.stderr)
            return INTERRUPTED
        finally:
            self._stop()
        self._show_how_to_look(recording["id"])
        return 0 if recording["completeness"] == 1.0 else 1

    def _prepare(self) -> None:
        """A directory with configuration and key, nobody else at work in it, and an origin."""
        if self._seconds < SECONDS_MIN:
            raise ConfigError("demo", [Problem("--seconds", f"must be at least {SECONDS_MIN}")])
        need_ffmpeg(config.load(None, environment()))
        self._claim_directory()
        with ExitStack() as exits:
            exits.callback(DataLock(self._directory / "data").release)
            self._config.write_text(CONFIG.format(port=free_port()), encoding="utf-8")
            settings = config.load(self._config, environment())
            store = open_store(settings.database_path)
            exits.callback(store.close)
            for former in (k for k in store.api_keys.find_all() if k.label == LABEL):
                store.api_keys.revoke(former.id)
            self._api = Api(settings.port, store.api_keys.create(LABEL, FULL))
        self._origin = Origin(settings.ffmpeg_path, self._directory / "live", self._seconds)
        self._ends.callback(self._origin.close)

    def _claim_directory(self) -> None:
        """Make the directory; never take one in which someone else keeps things."""
        self._directory.mkdir(parents=True, exist_ok=True)
        if not any(self._directory.iterdir()):
            self._config.write_text(MARK, encoding="utf-8")
        if not self._config.exists() or not self._config.read_text("utf-8").startswith(MARK):
            raise RecorderError(
                f"{self._directory} holds other things: give the demo a new or empty directory")

    def _start_daemon(self) -> None:
        self._daemon = DemoDaemon(self._config)
        self._ends.callback(self._daemon.stop)
        deadline_s, health = time.monotonic() + PATIENCE_S, None
        while health is None:
            self._daemon.must_run()
            try:
                health = self._api.call("GET", "/api/health")
            except OSError as error:
                if time.monotonic() > deadline_s:
                    raise RecorderError(
                        f"It does not answer: {error}. {self._daemon.last_lines()}") from error
                self._pause.wait(POLL_S)
        say(f"The daemon is {health['status']}: http://{self._api.base}/api")

    def _watch(self) -> None:
        """Add the channel, before its broadcast begins: the daemon is to notice by itself."""
        for former in self._api.call("GET", "/api/channels")["channels"]:
            path = f"/api/channels/{former['id']}"
            # A demo that was killed left a recording that the daemon takes up again.
            if former["status"] in (ChannelStatus.STARTING, ChannelStatus.RECORDING):
                self._api.call("POST", f"{path}/stop-recording")
            self._api.call("DELETE", path)
        channel = self._api.call("POST", "/api/channels", {
            "platform": "url", "name": self._origin.url, "display_name": "Demo"})
        self._channel_id = channel["id"]
        say(f"The daemon watches {self._origin.url}")

    def _broadcast(self) -> float:
        """Be live for as long as it takes; the moment at which the broadcast was over."""
        self._origin.begin()
        say(f"A live broadcast of {self._seconds} s begins")
        recording, begun_s, ask_s = Answer(), time.monotonic(), 0.0
        while (ended_s := self._origin.over_within(POLL_S)) is None:
            self._daemon.must_run()
            on_air_s = time.monotonic() - begun_s
            if on_air_s >= ask_s:
                recording, ask_s = self._recording(), on_air_s + ASK_EVERY_S
            self._progress.show(progress_line(on_air_s, recording))
        return ended_s

    def _finished(self, ended_s: float) -> tuple[Answer, float]:
        """Wait for the recording to be complete; it, and the moment at which it was."""
        while True:
            recording, now_s = self._recording(), time.monotonic()
            waited_s = now_s - ended_s
            over = recording.get("status") in OVER or waited_s > PATIENCE_S
            self._progress.show(progress_line(self._seconds, recording), last=over)
            if over:
                self._progress.end()
                if recording.get("status") == RecordingStatus.COMPLETE:
                    return recording, now_s
                why = recording.get("error") or f"not complete after {PATIENCE_S:g} s"
                raise RecorderError(f"The recording failed: {why}. {self._daemon.last_lines()}")
            self._daemon.must_run()
            self._pause.wait(finish_pause_s(waited_s))

    def _recording(self) -> Answer:
        """The newest recording of our channel, empty before there is one."""
        found = self._api.call("GET", f"/api/recordings?channel={self._channel_id}")
        return next(iter(found["recordings"]), {})

    def _show_result(self, recording: Answer, took_s: float) -> None:
        say(f"\nRecorded: {recording['file_path']}\n"
            f"  {recording['file_size'] / 1e6:.1f} MB, {recording['duration']} s, "
            f"{recording['segments']} of {self._origin.published()} segments, "
            f"{recording['gaps']} gaps, completeness {recording['completeness']:.1%}\n"
            f"  finished {took_s:.1f} s after the end of the broadcast")
        # The address is nobody's from now on: a daemon started again must not ask for it.
        self._api.call("PATCH", f"/api/channels/{self._channel_id}", {"enabled": False})

    def _stop(self) -> None:
        """End what was started; a second Ctrl-C must not leave half of it running."""
        for number in (signal.SIGINT, *ENDING):
            signal.signal(number, signal.SIG_IGN)
        self._ends.close()

    def _show_how_to_look(self, recording_id: str) -> None:
        """Lines to paste into a shell; the first curl waits for the daemon to answer."""
        unset = [f"-u{name}" for name in os.environ if name not in environment()]
        serve = shlex.join((["env", *unset] if unset else []) + self._daemon.argv)
        curl = f'-H "Authorization: Bearer {self._api.key}" http://{self._api.base}/api'
        client = (
            "import json, signal, simple_websocket; signal.signal(2, signal.SIG_DFL); "
            f'ws = simple_websocket.Client("ws://{self._api.base}/api/ws"); '
            f'ws.send(json.dumps({{"type": "auth", "token": "{self._api.key}"}})); '
            "[print(message) for message in iter(ws.receive, None)]")
        say("\nThe demo's daemon has ended with the demo. Start it again and look around:\n\n"
            f"{serve} &\n"
            f"curl --silent --retry 9 --retry-delay 1 --retry-connrefused {curl}/recordings\n"
            f"curl {curl}/channels\n"
            f"curl {curl}/recordings/{recording_id}/gaps\n"
            "\nIts events by WebSocket, until Ctrl-C:\n\n"
            f"{shlex.join([sys.executable, '-c', client])}\n"
            "\nAnd its end:\n\nkill $!")


def progress_line(on_air_s: float, recording: Answer) -> str:
    told = "not noticed yet" if not recording else (
        f"{recording['activity'] or recording['status']:<13}segments {recording['segments']}, "
        f"seconds {recording['duration']}, completeness {recording['completeness']:.1%}")
    return f"  on air {on_air_s:3.0f} s  {told}"


def finish_pause_s(waited_s: float) -> float:
    """When to ask again whether the file is finished: after an eighth of the time so far."""
    return max(POLL_S, waited_s / 8)


def environment() -> dict[str, str]:
    """Ours without the options that would lead the demo's daemon to other people's data."""
    return {name: value for name, value in os.environ.items()
            if not name.startswith("BR_") or name == "BR_FFMPEG_PATH"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
