"""The table of options: defaults, checks, help and the example file in one place.

The table is the `Settings` dataclass itself: a field is an option, its metadata the
section, the reader and the help. Sections are for people, option names are unique across
them. Whoever needs an option asks for the present settings each time.
"""

from __future__ import annotations

import os
from dataclasses import Field, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import arguments
from ..encoding import AUDIO_CODECS, HARDWARE, VIDEO_CODECS, Encoding
from ..ffmpeg import CONTAINERS
from ..processing import CAPTURE_AFTER, CRF_MAX, MODES, TIMINGS, Processing
from .readers import (
    Reader, blackouts, clock, days, directory, duration, ffmpeg_arguments, host_name, large_size,
    networks, one_of, optional, percent, secret_text, size, stream_quality, template, text,
    time_zone, unlimited, whole, yes_no,
)

# What the option of that name takes at most.
RECORDINGS_MAX = 500


def option(
    section: str, default: Any, reader: Reader, help: str, shown: str = "", *,
    restart: bool = False, secret: bool = False, by_hand: bool = False,
) -> Any:
    """A field that is an option. `shown` is the default as people write it; `restart` says
    that a change is for the next start; a `secret` is never shown."""
    return field(default=default, repr=not secret, metadata={
        "section": section, "reader": reader, "help": help, "shown": shown or _shown(default),
        "restart": restart, "secret": secret, "by_hand": by_hand,
    })


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    return "" if default is None else str(default)


