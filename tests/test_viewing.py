"""Watching a recording from its capture: while it grows, when it is closed, when it is gone.

FFmpeg is the player; the finished files are in test_viewing_finished.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from brlib.errors import NotFound, Unavailable
from brlib.ledger import INDEX, Ledger
from brlib.models import Gap, GapCause, RecordingStatus
from brlib.playlist import Hole
from brlib.tally import digest_of

from .finished_media import inits, pieces
from .media import Clip, fmp4_clips, ts_clips
from .player import RECORDING, Played, Room, Stage, bytes_of, on_stage, play
from .test_playlist import MOMENT, segment

CLOSED = replace(RECORDING, status=RecordingStatus.PROCESSING)
GAP = Hole(Gap(MOMENT, 1.0, 0.5, 1, GapCause.NETWORK), 3, 0)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    one = Room(tmp_path)
    yield one
    one.close()


def append(ledger: Ledger, clip: Clip, num: int = 0, **changes: Any) -> None:
    ledger.append_segment(clip.body, segment(
        num, digest=digest_of(clip.body), duration_s=clip.duration_s, **changes))


def whole(path: Path, clips: list[Clip], init: bytes = b"") -> Path:
    path.write_bytes(init + b"".join(clip.body for clip in clips))
    return path


def assert_same(seen: list[Played], sources: list[Path]) -> None:
    """One player saw and heard all of the sources once, in their order."""
    (played,), expected = seen, [play(source) for source in sources]
    assert played.pictures == [picture for one in expected for picture in one.pictures]
    assert played.sounds == [sound for one in expected for sound in one.sounds]
    assert played.sounds


def test_from_its_beginning_while_it_grows(room: Room, tmp_path: Path) -> None:
    """The player begins at the third segment and ends at the ENDLIST."""
    clips, now = ts_clips(8), [RECORDING]
    ledger = room.capture()
    ledger.begin_part("ts h264 160x90 + aac", ".ts", b"")
    for clip in clips[:3]:
        append(ledger, clip)
    seen: list[Played] = []
    with on_stage(room.viewing, lambda: now[0]) as stage:
        player = threading.Thread(target=lambda: seen.append(play(stage.url)))
        player.start()
        for clip in clips[3:]:
            stage.wait_for_reload()
            assert "ENDLIST" not in room.viewing.playlist(RECORDING)
            append(ledger, clip)
        ledger.close()
        now[0] = CLOSED
        player.join(30)
    assert_same(seen, [whole(tmp_path / "whole.ts", clips)])
    assert not stage.refused


def two_parts(ledger: Ledger, place: Path) -> list[Path]:
    first, second = ts_clips(3), ts_clips(3, size="192x108")
    for size, clips in (("160x90", first), ("192x108", second)):
        ledger.begin_part(f"ts h264 {size} + aac", ".ts", b"")
        for clip in clips:
            append(ledger, clip)
    return [whole(place / "1.ts", first), whole(place / "2.ts", second)]


def one_part(clips: list[Clip], container: str, init: bytes = b"", gap_at: int = -1,
             **changes: Any) -> Callable[[Ledger, Path], list[Path]]:
    def make(ledger: Ledger, place: Path) -> list[Path]:
        ledger.begin_part(f"{container} h264", f".{container}", init)
        for number, clip in enumerate(clips):
            if number == gap_at:
                ledger.append(GAP)
            append(ledger, clip, **changes)
        return [whole(place / f"whole.{container}", clips, init)]
    return make


def fmp4(ledger: Ledger, place: Path) -> list[Path]:
    init, clips = fmp4_clips(6)
    return one_part(clips, "mp4", init)(ledger, place)


def gap(ledger: Ledger, place: Path) -> list[Path]:
    clips = ts_clips(8)
    return one_part(clips[:3] + clips[5:], "ts", gap_at=3)(ledger, place)


def reset(ledger: Ledger, place: Path) -> list[Path]:
    """A streamer's encoder began again: the same timestamps once more."""
    first, second = ts_clips(3), ts_clips(3, seed="b")
    one_part(first, "ts")(ledger, place)
    for number, clip in enumerate(second):
        append(ledger, clip, discontinuity=not number)
    return [whole(place / "1.ts", first), whole(place / "2.ts", second)]


