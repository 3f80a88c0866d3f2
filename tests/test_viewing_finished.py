"""Watching a recording from its finished files: every picture and sound once, in time.

FFmpeg is the player; captures are in test_viewing, the cuts in test_viewing_cuts.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from brlib.errors import Conflict, NotFound, Unavailable
from brlib.mpegts import program

from .finished_media import (
    LENGTH_S, SHORT_S, SOURCE, X264, audio_of, complete, durations_s, encode, finished, inits,
    length_s, made, pieces, reference,
)
from .media import fmp4_clips, ts_clips
from .player import Room, bytes_of, on_stage, play


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    one = Room(tmp_path)
    yield one
    one.close()


@pytest.mark.parametrize("names", [
    ("x264.mp4",), ("x264.ts",), ("open.mkv",), ("x265.mp4",), ("silent.mp4",), ("sound.mkv",),
    ("sound.ts",), ("x264.mp4", "short.mp4"), ("vp9.mkv", "vp9.mkv"), ("short.ts", "x264.mkv"),
], ids=" ".join)
def test_everything_once_and_in_time(
    names: tuple[str, ...], room: Room
) -> None:
    recording = finished(room, *names)
    text = room.viewing.playlist(recording)
    with on_stage(room.viewing, lambda: recording) as stage:
        played = play(stage.url, audio_of(names[0]))
    sources = [reference(name) for name in names]
    assert played.pictures == [p for source in sources for p in source.pictures]
    assert played.sounds == [s for source in sources for s in source.sounds]
    if len(names) == 1:
        moved = {round(b - a, 2) for a, b in
                 zip(sources[0].times_s, played.times_s, strict=True)}
        assert len(moved) == bool(sources[0].pictures)
    assert not stage.refused
    assert text.count("#EXT-X-DISCONTINUITY\n") == len(names) - 1
    assert text.endswith("#EXT-X-ENDLIST\n") and "#EXT-X-PLAYLIST-TYPE:VOD\n" in text
    assert sum(durations_s(text)) == pytest.approx(sum(map(length_s, names)), abs=0.3)


@pytest.mark.parametrize("name", ["x264.mp4", "x264.mkv", "x264.ts"])
def test_pieces_begin_with_a_keyframe_where_the_list_says(name: str, room: Room) -> None:
    recording = finished(room, name)
    text = room.viewing.playlist(recording)
    begins_s = list(itertools.accumulate(durations_s(text), initial=0.0))
    assert len(begins_s) > 2 and max(durations_s(text)) <= 8
    assert all(begin_s % 2 == pytest.approx(0, abs=0.05) for begin_s in begins_s[:-1])


@pytest.mark.parametrize("name", ["x264.mp4", "vp9.mkv"])
def test_a_piece_can_be_had_alone(name: str, room: Room, tmp_path: Path) -> None:
    """A player that seeks: the last piece first, then the init section if there is one."""
    recording = finished(room, name)
    text = room.viewing.playlist(recording)
    last = room.viewing.media(recording, pieces(text)[-1])
    maps = [room.viewing.media(recording, init) for init in inits(text)]
    assert [m.content_type for m in maps] == (["video/mp4"] if name == "vp9.mkv" else [])
    assert last.content_type == ("video/mp4" if maps else "video/mp2t")
    assert last.size_bytes == last.path.stat().st_size and not last.start
    alone = tmp_path / "alone"
    alone.write_bytes(b"".join(media.path.read_bytes() for media in (*maps, last)))
    shown = play(alone, audio_of(name)).pictures
    assert shown and shown == reference(name).pictures[-len(shown):]


def test_timestamps_that_begin_again_are_a_discontinuity(room: Room) -> None:
    recording = finished(room, "x264.ts")
    path = Path(recording.files[0])
    path.write_bytes(b"".join(
        made(name).read_bytes() for name in ("x264.ts", "short.ts", "x264.ts")))
    text = room.viewing.playlist(recording)
    assert b"".join(bytes_of(room.viewing.media(recording, name)) for name in pieces(text)) == (
        path.read_bytes())
    assert text.count("#EXT-X-DISCONTINUITY\n") == 2
    assert sum(durations_s(text)) == pytest.approx(2 * LENGTH_S + SHORT_S, abs=0.3)
    with on_stage(room.viewing, lambda: recording) as stage:
        once, short = reference("x264.ts").pictures, reference("short.ts").pictures
        assert play(stage.url).pictures == once + short + once


@pytest.mark.parametrize("container", ["ts", "mp4"])
def test_segments_put_one_behind_the_other(container: str, room: Room) -> None:
    """The files of mode concatenate."""
    init, clips = (b"", ts_clips(24)) if container == "ts" else fmp4_clips(24)
    path = room.settings.output_directory / f"all.{container}"
    path.write_bytes(init + b"".join(clip.body for clip in clips))
    recording = complete(path)
    with on_stage(room.viewing, lambda: recording) as stage:
        played, direct = play(stage.url), play(path)
    assert (played.pictures, played.sounds) == (direct.pictures, direct.sounds)
    assert sum(durations_s(room.viewing.playlist(recording))) == pytest.approx(12, abs=0.3)


def test_a_sound_that_ends_early_is_not_looked_for(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brlib.viewing.outline._SILENT_S", 2.0)
    path = encode(f"-t {LENGTH_S} {SOURCE.replace('sine=', 'sine=duration=5:')} {X264}",
                  room.settings.output_directory / "a.mp4")
    recording = complete(path)
    with on_stage(room.viewing, lambda: recording) as stage:
        played, direct = play(stage.url), play(path)
    assert (played.pictures, played.sounds) == (direct.pictures, direct.sounds)


# Which files, and which names.


def test_a_file_that_changed_is_another_one(room: Room) -> None:
    recording = finished(room, "short.mp4", "short.ts")
    before = pieces(room.viewing.playlist(recording))
    for name in before:
        assert room.viewing.media(recording, name).size_bytes
    for file, other in zip(recording.files, ("x264.mp4", "x264.ts")):
        Path(file).write_bytes(made(other).read_bytes())
    for name in before:
        with pytest.raises(NotFound):
            room.viewing.media(recording, name)
    after = pieces(room.viewing.playlist(recording))
    assert not set(after) & set(before)
    for name in (after[0], after[-1]):
        assert room.viewing.media(recording, name).size_bytes


def test_other_names_are_not_found(room: Room) -> None:
    recording = finished(room, "short.mp4")
    name = pieces(room.viewing.playlist(recording))[0]
    for old, new in [
        ("f1-", "f2-"), ("f1-", "f01-"), ("f1", "f0"), ("-000000", "-000099"),
        ("-000000", "-00000"), ("-000000", "-init"), ("-000000", ""),
        ("-000000.ts", "-init.mp4"), (".ts", ".mp4"), (".ts", ".m4s"), (".ts", ".ts\n"),
        ("f1-", "../f1-"), ("f1-", "/f1-"), ("f1-", "rec_one-f1-"),
    ]:
        assert old in name
        with pytest.raises(NotFound):
            room.viewing.media(recording, name.replace(old, new))
    assert room.viewing.media(recording, name).size_bytes


def test_only_pieces_of_a_transport_stream_that_are_named(room: Room) -> None:
    recording = finished(room, "x264.ts")
    first, second, *_ = pieces(room.viewing.playlist(recording))
    whole_bytes = Path(recording.files[0]).stat().st_size
    found = re.fullmatch(r"(f1-[0-9a-f]{8})-0-(\d+)\.ts", first)
    assert found is not None
    stem, size_bytes = found[1], int(found[2])
    for name in (
        f"{stem}.ts", f"{stem}-0-{whole_bytes}.ts", f"{stem}-0-{size_bytes - 1}.ts",
        f"{stem}-00-{size_bytes}.ts", f"{stem}-1-{size_bytes - 1}.ts", f"{stem}-{whole_bytes}-1.ts",
        f"{stem}-000000.ts", f"{stem}-init.ts", f"{stem}-init.mp4", first.replace(".ts", ".mp4"),
        f"{stem}-{9 ** 40}-1.ts", first.replace("f1", "f2"),
    ):
        with pytest.raises(NotFound):
            room.viewing.media(recording, name)
    assert room.viewing.media(recording, first).size_bytes == size_bytes
    assert room.viewing.media(recording, second).start == size_bytes


@pytest.mark.parametrize("name", ["short.ts", "short.mkv"])
def test_tables_put_an_init_section_out_of_force(name: str, room: Room) -> None:
    """Without asking for a range: see brlib.hls."""
    recording = finished(room, "vp9.mkv", name)
    text = room.viewing.playlist(recording)
    _, tables = inits(text)
    head = bytes_of(room.viewing.media(recording, tables))
    first = next(piece for piece in pieces(text) if piece.startswith("f2-"))
    assert bytes_of(room.viewing.media(recording, first)).startswith(head)
    assert len(head) == 3 * 188 and program(head)


@pytest.mark.parametrize("how", ["outside", "link", "link above", "gone", "directory", "NUL"])
def test_only_files_in_the_output_directory(how: str, room: Room, tmp_path: Path) -> None:
    recording = finished(room, "short.mp4")
    path, outside = Path(recording.files[0]), tmp_path / "elsewhere"
    outside.mkdir()
    if how != "NUL":
        path.rename(outside / "a.mp4")
    if how == "link":
        path.symlink_to(outside / "a.mp4")
    if how == "link above":
        (path.parent / "in").symlink_to(outside)
    if how == "directory":
        path.mkdir()
    name = {"outside": str(outside / "a.mp4"), "link above": str(path.parent / "in" / "a.mp4"),
            "NUL": str(path) + "\0"}.get(how, str(path))
    recording = replace(recording, files=(name,))
    with pytest.raises(NotFound):
        room.viewing.playlist(recording)
    if how == "outside":
        own = replace(recording, output_directory=str(outside))
        assert "#EXTINF" in room.viewing.playlist(own)


def test_what_is_left_of_several_files_is_played(room: Room) -> None:
    recording = finished(room, "short.mp4", "short.ts")
    Path(recording.files[0]).unlink()
    text = room.viewing.playlist(recording)
    assert pieces(text) and all(name.startswith("f2-") for name in pieces(text))


@pytest.mark.parametrize("name", ["pcm.mkv", "sound.aac", "noise.ts"])
def test_what_hls_has_no_room_for_says_how_to_get_it(name: str, room: Room) -> None:
    if name == "noise.ts":
        path = room.settings.output_directory / name
        path.write_bytes(b"\x47\x40\x00" + os.urandom(100_000))
        recording = complete(path)
    else:
        recording = finished(room, name)
    for _ in range(2):
        with pytest.raises(Conflict, match=r"GET /api/recordings/\{id\}/file"):
            room.viewing.playlist(recording)


def test_a_broken_file_can_be_asked_for_again(room: Room) -> None:
    recording = finished(room, "short.mp4")
    Path(recording.files[0]).write_bytes(b"no media")
    for _ in range(2):
        with pytest.raises(Unavailable):
            room.viewing.playlist(recording)
