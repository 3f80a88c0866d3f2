"""The daemon with a probe: it notes when each segment was committed, and is the same otherwise.

Started by table `api` in place of `battles_record.py`. For every segment whose bytes and whose
line in the index are written, a line `RECORDING COUNT MONOTONIC` goes into the file that
BENCH_COMMITS names: a write of some microseconds, in the thread that has committed it.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import battles_record
from brlib.ledger import Ledger
from brlib.playlist import Segment

COMMITS = "BENCH_COMMITS"


def install(path: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    append = Ledger.append_segment

    def probed(ledger: Ledger, body: bytes, facts: Segment) -> Segment:
        entry = append(ledger, body, facts)
        now_s = time.monotonic()
        os.write(fd, f"{ledger.directory.name} {ledger.tally.sums.segments} {now_s}\n".encode())
        return entry

    Ledger.append_segment = probed  # type: ignore[assignment,method-assign]


def commits(path: Path) -> dict[tuple[str, int], float]:
    """When each segment was committed, by recording and number of segments then."""
    found = {}
    for line in path.read_text().splitlines():
        recording, count, at_s = line.split()
        found[recording, int(count)] = float(at_s)
    return found


if __name__ == "__main__":
    install(os.environ[COMMITS])
    sys.exit(battles_record.main())
