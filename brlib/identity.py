"""Whose capture it is: told in notes at the beginning of its index, and read from there again.

Pure. The recorder writes them when it makes a capture, `brlib.adoption` reads them where the
row in the store is missing. The address of a stream may hold a token: the index is its
owner's alone (0600) and what viewers get leaves notes out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from .models import (
    PLATFORMS, Channel, EndReason, Recording, RecordingStatus, Sums, utc_now,
)
from .naming import template_problem
from .playlist import End, Entry, Note, Segment

RECORDING_ID = re.compile(r"rec_[a-z0-9]{12}")
CHANNEL_ID = re.compile(r"ch_[a-z0-9]{12}")
# Captures of before there were such notes do not say whose they are.
UNKNOWN_CHANNEL = "ch_" + 12 * "0"
UNKNOWN_NAME = "Unknown channel"
# What the first note says: the broadcast may be called something else later.
_FIRST = ("title", "category")


def notes_of(recording: Recording, channel: Channel) -> dict[str, str]:
    """In the order in which they are to be written."""
    told = {
        "recording": recording.id,
        "channel": channel.id,
        "channel_name": channel.display_name,
        "channel_address": channel.name,
        "channel_url": channel.url,
        "channel_quality": channel.quality,
        "platform": channel.platform,
        "broadcast": recording.broadcast_id,
        "started_at": begun_note(recording),
        "output_directory": recording.output_directory,
        "filename_template": recording.filename_template,
        "title": recording.title,
        "category": recording.category,
    }
    return {key: value for key, value in told.items() if value}


def begun_note(recording: Recording) -> str:
    """`started_at` as a note: exact, file names are made of it."""
    return recording.started_at.isoformat(timespec="microseconds")


@dataclass(frozen=True)
class Found:
    """What an index says of itself. `channel` is who could be watched again, where it tells."""

    recording: Recording
    channel: Channel | None


def recall(recording_id: str, entries: Iterable[Entry], sums: Sums) -> Found:
    """The recording whose capture has these entries, at least one segment among them.

    Still recording, or, where its index has an end, to be processed.
    """
    notes: dict[str, str] = {}
    first: Segment | None = None
    last: Segment | None = None
    ended = False
    for entry in entries:
        match entry:
            case Note():
                if entry.key not in _FIRST or entry.key not in notes:
                    notes[entry.key] = entry.value
            case Segment():
                first, last = first or entry, entry
            case End():
                ended = True
    started_at = _moment(notes.get("started_at")) or (first.taken_at if first else utc_now())
    name = notes.get("channel_name") or UNKNOWN_NAME
    platform = notes.get("platform", "")
    recording = Recording(
        id=recording_id,
        channel_id=_matching(CHANNEL_ID, notes.get("channel")) or UNKNOWN_CHANNEL,
        channel_name=name,
        platform=platform if platform in PLATFORMS else "url",
        title=notes.get("title") or name,
        status=RecordingStatus.RECORDING,
        started_at=started_at,
        category=notes.get("category"),
        quality=notes.get("quality") or "source",
        broadcast_id=notes.get("broadcast"),
        sums=sums,
        filename_template=_template(notes.get("filename_template")),
        output_directory=notes.get("output_directory"),
    )
    if ended:
        recording = replace(
            recording, status=RecordingStatus.PROCESSING, end_reason=EndReason.ENDED,
            ended_at=last.taken_at + timedelta(seconds=last.duration_s) if last else started_at)
    return Found(recording, _channel(recording, notes))


def _channel(recording: Recording, notes: dict[str, str]) -> Channel | None:
    name, url = notes.get("channel_address"), notes.get("channel_url")
    if not name or not url or recording.channel_id == UNKNOWN_CHANNEL:
        return None
    return Channel(
        id=recording.channel_id, platform=recording.platform, name=name,
        display_name=recording.channel_name, url=url,
        quality=notes.get("channel_quality") or "source", enabled=True,
        created_at=recording.started_at, broadcast_id=recording.broadcast_id)


def _matching(pattern: re.Pattern[str], text: str | None) -> str | None:
    return text if text and pattern.fullmatch(text) else None


def _template(text: str | None) -> str | None:
    return text if text and template_problem(text) is None else None


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None
