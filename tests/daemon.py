"""The real daemon as a process, for tests: started, spoken to by HTTP, stopped or killed."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from brlib.store import open_store
from brlib.store.api_keys import FULL

from . import contract

Answer = tuple[int, Any, dict[str, str]]
ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "battles_record.py"
START_MAX_S = 20.0


def another_address(numbers: Iterator[int] = itertools.count()) -> str:
    """One that has not called yet: daemons of tests trust them as a proxy."""
    number = next(numbers)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def run_command(
    *arguments: str, stdin: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    """One call of the command line, to its end."""
    return subprocess.run(
        [sys.executable, str(PROGRAM), *arguments], input=stdin, capture_output=True, text=True,
        timeout=30,
        env={**os.environ, **environ}, check=False)


class Daemon:
    """`serve` in `directory`, on a free port, with a key that may do everything."""

    # What is started; a measurement has one with a probe in it.
    program = PROGRAM

    def __init__(self, directory: Path, **options: Any) -> None:
        self.directory = directory
        self.config = directory / "config.ini"
        self.log: list[str] = []
        self.port = 0
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._ready = threading.Event()
        self._began = False
        self.environ = {f"BR_{name.upper()}": str(value) for name, value in {
            "port": 0, "min_free_space": 0, "url_interval": "1s",
            "trusted_proxies": "127.0.0.1", **options}.items()}
        self.config.touch()
        made = run_command("api-key", "create", "test", "--config", str(self.config))
        assert made.returncode == 0, made.stderr
        self.key = made.stdout.strip()

    def start(self) -> Daemon:
        """Start (again); returns once it answers."""
        self._ready.clear()
        self._began = False
        self._process = subprocess.Popen(
            [sys.executable, str(self.program), "serve", "--config", str(self.config)],
            stderr=subprocess.PIPE, text=True, env={**os.environ, **self.environ},
            start_new_session=True)
        self._reader = threading.Thread(target=self._read, args=(self._process,))
        self._reader.start()
        if not self._ready.wait(START_MAX_S) or not self._began:
            self.close()
            raise AssertionError("the daemon did not start:\n" + "\n".join(self.log))
        return self

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                self.log.append(line.rstrip())
                if found := re.search(r"Listening on http://[\d.]+:(\d+)", line):
                    self.port = int(found[1])
                if line.rstrip().endswith(": Ready"):
                    self._began = True
                    self._ready.set()
        self._ready.set()

    @property
    def pid(self) -> int:
        """The master's."""
        assert self._process is not None
        return self._process.pid

    @property
    def worker_pid(self) -> int:
        """The process that records."""
        return int(Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()[0])

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait_exit(self, timeout_s: float = 15.0) -> int:
        assert self._process is not None and self._reader is not None
        code = self._process.wait(timeout_s)
        self._reader.join(timeout_s)
        return code

    def terminate(self, timeout_s: float = 15.0) -> int:
        """SIGTERM as systemd sends it, to the main process; the exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self.wait_exit(timeout_s)

    def kill(self) -> None:
        """kill -9 of master and worker at the same time, as a crash or the OOM killer would."""
        worker = self.worker_pid
        os.kill(worker, signal.SIGKILL)
        os.kill(self.pid, signal.SIGKILL)
        self.wait_exit()

    def close(self) -> None:
        if self.running():
            try:
                self.terminate()
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self.wait_exit()
        elif self._reader is not None:
            self._reader.join(10)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = "",
        raw: bytes | None = None, headers: Mapping[str, str] | None = None,
        limits: bool = False,
    ) -> Answer:
        """(status, body, headers), the body decoded where it is JSON, None where there is none.

        `key`: "" the full one, None none at all. `limits`: 429 is an answer, too. Every answer
        is held against the document.
        """
        data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        request = urllib.request.Request(self.url(path), data=data, method=method)
        if key is not None:
            request.add_header("Authorization", f"Bearer {key or self.key}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        answer = self._open(request)
        if answer[0] == 429 and not limits:
            # Tests are busier than people. Limits count for each key or address by itself.
            if key == "":
                self.renew_key()
            more = {**(headers or {}), "X-Forwarded-For": another_address()}
            return self.call(method, path, body, key=key, raw=raw, headers=more, limits=True)
        contract.check(method, path, *answer)
        return answer

    def renew_key(self) -> str:
        """Another full key, made behind the daemon's back as the command line does."""
        store = open_store(self.directory / "data" / "battles-record.sqlite3")
        try:
            self.key = store.api_keys.create("test", FULL)
        finally:
            store.close()
        return self.key

    @staticmethod
    def _open(request: urllib.request.Request) -> Answer:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, _decoded(answer), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _decoded(error), dict(error.headers)

    def get(self, path: str) -> Any:
        status, body, _ = self.call("GET", path)
        assert status == 200, (status, body)
        return body

    def wait(self, path: str, until: Callable[[Any], bool], timeout_s: float = 30.0) -> Any:
        """The answer of a GET once it is as wanted; fails after the deadline."""
        deadline_s = time.monotonic() + timeout_s
        pause = threading.Event()
        while True:
            body = self.get(path)
            if until(body):
                return body
            assert time.monotonic() < deadline_s, body
            pause.wait(0.05)


def _decoded(answer: Any) -> Any:
    data = answer.read()
    is_json = answer.headers.get_content_type() == "application/json"
    return json.loads(data) if data and is_json else data or None
