"""The bus on which facts go up: every event gets a number and reaches every subscriber.

Published to by the engine, subscribed to by WebSocket handlers. A subscriber that does
not keep up loses its subscription, never an event in the middle; a publisher never waits.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from .models import Channel, Event, Recording, utc_now

QUEUED_EVENTS = 1000


def about_channel(channel: Channel) -> dict[str, Any]:
    """What every event about a channel says of it."""
    return {"channel_id": channel.id, "channel": channel.display_name,
            "platform": channel.platform}


def about_recording(recording: Recording) -> dict[str, Any]:
    """What every event about a recording says of it."""
    return {
        "id": recording.id,
        "channel_id": recording.channel_id,
        "channel": recording.channel_name,
        "platform": recording.platform,
        "title": recording.title,
    }


class Subscription:
    """One listener's bounded queue. `after` is the number of the last event before it."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.overflowed = threading.Event()
        self._queue: queue.Queue[Event] = queue.Queue(QUEUED_EVENTS)

    def offer(self, event: Event) -> bool:
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self.overflowed.set()
            return False
        return True

    def get(self, timeout_s: float) -> Event | None:
        """The next event, or None when there was none for `timeout_s`."""
        try:
            return self._queue.get(timeout=timeout_s) if timeout_s else self._queue.get_nowait()
        except queue.Empty:
            return None


class EventBus:
    def __init__(self, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seq = 0
        self._subscriptions: list[Subscription] = []

    def moves(self, wait_s: float) -> bool:
        """Whether anyone can publish: nobody holds the lock for longer than a moment."""
        if not self._lock.acquire(timeout=wait_s):
            return False
        self._lock.release()
        return True

    def publish(self, type: str, data: dict[str, Any]) -> Event:
        with self._lock:
            self._seq += 1
            event = Event(self._seq, type, self._clock(), data)
            self._subscriptions = [s for s in self._subscriptions if s.offer(event)]
        return event

    def subscribe(self) -> Subscription:
        """Events from the next one on. State that is read after this call lacks none that
        the subscription does not bring."""
        with self._lock:
            subscription = Subscription(self._seq)
            self._subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions = [s for s in self._subscriptions if s is not subscription]
