"""How FFmpeg encodes a finished file anew: which encoders, in what order, with which of their
own flags. Pure.

A part of `processing.Processing`; asked by `brlib.assembly`, which tries each of the `ways` for a
moment before it takes it. Flags as FFmpeg 5.1's encoders take them (`ffmpeg -h encoder=…`).
"""

from __future__ import annotations

from dataclasses import dataclass

from .arguments import Arguments

VIDEO_CODECS = ("h264", "h265", "vp9", "av1", "copy")
AUDIO_CODECS = ("copy", "aac", "opus")
HARDWARE = ("none", "auto", "nvenc", "qsv", "amf", "vaapi", "v4l2")
# The quality where none is given, and the worst that the codec knows.
_CRF = {"h264": (23, 51), "h265": (28, 51), "vp9": (31, 63), "av1": (35, 63)}
# MPEG-TS has no agreed way for the others.
_IN_TS = frozenset(("h264", "h265", "aac", "copy"))
# h265 in MP4 that Apple's players take.
_APPLE = ("-tag:v", "hvc1")
_DRI = "/dev/dri/renderD128"
_V4L2_BITS = 6_000_000
# Every frame once: MP4's own choice, a constant rate, doubles one where times are uneven.
_EACH_FRAME = ("-fps_mode", "vfr")
# 8192x8192: what is larger by mistake is refused by FFmpeg before it takes the memory.
_LARGEST = ("-max_pixels", str(8192 * 8192))
# Colour has half the picture's resolution, so that libx264 takes no odd size; nothing is changed
# where it is even.
_EVEN = "crop=trunc(iw/2)*2:trunc(ih/2)*2"
# What decoders of all kinds take. A source of ten bits, often HDR, keeps them in codecs whose
# usual profiles have them; h264's have not.
_EIGHT_BIT = "format=yuv420p"
_AS_SOURCE = "format=yuv420p|yuv420p10le"


@dataclass(frozen=True)
class Encoding:
    """What a person wants: codecs, quality (`crf`, less is better; None: the codec's usual one),
    on which hardware."""

    video: str = "h264"
    audio: str = "copy"
    crf: int | None = None
    hardware: str = "none"
    arguments: Arguments = Arguments()

    @property
    def quality(self) -> int:
        usual, _ = _CRF[self.video]
        return usual if self.crf is None else self.crf

    @property
    def by_rate(self) -> bool:
        """Whether a person's own bitrate takes the place of the quality: encoders that are told
        both heed the quality alone."""
        return "-b:v" in self.arguments.options


@dataclass(frozen=True)
class Way:
    """One way to do it: FFmpeg's options before the input and for the output. `hardware`: what it
    needs; None is the processor."""

    encoder: str
    output: tuple[str, ...]
    device: tuple[str, ...] = ()
    hardware: str | None = None


def clash(encoding: Encoding, container: str) -> tuple[str, str] | None:
    """An option that does not go with the others, and what is wrong with it."""
    if encoding.video == "copy" and encoding.audio == "copy":
        return "video_codec", "reencode needs a video_codec or an audio_codec that is not copy"
    if container == "ts":
        for name, codec in (("video_codec", encoding.video), ("audio_codec", encoding.audio)):
            if codec not in _IN_TS:
                return name, f"{codec} does not go into the container ts"
    if encoding.crf is not None and encoding.video != "copy":
        worst = _CRF[encoding.video][1]
        if encoding.crf > worst:
            return "crf", f"must be from 0 to {worst} with {encoding.video}"
    if encoding.hardware not in ("none", "auto") and encoding.video != "copy":
        if not _encoder(encoding.hardware, encoding.video):
            return "hardware_acceleration", f"{encoding.hardware} has no encoder for " + (
                encoding.video)
    if encoding.video == "copy" and encoding.arguments.picture:
        return "ffmpeg_arguments", "a picture that is copied goes through no filter"
    if encoding.audio == "copy" and encoding.arguments.sound:
        return "ffmpeg_arguments", "sound that is copied goes through no filter"
    return None


def ways(encoding: Encoding) -> list[Way]:
    """Best first: the hardware that is wanted, then the processor."""
    if encoding.video == "copy":
        return [Way("copy", ("-c:v", "copy", *_sound(encoding), *encoding.arguments.options))]
    wanted = {"none": (), "auto": HARDWARE[2:]}.get(encoding.hardware, (encoding.hardware,))
    found = [_on_hardware(encoding, hardware, encoder) for hardware in wanted
             if (encoder := _encoder(hardware, encoding.video))]
    bits = _EIGHT_BIT if encoding.video == "h264" else _AS_SOURCE
    own = "-pix_fmt" in encoding.arguments.options
    return found + [_way(encoding, encoder, flags, () if own else (bits,))
                    for encoder, flags in _in_software(encoding)]


