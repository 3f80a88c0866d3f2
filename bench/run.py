"""One command for each table: `python bench/run.py NAME [--quick] [--rounds N]`.

Without a name it lists the tables. Progress goes to stderr, the table to stdout, and what was
measured to `bench/results/NAME.*` and `bench/RESULTS.md`; a quick run writes nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import pkgutil
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

if __package__ in (None, ""):
    # As a program its own directory is on the path, and the checkout is not.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench import chart, machine, report, tables
from bench.base import ROOT, Figure, Round, Table

RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "bench" / "RESULTS.md"
ENDING = (signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130
# /tmp is often memory, and recordings are large.
SCRATCH = "/var/tmp"


def names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(tables.__path__))


def load(name: str) -> Table:
    table = importlib.import_module(f"bench.tables.{name}").TABLE
    assert isinstance(table, Table)
    return table


def measure(table: Table, rounds: int, quick: bool, scratch: Path) -> list[list[Figure]]:
    """The figures of each round. Whatever ends a round, its directory is removed."""
    begun_s, found = time.monotonic(), []
    for number in range(1, rounds + 1):
        def say(words: str, number: int = number) -> None:
            now_s = time.monotonic() - begun_s
            print(f"{now_s:7.1f} s  {table.name} {number}/{rounds}  {words}",
                  file=sys.stderr, flush=True)

        with tempfile.TemporaryDirectory(prefix=f"bench-{table.name}-", dir=scratch) as place:
            found.append(list(table.measure(Round(number, quick, say, Path(place)))))
    return found


def keep(table: Table, found: Sequence[Sequence[Figure]], command: str,
         facts: dict[str, str]) -> None:
    """Writes NAME.json, NAME.md and NAME.svg, and the page of all tables."""
    RESULTS.mkdir(exist_ok=True)
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    figures = [figure for one in found for figure in one]
    raw = {"name": table.name, "command": command, "date": date, "machine": facts,
           "rounds": [[dataclasses.asdict(figure) for figure in one] for one in found]}
    write(RESULTS / f"{table.name}.json", json.dumps(raw, indent=1, ensure_ascii=False) + "\n")
    write(RESULTS / f"{table.name}.md",
          report.markdown(table, figures, command, date, len(found), facts))
    write(RESULTS / f"{table.name}.svg",
          chart.svg(f"{table.title}: {table.drawn}", report.groups(table, figures)))
    report.join(RESULTS, PAGE, write)


def write(path: Path, words: str) -> None:
    """Whole or not at all."""
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(words, "utf-8")
    part.replace(path)


def listed() -> str:
    lines = [f"{name:10} {load(name).title}" for name in names()]
    return "\n".join(["python bench/run.py NAME [--quick] [--rounds N]", "", *lines])


def run(name: str, quick: bool, rounds: int | None, scratch: Path) -> None:
    table = load(name)
    facts = machine.described()
    found = measure(table, rounds or (1 if quick else table.rounds), quick, scratch)
    figures = [figure for one in found for figure in one]
    print(f"{table.title}\nGoals: {table.goals}\n\n{report.text(figures)}")
    if not quick:
        keep(table, found, shlex.join(["python", "bench/run.py", *sys.argv[1:]]), facts)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/run.py", description=__doc__.split("\n")[0])
    parser.add_argument("name", nargs="?", choices=names())
    parser.add_argument("--quick", action="store_true",
                        help="a small one, to see that it works; writes nothing")
    parser.add_argument("--rounds", type=int, help="instead of the table's own number")
    parser.add_argument("--scratch", type=Path, default=Path(SCRATCH),
                        help=f"where recordings go while they are measured ({SCRATCH})")
    given = parser.parse_args()
    if given.name is None:
        print(listed())
        return 0
    if given.rounds is not None and given.rounds < 1:
        parser.error("--rounds: at least 1")
    for number in ENDING:
        signal.signal(number, signal.default_int_handler)
    try:
        run(given.name, given.quick, given.rounds, given.scratch)
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    # Children by their name must be those of this environment.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    sys.exit(main())
