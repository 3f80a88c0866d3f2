"""The shape of a segment: its container, codecs and picture size.

Owns the decision what a downloaded segment is, packed audio included (RFC 8216, 3.4: ADTS AAC of
ISO/IEC 13818-7, MP3 of ISO/IEC 11172-3, AC-3 of ETSI TS 102 366). Called by the recorder for
each segment: when the shape changes, a new part file must begin. Looks at a segment's first
bytes only and never raises on what a server may send.
"""

import re
from dataclasses import dataclass

from .fmp4 import begins_with_sync, looks_like_mp4, tracks
from .mpegts import looks_like_ts, picture_size, program

_CONTAINERS = ("ts", "mp4", "aac", "mp3", "ac3")
_VIDEO_CODECS = frozenset(
    ("h264", "hevc", "av1", "vp9", "mpeg2video", "vp08", "mp4v", "vvc1", "vvi1", "encv")
)
_AUDIO_CODECS = frozenset(
    ("aac", "aac_latm", "mp3", "ac3", "eac3", "opus", "flac", "alac", "ac-4", "enca")
)
# Timed metadata and advertisement cues (SCTE 35) come and go within one broadcast.
_METADATA = frozenset(("id3", "type-0x86"))
_STREAM = re.compile(r"[^\s+]+( [1-9][0-9]*x[1-9][0-9]*)?", re.ASCII)

