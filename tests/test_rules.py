"""Tests of brlib.rules: every rule as a table of cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from brlib.models import Channel, ChannelStatus, QuotaState, SkipReason
from brlib.rules import (
    CHECK_BACKOFF_MAX_S, Absence, Running, Slots, Verdict, Waiting, channel_status,
    end_of_broadcast, next_check_s, over_quotas, quota_percent, quota_state, reopen_after_s,
    stalled, to_preempt, why_not_record,
)

CHANNEL = Channel(
    id="ch_1", platform="url", name="n", display_name="n", url="http://x", quality="source",
    enabled=True, created_at=datetime(2026, 1, 1, tzinfo=UTC))
STOPPED = replace(CHANNEL, stopped_broadcast_id="b1")


@pytest.mark.parametrize("interval_s, failures, jitter, expected_s", [
    pytest.param(30, 0, 0.5, 30, id="healthy"),
    pytest.param(30, 0, 0.0, 27, id="jitter takes a tenth"),
    pytest.param(30, 0, 1.0, 33, id="jitter adds a tenth"),
    pytest.param(30, 1, 0.5, 60, id="one failure doubles"),
    pytest.param(30, 4, 0.5, 480, id="four failures"),
    pytest.param(30, 5, 0.5, CHECK_BACKOFF_MAX_S, id="bounded"),
    pytest.param(30, 10 ** 9, 0.5, CHECK_BACKOFF_MAX_S, id="any number of failures"),
    pytest.param(3600, 0, 0.5, 3600, id="an interval beyond the bound is kept"),
    pytest.param(3600, 3, 0.5, 3600, id="and never shortened by failures"),
])
def test_next_check(interval_s: float, failures: int, jitter: float, expected_s: float) -> None:
    assert next_check_s(interval_s, failures, jitter) == pytest.approx(expected_s)


def test_reopening_backs_off_and_stays_bounded() -> None:
    waits = [reopen_after_s(attempt) for attempt in range(100)]
    assert waits[0] <= 1.0
    assert all(a <= b for a, b in pairwise(waits))
    assert waits[-1] == 10.0


@pytest.mark.parametrize("channel, broadcast_id, slots, expected", [
    pytest.param(CHANNEL, "b1", Slots(1, True), None, id="record"),
    pytest.param(CHANNEL, None, Slots(1, True), None, id="no id"),
    pytest.param(STOPPED, "b1", Slots(1, True), SkipReason.STOPPED, id="that one was stopped"),
    pytest.param(STOPPED, "b2", Slots(1, True), None, id="another than was stopped"),
    pytest.param(STOPPED, None, Slots(1, True), None, id="no id is no stopped one"),
    pytest.param(CHANNEL, "b1", Slots(1, False), SkipReason.DISK, id="disk"),
    pytest.param(CHANNEL, "b1", Slots(0, True), SkipReason.CONCURRENCY, id="no slot"),
    pytest.param(CHANNEL, "b1", Slots(-1, True), SkipReason.CONCURRENCY, id="fewer slots now"),
    pytest.param(STOPPED, "b1", Slots(0, False), SkipReason.STOPPED, id="a person's word first"),
    pytest.param(CHANNEL, "b1", Slots(0, False), SkipReason.DISK, id="disk before slots"),
])
def test_why_not_record(
    channel: Channel, broadcast_id: str | None, slots: Slots, expected: SkipReason | None
) -> None:
    assert why_not_record(channel, broadcast_id, slots) is expected


@pytest.mark.parametrize("channel, slots, expected", [
    pytest.param(CHANNEL, Slots(1, True), SkipReason.FILTER, id="not wanted"),
    pytest.param(CHANNEL, Slots(0, False), SkipReason.FILTER, id="not wanted, and no room"),
    pytest.param(STOPPED, Slots(1, True), SkipReason.STOPPED, id="a person's word comes first"),
])
def test_what_its_owner_does_not_want(
    channel: Channel, slots: Slots, expected: SkipReason
) -> None:
    assert why_not_record(channel, "b1", slots, SkipReason.FILTER) is expected


@pytest.mark.parametrize("changes, live, capturing, failed, expected", [
    pytest.param({}, False, None, False, ChannelStatus.OFFLINE, id="offline"),
    pytest.param({}, True, None, False, ChannelStatus.LIVE, id="live, not recorded"),
    pytest.param({}, True, False, False, ChannelStatus.STARTING, id="no segment yet"),
    pytest.param({}, True, True, False, ChannelStatus.RECORDING, id="recording"),
    pytest.param({}, False, True, True, ChannelStatus.RECORDING, id="recording, checks fail"),
    pytest.param({}, True, None, True, ChannelStatus.ERROR, id="failed check"),
    pytest.param({"paused": True}, True, None, True, ChannelStatus.PAUSED, id="paused"),
    pytest.param({"paused": True}, True, True, False, ChannelStatus.RECORDING,
                 id="paused under way: still recording"),
    pytest.param({"enabled": False}, True, None, True, ChannelStatus.DISABLED, id="disabled"),
    pytest.param({"enabled": False, "paused": True}, False, None, False, ChannelStatus.DISABLED,
                 id="disabled and paused"),
])
def test_channel_status(
    changes: dict[str, bool], live: bool, capturing: bool | None, failed: bool,
    expected: ChannelStatus,
) -> None:
    channel = replace(CHANNEL, **changes)  # type: ignore[arg-type]
    assert channel_status(channel, live=live, capturing=capturing, failed=failed) is expected


@pytest.mark.parametrize("absence, window_s, expected", [
    pytest.param(Absence(0, 0, None, False), 90, Verdict.REOPEN, id="live and moving"),
    pytest.param(Absence(9999, 0, None, False), 90, Verdict.REOPEN,
                 id="failed checks alone never end it"),
    pytest.param(Absence(9999, 5, None, False), 90, Verdict.REOPEN,
                 id="the last answer was live"),
    pytest.param(Absence(9999, 1, 9999, False), 90, Verdict.WAIT, id="one answer is too few"),
    pytest.param(Absence(9999, 2, 29, False), 90, Verdict.WAIT, id="two answers too close"),
    pytest.param(Absence(9999, 9, 29, False), 90, Verdict.WAIT, id="many answers too close"),
    pytest.param(Absence(9999, 2, 30, False), 90, Verdict.OFFLINE, id="two answers 30 s apart"),
    pytest.param(Absence(89, 2, 60, False), 90, Verdict.WAIT, id="within the reconnect window"),
    pytest.param(Absence(90, 2, 60, False), 90, Verdict.OFFLINE, id="window over"),
    pytest.param(Absence(29, 2, 30, False), 0, Verdict.WAIT, id="no window: 30 s all the same"),
    pytest.param(Absence(30, 2, 30, False), 0, Verdict.OFFLINE, id="no window, 30 s"),
    pytest.param(Absence(89, 0, None, True), 90, Verdict.WAIT, id="frozen"),
    pytest.param(Absence(90, 0, None, True), 90, Verdict.STALLED, id="frozen for the window"),
    pytest.param(Absence(20, 0, None, True), 0, Verdict.WAIT, id="frozen, no window"),
])
def test_end_of_broadcast(absence: Absence, window_s: float, expected: Verdict) -> None:
    assert end_of_broadcast(absence, window_s) is expected


@pytest.mark.parametrize("idle_s, target_s, expected", [
    pytest.param(10, 2, False, id="short segments: at the floor"),
    pytest.param(10.1, 2, True, id="short segments: behind the floor"),
    pytest.param(18, 6, False, id="three target durations"),
    pytest.param(18.1, 6, True, id="more than three"),
    pytest.param(11, 0, True, id="no target duration known"),
])
def test_stalled(idle_s: float, target_s: float, expected: bool) -> None:
    assert stalled(idle_s, target_s) is expected


def running(name: str, priority: int, minute: int = 0, ending: bool = False) -> Running:
    return Running(name, name, priority, datetime(2026, 1, 1, 0, minute, tzinfo=UTC), ending)


@pytest.mark.parametrize("present, priority, expected", [
    pytest.param([], 9, None, id="nobody"),
    pytest.param([running("a", 1), running("b", 0), running("c", 2)], 3, "b", id="the lowest"),
    pytest.param([running("a", 0, 1), running("b", 0, 3), running("c", 0, 2)], 1, "b",
                 id="the youngest"),
    pytest.param([running("a", 1)], 1, None, id="no equal one"),
    pytest.param([running("a", 2)], 1, None, id="no higher one"),
    pytest.param([running("a", -5)], -4, "a", id="below nothing"),
    pytest.param([running("a", 0, ending=True), running("b", 1)], 2, "b", id="not one again"),
    pytest.param([running("a", 0, ending=True), running("b", 2)], 2, None, id="only that one"),
    pytest.param([running("a", 0), running("b", 0)], 2, "b", id="always the same"),
])
def test_to_preempt(present: list[Running], priority: int, expected: str | None) -> None:
    for order in (present, present[::-1]):
        chosen = to_preempt(order, priority)
        assert (chosen.recording_id if chosen else None) == expected


def test_the_order_of_a_line() -> None:
    line = [Waiting("late", 1, 9.0), Waiting("low", 0, 1.0), Waiting("early", 1, 2.0)]
    assert [one.channel_id for one in sorted(line, key=lambda one: one.rank)] == [
        "early", "late", "low"]


@pytest.mark.parametrize("used_bytes, quota_bytes, expected", [
    (50, None, None), (0, 200, 0), (100, 200, 50), (1, 3, 33), (2, 3, 67), (300, 200, 150),
    (2 ** 50, 2 ** 51, 50), (0, 0, 100), (5, 0, 100),
])
def test_quota_percent(used_bytes: int, quota_bytes: int | None, expected: int | None) -> None:
    assert quota_percent(used_bytes, quota_bytes) == expected


@pytest.mark.parametrize("used_bytes, quota_bytes, expected", [
    (0, None, QuotaState.UNLIMITED), (2 ** 60, None, QuotaState.UNLIMITED),
    (0, 100, QuotaState.OK), (79, 100, QuotaState.OK), (80, 100, QuotaState.WARNING),
    (99, 100, QuotaState.WARNING), (100, 100, QuotaState.EXCEEDED),
    (101, 100, QuotaState.EXCEEDED), (0, 0, QuotaState.EXCEEDED),
    # A float would round it.
    (2 ** 53 * 4 // 5 - 1, 2 ** 53, QuotaState.OK),
])
def test_quota_state(used_bytes: int, quota_bytes: int | None, expected: QuotaState) -> None:
    assert quota_state(used_bytes, quota_bytes, 80) is expected


@pytest.mark.parametrize("used, quotas, quota, expected", [
    pytest.param({}, {}, None, [], id="nothing"),
    pytest.param({"a": 9, "b": 9}, {}, None, [], id="no quota"),
    pytest.param({"a": 9, "b": 1}, {"a": 9, "b": 2, "c": 1}, None, ["a"], id="a channel's"),
    pytest.param({"a": 9, "b": 1}, {}, 10, [None], id="that of all"),
    pytest.param({"a": 9, "b": 1}, {}, 11, [], id="not yet"),
    pytest.param({"a": 9, "gone": 1}, {"a": 5}, 10, ["a", None], id="a channel's first"),
    pytest.param({}, {"a": 0}, 0, ["a", None], id="quotas of nothing"),
])
def test_over_quotas(
    used: dict[str, int], quotas: dict[str, int], quota: int | None, expected: list[str | None]
) -> None:
    assert over_quotas(used, quotas, quota) == expected
