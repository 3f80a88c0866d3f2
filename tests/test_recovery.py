"""Tests of brlib.ledger after crashes, power cuts and on full disks."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from brlib.errors import CaptureDamaged
from brlib.ledger import INDEX, Follower, Ledger, read, settle
from brlib.models import GapCause
from brlib.playlist import End, Entry, Found, Note, Part, Segment, Synced, header, parse

from .test_ledger import facts, hole

BODIES = [b"%d " % num * (20 + num) for num in range(6)]


def entries(directory: Path) -> list[Found]:
    return list(parse((directory / INDEX).read_bytes()))


def bytes_of(directory: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in directory.iterdir() if p.name != INDEX}


def append(one: Ledger, num: int) -> None:
    body = BODIES[num % len(BODIES)]
    one.append_segment(body, facts(num, body))


def check_whole(directory: Path) -> None:
    """Every entry's bytes are there, and nothing else is."""
    held: dict[str, bytes] = {}
    for found in entries(directory):
        match found.entry:
            case Part(file=file, init_bytes=size):
                held[file] = b"I" * size
            case Segment() as one:
                assert one.offset == len(held[one.file])
                held[one.file] += BODIES[one.num % len(BODIES)]
    assert bytes_of(directory) == held


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Two parts; the first is synced, the second is not."""
    directory = tmp_path / "rec_1"
    one = Ledger.create(directory, 10)
    one.begin_part("ts", ".ts", b"")
    for num in range(3):
        append(one, num)
    one.append(hole(1.0, 6.0, GapCause.NETWORK))
    one.sync()
    one.begin_part("mp4", ".mp4", b"IIII")
    append(one, 3)
    append(one, 4)
    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    one.close()
    check_whole(copy)
    return copy


def goes_on(directory: Path, kept: list[Entry]) -> None:
    """Recovery keeps these entries, cuts the media behind, and what follows is right."""
    one = Ledger.recover(directory)
    assert [found.entry for found in entries(directory)] == kept
    check_whole(directory)
    if not any(isinstance(entry, Part) for entry in kept):
        one.begin_part("ts", ".ts", b"")
    append(one, 5)
    one.append(Note("k", "v"))
    one.append(End())
    one.close()
    after = [found.entry for found in entries(directory)]
    assert after[:len(kept)] == kept
    assert [type(entry) for entry in after[-4:]] == [Segment, Note, End, Synced]
    check_whole(directory)
    assert read(directory) == one.tally


def test_the_index_cut_at_every_byte(capture: Path, tmp_path: Path) -> None:
    data, whole = (capture / INDEX).read_bytes(), entries(capture)
    for cut in range(whole[-4].end, len(data) + 1):
        directory = tmp_path / f"cut-{cut}"
        shutil.copytree(capture, directory)
        os.truncate(directory / INDEX, cut)
        goes_on(directory, [found.entry for found in whole if found.end <= cut])
        shutil.rmtree(directory)


def test_the_media_cut_at_every_byte(capture: Path, tmp_path: Path) -> None:
    whole = entries(capture)
    size = (capture / "0002.mp4").stat().st_size
    for cut in range(size + 1):
        directory = tmp_path / f"cut-{cut}"
        shutil.copytree(capture, directory)
        os.truncate(directory / "0002.mp4", cut)
        kept = len(whole) - (cut < size) - (cut < size - len(BODIES[4])) - (cut < 4)
        goes_on(directory, [found.entry for found in whole[:kept]])
        shutil.rmtree(directory)


@pytest.mark.parametrize("rubbish", [
    b"\x00" * 4096, b"\x00" * 40 + b"\n", b"\xff" * 10 + b"\n", b"#BR-SEG", b"0002.mp4\n",
    b"#BR-SEGMENT:NUM=\"1\",EPOCH=\"0\"\n#EXTINF:2.0,\n",
], ids=["zeros", "zeros and a line", "no text", "torn", "name alone", "torn segment"])
def test_rubbish_behind_the_last_entry(capture: Path, rubbish: bytes) -> None:
    kept = [found.entry for found in entries(capture)]
    with open(capture / INDEX, "ab") as file:
        file.write(rubbish)
    with open(capture / "0002.mp4", "ab") as file:
        file.write(rubbish)
    goes_on(capture, kept)


@pytest.mark.parametrize("name, place, kept", [
    pytest.param("0002.mp4", -1, -1, id="last segment"),
    pytest.param("0002.mp4", 5, -2, id="segment before it"),
    pytest.param("0002.mp4", 0, -3, id="init section"),
    pytest.param("0001.ts", 0, None, id="synced: trusted"),
])
def test_a_flipped_byte(capture: Path, name: str, place: int, kept: int | None) -> None:
    data = bytearray((capture / name).read_bytes())
    data[place] ^= 1
    (capture / name).write_bytes(data)
    whole = [found.entry for found in entries(capture)]
    Ledger.recover(capture).close()
    left = [found.entry for found in entries(capture)]
    # Closing says that all of it is on the disk, unless that stands there already.
    synced = [] if whole[:kept][-1] == Synced() else [Synced()]
    assert left == whole[:kept] + synced


def test_a_part_that_no_entry_names_is_removed(capture: Path) -> None:
    (capture / "0003.ts").write_bytes(b"begun, never named")
    (capture / "notes.txt").write_bytes(b"somebody else's")
    Ledger.recover(capture).close()
    assert set(bytes_of(capture)) == {"0001.ts", "0002.mp4", "notes.txt"}


def test_a_closed_capture_is_opened_again(capture: Path) -> None:
    kept = [found.entry for found in entries(capture)]
    one = Ledger.recover(capture)
    one.append(End())
    assert read(capture).ended
    one.close()
    again = Ledger.recover(capture)
    assert not again.tally.ended
    again.close()
    assert [found.entry for found in entries(capture)] == [*kept, Synced()]


def test_a_torn_header_is_damage(tmp_path: Path) -> None:
    for cut in range(len(header(10))):
        directory = tmp_path / f"{cut}"
        directory.mkdir()
        (directory / INDEX).write_bytes(header(10).encode()[:cut])
        (directory / "0001.ts").write_bytes(b"media")
        with pytest.raises(CaptureDamaged):
            Ledger.recover(directory)
        assert (directory / INDEX).stat().st_size == cut
        assert (directory / "0001.ts").read_bytes() == b"media"


def busy(one: Ledger) -> Iterator[Callable[[], object]]:
    """What a capture does, step by step."""
    yield lambda: one.begin_part("mp4", ".mp4", b"IIII")
    for num in range(4):
        yield lambda n=num: append(one, n)  # type: ignore[misc]
    yield lambda: one.append(hole(1.0, 8.0))
    yield one.sync
    yield lambda: one.begin_part("ts", ".ts", b"")
    yield lambda: append(one, 4)
    yield lambda: one.append(Note("k", "v"))


@pytest.mark.parametrize("failing", range(16))
def test_a_write_that_fails_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """Each write in turn: nothing committed is lost, and the step works the second time."""
    one = Ledger.create(tmp_path / "rec_1", 10)
    follower, seen = Follower(one.directory), list[Entry]()
    count, real = [0], os.write

    def half(fd: int, data: bytes) -> int:
        count[0] += 1
        if count[0] - 1 == failing:
            real(fd, bytes(data)[:len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr(os, "write", half)
    failures = 0
    for step in busy(one):
        before = read(one.directory)
        try:
            step()
        except OSError as error:
            failures += 1
            assert error.errno == errno.ENOSPC
            assert read(one.directory) == before == one.tally
            if before.part is not None:
                size = (one.directory / before.part.file).stat().st_size
                assert size == before.part_bytes
            step()
        seen += follower.news()
    one.close()
    assert failures == 1
    check_whole(one.directory)
    seen += follower.news()
    assert seen == [found.entry for found in entries(one.directory)]
    assert one.tally.sums.segments == 5 and one.tally.sums.gaps == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True,
        check=False, timeout=10)
    if made.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs: {made.stderr.decode(errors='replace').strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True, timeout=10)


def test_a_full_disk(small_disk: Path) -> None:
    directory = small_disk / "rec_1"
    (small_disk / "other").write_bytes(bytes(20_000))
    one = Ledger.create(directory, 10)
    one.begin_part("ts", ".ts", b"")
    num = 0
    with pytest.raises(OSError) as caught:
        for num in range(10_000):
            append(one, num)
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError):
        append(one, num)
    assert read(directory) == one.tally and one.tally.sums.segments == num > 20
    check_whole(directory)
    (small_disk / "other").unlink()
    append(one, num)
    one.close()
    check_whole(directory)
    Ledger.recover(directory).close()
    assert read(directory) == one.tally and one.tally.sums.segments == num + 1


@pytest.mark.parametrize("damage", ["part gone", "part short", "index flipped"])
def test_what_was_synced_is_never_cut(capture: Path, damage: str) -> None:
    """That is no crash's doing: recovery refuses, and everything stays as it is."""
    index, part = capture / INDEX, capture / "0001.ts"
    if damage == "part gone":
        part.unlink()
    elif damage == "part short":
        os.truncate(part, part.stat().st_size - 1)
    else:
        index.write_bytes(index.read_bytes().replace(b"#EXTINF", b"$EXTINF", 1))
    before = {p.name: p.read_bytes() for p in capture.iterdir()}
    with pytest.raises(CaptureDamaged):
        Ledger.recover(capture)
    assert {p.name: p.read_bytes() for p in capture.iterdir()} == before


