"""Tests of brlib.disks.room: what was known of a disk before it was away, or asked again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from . import test_disks_room
from .test_disks_room import CAPTURES, MB, OUT, Hall

hall = test_disks_room.hall


def test_a_disk_that_was_away_is_warned_of_once(hall: Hall) -> None:
    """Plugged in again it has another number; and while it is away it has none."""
    hall.two_disks(50, 900)
    hall.step()
    assert hall.told() == [("disk_warning_percent", 100), ("min_free_space", 100),
                           ("disk_warning_percent", 96)]
    hall.disks.errors = {CAPTURES: "Input/output error"}
    hall.step()
    hall.disks.errors = {}
    hall.disks.held[CAPTURES] = (10_001 * MB, 105 * MB)
    hall.step()
    assert hall.told() == []
    assert hall.room.allows(OUT) is False, "it has to have some room more"


def test_nobody_ends_for_what_was_free_before(hall: Hall) -> None:
    """A file is begun again: it owes all of its capture, and what its former one took is free,
    which the disk has not been asked since."""
    hall.settings = replace(hall.settings, processing_timing="live")
    hall.one_disk(200_000, 1_000)
    hall.record("a", 5_000)
    hall.record("b", 100)
    hall.step()
    hall.record("a", 5_000, fed_mb=1)
    stale = hall.disks.groups()
    hall.now_s += 2.0
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(hall.disks, "groups", lambda: stale)
        hall.room.step()
        hall.room.step()
    hall.one_disk(200_000, 6_000)
    hall.step()
    assert hall.stopped == []
    hall.one_disk(200_000, 5_000)
    hall.step()
    assert hall.stopped == ["a"]
