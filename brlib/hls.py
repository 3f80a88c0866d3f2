"""The text of the playlists that players are given (RFC 8216). Pure.

`CaptureList` follows a capture entry by entry while it may still grow; `finished` lists the
pieces of finished files. Called by `brlib.viewing`; `brlib.playlist` is the capture's own
index, which also says where everything came from and is for nobody outside.

Everything named is a whole resource, never an EXT-X-BYTERANGE: a 401 has no Content-Range, so
that FFmpeg 5.1, which says its password only after one, takes it for a failed seek.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from .playlist import End, Entry, Hole, Part, Segment, stamp

# Every media file stands in this folder, beside the playlist.
MEDIA = "media/"
# SDT, PAT and PMT as they commonly begin a transport stream.
TABLES_BYTES = 3 * 188
# EXT-X-MAP outside I-frame playlists came with version 6, fractions in EXTINF with 3.
_HEAD = "#EXTM3U\n#EXT-X-VERSION:7\n"
# Without it a player begins at the newest segments of what still grows (4.3.5.2).
_FROM_THE_BEGINNING = "#EXT-X-START:TIME-OFFSET=0,PRECISE=YES\n"


@dataclass(frozen=True)
class Piece:
    """One media segment of a finished file."""

    name: str
    duration_s: float
    discontinuity: bool = False


def piece_name(file: str, offset: int, size_bytes: int) -> str:
    """What a list calls some bytes of a file: `0001.ts` gives `0001-<offset>-<size>.ts`."""
    stem, _, suffix = file.rpartition(".")
    return f"{stem}-{offset}-{size_bytes}.{suffix}"


class Spans:
    """The bytes of one part that a list names: 16 bytes of memory each."""

    def __init__(self) -> None:
        # Those at the beginning that are a map, within the first segment or before it.
        self.head_bytes = 0
        self._begins, self._ends = array("q"), array("q")

    def add(self, offset: int, size_bytes: int) -> None:
        """A segment, behind those that were added before."""
        self._begins.append(offset)
        self._ends.append(offset + size_bytes)

    def names(self, offset: int, size_bytes: int) -> bool:
        """Whether exactly these stand in the list."""
        if offset == 0 and size_bytes == self.head_bytes > 0:
            return True
        place = bisect_left(self._begins, offset)
        return (place < len(self._begins) and self._begins[place] == offset
                and self._ends[place] == offset + size_bytes)


class CaptureList:
    """The playlist of one capture. What was said once is never said differently, but for the
    target duration, which a segment that is longer than all before must raise (4.3.3.1)."""

    def __init__(self, target_duration_s: int) -> None:
        self.ended = False
        self.segments = 0
        # By file, in the order of the broadcast.
        self.parts: dict[str, Spans] = {}
        self._target_s = target_duration_s
        self._body = ""
        self._news: list[str] = []
        self._part: Part | None = None
        self._broken = False
        self._mapped = False

    def add(self, entry: Entry) -> None:
        match entry:
            case Part():
                # Not before its first segment: a crash leaves parts without any.
                self._part, self._broken = entry, True
            case Hole():
                self._broken = True
            case Segment():
                self._add_segment(entry)
            case End():
                self.ended = True

    def text(self, closed: bool) -> str:
        """VOD when nothing more can come, EVENT otherwise."""
        if self._news:
            self._body += "".join(self._news)
            self._news.clear()
        kind, end = ("VOD", "#EXT-X-ENDLIST\n") if closed else ("EVENT", "")
        return (f"{_HEAD}#EXT-X-PLAYLIST-TYPE:{kind}\n#EXT-X-TARGETDURATION:{self._target_s}\n"
                f"#EXT-X-MEDIA-SEQUENCE:0\n{_FROM_THE_BEGINNING}{self._body}{end}")

    def _add_segment(self, entry: Segment) -> None:
        out = ""
        if self.segments and (self._broken or entry.discontinuity):
            out += "#EXT-X-DISCONTINUITY\n"
        spans = self.parts.setdefault(entry.file, Spans())
        if self._part is not None:
            spans.head_bytes = self._head_bytes(self._part, entry)
            if spans.head_bytes:
                out += _map(piece_name(entry.file, 0, spans.head_bytes))
        if entry.date is not None:
            out += f"#EXT-X-PROGRAM-DATE-TIME:{stamp(entry.date)}\n"
        name = piece_name(entry.file, entry.offset, entry.size_bytes)
        self._news.append(out + _segment(name, entry.duration_s))
        self._part, self._broken = None, False
        self.segments += 1
        spans.add(entry.offset, entry.size_bytes)
        self._target_s = max(self._target_s, _rounded(entry.duration_s))

    def _head_bytes(self, part: Part, first: Segment) -> int:
        """The init section of a part, and where another part's must be put out of force (a
        map holds until the next one, 4.3.2.5) what can stand in its place."""
        if part.init_bytes:
            self._mapped = True
            return part.init_bytes
        if self._mapped and part.file.endswith(".ts"):
            return min(TABLES_BYTES, first.offset + first.size_bytes)
        return 0


def finished(files: Sequence[tuple[str, Sequence[Piece]]]) -> str:
    """The whole playlist of finished files, each with the name of its init section: for
    transport streams, which need none, what can stand in its place."""
    target_s = max((_rounded(p.duration_s) for _, pieces in files for p in pieces), default=1)
    out = [f"{_HEAD}#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-TARGETDURATION:{max(1, target_s)}\n"
           "#EXT-X-MEDIA-SEQUENCE:0\n"]
    mapped = False
    for number, (init, pieces) in enumerate(files):
        if number:
            out.append("#EXT-X-DISCONTINUITY\n")
        mapped = mapped or not init.endswith(".ts")
        if mapped:
            out.append(_map(init))
        for piece in pieces:
            out.append("#EXT-X-DISCONTINUITY\n" if piece.discontinuity else "")
            out.append(_segment(piece.name, piece.duration_s))
    return "".join(out) + "#EXT-X-ENDLIST\n"


def _segment(name: str, duration_s: float) -> str:
    return f"#EXTINF:{duration_s:.5f},\n{MEDIA}{name}\n"


def _map(name: str) -> str:
    return f'#EXT-X-MAP:URI="{MEDIA}{name}"\n'


def _rounded(duration_s: float) -> int:
    """To the nearest whole second, halves up: what the target duration must not be below."""
    return int(duration_s + 0.5)
