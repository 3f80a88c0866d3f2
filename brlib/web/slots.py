"""How many of something there may be at once: WebSocket clients, downloads.

Taken before work begins and given back when it is over. Pure counting.
"""

from __future__ import annotations

import threading
from collections import Counter


class Slots:
    """At most so many in all, and so many for each holder."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()

    def take(self, holder: str, limit: int, each: int) -> bool:
        with self._lock:
            if self._held.total() >= limit or self._held[holder] >= each:
                return False
            self._held[holder] += 1
            return True

    def give_back(self, holder: str) -> None:
        with self._lock:
            self._held[holder] -= 1
            if not self._held[holder]:
                del self._held[holder]
