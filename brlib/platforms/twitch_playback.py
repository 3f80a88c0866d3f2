"""The streams of one Twitch channel, resolved by streamlink's own plugin.

Used by the platform `twitch`. streamlink gives no streams for whatever a server answers that
is not a playlist; the answers are looked at here, so that only "not there" means offline.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from requests import HTTPError, RequestException, Response

from ..errors import PlatformError, Trouble
from ..quality import choose, rank
from .base import Opened
from .sessions import Sessions
from .twitch_api import GQL_URL, message_of, refusal

USHER = "usher.ttvnw.net"
GONE = (404, 410)
# An answer's JSON where it tells of a failure; playlists are not kept.
KEPT_BYTES = 64 * 1024

_GQL = urlsplit(GQL_URL).hostname
# What can stand in a header as it is; anything else would be named in the error.
_TOKEN = re.compile(r"[\w.~+/=-]{1,500}", re.ASCII)


class TokenRefused(Exception):
    """Twitch does not take the playback token, not even for public streams."""


@dataclass(frozen=True)
class _Seen:
    """An answer that streamlink got; `body` is the JSON of GQL and of refusals."""

    answer: Response
    body: Any

    @property
    def host(self) -> str | None:
        return urlsplit(self.answer.url).hostname

    @property
    def status(self) -> int:
        return self.answer.status_code


class Playback:
    """A channel's streamlink session and its one plugin object: each leaves an atexit entry
    behind, so they are kept. Raises PlatformError where streamlink lacks its plugin."""

    def __init__(self, sessions: Sessions, url: str, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._session = sessions.new()
        found = sessions.find_plugin(self._session, url)
        if found is None or found[0] != "twitch":
            raise PlatformError("This streamlink knows no Twitch: install it anew")
        self._plugin: Any = found[1]
        self._resolver: int | None = None
        self._seen: list[_Seen] = []
        self._session.http.hooks["response"].append(self._look_at)

    def close(self) -> None:
        self._session.http.close()

    def open(self, quality: str, token: str | None) -> Opened | None:
        """The stream that fits best, None for a healthy 'offline'. The token goes to Twitch's
        GQL only. Raises TokenRefused, PlatformError."""
        if token is not None and not _TOKEN.fullmatch(token):
            raise TokenRefused("it holds characters that no such token has")
        with self._lock:
            streams = self._resolve(token)
        name = _pick(list(streams), quality)
        return Opened(streams[name], _plain(name)) if name is not None else None

    def _resolve(self, token: str | None) -> dict[str, Any]:
        """The plugin's `api-header` option, set for one request only: the plugin object
        stays, and tokens change."""
        if token is not None:
            self._plugin.api.headers["Authorization"] = f"OAuth {token}"
        self._resolver = threading.get_ident()
        streams: dict[str, Any] = {}
        failure: Exception | None
        try:
            streams = dict(self._plugin.streams())
            failure = None if streams else _why_nothing(self._seen, token, self._now())
        except Exception as error:
            # Plugins are many people's work: what they let out is a failed request to us.
            failure = _why(error, self._seen, token, self._now())
        finally:
            self._resolver = None
            self._seen = []
            self._plugin.api.headers.pop("Authorization", None)
        if failure is not None:
            # Not chained: streamlink's words and frames hold signed addresses and the token.
            raise failure
        return streams

    def _look_at(self, answer: Response, *_: Any, **__: Any) -> None:
        """requests' hook. A capture may be fetching on this session in threads of its own."""
        if threading.get_ident() != self._resolver:
            return
        body = None
        if answer.status_code >= 400 or urlsplit(answer.url).hostname == _GQL:
            with suppress(ValueError, RecursionError):
                body = json.loads(answer.content[:KEPT_BYTES])
        self._seen.append(_Seen(answer, body))


def _why(
    error: Exception, seen: list[_Seen], token: str | None, moment: datetime
) -> Exception:
    """What streamlink's error means; without its words, which hold signed addresses."""
    for one in (error, *error.args):
        cause = getattr(one, "err", None)
        if isinstance(cause, RequestException) and not isinstance(cause, HTTPError):
            return PlatformError(f"Twitch cannot be reached ({type(cause).__name__}); "
                                 "it is tried again by itself")
    if not seen:
        return PlatformError(f"streamlink met something unforeseen ({type(error).__name__})")
    last = seen[-1]
    if last.status == 401 and last.host == _GQL and token is not None:
        return TokenRefused(message_of(last.body) or "HTTP 401")
    if last.status == 200 and not message_of(last.body):
        return PlatformError("streamlink does not understand what Twitch answers; a newer "
                             "version may be needed")
    return refusal(last.status, last.answer.headers, last.body, moment)


def _why_nothing(seen: list[_Seen], token: str | None, moment: datetime) -> PlatformError | None:
    """Why streamlink gives no stream and no error; None when the channel is offline."""
    asked = [index for index, one in enumerate(seen) if one.host == USHER]
    if not asked:
        return None  # no playback token for it: not live, or no such channel
    usher = seen[asked[-1]]
    if usher.status in GONE:
        return None
    if usher.status == 403 and message_of(usher.body):
        return _restricted(usher.body, token)
    if usher.status != 200:
        return refusal(usher.status, usher.answer.headers, usher.body, moment)
    # The list outlives the streams in it by some seconds.
    playlists = seen[asked[-1] + 1:]
    if playlists and all(one.status in GONE for one in playlists):
        return None
    return PlatformError("Twitch lists the stream but does not give it (yet); it is tried again "
                         "by itself")


def _restricted(body: Any, token: str | None) -> PlatformError:
    """Usher's 403: [{"error": "Content Restricted", "error_code": …}]."""
    said = message_of(body)
    code = body[0].get("error_code") if isinstance(body, list) else None
    if code != "unauthorized_entitlements":
        return PlatformError(f"Twitch does not give this stream to you ({said})",
                             Trouble.RESTRICTED)
    if token is None:
        advice = ("store the auth-token of an account that is subscribed as Twitch's playback "
                  "login")
    else:
        advice = "the account whose auth-token is stored is not subscribed"
    return PlatformError(f"The stream is for subscribers only ({said}): {advice}",
                         Trouble.RESTRICTED)


def _pick(names: list[str], wanted: str) -> str | None:
    """The stream to record. The upright variants that some channels also have are taken only
    where there is no other picture."""
    level = [name for name in names if not name.endswith("_portrait")]
    return choose(level if any(map(rank, level)) else names, wanted)


def _plain(name: str) -> str:
    """Twitch names 30 frames per second, we do not: `480p30` is `480p`."""
    return re.sub(r"^(\d+p)30$", r"\1", name)
