"""Recordings as rows and back, for `recordings`: columns, values, and the dataclass again."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import fields
from datetime import datetime
from typing import Any

from ..models import Change, EndReason, Gap, GapCause, Recording, RecordingStatus, Sums
from .base import need_time, to_text, to_time

# In the order in which `to_recording` takes them.
COLUMNS = (
    "id", "channel_id", "channel_name", "platform", "title", "category", "quality",
    "broadcast_id", "status", "started_at", "ended_at", "end_reason", "files",
    "file_size_bytes", "error", "filename_template", "output_directory",
    "protected", *(f.name for f in fields(Sums)),
)
SELECTED = ", ".join(COLUMNS)


def to_columns(values: dict[str, Any]) -> dict[str, Any]:
    """Columns for fields: the sums spread out, files as JSON, times as text."""
    columns = {}
    for name, value in values.items():
        if name == "sums":
            columns.update(value)
        elif name == "files":
            columns[name] = json.dumps(list(value))
        else:
            columns[name] = to_text(value) if isinstance(value, datetime) else value
    return columns


def to_recording(row: sqlite3.Row) -> Recording:
    """From a row of `SELECTED`. By position: by name takes twice as long, and a page has
    500 of them."""
    (identity, channel_id, channel_name, platform, title, category, quality, broadcast_id,
     status, started_at, ended_at, end_reason, files, file_size_bytes, error,
     filename_template, output_directory, protected, *sums) = row
    return Recording(
        id=identity,
        channel_id=channel_id,
        channel_name=channel_name,
        platform=platform,
        title=title,
        category=category,
        quality=quality,
        broadcast_id=broadcast_id,
        status=RecordingStatus(status),
        started_at=need_time(started_at),
        ended_at=to_time(ended_at),
        end_reason=EndReason(end_reason) if end_reason else None,
        sums=Sums(*sums),
        files=tuple(json.loads(files)),
        file_size_bytes=file_size_bytes,
        error=error,
        filename_template=filename_template,
        output_directory=output_directory,
        protected=bool(protected),
    )


def to_gap(row: sqlite3.Row) -> Gap:
    return Gap(need_time(row["started_at"]), row["offset_s"], row["duration_s"],
               row["segments"], GapCause(row["cause"]))


def to_change(row: sqlite3.Row) -> Change:
    return Change(float(row["offset_s"]), str(row["key"]), str(row["value"]))
