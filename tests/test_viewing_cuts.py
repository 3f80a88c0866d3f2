"""What cutting costs and what becomes of it: nothing twice, nothing torn, nothing left."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from brlib.errors import Unavailable
from brlib.viewing import cuts, divisions
from brlib.viewing.transport import Range, ranges

from .finished_media import finished, inits, pieces
from .player import Room


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    one = Room(tmp_path)
    yield one
    # No cut is left half done.
    assert not [name for name in cut_files(one) if name.startswith(".")]
    one.close()


def counted(room: Room, body: str = 'exec ffmpeg "$@"') -> Path:
    """The configured FFmpeg becomes a script that notes each call."""
    place = room.settings.data_directory / "bin"
    place.mkdir()
    script, calls = place / "ffmpeg", place / "calls"
    script.write_text(f"#!/bin/sh\necho call >> '{calls}'\n{body}\n")
    script.chmod(0o755)
    (place / "ffprobe").symlink_to("/usr/bin/ffprobe")
    calls.touch()
    room.settings = replace(room.settings, ffmpeg_path=str(script))
    return calls


def cut_files(room: Room) -> list[str]:
    return sorted(os.listdir(room.settings.data_directory / "viewing" / "cuts"))


def test_who_asks_again_costs_nothing(room: Room) -> None:
    calls, recording = counted(room), finished(room, "vp9.mkv")
    text = room.viewing.playlist(recording)
    (init,), (first, second) = inits(text), pieces(text)[:2]
    threads = [threading.Thread(target=room.viewing.media, args=(recording, name))
               for name in (init, first) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    room.viewing.media(recording, first)
    room.viewing.media(recording, init)
    assert calls.read_text().count("call") == 1
    room.viewing.media(recording, second)
    assert calls.read_text().count("call") == 2
    room.viewing.forget(recording.id)
    assert cut_files(room) == []
    room.viewing.media(recording, second)
    assert calls.read_text().count("call") == 3


def test_kept_pieces_are_bounded(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "KEPT_BYTES", 1)
    monkeypatch.setattr(cuts, "KEPT_FILES", 2)
    recording = finished(room, "x264.mp4")
    names = pieces(room.viewing.playlist(recording))
    before = [room.viewing.media(recording, name).path.read_bytes() for name in names]
    assert cut_files(room) == [f"{recording.id}-{name}" for name in names[-2:]]
    assert room.viewing.media(recording, names[0]).path.read_bytes() == before[0]


@pytest.mark.parametrize("body, says", [
    ("exit 3", r"FFmpeg failed \(3\)"),
    ("echo No space left; exit 1", "No space left"),
    ('for o; do :; done; : > "$o"', "empty piece"), ("exit 0", "cannot be written"),
    ("exec sleep 60", "longer than"),
], ids=["fails", "says why", "empty", "no file", "hangs"])
def test_a_cut_that_fails_leaves_nothing(
    body: str, says: str, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuts, "CUT_MAX_S", 0.5 if "sleep" in body else 20.0)
    counted(room, body)
    recording = finished(room, "short.mp4")
    name = pieces(room.viewing.playlist(recording))[0]
    with pytest.raises(Unavailable, match=says):
        room.viewing.media(recording, name)
    assert cut_files(room) == []
    room.settings = replace(room.settings, ffmpeg_path="ffmpeg")
    assert room.viewing.media(recording, name).size_bytes > 1000


def test_fragmented_mp4_without_a_fragment_is_no_piece(room: Room) -> None:
    counted(room, 'for o; do :; done; head -c 50 /dev/zero > "$o"')
    recording = finished(room, "vp9.mkv")
    with pytest.raises(Unavailable, match="empty piece"):
        room.viewing.media(recording, pieces(room.viewing.playlist(recording))[0])


def test_more_than_can_be_cut_at_a_time(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who wait too long are told; a stop ends what runs and what waits."""
    monkeypatch.setattr(cuts, "QUEUE_MAX_S", 0.5)
    calls, recording = counted(room, "exec sleep 60"), finished(room, "x264.mp4")
    names = pieces(room.viewing.playlist(recording))
    said: list[str] = []

    def watch(name: str) -> None:
        try:
            room.viewing.media(recording, name)
        except Unavailable as error:
            said.append(str(error))

    threads = [threading.Thread(target=watch, args=(name,)) for name in names[:cuts.AT_ONCE]]
    for thread in threads:
        thread.start()
    deadline_s, pause = time.monotonic() + 20, threading.Event()
    while calls.read_text().count("call") < cuts.AT_ONCE:
        assert time.monotonic() < deadline_s
        pause.wait(0.02)
    watch(names[cuts.AT_ONCE])
    assert said == ["Too much is being watched at the same time: try again"]
    room.viewing.stop()
    for thread in threads:
        thread.join(10)
    assert said[1:] == ["The daemon is stopping"] * cuts.AT_ONCE
    assert calls.read_text().count("call") == cuts.AT_ONCE


def test_ffmpeg_missing_says_what_to_do(room: Room) -> None:
    recording = finished(room, "short.mp4")
    room.settings = replace(room.settings, ffmpeg_path="/nowhere/ffmpeg")
    for _ in range(2):
        with pytest.raises(Unavailable, match="install FFmpeg or set ffmpeg_path"):
            room.viewing.playlist(recording)
    room.settings = replace(room.settings, ffmpeg_path="ffmpeg")
    assert "#EXTINF" in room.viewing.playlist(recording)


def test_a_file_that_takes_long_is_asked_for_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(divisions, "WAIT_S", 0.0)
    begun, go_on = threading.Event(), threading.Event()

    def slowly(path: Path, stopping: threading.Event) -> list[Range]:
        begun.set()
        go_on.wait(20)
        return ranges(path, stopping)

    monkeypatch.setattr(divisions, "ranges", slowly)
    recording = finished(room, "x264.ts")
    with pytest.raises(Unavailable, match="still being looked through"):
        room.viewing.playlist(recording)
    assert begun.wait(20)
    go_on.set()
    monkeypatch.setattr(divisions, "WAIT_S", 20.0)
    assert "#EXTINF" in room.viewing.playlist(recording)
