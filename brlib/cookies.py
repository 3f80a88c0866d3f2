"""Cookie files as browsers' add-ons export them: read, repaired, and judged for YouTube. Pure.

Used by `brlib.credentials`. streamlink refuses a whole file for one bad line and drops
cookies without an expiry, yt-dlp reads a file with spaces as an empty one: what is kept is
written so that both take all of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from .errors import Invalid, Problem

FIELD = "cookie_content"
TEXT_MAX_BYTES = 512 * 1024
HEADER = "# Netscape HTTP Cookie File"
HTTP_ONLY = "#HttpOnly_"
SITES = ("youtube.com", "google.com")
# yt-dlp's own test of a login: the first, and one of the others.
LOGIN = "LOGIN_INFO"
ACCOUNT = ("SAPISID", "__Secure-1PAPISID", "__Secure-3PAPISID")
# What a browser would drop when it is closed; streamlink drops it at once.
SESSION_LASTS = timedelta(days=365)
_LAST_S = 253402300799  # the end of the year 9999
_DOMAIN = re.compile(r"\.?[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")
_EXPIRY = re.compile(r"(-?[0-9]{1,20})(?:\.[0-9]{0,20})?")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x3a\x3c-\x7e]*")
_FLAGS = ("TRUE", "FALSE")
HOW = ("Export it again: log in to YouTube in a private window, open youtube.com/robots.txt in "
       "the same tab, export the cookies in Netscape format and close the window")


@dataclass(frozen=True)
class Cookie:
    """`domain` begins with a dot where subdomains are meant; `session` had no expiry."""

    domain: str
    path: str
    secure: bool
    expires_s: int
    name: str
    value: str = field(repr=False)
    http_only: bool = False
    session: bool = False

    @property
    def line(self) -> str:
        # http.cookiejar refuses a file in which the flag and the dot do not agree.
        flag = "TRUE" if self.domain.startswith(".") else "FALSE"
        return "\t".join((
            (HTTP_ONLY if self.http_only else "") + self.domain, flag, self.path,
            "TRUE" if self.secure else "FALSE", str(self.expires_s), self.name, self.value))


@dataclass(frozen=True)
class CookieFile:
    """`left_out` counts lines: unreadable ones, other sites' and expired cookies."""

    cookies: tuple[Cookie, ...]
    left_out: int

    @property
    def text(self) -> str:
        """The file as both tools take it."""
        return "\n".join((HEADER, "", *(cookie.line for cookie in self.cookies), ""))

    @property
    def login(self) -> tuple[str, ...]:
        """The names of the cookies that make up a login to YouTube, as far as they are there."""
        there = {cookie.name for cookie in self.cookies if _of_youtube(cookie)}
        return tuple(name for name in (LOGIN, *ACCOUNT) if name in there)

    @property
    def expires_at(self) -> datetime | None:
        """When the first of the login's cookies expires; None: none of them says."""
        ends = [cookie.expires_s for cookie in self.cookies
                if _of_youtube(cookie) and cookie.name in self.login and not cookie.session]
        return datetime.fromtimestamp(min(ends), UTC) if ends else None


def youtube_cookies(data: str | bytes, now: datetime) -> CookieFile:
    """What is kept of an uploaded file. Raises Invalid with what is wrong and what to do."""
    text = _decoded(data)
    found, bad = read(text, now)
    if not found:
        raise _refused(_why_nothing(text))
    ours = [cookie for cookie in found if _of_sites(cookie)]
    if not ours:
        raise _refused("it holds no cookies of youtube.com. " + HOW)
    alive = [cookie for cookie in ours if cookie.expires_s > now.timestamp()]
    kept = CookieFile(tuple(alive), bad + len(found) - len(alive))
    missing = _missing(kept.login)
    if missing:
        expired = not _missing(CookieFile(tuple(ours), 0).login)
        raise _refused(
            f"the login in it has expired. {HOW}" if expired
            else f"it holds no login to YouTube ({missing} is missing). {HOW}")
    return kept


