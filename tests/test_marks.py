"""Tests of brlib.assembly.marks: chapters in real files, as ffprobe reads them, media untouched."""

from __future__ import annotations

import hashlib
import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from brlib.assembly import marks
from brlib.chapters import Chapter, ChapterKind
from brlib.ledger import read
from brlib.models import Broadcast, Recording

from .compare import assert_all_frames
from .engine import Engine
from .media import ts_clips
from .origin import Origin

THREE = [Chapter(0.0, 1.25, "Ünïcode 😀", ChapterKind.TITLE),
         Chapter(1.25, 2.0, "x" * 255, ChapterKind.GAP),
         Chapter(2.0, 3.0, "", ChapterKind.TITLE)]


def ffprobe(path: Path, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        ["ffprobe", "-v", "error", *options, "-of", "json", str(path)],
        capture_output=True, timeout=60, check=True)
    assert done.stderr == b""
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def told(path: Path) -> list[tuple[float, float, str]]:
    return [(float(c["start_time"]), float(c["end_time"]), c.get("tags", {}).get("title", ""))
            for c in ffprobe(path, "-show_chapters")["chapters"]]


def media(path: Path) -> str:
    """Every packet with its times and its bytes."""
    packets = ffprobe(path, "-show_packets", "-show_data_hash", "md5", "-show_entries",
                      "packet=stream_index,pts_time,dts_time,duration_time,pos,flags,data_hash")
    assert len(packets["packets"]) > 50
    return hashlib.md5(json.dumps(packets["packets"]).encode()).hexdigest()


@pytest.fixture(scope="module")
def source() -> bytes:
    return b"".join(clip.body for clip in ts_clips(24)[:6])


def made(path: Path, source: bytes, *options: str) -> Path:
    """As an assembly makes it; from a pipe."""
    form = {".mp4": "mp4", ".mkv": "matroska"}[path.suffix]
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "mpegts", "-i", "pipe:0", "-c", "copy", *options,
         "-f", form, str(path)], input=source, timeout=60, check=True)
    return path


@pytest.mark.parametrize("container", marks.CONTAINERS)
@pytest.mark.parametrize("options", [(), ("-fflags", "+bitexact"), ("-metadata", "title=x")])
def test_chapters_are_there_and_nothing_else_is_other(
    container: str, options: tuple[str, ...], source: bytes, tmp_path: Path
) -> None:
    path = made(tmp_path / f"x.{container}", source, *options)
    before, size_bytes, whole = media(path), path.stat().st_size, path.read_bytes()
    undo = marks.write(path, container, THREE)
    first, second, third = told(path)
    assert [round(start_s, 3) for start_s, _, _ in (first, second, third)] == [0, 1.25, 2]
    assert [text for _, _, text in (first, second, third)] == [c.title for c in THREE]
    assert media(path) == before
    assert path.stat().st_size < size_bytes + 1000
    marks.take_back(path, undo)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("container", marks.CONTAINERS)
def test_as_many_as_there_may_be(container: str, source: bytes, tmp_path: Path) -> None:
    path = made(tmp_path / f"x.{container}", source)
    many = [Chapter(n / 100, (n + 1) / 100, "é" * 127, ChapterKind.TITLE) for n in range(255)]
    marks.write(path, container, many)
    assert [text for _, _, text in told(path)] == [one.title for one in many]


@pytest.mark.parametrize("name, options", [
    ("x.mp4", ("-movflags", "+faststart")), ("x.mp4", ("-movflags", "+frag_keyframe")),
    ("x.mkv", ("-an", "-live", "1")),
])
def test_a_file_of_another_form_is_left_alone(
    name: str, options: tuple[str, ...], source: bytes, tmp_path: Path
) -> None:
    path = made(tmp_path / name, source, *options)
    whole = path.read_bytes()
    with pytest.raises(marks.Unmarked):
        marks.write(path, path.suffix[1:], THREE)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("container", marks.CONTAINERS)
def test_a_file_that_is_cut_anywhere_is_left_alone(
    container: str, source: bytes, tmp_path: Path
) -> None:
    path = made(tmp_path / f"x.{container}", source)
    whole = path.read_bytes()
    for length in (*range(0, 400, 7), len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(marks.Unmarked):
            marks.write(path, container, THREE)
        assert path.read_bytes() == whole[:length]


@pytest.mark.parametrize("container", marks.CONTAINERS)
@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_disk_that_is_full_leaves_the_file_as_it_was(
    container: str, writes: int, source: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, left, put = made(tmp_path / f"x.{container}", source), [writes], marks._put
    whole = path.read_bytes()

    def short(file: Any, at: int, data: bytes) -> None:
        left[0] -= 1
        if left[0] == -1:
            put(file, at, data[:len(data) // 2])
            raise OSError(28, "No space left on device")
        put(file, at, data)

    monkeypatch.setattr(marks, "_put", short)
    with pytest.raises(OSError, match="No space"):
        marks.write(path, container, THREE)
    assert path.read_bytes() == whole


def record_two(one: Engine) -> tuple[Origin, Recording]:
    """Twelve seconds under one title, twelve under another; the origin and the recording."""
    with Origin(window=0) as origin:
        clips, pause, deadline_s = ts_clips(48), threading.Event(), time.monotonic() + 20
        for clip in clips[:24]:
            origin.add(clip)
        channel = one.add(origin.url)
        recording_id: str = one.wait_segments(24).data["id"]
        one.service.recorder.note(channel.id, Broadcast(title="First", category="Chess"))
        one.service.recorder.note(channel.id, Broadcast(title="Second"))
        directory = one.capture_directory(recording_id)
        while "Second" not in read(directory).notes.values():
            assert time.monotonic() < deadline_s
            pause.wait(0.05)
        for clip in clips[24:]:
            origin.add(clip)
        one.wait_segments(48)
        live = one.service.archive.chapters(recording_id)
        assert [(c.start_s, c.end_s, c.title) for c in live][1:] == [(12, 24, "Second · Chess")]
        origin.end()
        return origin, one.wait_complete()


@pytest.mark.parametrize("container", marks.CONTAINERS)
def test_a_recording_gets_its_chapters(container: str, engine: Callable[..., Engine]) -> None:
    one = engine(container=container)
    origin, recording = record_two(one)
    assert_all_frames(recording, origin.offered)
    (_, _, name), (start_s, _, second) = told(Path(recording.files[0]))
    assert second == "Second · Chess" and start_s == pytest.approx(12, abs=0.1)
    kept = one.service.archive.chapters(recording.id)
    assert [c.title for c in kept] == [name, second], "also when the capture is gone"
    one.service.archive.reprocess(recording.id)
    again = one.wait_complete()
    assert [text for _, _, text in told(Path(again.files[0]))] == [name, second]


def test_without_chapters_the_recording_is_as_complete(
    engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path, container: str, found: Any) -> marks.Undo:
        size_bytes = path.stat().st_size
        with open(path, "r+b") as file:
            head = file.read(64)
            file.seek(0)
            file.write(bytes(64))
        return marks.Undo(size_bytes, ((0, head),))

    monkeypatch.setattr(marks, "write", broken)
    one = engine()
    origin, recording = record_two(one)
    assert recording.error is None and told(Path(recording.files[0])) == []
    assert_all_frames(recording, origin.offered)
