"""The list of channels as CSV, `platform,channel,quality,enabled`, both ways.

Pure; called by the API and the command line for import and export. What a platform or a
quality may be called is for whoever adds the channels to say.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .errors import Invalid, Problem
from .models import Channel

COLUMNS = ("platform", "channel", "quality", "enabled")
ROWS_MAX = 5000
VALUE_MAX = 2000
FLAGS = {"": True, "true": True, "yes": True, "1": True,
         "false": False, "no": False, "0": False}

# A spreadsheet computes a cell that begins like this (the wide forms are for Japanese ones).
_FORMULA = re.compile("'*[=+@＝＋－＠-]")
# What a handle or a name can be (`@handle`, `-name-`): without a bracket, an operator or a
# quote it does nothing as a formula.
_HARMLESS = re.compile(r"[@-][\w.·-]*")
# The first separator, behind the first value.
_SEPARATOR = re.compile(r'\s*+(?:"(?:[^"]|"")*+"|[^",;\r\n]*+)[ \t]*+([,;])')


@dataclass(frozen=True)
class Row:
    """One channel of a list. `problem` says why it cannot be one; the rest is then what
    could be read. `line` is where it begins, the first line being 1."""

    line: int
    platform: str
    channel: str
    quality: str | None = None
    enabled: bool = True
    problem: str | None = None


def parse(data: bytes | str) -> list[Row]:
    """The rows of a list, its header left out; empty lines are skipped.

    With a header the columns may come in any order and `quality` and `enabled` may be
    missing. Takes commas or semicolons (a spreadsheet's choice depends on its country), a byte
    order mark, any line ends. Raises Invalid for what makes no sense as a whole: not
    UTF-8, broken quotes, unknown columns, more than ROWS_MAX rows.
    """
    text = _text(data)
    rows: list[Row] = []
    columns: tuple[str, ...] | None = None
    for line, values in _records(text):
        if columns is None:
            columns = _header(line, values)
            if columns is not None:
                continue
            columns = COLUMNS
        if len(rows) == ROWS_MAX:
            raise _invalid(f"line {line}: there are more than {ROWS_MAX} channels; "
                           "import them in parts")
        rows.append(_row(line, columns, values))
    return rows


def render(channels: Iterable[Channel]) -> str:
    """A list that `parse` gives back as it is, with a header, by commas.

    A name that a spreadsheet would compute gets an apostrophe in front, which `parse` takes
    away; YouTube handles stay as they are, `@` and all.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for channel in channels:
        writer.writerow((channel.platform, _shielded(channel.name), channel.quality,
                         "true" if channel.enabled else "false"))
    return out.getvalue()


def _invalid(message: str) -> Invalid:
    return Invalid([Problem("csv", message)])


def _text(data: bytes | str) -> str:
    if isinstance(data, bytes):
        try:
            data = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise _invalid(f"is not UTF-8 (at byte {error.start}): save it as "
                           "'CSV UTF-8'") from error
    if "\0" in data:
        raise _invalid("is not a text: it holds NUL bytes")
    return data.removeprefix("\ufeff")


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """(first line, values) of everything that is not empty. Raises Invalid."""
    separator = _SEPARATOR.match(text)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True,
                        delimiter=separator[1] if separator else ",")
    line = 1
    try:
        for values in reader:
            values = [value.strip() for value in values]
            # Spreadsheets fill short rows up with empty cells.
            while values and not values[-1]:
                values.pop()
            if values:
                yield line, values
            line = reader.line_num + 1
    except csv.Error as error:
        raise _invalid(f"line {line}: {error}") from error


def _header(line: int, values: list[str]) -> tuple[str, ...] | None:
    """The columns that a first row names, or None when it is a channel: no platform is called
    like a column. Raises Invalid for columns that are not ours."""
    names = tuple(value.lower() for value in values)
    if names[0] not in COLUMNS and not {"platform", "channel"} <= set(names):
        return None
    unknown = [name for name in names if name not in COLUMNS]
    missing = [name for name in COLUMNS[:2] if name not in names]
    if unknown or missing or len(set(names)) < len(names):
        raise _invalid(f"line {line}: the columns are {', '.join(COLUMNS)}, each at most once and "
                       f"the first two always; not {', '.join(values)[:VALUE_MAX]}")
    return names


def _row(line: int, columns: tuple[str, ...], values: list[str]) -> Row:
    said = dict(zip(columns, values))
    enabled = FLAGS.get(said.get("enabled", "").lower())
    return Row(
        line=line,
        platform=said.get("platform", "").lower(),
        channel=_bare(said.get("channel", "")),
        quality=said.get("quality", "").lower() or None,
        enabled=enabled is not False,
        problem=_problem(columns, values, said, enabled),
    )


def _problem(columns: tuple[str, ...], values: list[str], said: dict[str, str],
             enabled: bool | None) -> str | None:
    if len(values) > len(columns):
        return f"has {len(values)} values for {len(columns)} columns"
    for name, value in said.items():
        if len(value) > VALUE_MAX or any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in value):
            return f"{name} must have at most {VALUE_MAX} characters, none of them a control one"
    for name in COLUMNS[:2]:
        if not said.get(name):
            return f"{name} is missing"
    return "enabled must be true or false" if enabled is None else None


def _shielded(name: str) -> str:
    formula = _FORMULA.match(name) and not _HARMLESS.fullmatch(name)
    return "'" + name if formula else name


def _bare(value: str) -> str:
    return value[1:] if value.startswith("'") and _FORMULA.match(value) else value
