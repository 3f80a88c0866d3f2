"""The text of a capture's `index.m3u8`: entries to lines and lines to entries. Pure.

The index is an HLS EVENT playlist (RFC 8216) that is only ever appended to, so that it
can be played, and a ledger: `#BR-` comment lines, which players skip, carry the source's
numbering, digests, gaps and parts. `brlib.ledger` owns the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from .models import Gap, GapCause

ENDLIST = "#EXT-X-ENDLIST"
SYNCED = "#BR-SYNCED"


@dataclass(frozen=True)
class Part:
    """A new part file begins; `init` is the length of the init section at its start."""

    file: str
    shape: str
    init_bytes: int = 0
    init_digest: str = ""


@dataclass(frozen=True)
class Segment:
    """A committed segment: where its bytes are and what it was at the source."""

    file: str
    offset: int
    size_bytes: int
    duration_s: float
    num: int
    epoch: int
    digest: str
    path: str
    taken_at: datetime
    date: datetime | None = None
    discontinuity: bool = False


@dataclass(frozen=True)
class Hole:
    """A gap, and the number in the source's numbering at which it goes on behind it."""

    gap: Gap
    next_num: int
    epoch: int


@dataclass(frozen=True)
class Note:
    """Something that was so from here on: the title, the category, the quality. Those before
    the first segment say whose capture it is (`identity`)."""

    key: str
    value: str


@dataclass(frozen=True)
class Synced:
    """Everything above this line, and the media it names, is on the disk."""


@dataclass(frozen=True)
class End:
    """The capture is closed: nothing follows."""


Entry = Part | Segment | Hole | Note | Synced | End


def header(target_duration_s: int) -> str:
    return (
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-PLAYLIST-TYPE:EVENT\n"
        f"#EXT-X-TARGETDURATION:{target_duration_s}\n#EXT-X-MEDIA-SEQUENCE:0\n"
    )


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def lines(entry: Entry) -> str:
    """The lines of an entry, each ended; written with one write."""
    match entry:
        case Part():
            init = (f'#EXT-X-MAP:URI="{entry.file}",BYTERANGE="{entry.init_bytes}@0"\n'
                    if entry.init_bytes else "")
            return init + _tag("BR-PART", FILE=entry.file, SHAPE=entry.shape,
                               INIT=str(entry.init_bytes), DIGEST=entry.init_digest)
        case Segment():
            return _segment_lines(entry)
        case Hole():
            gap = entry.gap
            return _tag("BR-GAP", START=stamp(gap.started_at), OFFSET=f"{gap.offset_s:.3f}",
                        DURATION=f"{gap.duration_s:.3f}", SEGMENTS=str(gap.segments),
                        CAUSE=gap.cause.value, NEXT=str(entry.next_num), EPOCH=str(entry.epoch))
        case Note():
            return _tag("BR-NOTE", KEY=entry.key, VALUE=entry.value)
        case Synced():
            return SYNCED + "\n"
        case End():
            return ENDLIST + "\n"


def _segment_lines(entry: Segment) -> str:
    text = _tag("BR-SEGMENT", NUM=str(entry.num), EPOCH=str(entry.epoch), DIGEST=entry.digest,
                PATH=entry.path, TAKEN=stamp(entry.taken_at))
    if entry.discontinuity:
        text += "#EXT-X-DISCONTINUITY\n"
    if entry.date is not None:
        text += f"#EXT-X-PROGRAM-DATE-TIME:{stamp(entry.date)}\n"
    return text + (f"#EXTINF:{entry.duration_s:.5f},\n"
                   f"#EXT-X-BYTERANGE:{entry.size_bytes}@{entry.offset}\n{entry.file}\n")


def _tag(tag: str, **values: str) -> str:
    return f"#{tag}:" + ",".join(f'{k}="{_escape(v)}"' for k, v in values.items()) + "\n"


def _escape(value: str) -> str:
    """A quoted-string of RFC 8216 4.2 has no quote and no line break, and UTF-8 no lone
    surrogates; `%` escapes them."""
    return re.sub(r'["%\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]',
                  lambda m: f"%{ord(m[0]):04x}", value)


def _unescape(value: str) -> str:
    return re.sub(r"%([0-9a-f]{4})", lambda m: chr(int(m[1], 16)), value)


_ATTRIBUTE = re.compile(r'([A-Z]+)="([^"]*)"(?:,|$)')


def _attributes(text: str) -> dict[str, str]:
    return {m[1]: _unescape(m[2]) for m in _ATTRIBUTE.finditer(text)}


@dataclass(frozen=True)
class Found:
    """An entry and the offset in the index at which its last line ends."""

    entry: Entry
    end: int


def parse(data: bytes, base: int = 0) -> Iterator[Found]:
    """The complete entries of (the rest of) an index that starts at offset `base`.

    Stops silently at the first line that is torn or is not ours: what follows a torn
    line was never committed.
    """
    pending: dict[str, str] = {}
    position = 0
    while (newline := data.find(b"\n", position)) >= 0:
        raw = data[position:newline]
        position = newline + 1
        try:
            entry = _line(raw.decode("utf-8"), pending)
        except (ValueError, KeyError):
            return
        if entry is not None:
            yield Found(entry, base + position)


def _line(line: str, pending: dict[str, str]) -> Entry | None:
    """One line; `pending` gathers a segment's tags until its file name comes."""
    tag, _, value = line.partition(":")
    match tag:
        case "#BR-SEGMENT":
            pending.clear()
            pending.update(_attributes(value))
        case "#EXT-X-DISCONTINUITY" | "#EXT-X-PROGRAM-DATE-TIME" | "#EXTINF" | "#EXT-X-BYTERANGE":
            pending[tag] = value
        case "#BR-PART":
            a = _attributes(value)
            return Part(a["FILE"], a["SHAPE"], int(a["INIT"]), a["DIGEST"])
        case "#BR-GAP":
            a = _attributes(value)
            gap = Gap(datetime.fromisoformat(a["START"]), float(a["OFFSET"]),
                      float(a["DURATION"]), int(a["SEGMENTS"]), GapCause(a["CAUSE"]))
            return Hole(gap, int(a["NEXT"]), int(a["EPOCH"]))
        case "#BR-NOTE":
            a = _attributes(value)
            return Note(a["KEY"], a["VALUE"])
        case "#BR-SYNCED":
            return Synced()
        case "#EXT-X-ENDLIST":
            return End()
        case _ if line.startswith(("#EXTM3U", "#EXT-X-")):
            return None
        case _:
            return _segment(line, pending)
    return None


def _segment(file: str, tags: dict[str, str]) -> Segment:
    if not re.fullmatch(r"\d{4,}\.[a-z0-9]+", file):
        raise ValueError(file)
    size, _, offset = tags["#EXT-X-BYTERANGE"].partition("@")
    date = tags.get("#EXT-X-PROGRAM-DATE-TIME")
    segment = Segment(
        file=file, offset=int(offset), size_bytes=int(size),
        duration_s=float(tags["#EXTINF"].rstrip(",")),
        num=int(tags["NUM"]), epoch=int(tags["EPOCH"]),
        digest=tags["DIGEST"], path=tags["PATH"], taken_at=datetime.fromisoformat(tags["TAKEN"]),
        date=datetime.fromisoformat(date) if date else None,
        discontinuity="#EXT-X-DISCONTINUITY" in tags,
    )
    tags.clear()
    return segment
