"""Platform `kick`: who is live on Kick, and their streams.

With an app it asks Kick's API, a hundred channels at a time; kick.com itself, which is behind
a bot check, only when a recording starts. Without one kick.com is asked channel by channel.
Owns one streamlink session and plugin object per channel that was opened.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from ssl import OP_NO_TICKET, SSLContext
from typing import Any
from urllib.parse import unquote, urlsplit

from requests import PreparedRequest, Response
from requests.auth import AuthBase
from streamlink.plugin import Plugin
from streamlink.plugin.api import useragents
from streamlink.session.http import SSLContextAdapter
from streamlink.session.session import Streamlink
from streamlink.stream.hls.hls import HLSStream

from ..errors import Invalid, PlatformError, Problem, Trouble, hosts_only
from ..models import Broadcast, Channel, iso
from ..quality import choose
from .answers import (
    address_at, answer_behind, ask, moment_at, object_of, refused, text_at, whole_at,
)
from .base import Address, Checked, Logins, Offline, Opened, Profile
from .kept import Kept
from .kick_api import IDS_MAX, KickApi
from .sessions import BoundedAdapter, Sessions
from .streams import opened

SITE_URL = "https://kick.com"
CHANNELS_URL = f"{SITE_URL}/api/v2/channels"
HOSTS = ("kick.com", "www.kick.com", "m.kick.com", "player.kick.com")
# The first part of addresses on kick.com that are no channels.
PAGES = frozenset((
    "api", "auth", "browse", "categories", "category", "clips", "community-guidelines",
    "dashboard", "following", "login", "privacy-policy", "search", "settings", "signup",
    "terms-of-service", "video", "videos"))
# What concerns every channel, not the one that was asked for.
SHARED = (Trouble.BLOCKED, Trouble.RATE_LIMITED, Trouble.LOGIN_EXPIRED)
# What the API and the site may differ in about one broadcast's start.
SAME_START = timedelta(minutes=2)
_SLUG = re.compile(r"[a-z0-9_-]{1,25}")
# Longer than "https://kick.com/", where the plugin mounts an adapter without limits.
_API_PREFIX = f"{SITE_URL}/api/"
_HEADERS = {
    "Accept": "application/json", "Accept-Language": "en-US", "User-Agent": useragents.CHROME,
    "sec-fetch-dest": "empty", "sec-fetch-mode": "cors", "sec-fetch-site": "same-origin"}


class _Bearer(AuthBase):
    """The session token, for kick.com and no other host that the session speaks to. Without
    one it is there all the same: else requests would look into ~/.netrc."""

    def __init__(self, token: str | None) -> None:
        # It is a cookie's value, percent-encoded.
        self._value = f"Bearer {unquote(token)}" if token else None

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        if self._value is not None and request.url and request.url.startswith(f"{SITE_URL}/"):
            request.headers["Authorization"] = self._value
        return request


class _SiteAdapter(BoundedAdapter, SSLContextAdapter):
    """With session tickets in the handshake, as the plugin's own (and a browser) has them."""

    def get_ssl_context(self) -> SSLContext:
        context: SSLContext = super().get_ssl_context()
        context.options &= ~OP_NO_TICKET
        return context


@dataclass
class _Playback:
    session: Streamlink
    plugin: Plugin
    lock: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        self.session.http.close()


