"""The image with which a web page shows itself elsewhere (Open Graph's `og:image`).

Used by the platform `url`.
"""

from __future__ import annotations

import time
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from requests import Response
from streamlink.session.session import Streamlink
from urllib3.exceptions import HTTPError as Urllib3Error

from ..errors import PlatformError
from .deadline import until_s
from .sessions import WHOLE_MAX_S

CHUNK_BYTES = 64 * 1024
# It stands in the page's head; what comes behind so much is not looked at.
PAGE_MAX_BYTES = 512 * 1024
_NAMES = ("og:image", "og:image:url", "og:image:secure_url")


def page_image(session: Streamlink, url: str) -> str | None:
    """The address of a page's image; None where it names none or is no page at all.

    Raises PlatformError, whose words hold no path: it may hold tokens.
    """
    try:
        answer = session.http.get(
            url, exception=PlatformError, raise_for_status=False, stream=True)
    except PlatformError as error:
        reason = type(getattr(error, "err", None) or error).__name__
        raise PlatformError(f"The page cannot be reached ({reason})") from error
    with answer:
        if not answer.ok:
            raise PlatformError(f"The page answers HTTP {answer.status_code}")
        if "html" not in answer.headers.get("Content-Type", "text/html").lower():
            return None
        try:
            html = _read(answer)
        except (OSError, Urllib3Error) as error:
            raise PlatformError(f"The page broke off ({type(error).__name__})") from error
    return image_of(html.decode("utf-8", "replace"), answer.url)


def _read(answer: Response) -> bytes:
    """The beginning of the page. Raises OSError, urllib3's errors."""
    data, deadline_s = b"", min(until_s(), time.monotonic() + WHOLE_MAX_S)
    while len(data) < PAGE_MAX_BYTES and (
            chunk := answer.raw.read1(CHUNK_BYTES, decode_content=True)):
        data += chunk
        if time.monotonic() > deadline_s:
            raise TimeoutError("the line trickles")
    return data[:PAGE_MAX_BYTES]


def image_of(html: str, base_url: str) -> str | None:
    """The http or https address in a page's first `og:image`, made absolute, or None."""
    metas = _Metas()
    # At once and never closed: fed in pieces or asked for what is left open, the parser
    # looks at a hostile page's end again and again.
    metas.feed(html)
    for content in metas.images:
        try:
            url = urljoin(base_url, content.strip())
            parts = urlsplit(url)
        except ValueError:  # brackets that hold no IPv6 address
            continue
        if parts.scheme in ("http", "https") and parts.hostname:
            return url
    return None


class _Metas(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.images: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("property") or given.get("name") or ""
        content = given.get("content")
        if tag == "meta" and name.lower() in _NAMES and content:
            self.images.append(content)
