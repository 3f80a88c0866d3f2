"""Tests of the rules about room on disks, as tables of cases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from brlib.models import EndReason
from brlib.rules import (
    Claim, first_to_stop, hours_left, nearly_full, next_may_stop, reserve_bytes, short_of_room,
    used_percent,
)

GB = 10 ** 9


def claim(name: str, priority: int = 0, captured: int = 0, owed: int = 0,
          active: bool = True) -> Claim:
    return Claim(name, priority, captured, owed, active)


@pytest.mark.parametrize("used, free, expected", [
    (0, 100, 0), (1, 999, 1), (90, 10, 90), (901, 99, 91), (100, 0, 100), (0, 0, 100),
])
def test_used_percent(used: int, free: int, expected: int) -> None:
    assert used_percent(used, free) == expected


@pytest.mark.parametrize("before, percent, expected", [
    (False, 89, False), (False, 90, True), (True, 90, True), (True, 88, True), (True, 87, False),
    (False, 88, False),
])
def test_nearly_full(before: bool, percent: int, expected: bool) -> None:
    assert nearly_full(before, percent, 90) is expected


@pytest.mark.parametrize("before, spare, rate, expected", [
    pytest.param(False, GB, 0, False, id="just enough"),
    pytest.param(False, GB - 1, 0, True, id="less than that"),
    pytest.param(False, GB, 5e6, False, id="the rate does not stop what runs"),
    pytest.param(True, GB, 0, True, id="just enough again is not enough"),
    pytest.param(True, GB + GB // 10 - 1, 0, True, id="not a tenth more"),
    pytest.param(True, GB + GB // 10, 0, False, id="a tenth more"),
    pytest.param(True, 3 * GB, 5e6, True, id="not ten minutes at that rate"),
    pytest.param(True, 4 * GB, 5e6, False, id="ten minutes at that rate"),
])
def test_short_of_room(before: bool, spare: int, rate: float, expected: bool) -> None:
    assert short_of_room(before, spare, GB, rate) is expected


@pytest.mark.parametrize("before", [False, True])
def test_without_a_limit_nobody_ends(before: bool) -> None:
    assert not short_of_room(before, -1, 0, 1e6)


@pytest.mark.parametrize("owed, at_once, expected", [
    pytest.param([], None, 0, id="nobody"),
    pytest.param([1, 5, 3], None, 9, id="nothing is given back"),
    pytest.param([1, 5, 3], 2, 8, id="the two largest at a time"),
    pytest.param([1, 5, 3], 9, 9, id="more at a time than there are"),
])
def test_reserve(owed: list[int], at_once: int | None, expected: int) -> None:
    claims = [claim(str(number), owed=size) for number, size in enumerate(owed)]
    assert reserve_bytes(claims, at_once) == expected


def test_what_gives_nothing_back_needs_all_of_its_room() -> None:
    claims = [replace(claim(name, owed=owed), gives_back=back)
              for name, owed, back in (("a", 1, True), ("b", 5, False), ("c", 3, True))]
    assert reserve_bytes(claims, 1) == 5 + 3
    assert reserve_bytes(claims, None) == 9


@pytest.mark.parametrize("ending, expected", [
    pytest.param((200, 200), 300, id="not begun to be finished"),
    pytest.param((200, 50), 150, id="three quarters are written, and come back"),
    pytest.param((200, 0), 100, id="all of it"),
    pytest.param((900, 10), 10, id="more than the others need"),
    pytest.param((900, 700), 700, id="the present need is the larger one"),
])
def test_what_is_being_finished_gives_back_what_it_took(
    ending: tuple[int, int], expected: int
) -> None:
    captured, owed = ending
    claims = [claim("a", captured=300, owed=300),
              claim("b", captured=captured, owed=owed, active=False)]
    assert reserve_bytes(claims, 1) == expected


@pytest.mark.parametrize("claims, expected", [
    pytest.param([], None, id="nobody"),
    pytest.param([claim("a", active=False)], None, id="nobody who can be stopped"),
    pytest.param([claim("a", 1), claim("b", 0), claim("c", 2)], "b", id="the lowest priority"),
    pytest.param([claim("a", -1, 1), claim("b", 0, 9)], "a", id="priority before size"),
    pytest.param([claim("a", 0, 1), claim("b", 0, 9), claim("c", 0, 5)], "b",
                 id="who gives back the most"),
    pytest.param([claim("b"), claim("a")], "a", id="somebody, and always the same"),
    pytest.param([claim("a", 0, active=False), claim("b", 5)], "b", id="who is not ending yet"),
])
def test_first_to_stop(claims: list[Claim], expected: str | None) -> None:
    assert first_to_stop(claims) == expected


@pytest.mark.parametrize("finishing, lost, expected", [
    (False, 0, True), (True, 0, False), (True, -5, False), (True, GB // 4, False),
    (True, GB // 4 + 1, True),
])
def test_next_may_stop(finishing: bool, lost: int, expected: bool) -> None:
    assert next_may_stop(finishing, lost, GB) is expected


@pytest.mark.parametrize("spare, rate, expected", [
    (10 * GB, 0, None), (GB + 36 * 10 ** 8, 1e6, 1.0), (GB, 1e6, 0.0), (0, 1e6, 0.0),
    (GB + 10 ** 8, 1e6, 0.03),
])
def test_hours_left(spare: int, rate: float, expected: float | None) -> None:
    assert hours_left(spare, GB, rate) == expected


@pytest.mark.parametrize("reason, by_request, cut_short", [
    (EndReason.STOPPED, True, True), (EndReason.CANCELLED, True, True),
    (EndReason.DISK, False, True), (EndReason.ENDED, False, False),
    (EndReason.OFFLINE, False, False), (EndReason.STALLED, False, False),
])
def test_who_ended_it(reason: EndReason, by_request: bool, cut_short: bool) -> None:
    assert (reason.by_request, reason.cut_short) == (by_request, cut_short)
