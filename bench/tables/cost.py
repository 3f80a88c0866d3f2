"""Table `cost`: CPU and memory of many recordings at once, beside what people use otherwise.

One contestant after the other takes on more and more streams of one cheap origin; of each
stage a steady stretch is measured.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.base import Figure, Round, Table
from bench.cost import contestants, meter
from bench.cost.contestants import Contestant, Engine
from bench.cost.load import Origin, make_media

COUNTS, QUICK_COUNTS = (1, 10, 50, 100), (2,)
# What opening brings (first requests, a playlist's whole window) is over after that.
SETTLE_S, QUICK_SETTLE_S = 12.0, 2.0
STEADY_S, QUICK_STEADY_S = 30.0, 3.0
MEDIA_S, QUICK_MEDIA_S = 480.0, 60.0
MEMORY_EVERY_S = 5.0
MIB = 2 ** 20
CPU, USER, MEMORY = "CPU per hour of stream", "of it user mode", "memory"


@dataclass(frozen=True)
class Entry:
    """A contestant; `quick`: in the quick mode, too."""

    name: str
    make: Callable[[Path, Origin], Contestant]
    quick: bool = False


@dataclass(frozen=True)
class Stage:
    recordings: int
    cpu_s_per_hour: float
    user_s_per_hour: float
    memory_mib: float


ENTRIES = (
    Entry("Battles Record",
          lambda place, origin: Engine(place, origin, COUNTS[-1], live=False), quick=True),
    Entry("Battles Record, live file",
          lambda place, origin: Engine(place, origin, COUNTS[-1], live=True)),
    Entry("streamlink CLI | ffmpeg", contestants.streamlink),
    Entry("curl loop", contestants.curl),
    # Farthest from the first: these two are compared, and each is first and last in turns.
    Entry("ffmpeg", contestants.ffmpeg, quick=True),
)


def measure(turn: Round) -> Iterator[Figure]:
    counts = QUICK_COUNTS if turn.quick else COUNTS
    media = turn.scratch / "media"
    turn.say("making the streams")
    make_media(media, QUICK_MEDIA_S if turn.quick else MEDIA_S)
    # What one leaves behind in the system's memory is not always the same one's to find.
    for entry in ENTRIES if turn.number % 2 else ENTRIES[::-1]:
        if entry.quick or not turn.quick:
            with Origin(media, counts[-1]) as origin:
                yield from _measured(entry, origin, counts, turn)


def _measured(
    entry: Entry, origin: Origin, counts: tuple[int, ...], turn: Round,
) -> Iterator[Figure]:
    stages, begun = [], 0
    with entry.make(turn.scratch / "files", origin) as contestant:
        for count in counts:
            turn.say(f"{entry.name}: {count} at once")
            contestant.add(range(begun, count))
            begun = count
            time.sleep(QUICK_SETTLE_S if turn.quick else SETTLE_S)
            stages.append(_stage(contestant, count, QUICK_STEADY_S if turn.quick else STEADY_S))
        turn.say(f"{entry.name}: is all there?")
        whole = contestant.finish(lambda: contestants.names(origin.ask("served")))
    for stage in stages:
        case = f"{stage.recordings} at once"
        yield Figure(case, entry.name, CPU, stage.cpu_s_per_hour, "s", whole)
        yield Figure(case, entry.name, USER, stage.user_s_per_hour, "s", whole)
        yield Figure(case, entry.name, MEMORY, stage.memory_mib, "MiB", whole)
    if len(stages) > 1:
        yield Figure("each further one", entry.name, MEMORY, _slope(stages), "MiB", whole)


def _stage(contestant: Contestant, recordings: int, seconds: float) -> Stage:
    """A stretch in which nothing begins or ends."""
    roots, memory = contestant.roots(), []
    begun_s, before = time.monotonic(), meter.times(roots)
    while (left_s := begun_s + seconds - time.monotonic()) > 0:
        time.sleep(min(left_s, MEMORY_EVERY_S))
        memory.append(meter.pss_bytes(roots) / MIB)
    after, took_s = meter.times(roots), time.monotonic() - begun_s
    per_hour = 3600 / took_s / recordings
    return Stage(recordings, (after.cpu_s - before.cpu_s) * per_hour,
                 (after.user_s - before.user_s) * per_hour, statistics.median(memory))


def _slope(stages: list[Stage]) -> float:
    """MiB for one more, from the first stage to the last."""
    first, last = stages[0], stages[-1]
    return (last.memory_mib - first.memory_mib) / (last.recordings - first.recordings)


TABLE = Table(
    name="cost",
    title="Cost of a recording",
    goals="Capture: at most 1.5 times the CPU of ffmpeg alone, under 8 MiB for each further "
          "recording, 100 at once on two cores and all complete.",
    rounds=3,
    measure=measure,
    drawn=CPU,
    notes="CPU seconds (user and kernel mode, the whole tree of processes) for an hour of one "
          "stream of 6 Mbit/s, 1080p60, segments of 2 s; memory is the proportional set size "
          "(PSS) of the tree. “Battles Record” captures and makes the file afterwards; “live "
          "file” makes it meanwhile, with an FFmpeg of its own for each recording. ffmpeg and "
          "streamlink write a transport stream (`-c copy`). The curl loop is the floor of what "
          "a process for each segment costs, and looks at no playlist. Complete: the "
          "ledger and its digests without a gap from the first segment to the last (live: the "
          "finished files, too); of the others "
          "by what the origin gave them and the size of their files. A live file costs an FFmpeg "
          "of about 16 MiB of its own memory, which no option for copying lowers without probing "
          "less.\n\n"
          "The goals for memory and for 100 at once are met. That for CPU is met with 100 at "
          "once, where a capture takes as much as ffmpeg, and missed with 10 and 50: 1.8 and "
          "1.7 times, in user mode 1.6 to 2.2 times. The ratio of the whole depends on the "
          "machine's free memory: this virtual one gives it back to its host, and the first write "
          "to a page "
          "that comes from there takes 2.2 ms for a MB instead of 0.5. That is up to 6 s an hour, "
          "for each contestant alike, so that who finds pages in use is cheaper; every second "
          "round has the order turned round for that. User mode does not know of it.\n\n"
          "Where it goes, by `python bench/where.py` (50 at once, pages in use, 9.6 s an hour, of "
          "it 6.3 in user mode): 2.0 s the playlist (request 1.5, parsing 0.3, judging 0.2), 1.6 s "
          "the segment's request and its body (receiving 0.6), 1.6 s its digest (SHA-256), 1.9 s "
          "its bytes and its line in the index (write(2) 1.7), 0.3 s syncs, 0.8 s the recording's "
          "own thread, which tells of it; the daemon itself takes 7 s an hour, however many there "
          "are. What ffmpeg does not do is the digest, the syncs and the events: 2.7 s. The rest "
          "of the difference is Python in two HTTP requests for each segment, of which requests "
          "and urllib3 take 1.4 s beside the waiting for heads. A playlist that came less often "
          "would be cheaper, and would be later at the end of a broadcast.",
)
