"""What is shown of channels, and what was told of it last: `channel_status`, once per change."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..errors import ChannelNotFound
from ..events import EventBus, about_channel
from ..models import Broadcast, Channel, ChannelStatus, iso
from ..rules import channel_status
from ..store import Store
from .base import UPCOMING, Reason, Watch, Watches


class Board:
    def __init__(self, store: Store, bus: EventBus, watches: Watches,
                 capturing: Callable[[str], bool | None]) -> None:
        self._store = store
        self._bus = bus
        self._watches = watches
        self._capturing = capturing
        self._telling = threading.Lock()

    def state(self, channel: Channel) -> tuple[ChannelStatus, Reason | None]:
        """What the channel shows, and why: what keeps a live one from being recorded, what is
        wrong, or that it is announced."""
        watch = self._watches.find(channel.id) or Watch()
        refused = watch.refused
        status = channel_status(
            channel, live=watch.live is not None, capturing=self._capturing(channel.id),
            failed=watch.trouble is not None or refused is not None)
        match status:
            case ChannelStatus.LIVE:
                return status, watch.skip
            case ChannelStatus.ERROR:
                return status, watch.trouble or (refused.trouble if refused else None)
            case ChannelStatus.OFFLINE if watch.upcoming:
                return status, UPCOMING
        return status, None

    def live(self, channel_id: str) -> Broadcast | None:
        watch = self._watches.find(channel_id)
        return watch.live if watch is not None else None

    def announce(self, channel_id: str) -> None:
        """Tell of the channel's status if it is another than the last one told.

        Under one lock from the look to the event, so that the last one told is how it is.
        """
        with self._telling:
            try:
                channel = self._store.channels.get(channel_id)
            except ChannelNotFound:
                return
            watch = self._watches.get(channel_id)
            status, reason = self.state(channel)
            live = watch.live
            now = status, reason, live.title if live else None, live.category if live else None
            if watch.told == now:
                return
            watch.told = now
            self._bus.publish("channel_status", {
                **about_channel(channel), "status": status.value,
                "status_reason": str(reason) if reason else None,
                "title": live.title if live else None,
                "category": live.category if live else None,
                "live_since": iso(channel.live_since),
            })
