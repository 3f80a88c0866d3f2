"""MPEG transport streams: which streams a segment carries, and how large its picture is.

Owns the reading of TS packets, PAT and PMT (ISO/IEC 13818-1, 2.4.3 and 2.4.4), PES headers
(2.4.3.6), and the picture size in H.264 and HEVC parameter sets (ITU-T H.264 7.3.2.1, H.265
7.3.2.2) and MPEG-2 sequence headers (ISO/IEC 13818-2, 6.2.2). Called by shape.py, and by whoever
needs a segment's PIDs. Reads only the first packets and never raises on damaged data.
"""
from collections.abc import Iterator
from dataclasses import dataclass

TS_PACKET_BYTES = 188

# Tables and a first keyframe stand at a segment's beginning; the bound keeps odd segments cheap.
_PACKETS_SEARCHED = 2000
_LONGEST_SECTION = 4096
# A parameter set is nearly always in the first few packets, so a short piece is tried first.
_TRIED_BYTES = (4096, 65536)
# The longest parameter set worth reading: one with every scaling list spelled out fits.
_SPS_BYTES = 1024
_START_CODE = b"\x00\x00\x01"

_STREAM_TYPES = {
    0x01: "mpeg2video", 0x02: "mpeg2video", 0x03: "mp3", 0x04: "mp3", 0x0F: "aac",
    0x11: "aac_latm", 0x15: "id3", 0x1B: "h264", 0x24: "hevc", 0x81: "ac3", 0x87: "eac3",
}
_PRIVATE_DATA = 0x06
_REGISTRATION = 0x05
_DESCRIPTORS = {0x6A: "ac3", 0x7A: "eac3"}
_REGISTERED = {b"Opus": "opus", b"AV01": "av1", b"AC-3": "ac3", b"EAC3": "eac3", b"ID3 ": "id3"}
# H.264 7.3.2.1.1: the profiles whose parameter sets tell the chroma format and scaling lists.
_HIGH_PROFILES = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))


@dataclass(frozen=True)
class Elementary:
    """One elementary stream of a program: its PID and the codec its PMT entry names."""

    pid: int
    codec: str


def looks_like_ts(data: bytes) -> bool:
    """Tell whether data starts with TS packets, by the sync byte (ISO/IEC 13818-1, 2.4.3.2)."""
    syncs = data[:2 * TS_PACKET_BYTES + 1:TS_PACKET_BYTES]
    return len(data) >= TS_PACKET_BYTES and not syncs.strip(b"\x47")


def program(data: bytes) -> tuple[Elementary, ...]:
    """Return the first program's streams in PMT order, from the PAT and PMT (13818-1, 2.4.4).

    Empty when the first packets hold no complete PAT and PMT.
    """
    for pat in _sections(data, 0, 0x00):
        for at in range(8, len(pat) - 7, 4):
            number = pat[at:at + 2]
            if number == b"\x00\x00":  # This entry points at the network table.
                continue
            for pmt in _sections(data, _low_bits(pat, at + 2, 13), 0x02):
                if pmt[3:5] == number:  # Several programs may share one PID.
                    return _pmt_streams(pmt)
            return ()
    return ()


def picture_size(data: bytes, pid: int, codec: str) -> tuple[int, int] | None:
    """Return the displayed width and height of the video on pid, None when not found.

    Read from the first H.264 or HEVC sequence parameter set, with its cropping applied, or from
    the first MPEG-2 sequence header, within the first 64 KiB of the stream.
    """
    for goal in _TRIED_BYTES if codec in ("h264", "hevc", "mpeg2video") else ():
        stream = bytearray()
        for starts, payload in _payloads(data, pid):
            if starts and payload.startswith(_START_CODE) and len(payload) > 8:
                stream += payload[9 + payload[8]:]  # Behind the PES header.
            elif stream:  # What precedes the first PES packet belongs to an earlier picture.
                stream += payload
            if len(stream) >= goal:
                break
        size = _size_in(bytes(stream), codec)
        if size or len(stream) < goal:
            return size
    return None


