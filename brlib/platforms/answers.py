"""What a platform's servers answer: values from their objects, or a PlatformError that helps.

Used by the platforms that speak to an API or read a site's pages themselves. Words that come
out of here hold no address but its host: paths and queries carry tokens.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from requests import Response
from streamlink.session.session import Streamlink

from ..errors import PlatformError, Trouble
from ..models import utc_now

# Longer than any platform means; a wrong header must not silence one for good.
RETRY_MAX_S = 86_400.0


def ask(session: Streamlink, method: str, url: str, **options: Any) -> Response:
    """The answer to one request, whatever its status. Raises PlatformError where there is
    none: the name, the line, or an answer that has no end."""
    try:
        answer: Response = session.http.request(
            method, url, exception=PlatformError, raise_for_status=False, **options)
    except PlatformError as error:
        reason = type(getattr(error, "err", None) or error).__name__
        raise PlatformError(
            f"{urlsplit(url).hostname} cannot be reached ({reason}); it is tried again"
        ) from error
    return answer


def refused(answer: Response, what: str) -> PlatformError:
    """The error for an answer whose status is not 2xx. `what` is who answered: "Kick"."""
    status = answer.status_code
    wait_s = retry_after_s(answer.headers.get("Retry-After"))
    if status == 429:
        return PlatformError(
            f"{what} allows no more requests for now; checks go on later",
            Trouble.RATE_LIMITED, wait_s)
    if status == 403:
        return PlatformError(
            f"{what} blocks requests from this address (HTTP 403); that often passes by itself, "
            "and rarely happens from a home connection", Trouble.BLOCKED, wait_s)
    if status == 401:
        return PlatformError(f"{what} does not take the login (HTTP 401)", Trouble.LOGIN_EXPIRED)
    if status == 404:
        return PlatformError(f"{what} knows no such channel", Trouble.NOT_FOUND)
    return PlatformError(f"{what} answers HTTP {status}; it is tried again", retry_after_s=wait_s)


def object_of(answer: Response, what: str) -> dict[str, Any]:
    """The JSON object of a good answer. Raises PlatformError for any other."""
    if not answer.ok:
        raise refused(answer, what)
    try:
        value = answer.json()
    except (ValueError, RecursionError) as error:
        raise PlatformError(f"{what} answers something that is no JSON") from error
    if not isinstance(value, dict):
        raise PlatformError(f"{what} answers something that is no object")
    return value


def retry_after_s(header: str | None, most_s: float = RETRY_MAX_S) -> float | None:
    """Seconds that a `Retry-After` asks for, which is a number or a date (RFC 9110), and no more
    than `most_s`. None where it is missing or neither."""
    if header is None:
        return None
    text = header.strip()
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", text):
        return min(float(text), most_s)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=timezone.utc)
    return min(max(0.0, (at - utc_now()).total_seconds()), most_s)


def answer_behind(error: BaseException) -> Response | None:
    """The HTTP answer that made streamlink raise; None where it was something else."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            break
        answer = getattr(seen, "response", None)
        if isinstance(answer, Response):
            return answer
        seen = getattr(seen, "err", None) or seen.__cause__
    return None


def dig(data: Any, *path: str | int) -> Any:
    """What stands at a path of keys and positions (-1 is the last), or None."""
    for step in path:
        if isinstance(step, str) and isinstance(data, dict):
            data = data.get(step)
        elif isinstance(step, int) and isinstance(data, list) and data:
            data = data[step] if -len(data) <= step < len(data) else None
        else:
            return None
    return data


def text_at(data: Any, *path: str | int) -> str | None:
    """The text there; None for none, an empty one, or something else."""
    value = dig(data, *path)
    return value.strip() or None if isinstance(value, str) else None


def whole_at(data: Any, *path: str | int) -> int | None:
    """The number there, of 0 or more; platforms also write them as text."""
    value = dig(data, *path)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
        value = int(value)
    return value if type(value) is int and 0 <= value < 2 ** 63 else None


def moment_at(data: Any, *path: str | int) -> datetime | None:
    """The time there, aware: ISO 8601, without a zone (Kick's `2026-01-02 03:04:05`) UTC.

    None also for the zero date of Go, with which Kick says "not live".
    """
    value = text_at(data, *path)
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
        at = at.replace(tzinfo=timezone.utc) if at.tzinfo is None else at.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None
    return at if at.year > 1970 else None


def address_at(data: Any, *path: str | int) -> str | None:
    """The http or https address there; one without a scheme (`//host/…`) is https."""
    value = text_at(data, *path)
    if value is not None and value.startswith("//"):
        value = f"https:{value}"
    try:
        parts = urlsplit(value or "")
    except ValueError:
        return None
    return value if parts.scheme in ("http", "https") and parts.hostname else None
