"""What a person may enter as a credential: checked, and made into what is kept. Pure.

Used by `credentials`. A problem names its field; all problems come at once; none repeats
what was entered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ..errors import Invalid, Problem
from ..models import new_id
from ..store.credentials import API, PLAYBACK, Credential
from .base import TOKEN_MAX, is_token

API_FIELDS = ("access_token", "refresh_token", "expires_at", "username")
PLAYBACK_FIELDS = {"twitch": "auth_token", "kick": "session_token"}
USERNAME_MAX = 100
ADDRESS_MAX = 8192


def entered(platform: str, values: Mapping[str, Any], now: datetime) -> list[Credential]:
    """The credentials that were entered; null counts as absent. Raises Invalid."""
    playback = PLAYBACK_FIELDS.get(platform)
    known = (*API_FIELDS, *([playback] if playback else []))
    given = {name: value for name, value in values.items() if value is not None}
    problems = [Problem(name, "is not known here; known are " + ", ".join(known))
                for name in given if name not in known]
    checked: dict[str, Any] = {}
    for name in known:
        if name in given:
            try:
                checked[name] = _CHECKS[name](given[name])
            except ValueError as error:
                problems.append(Problem(name, str(error)))
    problems += _together(given, checked, playback, now)
    if problems:
        raise Invalid(problems)
    return _made(platform, checked, playback, now)


def _together(
    given: Mapping[str, Any], checked: Mapping[str, Any], playback: str | None, now: datetime
) -> list[Problem]:
    if not given:
        return [Problem("access_token", "is required" if playback is None
                        else f"is required, or {playback}")]
    if any(name in given for name in API_FIELDS) and "access_token" not in given:
        return [Problem("access_token", "is required")]
    ends = checked.get("expires_at")
    if ends is not None and ends <= now and "refresh_token" not in given:
        return [Problem("expires_at", "is over already")]
    return []


def _made(
    platform: str, values: Mapping[str, Any], playback: str | None, now: datetime
) -> list[Credential]:
    made = []
    if "access_token" in values:
        made.append(Credential(
            new_id("crd"), platform, API, values["access_token"], now,
            refresh_token=values.get("refresh_token"), expires_at=values.get("expires_at"),
            username=values.get("username")))
    if playback is not None and playback in values:
        made.append(Credential(new_id("crd"), platform, PLAYBACK, values[playback], now))
    return made


def returned(
    code: str | None, state: str | None, redirect_url: str | None
) -> tuple[str | None, str]:
    """Code and state of a login that came back, as they are or out of the address that the
    browser ended at. No code: the person said no. Raises Invalid."""
    if redirect_url is not None:
        if len(redirect_url) > ADDRESS_MAX:
            raise Invalid([Problem("redirect_url", "is too long to be one")])
        try:
            query = parse_qs(urlsplit(redirect_url.strip()).query)
        except ValueError:
            query = {}
        state = query.get("state", [None])[0]
        code = query.get("code", [None])[0]
        if state is None or (code is None and "error" not in query):
            raise Invalid([Problem(
                "redirect_url", "holds no code and state: copy the whole address")])
    else:
        missing = [Problem(name, "is required")
                   for name, value in (("code", code), ("state", state)) if not value]
        if missing:
            raise Invalid(missing)
    wrong = [name for name, value in (("code", code), ("state", state))
             if value is not None and not is_token(value)]
    if wrong:
        raise Invalid([Problem(name, "holds spaces, signs that do not belong or too much")
                       for name in wrong])
    return code, state or ""


def _token(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be text")
    if len(value) > TOKEN_MAX:
        raise ValueError(f"has more than {TOKEN_MAX} characters")
    if not is_token(value):
        raise ValueError("holds spaces, line breaks or signs that no token has")
    return value


def _session_token(value: Any) -> str:
    """The cookie's value is encoded (123%7Cabc), the header takes it plain."""
    return _token(unquote(_token(value)))


def _username(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > USERNAME_MAX:
        raise ValueError(f"must have 1 to {USERNAME_MAX} characters")
    if not value.isprintable():
        raise ValueError("must not hold invisible characters")
    return value.strip()


def _moment(value: Any) -> datetime:
    """Aware or taken for UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime):
        raise ValueError("must be a time like 2026-02-02T14:30:00Z")
    try:
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ValueError("is no time that exists") from None


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "access_token": _token, "refresh_token": _token, "expires_at": _moment,
    "username": _username, "auth_token": _token, "session_token": _session_token,
}
