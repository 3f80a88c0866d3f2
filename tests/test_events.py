"""Tests of brlib.events: every subscriber gets every event once and in order, or none more."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from brlib.events import QUEUED_EVENTS, EventBus, Subscription
from brlib.models import Event

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def drain(subscription: Subscription) -> list[Event]:
    events = []
    while (event := subscription.get(0)) is not None:
        events.append(event)
    return events


@pytest.fixture
def bus() -> EventBus:
    return EventBus(lambda: MOMENT)


def test_events_are_numbered_and_reach_everyone(bus: EventBus) -> None:
    first, second = bus.subscribe(), bus.subscribe()
    made = [bus.publish("recording_started", {"channel_id": "ch_1", "n": n}) for n in range(3)]
    assert [event.seq for event in made] == [1, 2, 3]
    assert drain(first) == made == drain(second)
    assert made[0].timestamp == MOMENT and made[0].dotted == "recording.started"


def test_a_subscription_begins_behind_its_number(bus: EventBus) -> None:
    bus.publish("a", {})
    bus.publish("b", {})
    late = bus.subscribe()
    assert late.after == 2
    third = bus.publish("c", {})
    assert drain(late) == [third] and third.seq == 3


def test_nobody_listening_is_fine(bus: EventBus) -> None:
    assert bus.publish("a", {}).seq == 1


def test_unsubscribed_is_left_alone(bus: EventBus) -> None:
    one, other = bus.subscribe(), bus.subscribe()
    bus.publish("a", {})
    bus.unsubscribe(one)
    bus.unsubscribe(one)
    bus.publish("b", {})
    assert [event.type for event in drain(one)] == ["a"]
    assert [event.type for event in drain(other)] == ["a", "b"]
    assert not one.overflowed.is_set()


def test_the_slow_one_loses_its_subscription_and_nothing_in_the_middle(bus: EventBus) -> None:
    slow, quick = bus.subscribe(), bus.subscribe()
    quick_seen = []
    for _ in range(QUEUED_EVENTS + 5):
        bus.publish("a", {})
        quick_seen += drain(quick)
    assert slow.overflowed.is_set() and not quick.overflowed.is_set()
    assert [event.seq for event in drain(slow)] == list(range(1, QUEUED_EVENTS + 1))
    bus.publish("b", {})
    assert drain(slow) == []
    assert len(quick_seen) == QUEUED_EVENTS + 5


@pytest.mark.parametrize("timeout_s", [0, 0.01])
def test_no_event_is_none(bus: EventBus, timeout_s: float) -> None:
    assert bus.subscribe().get(timeout_s) is None


def test_waiting_ends_with_an_event(bus: EventBus) -> None:
    subscription = bus.subscribe()
    timer = threading.Timer(0.05, bus.publish, ("a", {}))
    timer.start()
    event = subscription.get(10)
    timer.join()
    assert event is not None and event.type == "a"


def test_many_publishers_many_listeners(bus: EventBus) -> None:
    """Each listener, whenever it came, has all numbers behind its own, in order."""
    listeners: list[Subscription] = []

    def publish() -> None:
        for n in range(100):
            bus.publish("a", {"n": n})
            if n % 25 == 0:
                listeners.append(bus.subscribe())

    threads = [threading.Thread(target=publish) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    for listener in listeners:
        assert [e.seq for e in drain(listener)] == list(range(listener.after + 1, 801))
    assert len(listeners) == 32


@pytest.mark.parametrize("data, expected", [
    ({"channel_id": "ch_1"}, "ch_1"), ({}, None), ({"channel_id": 5}, None),
])
def test_channel_of_an_event(data: dict[str, object], expected: str | None) -> None:
    assert Event(1, "a", MOMENT, data).channel_id == expected
