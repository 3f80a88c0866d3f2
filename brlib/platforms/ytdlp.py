"""yt-dlp as a process of its own: what it finds at the address of a video.

Owned by the platform `youtube`, which asks it where streamlink cannot help. A process, because
it can be killed, gives back its memory (54 MiB and more), and is upgraded without a restart.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import PlatformError, hosts_only
from ..workers import Child
from .answers import dig, text_at

log = logging.getLogger(__name__)

# With a JavaScript runtime a small machine needs a good part of this.
DEADLINE_S = 90.0
AT_ONCE = 2
PREFIX = "battles-record-"
# A directory that old belongs to no run: whoever made it was killed.
LEFT_BEHIND_AFTER_S = 3600.0
FOUND_MAX_BYTES = 4 * 1024 * 1024
# A whole `-J` is more than a megabyte; these are what is looked at. One JSON value a line.
_VIDEO = "%(.{id,live_status})j"
_FORMATS = ("%(formats.:.{format_id,protocol,url,manifest_url,height,fps,tbr,vcodec,acodec,"
            "http_headers})j")
_SAID = re.compile(r"^(?:ERROR|WARNING): (?:\[[\w:]{1,40}\] )?(.*)")
# Follow from what it said before.
_ECHOES = ("No video formats found", "Requested format is not available")
_ROTATED = "cookies are no longer valid"


@dataclass(frozen=True)
class Format:
    """One HLS stream: `name` as streamlink would call it ("720p60"); `whole` when picture and
    sound are in it."""

    name: str
    url: str
    whole: bool
    manifest_url: str | None
    headers: dict[str, str]


@dataclass(frozen=True)
class Found:
    """`live_status` as yt-dlp has it (`is_live`, `was_live`, …), None where it found no video;
    `formats` lowest first; `said` are its warnings and errors."""

    live_status: str | None
    formats: tuple[Format, ...]
    said: tuple[str, ...]

    @property
    def cookies_rotated(self) -> bool:
        return any(_ROTATED in line for line in self.said)


def no_runtimes() -> Sequence[str]:
    return ()


class YtDlp:
    """`runtimes` are JavaScript runtimes as `--js-runtimes` takes them, "node:/usr/bin/node";
    `command` starts yt-dlp."""

    def __init__(
        self, runtimes: Callable[[], Sequence[str]] = no_runtimes, *,
        deadline_s: float = DEADLINE_S,
        command: Sequence[str] = (sys.executable, "-m", "yt_dlp"),
    ) -> None:
        self._runtimes = runtimes
        self._deadline_s = deadline_s
        self._command = tuple(command)
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._running: set[Child] = set()
        self._closed = False
        clear_left_behind()

    def find(self, url: str, cookies: str | None) -> Found:
        """What is at `url`, seen with a cookies file of that text. Raises PlatformError when
        yt-dlp cannot be run, or takes longer than its deadline."""
        until_s = time.monotonic() + self._deadline_s
        if not self._turns.acquire(timeout=self._deadline_s):
            raise PlatformError("yt-dlp is busy with other channels; it is tried again")
        try:
            with tempfile.TemporaryDirectory(prefix=PREFIX) as directory:
                return self._run(Path(directory), url, cookies, until_s)
        finally:
            self._turns.release()

    def close(self) -> None:
        """End what runs; nothing is started any more."""
        with self._lock:
            self._closed = True
            for child in self._running:
                child.kill()

    def _run(self, directory: Path, url: str, cookies: str | None, until_s: float) -> Found:
        found = directory / "found.json"
        options = ["--print-to-file", _VIDEO, str(found), "--print-to-file", _FORMATS, str(found)]
        if cookies is not None:
            # A copy: yt-dlp writes the file anew when it ends. The directory is ours alone.
            copy = directory / "cookies.txt"
            with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(cookies)
            options += ["--cookies", str(copy)]
        child = self._start([*self._command, *self._options(), *options, "--", url], directory)
        try:
            code = child.wait(max(0.0, until_s - time.monotonic()))
        finally:
            child.kill()
            child.wait(2.0)
            with self._lock:
                self._running.discard(child)
        if code is None:
            raise PlatformError(
                f"yt-dlp had no answer after {self._deadline_s:.0f} s; it is tried again")
        if code < 0:
            raise PlatformError(f"yt-dlp was ended by signal {-code}")
        said = tuple(hosts_only(match[1])[:500] for line in child.tail
                     if (match := _SAID.match(line)) and not match[1].startswith(_ECHOES))
        if code and not said:
            raise PlatformError(_why(code, child.tail))
        return _read(found, said)

    def _start(self, argv: Sequence[str], directory: Path) -> Child:
        with self._lock:
            if self._closed:
                raise PlatformError("yt-dlp is not started: the daemon is stopping")
            try:
                # In its own directory: `python -m` would also look for modules in ours.
                child = Child("yt-dlp", argv, cwd=str(directory), env=_environment())
            except OSError as error:
                raise PlatformError(f"yt-dlp cannot be started: {error.strerror}") from error
            self._running.add(child)
            return child

    def _options(self) -> list[str]:
        options = [
            "--ignore-config", "--no-cache-dir", "--ignore-no-formats-error", "--skip-download",
            "--no-playlist", "--no-progress", "--color", "never", "--socket-timeout", "15"]
        if "SSL_CERT_FILE" in _environment():
            # Else it trusts the certificates that it brought, and no others.
            options += ["--compat-options", "no-certifi"]
        for runtime in self._runtimes():
            options += ["--js-runtimes", runtime]
        return options


def _environment() -> dict[str, str]:
    """Ours; the certificates that requests is told to trust hold for yt-dlp, too."""
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("BR_")}  # our own secrets
    if bundle := environment.get("REQUESTS_CA_BUNDLE"):
        environment.setdefault("SSL_CERT_FILE", bundle)
    return environment


def _why(code: int, tail: Sequence[str]) -> str:
    last = next((line for line in reversed(tail) if line.strip()), "")
    if "No module named yt_dlp" in last:
        return "yt-dlp is not installed, and streamlink alone cannot open this stream"
    return f"yt-dlp failed (exit code {code}): {hosts_only(last)[:200]}"


def _read(path: Path, said: tuple[str, ...]) -> Found:
    """Raises PlatformError for what yt-dlp cannot have written."""
    try:
        with open(path, "rb") as file:
            data = file.read(FOUND_MAX_BYTES + 1)
    except FileNotFoundError:
        return Found(None, (), said)
    try:
        values = [json.loads(line) for line in data.splitlines()]
    except (ValueError, RecursionError) as error:
        raise PlatformError("yt-dlp's findings cannot be read") from error
    formats = dig(values, 1)
    return Found(
        text_at(values, 0, "live_status"),
        tuple(one for item in (formats if isinstance(formats, list) else ())
              if (one := _format(item)) is not None),
        said)


def _format(item: Any) -> Format | None:
    """A format of the list as ours; None where it is no HLS."""
    url, protocol = text_at(item, "url"), text_at(item, "protocol")
    if url is None or protocol not in ("m3u8_native", "m3u8"):
        return None
    picture, sound = (dig(item, key) != "none" for key in ("vcodec", "acodec"))
    headers = dig(item, "http_headers")
    return Format(
        _name(item, picture), url, picture and sound, text_at(item, "manifest_url"),
        # It keeps cookies apart; should it ever not, they are not for the media hosts.
        {name: value for name, value in (headers if isinstance(headers, dict) else {}).items()
         if isinstance(value, str) and name.lower() not in ("cookie", "authorization")})


def _name(item: Any, picture: bool) -> str:
    height, fps, kbit = (dig(item, key) for key in ("height", "fps", "tbr"))
    if picture and isinstance(height, (int, float)) and height > 0:
        fast = isinstance(fps, (int, float)) and fps > 30
        return f"{height:.0f}p{fps:.0f}" if fast else f"{height:.0f}p"
    if not picture:
        return "audio_only"
    return f"{kbit:.0f}k" if isinstance(kbit, (int, float)) else "live"


def clear_left_behind() -> None:
    """Remove what runs of a daemon that was killed left: cookies are in it."""
    for directory in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        try:
            found = directory.lstat()
            if (found.st_uid == os.getuid() and stat.S_ISDIR(found.st_mode)
                    and time.time() - found.st_mtime > LEFT_BEHIND_AFTER_S):
                shutil.rmtree(directory)
        except OSError as error:
            log.warning("%s could not be removed: %s", directory, error)
