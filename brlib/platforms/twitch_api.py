"""What Twitch is asked and what its answers mean: addresses, queries, the shapes of JSON.

Pure; used by the other modules of the platform `twitch`. Every shape is checked: an answer
that is not understood, or only in part, is a failure and never "offline".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from ..errors import Invalid, PlatformError, Problem, Trouble
from ..models import Broadcast
from .answers import address_at, dig, moment_at, retry_after_s, text_at, whole_at
from .base import Address, Checked, Offline, Profile

SITE = "https://www.twitch.tv/"
GQL_URL = "https://gql.twitch.tv/gql"
HELIX_URL = "https://api.twitch.tv/helix"
TOKEN_URL = "https://id.twitch.tv/oauth2/token"
# The public id of Twitch's own web site, which streamlink and yt-dlp send, too.
WEB_CLIENT_ID = "kimne78kx3ncx6brgo4mv6wki5h1ko"
# Both Helix and GQL take so many logins in one request.
BATCH_SIZE = 100
# What a platform may ask us to wait; longer is a broken clock.
RETRY_MAX_S = 3600.0
TEXT_MAX = 500
REASON_MAX = 120

# Our own query text: the hashes of stored queries are rotated.
LIVE_QUERY = (
    "query($logins:[String!]){users(logins:$logins){login displayName "
    "broadcastSettings{title} stream{id title type viewersCount createdAt "
    "previewImageURL(width:1280,height:720) game{name displayName}}}}")
PROFILE_QUERY = (
    "query($logins:[String!]){users(logins:$logins){login displayName "
    "profileImageURL(width:300) bannerImageURL}}")

_HOSTS = ("twitch.tv", "www.twitch.tv", "m.twitch.tv")
_TABS = ("", "about", "clips", "home", "schedule", "videos")
# First parts of addresses that are pages of the site.
_PAGES = ("directory", "downloads", "drops", "moderator", "p", "popout", "search", "settings",
          "subscriptions", "team", "videos", "wallet")
# New names have at least 4 characters, old ones 3.
_LOGIN = re.compile(r"[a-z0-9][a-z0-9_]{2,24}")


def address(name: str) -> Address:
    """The login in what a person typed, lower-case. Raises Invalid."""
    login = (_login_of_url(name.strip()) or name.strip().removeprefix("@")).lower()
    if not _LOGIN.fullmatch(login):
        raise Invalid([Problem("name", (
            "must be a Twitch name (3 to 25 letters, digits and underscores) or the address "
            "of a channel, such as https://www.twitch.tv/name"))])
    return Address(login, login, SITE + login)


def _login_of_url(text: str) -> str | None:
    """None for what is no address. Raises Invalid for one that is no channel's."""
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        host = parts.hostname or ""
    except ValueError as error:
        raise Invalid([Problem("name", f"is not an address: {error}")]) from error
    if "://" not in text and "/" not in text and host not in _HOSTS:
        return None
    login, _, rest = parts.path.strip("/").partition("/")
    if (host not in _HOSTS or parts.scheme.lower() not in ("http", "https")
            or login.lower() in _PAGES or rest.lower() not in _TABS or not login):
        raise Invalid([Problem("name", "is not the address of a Twitch channel")])
    return login.removeprefix("@")


def refusal(
    status: int, headers: Mapping[str, str], body: Any, moment: datetime
) -> PlatformError:
    """What an answer means that gave nothing; `moment` is now."""
    said = message_of(body)
    why = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    retry_s = _wait_s(status, headers, moment)
    if status == 429:
        return PlatformError(f"Twitch wants to be asked less often ({why}); it is asked again "
                             "later by itself", Trouble.RATE_LIMITED, retry_s)
    if said and "integrity" in said.lower():
        return PlatformError(
            f"Twitch takes us for a bot ({said}); it is asked again later by itself",
            Trouble.BLOCKED, retry_s)
    if status == 403:
        return PlatformError(f"Twitch refuses to answer this address ({why}); a proxy or VPN "
                             "may be the reason", Trouble.BLOCKED, retry_s)
    if status >= 500 or status == 200:
        return PlatformError(f"Twitch has trouble ({why}); it is asked again by itself",
                             Trouble.ERROR, retry_s)
    return PlatformError(f"Twitch did not take our request ({why}); a newer version of this "
                         "program may be needed", Trouble.ERROR, retry_s)


def message_of(body: Any) -> str:
    """What Twitch says is wrong, shortened; "" where it says nothing.

    Helix and id.twitch.tv: {"message"}; GQL {"errors": [{"message"}]}; usher [{"error"}].
    """
    first = body.get("errors", body) if isinstance(body, dict) else body
    first = first[0] if isinstance(first, list) and first else first
    said = _text(first, "message") or _text(first, "error") or ""
    # An address might hold tokens.
    return "" if "://" in said else said[:REASON_MAX]


def _wait_s(status: int, headers: Mapping[str, str], moment: datetime) -> float | None:
    """Retry-After; of a 429 also Ratelimit-Reset, a Unix time."""
    wait_s = retry_after_s(headers.get("Retry-After"))
    reset = headers.get("Ratelimit-Reset", "").strip()
    if wait_s is None and status == 429 and re.fullmatch(r"\d{1,12}", reset):
        wait_s = float(reset) - moment.timestamp()
    return None if wait_s is None else min(max(wait_s, 0.0), RETRY_MAX_S)


