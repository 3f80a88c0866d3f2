"""OAuth's answers, which each platform spells a little differently: what they mean. Pure.

Used by the providers. Decided by the code of an error, never by its status alone; only
codes that are known here are ever repeated.
"""

from __future__ import annotations

from typing import Any

from ..errors import PlatformError
from .base import DeviceCode, Grant, Rejected, Wait, is_token
from .exchange import Answer

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
LIFETIME_MAX_S = 366 * 86400
CODE_LASTS_S = 1800
CODE_MAX_S = 3600
INTERVAL_S, INTERVAL_MAX_S = 5, 60
TEXT_MAX = 500
# Twitch writes sentences where others have codes.
PENDING = {"authorization_pending"}
SLOWER = {"slow_down", "rate_limit_exceeded"}
DENIED = {"access_denied"}
FINAL = {"invalid_grant", "invalid refresh token", "invalid device code", "expired_token"}
OF_THE_APP = {
    "invalid_client", "unauthorized_client", "deleted_client", "invalid client",
    "invalid client secret", "missing client secret", "missing client id", "invalid_scope",
    "org_internal", "admin_policy_enforced", "redirect_uri_mismatch",
}


def grant_of(label: str, answer: Answer) -> Grant:
    """The tokens of a 200. Raises PlatformError for anything else in it."""
    data = answer.data
    access_token, refresh_token = data.get("access_token"), data.get("refresh_token")
    if not (isinstance(access_token, str) and is_token(access_token)):
        raise PlatformError(f"{label} answers without a token: try again later")
    if not (isinstance(refresh_token, str) and is_token(refresh_token)):
        refresh_token = None
    return Grant(access_token, refresh_token, seconds(data.get("expires_in")),
                 scopes_of(data.get("scope")))


def new_tokens(label: str, answer: Answer, final_status: int | None = None) -> Grant:
    """What came of a refresh or of a code. Raises Rejected, PlatformError."""
    if answer.status == 200:
        return grant_of(label, answer)
    words = words_of(answer)
    if words & FINAL or (answer.status == final_status and not words & OF_THE_APP):
        raise Rejected(f"{label} does not take the login any more: log in again")
    raise of_the_app(label, answer)


def polled(label: str, answer: Answer) -> Grant | Wait:
    """What came of asking whether a device login is confirmed. Raises Rejected when it never
    will be, PlatformError."""
    if answer.status == 200:
        return grant_of(label, answer)
    words = words_of(answer)
    if words & PENDING:
        return Wait.PENDING
    if words & SLOWER:
        return Wait.SLOWER
    if words & DENIED:
        raise Rejected(f"{label}: the login was denied")
    if words & OF_THE_APP:
        raise Rejected(str(of_the_app(label, answer)))
    if 400 <= answer.status < 500:
        raise Rejected(f"{label}: the code was used or is over (HTTP {answer.status}): "
                       "begin again")
    raise unexpected(label, answer)


def device_code(label: str, answer: Answer) -> DeviceCode:
    """The start of a device login. Raises PlatformError."""
    if answer.status != 200:
        raise of_the_app(label, answer)
    data = answer.data
    code, user_code = data.get("device_code"), data.get("user_code")
    # Google writes url, everybody else uri.
    uri = data.get("verification_uri") or data.get("verification_url")
    if not (isinstance(code, str) and is_token(code) and _shown(user_code) and _shown(uri)
            and str(uri).startswith("https://")):
        raise PlatformError(f"{label} answers without a code: try again later")
    return DeviceCode(
        code, str(user_code), str(uri),
        min(CODE_MAX_S, seconds(data.get("expires_in")) or CODE_LASTS_S),
        min(INTERVAL_MAX_S, seconds(data.get("interval")) or INTERVAL_S))


def of_the_app(label: str, answer: Answer) -> PlatformError:
    known = sorted(words_of(answer) & OF_THE_APP)
    if known:
        return PlatformError(f"{label} does not take the app ({known[0]}): check its client id, "
                             "client secret and type in the configuration")
    return unexpected(label, answer)


def unexpected(label: str, answer: Answer) -> PlatformError:
    return PlatformError(f"{label} gives an answer that nobody expects "
                         f"({answer.host}, HTTP {answer.status}): try again later")


def words_of(answer: Answer) -> set[str]:
    """What an error calls itself, in lower case."""
    data = answer.data
    return {value.lower() for name in ("error", "error_code", "message")
            if isinstance(value := data.get(name), str)}


def seconds(value: Any) -> int | None:
    """A positive number of seconds, also written as text (Kick does); None: it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return min(LIFETIME_MAX_S, int(value)) if int(value) > 0 else None
    except (ValueError, OverflowError):
        return None


def scopes_of(value: Any) -> tuple[str, ...]:
    """A list with Twitch, text with others, nothing where none was asked for."""
    given = value.split() if isinstance(value, str) else value
    if not isinstance(given, list):
        return ()
    return tuple(one for one in given if isinstance(one, str) and is_token(one))[:50]


def name_of(value: Any) -> str | None:
    """A name that can be shown."""
    return value if _shown(value) else None


def _shown(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= TEXT_MAX and value.isprintable()
