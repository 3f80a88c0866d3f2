"""Tests of brlib.tools: what is found of FFmpeg, the packages and the JavaScript runtimes."""

from __future__ import annotations

import importlib.metadata
import sys
import sysconfig
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from brlib import tools
from brlib.config import Settings
from brlib.tools import NEEDED_FOR, Tool, Tools, numbers, too_old

from .test_workers import until

WAIT_S = 10.0
NAMES = ["ffmpeg", "ffprobe", "yt-dlp", "streamlink", "bun", "deno", "node"]


class Place:
    """A search path of its own, with programs that we write."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.runs_file = directory / "runs"
        self.now_s = 1000.0
        self.settings = Settings(ffmpeg_path="ffmpeg")
        self.tools = Tools(lambda: self.settings, lambda: self.now_s)

    def write(self, name: str, body: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\necho {name} \"$@\" >> {self.runs_file}\n{body}\n")
        path.chmod(0o755)
        return path

    def says(self, name: str, text: str) -> Path:
        return self.write(name, f"echo '{text}'")

    @property
    def runs(self) -> list[str]:
        return self.runs_file.read_text().splitlines() if self.runs_file.exists() else []


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / name))
    monkeypatch.setattr(tools, "ANSWER_MAX_S", 60.0)
    return Place(tmp_path)


@pytest.mark.parametrize("output, expected", [
    ("ffmpeg version 5.1.9-0+deb12u1 Copyright", False), ("ffmpeg version 5.1 x", False),
    ("ffprobe version n6.0 x", False), ("ffmpeg version 7.0.2-static https://x", False),
    ("ffmpeg version 10.0", False), ("ffmpeg version 5.0.3", True),
    ("ffmpeg version 4.4.2-0ubuntu0.22.04.1", True), ("ffprobe version n4.4", True),
    ("ffmpeg version N-107000-gabc\nlibavutil      57. 28.100 / 57. 28.100", False),
    ("ffmpeg version N-107000-gabc\nlibavutil      57. 27.100 / 57. 27.100", True),
    ("ffmpeg version 2021-10-10-git-abc\nx\nlibavutil      56. 70.100 / 56. 70.100\ny", True),
    ("ffmpeg version git-2030\nlibavutil      60.  1.100 / 60.  1.100", False),
    ("ffmpeg: libtinfo.so.6: no version information\nffmpeg version 4.4", True),
    ("ffmpeg version abc", False), ("", False),
])
def test_what_is_too_old(output: str, expected: bool) -> None:
    assert too_old(output) is expected


@pytest.mark.parametrize("version, expected", [
    ("22.1.0", (22, 1, 0)), ("22.1.0-rc.1", (22, 1, 0)), ("2", (2,)), ("x", ()), ("", ()),
])
def test_numbers(version: str, expected: tuple[int, ...]) -> None:
    assert numbers(version) == expected


def test_a_good_ffmpeg(place: Place) -> None:
    ffmpeg = place.says("ffmpeg", "ffmpeg version 6.1.1-3 Copyright")
    ffprobe = place.says("ffprobe", "ffprobe version 6.1.1-3 Copyright")
    found = place.tools.find()
    assert list(found) == NAMES
    assert found["ffmpeg"] == Tool(True, "6.1.1-3", str(ffmpeg), True, NEEDED_FOR["ffmpeg"])
    assert found["ffprobe"] == Tool(True, "6.1.1-3", str(ffprobe), True, NEEDED_FOR["ffprobe"])
    assert place.tools.problem() is None
    assert place.runs == ["ffmpeg -version", "ffprobe -version"]


@pytest.mark.parametrize("body, version, problem", [
    ("echo ffmpeg version 4.4.2", "4.4.2", "FFmpeg 4.4.2 is too old: 5.1 or later is needed"),
    ("exit 1", None, "FFmpeg does not say its version: {path} is broken or something else"),
    ("echo ffmpeg version 6.0; exit 127", None,
     "FFmpeg does not say its version: {path} is broken or something else"),
    ("echo hello", None, "FFmpeg does not say its version: {path} is broken or something else"),
])
def test_an_ffmpeg_that_cannot_be_used(
    place: Place, body: str, version: str | None, problem: str
) -> None:
    path = place.write("ffmpeg", body)
    place.says("ffprobe", "ffprobe version 6.0")
    tool = place.tools.find()["ffmpeg"]
    assert (tool.available, tool.version, tool.path, tool.required) == (
        False, version, str(path), True)
    assert place.tools.problem() == problem.format(path=path)


def test_no_ffmpeg(place: Place) -> None:
    assert place.tools.problem() == "FFmpeg is missing (ffmpeg)"
    assert place.tools.find()["ffmpeg"] == Tool(False, None, None, True, NEEDED_FOR["ffmpeg"])


def test_no_ffprobe_beside_it(place: Place) -> None:
    place.says("good/ffmpeg", "ffmpeg version 6.0")
    path = str(place.directory / "good" / "ffmpeg")
    place.settings = replace(place.settings, ffmpeg_path=path)
    assert place.tools.problem() == f"ffprobe is missing ({path[:-6]}ffprobe)"


def test_something_that_is_no_program(place: Place) -> None:
    place.says("ffmpeg", "").write_bytes(b"\x7fELF what is this")
    assert place.tools.find()["ffmpeg"].available is False
    assert "does not say its version" in (place.tools.problem() or "")


def test_a_program_that_hangs_is_killed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "ANSWER_MAX_S", 0.1)
    path = place.write("node", "echo v24.0.0\nexec /bin/sleep 600")
    assert place.tools.find()["node"] == Tool(
        False, None, str(path), False, NEEDED_FOR["runtime"])


def test_answers_are_kept_for_a_while(place: Place) -> None:
    place.says("ffmpeg", "ffmpeg version 6.0")
    place.says("ffprobe", "ffprobe version 6.0")
    place.says("deno", "deno 2.5.0")
    place.tools.find()
    place.now_s += 59.0
    assert place.tools.find()["deno"].version == "2.5.0" and place.tools.problem() is None
    assert len(place.runs) == 3
    place.says("ffmpeg", "ffmpeg version 7.0")
    place.now_s += 1.0
    assert place.tools.problem() is None and len(place.runs) == 5
    assert place.tools.find()["ffmpeg"].version == "7.0" and len(place.runs) == 6


def test_another_path_is_looked_at_at_once(place: Place) -> None:
    place.says("ffmpeg", "ffmpeg version 6.0")
    place.says("ffprobe", "ffprobe version 6.0")
    assert place.tools.problem() is None
    place.settings = replace(place.settings, ffmpeg_path="/nowhere/ffmpeg")
    assert place.tools.problem() == "FFmpeg is missing (/nowhere/ffmpeg)"
    place.settings = replace(place.settings, ffmpeg_path="ffmpeg")
    assert place.tools.problem() is None


def test_all_who_ask_share_one_run(place: Place) -> None:
    go = place.directory / "go"
    wait = f"while [ ! -e {go} ]; do /bin/sleep 0.02; done"
    place.write("ffmpeg", f"{wait}\necho ffmpeg version 6.0")
    place.says("ffprobe", "ffprobe version 6.0")
    problems: list[str | None] = []
    threads = [threading.Thread(target=lambda: problems.append(place.tools.problem()))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    assert until(lambda: len(place.runs) == 1)
    go.touch()
    for thread in threads:
        thread.join(WAIT_S)
    assert problems == [None] * 4
    assert place.runs == ["ffmpeg -version", "ffprobe -version"]


def test_a_runtime_that_hangs_does_not_hold_up_health(place: Place) -> None:
    go = place.directory / "go"
    place.says("ffmpeg", "ffmpeg version 6.0")
    place.says("ffprobe", "ffprobe version 6.0")
    place.write("bun", f"while [ ! -e {go} ]; do /bin/sleep 0.02; done; echo 1.3.0")
    asking = threading.Thread(target=place.tools.find)
    asking.start()
    assert until(lambda: "bun --version" in place.runs)
    problem, still_asking = place.tools.problem(), asking.is_alive()
    go.touch()
    asking.join(WAIT_S)
    assert problem is None and still_asking


@pytest.mark.parametrize("name, says, version, lacks", [
    ("bun", "1.2.11", "1.2.11", ""), ("bun", "1.2.10", "1.2.10", "1.2.11"),
    ("deno", "deno 2.3.0 (stable, release)\nv8 13.0\ntypescript 5.8", "2.3.0", ""),
    ("deno", "deno 1.46.3 (release)", "1.46.3", "2.3.0"),
    ("node", "v22.0.0", "22.0.0", ""), ("node", "v24.1.0-nightly1", "24.1.0-nightly1", ""),
    ("node", "v20.20.2", "20.20.2", "22.0.0"),
    ("node", "hello", None, ""), ("deno", "v1", None, ""),
])
def test_runtimes(place: Place, name: str, says: str, version: str | None, lacks: str) -> None:
    """One that is too old for yt-dlp is there all the same."""
    path = place.says(name, says)
    tool = place.tools.find()[name]
    needed_for = NEEDED_FOR["runtime"]
    if lacks:
        needed_for += f"; {version} is too old, {lacks} or later is needed"
    assert tool == Tool(version is not None, version, str(path), False, needed_for)
    assert place.runs == [f"{name} --version"]


def test_a_runtime_of_our_own_python_comes_first(place: Place) -> None:
    place.says("deno", "deno 2.3.0")
    own = place.says("scripts/deno", "deno 2.9.8")
    tool = place.tools.find()["deno"]
    assert (tool.version, tool.path) == ("2.9.8", str(own))


def test_streamlink_is_a_package(place: Place) -> None:
    import streamlink

    assert place.tools.find()["streamlink"] == Tool(
        True, importlib.metadata.version("streamlink"), str(Path(streamlink.__file__).parent),
        True, NEEDED_FOR["streamlink"])


@pytest.mark.parametrize("version", ["2026.10.26", None])
def test_yt_dlp_is_looked_at_without_importing_it(
    place: Place, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    package = place.directory / "yt_dlp" / "__init__.py"
    package.parent.mkdir()
    package.write_text("raise AssertionError('imported')")
    if version:
        metadata = place.directory / f"yt_dlp-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: yt-dlp\nVersion: {version}\n")
    monkeypatch.setattr(sys, "path", [str(place.directory)])
    monkeypatch.delitem(sys.modules, "yt_dlp", raising=False)
    assert place.tools.find()["yt-dlp"] == Tool(
        version is not None, version, str(package.parent), False, NEEDED_FOR["yt-dlp"])
    assert "yt_dlp" not in sys.modules


def test_no_yt_dlp(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(place.directory)])
    monkeypatch.delitem(sys.modules, "yt_dlp", raising=False)
    assert place.tools.find()["yt-dlp"] == Tool(False, None, None, False, NEEDED_FOR["yt-dlp"])
