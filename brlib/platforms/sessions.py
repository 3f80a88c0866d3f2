"""streamlink sessions made for a daemon: shared plugins, no caches, no browser.

Used by the platforms. Measured on streamlink 8.6.3: a new session that loads plugins
itself re-executes their modules (+20 MiB); `resolve_url` pins 128 sessions by an
lru_cache; matching on a shared plugin set from two threads can raise.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from requests import ConnectTimeout, PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.auth import HTTPBasicAuth
from requests.sessions import SessionRedirectMixin
from requests.utils import get_auth_from_url
from streamlink.session.session import Streamlink
from streamlink.plugin import Plugin
from urllib3.exceptions import ProtocolError

from .deadline import left_s, until_s
from .heads import TimelyAdapter
from .repeated import Environment, Prepared

# For answers that are read whole: playlists, pages, an API's objects.
WHOLE_MAX_S = 15.0
WHOLE_MAX_BYTES = 16 * 1024 * 1024

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
    # streamlink lists separate audio only where it finds an FFmpeg, for which it starts a
    # process and leaves a thread behind. It is never let near one: any program will do.
    "ffmpeg-ffmpeg": sys.executable,
    "ffmpeg-no-validation": True,
}


REDIRECTS_MAX = 5


def _only_ours(request: PreparedRequest) -> PreparedRequest:
    """What an address itself says of user and password; without this requests would put what
    ~/.netrc says over our own headers."""
    user, password = get_auth_from_url(request.url or "")
    if (user or password) and "Authorization" not in request.headers:
        HTTPBasicAuth(user, password)(request)
    return request


def _not_of_netrc(request: PreparedRequest, answer: Response) -> None:
    """On a redirect requests would look into ~/.netrc once more. `trust_env` has to stay on:
    it is also what makes proxies work. What was for another host is left off."""
    redirects: Any = SessionRedirectMixin()
    if "Authorization" in request.headers and redirects.should_strip_auth(
            answer.request.url or "", request.url or ""):
        del request.headers["Authorization"]


class Bounded:
    """A response's raw side whose whole reading is bounded in time and in size.

    requests' timeouts are per `recv`: a playlist that trickles would hold its thread for
    ever, one that never ends would take all memory.
    """

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def stream(self, amount: int, decode_content: bool | None = None) -> Iterator[bytes]:
        """What `Response.content` reads. Raises ReadTimeoutError, ProtocolError."""
        deadline_s, size_bytes = min(until_s(), time.monotonic() + WHOLE_MAX_S), 0
        while chunk := self._raw.read1(amount, decode_content=decode_content):
            size_bytes += len(chunk)
            if time.monotonic() > deadline_s or size_bytes > WHOLE_MAX_BYTES:
                self._raw.close()
                raise ProtocolError(
                    f"no end after {size_bytes} bytes and {WHOLE_MAX_S:.0f} s at the most")
            yield chunk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def _sent(send: Callable[..., Response], *args: Any, **options: Any) -> Response:
    """A response with a raw side that ends, within the deadline of the thread. Raises
    ConnectTimeout when that has passed."""
    if (rest_s := left_s()) <= 0:
        raise ConnectTimeout("no time is left for another request")
    if rest_s < math.inf:
        options["timeout"] = min(OPTIONS["http-timeout"], rest_s)
    response = send(*args, **options)
    response.raw = Bounded(response.raw)
    return response


class BoundedAdapter(TimelyAdapter):
    """Gives responses that end, behind a head that came in time."""

    def send(self, *args: Any, **options: Any) -> Response:
        return _sent(super().send, *args, **options)


class _Around(BaseAdapter):
    """Gives the responses of a plugin's own adapter an end."""

    def __init__(self, inner: BaseAdapter) -> None:
        super().__init__()
        self._inner = inner

    def send(self, *args: Any, **options: Any) -> Response:
        return _sent(self._inner.send, *args, **options)

    def close(self) -> None:
        self._inner.close()


def _mount(mount: Callable[[str, BaseAdapter], None], prefix: str, adapter: BaseAdapter) -> None:
    """Some plugins mount adapters of their own, for a site that wants another handshake."""
    bounded = isinstance(adapter, BoundedAdapter) or not prefix.startswith("http")
    mount(prefix, adapter if bounded else _Around(adapter))


class Sessions:
    """Makes sessions and finds plugins; safe from every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plugins = Streamlink(plugins_builtin=True).plugins

    def new(self) -> Streamlink:
        session = Streamlink(dict(OPTIONS), plugins_builtin=False)
        session.plugins = self._plugins
        session.http.max_redirects = REDIRECTS_MAX
        session.http.auth = _only_ours
        setattr(session.http, "rebuild_auth", _not_of_netrc)
        setattr(session.http, "merge_environment_settings", Environment(session.http))
        setattr(session.http, "prepare_request", Prepared(session.http, _only_ours))
        for scheme in ("http://", "https://"):
            session.http.mount(scheme, BoundedAdapter())
        setattr(session.http, "mount", partial(_mount, session.http.mount))
        # streamlink's own: a stream has no business with files of this machine.
        session.http.adapters.pop("file://", None)
        return session

    def find_plugin(self, session: Streamlink, url: str) -> tuple[str, Plugin] | None:
        """The name and a new object of the plugin that knows `url`, or None."""
        with self._lock:
            match = self._plugins.match_url(url)
            if match is None:
                return None
            name, plugin_class = match
            return name, plugin_class(session, url)