def _way(
    encoding: Encoding, encoder: str, flags: tuple[str, ...], ending: tuple[str, ...] = (),
    device: tuple[str, ...] = (), hardware: str | None = None,
) -> Way:
    """What a person says stands last: of an option that is given twice FFmpeg takes the last.
    `ending`: the filters that the encoder needs behind a person's own."""
    tag = _APPLE if encoding.video == "h265" else ()
    picture = ",".join(filter(None, (encoding.arguments.picture, _EVEN, *ending)))
    return Way(encoder, ("-c:v", encoder, *_EACH_FRAME, *flags, *tag, *_LARGEST, "-vf", picture,
                         *_sound(encoding), *encoding.arguments.options), device, hardware)


def _sound(encoding: Encoding) -> tuple[str, ...]:
    sound = encoding.arguments.sound
    # It hands on 192 kHz.
    rate = ("-ar", "48000") if "loudnorm" in sound else ()
    match encoding.audio:
        case "aac":
            return "-c:a", "aac", "-b:a", "192k", *rate, *(("-af", sound) if sound else ())
        case "opus":
            # libopus takes no 5.1(side), which is what AAC 5.1 is decoded to.
            layouts = "aformat=channel_layouts=7.1|5.1|stereo|mono"
            return ("-c:a", "libopus", "-b:a", "160k", *rate,
                    "-af", f"{sound},{layouts}" if sound else layouts)
        case _:
            return "-c:a", "copy"


def _in_software(encoding: Encoding) -> list[tuple[str, tuple[str, ...]]]:
    quality = () if encoding.by_rate else ("-crf", str(encoding.quality))
    # Without it these take the quality for an upper bound.
    unbounded = () if encoding.by_rate else ("-b:v", "0")
    match encoding.video:
        case "h264":
            return [("libx264", ("-preset", "veryfast", *quality))]
        case "h265":
            return [("libx265", ("-preset", "fast", *quality))]
        case "vp9":
            return [("libvpx-vp9", (*quality, *unbounded, "-deadline", "good", "-cpu-used", "4",
                                    "-row-mt", "1"))]
        case _:
            # FFmpeg 5.1 takes SVT's 0 for a quality that was not given.
            best = () if encoding.by_rate else ("-crf", str(max(1, encoding.quality)))
            return [("libsvtav1", ("-preset", "8", *best)),
                    ("libaom-av1", (*quality, *unbounded, "-cpu-used", "8", "-row-mt", "1"))]


_ENCODERS = {
    "nvenc": {"h264": "h264_nvenc", "h265": "hevc_nvenc", "av1": "av1_nvenc"},
    "qsv": {"h264": "h264_qsv", "h265": "hevc_qsv", "vp9": "vp9_qsv", "av1": "av1_qsv"},
    "amf": {"h264": "h264_amf", "h265": "hevc_amf", "av1": "av1_amf"},
    "vaapi": {"h264": "h264_vaapi", "h265": "hevc_vaapi", "vp9": "vp9_vaapi",
              "av1": "av1_vaapi"},
    "v4l2": {"h264": "h264_v4l2m2m", "h265": "hevc_v4l2m2m"},
}


def _encoder(hardware: str, codec: str) -> str | None:
    return _ENCODERS[hardware].get(codec)


def _on_hardware(encoding: Encoding, hardware: str, encoder: str) -> Way:
    """Each kind has its own word for quality. What decodes is the processor."""
    _, worst = _CRF[encoding.video]
    of_51 = str(max(1, round(encoding.quality * 51 / worst)))
    of_255 = str(max(1, round(encoding.quality * 255 / worst)))
    by_rate = encoding.by_rate
    device: tuple[str, ...] = ()
    ending: tuple[str, ...] = ()
    flags: tuple[str, ...]
    quality: tuple[str, ...]
    # Eight bits: of ten, h264's encoders and older chips know nothing.
    match hardware:
        case "nvenc":
            quality = () if by_rate else ("-cq", of_51, "-b:v", "0")
            flags = ("-preset", "p5", "-rc", "vbr", *quality, "-pix_fmt", "yuv420p")
        case "qsv":
            quality = () if by_rate else ("-global_quality", of_51)
            flags = ("-preset", "medium", *quality, "-pix_fmt", "nv12")
        case "amf":
            steps = of_255 if encoding.video == "av1" else of_51
            quality = ("vbr_peak",) if by_rate else ("cqp", "-qp_i", steps, "-qp_p", steps)
            flags = ("-quality", "balanced", "-rc", *quality, "-pix_fmt", "nv12")
        case "vaapi":
            # VP9 and AV1 count in the 256 steps of their bitstream.
            steps = of_51 if worst == 51 else of_255
            quality = ("VBR",) if by_rate else ("CQP", "-global_quality", steps)
            flags = ("-rc_mode", *quality)
            device = ("-vaapi_device", _DRI)
            ending = ("format=nv12", "hwupload")
        case _:
            # It knows a bitrate alone: half as much for each six steps of quality.
            bits = round(_V4L2_BITS * 2 ** ((_CRF[encoding.video][0] - encoding.quality) / 6))
            flags = ("-b:v", str(bits), "-num_output_buffers", "32", "-num_capture_buffers",
                     "16", "-pix_fmt", "yuv420p")
    return _way(encoding, encoder, flags, ending, device, hardware)
