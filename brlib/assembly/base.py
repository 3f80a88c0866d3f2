"""What a finished file is made of, and where it goes."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from .. import naming
from ..config import Settings
from ..errors import RecorderError
from ..models import Recording


class AssemblyFailed(RecorderError):
    """No file could be made, or it does not agree with the capture; `str()` says why."""


@dataclass(frozen=True)
class Plan:
    """How one recording is to be finished: the settings as they are for it."""

    mode: str
    container: str
    directory: Path
    stem: Path
    when_exists: str
    ffmpeg: str
    ffprobe: str

    @classmethod
    def of(cls, recording: Recording, settings: Settings) -> Plan:
        directory = Path(recording.output_directory or settings.output_directory)
        template = recording.filename_template or settings.filename_template
        stem = naming.render(template, {
            "channel": recording.channel_name,
            "title": recording.title,
            "platform": recording.platform,
            "quality": recording.quality,
            "category": recording.category or "",
            "id": recording.id,
            **naming.time_values(recording.started_at.astimezone()),
        })
        return cls(
            settings.processing_mode, settings.container, directory, directory / stem,
            settings.when_file_exists, settings.ffmpeg_path, settings.ffprobe_path,
        )

    def suffix(self, part_container: str) -> str:
        return f".{part_container if self.mode == 'concatenate' else self.container}"

    def temporary(self, recording_id: str, suffix: str) -> Path:
        """A hidden file beside the final one; its name says whose it is."""
        return self.stem.parent / f".{recording_id}.{secrets.token_hex(4)}{suffix}.part"

    def leftovers(self, recording_id: str) -> list[Path]:
        """Temporary files of this recording that no process finished."""
        return list(self.stem.parent.glob(f".{recording_id}.*.part"))

    def final(self, number: int, of: int, suffix: str) -> Path:
        name = self.stem.name + (f" (part {number})" if of > 1 else "") + suffix
        return self.stem.with_name(name)
