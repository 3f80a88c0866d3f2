"""The platforms' sessions: nothing of ~/.netrc, also not on redirects, and one deadline for all
the requests of a piece of work."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from requests import ConnectTimeout, Response
from requests.adapters import HTTPAdapter
from streamlink.exceptions import PluginError
from streamlink.session.session import Streamlink
from urllib3 import HTTPResponse

from brlib.errors import PlatformError
from brlib.platforms.bare import look
from brlib.platforms.deadline import left_s, until_s, within
from brlib.platforms.sessions import Bounded, Sessions
from brlib.workers import Pool

from .standin.adapter import StandInSessions
from .standin.base import Hang, Reply, Request, StandIn

MOVED = Reply(302, headers={"Location": "https://b.example/x"})


@pytest.fixture
def standin() -> StandIn:
    return StandIn()


@pytest.fixture
def session(standin: StandIn) -> Iterator[Streamlink]:
    one = StandInSessions(standin).new()
    yield one
    one.http.close()


@pytest.mark.parametrize(("url", "headers", "first", "second"), [
    ("https://a.example/", {}, None, None),
    ("https://u:p@a.example/", {}, "Basic dTpw", None),
    ("https://a.example/", {"Authorization": "Bearer b"}, "Bearer b", None),
    ("https://u:p@b.example/", {}, "Basic dTpw", "Basic dTpw"),
])
def test_a_redirect_gets_what_was_for_its_host(
    url: str, headers: dict[str, str], first: str | None, second: str | None, standin: StandIn,
    session: Streamlink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password netrc-secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    standin.add(lambda asked: Reply(200) if asked.path == "/x" else MOVED, "a.example", "b.example")
    session.http.get(url, headers=headers)
    assert [one.headers.get("Authorization") for one in standin.requests] == [first, second]
    assert session.http.trust_env


def test_redirects_share_one_deadline(
    standin: StandIn, session: Streamlink, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr("brlib.platforms.deadline.time", SimpleNamespace(
        monotonic=lambda: clock.now_s))

    def slow(request: Request) -> Reply:
        clock.now_s += 12.0
        return Reply(302, headers={"Location": f"{request.path}x"})

    standin.add(slow, "a.example")
    with within(30.0), pytest.raises(PlatformError, match="ConnectTimeout"):
        look(session, "https://a.example/x")
    assert len(standin.requests) == 3


@pytest.mark.parametrize(("limit_s", "reason"), [
    (None, "ConnectionError"), (60.0, "ConnectionError"), (3.0, "ReadTimeout")])
def test_silence_is_waited_for_no_longer_than_that(
    limit_s: float | None, reason: str, standin: StandIn, session: Streamlink
) -> None:
    standin.fail("a.example", Hang(5.0))
    with within(limit_s or 1e9), pytest.raises(PlatformError, match=reason):
        look(session, "https://a.example/")


def test_when_it_is_over_nothing_is_asked_for(standin: StandIn, session: Streamlink) -> None:
    with within(0.0), pytest.raises(ConnectTimeout):
        session.http.adapters["https://"].send(None)  # type: ignore[arg-type]
    assert standin.requests == []


class Own(HTTPAdapter):
    """As a plugin mounts one, for a site that wants another handshake."""

    def send(self, *_: Any, **options: Any) -> Response:
        answer = Response()
        answer.raw, answer.status_code = HTTPResponse(io.BytesIO(), preload_content=False), 200
        answer.headers["Timeout"] = str(options["timeout"])
        return answer


def test_a_plugins_own_adapter_keeps_to_the_limits() -> None:
    session = Sessions().new()
    session.http.mount("https://", Own())
    with within(3.0):
        answer = session.http.get("https://tv.example/")
    assert isinstance(answer.raw, Bounded) and float(answer.headers["Timeout"]) <= 3.0
    with within(0.0), pytest.raises(PluginError, match="no time is left"):
        session.http.get("https://tv.example/")
    session.http.close()


def test_a_deadline_is_the_threads_own_and_the_nearest_holds() -> None:
    pool, seen, done = Pool("other", 1), list[float](), threading.Event()

    def look_there() -> None:
        seen.append(left_s())
        done.set()

    with within(5.0):
        outer_s = until_s()
        with within(50.0):
            assert until_s() == outer_s
        with within(1.0):
            assert until_s() < outer_s
        assert until_s() == outer_s and 0 < left_s() <= 5.0
        assert pool.submit("look", look_there)
        assert done.wait(5.0)
    assert pool.join(5.0)
    assert seen == [float("inf")] and until_s() == float("inf")
