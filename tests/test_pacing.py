"""The pace of requests to a platform: spacing, rests, what platforms ask for, no burst."""

from __future__ import annotations

import pytest

from brlib.errors import Trouble
from brlib.pacing import ASKED_MAX_S, FAILURES_MAX, REST_MAX_S, REST_S, Asked, Pace


def fail(pace: Pace, now_s: float, trouble: Trouble = Trouble.ERROR, *, asked: Asked | None = None,
         retry_after_s: float | None = None, whole: bool = True) -> bool:
    return pace.failed(
        asked or pace.asked(now_s), now_s, trouble, retry_after_s, whole, jitter=0.5)


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
    (Trouble.ERROR, False, 120.0, 120.0), (Trouble.LOGIN_EXPIRED, True, 60.0, 60.0),
    (Trouble.ERROR, True, None, REST_S), (Trouble.ERROR, False, None, 0.0),
    (Trouble.NOT_FOUND, False, None, 0.0), (Trouble.LOGIN_EXPIRED, True, None, 0.0),
    (Trouble.RESTRICTED, False, None, 0.0),
])
def test_what_stops_everyone(
    trouble: Trouble, whole: bool, asked_s: float | None, rest_s: float
) -> None:
    pace = Pace()
    rests = fail(pace, 100.0, trouble, retry_after_s=asked_s, whole=whole)
    assert pace.wait_s(100.0) == pytest.approx(rest_s)
    assert rests is (rest_s > 0.0)


def test_rests_grow_and_end_with_a_success() -> None:
    pace, now_s, rests = Pace(), 0.0, []
    for _ in range(8):
        fail(pace, now_s)
        wait_s = pace.wait_s(now_s)
        assert wait_s is not None
        rests.append(wait_s)
        now_s += wait_s
    assert rests[:4] == pytest.approx([30.0, 60.0, 120.0, 240.0])
    assert rests[-1] == pytest.approx(REST_MAX_S)
    pace.succeeded(pace.asked(now_s))
    assert pace.wait_s(now_s) == 0.0
    fail(pace, now_s, Trouble.BLOCKED, whole=False)
    assert pace.wait_s(now_s) == pytest.approx(REST_S)


def test_after_a_rest_one_tries_alone() -> None:
    pace = Pace()
    fail(pace, 0.0, Trouble.BLOCKED)
    assert pace.wait_s(REST_S) == 0.0
    tries = pace.asked(REST_S)
    assert pace.wait_s(REST_S) is None
    pace.succeeded(tries)
    assert pace.wait_s(REST_S) == 0.0
    pace.asked(REST_S)
    assert pace.wait_s(REST_S) == 0.0


def test_one_that_was_withdrawn_tries_no_longer() -> None:
    pace = Pace()
    fail(pace, 0.0)
    pace.withdrawn(pace.asked(REST_S))
    assert pace.wait_s(REST_S) == 0.0


def test_one_that_tries_and_fails_alone_is_the_platforms_failure() -> None:
    pace = Pace()
    fail(pace, 0.0)
    assert fail(pace, REST_S, whole=False)
    assert pace.wait_s(REST_S) == pytest.approx(2 * REST_S)


@pytest.mark.parametrize("trouble", [Trouble.NOT_FOUND, Trouble.LOGIN_EXPIRED])
def test_a_platform_that_knows_no_such_channel_is_well(trouble: Trouble) -> None:
    pace = Pace()
    fail(pace, 0.0)
    assert not fail(pace, REST_S, trouble)
    assert (pace.rests, pace.wait_s(REST_S)) == (0, 0.0)


def test_what_was_out_when_it_failed_is_the_same_failure() -> None:
    pace = Pace()
    out = [pace.asked(float(n)) for n in range(4)]
    fail(pace, 10.0, asked=out[0])
    assert fail(pace, 11.0, asked=out[1])
    assert pace.rests == 1 and pace.wait_s(10.0) == pytest.approx(REST_S)
    # Nor does one that was answered before end the rest.
    pace.succeeded(out[2])
    assert pace.rests == 1 and pace.wait_s(10.0) == pytest.approx(REST_S)
    # But what the platform asks for holds whenever it says so.
    fail(pace, 12.0, Trouble.RATE_LIMITED, asked=out[3], retry_after_s=100.0)
    assert pace.rests == 1 and pace.wait_s(12.0) == pytest.approx(100.0)


def test_who_keeps_to_a_wish_and_is_refused_again_waits_longer() -> None:
    pace, now_s, rests = Pace(), 0.0, []
    for _ in range(4):
        fail(pace, now_s, Trouble.RATE_LIMITED, retry_after_s=2.0)
        rests.append(pace.wait_s(now_s))
        now_s += rests[-1] or 0.0
    assert rests == pytest.approx([2.0, 30.0, 60.0, 120.0])


def test_a_success_ends_a_rest_of_ours_but_no_wish() -> None:
    ours, wished = Pace(), Pace()
    fail(ours, 0.0, Trouble.BLOCKED)
    fail(wished, 0.0, Trouble.BLOCKED, retry_after_s=50.0)
    for pace in (ours, wished):
        pace.succeeded(pace.asked(1.0))
    assert ours.wait_s(1.0) == 0.0 and wished.wait_s(1.0) == pytest.approx(49.0)


@pytest.mark.parametrize("left_s, wait_s", [(90.0, 90.0), (1e9, ASKED_MAX_S)])
def test_a_rest_of_an_earlier_process(left_s: float, wait_s: float) -> None:
    pace = Pace()
    pace.resume(50.0, left_s)
    assert pace.wait_s(50.0) == pace.wish_until_s - 50.0 == pytest.approx(wait_s)
    pace.asked(50.0 + wait_s)
    assert pace.wait_s(50.0 + wait_s) is None


def test_channels_that_fail_one_after_the_other() -> None:
    pace = Pace()
    for number in range(FAILURES_MAX):
        assert pace.wait_s(float(number)) == 0.0
        fail(pace, float(number), whole=False)
    assert pace.wait_s(float(FAILURES_MAX)) > 0.0  # type: ignore[operator]
    mixed = Pace()
    for number in range(50):
        fail(mixed, float(number), whole=False)
        if number % 4 == 3:
            mixed.succeeded(mixed.asked(float(number)))
    assert mixed.wait_s(50.0) == 0.0


def test_addresses_share_nothing() -> None:
    pace = Pace(shared=False)
    for number in range(20):
        assert not fail(pace, float(number), Trouble.BLOCKED, retry_after_s=60.0)
    assert pace.wait_s(20.0) == 0.0
