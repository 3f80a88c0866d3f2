"""The table `long`: whether memory, threads and open files stay as they are."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from bench.base import Figure, Round, Table
from bench.broadcasts import Broadcasts
from bench.usage import MIB, memory, open_files, threads
from tests.daemon import Daemon
from tests.media import ts_clips

NAME = "Battles Record"
POLL_S = 2.0
# Connections that are kept for a while are let go of by then.
QUIET_MAX_S = 15.0
LOOKS = 10


@dataclass(frozen=True)
class Plan:
    """What is played. `quiet_s` is waited before a look at a daemon that has nothing to do,
    `pause_s` between a finished recording and its channel's next broadcast; `hours` is the
    time that all of it would take."""

    channels: int
    broadcasts: int
    segments: int
    segment_s: float
    rate: float
    pause_s: float
    quiet_s: float
    hours: float
    max_s: float


FULL = Plan(10, 10, 900, 2.0, 20.0, 5.0, 3.0, 6.0, 3600.0)
QUICK = Plan(2, 2, 8, 0.5, 3.0, 0.2, 0.5, 0.05, 40.0)

NOTES = f"""\
Simulated are {FULL.hours:.0f} h of {FULL.channels} channels, each with {FULL.broadcasts} \
broadcasts of {FULL.segments * FULL.segment_s / 60:.0f} min in {FULL.segments} segments, and the \
time between them: {FULL.channels * FULL.broadcasts} recordings, \
{FULL.channels * FULL.broadcasts * FULL.segments} segments, the same checks, playlists read and \
files finished, the list of recordings asked for every {POLL_S:.0f} s, by the real daemon as a \
process. Not simulated: the clocks go as ever, so that the whole takes about ten \
minutes, or longer where the machine does not keep up: segments of 2 s come {FULL.rate:.0f} a \
second, addresses are looked at every second, and what is done once an hour or a day is not done. \
Pictures are small. \
A channel's next broadcast begins when its recording is finished. Before, all channels record \
one broadcast at the same time, which is in no figure but has to be complete. \
Measured is the process that records, without FFmpeg's, every {POLL_S:.0f} s; the first and the \
last quarter are by time, `before` and `after` with nothing being recorded. Growth is the slope \
of a line through all samples behind the first quarter, for an hour of simulated time."""


@dataclass(frozen=True)
class Sample:
    at_s: float
    rss_mib: float
    pss_mib: float
    threads: int
    files: int


@dataclass
class Played:
    """What became of a channel's broadcasts; `due_s` is when the next begins."""

    id: str
    due_s: float
    begun: int = 0
    finished: set[str] = field(default_factory=set)

    @property
    def running(self) -> bool:
        return self.begun > len(self.finished)


def measure(round: Round) -> Iterator[Figure]:
    plan = QUICK if round.quick else FULL
    clips = ts_clips(plan.segments, segment_s=plan.segment_s, fps=10)
    daemon = Daemon(round.scratch, max_concurrent_recordings=plan.channels)
    with Broadcasts(clips, plan.channels, plan.rate) as origin:
        try:
            daemon.start()
            yield from _measure(round, plan, origin, daemon)
        finally:
            daemon.close()


