"""The pace of requests to a platform: spacing, rests, what platforms ask for, no burst."""

from __future__ import annotations

import pytest

from brlib.errors import Trouble
from brlib.pacing import ASKED_MAX_S, FAILURES_MAX, REST_MAX_S, REST_S, Pace, spread_s


def test_requests_keep_their_distance() -> None:
    pace = Pace(spacing_s=2.0)
    assert pace.wait_s(100.0) == 0.0
    pace.asked(100.0)
    assert pace.wait_s(100.5) == 1.5
    assert pace.wait_s(102.0) == 0.0


@pytest.mark.parametrize("trouble, whole, asked_s, rest_s", [
    (Trouble.BLOCKED, False, None, REST_S), (Trouble.RATE_LIMITED, False, None, REST_S),
    (Trouble.RATE_LIMITED, False, 7.0, 7.0), (Trouble.RATE_LIMITED, False, 0.0, 1.0),
    (Trouble.RATE_LIMITED, True, 900.0, 900.0), (Trouble.RATE_LIMITED, True, 1e9, ASKED_MAX_S),
    (Trouble.ERROR, True, None, REST_S), (Trouble.ERROR, False, None, 0.0),
    (Trouble.NOT_FOUND, False, None, 0.0), (Trouble.LOGIN_EXPIRED, True, None, 0.0),
    (Trouble.RESTRICTED, False, None, 0.0),
])
def test_what_stops_everyone(
    trouble: Trouble, whole: bool, asked_s: float | None, rest_s: float
) -> None:
    pace = Pace()
    pace.asked(100.0)
    pace.failed(100.0, trouble, asked_s, whole, jitter=0.5)
    assert pace.wait_s(100.0) == pytest.approx(rest_s)


def test_rests_grow_and_end_with_a_success() -> None:
    pace, now_s, rests = Pace(), 0.0, []
    for _ in range(8):
        pace.asked(now_s)
        pace.failed(now_s, Trouble.ERROR, None, True, jitter=0.5)
        wait_s = pace.wait_s(now_s)
        assert wait_s is not None
        rests.append(wait_s)
        now_s += wait_s
    assert rests[:4] == pytest.approx([30.0, 60.0, 120.0, 240.0])
    assert rests[-1] == pytest.approx(REST_MAX_S)
    pace.asked(now_s)
    pace.succeeded()
    assert pace.wait_s(now_s) == 0.0
    pace.failed(now_s, Trouble.BLOCKED, None, False, jitter=0.5)
    assert pace.wait_s(now_s) == pytest.approx(REST_S)


def test_after_a_rest_one_tries_alone() -> None:
    pace = Pace()
    pace.failed(0.0, Trouble.BLOCKED, None, True, jitter=0.5)
    assert pace.wait_s(REST_S) == 0.0
    pace.asked(REST_S)
    assert pace.wait_s(REST_S) is None
    pace.succeeded()
    assert pace.wait_s(REST_S) == 0.0
    pace.asked(REST_S)
    assert pace.wait_s(REST_S) == 0.0


def test_channels_that_fail_one_after_the_other() -> None:
    pace = Pace()
    for number in range(FAILURES_MAX):
        assert pace.wait_s(float(number)) == 0.0
        pace.failed(float(number), Trouble.ERROR, None, False, jitter=0.5)
    assert pace.wait_s(float(FAILURES_MAX)) > 0.0  # type: ignore[operator]
    mixed = Pace()
    for number in range(50):
        mixed.failed(float(number), Trouble.ERROR, None, False, jitter=0.5)
        if number % 4 == 3:
            mixed.succeeded()
    assert mixed.wait_s(50.0) == 0.0


def test_addresses_share_nothing() -> None:
    pace = Pace(shared=False)
    for number in range(20):
        pace.failed(float(number), Trouble.BLOCKED, 60.0, True, jitter=0.5)
    assert pace.wait_s(20.0) == 0.0


@pytest.mark.parametrize("count", [1, 7, 500])
def test_they_are_spread_over_the_interval(count: int) -> None:
    places = [spread_s(position, count, 180.0, 0.5) for position in range(count)]
    assert places == sorted(places) and 0.0 < places[0] and places[-1] < 180.0
    steps = [b - a for a, b in zip(places, places[1:])]
    assert all(step == pytest.approx(180.0 / count) for step in steps)