@dataclass(frozen=True)
class Settings:
    host: str = option(
        "server", "127.0.0.1", host_name, "Address to listen on; 0.0.0.0 is every one",
        restart=True)
    port: int = option("server", 8080, whole(0, 65535), "Port; 0 takes a free one", restart=True)
    threads: int = option(
        "server", 8, whole(2, 256), "Requests answered at the same time", restart=True)
    max_websockets: int = option(
        "server", 32, whole(0, 1000), "WebSocket clients at most", restart=True)
    local_only: bool = option(
        "server", False, yes_no,
        "Listen on 127.0.0.1 only and ask for no login: whoever uses this machine is admin",
        restart=True)
    public_health: bool = option("server", False, yes_no, "Answer /api/health without a key")
    trusted_proxies: tuple[str, ...] = option(
        "server", (), networks, "Proxies whose X-Forwarded-For is believed, by commas", "none")
    admin_username: str = option(
        "auth", "admin", text, "Name of the admin that the first start makes")
    admin_password: str | None = option(
        "auth", None, text, "Password of that admin; without one it is made and printed once",
        secret=True)
    jwt_secret: str | None = option(
        "auth", None, secret_text(32),
        "Key that signs login tokens, 32 characters or more; made and kept when empty",
        restart=True, secret=True)
    session_duration: float = option(
        "auth", 86400.0, duration(60, 31 * 86400), "How long a login lasts", "24h")
    refresh_grace: float = option(
        "auth", 3600.0, duration(0, 86400), "How long after that it can be refreshed", "1h")
    min_password_length: int = option(
        "auth", 8, whole(8, 128), "Characters that a new password needs")
    data_directory: Path = option(
        "storage", Path("data"), directory,
        "Database and captures; a local disk, not a network share", restart=True)
    output_directory: Path = option(
        "storage", Path("recordings"), directory, "Where finished files go")
    quota: int | None = option(
        "storage", None, optional(size),
        "What all recordings may take together; a channel can have a quota_bytes of its own",
        "none")
    quota_warning_percent: int = option(
        "storage", 80, percent, "A quota that is used up to here is warned of", "80%")
    when_quota_reached: str = option(
        "storage", "block", one_of("block", "delete-oldest"),
        "block: no recording starts; delete-oldest: complete ones that are not protected go")
    disk_warning_percent: int = option(
        "storage", 90, percent, "A disk that is as full as this is warned of", "90%")
    min_free_space: int = option(
        "storage", 1024 ** 3, size,
        "With less than this free no recording starts, and active ones end one by one; 0: they "
        "wait for room instead", "1G")
    retention_days: int | None = option(
        "storage", None, optional(whole(1, 36500)),
        "Finished recordings older than this are deleted", "none")
    retention_keep_latest: int | None = option(
        "storage", None, optional(whole(1, 1_000_000)),
        "So many finished recordings are kept of each channel, whatever their age", "none")
    max_concurrent_recordings: int = option(
        "recording", 3, whole(1, RECORDINGS_MAX), "Broadcasts recorded at the same time")
    preempt: bool = option(
        "recording", False, yes_no,
        "When all slots are taken, whether a channel of a higher priority ends the recording of "
        "the lowest", "no")
    default_quality: str = option(
        "recording", "source", stream_quality, "Quality of channels that name none")
    reconnect_window: float = option(
        "recording", 90.0, duration(0, 3600),
        "A streamer who comes back within this continues the same recording", "90s")
    max_duration: float | None = option(
        "recording", None, unlimited(duration(60, 31 * 86400)),
        "A finished file of about this length is followed by another, (part 2)", "none")
    max_file_size: int | None = option(
        "recording", None, unlimited(large_size(16 * 1024 ** 2)),
        "The same by size, such as 4G for a disk with FAT32", "none")
    twitch_interval: float = option(
        "recording", 30.0, duration(10, 86400),
        "Time between live checks of Twitch; up to 100 channels are one request", "30s")
    youtube_interval: float = option(
        "recording", 180.0, duration(30, 86400),
        "The same of YouTube: a request each, at most 15 a minute, so many take longer", "180s")
    kick_interval: float = option(
        "recording", 60.0, duration(10, 86400),
        "The same of Kick; without an app at most 20 channels a minute", "60s")
    url_interval: float = option(
        "recording", 30.0, duration(1, 86400), "Time between live checks of an address", "30s")
    filename_template: str = option(
        "recording", "{channel}/{date}_{title}", template,
        "Path of a finished file below output_directory")
    when_file_exists: str = option(
        "recording", "number", one_of("number", "overwrite", "skip"),
        "number: name (2).mp4; skip: keep the capture only")
    processing_mode: str = option(
        "processing", "copy", one_of(*MODES),
        "copy: remuxed by FFmpeg; concatenate: the segments' bytes one behind the other; reencode: "
        "encoded anew, always after the recording and in turns")
    container: str = option(
        "processing", "mp4", one_of(*CONTAINERS),
        "Container of finished files, unless they are concatenated")
    processing_timing: str = option(
        "processing", "live", one_of(*TIMINGS),
        "live: the file grows with the recording and is there seconds after its end")
    capture_after: str = option(
        "processing", "delete", one_of(*CAPTURE_AFTER),
        "What becomes of the capture once its file is verified; archive: it is moved into "
        "archive_directory")
    archive_directory: Path | None = option(
        "processing", None, optional(directory),
        "Where such captures go; not inside data_directory", "none")
    video_codec: str = option(
        "processing", "h264", one_of(*VIDEO_CODECS),
        "What reencode makes of the picture: h264, h265, vp9, av1, or copy as it is")
    audio_codec: str = option(
        "processing", "copy", one_of(*AUDIO_CODECS), "And of the sound: copy, aac, opus")
    crf: int | None = option(
        "processing", None, optional(whole(0, CRF_MAX)),
        "Quality of the picture, 0 the best, 51 the least, with vp9 and av1 63; none: the codec's "
        "usual one", "none")
    hardware_acceleration: str = option(
        "processing", "none", one_of(*HARDWARE),
        "Encode with auto (what is there), nvenc, qsv, amf, vaapi or v4l2, else the processor")
    ffmpeg_arguments: str | None = option(
        "processing", None, optional(ffmpeg_arguments),
        "More for the encoders, such as -preset slow -vf scale=-2:720; nothing that names a file",
        "none")
    ffmpeg_path: str = option(
        "processing", "ffmpeg", text, "FFmpeg 5.1 or later; ffprobe is expected beside it",
        by_hand=True)
    max_concurrent_processing: int = option(
        "processing", 2, whole(1, 64), "Recordings finished afterwards at the same time")
    schedule_days: str = option(
        "schedule", "daily", days,
        "Days on which is recorded, such as mon-fri, sun; a channel's own schedule goes before")
    schedule_start: str = option("schedule", "00:00", clock, "From this time of day on")
    schedule_end: str = option(
        "schedule", "24:00", clock, "Until then; earlier than the start means the day after")
    timezone: str = option(
        "schedule", "local", time_zone, "On whose clock, such as Europe/Berlin; the machine's")
    schedule_end_behavior: str = option(
        "schedule", "complete", one_of("complete", "stop"),
        "When that ends a recording goes on to its end, or stops")
    blackouts: str | None = option(
        "schedule", None, optional(blackouts),
        "Never then, whatever else says: sat-sun 12:00-14:00; 03:00-04:00; "
        "2026-12-24..2026-12-26", "none")
    twitch_client_id: str | None = option(
        "twitch", None, text, "A Public application of dev.twitch.tv, for logins and Helix")
    twitch_client_secret: str | None = option(
        "twitch", None, text, "Only of a Confidential one", secret=True)
    youtube_client_id: str | None = option(
        "youtube", None, text, "A client of type TVs and Limited Input, for logins")
    youtube_client_secret: str | None = option("youtube", None, text, "Its secret", secret=True)
    youtube_api_key: str | None = option(
        "youtube", None, text, "A key of the YouTube Data API", secret=True)
    kick_client_id: str | None = option(
        "kick", None, text, "An application of kick.com/settings/developer, redirect address "
        "http://localhost/kick: batched live checks, and logins")
    kick_client_secret: str | None = option("kick", None, text, "Its secret", secret=True)
    log_level: str = option(
        "logging", "info", one_of("debug", "info", "warning", "error"), "Least level logged")

    @property
    def captures_directory(self) -> Path:
        return self.data_directory / "captures"

    @property
    def database_path(self) -> Path:
        return self.data_directory / "battles-record.sqlite3"

    @property
    def ffprobe_path(self) -> str:
        folder, name = os.path.split(self.ffmpeg_path)
        return os.path.join(folder, name.replace("ffmpeg", "ffprobe"))

    @cached_property
    def processing(self) -> Processing:
        """Of channels without their own."""
        return Processing(
            self.processing_mode, self.container, self.processing_timing, self.capture_after,
            Encoding(self.video_codec, self.audio_codec, self.crf, self.hardware_acceleration,
                     arguments.read(self.ffmpeg_arguments or "")))


