"""One image from a platform's servers: bounded in size, in time and in where it leads.

Used by `images`. A session each: the addresses are few, their servers many.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

from requests import PreparedRequest, RequestException, Response, Session
from urllib3.exceptions import HTTPError as Urllib3Error

from ..errors import PlatformError
from ..platforms.heads import TimelyAdapter

CHUNK_BYTES = 64 * 1024
CONNECT_MAX_S = 5.0
SILENCE_MAX_S = 5.0
REDIRECTS_MAX = 5
HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) BattlesRecord",
    # Servers that choose by this would send AVIF, which FFmpeg 5.1 does not take.
    "Accept": "image/webp,image/png,image/jpeg,image/gif;q=0.9,*/*;q=0.1",
    # Nothing that could unpack to more than what is counted.
    "Accept-Encoding": "identity",
}


def download(url: str, size_max_bytes: int, until_s: float, stopping: threading.Event) -> bytes:
    """What an address gives. `until_s` is on the monotonic clock. Raises PlatformError,
    whose words hold the host alone: paths and queries may hold tokens."""
    host = ""
    try:
        with Session() as session:
            session.auth = _nobodys
            for scheme in ("http://", "https://"):
                session.mount(scheme, TimelyAdapter())
            for _ in range(REDIRECTS_MAX + 1):
                host = _host(url)
                with _ask(session, url, until_s) as answer:
                    target = session.get_redirect_target(answer)
                    if target is None:
                        return _body(answer, host, size_max_bytes, until_s, stopping)
                url = urljoin(url, target)
    # ValueError: an address or a redirect that is none.
    except (RequestException, Urllib3Error, OSError, ValueError) as error:
        raise PlatformError(
            f"The image cannot be had from {host or 'its address'} "
            f"({type(error).__name__})") from error
    raise PlatformError(f"{host} redirects without end")


def _nobodys(request: PreparedRequest) -> PreparedRequest:
    """Without this requests would log in with what ~/.netrc holds for the host."""
    return request


def _host(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise PlatformError("The image's address is not an http:// or https:// one")
    return parts.hostname


def _ask(session: Session, url: str, until_s: float) -> Response:
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("the deadline has passed")
    return session.get(
        url, headers=HEADERS, stream=True, allow_redirects=False,
        timeout=(min(CONNECT_MAX_S, left_s), min(SILENCE_MAX_S, left_s)))


def _body(
    answer: Response, host: str, size_max_bytes: int, until_s: float, stopping: threading.Event,
) -> bytes:
    if answer.status_code != 200:
        raise PlatformError(f"{host} answers HTTP {answer.status_code} instead of an image")
    chunks, size_bytes = [], 0
    for chunk in _chunks(answer):
        chunks.append(chunk)
        size_bytes += len(chunk)
        if size_bytes > size_max_bytes:
            raise PlatformError(f"{host} gives an image of more than {size_max_bytes} bytes")
        if stopping.is_set() or time.monotonic() > until_s:
            raise TimeoutError("the deadline has passed")
    return b"".join(chunks)


def _chunks(answer: Response) -> Iterator[bytes]:
    # read1 returns what one recv brought: read() waits for all of a chunk that trickles.
    while chunk := answer.raw.read1(CHUNK_BYTES, decode_content=False):
        yield chunk
