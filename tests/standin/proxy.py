"""The stand-in for processes of their own: an HTTP proxy that is every host it is asked for.

It answers CONNECT, then ends the TLS itself with the certificate in `ca/`. Used by tests that
start a daemon or a tool with `environment()`.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.standin.base import Request, StandIn
from tests.standin.web import LOOPBACK, Exchange, Link, Web

CA = Path(__file__).parent / "ca"
AUTHORITY = CA / "ca.pem"


class _Once(Exchange):
    lasting = False


class _Exchange(Exchange):
    """With the client as its proxy: requests by whole address, and tunnels."""

    def __init__(
        self, standin: StandIn, link: Link, tls: ssl.SSLContext, inner: type[Exchange]
    ) -> None:
        self._tls, self._inner, self.lasting = tls, inner, inner.lasting
        super().__init__(standin, link)

    def do_CONNECT(self) -> None:
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        line = self._tls.wrap_socket(
            self.connection, server_side=True, do_handshake_on_connect=False)
        self.link.sock = line
        if self.link.gone.is_set():
            return
        name = self.path.rpartition(":")[0]
        try:
            line.do_handshake()
        except ssl.SSLError as error:
            if not isinstance(error, ssl.SSLEOFError):
                # Our certificate was refused: it is not for this name, or not trusted.
                self.standin.surprise(Request.of(self.command, f"https://{name}", {}))
            raise
        self._inner(self.standin, self.link, f"https://{name}")


class Proxy:
    """A `StandIn` on a port; use it as a context manager. Without `lasting` connections no
    thread is left of a request that was answered."""

    def __init__(self, standin: StandIn, lasting: bool = True) -> None:
        self._standin = standin
        self._inner = Exchange if lasting else _Once
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(CA / "server.pem", CA / "server.key")
        self._tls.set_alpn_protocols(["http/1.1"])
        self._web: Web | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._web = Web(self._serve)
        self.port = self._web.port
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Raises RuntimeError when a thread outlives the deadline."""
        if self._web is not None:
            self._web.close()
            self._web = None

    def _serve(self, link: Link) -> None:
        _Exchange(self._standin, link, self._tls, self._inner)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def environment(self) -> dict[str, str]:
        """With this a process meets the stand-in wherever it goes, but for this machine.

        Both spellings: where they differ, the lower one holds.
        """
        routes = {"HTTPS_PROXY": self.url, "HTTP_PROXY": self.url,
                  "NO_PROXY": f"{LOOPBACK},localhost"}
        return {**routes, **{name.lower(): value for name, value in routes.items()},
                "REQUESTS_CA_BUNDLE": str(AUTHORITY), "SSL_CERT_FILE": str(AUTHORITY)}
