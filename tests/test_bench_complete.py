"""The table `complete`: its quick mode, and what its judgement rests on."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from bench.base import OURS, Round
from bench.complete import frames, recorders
from bench.complete.broadcast import Broadcast, SignedOrigin
from bench.complete.schedules import FULL, Schedule
from bench.tables import complete

from .media import Clip, ts_clips


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return ts_clips(6, segment_s=0.5, size="320x180", fps=30)


def offered(clips: list[Clip], scratch: Path) -> list[str]:
    return frames.of_broadcast((c.body for c in clips), sum(c.frames for c in clips), scratch)


def written(path: Path, bodies: list[bytes]) -> Path:
    path.write_bytes(b"".join(bodies))
    return path


def test_quick_mode_is_complete(tmp_path: Path) -> None:
    figures = list(complete.measure(Round(1, True, print, tmp_path)))
    assert {figure.contestant for figure in figures} == {OURS, "ffmpeg"}
    assert {figure.what for figure in figures} == {"frames", "gaps", "doubled", "damaged"}
    assert all(figure.complete for figure in figures if figure.contestant == OURS)


@pytest.mark.parametrize("container", ["ts", "mp4", "mkv"])
def test_frames_are_known_in_every_container(
    tmp_path: Path, clips: list[Clip], container: str
) -> None:
    wanted = offered(clips, tmp_path)
    source = written(tmp_path / "source.ts", [clip.body for clip in clips])
    made = tmp_path / f"made.{container}"
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", str(source), "-c", "copy",
                    str(made)], timeout=30, check=True)
    assert frames.count(wanted, [made]).complete


def test_what_is_missing_twice_or_broken_is_counted(tmp_path: Path, clips: list[Clip]) -> None:
    wanted = offered(clips, tmp_path)
    bodies = [clip.body for clip in clips]
    one = written(tmp_path / "1.ts", [bodies[0], bodies[1], bodies[3]])
    two = written(tmp_path / "2.ts", [bodies[3], bodies[5]])
    counted = frames.count(wanted, [one, two])
    assert (counted.offered, counted.found, counted.gaps) == (90, 60, 2)
    assert (counted.doubled, counted.damaged, counted.complete) == (15, 0, False)
    half = written(tmp_path / "half.ts", [bodies[0], bodies[1][:len(bodies[1]) // 2]])
    assert frames.count(wanted, [half]).damaged == 1
    assert frames.count(wanted, [written(tmp_path / "none.ts", [])]).found == 0


def test_another_order_is_not_complete(tmp_path: Path, clips: list[Clip]) -> None:
    wanted = offered(clips, tmp_path)
    bodies = [clip.body for clip in clips]
    files = [written(tmp_path / "1.ts", bodies[3:]), written(tmp_path / "2.ts", bodies[:3])]
    counted = frames.count(wanted, files)
    assert (counted.share_percent, counted.doubled, counted.complete) == (100.0, 0, False)


def test_frames_that_are_alike_are_refused(tmp_path: Path, clips: list[Clip]) -> None:
    with pytest.raises(RuntimeError, match="15 different"):
        frames.of_broadcast([clips[0].body, clips[0].body], 30, tmp_path)


def test_signed_addresses_expire(clips: list[Clip]) -> None:
    with SignedOrigin(0.5, window=10, target_s=1) as origin:
        origin.add(clips[0])
        with urllib.request.urlopen(origin.master_url, timeout=5) as answer:
            address = f"{origin.base_url}/{answer.read().decode().split()[-1]}"
        with urllib.request.urlopen(address, timeout=5) as answer:
            assert b"seg-0.ts" in answer.read()
        time.sleep(0.6)
        for late in (address, address.replace("live.m3u8", "seg-0.ts")):
            with pytest.raises(urllib.error.HTTPError, match="403") as error:
                urllib.request.urlopen(late, timeout=5)
            error.value.close()
        with pytest.raises(urllib.error.HTTPError, match="404") as error:
            urllib.request.urlopen(origin.url, timeout=5)
        error.value.close()


def test_a_killed_tool_is_started_again_until_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(recorders.OTHERS, "sleeper", recorders.Kind(lambda address, stem: [
        "sh", "-c", f"echo > {stem}.ts; exec sleep 30"]))
    monkeypatch.setattr(recorders, "LOOP_PAUSE_S", 0.1)
    tool = recorders.Tool("sleeper", "", tmp_path / "sleeper", again=True)
    try:
        tool.start()
        deadline_s = time.monotonic() + 10
        while not tool.files() and time.monotonic() < deadline_s:
            time.sleep(0.02)
        tool.kill()
        while len(tool.files()) < 2 and time.monotonic() < deadline_s:
            tool.step()
            time.sleep(0.02)
        tool.finish(time.monotonic())
        assert not tool.running()
        tool.step()
        assert not tool.running()
        assert tool.files()[-1].name == "002.ts"
    finally:
        tool.close()


def test_every_recorder_has_the_same_broadcast() -> None:
    schedule = Schedule("short", 4, segment_s=0.5)
    with Broadcast(schedule, ("one", "two")) as broadcast:
        broadcast.go_on(lambda: None, [])
        one, two = broadcast.origins.values()
        assert [o.body for o in one.offered] == [o.body for o in two.offered]
        assert len(one.offered) == 4


def test_what_is_lost_for_a_time_can_still_be_had() -> None:
    """No schedule asks for what nobody could do: the window outlasts every outage."""
    for schedule in FULL:
        window_s = schedule.window * schedule.segment_s
        assert schedule.outage is None or schedule.outage[1] < window_s
        assert schedule.kill_every_s is None or recorders.UNIT_PAUSE_S < window_s / 2
