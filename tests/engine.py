"""The engine without a server, for tests: started with small settings, watched by its events."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from brlib.capture import Timeouts
from brlib.config import Configuration, Settings
from brlib.models import Channel, Event, Recording
from brlib.notify import Notifier
from brlib.service import Service

# A quarter of the real patience: the origin's faults are scaled alike.
FAST = Timeouts(connect_s=1.5, read_s=1.5, attempt_s=2.5, give_up_s=7.5, retry_s=0.1,
                retry_max_s=0.5)


class Engine:
    """A running `Service` in `directory`, with the events it published."""

    def __init__(
        self, directory: Path, timeouts: Timeouts = FAST,
        configuration: Configuration | None = None, notifier: Notifier = Notifier(),
        **options: Any,
    ) -> None:
        settings = Settings(
            data_directory=directory / "data", output_directory=directory / "recordings",
            min_free_space=0, url_interval=1.0)
        self.service = Service(
            configuration or Configuration.fixed(replace(settings, **options)), timeouts,
            notifier)
        self.events: list[Event] = []
        # Before the start: what goes on with a recording may be done with it at once.
        self._subscription = self.service.bus.subscribe()
        self.service.start()
        self._closed = False

    def add(self, url: str, **options: Any) -> Channel:
        return self.service.watchlist.add(
            "url", url, options.pop("quality", None), options.pop("enabled", True), **options)

    def wait(self, type: str, timeout_s: float = 30.0, **match: Any) -> Event:
        """The next event of a type whose data has these values; fails after the deadline."""
        return self.wait_for(
            lambda e: e.type == type and all(e.data.get(k) == v for k, v in match.items()),
            timeout_s, f"{type} {match}")

    def wait_for(
        self, wanted: Callable[[Event], bool], timeout_s: float = 30.0, what: str = "event"
    ) -> Event:
        deadline_s = time.monotonic() + timeout_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            event = self._subscription.get(min(left_s, 0.5))
            if event is None:
                continue
            self.events.append(event)
            if wanted(event):
                return event
        seen = [e.type for e in self.events][-20:]
        raise AssertionError(f"no {what} within {timeout_s} s; last seen {seen}")

    def wait_segments(self, count: int, timeout_s: float = 30.0) -> Event:
        return self.wait_for(
            lambda e: e.type == "segment_downloaded" and e.data["segments"] >= count,
            timeout_s, f"{count} segments")

    def wait_complete(self, timeout_s: float = 30.0) -> Recording:
        """The recording whose file is finished next."""
        event = self.wait_for(
            lambda e: e.type in ("processing_complete", "processing_failed"), timeout_s,
            "processing_complete")
        assert event.type == "processing_complete", event.data
        return self.recording(event.data["id"])

    def recording(self, recording_id: str) -> Recording:
        return self.service.archive.get(recording_id)

    def capture_directory(self, recording_id: str) -> Path:
        return self.service.settings.captures_directory / recording_id

    def close(self) -> None:
        """Stop as SIGTERM would; idempotent."""
        if not self._closed:
            self._closed = True
            self.service.bus.unsubscribe(self._subscription)
            self.service.close()
