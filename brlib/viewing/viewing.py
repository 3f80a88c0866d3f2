"""What a player is given of a recording: its playlist and the media that it names.

Called by the web layer, from any of its threads. While the capture is there it is the
capture itself, growing while the recording does; afterwards the finished files, divided
where they can be cut.

From one to the other: whoever watched while the capture was dropped keeps the capture's list
and media (see `captured`), with its end, until nobody has asked for `HELD_S`. Only then, or
where they could not be held, does the same address give the finished files' list: media that
the old one named are NotFound, and a player that goes on with the old list (one that was
paused for long) stops there. Opened again it plays on. A list is never mixed of both.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from .. import hls
from ..config import Settings
from ..errors import CaptureDamaged, NotFound, Unavailable
from ..ledger import INDEX
from ..models import Recording
from ..workers import Worker
from .base import TYPES, FinishedFile, Media
from .captured import PIECE_NAME, Captured
from .cuts import Cut, Cuts, cut_args
from .divisions import Divisions
from .outline import Outline
from .transport import Range

CAPTURES_KEPT = 16
# A dropped capture takes space as long as it is held.
HELD_S = 300.0
FORGOTTEN_S = 1800.0
LOOK_EVERY_S = 15.0
STEP_MAX_S = 60.0
# Keeps every time positive: decoding begins before a file's first picture is shown.
SHIFT_S = 10.0
# FFmpeg as a player drops what goes back in time within fragmented MP4, whatever the list says.
FILE_SHIFT_S = 100_000.0
# f<which file>-<its tag>: a piece of it that is cut, one that stands in it at an offset with a
# size, or its init section.
_FINISHED_NAME = re.compile(
    r"f(?P<file>[1-9]\d{0,3})-(?P<tag>[0-9a-f]{8})"
    r"-(?:(?P<piece>\d{6})|(?P<start>\d{1,15})-\d{1,15}|init)\.(?:ts|m4s|mp4)", re.ASCII)


class Viewing:
    def __init__(
        self, settings: Callable[[], Settings], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._directory = settings().data_directory / "viewing"
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._captured: OrderedDict[str, Captured] = OrderedDict()
        self._divisions = Divisions(lambda: settings().ffprobe_path, self._stopping)
        self._cuts = Cuts(self._directory / "cuts", self._stopping)
        self.worker = Worker("viewing", self.step, STEP_MAX_S)

    def start(self) -> None:
        """Begin with nothing kept. Raises OSError."""
        if self._directory.exists():
            shutil.rmtree(self._directory)
        (self._directory / "cuts").mkdir(parents=True)
        self.worker.start()

    def stop(self) -> None:
        """What is being cut or looked through ends as Unavailable. Returns at once,
        idempotent."""
        self._stopping.set()
        self.worker.stop()

    def join(self, deadline_s: float) -> bool:
        end_s = time.monotonic() + deadline_s
        done = self.worker.join(deadline_s)
        return self._divisions.join(max(0.0, end_s - time.monotonic())) and done

    def playlist(self, recording: Recording) -> str:
        """The media playlist (RFC 8216) of a recording as it is now; the same text as long as
        nothing is added. Its addresses are relative to its own.

        Raises NotFound when there is nothing to play, Unavailable when there is nothing yet
        or FFmpeg cannot say, Conflict for media that HLS has no room for.
        """
        captured = self._find_captured(recording)
        if captured is not None:
            try:
                text = captured.playlist(closed=not recording.active)
            except (NotFound, CaptureDamaged) as error:
                self._let_go(recording.id)
                if not recording.files:
                    raise NotFound(str(error)) from error
            else:
                if text is not None:
                    return text
        if recording.active:
            raise Unavailable("Nothing of the recording is there yet: try again in a moment")
        return self._finished_playlist(recording)

    def media(self, recording: Recording, name: str) -> Media:
        """What the playlist calls `media/<name>`. A cut piece may be dropped once others have
        been asked for: open it at once.

        Raises NotFound for any other name, Unavailable when FFmpeg has no time or fails,
        Conflict as `playlist`.
        """
        if PIECE_NAME.fullmatch(name):
            captured = self._find_captured(recording)
            if captured is not None:
                try:
                    return captured.media(name)
                except CaptureDamaged as error:
                    raise NotFound(str(error)) from error
        elif match := _FINISHED_NAME.fullmatch(name):
            number, tag = int(match["file"]), match["tag"]
            for file_number, file in self._find_files(recording):
                if (file_number, file.tag) == (number, tag) and self._allows(recording, name):
                    division = self._divisions.get(file)
                    if isinstance(division, Outline):
                        return self._cut(recording, number, file, division, name,
                                         int(match["piece"] or 0))
                    return _ranged(file, division, f"f{number}-{tag}", name,
                                   int(match["start"] or 0))
        raise NotFound(f"The recording has no media called {name}")

    def _allows(self, recording: Recording, name: str) -> bool:
        """Only the list itself knows whether a transport stream needs a map: seldom."""
        return not name.endswith("-init.ts") or (
            f'"{hls.MEDIA}{name}"' in self._finished_playlist(recording))

    def forget(self, recording_id: str) -> None:
        """The recording was deleted: keep nothing of it."""
        self._let_go(recording_id)
        self._cuts.forget(f"{recording_id}-")

    def step(self) -> float:
        """Let go of what nobody watches any more, and of dropped captures when the disk is
        short of space."""
        now_s = self._clock()
        with self._lock:
            all_captured = list(self._captured.items())
        short = shutil.disk_usage(self._directory).free < self._settings().min_free_space
        for recording_id, captured in all_captured:
            idle_s = now_s - captured.asked_s
            if idle_s > FORGOTTEN_S or captured.dropped and (short or idle_s > HELD_S):
                self._let_go(recording_id)
        return LOOK_EVERY_S

    def _find_captured(self, recording: Recording) -> Captured | None:
        directory = self._settings().captures_directory / recording.id
        extra = None
        with self._lock:
            found = self._captured.get(recording.id)
            if found is None:
                if not (directory / INDEX).exists():
                    return None
                found = Captured(directory, self._directory)
                self._captured[recording.id] = found
                if len(self._captured) > CAPTURES_KEPT:
                    _, extra = self._captured.popitem(last=False)
            self._captured.move_to_end(recording.id)
            found.asked_s = self._clock()
        if extra is not None:
            extra.release()
        return found

    def _let_go(self, recording_id: str) -> None:
        with self._lock:
            found = self._captured.pop(recording_id, None)
        if found is not None:
            found.release()

    def _find_files(self, recording: Recording) -> list[tuple[int, FinishedFile]]:
        """The finished files that are there, by their number from 1."""
        root = Path(recording.output_directory or self._settings().output_directory)
        found = [(n, FinishedFile.find(Path(name), root))
                 for n, name in enumerate(recording.files, 1)]
        return [(number, file) for number, file in found if file is not None]

    def _finished_playlist(self, recording: Recording) -> str:
        files = self._find_files(recording)
        if not files:
            raise NotFound("The recording has neither a capture nor a finished file")
        return hls.finished([self._pieces(number, file) for number, file in files])

    def _pieces(self, number: int, file: FinishedFile) -> tuple[str, list[hls.Piece]]:
        division, stem = self._divisions.get(file), f"f{number}-{file.tag}"
        if isinstance(division, Outline):
            return _init_name(division, stem), [
                hls.Piece(_piece_name(division, stem, place), duration_s)
                for place, duration_s in enumerate(division.durations_s())]
        return f"{stem}-init.ts", [
            hls.Piece(_range_name(r, stem), r.duration_s, r.discontinuity) for r in division]

    def _cut(
        self, recording: Recording, number: int, file: FinishedFile, division: Outline, name: str,
        place: int,
    ) -> Media:
        """`place` is the piece that the name means, the first one for an init section."""
        stem, kept = f"f{number}-{file.tag}", f"{recording.id}-"
        if place >= division.pieces or name not in (
                init := _init_name(division, stem), piece := _piece_name(division, stem, place)):
            raise NotFound(f"The recording has no media called {name}")
        tables = name == init and division.packing == ".ts"
        shift_s = SHIFT_S
        own_init = None
        if division.packing != ".ts":
            shift_s += FILE_SHIFT_S * (number - 1)
            # The same in every piece that has all streams: the first has.
            own_init = None if place else kept + init
        cut = Cut(kept + piece, own_init, lambda path: cut_args(
            self._settings().ffmpeg_path, file.path, division, place, shift_s, path))
        path, size_bytes = self._cuts.get(cut, kept + (piece if tables else name))
        return Media(path, min(hls.TABLES_BYTES, size_bytes) if tables else size_bytes,
                     TYPES[path.suffix])


def _ranged(
    file: FinishedFile, division: list[Range], stem: str, name: str, start: int
) -> Media:
    """A piece that stands in the file as it is."""
    if name == f"{stem}-init.ts":
        return Media(file.path, min(hls.TABLES_BYTES, file.size_bytes), TYPES[".ts"])
    place = bisect_left(division, start, key=lambda r: r.offset)
    if place == len(division) or name != _range_name(division[place], stem):
        raise NotFound(f"The recording has no media called {name}")
    return Media(file.path, division[place].size_bytes, TYPES[".ts"], start)


def _init_name(division: Outline, stem: str) -> str:
    """A transport stream needs none: see `hls.finished`."""
    return f"{stem}-init.ts" if division.packing == ".ts" else f"{stem}-init.mp4"


def _piece_name(division: Outline, stem: str, place: int) -> str:
    return f"{stem}-{place:06d}{division.packing}"


def _range_name(piece: Range, stem: str) -> str:
    return hls.piece_name(f"{stem}.ts", piece.offset, piece.size_bytes)
