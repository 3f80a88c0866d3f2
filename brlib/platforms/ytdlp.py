"""yt-dlp as a process of its own: what it finds at the address of a video or of a page.

One for all; asked by the platforms `youtube` and `url` where streamlink cannot help. A process,
because it can be killed, gives back its memory (54 MiB and more), and is upgraded without a
restart.
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
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..errors import PlatformError, hosts_only
from ..workers import Child
from .answers import dig, text_at, whole_at

log = logging.getLogger(__name__)

# With a JavaScript runtime a small machine needs a good part of this.
DEADLINE_S = 90.0
AT_ONCE = 2
COMMAND = (sys.executable, "-m", "yt_dlp")
PREFIX = "battles-record-"
# A directory that old belongs to no run: whoever made it was killed.
LEFT_BEHIND_AFTER_S = 3600.0
FOUND = "found.json"
FOUND_MAX_BYTES = 4 * 1024 * 1024
# A whole `-J` is more than a megabyte; these are what is looked at. One JSON value a line.
# `title` has the date behind it while a stream is live; `fulltitle` is the site's own.
_VIDEO = "%(.{id,live_status,fulltitle,release_timestamp,extractor_key})j"
_FORMATS = ("%(formats.:.{format_id,protocol,url,manifest_url,height,fps,tbr,vcodec,acodec,"
            "http_headers})j")
_SAID = re.compile(r"^(?:ERROR|WARNING): (?:\[[\w:]{1,40}\] )?(.*)")
# Follow from what it said before, or say nothing of the address.
_ECHOES = ("No video formats found", "Requested format is not available", "Falling back on")
# They know no video, and make an id of the address.
_WITHOUT_ID = ("Generic", "HTML5MediaEmbed")
# Of a page with several videos so many are looked at.
_VIDEOS_MAX = 3
_HLS = ("m3u8_native", "m3u8")
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
    """`live_status` as yt-dlp has it (`is_live`, `was_live`, …), None where it found no video or
    cannot tell; `formats` lowest first, and whether there are others than HLS; `said` are its
    warnings and errors. `id` is the site's own, where it has one."""

    live_status: str | None
    formats: tuple[Format, ...]
    said: tuple[str, ...]
    id: str | None = None
    title: str | None = None
    upcoming_at: datetime | None = None
    other_formats: bool = False

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
        deadline_s: float = DEADLINE_S, command: Sequence[str] | None = None,
    ) -> None:
        self._runtimes = runtimes
        self._deadline_s = deadline_s
        self._command = tuple(COMMAND if command is None else command)
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._running: set[Child] = set()
        self._stopped = False
        clear_left_behind()

    def find(
        self, url: str, cookies: str | None = None, deadline_s: float | None = None
    ) -> Found:
        """What is at `url`, seen with a cookies file of that text. Raises PlatformError when
        yt-dlp cannot be run, or takes longer than its deadline (or this one)."""
        limit_s = min(self._deadline_s, deadline_s or self._deadline_s)
        until_s = time.monotonic() + limit_s
        if not self._turns.acquire(timeout=limit_s):
            raise PlatformError("yt-dlp is busy with other channels; it is tried again")
        try:
            # At a restart it may have been too young to be told from another daemon's run.
            clear_left_behind()
            with tempfile.TemporaryDirectory(prefix=PREFIX) as directory:
                code, child = self._run(Path(directory), url, cookies, until_s)
                if code is None:
                    raise PlatformError(
                        f"yt-dlp had no answer after {limit_s:.0f} s; it is tried again")
                return self._outcome(Path(directory), code, child.tail)
        except OSError as error:
            # Whoever records would take it for trouble with the recording's disk.
            raise PlatformError(
                f"yt-dlp has no place for its files in {tempfile.gettempdir()}: "
                f"{error.strerror}") from error
        finally:
            self._turns.release()

    def stop(self) -> None:
        """End what runs; nothing is started any more. Returns at once, idempotent."""
        with self._lock:
            self._stopped = True
            for child in self._running:
                child.kill()

    def _run(
        self, directory: Path, url: str, cookies: str | None, until_s: float
    ) -> tuple[int | None, Child]:
        """The exit code, None when it took too long, and the process, which is gone."""
        found, addresses = directory / FOUND, directory / "addresses.txt"
        # Not in the command line, which everyone on this machine can read.
        addresses.write_text(url + "\n")
        options = ["--print-to-file", _VIDEO, str(found), "--print-to-file", _FORMATS, str(found),
                   "--batch-file", str(addresses)]
        if cookies is not None:
            # A copy: yt-dlp writes the file anew when it ends. The directory is ours alone.
            copy = directory / "cookies.txt"
            with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(cookies)
            options += ["--cookies", str(copy)]
        child = self._start([*self._command, *self._options(), *options], directory)
        try:
            code = child.wait(max(0.0, until_s - time.monotonic()))
        finally:
            child.kill()
            child.wait(2.0)
            with self._lock:
                self._running.discard(child)
        return code, child

    def _outcome(self, directory: Path, code: int, tail: Sequence[str]) -> Found:
        if self._stopped:
            raise PlatformError("yt-dlp was ended: the daemon is stopping")
        if code < 0:
            raise PlatformError(f"yt-dlp was ended by signal {-code}")
        said = tuple(hosts_only(match[1])[:500] for line in tail
                     if (match := _SAID.match(line)) and not match[1].startswith(_ECHOES))
        if code and not said:
            raise PlatformError(_why(code, tail))
        return _read(directory / FOUND, said)

    def _start(self, argv: Sequence[str], directory: Path) -> Child:
        with self._lock:
            if self._stopped:
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
            "--no-playlist", "--playlist-items", f"1:{_VIDEOS_MAX}", "--no-progress",
            "--color", "never", "--socket-timeout", "15"]
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
    videos = [values[at:at + 2] for at in range(0, len(values), 2)]
    if not videos:
        return Found(None, (), said)
    live = (one for one in videos if text_at(one, 0, "live_status") == "is_live")
    return _found(next(live, videos[0]), said)


