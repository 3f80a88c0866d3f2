"""The configuration: one table that gives defaults, checks, help and the example file.

The table is the `Settings` dataclass itself: a field is an option, its metadata the
section, the reader and the help. Loaded by the command line; sections are for people,
option names are unique across them. `BR_<OPTION>` overrides the file, `BR_<OPTION>_FILE`
reads a value from a file.
"""

from __future__ import annotations

import configparser
import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from . import naming, quality
from .errors import ConfigError, Problem
from .ffmpeg import CONTAINERS

Reader = Callable[[str], Any]


def option(
    section: str, default: Any, reader: Reader, help: str, shown: str = "", *,
    restart: bool = False, secret: bool = False,
) -> Any:
    """A field that is an option. `shown` is the default as people write it; `restart` says
    that a change is for the next start; a `secret` is never shown."""
    return field(default=default, repr=not secret, metadata={
        "section": section, "reader": reader, "help": help, "shown": shown or _shown(default),
        "restart": restart, "secret": secret,
    })


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    return "" if default is None else str(default)


def text(value: str) -> str:
    return value


def yes_no(value: str) -> bool:
    states = configparser.ConfigParser.BOOLEAN_STATES
    if value.lower() not in states:
        raise ValueError("must be yes or no")
    return states[value.lower()]


def whole(low: int, high: int) -> Reader:
    def read(value: str) -> int:
        if not re.fullmatch(r"-?\d+", value) or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)
    return read


_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, None: 1}


def duration(low_s: float, high_s: float) -> Reader:
    def read(value: str) -> float:
        match = _DURATION.fullmatch(value.strip().lower())
        seconds = float(match[1]) * _SECONDS[match[2]] if match else -1.0
        if not low_s <= seconds <= high_s:
            raise ValueError(f"must be a time such as 90s, 15m or 2h, {low_s:g} to {high_s:g} s")
        return seconds
    return read


_SIZE = re.compile(r"(\d{1,18}(?:\.\d+)?)\s*([kmgt]?)i?b?")


def size(value: str) -> int:
    match = _SIZE.fullmatch(value.strip().lower())
    if not match:
        raise ValueError("must be a size such as 500M or 200G")
    return int(float(match[1]) * 1024 ** ("kmgt".find(match[2]) + 1 if match[2] else 0))


def optional(read: Reader) -> Reader:
    """`none` (or `no`, `off`) is no value."""
    return lambda value: None if value.lower() in ("none", "no", "off") else read(value)


def networks(value: str) -> tuple[str, ...]:
    """Addresses and networks, by commas."""
    found = [part.strip() for part in value.split(",") if part.strip() and value != "none"]
    try:
        return tuple(str(ipaddress.ip_network(part, strict=False)) for part in found)
    except ValueError as error:
        raise ValueError(f"must be addresses such as 10.0.0.0/8, by commas: {error}") from error


def one_of(*choices: str) -> Reader:
    def read(value: str) -> str:
        if value not in choices:
            raise ValueError("must be one of " + ", ".join(choices))
        return value
    return read


def secret_text(low: int) -> Reader:
    def read(value: str) -> str:
        if len(value) < low:
            raise ValueError(f"must have at least {low} characters")
        return value
    return read


def directory(value: str) -> Path:
    if not value:
        raise ValueError("must name a directory")
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        raise ValueError("names a home directory that is not known") from error


def _quality(value: str) -> str:
    canonical = quality.known(value)
    if canonical is None:
        raise ValueError("must be one of " + ", ".join(quality.QUALITIES))
    return canonical


def template(value: str) -> str:
    problem = naming.template_problem(value)
    if problem:
        raise ValueError(problem)
    return value


