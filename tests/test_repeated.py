"""Requests like the one before: what goes out is what requests itself would send."""

from __future__ import annotations

import random
from typing import Any

import pytest
from requests import PreparedRequest, Request, Session
from requests.exceptions import InvalidURL
from streamlink.session.session import Streamlink

from brlib.platforms.heads import TimelyAdapter
from brlib.platforms.repeated import Prepared
from brlib.platforms.sessions import Sessions

PLAIN = "http://a.example/live/1.ts"
PIECES = ["/", "//", ".", "..", "/.", "a", "B-_~", "%20", "%2F", "%2f", "%41", "%5F", "%5B", "%7C",
          "%7E", "%", "%zz", ";p=1", "?", "?a=b", "&c", "#f", "é", " ", "[", "|", "@", ":", "*"]
HOSTS = ["a.example", "A.example", "a.example:80", "a.example:080", "a.example:65535",
         "a.example:65536", "a.example:0", "[::1]", "127.0.0.1:8080", "u:p@a.example",
         "u@a.example",
         "bücher.example", "*.example", "a_b.example", "", "a..example", "-.example"]


@pytest.fixture
def session() -> Streamlink:
    return Sessions().new()


def jar(made: PreparedRequest) -> Any:
    """Kept for redirects, where requests has no other name for it."""
    return getattr(made, "_cookies")


def shown(made: PreparedRequest) -> tuple[Any, ...]:
    return (made.method, made.url, list(made.headers.items()), made.body, made.hooks,
            [(one.name, one.value, one.domain) for one in jar(made)])


def told(ask: Any, request: Request) -> Any:
    try:
        return shown(ask(request))
    except (InvalidURL, ValueError) as error:
        return type(error)


def both(session: Streamlink, prepared: Any, request: Request) -> tuple[Any, Any]:
    return told(prepared, request), told(
        lambda one: Session.prepare_request(session.http, one), request)


@pytest.mark.parametrize("seed", range(4))
def test_any_address_is_sent_as_requests_would(session: Streamlink, seed: int) -> None:
    rng, prepared = random.Random(seed), session.http.prepare_request
    assert isinstance(prepared, Prepared)
    prepared(Request("GET", PLAIN))
    for _ in range(1500):
        url = "".join([rng.choice(["http://", "https://", "HTTP://", "ftp://"]),
                       rng.choice(HOSTS), *rng.choices(PIECES, k=rng.randrange(6))])
        ours, theirs = both(session, prepared, Request("GET", url))
        assert ours == theirs, url


@pytest.mark.parametrize("url", [
    PLAIN, "http://127.0.0.1:45678/live.m3u8",
    "https://video-edge-1.fra.example/v1/segment/CpcFk-_9w==.ts?dna=Cl_x%3D&p=1~2",
    "https://rr1.example/videoplayback/id/x.1/sparams/ip%2Cid%2Citag/sq/17/file/seg.ts",
])
def test_the_addresses_of_segments_are_not_taken_apart(
    session: Streamlink, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    prepared = session.http.prepare_request
    prepared(Request("GET", PLAIN))
    wanted = told(lambda one: Session.prepare_request(session.http, one), Request("GET", url))
    monkeypatch.setattr(prepared, "_ask", None)
    assert told(prepared, Request("GET", url)) == wanted


@pytest.mark.parametrize("options", [
    {}, {"headers": {"Range": "bytes=0-9"}}, {"headers": {"User-Agent": None}},
    {"headers": {"accept": "x"}}, {"params": {"a": "b"}}, {"params": {}}, {"data": {"a": "b"}},
    {"json": {"a": 1}}, {"cookies": {"a": "b"}}, {"auth": ("u", "p")}, {"data": []},
], ids=repr)
def test_whatever_is_asked_with_it(session: Streamlink, options: dict[str, Any]) -> None:
    prepared = session.http.prepare_request
    for method in ("GET", "GET", "POST", "HEAD"):
        ours, theirs = both(session, prepared, Request(method, PLAIN, **options))
        assert ours == theirs
    ours, theirs = both(session, prepared, Request("GET", PLAIN))
    assert ours == theirs


def test_what_a_session_learns_between_two_requests(session: Streamlink) -> None:
    prepared = session.http.prepare_request
    for change in (
        lambda: session.http.headers.update({"Referer": "https://a.example/"}),
        lambda: session.http.cookies.set("a", "b", domain="a.example"),
        lambda: session.http.cookies.clear(),
        lambda: session.http.headers.pop("Referer"),
        lambda: session.http.params.update({"token": "t"}),
        lambda: session.http.params.clear(),
    ):
        change()
        for _ in range(2):
            ours, theirs = both(session, prepared, Request("GET", PLAIN))
            assert ours == theirs


def test_one_request_is_not_another(session: Streamlink) -> None:
    """What a redirect or a plugin does to one is its own."""
    prepared = session.http.prepare_request
    first = prepared(Request("GET", PLAIN))
    for _ in range(2):
        one = prepared(Request("GET", PLAIN))
        one.headers["Authorization"] = "secret"
        one.hooks["response"].append(print)
        jar(one).set("a", "b", domain="a.example")
    last = prepared(Request("GET", PLAIN))
    assert shown(last) == shown(first)
    assert "Authorization" not in last.headers


def asked(url: str) -> PreparedRequest:
    return Request("GET", url).prepare()


def test_every_host_has_its_own_connections() -> None:
    adapter = TimelyAdapter()
    urls = ["http://a.example/1", "http://a.example/2", "https://a.example/1",
            "http://a.example:81/1", "http://b.example/1", "http://a.example/3"]
    pools = [adapter.get_connection_with_tls_context(asked(url), True) for url in urls]
    assert [(p.scheme, p.host, p.port) for p in pools] == [
        ("http", "a.example", 80), ("http", "a.example", 80), ("https", "a.example", 443),
        ("http", "a.example", 81), ("http", "b.example", 80), ("http", "a.example", 80)]
    assert pools[0] is pools[1] is pools[5]
    adapter.close()
    assert adapter.get_connection_with_tls_context(asked(urls[0]), True) is not pools[0]


def test_an_authority_not_to_be_trusted_any_more_has_another_pool() -> None:
    adapter, one = TimelyAdapter(), asked("https://a.example/1")
    pools = [adapter.get_connection_with_tls_context(one, verify) for verify in (True, False, True)]
    assert pools[0] is not pools[1] and pools[0] is pools[2]


def test_a_proxy_gets_the_whole_address() -> None:
    adapter, proxies = TimelyAdapter(), {"http": "http://127.0.0.1:3128"}
    one = asked("http://a.example/x?y=1")
    assert adapter.request_url(one, proxies) == "http://a.example/x?y=1"
    assert adapter.request_url(one, {}) == "/x?y=1"
    direct = adapter.get_connection_with_tls_context(one, True)
    through = adapter.get_connection_with_tls_context(one, True, proxies)
    assert through.proxy is not None and direct.proxy is None
    assert adapter.get_connection_with_tls_context(one, True) is direct
