"""How often someone may call: windows of a minute, counted in memory, bounded.

Asked by `guard` once a request. The reference gives the numbers: 10 a minute for logins,
100 for reading, 30 for writing.
"""

from __future__ import annotations

import functools
import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

WINDOW_S = 60.0
# Windows kept of each class. Beyond that the oldest go, whoever they belong to: who has so
# many addresses has so many budgets anyway.
WINDOWS_MAX = 10_000
# One customer of a provider has at least a whole such network of IPv6 addresses.
IPV6_NETWORK_BITS = 64


class Rate(StrEnum):
    """What is counted together."""

    AUTH = "auth"
    READ = "read"
    WRITE = "write"


LIMITS = {Rate.AUTH: 10, Rate.READ: 100, Rate.WRITE: 30}


@dataclass(frozen=True)
class Allowance:
    """What is left of someone's window, which ends in `left_s`; `reset_at` is a Unix time in
    seconds."""

    limit: int
    remaining: int
    reset_at: int
    left_s: float
    exceeded: bool

    @property
    def headers(self) -> dict[str, str]:
        return {"X-RateLimit-Limit": str(self.limit),
                "X-RateLimit-Remaining": str(self.remaining),
                "X-RateLimit-Reset": str(self.reset_at)}


@dataclass
class _Window:
    ends_s: float
    count: int = 0


class Limiter:
    def __init__(
        self, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time,
        windows_max: int = WINDOWS_MAX,
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._windows_max = windows_max
        self._lock = threading.Lock()
        # In the order in which they end. A class of its own each: a flood of readers must not
        # push out what is known of logins.
        self._windows: dict[Rate, OrderedDict[str, _Window]] = {r: OrderedDict() for r in Rate}

    def count(self, rate: Rate, who: str) -> Allowance:
        """One request more; what is refused is not counted."""
        return self._look(rate, who, 1)

    def peek(self, rate: Rate, who: str) -> Allowance:
        """How things stand, for what is not counted."""
        return self._look(rate, who, 0)

    def _look(self, rate: Rate, who: str, more: int) -> Allowance:
        now_s, limit = self._clock(), LIMITS[rate]
        with self._lock:
            windows = self._windows[rate]
            while windows and next(iter(windows.values())).ends_s <= now_s:
                windows.popitem(last=False)
            window = windows.get(who) or _Window(now_s + WINDOW_S)
            exceeded = window.count + more > limit
            if more and not exceeded:
                window.count += 1
                windows[who] = window
                if len(windows) > self._windows_max:
                    windows.popitem(last=False)
            left_s = window.ends_s - now_s
            remaining = max(0, limit - window.count)
        return Allowance(limit, remaining, math.ceil(self._wall() + left_s), left_s,
                         exceeded)


def address_of(peer: str, forwarded: str, proxies: Sequence[str]) -> str:
    """Whom a request without credentials counts for: the peer or, behind proxies that are
    trusted, the last address of X-Forwarded-For that is none of them."""
    trusted = _networks(tuple(proxies))
    here = _address(peer)
    if here is None:
        return peer
    for text in reversed(forwarded.split(",")):
        if not any(here in network for network in trusted):
            break
        if (before := _address(text.strip())) is None:
            # What a trusted proxy passes on unread is not to be believed.
            break
        here = before
    if isinstance(here, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((here, IPV6_NETWORK_BITS), strict=False))
    return str(here)


@functools.lru_cache(8)
def _networks(proxies: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(proxy) for proxy in proxies)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address as proxies write it, perhaps with a port; None: it is none."""
    host = text.partition("]")[0].lstrip("[") if text.startswith("[") else text
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
