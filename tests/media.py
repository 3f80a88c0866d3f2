"""Real media for the tests: short broadcasts made by FFmpeg and cut into HLS segments.

Owns the making, the frame counts and the on-disk cache of test segments, and the two probes
(`video_frames`, `stream_kinds`) with which tests look at what was recorded. Used by the tests
and by `tests.origin`, which serves the clips.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

ENCODE_LIMIT_S = 300
_INDEX = "index.json"
_INIT = "init.mp4"


@dataclass(frozen=True)
class Clip:
    """One segment of a broadcast; `frames` counts its video frames."""

    body: bytes
    duration_s: float
    frames: int


@dataclass(frozen=True)
class _Spec:
    """Everything that decides what a broadcast looks like; its hash names the cache directory."""

    count: int
    segment_s: float
    size: str
    fps: int
    codec: str
    audio: bool
    start_s: float
    seed: str
    container: str

    @property
    def frames_per_clip(self) -> int:
        frames = round(self.segment_s * self.fps)
        if frames < 1 or abs(frames - self.segment_s * self.fps) > 1e-6:
            raise ValueError(f"segment_s={self.segment_s} is not whole frames at {self.fps} fps")
        return frames

    @property
    def cache_dir(self) -> Path:
        version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
        digest = hashlib.sha256(f"{self!r} {version}".encode()).hexdigest()[:20]
        name = f"battles-record-test-media-{os.getuid()}-{digest}"
        return Path(tempfile.gettempdir()) / name


def ts_clips(
    count: int,
    *,
    segment_s: float = 0.5,
    size: str = "160x90",
    fps: int = 20,
    codec: str = "libx264",
    audio: bool = True,
    start_s: float = 0.0,
    seed: str = "a",
) -> list[Clip]:
    """`count` MPEG-TS segments of one continuous broadcast, each starting with a keyframe.

    Timestamps run on over the segments, from about `start_s` + 1.4 s (the TS muxer's delay).
    `seed` changes the picture and the tone; same arguments give the same bytes.
    """
    spec = _Spec(count, segment_s, size, fps, codec, audio, start_s, seed, "mpegts")
    return _clips(spec)[1]


def fmp4_clips(
    count: int,
    *,
    segment_s: float = 0.5,
    size: str = "160x90",
    fps: int = 20,
    codec: str = "libx264",
    audio: bool = True,
    start_s: float = 0.0,
    seed: str = "a",
) -> tuple[bytes, list[Clip]]:
    """The init section and `count` fragmented MP4 segments of one continuous broadcast."""
    spec = _Spec(count, segment_s, size, fps, codec, audio, start_s, seed, "fmp4")
    return _clips(spec)


def video_frames(path: Path) -> int:
    """How many video packets the first video stream of a file holds (0 without video)."""
    rows = _probe(path, "-count_packets", "-select_streams", "v:0",
                  "-show_entries", "stream=nb_read_packets")["streams"]
    return int(rows[0]["nb_read_packets"]) if rows else 0


def stream_kinds(path: Path) -> list[str]:
    """The streams of a file in order, like ["h264 160x90", "aac"]."""
    kinds = []
    for row in _probe(path, "-show_entries", "stream=codec_name,width,height")["streams"]:
        kind = str(row.get("codec_name", "unknown"))
        kinds.append(f"{kind} {row['width']}x{row['height']}" if "width" in row else kind)
    return kinds


def _probe(path: Path, *options: str) -> dict[str, list[dict[str, str]]]:
    done = subprocess.run(
        ["ffprobe", "-v", "error", *options, "-of", "json", str(path)],
        capture_output=True, timeout=ENCODE_LIMIT_S, check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"ffprobe failed on {path}: {done.stderr.decode(errors='replace')}")
    # A TS file lists its streams a second time under "programs"; only the top list is asked for.
    answer: dict[str, list[dict[str, str]]] = json.loads(done.stdout)
    return {"streams": answer.get("streams", []), "packets": answer.get("packets", [])}


def _clips(spec: _Spec) -> tuple[bytes, list[Clip]]:
    if spec.count < 1:
        return b"", []
    place = spec.cache_dir
    if not all((place / name).exists() for name in _names(spec)):
        # What something that cleans /tmp left of it would stand in the way.
        shutil.rmtree(place, ignore_errors=True)
        _make(spec, place)
    frames: list[int] = json.loads((place / _INDEX).read_text())
    clips = [
        Clip((place / _segment_name(i)).read_bytes(), n / spec.fps, n)
        for i, n in enumerate(frames)
    ]
    init = (place / _INIT).read_bytes() if spec.container == "fmp4" else b""
    return init, clips


def _names(spec: _Spec) -> list[str]:
    init = [_INIT] if spec.container == "fmp4" else []
    return [_INDEX, *init, *(_segment_name(i) for i in range(spec.count))]


def _segment_name(index: int) -> str:
    return f"{index:05d}.seg"


def _make(spec: _Spec, place: Path) -> None:
    """Encode beside the cache and rename into it, so that parallel runs never see half a cache."""
    work = Path(tempfile.mkdtemp(prefix=place.name + "-part-", dir=place.parent))
    try:
        _encode(spec, work)
        (work / _INDEX).write_text(json.dumps(_count_frames(spec, work)))
        try:
            work.rename(place)
        except OSError:
            # Another run was first; its result is as good as ours.
            if not (place / _INDEX).exists():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _encode(spec: _Spec, work: Path) -> None:
    # The seed moves the hue and the tone, so that two broadcasts never share bytes.
    twist = int.from_bytes(hashlib.sha256(spec.seed.encode()).digest()[:2], "big")
    length_s = repr(spec.count * spec.segment_s)
    command = [
        "ffmpeg", "-nostdin", "-v", "error", "-y",
        "-f", "lavfi", "-i", f"testsrc2=size={spec.size}:rate={spec.fps},hue=h={twist % 360}",
    ]
    if spec.audio:
        tone = f"sine=frequency={300 + twist % 700}:sample_rate=48000"
        command += ["-f", "lavfi", "-i", tone, "-c:a", "aac", "-ar", "48000"]
    command += [
        "-t", length_s, *_video_options(spec),
        "-output_ts_offset", repr(spec.start_s),
        "-f", "hls", "-hls_time", repr(spec.segment_s), "-hls_list_size", "0",
        "-hls_segment_type", spec.container, "-hls_fmp4_init_filename", _INIT,
        "-hls_segment_filename", str(work / "%05d.seg"), str(work / "list.m3u8"),
    ]
    done = subprocess.run(command, capture_output=True, timeout=ENCODE_LIMIT_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ffmpeg failed: {done.stderr.decode(errors='replace')}")


def _video_options(spec: _Spec) -> list[str]:
    gop = str(spec.frames_per_clip)
    codec = "libx265" if spec.codec in ("hevc", "h265") else spec.codec
    options = ["-c:v", codec, "-pix_fmt", "yuv420p", "-g", gop, "-keyint_min", gop,
               "-sc_threshold", "0", "-bf", "0"]
    if codec in ("libx264", "libx265"):
        options += ["-preset", "ultrafast"]
    if codec == "libx265":
        # libx265 takes these from its own options only; open GOPs would break clean cuts.
        params = f"log-level=error:keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:open-gop=0"
        options += ["-x265-params", params]
        if spec.container == "fmp4":
            options += ["-tag:v", "hvc1"]
    return options


def _count_frames(spec: _Spec, work: Path) -> list[int]:
    """Count the frames of every segment in one pass, by where packets lie in the whole."""
    parts = [work / _segment_name(i) for i in range(spec.count)]
    if (work / _segment_name(spec.count)).exists() or not parts[-1].exists():
        raise RuntimeError(f"FFmpeg did not cut exactly {spec.count} segments: {spec}")
    bodies = [part.read_bytes() for part in parts]
    if len(set(bodies)) != len(bodies):
        raise RuntimeError(f"two segments have the same bytes: {spec}")
    head = (work / _INIT).read_bytes() if spec.container == "fmp4" else b""
    starts = list(itertools.accumulate((len(body) for body in bodies[:-1]), initial=len(head)))
    whole = work / "whole"
    whole.write_bytes(head + b"".join(bodies))
    packets = _probe(whole, "-select_streams", "v:0", "-show_entries", "packet=pos,flags")
    whole.unlink()
    frames = [0] * spec.count
    for packet in packets["packets"]:
        clip = bisect.bisect_right(starts, int(packet["pos"])) - 1
        if frames[clip] == 0 and not packet["flags"].startswith("K"):
            raise RuntimeError(f"segment {clip} does not start with a keyframe: {spec}")
        frames[clip] += 1
    if set(frames) != {spec.frames_per_clip}:
        raise RuntimeError(f"frames per segment {frames}, not {spec.frames_per_clip}: {spec}")
    return frames
