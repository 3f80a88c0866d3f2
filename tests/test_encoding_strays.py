"""An FFmpeg that outlives a daemon that was killed does not encode beside the next."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

from brlib.assembly.plans import Plans
from brlib.config import Settings
from brlib.store import open_store

from .archive_home import CHANNEL, ROW
from .test_workers import is_gone, until


def test_what_still_writes_to_a_leftover_is_killed(tmp_path: Path) -> None:
    store = open_store(tmp_path / "db")
    store.channels.add(CHANNEL)
    settings = Settings(data_directory=tmp_path, output_directory=tmp_path / "out")
    recording = replace(ROW, output_directory=str(tmp_path / "out"))
    plans = Plans(lambda: settings, store)
    place = plans.plan(recording, live=False)
    place.stem.parent.mkdir(parents=True)
    mine = place.temporary(recording.id, ".mp4")
    others = place.temporary("rec_000000000002", ".mp4")
    running = []
    try:
        for path in (mine, others):
            path.touch()
            running.append(subprocess.Popen(["tail", "-f", path]))
        assert until(lambda: all(b"tail" in Path(f"/proc/{one.pid}/cmdline").read_bytes()
                                 for one in running))
        plans.remove_leftovers(recording)
        assert running[0].wait(10) == -9 and not mine.exists()
        assert not is_gone(running[1].pid) and others.exists()
    finally:
        for one in running:
            one.kill()
            one.wait()
    store.close()
