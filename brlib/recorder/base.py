"""What a recording needs of others, as it sees them, and what it tells them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..config import Settings
from ..errors import Trouble
from ..events import EventBus
from ..models import Channel, Course, EndReason, Gap, GapCause, Recording, SessionEnd, Sums
from ..platforms import Platform
from ..store import Store


class Session(Protocol):
    """One opened stream of a capture."""

    target_duration_s: float
    reload_begun_s: float

    @property
    def end(self) -> SessionEnd | None: ...

    @property
    def judged(self) -> bool:
        """Whether a playlist came and was understood."""

    @property
    def cause(self) -> GapCause | None:
        """Why something may be missing behind what it brought."""

    @property
    def busy(self) -> bool:
        """Whether segments are on their way while the playlist keeps coming."""

    def close(self) -> None: ...

    def write_off(self, cause: GapCause | None = None) -> None:
        """After `close`, when nothing more will come: what was on its way is missing, because
        of this or of what the session knows. Raises OSError."""


class Capture(Protocol):
    """A recording's capture directory and what flows into it. What is asked of it waits for
    no disk; what is written raises OSError, and DiskHangs after a second or so.

    `hanging_s`: how long a write has been going on that ought to be over; 0 else.
    """

    def open(self, stream: Any, cause: GapCause | None, at_edge: bool) -> Session: ...
    def note(self, key: str, value: str) -> None: ...
    def sync_if_due(self) -> None: ...
    def settle(self) -> None: ...
    def suspend(self) -> None: ...
    def finish(self) -> None: ...
    def leave(self) -> None: ...

    @property
    def sums(self) -> Sums: ...
    @property
    def gaps(self) -> list[Gap]: ...
    @property
    def course(self) -> Course: ...
    @property
    def edge(self) -> str | None: ...
    @property
    def tail(self) -> str: ...
    @property
    def idle_s(self) -> float: ...
    @property
    def hanging_s(self) -> float: ...
    @property
    def trouble(self) -> str | None: ...


class Captures(Protocol):
    """Makes captures. `on_news` is called from other threads after every segment and when
    a session ends."""

    def create(self, name: str, directory: Path, on_news: Callable[[], None]) -> Capture: ...
    def recover(self, name: str, directory: Path, on_news: Callable[[], None]) -> Capture: ...


@dataclass(frozen=True)
class Over:
    """How a recording ended, for whoever watches its channel.

    `reason` is None when nothing was ever captured; `error` and `trouble` say why, `error`
    is None when the broadcast was not there (any more).
    """

    channel_id: str
    reason: EndReason | None
    edge: str | None = None
    error: str | None = None
    trouble: Trouble = Trouble.ERROR


@dataclass(frozen=True)
class Outside:
    """The recorder's surroundings: down by method call, up by these callables."""

    settings: Callable[[], Settings]
    store: Store
    bus: EventBus
    platforms: dict[str, Platform]
    captures: Captures
    on_begun: Callable[[Recording], None]
    on_ended: Callable[[Recording], None]
    on_over: Callable[[Over], None]
    on_changed: Callable[[Channel], None]
