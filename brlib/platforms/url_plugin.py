"""A page of a site that one of streamlink's plugins knows.

Made by `url`, one for a channel. Plugins take a refused request for "nothing is on", and list
finished videos as streams; here both are told apart.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from requests import HTTPError, RequestException, Response
from streamlink.plugin import Plugin
from streamlink.session.session import Streamlink

from ..errors import PlatformError, hosts_only
from ..models import Broadcast
from ..quality import choose
from .answers import answer_behind
from .bare import GONE, refusal
from .base import Opened
from .liveness import find_live, is_file
from .streams import opened

SAID_MAX = 300


class PluginPage:
    """`url` is what the plugin knows."""

    def __init__(self, session: Streamlink, plugin: Plugin, url: str) -> None:
        self._session = session
        self._plugin = plugin
        self._url = url
        # Why the last request that failed did, since the plugin was asked.
        self._failure: PlatformError | None = None
        # Who asks. A capture may be fetching on this session in threads of its own.
        self._asker: int | None = None
        self._request = session.http.request
        setattr(session.http, "request", self._send)
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
        """requests' hook."""
        refused = answer.status_code >= 400 and answer.status_code not in GONE
        if refused and threading.get_ident() == self._asker:
            self._failure = refusal(
                answer.status_code, answer.headers.get("Retry-After"), self._url)

    def _send(self, *args: Any, **options: Any) -> Any:
        """A request of the session's: plugins keep to themselves that one had no answer."""
        try:
            return self._request(*args, **options)
        except Exception as error:
            cause = getattr(error, "err", None)
            silent = isinstance(cause, RequestException) and not isinstance(cause, HTTPError)
            if silent and threading.get_ident() == self._asker:
                self._failure = PlatformError(
                    f"The site cannot be reached ({type(cause).__name__}); it is tried again")
            raise

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
        self._failure, self._asker = None, threading.get_ident()
        try:
            streams = dict(plugin.streams())
        except Exception as error:
            # Plugins are many people's work: what they let out is a failed request to us.
            answer = answer_behind(error)
            if answer is not None and not answer.ok:
                raise refusal(answer.status_code, answer.headers.get("Retry-After"),
                              answer.url) from error
            # Where it does not understand a page, it repeats the page.
            said = " ".join(str(error).split())
            raise PlatformError(f"streamlink: {hosts_only(said)[:SAID_MAX]}") from error
        finally:
            self._asker = None
        failure, self._failure = self._failure, None
        if not streams and failure is not None:
            raise failure
        return streams