OPTIONS: dict[str, Field[Any]] = {f.name: f for f in fields(Settings)}
SECTIONS = tuple(dict.fromkeys(f.metadata["section"] for f in OPTIONS.values()))
# Whose change holds from the next start on.
AT_START = frozenset(name for name, entry in OPTIONS.items() if entry.metadata["restart"])
SECRETS = frozenset(name for name, entry in OPTIONS.items() if entry.metadata["secret"])


def section_of(name: str) -> str:
    return str(OPTIONS[name].metadata["section"])


def value_of(name: str, value: str) -> Any:
    """What an option's text means. Raises ValueError."""
    return OPTIONS[name].metadata["reader"](value)


def example_line(name: str) -> str:
    """The option as it stands in the example file, commented out, with its default."""
    return f"#{name} = {OPTIONS[name].metadata['shown']}"


def anchored(settings: Settings, base: Path) -> Settings:
    """`settings` with its relative directories below `base`."""
    base = base.resolve()
    paths: dict[str, Any] = {
        name: base / value for name in OPTIONS
        if isinstance(value := getattr(settings, name), Path)}
    return replace(settings, **paths)


def different(one: Settings, other: Settings) -> list[str]:
    """The names of the options that are not the same in both."""
    return [name for name in OPTIONS if getattr(one, name) != getattr(other, name)]


def example() -> str:
    """`config.ini.example`: every option, its default and what it is for."""
    out = [
        "# Battles Record. Every option with its default; uncomment what you change.",
        "# It is read again by itself when it changes. A # behind a space begins a comment.", ""]
    for section in SECTIONS:
        out.append(f"[{section}]")
        for name, entry in OPTIONS.items():
            if entry.metadata["section"] == section:
                out += [f"# {entry.metadata['help']}.", example_line(name)]
        out.append("")
    return "\n".join(out).rstrip() + "\n"