class Kick:
    """`ids` is what `KickNames` keeps."""

    name = "kick"

    def __init__(
        self, sessions: Sessions, logins: Logins, ids: MutableMapping[str, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._logins = logins
        self._ids: MutableMapping[str, int] = {} if ids is None else ids
        self._api = KickApi(sessions, logins, self._ids, clock)
        self._site = self._new_session()
        self._kept = Kept(self._new_playback)

    @property
    def batch_size(self) -> int:
        return IDS_MAX if self._api.usable else 1

    def address(self, name: str) -> Address:
        """`Name`, `@name`, or any address of the channel on kick.com. Raises Invalid."""
        slug = _slug_of(name.strip()).lower()
        if not _SLUG.fullmatch(slug):
            raise Invalid([Problem(
                "name", "is no Kick channel: 1 to 25 letters, digits, - and _, or its address")])
        if slug in PAGES:
            raise Invalid([Problem("name", f"is a page of kick.com ({slug}), not a channel")])
        return Address(slug, slug, f"{SITE_URL}/{slug}")

    def check(self, channel: Channel) -> Broadcast | None:
        checked = self.check_many([channel])[channel.id]
        if isinstance(checked, PlatformError):
            raise checked
        return checked if isinstance(checked, Broadcast) else None

    def check_many(
        self, channels: Sequence[Channel], fresh: bool = False
    ) -> Mapping[str, Checked]:
        """By channel id. Raises PlatformError for what concerns all of them."""
        if self._api.usable:
            found = self._api.live(list(dict.fromkeys(one.name for one in channels)), fresh)
            return {one.id: _identified(found[one.name], one) for one in channels}
        return {one.id: _identified(self._on_the_site(one.name), one) for one in channels}

    def open(self, channel: Channel) -> Opened | None:
        kept = self._kept.get(channel)
        with kept.lock:
            token = self._logins.playback("kick")
            try:
                streams = self._streams(kept, channel.name, token)
            except PlatformError as error:
                if token is None or error.trouble is not Trouble.LOGIN_EXPIRED:
                    raise
                self._logins.refused("kick", "playback", "kick.com does not take session_token")
                streams = self._streams(kept, channel.name, None)
        if streams is None:
            return None
        name = choose(streams, channel.quality)
        if name is None:
            raise PlatformError("Kick's playlist lists no streams (yet)")
        return opened(name, streams[name])

    def profile(self, channel: Channel) -> Profile:
        if self._api.usable:
            return self._api.profile(channel.name)
        shown = object_of(_get(self._site, f"{CHANNELS_URL}/{channel.name}", channel.name), "Kick")
        if text_at(shown, "slug") is None:
            raise PlatformError("Kick answers in a way that we do not know")
        return Profile(text_at(shown, "user", "username"),
                       address_at(shown, "user", "profile_pic"),
                       address_at(shown, "banner_image", "url"))

    def forget(self, channel_id: str) -> None:
        self._kept.drop(channel_id)

    def close(self) -> None:
        self._kept.close()
        self._site.http.close()
        self._api.close()

    def _new_session(self) -> Streamlink:
        session = self._sessions.new()
        if _API_PREFIX not in session.http.adapters:
            session.http.mount(_API_PREFIX, _SiteAdapter())
        return session

    def _new_playback(self, channel: Channel) -> _Playback:
        session = self._new_session()
        # The plugin knows this form only: no slash behind it, no query.
        found = self._sessions.find_plugin(session, f"{SITE_URL}/{channel.name}")
        if found is None:
            raise PlatformError(f"streamlink does not know kick.com/{channel.name}")
        return _Playback(session, found[1])

    def _on_the_site(self, slug: str) -> Checked:
        """Raises PlatformError for what concerns every channel."""
        try:
            data = _livestream(self._site, slug)
        except PlatformError as error:
            if error.trouble in SHARED:
                raise
            return error
        return Offline() if data is None else _broadcast(data)

    def _streams(self, kept: _Playback, slug: str, token: str | None) -> dict[str, Any] | None:
        """Streams by name; None when the channel is offline. Raises PlatformError."""
        kept.session.http.auth = _Bearer(token)
        kept.plugin.id = None
        try:
            streams = dict(kept.plugin.streams())
        except Exception as error:
            # Plugins are many people's work: what they let out is a failed request to us.
            _raise_for_status(error)
            return _without_plugin(kept.session, slug)
        return streams if streams or kept.plugin.id else None


def _slug_of(name: str) -> str:
    """What of a typed name or address names the channel; "" for an address elsewhere."""
    if "/" not in name:
        return name.removeprefix("@")
    try:
        parts = urlsplit(name if "://" in name else f"https://{name}")
        host = parts.hostname
    except ValueError:  # brackets that hold no IPv6 address
        return ""
    if parts.scheme not in ("http", "https") or host not in HOSTS:
        return ""
    return unquote(parts.path).strip("/").split("/")[0]


def _get(session: Streamlink, url: str, slug: str) -> Response:
    # Not followed: another host's "not found" is not Kick's.
    return ask(session, "GET", url, headers={**_HEADERS, "Referer": f"{SITE_URL}/{slug}"},
               allow_redirects=False)


def _livestream(session: Streamlink, slug: str) -> dict[str, Any] | None:
    """What kick.com says of a channel's stream; None: it is offline. Raises PlatformError."""
    answer = object_of(_get(session, f"{CHANNELS_URL}/{slug}/livestream", slug), "Kick")
    if "data" not in answer:
        said = text_at(answer, "message") or "in a way that we do not know"
        raise PlatformError(f"Kick answers: {hosts_only(said)[:200]}")
    data = answer["data"]
    if data is not None and (not isinstance(data, dict) or whole_at(data, "id") is None):
        raise PlatformError("Kick answers in a way that we do not know")
    return data


def _broadcast(data: Mapping[str, Any]) -> Broadcast:
    viewers = whole_at(data, "viewers")
    return Broadcast(
        title=text_at(data, "session_title"),
        category=text_at(data, "category", "name") or text_at(data, "categories", 0, "name"),
        viewers=whole_at(data, "viewer_count") if viewers is None else viewers,
        started_at=moment_at(data, "created_at") or moment_at(data, "start_time"),
        thumbnail_url=address_at(data, "thumbnail", "src") or address_at(data, "thumbnail", "url"))


def _identified(found: Checked, channel: Channel) -> Checked:
    """A broadcast's id is its start: the API and the site have ids of their own for it, and an
    app may come or go while it runs. Without a start it has none, and the one that is known
    lasts until it is over."""
    if not isinstance(found, Broadcast):
        return found
    start = found.started_at
    known = moment_at(channel.broadcast_id) or channel.live_since
    if start is not None and known is not None and abs(start - known) <= SAME_START:
        return replace(found, id=channel.broadcast_id or iso(start))
    return replace(found, id=iso(start))


def _without_plugin(session: Streamlink, slug: str) -> dict[str, Any] | None:
    """The streams at the playback address: the plugin refuses a stream that has no category
    or title, or an id that is text. None when the channel is offline."""
    data = _livestream(session, slug)
    if data is None:
        return None
    url = address_at(data, "playback_url")
    if url is None:
        raise PlatformError(
            "Kick gives no address to play this stream: it may be for subscribers; store the "
            "session_token of an account that may watch it", Trouble.RESTRICTED)
    try:
        return dict(HLSStream.parse_variant_playlist(session, url))
    except Exception as error:
        _raise_for_status(error)
        raise PlatformError(f"Kick's playlist cannot be read: {hosts_only(str(error))}") from error


def _raise_for_status(error: Exception) -> None:
    """Raise PlatformError where an HTTP answer made streamlink fail."""
    answer = answer_behind(error)
    if answer is None:
        return
    host = urlsplit(answer.url).hostname
    if host == urlsplit(SITE_URL).hostname:
        raise refused(answer, "Kick") from error
    raise PlatformError(f"{host} gives no playlist (HTTP {answer.status_code})") from error
