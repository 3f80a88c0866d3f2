"""A data directory, a store and finished files, for tests of what is adopted from them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from brlib import sidecar
from brlib.adoption import Adoption, Hands
from brlib.config import Settings
from brlib.identity import notes_of
from brlib.ledger import Ledger
from brlib.models import (
    Course, Channel, EndReason, Gap, GapCause, Recording, RecordingStatus, Sums,
)
from brlib.playlist import End, Note
from brlib.store import Rebuilt, Store
from brlib.store.recordings import Filter

from .test_ledger import facts, hole
from .test_playlist import MOMENT

CHANNEL = Channel("ch_000000000001", "url", "http://x/live.m3u8?token=SECRET", "x live",
                  "http://x/live.m3u8?token=SECRET", "720p", True, MOMENT)
RECORDING = Recording(
    "rec_000000000001", CHANNEL.id, "x live", "url", 'A "title"\nwith % and 😀',
    RecordingStatus.RECORDING, MOMENT, category="Games", quality="480p", broadcast_id="b 1",
    filename_template="{channel}/{title}", output_directory="/srv/recordings")


@dataclass
class Home:
    """A data directory, a store, and hands that write down what they are given."""

    root: Path
    store: Store
    at_work: set[str] = field(default_factory=set)
    taken_up: list[tuple[str, str]] = field(default_factory=list)

    @property
    def captures(self) -> Path:
        return self.root / "data" / "captures"

    @property
    def output(self) -> Path:
        return self.root / "recordings"

    def adoption(self, rebuilt: bool = False) -> Adoption:
        marker = self.root / "marker"
        marker.touch()
        settings = Settings(data_directory=self.root / "data", output_directory=self.output)
        return Adoption(
            lambda: settings, self.store,
            Rebuilt(MOMENT, "a test", self.root / "aside", marker) if rebuilt else None,
            Hands(lambda one: one in self.at_work,
                  lambda one: self.taken_up.append(("go_on", one.id)),
                  lambda one: self.taken_up.append(("finish", one.id))))

    def started(self, rebuilt: bool = False) -> Adoption:
        """As after a start and the first steps of the thread."""
        one = self.adoption(rebuilt)
        one.prepare()
        one._busy = one._hands.busy
        while not one.step():
            continue
        return one

    def capture(
        self, recording: Recording = RECORDING, channel: Channel | None = CHANNEL,
        segments: int = 3, ended: bool = False,
    ) -> Path:
        directory = self.captures / recording.id
        ledger = Ledger.create(directory, 10)
        if channel is not None:
            for key, value in notes_of(recording, channel).items():
                ledger.append(Note(key, value))
        if segments:
            ledger.begin_part("ts", ".ts", b"")
        for num in range(segments):
            body = b"body %d" % num
            ledger.append_segment(body, facts(num, body))
        if segments:
            ledger.append(hole(3.0, ledger.tally.sums.captured_s))
            ledger.append(Note("quality", recording.quality))
            ledger.append(Note("title", "another title later"))
        if ended:
            ledger.append(End())
        ledger.close()
        return directory

    def finished(
        self, recording_id: str = RECORDING.id, folder: str = "x live", name: str = "a",
        **changes: Any,
    ) -> Path:
        """A finished file with its `.json`."""
        path = self.output / folder / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"finished")
        described = replace(
            RECORDING, id=recording_id, status=RecordingStatus.COMPLETE, files=(str(path),),
            ended_at=MOMENT + timedelta(hours=1), end_reason=EndReason.ENDED,
            started_at=MOMENT.replace(microsecond=0), sums=SUMS, **changes)
        return sidecar.write(sidecar.of(described, Course((GAP,)), None))

    def rows(self) -> list[Recording]:
        return self.store.recordings.find_page(Filter(), 100, 0)


SUMS = Sums(5, 1000, 10.0, 1, 2.5, 1)
GAP = Gap(MOMENT.replace(microsecond=0), 1.0, 2.5, 3, GapCause.NETWORK)
