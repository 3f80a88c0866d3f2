"""Tests of brlib.service.upkeep: the rules once an hour, and a clock that is in doubt."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import pytest

from brlib.errors import Unavailable
from brlib.service.upkeep import EVERY_S, FIRST_AFTER_S, Upkeep
from brlib.storage import Cleanup


@dataclass
class Rules:
    """A storage with one recording to delete, and its files to look at."""

    by_age: bool = True
    done: list[str] = field(default_factory=list)

    def cleanup(self, now: datetime) -> Cleanup:
        self.done.append("cleanup")
        return Cleanup(["rec_1"], 5)

    def look(self) -> None:
        self.done.append("look")


def upkeep(rules: Rules, doubted_s: float = 0.0) -> Upkeep:
    anything = cast(Any, rules)
    return Upkeep(anything, anything, rules.done.append, lambda: doubted_s)


def test_once_an_hour_and_not_at_once() -> None:
    rules = Rules()
    one = upkeep(rules)
    assert (one.step(), rules.done) == (FIRST_AFTER_S, [])
    for _ in range(2):
        assert one.step() == EVERY_S
    assert rules.done == ["look", "cleanup", "rec_1"] * 2


@pytest.mark.parametrize("by_age", [True, False])
def test_a_doubted_clock_deletes_nothing_for_its_age(
    by_age: bool, caplog: pytest.LogCaptureFixture
) -> None:
    rules = Rules(by_age)
    one = upkeep(rules, 7200.0)
    one.step()
    assert one.step() == EVERY_S
    assert ("cleanup" in rules.done) is not by_age
    assert ("2.0 hours" in caplog.text) is by_age
    if by_age:
        with pytest.raises(Unavailable):
            one.cleanup()
