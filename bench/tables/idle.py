"""The table `idle`: what a daemon takes that only watches, and how soon it answers."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator

from bench.base import Figure, Round, Table
from bench.usage import MIB, Memory, cpu_s, find_tree, memory
from bench.watched import Mix, Watcher, watching

NAME = "Battles Record"
MIXES = {0: Mix(), 50: Mix(40, 6, 2, 2), 500: Mix(400, 60, 20, 20)}
SMALL = {0: Mix(), 6: Mix(3, 1, 1, 1)}
STARTS = 5
# Behind the first round of checks: three minutes are the longest interval, YouTube's.
WINDOW_S = {0: 60.0, 50: 180.0, 500: 180.0}
QUICK_S = 2.0
CHECKED_MAX_S = 420.0
SETTLE_S = 10.0
SAMPLE_S = 5.0

NOTES = """\
Memory and CPU are those of the whole tree of processes (gunicorn's master and its worker), at \
the default intervals, behind the first round of checks: 60 s without channels, 180 s (the \
longest interval, so that each channel is checked) with 50 and 500. `memory` counts each page of \
the tree once, also those of libraries that other programs have mapped, too; `PSS` divides these \
among all of them; `RSS` counts what both processes share twice. Each is the highest of the \
samples, taken every 5 s. The mix: 50 are 40 Twitch, 6 Kick, 2 YouTube and 2 addresses, 500 are \
400, 60, 20 and 20, none of them live, without a platform's app or key: Twitch by 100 in one \
request, the others one by one. They are asked of the stand-in platforms of the tests through a \
proxy, by TLS with a real bundle of authorities; a page of YouTube is padded to 900 KB and packed. \
`start` is the median of 5 from before the process is made to the first 200 of \
`GET /api/health`, asked for every 5 ms.

The goal for memory is missed by 11 MiB in all and by 3 in PSS. What is there without a channel, \
by the growth of private memory at each import: the worker's 43 MiB are code (streamlink with its \
parsers 10, this program 12, Flask with jinja2 and werkzeug 7, the interpreter and the standard \
library the rest), the master's 14 the interpreter, the options and gunicorn, and 18 to 20 are \
mapped files. 500 channels add 9. Nothing single is left to be taken out; without gunicorn's \
master, which starts a worker anew that was killed, the goal would be met."""


def measure(round: Round) -> Iterator[Figure]:
    for count, mix in (SMALL if round.quick else MIXES).items():
        with watching(mix, round.scratch / str(count)) as watcher:
            yield from _measure_one(round, count, watcher)


def _measure_one(round: Round, count: int, watcher: Watcher) -> Iterator[Figure]:
    case = f"{count} channels"
    starts_s = []
    for _ in range(1 if round.quick else STARTS):
        watcher.close()
        starts_s.append(watcher.start())
    yield Figure(case, NAME, "start", statistics.median(starts_s), "s")
    round.say(f"{case}: answers after {statistics.median(starts_s):.2f} s; first checks")
    watcher.wait_checked(CHECKED_MAX_S)
    pause = threading.Event()
    pause.wait(0.5 if round.quick else SETTLE_S)
    window_s = QUICK_S if round.quick else WINDOW_S[count]
    round.say(f"{case}: watching for {window_s:.0f} s")
    share, samples = _watch(watcher.daemon.pid, window_s, pause)
    watcher.wait_checked(CHECKED_MAX_S)
    yield Figure(case, NAME, "CPU", share, "%")
    for what, value in (("memory", max(one.resident_bytes for one in samples)),
                        ("PSS", max(one.pss_bytes for one in samples)),
                        ("RSS", max(one.rss_bytes for one in samples))):
        yield Figure(case, NAME, what, value / MIB, "MiB")


def _watch(pid: int, window_s: float, pause: threading.Event) -> tuple[float, list[Memory]]:
    """Percent of a core, and the memory meanwhile."""
    samples = []
    before_s, begun_s = cpu_s(find_tree(pid)), time.monotonic()
    while (left_s := begun_s + window_s - time.monotonic()) > 0:
        pause.wait(min(left_s, SAMPLE_S))
        samples.append(memory(find_tree(pid)))
    taken_s = cpu_s(find_tree(pid)) - before_s
    return 100 * taken_s / (time.monotonic() - begun_s), samples


TABLE = Table(
    name="idle", title="Idle: a daemon that only watches",
    goals="with 500 channels under 75 MiB of memory and under 1 % of a core; the first answered "
          "request under 1.5 s after the start of the process",
    rounds=3, measure=measure, drawn="memory", notes=NOTES)