def audio(container: str, *options: str) -> Callable[[Ledger, Path], list[Path]]:
    """The sound alone, in a stream or packed (RFC 8216, 3.4)."""
    def make(ledger: Ledger, place: Path) -> list[Path]:
        only = []
        for number, clip in enumerate(ts_clips(4)):
            whole(place / "clip.ts", [clip])
            target = place / f"{number}.{container}"
            subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-copyts", "-i", place / "clip.ts",
                            "-vn", "-c", "copy", *options, target], check=True, timeout=60)
            only.append(replace(clip, body=target.read_bytes()))
        return one_part(only, container)(ledger, place)
    return make


@pytest.mark.parametrize("make, discontinuities", [
    (one_part(ts_clips(6), "ts"), 0), (fmp4, 0), (two_parts, 1), (gap, 1), (reset, 1),
    (audio("ts", "-muxdelay", "0"), 0), (audio("aac", "-f", "adts"), 0),
], ids=["ts", "fmp4", "two parts", "a gap", "timestamps begin again", "audio", "packed audio"])
def test_a_closed_capture_has_everything_once(
    make: Callable[[Ledger, Path], list[Path]], discontinuities: int, room: Room, tmp_path: Path
) -> None:
    ledger = room.capture()
    sources = make(ledger, tmp_path)
    ledger.close()
    text = room.viewing.playlist(CLOSED)
    assert text.count("#EXT-X-DISCONTINUITY\n") == discontinuities
    assert "#EXT-X-PLAYLIST-TYPE:VOD\n" in text and text.endswith("#EXT-X-ENDLIST\n")
    with on_stage(room.viewing, lambda: CLOSED) as stage:
        played = play(stage.url)
    assert not stage.refused
    if make is two_parts:
        # FFmpeg shows a part of another size in the size that it began with.
        assert len(played.pictures) == sum(len(play(source).pictures) for source in sources)
    else:
        assert_same([played], sources)


@pytest.fixture
def open_capture(room: Room) -> Iterator[Ledger]:
    ledger = room.capture()
    one_part(ts_clips(3), "ts")(ledger, room.settings.output_directory)
    yield ledger
    ledger.close()


def test_only_committed_bytes_are_media(room: Room, open_capture: Ledger) -> None:
    path, clips = room.directory() / "0001.ts", [*ts_clips(3), ts_clips(4)[3]]
    committed = sum(len(clip.body) for clip in clips[:3])
    fourth = f"0001-{committed}-{len(clips[3].body)}.ts"
    with open(path, "ab") as file:
        file.write(clips[3].body)
    with pytest.raises(NotFound):
        room.viewing.media(RECORDING, fourth)
    os.truncate(path, committed)
    append(open_capture, clips[3])
    media = room.viewing.media(RECORDING, fourth)
    assert (media.start, media.size_bytes) == (committed, len(clips[3].body))
    assert media.content_type == "video/mp2t" and media.path.samefile(path)
    names = pieces(room.viewing.playlist(RECORDING))
    assert [bytes_of(room.viewing.media(RECORDING, name)) for name in names] == [
        clip.body for clip in clips]


def test_an_init_section_is_a_piece_of_its_own(room: Room, tmp_path: Path) -> None:
    ledger = room.capture()
    init, clips = fmp4_clips(2)
    one_part(clips, "mp4", init)(ledger, tmp_path)
    ledger.close()
    (name,) = inits(room.viewing.playlist(CLOSED))
    assert bytes_of(room.viewing.media(CLOSED, name)) == init
    with pytest.raises(NotFound):
        room.viewing.media(CLOSED, f"0001-0-{len(init) + len(clips[0].body)}.mp4")


FIRST = f"0001-0-{len(ts_clips(1)[0].body)}.ts"


@pytest.mark.parametrize("name", [
    "index.m3u8", f"../rec_two/{FIRST}", "..", "", ".", "0001.ts", "0002.ts", "/etc/passwd",
    FIRST.replace("0001", "0002"), FIRST.replace(".ts", ".mp4"), FIRST.replace(".ts", ".TS"),
    FIRST.replace("0001", "1"), FIRST.replace("0001", "00001"), FIRST.replace("0001", "٠٠٠١"),
    FIRST.replace("-0-", "-00-"), FIRST.replace("-0-", "-1-"), FIRST.replace("-0-", "--1-"),
    FIRST.replace("-0-", "-0-0"), FIRST.replace(".ts", "0.ts"), "0001-0-1.ts", "0001-0-0.ts",
    f"0001-0-{9 ** 40}.ts", f"0001-{9 ** 40}-1.ts", FIRST + "\n", FIRST + "/", FIRST + "\0",
    "f1-00000000.ts", "f1-00000000-init.mp4", "f1-00000000-000000.m4s", "f1-00000000-0-9.ts",
    "x" * 300,
])
def test_other_names_are_not_found(name: str, room: Room, open_capture: Ledger) -> None:
    other = replace(RECORDING, id="rec_two")
    ledger = room.capture(other)
    one_part(ts_clips(1), "ts")(ledger, room.settings.output_directory)
    ledger.close()
    (room.directory() / "0002.ts").write_bytes(b"not in the list")
    with pytest.raises(NotFound):
        room.viewing.media(RECORDING, name)
    assert room.viewing.media(RECORDING, FIRST).size_bytes


