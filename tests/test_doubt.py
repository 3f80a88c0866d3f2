"""Whether a broadcast that its platform calls live has more to give, and what a session that is
left has still on its way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from streamlink.stream.hls.hls import HLSStream

from brlib.models import EndReason, Recording, RecordingStatus, utc_now
from brlib.platforms import Opened, Sessions
from brlib.recorder.doubt import came_to_its_end, goes_on
from brlib.recorder.reception import Reception

from .media import ts_clips
from .origin import Origin
from .scenario import publish
from .test_active import Clock, FakeCapture

LAST = Recording("rec_aaaaaaaaaaaa", "ch_aaaaaaaaaaaa", "x", "kick", "x",
                 RecordingStatus.PROCESSING, utc_now(), broadcast_id="b1",
                 end_reason=EndReason.ENDED)


@pytest.mark.parametrize("last, broadcast_id, over", [
    pytest.param(LAST, "b1", True, id="ended by its playlist"),
    pytest.param(replace(LAST, status=RecordingStatus.COMPLETE), "b1", True, id="long ago"),
    pytest.param(LAST, "b2", False, id="another one"),
    pytest.param(LAST, None, False, id="nobody knows which"),
    pytest.param(replace(LAST, broadcast_id=None), None, False, id="nobody ever knew"),
    pytest.param(replace(LAST, end_reason=EndReason.OFFLINE), "b1", False, id="went offline"),
    pytest.param(replace(LAST, end_reason=EndReason.STALLED), "b1", False, id="stood still"),
    pytest.param(None, "b1", False, id="the first"),
])
def test_came_to_its_end(last: Recording | None, broadcast_id: str | None, over: bool) -> None:
    assert came_to_its_end(last, broadcast_id) is over


def test_a_playlist_tells_of_its_end() -> None:
    session = Sessions().new()
    try:
        with Origin() as origin:
            publish(origin, ts_clips(3), every_s=0.0)
            opened = Opened(HLSStream(session, origin.url), "source")
            assert goes_on(opened)
            origin.end()
            assert not goes_on(opened)
    finally:
        session.http.close()


def test_a_session_without_a_playlist_has_nothing_on_its_way(tmp_path: Path) -> None:
    """What the one before it had is missing, once nobody will fetch it any more."""
    capture = FakeCapture(Clock())

    class Captures:
        def create(self, name: str, directory: Path, on_news: object) -> FakeCapture:
            return capture

        recover = create

    reception = Reception(Captures(), "r", tmp_path / "r", lambda: None, None)
    reception.open(object(), anew=True)
    reception.close()
    reception.open(object(), anew=False)
    capture.sessions[1].judged = False
    reception.close()
    reception.finish(over=True)
    assert [one.written_off for one in capture.sessions] == [True, False]