@dataclass(frozen=True)
class Settings:
    host: str = option(
        "server", "127.0.0.1", text, "Address to listen on; 0.0.0.0 is every one", restart=True)
    port: int = option("server", 8080, whole(0, 65535), "Port; 0 takes a free one", restart=True)
    threads: int = option(
        "server", 8, whole(2, 256), "Requests answered at the same time", restart=True)
    max_websockets: int = option(
        "server", 32, whole(0, 1000), "WebSocket clients at most", restart=True)
    local_only: bool = option(
        "server", False, yes_no,
        "Listen on 127.0.0.1 only and ask for no login: whoever uses this machine is admin",
        restart=True)
    public_health: bool = option("server", False, yes_no, "Answer /api/health without a key")
    trusted_proxies: tuple[str, ...] = option(
        "server", (), networks, "Proxies whose X-Forwarded-For is believed, by commas", "none")
    admin_username: str = option(
        "auth", "admin", text, "Name of the admin that the first start makes")
    admin_password: str | None = option(
        "auth", None, text, "Password of that admin; without one it is made and printed once",
        secret=True)
    jwt_secret: str | None = option(
        "auth", None, secret_text(32),
        "Key that signs login tokens, 32 characters or more; made and kept when empty",
        restart=True, secret=True)
    session_duration: float = option(
        "auth", 86400.0, duration(60, 31 * 86400), "How long a login lasts", "24h")
    refresh_grace: float = option(
        "auth", 3600.0, duration(0, 86400), "How long after that it can be refreshed", "1h")
    min_password_length: int = option(
        "auth", 8, whole(8, 128), "Characters that a new password needs")
    data_directory: Path = option(
        "storage", Path("data"), directory,
        "Database and captures; a local disk, not a network share", restart=True)
    output_directory: Path = option(
        "storage", Path("recordings"), directory, "Where finished files go")
    quota: int | None = option(
        "storage", None, optional(size), "Bytes that recordings may take in all", "none")
    min_free_space: int = option(
        "storage", 1024 ** 3, size, "No recording starts with less than this free", "1G")
    retention_days: int | None = option(
        "storage", None, optional(whole(1, 36500)),
        "Finished recordings older than this are deleted", "none")
    retention_keep_latest: int | None = option(
        "storage", None, optional(whole(1, 1_000_000)),
        "So many finished recordings are kept of each channel, whatever their age", "none")
    max_concurrent_recordings: int = option(
        "recording", 3, whole(1, 500), "Broadcasts recorded at the same time")
    default_quality: str = option(
        "recording", "source", _quality, "Quality of channels that name none")
    reconnect_window: float = option(
        "recording", 90.0, duration(0, 3600),
        "A streamer who comes back within this continues the same recording", "90s")
    url_interval: float = option(
        "recording", 30.0, duration(1, 86400), "Time between live checks of an address", "30s")
    filename_template: str = option(
        "recording", "{channel}/{date}_{title}", template,
        "Path of a finished file below output_directory")
    when_file_exists: str = option(
        "recording", "number", one_of("number", "overwrite", "skip"),
        "number: name (2).mp4; skip: keep the capture only")
    processing_mode: str = option(
        "processing", "copy", one_of("copy", "concatenate"),
        "copy: remuxed by FFmpeg; concatenate: the segments' bytes one behind the other")
    container: str = option(
        "processing", "mp4", one_of(*CONTAINERS), "Container of finished files in mode copy")
    processing_timing: str = option(
        "processing", "live", one_of("live", "after"),
        "live: the file grows with the recording and is there seconds after its end")
    capture_after: str = option(
        "processing", "delete", one_of("delete", "keep"),
        "What becomes of the capture once its file is verified")
    ffmpeg_path: str = option(
        "processing", "ffmpeg", text, "FFmpeg 5.1 or later; ffprobe is expected beside it")
    max_concurrent_processing: int = option(
        "processing", 2, whole(1, 64), "Recordings finished afterwards at the same time")
    log_level: str = option(
        "logging", "info", one_of("debug", "info", "warning", "error"), "Least level logged")

    @property
    def captures_directory(self) -> Path:
        return self.data_directory / "captures"

    @property
    def database_path(self) -> Path:
        return self.data_directory / "battles-record.sqlite3"

    @property
    def ffprobe_path(self) -> str:
        folder, name = os.path.split(self.ffmpeg_path)
        return os.path.join(folder, name.replace("ffmpeg", "ffprobe"))