def not_found(login: str) -> PlatformError:
    return PlatformError(
        f"Twitch knows no channel {login}: it was renamed, closed or banned, or is misspelt",
        Trouble.NOT_FOUND)


@dataclass(frozen=True)
class GqlUser:
    """A user in an answer, None where Twitch knows none; `failed` names the fields of which
    Twitch says that it could not give them ("" is the user as a whole)."""

    data: Mapping[str, Any] | None
    failed: frozenset[str] = frozenset()


def gql_users(body: Any, logins: Sequence[str]) -> list[GqlUser]:
    """The users in an answer, in the order in which they were asked for (the answer is
    positional). Raises PlatformError for what is no whole answer."""
    if not isinstance(body, dict):
        raise _not_understood()
    failed: dict[int, set[str]] = {}
    errors = body.get("errors")
    for error in errors if isinstance(errors, list) else ():
        path = error.get("path") if isinstance(error, dict) else None
        # Not one field but the whole: there is no answer.
        if not (isinstance(path, list) and len(path) > 1 and isinstance(path[1], int)):
            raise refusal(200, {}, body, datetime.now(UTC))
        failed.setdefault(path[1], set()).add(str(path[2]) if len(path) > 2 else "")
    users = dig(body, "data", "users")
    if not isinstance(users, list) or len(users) != len(logins):
        raise _not_understood()
    found = []
    for index, (user, login) in enumerate(zip(users, logins)):
        if user is not None and (not isinstance(user, dict) or user.get("login") != login):
            # Somebody else, perhaps by another name: that says nothing of the others.
            found.append(GqlUser(None, frozenset(("",))))
        else:
            found.append(GqlUser(user, frozenset(failed.get(index, ()))))
    return found


def gql_checked(login: str, user: GqlUser) -> Checked:
    """Whether a user of LIVE_QUERY is live; a PlatformError is an answer, too."""
    if user.data is None:
        return _in_part() if user.failed else not_found(login)
    stream = user.data.get("stream", "")
    if stream is None and not user.failed & {"", "stream"}:
        return Offline()
    if not isinstance(stream, dict):
        return _in_part()
    if _is_rerun(stream):
        return Offline()
    return Broadcast(
        _text(stream, "id"),
        _text(stream, "title") or _text(user.data, "broadcastSettings", "title"),
        _text(stream, "game", "displayName") or _text(stream, "game", "name"),
        whole_at(stream, "viewersCount"), moment_at(stream, "createdAt"),
        display_name=_text(user.data, "displayName"),
        thumbnail_url=address_at(stream, "previewImageURL"))


def gql_profile(login: str, user: GqlUser) -> Profile:
    """A user of PROFILE_QUERY. Raises PlatformError, also for one told of in part."""
    if user.data is None and not user.failed:
        raise not_found(login)
    if user.data is None or user.failed or "profileImageURL" not in user.data:
        raise _in_part()
    return Profile(_text(user.data, "displayName"), address_at(user.data, "profileImageURL"),
                   address_at(user.data, "bannerImageURL"))


def helix_streams(body: Any) -> dict[str, Broadcast | Offline]:
    """The streams by login; who is absent is offline or unknown. Raises PlatformError."""
    streams: dict[str, Broadcast | Offline] = {}
    for item in _helix_data(body):
        login = item["user_login"].lower()
        streams[login] = Offline() if _is_rerun(item) else _helix_broadcast(item)
    return streams


def _helix_broadcast(item: Mapping[str, Any]) -> Broadcast:
    picture = address_at(item, "thumbnail_url")
    return Broadcast(
        _text(item, "id"), _text(item, "title"), _text(item, "game_name"),
        whole_at(item, "viewer_count"), moment_at(item, "started_at"),
        display_name=_text(item, "user_name"),
        thumbnail_url=picture and picture.replace("{width}x{height}", "1280x720"))


def helix_logins(body: Any) -> set[str]:
    """Which of the users asked for exist. Raises PlatformError."""
    return {item["login"].lower() for item in _helix_data(body, "login")}


def _helix_data(body: Any, key: str = "user_login") -> list[dict[str, Any]]:
    data = dig(body, "data")
    if not isinstance(data, list) or not all(
            isinstance(item, dict) and isinstance(item.get(key), str) for item in data):
        raise _not_understood()
    return data


def _is_rerun(stream: Mapping[str, Any]) -> bool:
    """A rerun was live before. "" (an error inside Twitch) and kinds we do not know count as
    live: only what is surely not live may end a recording."""
    kind = stream.get("type")
    return isinstance(kind, str) and "rerun" in kind.lower()


def _not_understood() -> PlatformError:
    return PlatformError("Twitch's answer is not understood; a newer version of this program "
                         "may be needed")


def _in_part() -> PlatformError:
    return PlatformError("Twitch answered in part only; it is asked again by itself")


def _text(data: Any, *path: str) -> str | None:
    """A text in one line that any file and terminal can take, None where there is none."""
    # JSON can hold halves of characters, which no encoding takes.
    found = (text_at(data, *path) or "").encode("utf-8", "replace").decode()
    line = "".join(c for c in " ".join(found.split()) if ord(c) >= 32 and not 127 <= ord(c) < 160)
    return line[:TEXT_MAX].strip() or None
