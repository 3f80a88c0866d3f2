"""An HTTP adapter whose answers begin in time: a head that trickles ends at a deadline. All of
them share what they trust.

Used for servers that anyone may have named. Timeouts are per `recv`, and http.client takes
up to 100 lines of 64 KiB: byte by byte that is a thread for days. Bodies have limits of
their own where they are read. Behind a proxy the proxy answers, and nothing is limited.
"""

from __future__ import annotations

import http.client
import io
import math
import time
from collections.abc import Mapping
from typing import Any

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from .trust import trusting

HEAD_MAX_S = 10.0


class _Line(io.RawIOBase):
    """A socket's reading side that gives nothing more after `until_s`."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self.until_s = time.monotonic() + HEAD_MAX_S

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self.until_s:
            raise TimeoutError("the answer's head has no end")
        return self._raw.readinto(buffer)

    def close(self) -> None:
        super().close()
        self._raw.close()


class _Answer(http.client.HTTPResponse):
    def begin(self) -> None:
        line = _Line(self.fp.detach())
        self.fp = io.BufferedReader(line)
        super().begin()
        line.until_s = math.inf

    def take(self, room: memoryview) -> int:
        """What one `recv` brings of the body, straight to where it belongs; 0 at its end."""
        if self.fp is None or not self.length:
            return 0
        taken = self.fp.readinto1(room[:self.length])
        self.length -= taken
        if not self.length or not taken:
            self.close()
        return taken


class _Connection(HTTPConnection):
    response_class = _Answer


class _SecureConnection(HTTPSConnection):
    response_class = _Answer


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def plain_answer(raw: Any) -> _Answer | None:
    """The answer behind a response's raw side, where it is one of ours and its body is of a
    known length and as it was sent: whoever reads that needs no copies. Afterwards the
    connection is still the raw side's to give back."""
    answer = getattr(raw, "_original_response", None)
    if not isinstance(answer, _Answer) or raw.headers.get("Content-Encoding"):
        return None
    return answer if answer.length else None


class TimelyAdapter(HTTPAdapter):
    """Raises ReadTimeout for an answer that does not begin within HEAD_MAX_S."""

    # The host that was asked last, and its pool.
    _last: tuple[Any, Any] | None = None

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def get_connection_with_tls_context(
        self, request: PreparedRequest, verify: bool | str | None,
        proxies: Mapping[str, str] | None = None, cert: Any = None,
    ) -> Any:
        """As of HTTPAdapter, which makes up a pool's key of the address each time. What one
        says behind its host does not choose the pool."""
        if proxies:
            return super().get_connection_with_tls_context(request, verify, proxies, cert)
        asked = (*(request.url or "").split("/", 3)[:3], verify, cert)
        if self._last is None or self._last[0] != asked:
            found = super().get_connection_with_tls_context(request, verify, proxies, cert)
            self._last = asked, found
            return found
        return self._last[1]

    def request_url(self, request: PreparedRequest, proxies: Mapping[str, str] | None) -> str:
        return super().request_url(request, proxies) if proxies else request.path_url

    def close(self) -> None:
        self._last = None
        super().close()

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: bool | str, cert: Any = None
    ) -> Any:
        """As of HTTPAdapter, with the context that is shared where there is one."""
        found: Any = super().build_connection_pool_key_attributes(request, verify, cert)
        host, options = found
        if host["scheme"] == "https" and not cert and (context := trusting(verify)):
            options.pop("ca_certs", None)
            options["ssl_context"] = context
        return found

    def cert_verify(self, conn: Any, url: str, verify: bool | str, cert: Any) -> None:
        """What the shared context has read is not read again for each connection."""
        if getattr(conn, "conn_kw", {}).get("ssl_context") is None:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