def test_a_link_in_a_captures_place_is_not_followed(room: Room, open_capture: Ledger) -> None:
    secret = room.settings.output_directory / "secret"
    secret.write_text("x" * 10_000_000)
    (room.directory() / "0001.ts").unlink()
    (room.directory() / "0001.ts").symlink_to(secret)
    with pytest.raises(NotFound):
        room.viewing.media(RECORDING, FIRST)


def test_the_text_is_the_same_until_something_is_added(room: Room, open_capture: Ledger) -> None:
    before = room.viewing.playlist(RECORDING)
    open_capture.sync()
    assert room.viewing.playlist(RECORDING) == before
    append(open_capture, ts_clips(4)[3])
    after = room.viewing.playlist(RECORDING)
    assert after.startswith(before) and after != before


def test_a_torn_line_is_not_read(room: Room, open_capture: Ledger) -> None:
    before = room.viewing.playlist(RECORDING)
    with open(room.directory() / INDEX, "ab") as file:
        file.write(b"#EXTINF:2.0,\n#EXT-X-BYTERANGE:10@")
        file.flush()
        assert room.viewing.playlist(RECORDING) == before


def test_what_recovery_cut_is_forgotten(room: Room) -> None:
    """Unsynced entries are lost in a crash; others come in their place, as many bytes."""
    clips, ledger = ts_clips(6), room.capture()
    one_part(clips[:2], "ts")(ledger, room.settings.output_directory)
    ledger.sync()
    index = room.directory() / INDEX
    synced_bytes = index.stat().st_size
    append(ledger, clips[2])
    assert room.viewing.playlist(RECORDING).count("#EXTINF") == 3
    ledger.close()
    os.truncate(index, synced_bytes)
    again = Ledger.recover(room.directory())
    append(again, replace(clips[3], duration_s=0.7))
    append(again, clips[4])
    again.close()
    text = room.viewing.playlist(RECORDING)
    assert text.count("#EXTINF") == 4 and text.count("#EXTINF:0.70000,") == 1
    assert [bytes_of(room.viewing.media(RECORDING, name)) for name in pieces(text)] == [
        clip.body for clip in (*clips[:2], *clips[3:5])]


def test_nothing_yet_and_nothing_at_all(room: Room) -> None:
    with pytest.raises(Unavailable, match="try again"):
        room.viewing.playlist(RECORDING)
    with pytest.raises(NotFound, match="neither a capture nor a finished file"):
        room.viewing.playlist(CLOSED)
    room.directory().mkdir(parents=True)
    (room.directory() / INDEX).write_bytes(b"#EXT")
    with pytest.raises(Unavailable):
        room.viewing.playlist(RECORDING)
    (room.directory() / INDEX).write_bytes(b"\0" * 100)
    for _ in range(2):
        with pytest.raises(NotFound, match="does not begin like a playlist"):
            room.viewing.playlist(CLOSED)
    with pytest.raises(NotFound):
        room.viewing.media(CLOSED, FIRST)


def test_many_at_once_see_the_same(room: Room, open_capture: Ledger) -> None:
    texts: list[str] = []
    stage = Stage(room.viewing, lambda: RECORDING)

    def watch() -> None:
        for _ in range(20):
            texts.append(stage.reply("/playlist.m3u8", None)[2].decode())
            stage.reply(f"/media/{FIRST}", "bytes=0-187")

    threads = [threading.Thread(target=watch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for clip in ts_clips(8)[3:]:
        append(open_capture, clip)
    for thread in threads:
        thread.join(20)
    last = room.viewing.playlist(RECORDING)
    assert len(texts) == 120 and all(last.startswith(text) for text in texts)
    assert not stage.refused
