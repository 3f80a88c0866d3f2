"""Figures as people read them: medians, ratios, the table as text and Markdown, the page of
all tables. Pure but for `join`; called by `bench.run`."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .base import Figure, Table
from .chart import Bar, Group

ORDER = ("complete", "cost", "file", "idle", "api", "long")
HEAD = """# Results

Every table was printed by the command above it; `python bench/run.py NAME` does it again on
your machine and writes its part of this page anew. Values are medians of the rounds, with the
least and the most in brackets; × is the ratio to the first contestant of the same case.
"""
NONE = "–"


@dataclass(frozen=True)
class Cell:
    """One column of one contestant over all rounds."""

    median: float
    least: float
    most: float
    unit: str
    ratio: float | None = None

    @property
    def text(self) -> str:
        parts = [shown(self.median, self.unit)]
        if self.least < self.most:
            parts.append(f"({shown(self.least)}–{shown(self.most)})")
        if self.ratio is not None:
            parts.append(f"×{self.ratio:.2f}")
        return " ".join(parts)


@dataclass(frozen=True)
class Row:
    """One contestant in one case; `complete` over all rounds, None where nothing is recorded."""

    case: str
    contestant: str
    cells: Mapping[str, Cell]
    complete: bool | None


def rows(figures: Sequence[Figure]) -> list[Row]:
    """Cases and contestants in the order in which they were first measured."""
    made: list[Row] = []
    for case in _firsts(f.case for f in figures):
        of_case = [f for f in figures if f.case == case]
        first: Mapping[str, Cell] | None = None
        for contestant in _firsts(f.contestant for f in of_case):
            own = [f for f in of_case if f.contestant == contestant]
            cells = {what: _cell([f for f in own if f.what == what],
                                 first.get(what) if first else None)
                     for what in _firsts(f.what for f in own)}
            first = cells if first is None else first
            known = [f.complete for f in own if f.complete is not None]
            made.append(Row(case, contestant, cells, all(known) if known else None))
    return made


def _cell(figures: Sequence[Figure], first: Cell | None) -> Cell:
    values = [figure.value for figure in figures]
    median = statistics.median(values)
    # Nothing is some number of times 0.
    ratio = median / first.median if first and first.median else None
    return Cell(median, min(values), max(values), figures[0].unit, ratio)


def _firsts(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def shown(value: float, unit: str = "") -> str:
    """Three digits or so. What is not quite 100 never reads 100."""
    if 99 <= value < 100:
        number = f"{int(value * 100) / 100:.2f}"
    elif abs(value) >= 100:
        number = f"{value:.0f}"
    else:
        number = f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return f"{number} {unit}".rstrip()


def grid(figures: Sequence[Figure]) -> list[list[str]]:
    """The table's cells as text, its head first."""
    every = rows(figures)
    whats = _firsts(f.what for f in figures)
    judged = any(row.complete is not None for row in every)
    head = ["case", "contestant", *whats, *(["complete"] if judged else [])]
    lines, case = [head], ""
    for row in every:
        cells = [row.cells[what].text if what in row.cells else NONE for what in whats]
        words = {True: "yes", False: "no", None: NONE}[row.complete]
        lines.append([row.case if row.case != case else "", row.contestant, *cells,
                      *([words] if judged else [])])
        case = row.case
    return lines


def text(figures: Sequence[Figure]) -> str:
    lines = grid(figures)
    widths = [max(len(line[n]) for line in lines) for n in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
        for line in lines) + "\n"


def markdown(table: Table, figures: Sequence[Figure], command: str, date: str, rounds: int,
             machine: Mapping[str, str]) -> str:
    """The section of one table; its drawing lies beside it as NAME.svg."""
    head, *lines = [[cell.replace("|", "\\|") for cell in line] for line in grid(figures)]
    marks = ["---"] * 2 + ["---:"] * (len(head) - 2)
    facts = ", ".join(f"{name} {value}" for name, value in machine.items())
    return "\n".join([
        f"## {table.title}", "", f"Goals: {table.goals}", "",
        f"`{command}` on {date}, {rounds} {'round' if rounds == 1 else 'rounds'}.", "",
        *(f"| {' | '.join(line)} |" for line in (head, marks, *lines)), "",
        f"![{table.title}]({table.name}.svg)", "",
        *([table.notes.strip(), ""] if table.notes.strip() else []),
        f"Measured with: {facts}.", ""])


def groups(table: Table, figures: Sequence[Figure]) -> list[Group]:
    """The column that is drawn."""
    made = []
    every = [row for row in rows(figures) if table.drawn in row.cells]
    for case in _firsts(row.case for row in every):
        own = [row for row in every if row.case == case]
        bars = []
        for number, row in enumerate(own):
            cell = row.cells[table.drawn]
            bars.append(Bar(row.contestant, cell.median, cell.least, cell.most,
                            shown(cell.median, cell.unit), number == 0))
        made.append(Group(case, bars))
    return made


def join(results: Path, page: Path, write: Callable[[Path, str], None]) -> None:
    """All sections there are, as one page beside the directory of results."""
    names = sorted((path.stem for path in results.glob("*.md")),
                   key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    parts = [(results / f"{name}.md").read_text("utf-8").replace(
        f"]({name}.svg)", f"]({results.name}/{name}.svg)") for name in names]
    write(page, "\n".join([HEAD, *parts]))
