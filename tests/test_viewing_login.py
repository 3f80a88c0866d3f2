"""Players that say their password only when they are asked for it: FFmpeg's way, at every
piece, with the challenge that the daemon's door sends."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .finished_media import finished, reference
from .media import Clip, fmp4_clips, ts_clips
from .player import RECORDING, Played, Room, on_stage, play
from .test_viewing import CLOSED, append, assert_same, one_part, whole

KEY = "br_" + "k" * 40
COUNT = 8
ways = pytest.mark.parametrize("container", ["ts", "mp4"])
connections = pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"])


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    one = Room(tmp_path)
    yield one
    one.close()


def clips_of(container: str) -> tuple[bytes, list[Clip]]:
    return (b"", ts_clips(COUNT)) if container == "ts" else fmp4_clips(COUNT)


def named(text: str) -> list[str]:
    return [f"/media/{name}" for name in re.findall(r"media/([^\"\n]+)", text)]


@ways
@connections
def test_a_growing_capture_asks_for_the_password(
    protocol: str, container: str, room: Room, tmp_path: Path
) -> None:
    (init, clips), now = clips_of(container), [RECORDING]
    ledger = room.capture()
    one_part(clips[:4], container, init)(ledger, tmp_path)
    seen: list[Played] = []
    with on_stage(room.viewing, lambda: now[0], KEY, protocol) as stage:
        player = threading.Thread(target=lambda: seen.append(play(stage.url)))
        player.start()
        for clip in clips[4:]:
            stage.wait_for_reload()
            append(ledger, clip)
        ledger.close()
        now[0] = CLOSED
        player.join(30)
    assert_same(seen, [whole(tmp_path / f"all.{container}", clips, init)])
    # The init section may be asked for again at each reload.
    asked = dict.fromkeys(path for path in stage.asked if "media" in path)
    assert list(asked) == named(room.viewing.playlist(CLOSED))
    # On a connection that is kept the password goes on, too.
    assert protocol == "HTTP/1.1" or stage.challenged == stage.asked
    assert stage.challenged and not stage.refused


@ways
@connections
def test_a_closed_capture_asks_for_the_password(
    protocol: str, container: str, room: Room, tmp_path: Path
) -> None:
    init, clips = clips_of(container)
    ledger = room.capture()
    sources = one_part(clips, container, init)(ledger, tmp_path)
    ledger.close()
    with on_stage(room.viewing, lambda: CLOSED, KEY, protocol) as stage:
        assert_same([play(stage.url)], sources)
    assert stage.asked == ["/playlist.m3u8", *named(room.viewing.playlist(CLOSED))]
    assert protocol == "HTTP/1.1" or stage.challenged == stage.asked
    assert stage.challenged and not stage.refused


def test_a_finished_transport_stream_asks_for_the_password(room: Room) -> None:
    """Its pieces stand in the file as it is."""
    recording = finished(room, "x264.ts")
    with on_stage(room.viewing, lambda: recording, KEY, "HTTP/1.0") as stage:
        played = play(stage.url)
    assert (played.pictures, played.sounds) == (
        reference("x264.ts").pictures, reference("x264.ts").sounds)
    assert stage.challenged == stage.asked and not stage.refused


def test_a_wrong_password_gets_nothing(room: Room, tmp_path: Path) -> None:
    ledger = room.capture()
    one_part(ts_clips(3), "ts")(ledger, tmp_path)
    ledger.close()
    with on_stage(room.viewing, lambda: CLOSED, KEY) as stage:
        with pytest.raises(subprocess.CalledProcessError):
            play(stage.url.replace(KEY, "br_other"))
    assert not stage.asked
