"""A page of a site that one of streamlink's plugins knows.

Made by `url`, one for a channel. Plugins take a refused request for "nothing is on", and list
finished videos as streams; here both are told apart.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from requests import Response
from streamlink.plugin import Plugin
from streamlink.session.session import Streamlink

from ..errors import PlatformError
from ..models import Broadcast
from ..quality import choose
from .answers import answer_behind
from .bare import GONE, refusal
from .base import Opened
from .liveness import find_live, is_file
from .streams import opened


class PluginPage:
    """`url` is what the plugin knows."""

    def __init__(self, session: Streamlink, plugin: Plugin, url: str) -> None:
        self._session = session
        self._plugin = plugin
        self._url = url
        # Answers since the plugin was last asked that were refusals: status, Retry-After.
        self._refused: list[tuple[int, str | None]] = []
        session.http.hooks["response"].append(self._note)

    def check(self, quality: str) -> Broadcast | None:
        """Raises PlatformError."""
        stream = self._find(quality)[1]
        live = None if stream is None else find_live(self._session, stream)
        return None if live is None else replace(
            live, id=self._plugin.get_id(), title=self._plugin.get_title(),
            category=self._plugin.get_category())

    def open(self, quality: str) -> Opened | None:
        """A playlist that has come to its end is opened, too: what of it is missing is taken.
        Raises PlatformError."""
        name, stream = self._find(quality)
        if stream is None or is_file(self._session, stream):
            return None
        return opened(name, stream)

    def _note(self, answer: Response, *_: Any, **__: Any) -> None:
        if answer.status_code >= 400 and answer.status_code not in GONE:
            self._refused.append((answer.status_code, answer.headers.get("Retry-After")))

    def _find(self, quality: str) -> tuple[str, Any]:
        """The stream that would be recorded, by its name; None when nothing is on."""
        streams = self._streams()
        name = choose(streams, quality)
        return (name or "", None if name is None else streams[name])

    def _streams(self) -> dict[str, Any]:
        plugin = self._plugin
        # A plugin remembers: another address that it was led to, the last broadcast's title.
        plugin.url = self._url
        plugin.id = plugin.author = plugin.category = plugin.title = None
        self._refused.clear()
        try:
            streams = dict(plugin.streams())
        except Exception as error:
            # Plugins are many people's work: what they let out is a failed request to us.
            answer = answer_behind(error)
            if answer is not None and not answer.ok:
                raise refusal(answer.status_code, answer.headers.get("Retry-After"),
                              answer.url) from error
            raise PlatformError(f"streamlink: {error}") from error
        if not streams and self._refused:
            raise refusal(*self._refused[-1], self._url)
        return streams
