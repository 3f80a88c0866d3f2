"""What becomes of a capture that is dropped while somebody watches it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from brlib.errors import NotFound
from brlib.ledger import Ledger
from brlib.models import Recording
from brlib.viewing.viewing import CAPTURES_KEPT, FORGOTTEN_S, HELD_S

from .engine import Engine
from .finished_media import complete, pieces
from .media import Clip, ts_clips
from .origin import Origin
from .player import RECORDING, Played, Room, bytes_of, on_stage, play
from .test_viewing import CLOSED, FIRST, append, assert_same, one_part, whole


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    one = Room(tmp_path)
    yield one
    one.close()


@pytest.fixture
def open_capture(room: Room) -> Iterator[Ledger]:
    ledger = room.capture()
    one_part(ts_clips(3), "ts")(ledger, room.settings.output_directory)
    yield ledger
    ledger.close()


def finish(room: Room, clips: list[Clip]) -> Recording:
    """The finished file is there, the capture is not."""
    path = whole(room.settings.output_directory / "finished.ts", clips)
    room.drop()
    return complete(path)


def test_who_watches_goes_on_when_the_capture_is_dropped(room: Room, tmp_path: Path) -> None:
    clips, now = ts_clips(8), [RECORDING]
    ledger = room.capture()
    one_part(clips[:3], "ts")(ledger, tmp_path)
    seen: list[Played] = []
    with on_stage(room.viewing, lambda: now[0]) as stage:
        player = threading.Thread(target=lambda: seen.append(play(stage.url)))
        player.start()
        stage.wait_for_reload()
        for clip in clips[3:]:
            append(ledger, clip)
        ledger.close()
        now[0] = finish(room, clips)
        player.join(30)
    assert_same(seen, [tmp_path / "out" / "finished.ts"])
    assert not stage.refused


def test_a_dropped_capture_is_held_while_it_is_watched(room: Room, open_capture: Ledger) -> None:
    before = room.viewing.playlist(RECORDING)
    append(open_capture, ts_clips(4)[3])
    open_capture.close()
    finished = finish(room, ts_clips(4))
    text = room.viewing.playlist(finished)
    assert text.startswith(before.replace("EVENT", "VOD")) and text.count("#EXTINF") == 4
    assert text.endswith("#EXT-X-ENDLIST\n")
    for _ in range(3):
        room.now_s += HELD_S
        room.viewing.step()
        assert [bytes_of(room.viewing.media(finished, name)) for name in pieces(text)] == [
            clip.body for clip in (*ts_clips(3), ts_clips(4)[3])]
    room.now_s += HELD_S + 1
    room.viewing.step()
    assert room.held() == []
    with pytest.raises(NotFound):
        room.viewing.media(finished, FIRST)
    assert "media/f1-" in room.viewing.playlist(finished)


def test_a_dropped_capture_leaves_when_space_is_short(room: Room, open_capture: Ledger) -> None:
    room.viewing.playlist(RECORDING)
    room.settings = replace(room.settings, min_free_space=2 ** 62)
    room.viewing.step()
    assert room.held() == ["rec_one"]
    open_capture.close()
    finished = finish(room, ts_clips(3))
    room.viewing.step()
    assert room.held() == []
    assert "media/f1-" in room.viewing.playlist(finished)


def test_a_part_that_nobody_could_hold_is_missed(room: Room, open_capture: Ledger) -> None:
    room.viewing.playlist(RECORDING)
    open_capture.begin_part("ts hevc", ".ts", b"")
    append(open_capture, ts_clips(4)[3])
    open_capture.close()
    finished = finish(room, ts_clips(4))
    assert "media/f1-" in room.viewing.playlist(finished)
    assert room.held() == []


def test_without_hard_links_the_finished_file_follows(
    room: Room, open_capture: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("not on this file system")

    monkeypatch.setattr(os, "link", refuse)
    assert room.viewing.playlist(RECORDING).count("#EXTINF") == 3
    assert room.viewing.media(RECORDING, FIRST).path == room.directory() / "0001.ts"
    open_capture.close()
    finished = finish(room, ts_clips(3))
    with pytest.raises(NotFound):
        room.viewing.media(finished, FIRST)
    assert "media/f1-" in room.viewing.playlist(finished)


def test_a_deleted_recording_is_forgotten(room: Room, open_capture: Ledger) -> None:
    room.viewing.playlist(RECORDING)
    assert room.held() == ["rec_one"]
    open_capture.close()
    room.drop()
    room.viewing.forget(RECORDING.id)
    room.viewing.forget("rec_never_seen")
    assert room.held() == []
    with pytest.raises(NotFound):
        room.viewing.playlist(CLOSED)


def test_what_is_remembered_is_bounded(room: Room) -> None:
    for number in range(CAPTURES_KEPT + 3):
        recording = replace(RECORDING, id=f"rec_{number:02d}")
        ledger = room.capture(recording)
        one_part(ts_clips(1), "ts")(ledger, room.settings.output_directory)
        ledger.close()
        assert "#EXTINF" in room.viewing.playlist(recording)
    assert room.held() == [f"rec_{number:02d}" for number in range(3, CAPTURES_KEPT + 3)]
    assert "#EXTINF" in room.viewing.playlist(replace(RECORDING, id="rec_00"))
    room.now_s += FORGOTTEN_S + 1
    room.viewing.step()
    assert room.held() == []


def test_leftovers_go_at_the_start(tmp_path: Path) -> None:
    left = tmp_path / "data" / "viewing" / "rec_old"
    left.mkdir(parents=True)
    (left / "0001.ts").write_bytes(b"x")
    one = Room(tmp_path)
    assert one.held() == []
    one.close()
    one.close()


def test_a_broadcast_from_its_first_segment_to_its_file(engine: Callable[..., Engine]) -> None:
    """With everything real: recorded, watched, finished, its capture dropped, watched again."""
    one, clips = engine(), ts_clips(12)
    seen: list[Played] = []
    with Origin() as origin:
        for clip in clips[:3]:
            origin.add(clip)
        one.add(origin.url)
        recording_id: str = one.wait_segments(3).data["id"]
        with on_stage(one.service.viewing, lambda: one.recording(recording_id)) as stage:
            player = threading.Thread(target=lambda: seen.append(play(stage.url)))
            player.start()
            stage.wait_for_reload()
            for clip in clips[3:]:
                origin.add(clip)
            origin.end()
            finished = one.wait_complete()
            player.join(30)
            assert not one.capture_directory(recording_id).exists()
            one.service.viewing.forget(recording_id)
            again = play(stage.url)
        assert not stage.refused
    (path,) = finished.files
    assert len(play(path).pictures) == sum(clip.frames for clip in clips)
    assert_same([again], [Path(path)])
    assert seen[0].pictures == again.pictures
