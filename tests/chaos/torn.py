"""A real capture as it was being written when the power went, and every state of its directory.

`Writing` writes one through `Capture`; `states` lists what the disk may hold afterwards: what
is behind the last sync missing, torn at any byte, or of full length and zero (what delayed
allocation leaves), media and index independently of each other. `surviving` says what has to
be left of it, from the bytes alone. Used by tests.test_power_cut.
"""

from __future__ import annotations

import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from brlib.capture import Capture
from brlib.capture.base import Missed, Source
from brlib.ledger import INDEX
from brlib.models import GapCause
from brlib.playlist import End, Found, Part, Segment, Synced, parse
from brlib.tally import Tally

from ..media import fmp4_clips
from ..test_playlist import MOMENT

Files = dict[str, bytes]
OPEN = threading.Event()
PACKETS = 3
SEED = 20


def ts_body(num: int) -> bytes:
    """Three transport stream packets, with zeros inside as stuffing has them."""
    packets = [b"\x47\x01\x00" + bytes((num, at)) + bytes(40) + bytes((num + 1, at + 1)) * 71
               for at in range(PACKETS)]
    return b"".join(packet[:187] + b"\xff" for packet in packets)


INIT, CLIPS = fmp4_clips(20, size="32x18", fps=4, audio=False)


class Writing:
    """A capture in the making, with a clock that stands unless it is moved."""

    def __init__(self, directory: Path, again: bool = False) -> None:
        """`again`: go on with what is left there."""
        self.clock_s = 0.0
        make = Capture.recover if again else Capture.create
        self.capture = make(
            "rec_1", directory, on_news=lambda: None, clock=lambda: self.clock_s,
            now=lambda: MOMENT + timedelta(seconds=self.clock_s))
        self._num = 15 if again else 0

    def ts(self, discontinuity: bool = False) -> None:
        self._commit(ts_body(self._num), None, None, discontinuity)

    def mp4(self) -> None:
        date = MOMENT + timedelta(seconds=0.5 * self._num)
        self._commit(CLIPS[self._num].body, INIT, date, False)

    def _commit(self, body: bytes, init: bytes | None, date: datetime | None,
                discontinuity: bool) -> None:
        source = Source(self._num, 0, 0.5, f"{self._num:08x}", date, discontinuity)
        self.capture.commit(source, body, init, OPEN)
        self._num += 1

    def hole(self, cause: GapCause = GapCause.EXPIRED) -> None:
        self._num += 2
        self.capture.miss(Missed(2, 1.0, cause), self._num, 0, OPEN)

    def note(self, text: str) -> None:
        self.capture.note("title", text)

    def sync(self) -> None:
        self.clock_s += 10.0
        self.capture.sync_if_due()

    def common(self) -> None:
        """What every capture here begins with: two parts, holes, notes, several syncs."""
        self.ts()
        self.note("one, \"two\" %")
        self.ts(discontinuity=True)
        self.sync()
        self.hole(GapCause.NETWORK)
        self.ts()
        self.mp4()
        self.sync()
        self.note("three")
        self.mp4()
        self.hole(GapCause.DAEMON_DOWN)
        self.mp4()
        self.sync()


def in_a_part(one: Writing) -> None:
    one.common()
    one.mp4()
    one.note("four")
    one.mp4()


def behind_a_hole(one: Writing) -> None:
    one.common()
    one.mp4()
    one.hole()
    one.hole(GapCause.SOURCE)
    one.mp4()


def in_a_new_part(one: Writing) -> None:
    one.common()
    one.ts()
    one.ts(discontinuity=True)


def two_new_parts(one: Writing) -> None:
    one.common()
    one.ts()
    one.mp4()


def never_synced(one: Writing) -> None:
    one.note("nothing is certain yet")
    one.ts()
    one.ts()


def ending(one: Writing) -> None:
    one.common()
    one.mp4()
    one.capture._ledger.append(End())


WRITINGS = [in_a_part, behind_a_hole, in_a_new_part, two_new_parts, never_synced, ending]


@dataclass(frozen=True)
class Written:
    """A capture as it was when the power went, and how much of each file is on the disk for
    certain: `floors`, by name; 0 for a file of which nobody knows."""

    files: Files
    found: list[Found]
    floors: dict[str, int]

    @property
    def tail(self) -> list[str]:
        """The part files that can have lost something."""
        return [name for name, floor in self.floors.items()
                if name != INDEX and floor < len(self.files[name])]


