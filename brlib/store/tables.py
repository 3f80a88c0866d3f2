"""Every table that a rebuild saves, and how to see that a row of it is one.

Used by `damage` and `salvage`: what cannot be made an object of would fail for everybody.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..models import QuotaState, Recording
from .api_keys import to_key
from .base import need_time
from .channels import SELECTED as CHANNEL_COLUMNS
from .channels import to_channel
from .credentials import to_credential, to_flow
from .rows import SELECTED, to_change, to_gap, to_recording
from .users import to_user


# Directories are named by it, and removed.
_RECORDING_ID = re.compile(r"rec_\w+", re.ASCII)


def _to_recording(row: sqlite3.Row) -> Recording:
    """Raises ValueError, TypeError."""
    found = to_recording(row)
    if not _RECORDING_ID.fullmatch(found.id):
        raise ValueError(f"no id of a recording: {found.id!r}")
    return found


@dataclass(frozen=True)
class Table:
    """`reader` makes an object of `columns`; `at_start` narrows to those rows without which
    the daemon does not start."""

    name: str
    columns: str
    reader: Callable[[sqlite3.Row], Any]
    at_start: str = ""


# In this order: what refers to others behind them.
TABLES = (
    Table("channels", CHANNEL_COLUMNS, to_channel),
    Table("users", "*", to_user),
    Table("sessions", "*", lambda row: need_time(row["expires_at"])),
    Table("api_keys", "*", to_key),
    Table("credentials", "*", to_credential),
    Table("login_flows", "*", to_flow),
    Table("platform_rests", "*", lambda row: need_time(row["until"])),
    Table("platform_ids", "*", lambda row: int(row["number"])),
    Table("quota_states", "*", lambda row: QuotaState(row["state"])),
    # 100,000 of them take a second.
    Table("recordings", SELECTED, _to_recording,
          "WHERE status IN ('recording', 'paused', 'processing')"),
    Table("gaps", "*", to_gap, "WHERE 0"),
    Table("changes", "*", to_change, "WHERE 0"),
)
# Without a rowid, and what their rows go by.
KEYED = {
    "platform_rests": "platform", "platform_ids": "platform", "quota_states": "channel_id"}


def is_sound(table: Table, row: sqlite3.Row) -> bool:
    try:
        table.reader(row)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return False
    return True


def find_senseless(db: sqlite3.Connection, thorough: bool) -> str | None:
    """The name of a table that holds a row of no sense; `thorough`: every row is looked at.

    Raises sqlite3.Error.
    """
    for table in TABLES:
        where = "" if thorough else table.at_start
        rows = db.execute(f"SELECT {table.columns} FROM {table.name} {where}")
        if not all(is_sound(table, row) for row in rows):
            return table.name
    return None
