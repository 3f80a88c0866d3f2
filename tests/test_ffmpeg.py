"""Tests of brlib.ffmpeg: what it is told, what it says, and when a file is not believed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from brlib.ffmpeg import (
    CONTAINERS, Probe, count_args, disagreement, parse_probe, probe_args, progress_value,
    remux_args, remux_file_args, too_short,
)
from brlib.models import Sums

from .media import ts_clips, video_frames

AV = frozenset({"video", "audio"})
HOUR = Sums(segments=1800, captured_bytes=10 ** 9, captured_s=3600.0)
SHORT = Sums(segments=2, captured_bytes=10 ** 6, captured_s=4.0)


def probed(duration_s: float, size_bytes: int = 10 ** 9, kinds: frozenset[str] = AV) -> Probe:
    return Probe(duration_s, size_bytes, kinds)


@pytest.mark.parametrize("probe, held, kinds, words", [
    pytest.param(probed(3600), HOUR, AV, None, id="alike"),
    pytest.param(None, HOUR, AV, "cannot read", id="no probe"),
    pytest.param(probed(1), HOUR, AV, None, id="its length is another question"),
    pytest.param(probed(3600, kinds=frozenset({"video"})), HOUR, AV, "no audio", id="no audio"),
    pytest.param(probed(3600, kinds=frozenset()), HOUR, AV, "no audio and no video", id="neither"),
    pytest.param(probed(3600, kinds=AV | {"data"}), HOUR, AV, None, id="a stream more"),
    pytest.param(probed(3600, kinds=frozenset()), HOUR, frozenset(), None, id="kinds not known"),
    pytest.param(probed(3600, size_bytes=2 * 10 ** 8), HOUR, AV, None, id="a fifth of the bytes"),
    pytest.param(probed(3600, size_bytes=2 * 10 ** 8 - 1), HOUR, AV, "199999999 bytes",
                 id="fewer bytes"),
    pytest.param(probed(0, 0, frozenset()), Sums(), frozenset(), None, id="nothing of nothing"),
])
def test_disagreement(
    probe: Probe | None, held: Sums, kinds: frozenset[str], words: str | None
) -> None:
    problem = disagreement(probe, held, kinds)
    assert problem is None if words is None else problem is not None and words in problem


@pytest.mark.parametrize("duration_s, held, words", [
    pytest.param(3600, HOUR, None, id="alike"),
    pytest.param(4000, HOUR, None, id="longer: gaps are time"),
    pytest.param(3600 - 18.4, HOUR, None, id="0.5 % and 0.5 s shorter"),
    pytest.param(3600 - 18.6, HOUR, "3581.4 s long", id="more than that shorter"),
    pytest.param(3.5, SHORT, None, id="short: 0.5 s shorter"),
    pytest.param(3.4, SHORT, "3.4 s long, the capture 4.0 s", id="short: more than that"),
    pytest.param(0, Sums(), None, id="nothing of nothing"),
])
def test_too_short(duration_s: float, held: Sums, words: str | None) -> None:
    problem = too_short(probed(duration_s), held)
    assert problem is None if words is None else problem is not None and words in problem


ANSWER = json.dumps({
    "streams": [{"codec_type": "video"}, {"codec_type": "audio"}, {}],
    "format": {"duration": "12.5", "size": "1000"}}, indent=4)


@pytest.mark.parametrize("text, expected", [
    pytest.param(ANSWER, Probe(12.5, 1000, AV | {""}), id="answer"),
    pytest.param("[h264 @ 0x5] {bad} picture\n" + ANSWER + "\n[aac @ 0x6] odd",
                 Probe(12.5, 1000, AV | {""}), id="log lines around it"),
    pytest.param('{"format": {}}', Probe(0.0, 0, frozenset()), id="nothing known"),
    pytest.param("", None, id="empty"), pytest.param("{}", None, id="no format"),
    pytest.param("[]", None, id="a list"), pytest.param("null", None, id="null"),
    pytest.param("12", None, id="a number"), pytest.param(ANSWER[:60], None, id="cut"),
    pytest.param("No such file", None, id="no JSON"),
    pytest.param('{"format": []}', None, id="format is a list"),
    pytest.param('{"format": {"duration": "N/A"}}', None, id="no duration"),
    pytest.param('{"format": {"duration": null}}', None, id="null duration"),
    pytest.param('{"format": {"size": "x"}}', None, id="no size"),
    pytest.param('{"format": {}, "streams": 5}', None, id="streams are a number"),
    pytest.param('{"format": {}, "streams": [1]}', None, id="a stream is a number"),
])
def test_parse_probe(text: str, expected: Probe | None) -> None:
    assert parse_probe(text) == expected


@pytest.mark.parametrize("line, expected", [
    ("frame=12", ("frame", "12")), ("out_time_us=N/A", ("out_time_us", "N/A")),
    ("bitrate=  12.5kbits/s", ("bitrate", "12.5kbits/s")), ("progress=end\n", ("progress", "end")),
    ("stream_0_0_q=-1.0", ("stream_0_0_q", "-1.0")), ("", None), ("=", None), ("progress", None),
    ("[mp4 @ 0x55] dts=1 < 2", None), ("Error opening: a=b", None), ("pipe:0: x=1", None),
])
def test_progress_value(line: str, expected: tuple[str, str] | None) -> None:
    assert progress_value(line) == expected


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_arguments_work(tmp_path: Path, container: str) -> None:
    """From stdin to a file, from that to another, probed: FFmpeg takes every word."""
    clips = ts_clips(3)
    first, second = tmp_path / f"-odd %d name.{container}", tmp_path / "second.part"
    done = subprocess.run(
        remux_args("ffmpeg", "ts", container, first), input=b"".join(c.body for c in clips),
        capture_output=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    values = dict(v for line in done.stdout.decode().splitlines() if (v := progress_value(line)))
    assert values["progress"] == "end"
    subprocess.run(remux_file_args("ffmpeg", first, "mkv", second), check=True, timeout=20,
                   capture_output=True)
    for path in (first, second):
        answer = subprocess.run(probe_args("ffprobe", path), capture_output=True, timeout=20,
                                check=True)
        probe = parse_probe(answer.stdout.decode())
        assert probe is not None and probe.kinds == AV
        assert probe.size_bytes == path.stat().st_size
        held = Sums(3, 1000, sum(clip.duration_s for clip in clips))
        assert disagreement(probe, held, AV) is None and too_short(probe, held) is None
        counted = subprocess.run(count_args("ffprobe", path, "video", None), check=True,
                                 capture_output=True, timeout=20)
        frames = sum(clip.frames for clip in clips)
        assert int(counted.stdout.split()[0]) == frames == video_frames(path)
