"""How fast disks fill, from what recordings have committed. Pure but for the clock's readings
that it is given."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping

# As long as a rate looks back.
WINDOW_S = 90.0
# What is known for less long is no rate.
KNOWN_S = 4.0


class Rates:
    """Bytes a second by name, over the last minute and a half.

    Given what each recording has written in all; what it had when it was seen first does not
    count, so that neither a restart nor a new name makes a rate.
    """

    def __init__(self) -> None:
        self._before: dict[tuple[str, str], int] = {}
        self._written: defaultdict[str, float] = defaultdict(float)
        self._marks: deque[tuple[float, dict[str, float]]] = deque()

    def note(self, now_s: float, written: Iterable[tuple[str, str, int]]) -> None:
        """(where, by whom, bytes in all) at this moment."""
        seen: dict[tuple[str, str], int] = {}
        for name, writer, size_bytes in written:
            before = self._before.get((name, writer), size_bytes)
            # One that began again from nothing has written what it has now.
            grown = size_bytes - before if size_bytes >= before else size_bytes
            self._written[name] += grown
            seen[name, writer] = size_bytes
        self._before = seen
        self._marks.append((now_s, dict(self._written)))
        while len(self._marks) > 2 and self._marks[1][0] <= now_s - WINDOW_S:
            self._marks.popleft()

    def all(self) -> Mapping[str, float]:
        """Empty while nothing is known yet."""
        if not self._marks:
            return {}
        (first_s, first), (last_s, last) = self._marks[0], self._marks[-1]
        if last_s - first_s < KNOWN_S:
            return {}
        return {name: (size_bytes - first.get(name, 0.0)) / (last_s - first_s)
                for name, size_bytes in last.items()}
