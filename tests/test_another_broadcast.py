"""A recording that nobody could look after for long: is what is live now the same broadcast?"""

from __future__ import annotations

import pytest

from brlib.errors import PlatformError
from brlib.models import Broadcast, EndReason, SessionEnd

from . import test_active
from .test_active import Stage

running, stage = test_active.running, test_active.stage


def breaks_off(one: Stage, for_s: int, then: Broadcast | None) -> None:
    """The stream breaks, and nothing can be asked for a while."""
    one.active._broadcast_id = "first"
    one.session.end = SessionEnd.BROKEN
    one.platform.answer = PlatformError("HTTP 503")
    one.steps(for_s)
    assert one.reason is None
    one.platform.answer = then
    one.steps(40)


@pytest.mark.parametrize("broadcast, for_s, ends", [
    pytest.param(Broadcast(id="second"), 3600, True, id="another one, hours later"),
    pytest.param(Broadcast(id="second"), 40, False, id="back within the window"),
    pytest.param(Broadcast(id="first"), 3600, False, id="the same"),
    pytest.param(Broadcast(id=None), 3600, False, id="nobody can tell"),
])
def test_what_is_live_after_a_long_time(
    running: Stage, broadcast: Broadcast, for_s: int, ends: bool
) -> None:
    breaks_off(running, for_s, broadcast)
    assert running.reason is (EndReason.OFFLINE if ends else None)
    assert (len(running.capture.sessions) == 1) is ends, "nothing of it was recorded"


def test_an_id_that_is_heard_of_before_it_is_recorded_changes_nothing(running: Stage) -> None:
    """The check loop may see the new broadcast first."""
    running.active._broadcast_id = "first"
    running.session.end = SessionEnd.BROKEN
    running.platform.answer = PlatformError("HTTP 503")
    running.steps(3600)
    running.active.note(Broadcast(id="second"))
    running.platform.answer = Broadcast(id="second")
    running.steps(40)
    assert running.reason is EndReason.OFFLINE


def test_an_id_that_changed_while_it_was_recorded_is_kept(running: Stage) -> None:
    """A restart must know it, too."""
    running.active.note(Broadcast(id="second"))
    running.steps(6)
    row = running.active._outside.store.recordings.get(running.active.recording.id)
    assert row.broadcast_id == "second"
