"""streamlink sessions made for a daemon: shared plugins, no caches, no browser.

Used by the platforms. Measured on streamlink 8.6.3: a new session that loads plugins
itself re-executes their modules (+20 MiB); `resolve_url` pins 128 sessions by an
lru_cache; matching on a shared plugin set from two threads can raise.
"""

from __future__ import annotations

import threading
from typing import Any

from streamlink.session.session import Streamlink
from streamlink.plugin import Plugin

OPTIONS: dict[str, Any] = {
    "no-plugin-cache": True,
    "webbrowser": False,
    "http-timeout": 8.0,
    "stream-timeout": 15.0,
    "stream-segment-threads": 4,
    "stream-segment-attempts": 3,
    "stream-segment-timeout": 6.0,
    # Our own watchdog decides when a stream is dead; streamlink must not.
    "stream-segmented-queue-deadline": 0,
    "hls-live-restart": True,
    "hls-playlist-reload-attempts": 1,
    "hls-segment-stream-data": False,
}


class Sessions:
    """Makes sessions and finds plugins; safe from every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plugins = Streamlink(plugins_builtin=True).plugins

    def new(self) -> Streamlink:
        session = Streamlink(dict(OPTIONS), plugins_builtin=False)
        session.plugins = self._plugins
        return session

    def find_plugin(self, session: Streamlink, url: str) -> tuple[str, Plugin] | None:
        """The name and a new object of the plugin that knows `url`, or None."""
        with self._lock:
            match = self._plugins.match_url(url)
            if match is None:
                return None
            name, plugin_class = match
            return name, plugin_class(session, url)
