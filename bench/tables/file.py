"""Table `file`: how long after a broadcast's last segment its verified file is there."""

from __future__ import annotations

import queue
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.base import OURS, Figure, Round, Table
from bench.broadcast import template
from bench.broadcast.launch import Last, Origin
from bench.broadcast.template import SEGMENT_FRAMES, SEGMENT_S, Look, Template
from bench.listening import Ears, Heard
from tests.daemon import Daemon

AFTER = "Battles Record, timing after"
REMUX = "ffmpeg -c copy afterwards"
TO_FILE, TO_END, COMPLETE = "to the file", "until the end is known", "frames in the file"
# What must be free besides a capture and its file, in bytes and as a share of both.
SPARE_BYTES, SPARE_SHARE = 4 * 10 ** 9, 0.05
# Seconds of playlist, as they pass for the recorder: it asks every two.
WINDOW_S = 12.0
SLOWEST_BYTES_PER_S = 30e6
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Length:
    name: str
    media_s: int
    pace: float
    look: Look = template.FULL
    rounds: int = 10 ** 9
    tail_s: int = 40

    @property
    def count(self) -> int:
        return self.media_s // SEGMENT_S

    @property
    def broadcast_s(self) -> float:
        """How long it takes here."""
        return (self.media_s - self.tail_s) / self.pace + self.tail_s

    @property
    def window(self) -> int:
        return max(10, int(WINDOW_S * self.pace / SEGMENT_S))


LENGTHS = (Length("1 minute", 60, 10), Length("1 hour", 3600, 60),
           Length("10 hours", 36000, 100, rounds=1))
QUICK = (Length("20 seconds", 20, 10, template.SMALL, tail_s=0),)


def measure(turn: Round) -> Iterator[Figure]:
    for length in QUICK if turn.quick else LENGTHS:
        if turn.number > length.rounds:
            continue
        media = turn.scratch / "template"
        media.mkdir(exist_ok=True)
        template.make(media, length.look)
        size_bytes = Template(media).segment_bytes * length.count
        free_bytes = shutil.disk_usage(turn.scratch).free
        need_bytes = int(2 * size_bytes * (1 + SPARE_SHARE)) + SPARE_BYTES
        if not turn.quick and free_bytes < need_bytes:
            turn.say(f"{length.name} is left out: it needs {need_bytes / 1e9:.0f} GB, and "
                     f"{free_bytes / 1e9:.0f} GB are free in {turn.scratch}")
            continue
        limit_s = PATIENCE_S + length.broadcast_s + 4 * size_bytes / SLOWEST_BYTES_PER_S
        for name, timing in ((OURS, "live"), (AFTER, "after")):
            turn.say(f"{length.name}, {name}: {length.broadcast_s:.0f} s of broadcast")
            yield from _recorded(turn, media, length, name, timing, limit_s)
        turn.say(f"{length.name}, {REMUX}")
        yield from _remuxed(turn, media, length, limit_s)


