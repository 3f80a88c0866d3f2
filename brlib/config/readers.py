"""How an option's text becomes its value: a reader for each kind, used by the table.

A reader raises ValueError with what the value must be. The message never holds the value:
it may be a secret.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from .. import naming, processing, quality, schedule, windows

Reader = Callable[[str], Any]


def text(value: str) -> str:
    return value


_STATES = {"yes": True, "true": True, "on": True, "1": True,
           "no": False, "false": False, "off": False, "0": False}


_HOST = re.compile(r"[0-9A-Za-z_](?:[0-9A-Za-z_.-]{0,251}[0-9A-Za-z_])?")


def host_name(value: str) -> str:
    """An address or a name to listen on; whether it is this machine's, the start shows."""
    try:
        ipaddress.ip_address(value)
    except ValueError as error:
        if not _HOST.fullmatch(value) or value.replace(".", "").isdigit():
            raise ValueError("must be an address such as 127.0.0.1, or a host's name") from error
    return value


def yes_no(value: str) -> bool:
    if value.lower() not in _STATES:
        raise ValueError("must be yes or no")
    return _STATES[value.lower()]


def whole(low: int, high: int) -> Reader:
    def read(value: str) -> int:
        if not re.fullmatch(r"-?\d{1,18}", value) or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)
    return read


def percent(value: str) -> int:
    try:
        return int(whole(1, 100)(value.removesuffix("%").rstrip()))
    except ValueError as error:
        raise ValueError("must be a percentage from 1% to 100%") from error


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
    # Not by way of a float, which knows 16 digits.
    return int(Decimal(match[1]) * 1024 ** ("kmgt".find(match[2]) + 1 if match[2] else 0))


def optional(read: Reader) -> Reader:
    """`none` (or `no`, `off`) is no value."""
    return lambda value: None if value.lower() in ("none", "no", "off") else read(value)


def unlimited(read: Reader) -> Reader:
    """The same of a limit, where 0 says so, too."""
    return lambda value: None if value == "0" else optional(read)(value)


def large_size(low_bytes: int) -> Reader:
    def read(value: str) -> int:
        size_bytes = size(value)
        if size_bytes < low_bytes:
            raise ValueError(f"must be at least {low_bytes // 1024 ** 2}M, or none")
        return size_bytes
    return read


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


def stream_quality(value: str) -> str:
    canonical = quality.known(value)
    if canonical is None:
        raise ValueError("must be one of " + ", ".join(quality.QUALITIES))
    return canonical


def template(value: str) -> str:
    problem = naming.template_problem(value)
    if problem:
        raise ValueError(problem)
    return value


def ffmpeg_arguments(value: str) -> str:
    return processing.checked_arguments(value)


def days(value: str) -> str:
    windows.read_days(value)
    return value


def clock(value: str) -> str:
    windows.read_clock(value)
    return value


def blackouts(value: str) -> str:
    windows.read_blackouts(value)
    return value


def time_zone(value: str) -> str:
    schedule.zone_of(value)
    return value