def _measure(
    round: Round, plan: Plan, origin: Broadcasts, daemon: Daemon
) -> Iterator[Figure]:
    ids = [_add(daemon, origin.url(number)) for number in range(plan.channels)]
    # What is made when it is first needed, threads of pools above all, is there behind this.
    _play(round, replace(plan, broadcasts=1), origin, daemon, ids, together=True)
    before = _quiet(plan, daemon)
    samples = _play(round, plan, origin, daemon, ids)
    after = _quiet(plan, daemon, before)
    complete = _all_complete(plan, daemon)
    case = f"{plan.channels} channels, {plan.hours:g} h"
    quarter = max(1, len(samples) // 4)
    hour_s = (samples[-1].at_s - samples[0].at_s) / plan.hours
    for what, unit in (("rss", "MiB"), ("pss", "MiB"), ("threads", ""), ("files", "")):
        name = f"{what}_mib" if unit else what
        values = [float(getattr(one, name)) for one in samples]
        title = what.upper() if unit else what
        for when, value in (
            ("before", float(getattr(before, name))),
            ("first quarter", statistics.median(values[:quarter])),
            ("last quarter", statistics.median(values[-quarter:])),
            ("after", float(getattr(after, name))),
        ):
            yield Figure(case, NAME, f"{title}, {when}", value, unit, complete)
        slope = _slope([one.at_s / hour_s for one in samples[quarter:]], values[quarter:])
        yield Figure(case, NAME, f"{title}, growth per hour", slope, unit, complete)


def _add(daemon: Daemon, url: str) -> str:
    status, channel, _ = daemon.call("POST", "/api/channels", {"platform": "url", "name": url})
    if status != 201:
        raise RuntimeError(f"the channel is not taken: {channel}")
    return str(channel["id"])


def _play(
    round: Round, plan: Plan, origin: Broadcasts, daemon: Daemon, ids: Sequence[str],
    together: bool = False,
) -> list[Sample]:
    """All broadcasts, to the end of the last recording; samples of that time. `together`: they
    begin at the same time."""
    begun_s, total = time.monotonic(), plan.channels * plan.broadcasts
    apart_s = 0.0 if together else plan.segments / plan.rate / plan.channels
    earlier = _find_over(daemon)
    played = [Played(id, begun_s + number * apart_s) for number, id in enumerate(ids)]
    by_id = {one.id: one for one in played}
    samples, poll_s, said = list[Sample](), min(POLL_S, plan.pause_s), 0
    pause = threading.Event()
    while (done := sum(len(one.finished) for one in played)) < total:
        now_s = time.monotonic()
        if now_s - begun_s > plan.max_s:
            raise TimeoutError(f"{done} of {total} recordings after {plan.max_s:.0f} s")
        for number, one in enumerate(played):
            if not one.running and one.begun < plan.broadcasts and now_s >= one.due_s:
                origin.begin(number)
                one.begun += 1
        for recording_id, channel_id in (_find_over(daemon) - earlier):
            one = by_id[channel_id]
            if recording_id not in one.finished:
                one.finished.add(recording_id)
                one.due_s = now_s + plan.pause_s
        samples.append(_sample(daemon))
        if done >= said + total / 10:
            said = done
            round.say(f"{done} of {total} recordings, {samples[-1].rss_mib:.0f} MiB")
        pause.wait(poll_s)
    return samples


def _find_over(daemon: Daemon) -> set[tuple[str, str]]:
    """Recordings that have ended, and their channels."""
    return {(one["id"], one["channel_id"])
            for one in daemon.get("/api/recordings?limit=500")["recordings"]
            if one["status"] in ("complete", "failed")}


def _sample(daemon: Daemon) -> Sample:
    pid = daemon.worker_pid
    taken = memory([pid])
    return Sample(time.monotonic(), taken.rss_bytes / MIB, taken.pss_bytes / MIB,
                  threads(pid), open_files(pid))


def _quiet(plan: Plan, daemon: Daemon, like: Sample | None = None) -> Sample:
    """With nothing to do: the least of some looks, because checks come and go. It is waited
    for a while until there is no more open than in `like`."""
    pause, looks = threading.Event(), list[Sample]()
    pause.wait(plan.quiet_s)
    until_s = time.monotonic() + QUIET_MAX_S
    while True:
        pause.wait(plan.quiet_s / LOOKS)
        looks.append(_sample(daemon))
        least = replace(looks[-1], threads=min(one.threads for one in looks),
                        files=min(one.files for one in looks))
        settled = like is None or (
            least.threads <= like.threads and least.files <= like.files)
        if len(looks) >= LOOKS and (settled or time.monotonic() > until_s):
            return least


def _all_complete(plan: Plan, daemon: Daemon) -> bool:
    """Every broadcast is one recording, of every segment, without a gap."""
    found = daemon.get("/api/recordings?limit=500")["recordings"]
    return len(found) == plan.channels * (plan.broadcasts + 1) and all(
        (one["status"], one["segments"], one["completeness"], one["gaps"])
        == ("complete", plan.segments, 1.0, 0) for one in found)


def _slope(hours: Sequence[float], values: Sequence[float]) -> float:
    if len(set(hours)) < 2:
        return 0.0
    return statistics.linear_regression(hours, values).slope


TABLE = Table(
    name="long", title="Long run: six hours of recordings that begin and end",
    goals="memory, threads and open files flat, every recording complete",
    rounds=1, measure=measure, drawn="RSS, last quarter", notes=NOTES)