def read(text: str, now: datetime) -> tuple[list[Cookie], int]:
    """The cookies of a file, the last of each name, and how many lines could not be read."""
    found: dict[tuple[str, str, str], Cookie] = {}
    bad = 0
    for line in re.split(r"\r\n|\r|\n", text):
        stripped = line.strip()
        data = stripped.removeprefix(HTTP_ONLY)
        if not stripped or data.startswith(("#", "$")):
            continue
        cookie = _cookie(line, data is not stripped, now)
        if cookie is None:
            bad += 1
        else:
            found[(cookie.domain, cookie.path, cookie.name)] = cookie
    return list(found.values()), bad


def cookie_header(cookies: Sequence[Cookie], host: str) -> str:
    """The `Cookie` header for the root of one host over https, of its own cookies only."""
    return "; ".join(
        f"{cookie.name}={cookie.value}" for cookie in cookies
        if cookie.path == "/" and (
            host == cookie.domain.lstrip(".")
            or cookie.domain.startswith(".") and host.endswith(cookie.domain)))


def _cookie(line: str, http_only: bool, now: datetime) -> Cookie | None:
    fields = [part.strip() for part in line.split("\t")]
    if len(fields) != 7:
        # Copied from a window, the tabs have become spaces.
        fields = line.split()
    if len(fields) != 7:
        return None
    domain, flag, path, secure, expiry, name, value = fields
    domain = domain.removeprefix(HTTP_ONLY).lower()
    when = _EXPIRY.fullmatch(expiry or "0")
    if not (when and _DOMAIN.fullmatch(domain) and path.startswith("/")
            and {flag.upper(), secure.upper()} <= set(_FLAGS)
            and _NAME.fullmatch(name) and _VALUE.fullmatch(path + value)):
        return None
    expires_s = min(int(when[1]), _LAST_S)
    session = expires_s <= 0
    if session:
        expires_s = int((now + SESSION_LASTS).timestamp())
    if flag.upper() == "TRUE" and not domain.startswith("."):
        domain = "." + domain
    return Cookie(domain, path, secure.upper() == "TRUE", expires_s, name, value, http_only,
                  session)


def _decoded(data: str | bytes) -> str:
    if len(data) > TEXT_MAX_BYTES:
        raise _refused(f"it has more than {TEXT_MAX_BYTES // 1024} KiB; export youtube.com alone")
    if isinstance(data, bytes):
        try:
            data = data.decode("utf-8")
        except UnicodeDecodeError:
            raise _refused("it is not UTF-8 text. " + HOW) from None
    return data.removeprefix("\ufeff")


def _why_nothing(text: str) -> str:
    if not text.strip():
        return "it is empty"
    if _is_json(text):
        return ("it is JSON, which neither streamlink nor yt-dlp reads: choose the format "
                "Netscape (cookies.txt) in the add-on")
    if text.lstrip().startswith("<"):
        return "it is a web page, not a cookies file. " + HOW
    if "\t" not in text and re.search(r"[\w-]=\S", text):
        return "it is a Cookie header, not a cookies file: it says no domains. " + HOW
    return "no line of it is a cookie in Netscape format (seven fields, tabs between). " + HOW


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), (dict, list))
    except (ValueError, RecursionError):
        return text.lstrip().startswith(("[", "{"))


def _missing(login: Sequence[str]) -> str | None:
    if LOGIN not in login:
        return LOGIN
    return None if len(login) > 1 else ACCOUNT[0]


def _of_sites(cookie: Cookie) -> bool:
    return any(("." + cookie.domain.lstrip(".")).endswith("." + site) for site in SITES)


def _of_youtube(cookie: Cookie) -> bool:
    return cookie.domain.lstrip(".") in ("youtube.com", "www.youtube.com")


def _refused(reason: str) -> Invalid:
    return Invalid([Problem(FIELD, reason)], f"The cookies file is refused: {reason}")
