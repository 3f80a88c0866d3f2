"""Fragmented MP4: the tracks an initialization section declares, and when a segment begins.

Owns the reading of ISO/IEC 14496-12 boxes (4.2), of moov/trak (8.3 to 8.5) and moof/traf (8.8).
Called by shape.py, and by whoever needs track timescales and decode times. Walks box headers
only, so the media itself is never touched, and never raises on damaged data.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_FIRST_BOXES = frozenset(
    (b"ftyp", b"styp", b"moof", b"sidx", b"moov", b"emsg", b"prft", b"mdat", b"free")
)
# Sample entry names: ISO/IEC 14496-15 (AVC, HEVC), Dolby Vision's variants of those, and the
# registration authority's list for the others.
_CODECS = {
    b"avc1": "h264", b"avc2": "h264", b"avc3": "h264", b"avc4": "h264", b"dva1": "h264",
    b"dvav": "h264", b"hvc1": "hevc", b"hev1": "hevc", b"dvh1": "hevc", b"dvhe": "hevc",
    b"av01": "av1", b"dav1": "av1", b"vp09": "vp9", b"mp4a": "aac", b"Opus": "opus",
    b"ac-3": "ac3", b"ec-3": "eac3", b"fLaC": "flac", b".mp3": "mp3",
}
# ISO/IEC 14496-1, table 5: what an mp4a entry may hold besides AAC.
_MP4A_OBJECTS = {0x69: "mp3", 0x6B: "mp3", 0xA5: "ac3", 0xA6: "eac3", 0xAD: "opus"}
# Sample flags: sample_is_non_sync_sample.
_NON_SYNC = 0x10000


@dataclass(frozen=True)
class Track:
    """One track of a moov box; width and height are 0 for anything but video."""

    track_id: int
    codec: str
    timescale: int
    width: int
    height: int


def looks_like_mp4(data: bytes) -> bool:
    """Tell whether data starts with a box that begins MP4 files or segments (14496-12, 4.2)."""
    return data[4:8] in _FIRST_BOXES


def tracks(init: bytes) -> tuple[Track, ...]:
    """Return the tracks in moov order, from tkhd, mdhd, hdlr and stsd (14496-12, 8.3 to 8.5).

    A track that is damaged or cut off is left out.
    """
    found = []
    for kind, moov in _boxes(memoryview(init)):
        if kind != b"moov":
            continue
        for inner, trak in _boxes(moov):
            track = _track(trak) if inner == b"trak" else None
            if track:
                found.append(track)
    return tuple(found)


def decode_times(segment: bytes) -> dict[int, int]:
    """Return each track's baseMediaDecodeTime at its first moof/traf (14496-12, 8.8.7, 8.8.12).

    In units of the track's timescale. A track whose first traf tells no time is left out: what a
    later fragment tells is not when the segment begins.
    """
    times: dict[int, int | None] = {}
    for kind, moof in _boxes(memoryview(segment)):
        if kind != b"moof":
            continue
        for inner, traf in _boxes(moof):
            if inner != b"traf":
                continue
            boxes = dict(_boxes(traf))
            try:
                track_id: int = struct.unpack_from(">I", boxes[b"tfhd"], 4)[0]
            except (KeyError, struct.error):
                continue
            times.setdefault(track_id, _decode_time(boxes.get(b"tfdt")))
    return {track_id: time for track_id, time in times.items() if time is not None}


def begins_with_sync(segment: bytes) -> bool:
    """Whether no track of a segment says that its first sample depends on others (ISO/IEC
    14496-12, 8.8.3.1, 8.8.7 and 8.8.8)."""
    try:
        moof = next(body for kind, body in _boxes(memoryview(segment)) if kind == b"moof")
        return not any(_first_flags(traf) & _NON_SYNC
                       for kind, traf in _boxes(moof) if kind == b"traf")
    except (StopIteration, struct.error):
        return True


def _first_flags(traf: memoryview) -> int:
    boxes = {kind: body for kind, body in reversed(list(_boxes(traf)))}
    trun = boxes[b"trun"] if b"trun" in boxes else memoryview(bytes(8))
    flags = struct.unpack_from(">I", trun)[0]
    at = 12 if flags & 0x01 else 8
    if flags & 0x04:
        return int(struct.unpack_from(">I", trun, at)[0])
    if flags & 0x400:
        at += sum(4 for flag in (0x100, 0x200) if flags & flag)
        return int(struct.unpack_from(">I", trun, at)[0])
    tfhd = boxes[b"tfhd"] if b"tfhd" in boxes else memoryview(bytes(8))
    flags = struct.unpack_from(">I", tfhd)[0]
    if not flags & 0x20:
        return 0
    fields = ((0x01, 8), (0x02, 4), (0x08, 4), (0x10, 4))
    at = 8 + sum(size for flag, size in fields if flags & flag)
    return int(struct.unpack_from(">I", tfhd, at)[0])


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield (type, content) of the boxes side by side in data; the last may be cut off (4.2)."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        header = 8
        if size == 0:  # The box reaches to the end.
            size = len(data) - at
        elif size == 1:
            if at + 16 > len(data):
                return
            size = struct.unpack_from(">Q", data, at + 8)[0]
            header = 16
        if size < header:
            return
        yield kind, data[at + header:at + size]
        at += size


def _track(trak: memoryview) -> Track | None:
    """Read one trak box (8.3.2 tkhd, 8.4.2 mdhd, 8.4.3 hdlr, 8.5.2 stsd)."""
    try:
        boxes = dict(_boxes(trak))
        header = boxes[b"tkhd"]
        media = dict(_boxes(boxes[b"mdia"]))
        samples = dict(_boxes(dict(_boxes(media[b"minf"]))[b"stbl"]))
        handler = bytes(media[b"hdlr"][8:12])
        kind, entry = next(_boxes(samples[b"stsd"][8:]))
        width, height = 0, 0
        if handler == b"vide":
            width, height = struct.unpack_from(">HH", entry, 24)
        return Track(
            track_id=_after_times(header),
            codec=_codec_of(kind, entry),
            timescale=_after_times(media[b"mdhd"]),
            width=width,
            height=height,
        )
    except (KeyError, StopIteration, struct.error):
        return None


def _after_times(box: memoryview) -> int:
    """Return the number behind the creation and modification times: 32 bits each, or 64."""
    version: int = struct.unpack_from(">B", box)[0]
    number: int = struct.unpack_from(">I", box, 20 if version == 1 else 12)[0]
    return number


def _decode_time(tfdt: memoryview | None) -> int | None:
    """Read baseMediaDecodeTime: 32 bits in version 0, 64 bits in version 1 (8.8.12)."""
    try:
        if tfdt is None:
            return None
        form = ">Q" if tfdt[0] == 1 else ">I"
        time: int = struct.unpack_from(form, tfdt, 4)[0]
        return time
    except (IndexError, struct.error):
        return None


def _codec_of(kind: bytes, entry: memoryview) -> str:
    """Name the codec of a sample entry; an unknown one by its four characters."""
    if kind == b"mp4a":
        return _MP4A_OBJECTS.get(_object_type(bytes(entry)), "aac")
    if kind in _CODECS:
        return _CODECS[kind]
    name = kind.decode("latin-1").rstrip(" ")
    # The name is used within one line of text, so whatever is not plain is spelled as hex.
    plain = name.isascii() and name.replace("-", "").replace(".", "").isalnum()
    return name if plain else "0x" + kind.hex()


def _object_type(entry: bytes) -> int:
    """Return the objectTypeIndication in an entry's esds box, 0 if none (14496-1, 7.2.6)."""
    found = entry.find(b"esds")
    at = found + 8  # Behind the box's type, version and flags.
    if found < 0 or len(entry) < at + 2 or entry[at] != 3:
        return 0
    at = _content_at(entry, at)
    flags = entry[at + 2] if at + 2 < len(entry) else 0
    at += 3
    at += 2 if flags & 0x80 else 0  # dependsOn_ES_ID
    at += 1 + entry[at] if flags & 0x40 and at < len(entry) else 0  # The address and its length.
    at += 2 if flags & 0x20 else 0  # OCR_ES_Id
    if at >= len(entry) or entry[at] != 4:
        return 0
    return int.from_bytes(entry[_content_at(entry, at):][:1], "big")


def _content_at(data: bytes, at: int) -> int:
    """Return where a descriptor's content begins: its length takes one to four bytes."""
    for behind in range(at + 1, min(at + 5, len(data))):
        if not data[behind] & 0x80:
            return behind + 1
    return len(data)
