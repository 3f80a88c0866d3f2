"""What a table is: its figures, its rounds. Every module of `bench.tables` is written to this."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OURS = "Battles Record"


@dataclass(frozen=True)
class Figure:
    """One measured number. `complete`: whether what was recorded is all that was offered;
    None where nothing was recorded."""

    case: str
    contestant: str
    what: str
    value: float
    unit: str
    complete: bool | None = None


@dataclass(frozen=True)
class Round:
    """One turn of every contestant. `scratch` is an empty directory, removed afterwards."""

    number: int
    quick: bool
    say: Callable[[str], None]
    scratch: Path


@dataclass(frozen=True)
class Table:
    """`measure` does one round, every contestant in turn; the SVG shows the column `drawn`.

    `rounds` are those of the full mode. `notes` stand below the table: what a reader must
    know to judge it, and where a goal cannot be met, what the limit is.
    """

    name: str
    title: str
    goals: str
    rounds: int
    measure: Callable[[Round], Iterable[Figure]]
    drawn: str
    notes: str = ""
