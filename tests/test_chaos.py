"""Chaos: a daemon that is killed, cut off, starved and lied to at random moments.

Two (in the long version three) stations broadcast without end, one broadcast after the other,
with a window of a few seconds. What is lost at the end must be exactly what had left the window
while nothing could run; nothing is there twice; every file has the frames that the ledger names.

The seed is printed: `BR_CHAOS_SEED=7 BR_CHAOS_ROUNDS=60 pytest -m long -s tests/test_chaos.py`
does the same troubles in the same order (to the moment, machines differ). The disk is a small
tmpfs with a file that fills it where the test may mount one; elsewhere every write of the
daemon and of its FFmpegs is made to fail by a limit to the size of files (`small_disk`).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .chaos.acts import (
    KINDS, Act, FullDisk, Kill, KillAtEnd, KillFFmpeg, Network, Terminate,
)
from .chaos.reckoning import Figures, Reckoning
from .chaos.small_disk import SmallDisk
from .chaos.station import Station
from .chaos.world import World
from .daemon import Daemon

SHORT_ROUNDS, LONG_ROUNDS = 4, 200
SHORT_SEED = 3
# The rest is in tests of its own, and in the long version.
SHORT_KINDS = [Kill, KillAtEnd, KillFFmpeg, Network, FullDisk, Terminate]
OVER_MAX_S = 150.0


STATIONS: list[tuple[str, bool, dict[str, Any]]] = [
    ("ts", False, {"window": 7}),
    ("mp4", True, {"window": 9, "program_dates": True}),
    ("aes", False, {"window": 12, "encrypted": True, "byteranges": True}),
]


def chaos(tmp_path: Path, rounds: int, seed: int, count: int, quiet_s: float,
          tell: Callable[[str], None], kinds: Sequence[type[Act]] = KINDS) -> Figures:
    with ExitStack() as stack:
        disk = stack.enter_context(SmallDisk(tmp_path / "disk"))
        tell(f"seed {seed}, {rounds} rounds, {count} stations, disk: {disk.kind}")
        all_stations = [stack.enter_context(Station(*one)) for one in STATIONS[:count]]
        daemon = Daemon(disk.place, capture_after="keep", max_concurrent_recordings=count)
        # Beside the disk, for whoever looks at what was found.
        stack.callback(lambda: (tmp_path / "daemon.log").write_text("\n".join(daemon.log)))
        stack.callback(daemon.close)
        daemon.start()
        world = World(daemon, all_stations, disk, seed, tell, kinds)
        for station in all_stations:
            station.go_live()
            status, body, _ = daemon.call("POST", "/api/channels", {
                "platform": "url", "name": station.url, "display_name": station.name})
            assert status == 201, body
        daemon.wait("/api/recordings/active", lambda b: len(b["active"]) == count)
        for _ in range(rounds):
            world.round(quiet_s)
        figures = reckon(world, finish(world))
    tell(f"seed {seed}, {rounds} rounds, {world.acts} troubles: {figures}")
    return figures


def finish(world: World) -> list[dict[str, Any]]:
    """Peace: every broadcast is being recorded, ends, and every recording is finished."""
    world.recover()
    for station in world.stations:
        station.now.finish()
    body = world.daemon.wait(
        "/api/recordings?limit=500",
        lambda b: all(r["status"] in ("complete", "failed") for r in b["recordings"]),
        timeout_s=OVER_MAX_S)
    assert body["total"] == len(body["recordings"]) > 0
    found: list[dict[str, Any]] = body["recordings"]
    return found


def reckon(world: World, recordings: list[dict[str, Any]]) -> Figures:
    figures = Figures()
    for station in world.stations:
        reckoning = Reckoning(station, world.troubles, figures)
        for recording in recordings:
            if recording["channel_name"] == station.name:
                gaps = world.daemon.get(f"/api/recordings/{recording['id']}/gaps")["gaps"]
                reckoning.take(
                    recording, gaps,
                    world.daemon.directory / "data" / "captures" / recording["id"])
        reckoning.close()
    return figures


def verdict(figures: Figures) -> None:
    assert not figures.findings, "\n".join(figures.findings)
    assert figures.doubled == 0
    assert figures.captured + figures.lost == figures.offered
    # Nothing is missing without a gap but before a recording and behind it.
    assert sum(figures.gaps.values()) == (
        figures.lost - figures.before_begin - figures.behind_end - figures.between)


def test_short_chaos(tmp_path: Path) -> None:
    seed = int(os.environ.get("BR_CHAOS_SEED", SHORT_SEED))
    verdict(chaos(tmp_path, SHORT_ROUNDS, seed, 2, 1.0, print, SHORT_KINDS))


@pytest.mark.long
def test_long_chaos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("BR_CHAOS_SEED", secrets.randbelow(100_000)))
    rounds = int(os.environ.get("BR_CHAOS_ROUNDS", LONG_ROUNDS))

    def tell(line: str) -> None:
        with capsys.disabled():
            print(line, flush=True)

    verdict(chaos(tmp_path, rounds, seed, 3, 4.0, tell))
