"""What a platform keeps for each channel: connections, and a plugin object that cannot be made
anew for every look.

Owned by each of the platforms; whoever watches a channel no more lets it be dropped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from ..models import Channel


class Closable(Protocol):
    def close(self) -> None: ...


One = TypeVar("One", bound=Closable)


class Kept(Generic[One]):
    """`make` is called once for a channel, when it is first asked for; it may raise. Safe from
    every thread."""

    def __init__(self, make: Callable[[Channel], One]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._ones: dict[str, One] = {}

    def __len__(self) -> int:
        return len(self._ones)

    def get(self, channel: Channel) -> One:
        with self._lock:
            one = self._ones.get(channel.id)
            if one is None:
                one = self._ones[channel.id] = self._make(channel)
            return one

    def drop(self, channel_id: str) -> None:
        with self._lock:
            one = self._ones.pop(channel_id, None)
        if one is not None:
            one.close()

    def close(self) -> None:
        with self._lock:
            ones, self._ones = list(self._ones.values()), {}
        for one in ones:
            one.close()
