"""`battles_record.py demo` as a user runs it: what it records, prints and leaves behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from brlib.demo import ASK_EVERY_S, PATIENCE_S, finish_pause_s, progress_line
from brlib.web.limits import LIMITS, WINDOW_S, Rate

from .daemon import PROGRAM, run_command
from .media import video_frames

SECONDS = 5
LIMIT_S = 100
# Health, and the channels of a former demo.
READS_BEFORE = 5
FRAMES_PER_S = 30


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory for a demo whose processes all have ended in the end. Its name has a space:
    printed lines must work there, too."""
    directory = tmp_path / "a demo"
    yield directory
    assert processes_in(directory) == []


def processes_in(directory: Path) -> list[str]:
    """Command lines that name the directory: a demo's daemon, FFmpeg, the assembly's FFmpeg."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(directory) in line:
            found.append(line)
    return found


@contextmanager
def demo(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo that runs; told to stop when the test is over first."""
    argv = [sys.executable, str(PROGRAM), "demo", "--seconds", str(SECONDS),
            "--directory", str(directory)]
    # The options would lead the demo to somebody's real data.
    environ = {**os.environ, "BR_PORT": "1", "BR_DATA_DIRECTORY": "/nonexistent"}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=environ) as process:
        try:
            yield process
        finally:
            process.terminate()


def whole_demo(directory: Path) -> str:
    with demo(directory) as process:
        out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, out + err
    assert err == ""
    return out


def interrupt(directory: Path) -> None:
    """Ctrl-C in the middle: everything ends, and says nothing ugly."""
    with demo(directory) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "live broadcast" in line:
                break
        assert len(processes_in(directory)) > 2
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert processes_in(directory) == []


def test_records_all_that_it_broadcast_even_after_an_interrupted_one(place: Path) -> None:
    interrupt(place)
    out = whole_demo(place)
    path = Path(re.findall(r"^Recorded: (.*)$", out, re.MULTILINE)[0])
    assert path.is_relative_to(place / "recordings") and path.is_file()
    assert video_frames(path) == SECONDS * FRAMES_PER_S
    assert f"{SECONDS} of {SECONDS} segments, 0 gaps, completeness 100.0%" in out
    took = re.findall(r"finished (\d+\.\d) s after the end of the broadcast", out)
    assert len(took) == 1 and float(took[0]) < 30
    assert not list((place / "data" / "captures").iterdir())
    lines_work_as_pasted(out, path)


def lines_work_as_pasted(out: str, path: Path) -> None:
    """Give the printed lines to a shell; the WebSocket's, which goes on, with a time limit."""
    lines = [line for line in out.splitlines() if re.match(r"(\S*env |/|curl |kill )", line)]
    assert [line.split()[0].rpartition("/")[2] for line in lines[1:4]] == ["curl"] * 3
    assert "serve" in lines[0] and "simple_websocket" in lines[4] and lines[5] == "kill $!"
    if shutil.which("curl") is None:
        return
    lines[4] = "timeout 3 " + lines[4]
    done = subprocess.run(
        ["bash", "-c", "\n".join([*lines, "wait"])], text=True, timeout=LIMIT_S, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    answers = list(objects(done.stdout))
    assert len(answers) >= 4, done.stdout + done.stderr
    recordings, channels, gaps, connected = answers[:4]
    assert recordings["recordings"][0]["file_path"] == str(path)
    assert [c["display_name"] for c in channels["channels"]] == ["Demo"]
    assert gaps == {"gaps": []}
    assert connected["type"] == "connected"


def objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects one behind the other in `text`."""
    decoder, position = json.JSONDecoder(), 0
    while (position := text.find("{", position)) >= 0:
        found, position = decoder.raw_decode(text, position)
        yield found


def test_one_key_is_enough_for_any_demo() -> None:
    """Whatever its length: the worst minute has as much of both as there can be."""
    waited_s, asked = 0.0, 0
    while waited_s <= PATIENCE_S:
        waited_s, asked = waited_s + finish_pause_s(waited_s), asked + 1
    assert READS_BEFORE + WINDOW_S / ASK_EVERY_S + asked < LIMITS[Rate.READ]


@pytest.mark.parametrize("recording, told", [
    ({}, "  on air   7 s  not noticed yet"),
    ({"activity": "capturing", "status": "recording", "segments": 6, "duration": 6,
      "completeness": 1.0},
     "  on air   7 s  capturing    segments 6, seconds 6, completeness 100.0%"),
    ({"activity": None, "status": "processing", "segments": 600, "duration": 600,
      "completeness": 0.98765},
     "  on air   7 s  processing   segments 600, seconds 600, completeness 98.8%"),
])
def test_the_line_of_progress(recording: dict[str, Any], told: str) -> None:
    assert progress_line(7.2, recording) == told


def test_without_ffmpeg_says_what_to_install(place: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run_command("demo", "--directory", str(place), PATH=str(tmp_path / "empty"))
    assert done.returncode == 1
    assert "apt install ffmpeg" in done.stderr and "Traceback" not in done.stderr
    assert not place.exists()


def test_keeps_its_hands_off_other_directories(tmp_path: Path) -> None:
    config = tmp_path / "config.ini"
    config.write_text("[server]\nport = 8080\n")
    done = run_command("demo", "--directory", str(tmp_path))
    assert done.returncode == 1 and "new or empty directory" in done.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.ini"]
    assert config.read_text() == "[server]\nport = 8080\n"
