"""What is on disk against what the origin offered, segment by segment."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from brlib import playlist
from brlib.ledger import INDEX
from brlib.models import Recording
from brlib.playlist import Part, Segment

from .faults import Offered
from .media import video_frames


def captured(directory: Path) -> list[tuple[bytes, bytes]]:
    """(init section, body) of every segment that a capture's index names, in its order."""
    init, media, found = b"", b"", []
    for item in playlist.parse((directory / INDEX).read_bytes()):
        entry = item.entry
        if isinstance(entry, Part):
            media = (directory / entry.file).read_bytes()
            init = media[:entry.init_bytes]
        elif isinstance(entry, Segment):
            found.append((init, media[entry.offset:entry.offset + entry.size_bytes]))
    return found


def assert_same(directory: Path, offered: list[Offered]) -> None:
    """Every offered segment is there, whole, once, in order; nothing else is."""
    names = {(o.init or b"", o.body): f"{o.epoch}/{o.num}" for o in offered}
    assert len(names) == len(offered), "the origin offered the same bytes twice"
    got = [names.get(pair, "unknown bytes") for pair in captured(directory)]
    wanted = [f"{o.epoch}/{o.num}" for o in offered]
    doubled = [name for name, count in Counter(got).items() if count > 1]
    missing = [name for name in wanted if name not in got]
    assert got == wanted, f"missing {missing}, doubled {doubled}, got {got}"


def assert_all_frames(recording: Recording, offered: list[Offered]) -> None:
    """The finished files hold all video frames of what was offered."""
    frames = sum(video_frames(Path(name)) for name in recording.files)
    assert frames == sum(o.frames for o in offered)
