"""The text of the playlists that players are given (RFC 8216). Pure.

`CaptureList` follows a capture entry by entry while it may still grow; `finished` lists the
pieces of finished files. Called by `brlib.viewing`; `brlib.playlist` is the capture's own
index, which also says where everything came from and is for nobody outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .playlist import End, Entry, Hole, Part, Segment, stamp

# Every media file stands in this folder, beside the playlist.
MEDIA = "media/"
# SDT, PAT and PMT as they commonly begin a transport stream.
_TABLES_BYTES = 3 * 188
# EXT-X-MAP outside I-frame playlists came with version 6, fractions in EXTINF with 3.
_HEAD = "#EXTM3U\n#EXT-X-VERSION:7\n"
# Without it a player begins at the newest segments of what still grows (4.3.5.2).
_FROM_THE_BEGINNING = "#EXT-X-START:TIME-OFFSET=0,PRECISE=YES\n"


@dataclass(frozen=True)
class Piece:
    """One media segment of a finished file; `place` is (offset, size) for a byte range."""

    name: str
    duration_s: float
    place: tuple[int, int] | None = None
    discontinuity: bool = False


class CaptureList:
    """The playlist of one capture. What was said once is never said differently, but for the
    target duration, which a segment that is longer than all before must raise (4.3.3.1)."""

    def __init__(self, target_duration_s: int) -> None:
        self.ended = False
        self.segments = 0
        # Committed bytes by part file, in the order of the broadcast.
        self.sizes: dict[str, int] = {}
        self._target_s = target_duration_s
        self._body = ""
        self._news: list[str] = []
        self._part: Part | None = None
        self._broken = False
        self._mapped = False

    @property
    def last_file(self) -> str | None:
        return next(reversed(self.sizes), None)

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
        if self._part is not None:
            out += self._map(self._part)
        if entry.date is not None:
            out += f"#EXT-X-PROGRAM-DATE-TIME:{stamp(entry.date)}\n"
        self._news.append(out + _segment(entry.file, entry.duration_s,
                                         (entry.offset, entry.size_bytes)))
        self._part, self._broken = None, False
        self.segments += 1
        self.sizes[entry.file] = entry.offset + entry.size_bytes
        self._target_s = max(self._target_s, _rounded(entry.duration_s))

    def _map(self, part: Part) -> str:
        """The init section of a part, and where another part's must be put out of force: a
        map holds until the next one (4.3.2.5)."""
        if part.init_bytes:
            self._mapped = True
            return _map(part.file, (0, part.init_bytes))
        if self._mapped and part.file.endswith(".ts"):
            return _map(part.file, (0, _TABLES_BYTES))
        return ""


def finished(files: Sequence[tuple[str | None, Sequence[Piece]]]) -> str:
    """The whole playlist of finished files, each with the name of its init section; None for
    transport streams, which have none."""
    target_s = max((_rounded(p.duration_s) for _, pieces in files for p in pieces), default=1)
    out = [f"{_HEAD}#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-TARGETDURATION:{max(1, target_s)}\n"
           "#EXT-X-MEDIA-SEQUENCE:0\n"]
    mapped = False
    for number, (init, pieces) in enumerate(files):
        if number:
            out.append("#EXT-X-DISCONTINUITY\n")
        if init is not None:
            mapped = True
            out.append(_map(init, None))
        elif mapped:
            out.append(_map(pieces[0].name, (0, _TABLES_BYTES)))
        for piece in pieces:
            out.append("#EXT-X-DISCONTINUITY\n" if piece.discontinuity else "")
            out.append(_segment(piece.name, piece.duration_s, piece.place))
    return "".join(out) + "#EXT-X-ENDLIST\n"


def _segment(name: str, duration_s: float, place: tuple[int, int] | None) -> str:
    bytes_of = f"#EXT-X-BYTERANGE:{place[1]}@{place[0]}\n" if place else ""
    return f"#EXTINF:{duration_s:.5f},\n{bytes_of}{MEDIA}{name}\n"


def _map(name: str, place: tuple[int, int] | None) -> str:
    bytes_of = f',BYTERANGE="{place[1]}@{place[0]}"' if place else ""
    return f'#EXT-X-MAP:URI="{MEDIA}{name}"{bytes_of}\n'


def _rounded(duration_s: float) -> int:
    """To the nearest whole second, halves up: what the target duration must not be below."""
    return int(duration_s + 0.5)