def _payloads(data: bytes, pid: int) -> Iterator[tuple[bool, bytes]]:
    """Yield (payload_unit_start, payload) of pid's packets until sync is lost."""
    high, low = pid >> 8, pid & 0xFF
    end = min(len(data), _PACKETS_SEARCHED * TS_PACKET_BYTES) - TS_PACKET_BYTES
    for at in range(0, end + 1, TS_PACKET_BYTES):
        if data[at] != 0x47:
            return
        # The comparison includes the error bit: a packet marked damaged is passed over.
        if data[at + 2] != low or data[at + 1] & 0x9F != high:
            continue
        control = data[at + 3]
        skip = 5 + data[at + 4] if control & 0x20 else 4  # Behind the adaptation field.
        if control & 0xD0 == 0x10 and skip < TS_PACKET_BYTES:  # Not scrambled, with a payload.
            yield bool(data[at + 1] & 0x40), data[at + skip:at + TS_PACKET_BYTES]


def _sections(data: bytes, pid: int, table: int) -> Iterator[bytes]:
    """Yield the table's sections in force on pid, also ones spread over packets (2.4.4.1)."""
    pending = b"\xFF"  # Stuffing: nothing begun.
    for starts, payload in _payloads(data, pid):
        split = 1 + payload[0] if starts else len(payload)
        # Up to the place the pointer_field names, a packet ends the section begun before.
        for piece in (pending + payload[int(starts):split], payload[split:]):
            pending = piece or pending
            while piece[:1] != b"\xFF" and len(piece) >= (size := 3 + _low_bits(piece, 1, 12)):
                if piece[0] == table and size >= 12 and piece[5] & 1:  # current_next_indicator
                    yield piece[:size]
                pending = piece = piece[size:]
            pending = pending[:_LONGEST_SECTION] or b"\xFF"


def _low_bits(data: bytes, at: int, count: int) -> int:
    """Return the low bits of the two bytes at a place: a PID or a length behind its flags."""
    return int.from_bytes(data[at:at + 2], "big") & (1 << count) - 1


def _pmt_streams(pmt: bytes) -> tuple[Elementary, ...]:
    streams = []
    end = len(pmt) - 4
    at = 12 + _low_bits(pmt, 10, 12)
    while at + 5 <= end:
        after = at + 5 + _low_bits(pmt, at + 3, 12)
        codec = _codec_of(pmt[at], pmt[at + 5:min(after, end)])
        streams.append(Elementary(_low_bits(pmt, at + 1, 13), codec))
        at = after
    return tuple(streams)


def _codec_of(stream_type: int, descriptors: bytes) -> str:
    """Name a codec; private data says what it is in its descriptors (2.6.8, ETSI EN 300 468)."""
    while stream_type == _PRIVATE_DATA and len(descriptors) > 1:
        tag, size = descriptors[:2]
        name = descriptors[2:6] if tag == _REGISTRATION else b""
        if codec := _DESCRIPTORS.get(tag) or _REGISTERED.get(name):
            return codec
        descriptors = descriptors[2 + size:]
    return _STREAM_TYPES.get(stream_type, f"type-0x{stream_type:02x}")


def _size_in(stream: bytes, codec: str) -> tuple[int, int] | None:
    """Return the size told by the first readable header of the stream."""
    following = stream.find(_START_CODE)
    while following >= 0:
        unit = following + 3
        following = stream.find(_START_CODE, unit)
        body = stream[unit:min(unit + _SPS_BYTES, following if following >= 0 else len(stream))]
        kind = body[0] if body else 0
        try:
            if codec == "mpeg2video" and kind == 0xB3 and len(body) > 3:
                size = body[1] << 4 | body[2] >> 4, _low_bits(body, 2, 12)
            elif codec == "h264" and kind & 0x1F == 7:
                size = _h264_size(_Bits(body[1:]))
            elif codec == "hevc" and kind == 0x42 and body[1:2] < b"\x08":  # The base layer's.
                size = _hevc_size(_Bits(body[2:]))
            else:
                continue
        except ValueError:
            continue  # Cut off or damaged; another copy may follow.
        if 0 < min(size) and max(size) < 65536:
            return size
    return None