OPTIONS: dict[str, Field[Any]] = {f.name: f for f in fields(Settings)}
SECTIONS = tuple(dict.fromkeys(f.metadata["section"] for f in OPTIONS.values()))


def find_file(given: str | None, environ: Mapping[str, str]) -> Path | None:
    """`--config`, else `$BR_CONFIG`, else ./config.ini where there is one, else None."""
    if given or environ.get("BR_CONFIG"):
        return Path(given or environ["BR_CONFIG"])
    return Path("config.ini") if Path("config.ini").exists() else None


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Settings from a file (None: built-in defaults) and the environment.

    Relative directories are relative to the file. Raises ConfigError with every problem.
    """
    problems: list[Problem] = []
    given: dict[str, tuple[str, str]] = {}
    if path is not None:
        given.update(_from_file(path, problems))
    given.update(_from_environment(environ, problems))
    values: dict[str, Any] = {}
    for name, (place, value) in given.items():
        try:
            values[name] = OPTIONS[name].metadata["reader"](value)
        except ValueError as error:
            problems.append(Problem(f"{place} {name}", f"{value!r} {error}"))
    if problems:
        raise ConfigError(str(path or "configuration"), problems)
    return anchored(Settings(**values), path.parent if path else Path.cwd())


def anchored(settings: Settings, base: Path) -> Settings:
    """`settings` with its relative directories below `base`."""
    base = base.resolve()
    return replace(
        settings,
        data_directory=base / settings.data_directory,
        output_directory=base / settings.output_directory,
    )


def _from_file(path: Path, problems: list[Problem]) -> dict[str, tuple[str, str]]:
    # Values hold file-name templates: no interpolation. No section gives defaults to the
    # others: [DEFAULT] is a mistake like any unknown one.
    parser = configparser.ConfigParser(
        interpolation=None, inline_comment_prefixes=("#",), default_section="")
    try:
        with open(path, encoding="utf-8-sig") as file:
            parser.read_file(file)
    except OSError as error:
        raise ConfigError(str(path), [Problem("file", f"cannot be read: {error.strerror}")])
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [Problem("file", " ".join(str(error).split()))])
    given = {}
    for section in parser.sections():
        for name, value in parser.items(section):
            place = f"[{section}]"
            if name not in OPTIONS:
                problems.append(Problem(f"{place} {name}", "is not an option"))
            elif OPTIONS[name].metadata["section"] != section:
                home = OPTIONS[name].metadata["section"]
                problems.append(Problem(f"{place} {name}", f"belongs into [{home}]"))
            elif value.strip():
                given[name] = (place, value.strip())
    return given


def _from_environment(
    environ: Mapping[str, str], problems: list[Problem]
) -> dict[str, tuple[str, str]]:
    given = {}
    for name in OPTIONS:
        variable = "BR_" + name.upper()
        # Empty is as good as not there, as in the file: compose files pass `BR_PORT=`.
        if value := environ.get(variable, "").strip():
            given[name] = (variable, value)
        elif source := environ.get(variable + "_FILE"):
            try:
                given[name] = (variable + "_FILE", Path(source).read_text("utf-8").strip())
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                problems.append(Problem(variable + "_FILE", f"{source}: {reason}"))
    return given


def example() -> str:
    """`config.ini.example`: every option, its default and what it is for."""
    out = ["# Battles Record. Every option with its default; uncomment what you change.", ""]
    for section in SECTIONS:
        out.append(f"[{section}]")
        for name, entry in OPTIONS.items():
            if entry.metadata["section"] == section:
                out.append(f"# {entry.metadata['help']}.")
                out.append(f"#{name} = {entry.metadata['shown']}")
        out.append("")
    return "\n".join(out).rstrip() + "\n"