def _recorded(
    turn: Round, media: Path, length: Length, name: str, timing: str, limit_s: float
) -> Iterator[Figure]:
    home = turn.scratch / timing
    home.mkdir()
    heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
    deadline_s = time.monotonic() + limit_s
    try:
        daemon = Daemon(home, processing_timing=timing, capture_after="delete",
                        url_interval="30s", output_directory=home / "recordings")
        with ExitStack() as exits:
            origin = exits.enter_context(Origin(
                media, count=length.count, pace=length.pace, window=length.window,
                tail=length.tail_s // SEGMENT_S))
            exits.callback(daemon.close)
            daemon.start()
            ears = exits.enter_context(Ears(daemon.port, daemon.key, 1, heard.put))
            ears.wait_all()
            daemon.call("POST", "/api/channels", {"platform": "url", "name": origin.url()})
            last = origin.last(deadline_s)
            turn.say("the last segment is out")
            ended = _until(heard, ears, "recording_ended", deadline_s)
            done = _until(heard, ears, "processing_complete", deadline_s)
            recording = daemon.get(f"/api/recordings/{done.message['data']['id']}")
        frames = sum(count_frames(Path(path), limit_s) for path in recording["files"])
        whole = _whole(recording["segments"], recording["gaps"], last, frames)
        turn.say(f"there after {done.at_s - last.last_s:.2f} s, with {frames} of "
                 f"{last.count * SEGMENT_FRAMES} frames")
        yield Figure(length.name, name, TO_FILE, done.at_s - last.last_s, "s", whole)
        yield Figure(length.name, name, TO_END, ended.at_s - last.last_s, "s")
        yield Figure(length.name, name, COMPLETE,
                     100 * frames / (last.count * SEGMENT_FRAMES), "%", whole)
    finally:
        shutil.rmtree(home)


def _whole(segments: int, gaps: int, last: Last, frames: int) -> bool:
    return (segments, gaps, frames) == (last.count, 0, last.count * SEGMENT_FRAMES)


def _until(
    heard: queue.SimpleQueue[Heard], ears: Ears, wanted: str, deadline_s: float
) -> Heard:
    """The next event of a type. Raises TimeoutError, RuntimeError."""
    while (left_s := deadline_s - time.monotonic()) > 0:
        ears.check()
        try:
            found = heard.get(timeout=min(1.0, left_s))
        except queue.Empty:
            continue
        if found.message["type"] == wanted:
            return found
        if found.message["type"] == "processing_failed":
            raise RuntimeError(f"the recording failed: {found.message['data']}")
    raise TimeoutError(f"there was no {wanted}")


def _remuxed(turn: Round, media: Path, length: Length, limit_s: float) -> Iterator[Figure]:
    """What a person does with a recorded transport stream, once it is there."""
    home = turn.scratch / "remux"
    home.mkdir()
    try:
        source, target = home / "all.ts", home / "all.mp4"
        segments = Template(media)
        with open(source, "wb") as file:
            for number in range(length.count):
                file.write(segments.segment(number))
            file.flush()
        # As it would be behind a recording that took so long: written back.
        subprocess.run(["sync", str(source)], check=True, timeout=limit_s)
        begun_s = time.monotonic()
        subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", str(source), "-c", "copy",
                        str(target)], check=True, timeout=limit_s)
        subprocess.run(["ffprobe", "-v", "error", "-show_format", "-show_streams", str(target)],
                       check=True, timeout=limit_s, stdout=subprocess.DEVNULL)
        taken_s = time.monotonic() - begun_s
        source.unlink()
        frames = count_frames(target, limit_s)
        offered = length.count * SEGMENT_FRAMES
        turn.say(f"there after {taken_s:.2f} s, with {frames} of {offered} frames")
        yield Figure(length.name, REMUX, TO_FILE, taken_s, "s", frames == offered)
        yield Figure(length.name, REMUX, COMPLETE, 100 * frames / offered, "%",
                     frames == offered)
    finally:
        shutil.rmtree(home)


def count_frames(path: Path, limit_s: float) -> int:
    """Video packets that are really in the file, not what its header says."""
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v:0", "-count_packets", "-show_entries",
         "stream=nb_read_packets", "-of", "csv=p=0", str(path)],
        check=True, timeout=limit_s, capture_output=True, text=True)
    return int(done.stdout.strip() or 0)


TABLE = Table(
    name="file",
    title="Time to file",
    goals="under 3 s from the last segment to the finished, verified file, however long it was",
    rounds=3,
    measure=measure,
    drawn=TO_FILE,
    notes="""\
A broadcast of 6 Mbit/s in segments of 2 s, served faster than real time: one minute at 10 times,
one hour at 60 times, ten hours at 100 times its pace (that one only in the first round). The last
40 s of each come in real time, as the end of any broadcast does: what then waits in memory for the
disk is what would wait there. The playlist is over (EXT-X-ENDLIST) from the moment
on at which the last segment was answered, and the time counts from that moment to the event
`processing_complete`: the file is written, compared with what was captured, on the disk and has its
name. A recorder sees the end when it asks for the playlist again, which is up to one target
duration after the last time (RFC 8216, 6.3.4): that wait of up to 2 s is in every figure of Battles
Record, and is shown by itself. With longer segments it is longer.

`ffmpeg -c copy afterwards` is a remux of the same segments, one behind the other in one file that
is on the disk when the time begins, and one ffprobe of the result; it does not bring the result to
the disk and compares nothing. "Timing after" is Battles Record with processing_timing = after: the
same work as for a live file, begun when the broadcast is over.

`frames in the file` counts the video packets of the finished file with ffprobe. Ten hours need
27 GB for the capture and 27 GB for the file; where that is not free they are left out.""",
)
