"""What the stand-in was asked and what it answers: host names, scripted faults, the log.

No sockets here: `adapter` and `proxy` bring the requests. The answers of a platform come from
a `Host`; media from an Origin, to whose port a name can be forwarded.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, unquote_plus, urlsplit

from requests.structures import CaseInsensitiveDict

KEPT_REQUESTS = 10_000
SECRET_LENGTH_MIN = 6


@dataclass(frozen=True)
class Request:
    """One request. `headers` is case-insensitive; of a repeated parameter `query` has the
    last value and `values` all; `target` is path and query as they came; `secure`: by TLS."""

    method: str
    host: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    target: str = ""
    secure: bool = True

    @classmethod
    def of(
        cls, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Request:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return cls(method, parts.hostname or "", unquote(parts.path) or "/", query,
                   CaseInsensitiveDict(headers), body, target, parts.scheme == "https")

    def values(self, name: str) -> list[str]:
        """All values of a parameter, in order: `?slug=a&slug=b`."""
        if not self.target:
            return [self.query[name]] if name in self.query else []
        pairs = parse_qsl(urlsplit(self.target).query, keep_blank_values=True)
        return [value for key, value in pairs if key == name]

    def json(self) -> Any:
        """The body, decoded. Raises ValueError."""
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        """The fields of an `application/x-www-form-urlencoded` body."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True)
class Reply:
    """An answer. A header value with line breaks is sent as several lines (Set-Cookie)."""

    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> Reply:
        """`Reply.json({...}, 429, Retry_After="7")`."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(status, json.dumps(value).encode(), headers=named)


@dataclass(frozen=True)
class Cut:
    """The connection breaks: without an answer, or in the middle of this one's body."""

    reply: Reply | None = None


@dataclass(frozen=True)
class Hang:
    """Silence, then the end of the connection. Inside this process nobody waits for it."""

    for_s: float


@dataclass(frozen=True)
class Forward:
    """What 127.0.0.1:`port` answers to the same path."""

    port: int


Host = Callable[[Request], Reply | None]
Answer = Reply | Cut | Hang | Forward


@dataclass
class Fault:
    """What is answered instead, to requests that fit: `host` as in `StandIn.add`, the
    beginning of the path, `when`; `times` counts down, None is for ever."""

    host: str
    answer: Answer
    path: str = ""
    times: int | None = None
    when: Callable[[Request], bool] | None = None

    def fits(self, request: Request) -> bool:
        return (self.times != 0 and matches(self.host, request.host)
                and request.path.startswith(self.path)
                and (self.when is None or self.when(request)))


def matches(pattern: str, host: str) -> bool:
    """`kick.com` is that name only, `*.kick.com` every name below it, `*` every name."""
    if pattern == "*":
        return True
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return host == pattern


class StandIn:
    """All the hosts that tests meet; safe from every thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._hosts: list[tuple[str, Host | Forward]] = []
        self._faults: list[Fault] = []
        self._requests: deque[Request] = deque(maxlen=KEPT_REQUESTS)
        self._unexpected: deque[Request] = deque(maxlen=KEPT_REQUESTS)

    def add(self, host: Host, *names: str) -> None:
        """Let `host` answer for these names; the most exact name is asked first, and where
        an answer is None the next. Names are exact, or `*.kick.com` for all below."""
        self._know(host, names)

    def forward(self, port: int, *names: str) -> None:
        """Let 127.0.0.1:`port` answer for these names, by plain HTTP."""
        self._know(Forward(port), names)

    def _know(self, host: Host | Forward, names: tuple[str, ...]) -> None:
        with self._lock:
            self._hosts += [(name, host) for name in names]
            self._hosts.sort(key=lambda known: (known[0].startswith("*"), -len(known[0])))

    def fail(
        self, host: str, answer: Answer, path: str = "", *, times: int | None = None,
        when: Callable[[Request], bool] | None = None,
    ) -> Fault:
        """Answer so instead; the fault that was added last comes first."""
        fault = Fault(host, answer, path, times, when)
        with self._lock:
            self._faults.insert(0, fault)
        return fault

    def heal(self, fault: Fault | None = None) -> None:
        """End a fault, or all of them."""
        with self._lock:
            self._faults = [one for one in self._faults if fault is not None and one is not fault]

    def answer(self, request: Request) -> Answer:
        """Record a request and decide; 404 where nobody has an answer."""
        with self._lock:
            self._requests.append(request)
            hosts = [host for name, host in self._hosts if matches(name, request.host)]
            fault = next((one for one in self._faults if one.fits(request)), None)
            if fault is not None:
                fault.times = None if fault.times is None else fault.times - 1
                return fault.answer
        for host in hosts:
            found = host if isinstance(host, Forward) else host(request)
            if found is not None:
                return found
        self.surprise(request)
        return Reply.json({"error": f"nobody answers {request.host}{request.path}"}, 404)

    def surprise(self, request: Request) -> None:
        """Record a request that nobody was prepared for."""
        with self._lock:
            self._unexpected.append(request)

    @property
    def requests(self) -> list[Request]:
        """The last ones, oldest first, answered by a fault or not."""
        with self._lock:
            return list(self._requests)

    @property
    def unexpected(self) -> list[Request]:
        """Those that nobody answered, and names for which there is no certificate."""
        with self._lock:
            return list(self._unexpected)

    def asked(self, host: str, path: str = "") -> list[Request]:
        """The requests to a host (as in `add`) whose path begins so."""
        return [one for one in self.requests
                if matches(host, one.host) and one.path.startswith(path)]

    def clear(self) -> None:
        """Forget what was asked."""
        with self._lock:
            self._requests.clear()
            self._unexpected.clear()

    def sent_to(self, text: str) -> list[str]:
        """The hosts that were sent a secret, by name: in the address, a header or the body,
        plain, percent-encoded, as JSON, or in base64 at any place.

        Raises ValueError for a text so short that it could be there by chance.
        """
        if len(text) < SECRET_LENGTH_MIN:
            raise ValueError(f"{text!r} is too short to be looked for")
        forms = set(_forms(text))
        return sorted({one.host for one in self.requests
                       if any(form in place for place in _places(one) for form in forms)})


def _places(request: Request) -> Iterator[str]:
    body = request.body.decode("latin-1")
    values = [request.path, *request.query, *request.query.values()]
    yield from (request.target, unquote_plus(request.target), body, unquote_plus(body), *values)
    for name, value in request.headers.items():
        yield from (name, value, unquote(value))


def _forms(text: str) -> Iterator[str]:
    raw = text.encode()
    # Headers and bodies are compared as latin-1: bytes as they are.
    yield from (text, raw.decode("latin-1"), json.dumps(text)[1:-1])
    for encoded in (quote(text, safe=""), quote(text), quote_plus(text)):
        yield from (encoded, re.sub("%..", lambda found: found[0].lower(), encoded))
    for before in range(3):
        # Characters at either end also hold bits of what stands beside it ("user:" + text).
        start = (before * 8 + 5) // 6
        stop = (before + len(raw)) * 8 // 6
        coded = base64.b64encode(bytes(before) + raw)[start:stop].decode()
        yield from (coded, coded.replace("+", "-").replace("/", "_"))