def _found(video: list[Any], said: tuple[str, ...]) -> Found:
    items = dig(video, 1) or []
    items = items if isinstance(items, list) else []
    formats = tuple(one for item in items if (one := _format(item)) is not None)
    upcoming_s = whole_at(video, 0, "release_timestamp")
    own = text_at(video, 0, "extractor_key") not in _WITHOUT_ID
    title = text_at(video, 0, "fulltitle")
    return Found(
        text_at(video, 0, "live_status"), formats, said,
        id=text_at(video, 0, "id") if own else None,
        # The page's own title, with a number behind it.
        title=title if own or title is None else re.sub(r" \(\d+\)$", "", title),
        upcoming_at=None if upcoming_s is None else datetime.fromtimestamp(
            min(upcoming_s, 2**33), timezone.utc),
        other_formats=any(text_at(item, "protocol") not in (*_HLS, "mhtml") for item in items))


def _format(item: Any) -> Format | None:
    """A format of the list as ours; None where it is no HLS."""
    url, protocol = text_at(item, "url"), text_at(item, "protocol")
    if url is None or protocol not in _HLS:
        return None
    picture, sound = (dig(item, key) != "none" for key in ("vcodec", "acodec"))
    return Format(_name(item, picture), url, picture and sound, text_at(item, "manifest_url"),
                  _headers(dig(item, "http_headers")))


def _headers(given: Any) -> dict[str, str]:
    """What is for the media hosts, too. yt-dlp keeps cookies apart; should it ever not, they are
    not. The address of the page may hold a token: they get its host, as from a browser."""
    found = {name: value for name, value in (given if isinstance(given, dict) else {}).items()
             if isinstance(value, str) and name.lower() not in ("cookie", "authorization")}
    for name, value in found.items():
        if name.lower() == "referer":
            found[name] = hosts_only(value) + "/"
    return found


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