class _Bits:
    """Reads the fields of a NAL unit; ValueError when it ends early (H.264 7.2 and 9.1)."""

    def __init__(self, unit: bytes) -> None:
        raw = unit.replace(b"\x00\x00\x03", b"\x00\x00")  # Emulation prevention, H.264 7.4.1.
        self._bits = f"{int.from_bytes(raw, 'big'):0{8 * len(raw)}b}"
        self._at = 0

    def take(self, count: int) -> int:
        """Read an unsigned number of count bits."""
        begin, self._at = self._at, self._at + count
        if self._at > len(self._bits):
            raise ValueError("the unit ends early")
        return int(self._bits[begin:self._at] or "0", 2)

    def golomb(self, count: int = 1) -> int:
        """Read count Exp-Golomb numbers, ue(v), and return their sum."""
        total = 0
        for _ in range(count):
            zeros = self._bits.find("1", self._at) - self._at
            if not 0 <= zeros <= 32:
                raise ValueError("no Exp-Golomb number here")
            self._at += zeros
            total += self.take(zeros + 1) - 1
        return total

    def cropped(self, width: int, height: int, chroma: int, fields: int) -> tuple[int, int]:
        """Apply the cropping that stands next: a flag, then left, right, top, bottom."""
        if self.take(1):
            across = 2 if chroma in (1, 2) else 1
            down = (2 if chroma == 1 else 1) * fields
            return width - across * self.golomb(2), height - down * self.golomb(2)
        return width, height


def _h264_size(bits: _Bits) -> tuple[int, int]:
    """Read seq_parameter_set_data up to its frame cropping (H.264 7.3.2.1.1)."""
    high = bits.take(24) >> 16 in _HIGH_PROFILES
    bits.golomb()
    chroma = _h264_chroma(bits) if high else 1
    bits.golomb()
    order = bits.golomb()
    bits.golomb(1 if order == 0 else 0)
    if order == 1:
        bits.take(1)
        bits.golomb(2)
        bits.golomb(bits.golomb())
    bits.golomb()
    bits.take(1)
    width, height = 16 * (bits.golomb() + 1), 16 * (bits.golomb() + 1)
    fields = 1 if bits.take(1) else 2  # frame_mbs_only_flag
    bits.take(fields)  # With mb_adaptive_frame_field_flag when fields are allowed.
    return bits.cropped(width, height * fields, chroma, fields)


def _h264_chroma(bits: _Bits) -> int:
    """Read the fields only the high profiles have; return chroma_format_idc."""
    chroma = bits.golomb()
    bits.take(1 if chroma == 3 else 0)  # Planes apart are cropped by the pixel, as 4:4:4 is.
    bits.golomb(2)
    bits.take(1)
    lists = (12 if chroma == 3 else 8) if bits.take(1) else 0
    for index in range(lists):
        scale = 8 if bits.take(1) else 0  # H.264 7.3.2.1.1.1: a next scale of 0 ends a list.
        for _ in range((16 if index < 6 else 64) if scale else 0):
            code = bits.golomb() if scale else 0
            scale = (scale + ((code + 1) // 2 if code % 2 else -(code // 2))) % 256
    return chroma


def _hevc_size(bits: _Bits) -> tuple[int, int]:
    """Read seq_parameter_set_rbsp up to its conformance window (H.265 7.3.2.2.1)."""
    sub_layers = bits.take(7) & 7  # Behind the four bits of the video parameter set's number.
    bits.take(1 + 88 + 8)
    present = [(bits.take(1), bits.take(1)) for _ in range(sub_layers)]
    bits.take(2 * (8 - sub_layers) if sub_layers else 0)
    bits.take(sum(88 * profile + 8 * level for profile, level in present))
    bits.golomb()
    chroma = bits.golomb()
    bits.take(1 if chroma == 3 else 0)
    return bits.cropped(bits.golomb(), bits.golomb(), chroma, 1)