def test_an_old_part_that_cannot_be_synced_leaves_the_capture_usable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Ledger.create(tmp_path / "rec_1", 10)
    one.begin_part("ts", ".ts", b"")
    append(one, 0)
    fdatasync, calls = os.fdatasync, []

    def failing(fd: int) -> None:
        calls.append(fd)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        fdatasync(fd)

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", failing)
        with pytest.raises(OSError, match="Input/output"):
            one.begin_part("mp4", ".mp4", b"IIII")
    one = one.again()
    append(one, 1)
    one.begin_part("mp4", ".mp4", b"IIII")
    append(one, 2)
    one.close()
    check_whole(tmp_path / "rec_1")


def closed(capture: Path) -> list[Entry]:
    """Close it; its entries."""
    one = Ledger.recover(capture)
    one.append(End())
    one.close()
    return [found.entry for found in entries(capture)]


def test_a_closed_capture_that_is_whole_is_left_alone(capture: Path) -> None:
    whole = closed(capture)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in capture.iterdir()}
    assert settle(capture) == read(capture)
    assert before == {
        path: (path.stat().st_mtime_ns, path.read_bytes()) for path in capture.iterdir()}
    assert [type(entry) for entry in whole[-2:]] == [End, Synced]


@pytest.mark.parametrize("lost", ["the end", "media", "lines", "both"])
def test_a_closed_capture_that_lost_its_end_is_closed_again(capture: Path, lost: str) -> None:
    whole, index = closed(capture), entries(capture)
    if lost in ("media", "both"):
        # Behind the last sync only: what was synced is never cut.
        os.truncate(capture / INDEX, index[-2].end)
        os.truncate(capture / "0002.mp4", (capture / "0002.mp4").stat().st_size - 1)
    if lost in ("lines", "both"):
        os.truncate(capture / INDEX, index[-3].end - 1)
    if lost == "the end":
        os.truncate(capture / INDEX, index[-3].end)
    held = settle(capture)
    kept = len(whole) - 2 - (lost != "the end")
    assert [found.entry for found in entries(capture)] == [*whole[:kept], End(), Synced()]
    assert held == read(capture) and held.ended
    check_whole(capture)


def test_media_in_a_part_that_never_began(capture: Path) -> None:
    text = (capture / INDEX).read_bytes().replace(b'FILE="0001.ts"', b'FILE="0009.ts"')
    (capture / INDEX).write_bytes(text)
    for look in (read, settle, Ledger.recover):
        with pytest.raises(CaptureDamaged):
            look(capture)
    assert (capture / INDEX).read_bytes() == text