def written(place: Path, writing: Callable[[Writing], None]) -> Written:
    directory = place / "source"
    one = Writing(directory)
    writing(one)
    files = files_of(directory)
    one.capture.suspend()
    shutil.rmtree(directory)
    found = list(parse(files[INDEX]))
    floors = dict.fromkeys(files, 0)
    floors[INDEX] = files[INDEX].index(b"SEQUENCE:0\n") + len(b"SEQUENCE:0\n")
    synced = max((i for i, f in enumerate(found) if isinstance(f.entry, Synced)), default=-1)
    # The index was synced just before it said so: that line itself may be missing.
    if synced > 0:
        floors[INDEX] = found[synced - 1].end
    for item in found[:max(synced, 0)]:
        match item.entry:
            case Part() as part:
                floors[part.file] = part.init_bytes
            case Segment() as segment:
                floors[segment.file] = segment.offset + segment.size_bytes
    return Written(files, found, floors)


def files_of(directory: Path) -> Files:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def surviving(was: Written, left: Files) -> int:
    """How many entries are to be there after recovery: those whose lines are whole and whose
    media is, up to the first for which that is not so. An end is not kept: it goes on."""
    kept = 0
    for item in was.found:
        entry = item.entry
        if isinstance(entry, End) or left[INDEX][:item.end] != was.files[INDEX][:item.end]:
            break
        name, start, end = "", 0, 0
        if isinstance(entry, Part):
            name, end = entry.file, entry.init_bytes
        elif isinstance(entry, Segment):
            name, start, end = entry.file, entry.offset, entry.offset + entry.size_bytes
        if name and left.get(name, b"-")[start:end] != was.files[name][start:end]:
            break
        if name and name not in left:
            break
        kept += 1
    return kept


def as_kept(was: Written, kept: int) -> tuple[Files, Tally]:
    """The directory and the sums with only the first so many entries."""
    tally, end = Tally(), was.floors[INDEX] if not kept else was.found[kept - 1].end
    files: Files = {}
    for item in was.found[:kept]:
        tally.add(item.entry)
        if isinstance(item.entry, (Part, Segment)):
            files[item.entry.file] = was.files[item.entry.file][:tally.part_bytes]
    if not kept:
        end = was.files[INDEX].index(b"SEQUENCE:0\n") + len(b"SEQUENCE:0\n")
    return {**files, INDEX: was.files[INDEX][:end]}, tally


# The states of one file.

def cuts(data: bytes, floor: int) -> Iterator[bytes]:
    """Torn at every byte; the last is whole."""
    return (data[:at] for at in range(floor, len(data) + 1))


def zeros(data: bytes, floor: int) -> Iterator[bytes]:
    """Of full length, with zeros from every byte on."""
    return (data[:at] + bytes(len(data) - at) for at in range(floor, len(data)))


def rubbish(data: bytes, floor: int, ends: list[int]) -> Iterator[bytes]:
    """What was in the disk's blocks before, behind every entry and in the middle of one."""
    for at in ends:
        for tail in (b"\x00" * 4096, bytes(40) + b"\n", b"\xff\xfe" * 600, b"\n\n\n",
                     b"#EXT-X-TARGETDUR", b"0009.ts\n", b"#EXTINF:0.5,\n"):
            if at >= floor:
                yield data[:at] + tail
                yield data[:max(floor, at - 7)] + tail


def states(was: Written) -> Iterator[Files]:
    """Every directory that may be found afterwards."""
    index, floor = was.files[INDEX], was.floors[INDEX]
    ends = [found.end for found in was.found]
    for left in (*cuts(index, floor), *zeros(index, floor)):
        yield {**was.files, INDEX: left}
    for name in was.tail:
        media, sure = was.files[name], was.floors[name]
        for left in (*cuts(media, sure), *zeros(media, sure), media + bytes(9), media + media):
            yield {**was.files, name: left}
        for left in cuts(index, floor):
            # Nothing of the media got to the disk.
            yield {**was.files, INDEX: left, name: media[:sure]}
        if not sure:
            # Its name was lost with the directory's block, its line was not.
            yield {key: data for key, data in was.files.items() if key != name}
            yield {**was.files, name: b""}
            yield {**was.files, name: b"", INDEX: index[:floor]}
    for left in rubbish(index, floor, ends):
        yield {**was.files, INDEX: left}
    dice = random.Random(SEED)
    for _ in range(300):
        # Both torn, each somewhere.
        yield {**was.files, **{
            name: dice.choice([data[:at], data[:at] + bytes(len(data) - at)])
            for name, data in was.files.items()
            if name == INDEX or name in was.tail
            for at in [dice.randint(was.floors[name], len(data))]}}


def lay(directory: Path, files: Files) -> None:
    directory.mkdir(exist_ok=True)
    for name in set(os.listdir(directory)) - set(files):
        os.unlink(directory / name)
    for name, data in files.items():
        (directory / name).write_bytes(data)


def most(was: Written) -> int:
    """The entries that recovery can keep: an end is opened again."""
    return len(was.found) - isinstance(was.found[-1].entry, End)
