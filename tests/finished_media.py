"""Finished files for the tests of viewing: made by FFmpeg once, kept between runs.

A file is known by its name, `<how it is encoded>.<container>`. What FFmpeg says when it plays
one directly is the reference for every way to watch it.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from brlib.models import Recording, RecordingStatus

from .player import RECORDING, Played, Room, play

# Three pieces, the last one shorter.
LENGTH_S = 14
SHORT_S = 3
SOURCE = "-f lavfi -i testsrc2=size=160x90:rate=20 -f lavfi -i sine=sample_rate=44100"
X264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -bf 3 -g 40 -keyint_min 40 -c:a aac"
CODECS = {
    "x264": X264,
    "open": f"{X264} -x264-params open-gop=1:b-adapt=0:scenecut=0",
    "x265": "-c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=30:bframes=2 "
            "-c:a aac",
    "vp9": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 40 -c:a libopus",
    "pcm": "-c:v mpeg4 -c:a pcm_s16le",
    "silent": f"{X264} -an",
    "sound": "-map 1 -c:a aac",
    "short": f"{X264} -t {SHORT_S}",
}


def encode(arguments: str, target: Path) -> Path:
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments.split(), str(target)],
                   check=True, timeout=60)
    return target


def made(name: str) -> Path:
    """The kept file. Looked for at each call: what cleans a /tmp does not wait for the tests."""
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:20]
    place = Path(tempfile.gettempdir()) / f"battles-record-test-finished-{os.getuid()}-{digest}"
    path = place / name
    if not path.exists():
        place.mkdir(exist_ok=True)
        # Beside it and renamed: another run may make it at the same time.
        work = encode(f"{SOURCE} -t {LENGTH_S} {CODECS[path.stem]}",
                      place / f"{path.stem}.{os.getpid()}{path.suffix}")
        work.replace(path)
    return path


def length_s(name: str) -> int:
    return SHORT_S if name.startswith("short") else LENGTH_S


@functools.cache
def reference(name: str) -> Played:
    return play(made(name), audio_of(name))


def audio_of(name: str) -> str:
    return "opus" if name.startswith("vp9") else "aac"


def finished(room: Room, *names: str) -> Recording:
    """A complete recording whose files are copies of these."""
    files = [room.settings.output_directory / f"{number} {name}"
             for number, name in enumerate(names, 1)]
    for name, path in zip(names, files):
        shutil.copyfile(made(name), path)
    return complete(*files)


def complete(*files: Path) -> Recording:
    return replace(RECORDING, status=RecordingStatus.COMPLETE, files=tuple(map(str, files)))


# What stands in a playlist.


def pieces(text: str) -> list[str]:
    return re.findall(r"^media/(.+)$", text, re.MULTILINE)


def inits(text: str) -> list[str]:
    return re.findall(r'URI="media/(.+)"', text)


def durations_s(text: str) -> list[float]:
    return [float(d) for d in re.findall(r"^#EXTINF:([\d.]+),$", text, re.MULTILINE)]
