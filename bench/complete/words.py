"""What a reader of the table `complete` must know to judge it; the commands are those that run."""

from __future__ import annotations

import shlex
import sys

from bench.base import OURS

from .recorders import LOOP_PAUSE_S, OTHERS, UNIT_PAUSE_S, Kind

SHORT = {"streamlink": "streamlink", "yt_dlp": "yt-dlp"}
ORIGIN = """\
Every recorder has a stand-in origin of its own; all of them offer the same segments at the same
moments with the same faults, so that no recorder's tries use up a fault that others would have
met. H.264 of 320×180 at 30 frames a second with AAC, in segments of 2 s, of which 10 are listed;
each can be had for as long again after it has left the list. Two segments are there when all
recorders start, and the broadcast goes on once each has its first. After its end
(`EXT-X-ENDLIST`) there are {settle_s:.0f} s to take in what is left, then Ctrl-C.

A frame is known by the digest of its slices. *Frames* are those that are in the recorder's
files, of those offered; *gaps* the stretches that are missing; *doubled* the frames that are
there more than once; *damaged* what nobody offered, such as half a frame. *Complete* is every
frame, whole, once, in order, and nothing else.
"""
CASES = """\
- *mixed faults*, 110 s of media: the first two tries of every 7th segment 404, the first of
  every 11th 500, of every 9th cut in the middle by a reset, of every 13th without an answer for
  12 s; the playlist 503 for 7 s; the encoder stands still for 20 s.
- *15 s outage*: connections are reset and refused, while the broadcast goes on.
- *address expires every 30 s*: all get the address of a master playlist, which names a fresh
  media playlist each time. That and its segments answer 403 from 30 s after it was handed out.
- *kill -9 every 20 s*: the recorder's processes. Another start comes {loop_s:.0f} s later with
  the next file name, as in a shell loop; {ours} is started {unit_s:.0f} s later, as its systemd
  unit says. All files of a recorder are counted together. Nothing has left the window meanwhile.
  The others begin three segments from its end: what is doubled here would be a gap after a
  longer pause.
- *trickling line*: what is asked for from 20 s to 35 s comes at 5 kB/s, a twentieth of what the
  stream needs, to its end. streamlink with ten attempts is slower than without, because it
  still asks for segments that are gone when its time is up.
"""
OTHER_WORDS = """\
FFmpeg hands its reconnect options to the first request alone: its HLS demuxer asks for playlists
and segments without them (5.1; its debug log shows no reconnect). `-reconnect_at_eof` is left
out, because with it not one frame was recorded: a playlist, too, ends with an EOF. A playlist
that answers 503 ends it, so its share in the first case can differ from round to round with what
it asks for in those seconds. yt-dlp gives live HLS to ffmpeg, also where its native downloader is
asked for.
"""


def notes(settle_s: float) -> str:
    commands = [f"- {OURS}: its own defaults, one channel of the platform `url`"]
    commands += [f"- {name}: {_command(kind)}" for name, kind in OTHERS.items()]
    cases = CASES.format(loop_s=LOOP_PAUSE_S, unit_s=UNIT_PAUSE_S, ours=OURS)
    return "\n".join([ORIGIN.format(settle_s=settle_s), cases, "Started with:\n", *commands, "",
                      OTHER_WORDS])


def _command(kind: Kind) -> str:
    argv = kind.argv("ADDRESS", "FILE")
    if argv[0] == sys.executable:
        argv = [SHORT[argv[2]], *argv[3:]]
    again = f", started again {LOOP_PAUSE_S:.0f} s after it ends" if kind.loop else ""
    return f"`{shlex.join(argv)}`{again}"