# ISO/IEC 11172-3, 2.4.2.3 and 13818-3, 2.4.2.3: kbit/s by (is MPEG-1, layer bits).
_LOW_RATES = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_BIT_RATES = {
    (True, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (False, 1): _LOW_RATES,
    (False, 2): _LOW_RATES,
}
_SAMPLE_RATES = (44100, 48000, 32000)  # Of MPEG-1, in Hz.


@dataclass(frozen=True)
class Shape:
    """What must stay the same within one part file.

    A stream is named by its codec, a video stream also by its size where known: "h264 1280x720".
    """

    container: str
    streams: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((self.container, " + ".join(self.streams))).rstrip(" ")

    @classmethod
    def parse(cls, text: str) -> "Shape":
        """Return the shape that str() wrote as text; ValueError for any other text."""
        container, _, rest = text.partition(" ")
        shape = cls(container, tuple(rest.split(" + ")) if rest else ())
        well_formed = container in _CONTAINERS and all(map(_STREAM.fullmatch, shape.streams))
        if not well_formed or str(shape) != text:
            raise ValueError(f"not a segment shape: {text!r}")
        return shape

    @property
    def extension(self) -> str:
        """The file name extension for the container, with its dot."""
        return "." + self.container

    @property
    def kinds(self) -> frozenset[str]:
        """Which of "video" and "audio" the streams hold."""
        found = set()
        for stream in self.streams:
            codec, sized = _codec_of(stream), " " in stream
            if sized or codec in _VIDEO_CODECS:
                found.add("video")
            elif codec in _AUDIO_CODECS:
                found.add("audio")
        return frozenset(found)


def shape_of(segment: bytes, init: bytes | None) -> Shape | None:
    """Return the shape of a segment, None when it is no media or its streams cannot be known.

    The facts come from the PAT, PMT and first parameter set of a transport stream (or of the
    tables in its init section, RFC 8216, 3.2), from the moov box of an MP4 init section, or from
    the first frame of packed audio. A transport stream without tables has no streams.
    """
    if looks_like_ts(segment):
        return _ts_shape(segment, init or b"")
    if looks_like_mp4(segment):
        return _mp4_shape(init or b"")
    return _audio_shape(segment)


def alike(old: Shape, new: Shape) -> bool:
    """Tell whether new may follow old in one part file.

    The container and the streams must be the same. What is not known is no difference: a video
    stream without a size, or a transport stream without tables. The caller should therefore keep
    the shape that says more, not the latest one.
    """
    if old.container != new.container:
        return False
    if not old.streams or not new.streams:
        return True
    if len(old.streams) != len(new.streams):
        return False
    return all(map(_same_stream, old.streams, new.streams))


def begins_alone(shape: Shape, head: bytes, init: bytes) -> bool:
    """Tell whether a segment of a part with this shape begins with a keyframe, by its first bytes.

    In a transport stream by the parameter sets that a keyframe comes with. What cannot be known
    is believed.
    """
    if shape.container == "mp4":
        return begins_with_sync(head)
    if shape.container != "ts" or not any(" " in stream for stream in shape.streams):
        return True
    found = shape_of(head, init)
    return found is not None and any(" " in stream for stream in found.streams)


def _same_stream(old: str, new: str) -> bool:
    if " " in old and " " in new:
        return old == new
    return _codec_of(old) == _codec_of(new)


def _codec_of(stream: str) -> str:
    return stream.partition(" ")[0]


def _named(codec: str, size: tuple[int, int] | None) -> str:
    return f"{codec} {size[0]}x{size[1]}" if size and min(size) > 0 else codec


def _ts_shape(segment: bytes, init: bytes) -> Shape:
    return Shape("ts", tuple(
        _named(stream.codec, picture_size(segment, stream.pid, stream.codec))
        for stream in program(segment) or program(init)
        if stream.codec not in _METADATA
    ))


def _mp4_shape(init: bytes) -> Shape | None:
    streams = tuple(_named(track.codec, (track.width, track.height)) for track in tracks(init))
    return Shape("mp4", streams) if streams else None


def _audio_shape(segment: bytes) -> Shape | None:
    """Recognize packed audio by its first frame, behind any ID3v2 tags (RFC 8216, 3.4)."""
    at = 0
    while segment[at:at + 3] == b"ID3" and len(segment) >= at + 10:
        # ID3v2 3.1: the size is four times seven bits and leaves out the header and footer.
        first, second, third, fourth = segment[at + 6:at + 10]
        footer = 10 if segment[at + 5] & 0x10 else 0
        at += 10 + (first << 21 | second << 14 | third << 7 | fourth) + footer
    head = segment[at:at + 7]
    if len(head) < 7:
        return None
    if head[:2] == b"\x0B\x77":
        return _ac3_shape(head)
    if head[0] != 0xFF:
        return None
    if head[1] & 0xF6 == 0xF0:
        size = int.from_bytes(head[3:6], "big") >> 5 & 0x1FFF
        container, same = "aac", 0xFF
    else:
        size = _mp3_frame_bytes(head)
        container, same = "mp3", 0xFE
    if size < 7:
        return None
    # Two bytes match by chance in encrypted or unknown data, so the next frame must start alike.
    following = segment[at + size:at + size + 2]
    if len(following) == 2 and (following[0] != 0xFF or (following[1] ^ head[1]) & same):
        return None
    return Shape(container, (container,))


def _mp3_frame_bytes(head: bytes) -> int:
    """Return the length of an MPEG audio frame of layer II or III, 0 if head starts none."""
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate, frequency = head[2] >> 4, head[2] >> 2 & 3
    if head[1] < 0xE0 or version == 1 or layer not in (1, 2) or frequency == 3:
        return 0
    if rate in (0, 15):
        return 0
    mpeg1 = version == 3
    # MPEG-2 (version 2) halves the sample rate, MPEG-2.5 (version 0) quarters it.
    hertz = _SAMPLE_RATES[frequency] >> {3: 0, 2: 1, 0: 2}[version]
    eighth_of_samples = 144 if mpeg1 or layer == 2 else 72
    bit_rate = 1000 * _BIT_RATES[mpeg1, layer][rate - 1]
    return eighth_of_samples * bit_rate // hertz + (head[2] >> 1 & 1)


def _ac3_shape(head: bytes) -> Shape | None:
    """Tell AC-3 from Enhanced AC-3 by bsid (ETSI TS 102 366, 4.4.2.1 and E.1.3.1.6)."""
    bsid = head[5] >> 3
    if bsid > 16:
        return None
    return Shape("ac3", ("ac3" if bsid <= 10 else "eac3",))
