"""Tests of brlib.capture.download: patience with one segment, and when it ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
import requests
from requests import Response
from requests.exceptions import ConnectionError as NoConnection, HTTPError
from streamlink.exceptions import StreamError

from brlib.capture.base import Timeouts
from brlib.capture.download import (
    Aborted, Bad, Body, Missing, OriginHealth, cause_of, hopeless, looks_like_media, patient,
    request_range, whole,
)
from brlib.models import GapCause

from . import faults
from .media import fmp4_clips, ts_clips
from .origin import Origin

LIMITS = Timeouts(connect_s=0.5, read_s=0.2, attempt_s=0.15, give_up_s=0.3, give_up_tries=3,
                  retry_s=0.01, retry_max_s=0.05)


@pytest.mark.parametrize("tries, elapsed_s, answered, alive, expected", [
    pytest.param(4, 30.0, True, False, True, id="answers otherwise for long enough"),
    pytest.param(4, 30.0, False, True, True, id="silent, but others come"),
    pytest.param(4, 30.0, True, True, True, id="both"),
    pytest.param(3, 99.0, True, True, False, id="too few tries"),
    pytest.param(99, 29.9, True, True, False, id="too early"),
    pytest.param(10 ** 6, 10.0 ** 6, False, False, False, id="the origin is away: never"),
])
def test_hopeless(
    tries: int, elapsed_s: float, answered: bool, alive: bool, expected: bool
) -> None:
    assert hopeless(tries, elapsed_s, answered, alive, Timeouts()) is expected


def stream_error(cause: Exception) -> StreamError:
    error = StreamError("Unable to open URL")
    error.err = cause  # type: ignore[attr-defined]  # as streamlink's session sets it
    return error


@pytest.mark.parametrize("error, expected", [
    (Bad("not media"), GapCause.SOURCE), (HTTPError(response=Response()), GapCause.SOURCE),
    (stream_error(HTTPError(response=Response())), GapCause.SOURCE),
    (HTTPError(), GapCause.NETWORK), (NoConnection(), GapCause.NETWORK),
    (stream_error(NoConnection()), GapCause.NETWORK), (StreamError("x"), GapCause.NETWORK),
    (TimeoutError(), GapCause.NETWORK), (OSError(), GapCause.NETWORK),
])
def test_cause_of(error: Exception, expected: GapCause) -> None:
    assert cause_of(error) is expected


@pytest.mark.parametrize("body, expected", [
    pytest.param(ts_clips(1)[0].body, True, id="ts"),
    pytest.param(fmp4_clips(1)[0], True, id="init section"),
    pytest.param(fmp4_clips(1)[1][0].body, True, id="fragment"),
    pytest.param(b"ID3\x04\x00", True, id="tagged audio"),
    pytest.param(b"\xff\xf1\x50\x80", True, id="ADTS"),
    pytest.param(b"\xff\xfb\x90\x64", True, id="MP3"),
    pytest.param(b"\x0b\x77\x00", True, id="AC-3"),
    pytest.param(faults.HTML, False, id="a page"),
    pytest.param("<!DOCTYPE html>".encode("utf-16"), False, id="a page in UTF-16"),
    pytest.param(b"Gone", False, id="words beginning with the sync byte"),
    pytest.param(b'{"error": "gone"}', False, id="JSON"),
    pytest.param(b"\xff", False, id="one byte"), pytest.param(b"", False, id="nothing"),
])
def test_looks_like_media(body: bytes, expected: bool) -> None:
    assert looks_like_media(body) is expected


TS = b"G" + bytes(187)
FILE = TS * 5


def answer(status: int = 206) -> Response:
    return Mock(spec=Response, status_code=status, headers={"Content-Type": "text/html"})


@pytest.mark.parametrize("range_, encrypted, status, body, expected", [
    pytest.param(None, False, 200, FILE, FILE, id="plain"),
    pytest.param(None, False, 200, b"", "empty", id="empty"),
    pytest.param(None, False, 200, faults.HTML, "not media (text/html)", id="a page"),
    pytest.param(None, True, 200, b"cipher", b"cipher", id="encrypted: not looked at"),
    pytest.param(None, True, 200, b"", "empty", id="encrypted, empty"),
    pytest.param("bytes=188-563", False, 206, FILE[188:564], FILE[188:564], id="range"),
    pytest.param("bytes=188-563", False, 200, FILE, FILE[188:564], id="range ignored: cut out"),
    pytest.param("bytes=188-563", False, 206, FILE[188:500], "312 bytes instead of the 376",
                 id="range too short"),
    pytest.param("bytes=188-563", False, 206, FILE, "940 bytes instead", id="range too long"),
    pytest.param("bytes=752-1127", False, 200, FILE, "188 bytes instead", id="file too short"),
    pytest.param("bytes=0-0", True, 206, b"x", b"x", id="one byte"),
])
def test_whole(
    range_: str | None, encrypted: bool, status: int, body: bytes, expected: bytes | str
) -> None:
    accept = whole(range_, encrypted)
    if isinstance(expected, bytes):
        assert accept(answer(status), body) == expected
    else:
        with pytest.raises(Bad) as caught:
            accept(answer(status), body)
        assert expected in str(caught.value)


@pytest.mark.parametrize("params, expected", [
    ({"headers": {"Range": "bytes=0-1"}}, "bytes=0-1"), ({"headers": {}}, None), ({}, None),
])
def test_request_range(params: dict[str, Any], expected: str | None) -> None:
    assert request_range(params) == expected


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as one:
        one.add(ts_clips(1)[0])
        yield one


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as one:
        yield one


def fetch(
    origin: Origin, session: requests.Session, closed: threading.Event | None = None,
    health: OriginHealth | None = None,
) -> Body | Missing:
    def get(timeout: tuple[float, float]) -> Response:
        response = session.get(f"{origin.base_url}/seg-0.ts", stream=True, timeout=timeout)
        try:
            response.raise_for_status()
        except HTTPError:
            response.close()
            raise
        return response

    return patient(get, whole(None, False), LIMITS, health or OriginHealth(),
                   closed or threading.Event())


def always(num: int) -> bool:
    return True


@pytest.mark.parametrize("fault, tries", [
    pytest.param(None, 1, id="none"),
    pytest.param(faults.Missing(always, 2), 3, id="404 twice"),
    pytest.param(faults.ServerError(always, 1), 2, id="500"),
    pytest.param(faults.Cut(always, 2), 3, id="cut off twice"),
    pytest.param(faults.Html(always, 2), 3, id="a page twice"),
    pytest.param(faults.Hang(always, 1, seconds=2.0), 2, id="silence"),
    pytest.param(faults.Trickle(always, 1, bytes_per_s=3000.0), 2, id="a trickle"),
    pytest.param(faults.Early(always, 0.15), None, id="listed too early"),
])
def test_patience_gets_the_whole_body(
    origin: Origin, session: requests.Session, fault: faults.Fault | None, tries: int | None
) -> None:
    if fault is not None:
        origin.faults.append(fault)
    health = OriginHealth()
    assert fetch(origin, session, health=health) == Body(ts_clips(1)[0].body)
    assert health.last_success_s > 0
    assert tries is None or origin.fetches("seg-0.ts") == tries


@pytest.mark.parametrize("fault, cause", [
    (faults.Missing(always, faults.ALWAYS), GapCause.SOURCE),
    (faults.Html(always, faults.ALWAYS), GapCause.SOURCE),
    (faults.ServerError(always, faults.ALWAYS), GapCause.SOURCE),
])
def test_a_hopeless_segment_is_given_up(
    origin: Origin, session: requests.Session, fault: faults.Fault, cause: GapCause
) -> None:
    origin.faults.append(fault)
    got = fetch(origin, session)
    assert isinstance(got, Missing) and got.cause is cause
    assert origin.fetches("seg-0.ts") >= LIMITS.give_up_tries


def test_silence_is_given_up_only_while_others_come(
    origin: Origin, session: requests.Session
) -> None:
    origin.faults.append(faults.Cut(always, faults.ALWAYS))
    health, closed = OriginHealth(), threading.Event()
    health.last_success_s = float("inf")
    got = fetch(origin, session, health=health)
    assert isinstance(got, Missing) and got.cause is GapCause.NETWORK
    timer = threading.Timer(1.5 * LIMITS.give_up_s, closed.set)
    timer.start()
    with pytest.raises(Aborted):
        fetch(origin, session, closed)
    timer.join()


@pytest.mark.parametrize("fault", [
    faults.Trickle(always, faults.ALWAYS, bytes_per_s=3000.0), faults.Missing(always, 10 ** 6),
], ids=["under way", "between tries"])
def test_closing_aborts(
    origin: Origin, session: requests.Session, fault: faults.Fault
) -> None:
    origin.faults.append(fault)
    closed = threading.Event()
    closed.set()
    with pytest.raises(Aborted):
        fetch(origin, session, closed)
    assert origin.fetches("seg-0.ts") == 1


def test_an_origin_may_be_away_for_days() -> None:
    """Thousands of refused connections in a row are no reason to give up, or to break."""
    tries = [0]
    limits = Timeouts(retry_s=0.0, retry_max_s=0.0)
    response = Mock(spec=Response, raw=Mock(read1=Mock(side_effect=[TS, b""])))
    response.__enter__ = lambda _: response
    response.__exit__ = Mock(return_value=False)

    def get(timeout: tuple[float, float]) -> Response:
        tries[0] += 1
        if tries[0] <= 3000:
            raise NoConnection("refused")
        return response

    got = patient(get, whole(None, False), limits, OriginHealth(), threading.Event())
    assert got == Body(TS) and tries[0] == 3001
