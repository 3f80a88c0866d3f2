"""What FFmpeg's encoders are told: tables, real files of each that runs on a processor, and for
those that need a chip whether FFmpeg knows what it is told (there is no chip to try)."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from brlib import arguments
from brlib.encoding import HARDWARE, VIDEO_CODECS, Encoding, Way, clash, ways

from .media import ts_clips

NEEDS_FFMPEG = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
MUXERS = {"mp4": "mp4", "mkv": "matroska", "ts": "mpegts"}
NAMES = {"h265": "hevc"}
EVEN = "crop=trunc(iw/2)*2:trunc(ih/2)*2"
FPS = 20


def words(text: str) -> arguments.Arguments:
    return arguments.read(text)


@pytest.mark.parametrize(("encoding", "container", "option"), [
    (Encoding(), "mp4", None),
    (Encoding("h265", "aac", 51), "ts", None),
    (Encoding("vp9", "opus", 63, "qsv"), "mkv", None),
    (Encoding("copy", "aac", crf=63, hardware="v4l2"), "ts", None),
    (Encoding("av1", hardware="auto"), "mp4", None),
    (Encoding("copy"), "mp4", "video_codec"),
    (Encoding("vp9"), "ts", "video_codec"),
    (Encoding("av1"), "ts", "video_codec"),
    (Encoding("h264", "opus"), "ts", "audio_codec"),
    (Encoding("copy", "opus"), "ts", "audio_codec"),
    (Encoding("h264", crf=52), "mp4", "crf"),
    (Encoding("h265", crf=52), "mp4", "crf"),
    (Encoding("vp9", crf=64), "mp4", "crf"),
    (Encoding("vp9", hardware="nvenc"), "mp4", "hardware_acceleration"),
    (Encoding("vp9", hardware="amf"), "mp4", "hardware_acceleration"),
    (Encoding("av1", hardware="v4l2"), "mp4", "hardware_acceleration"),
    (Encoding("copy", "aac", arguments=words("-vf hflip")), "mp4", "ffmpeg_arguments"),
    (Encoding("h264", "copy", arguments=words("-af loudnorm")), "mp4", "ffmpeg_arguments"),
    (Encoding("h264", "aac", arguments=words("-vf hflip -af loudnorm")), "mp4", None),
])
def test_clash(encoding: Encoding, container: str, option: str | None) -> None:
    found = clash(encoding, container)
    assert (found and found[0]) == option


SOFTWARE = {"h264": ["libx264"], "h265": ["libx265"], "vp9": ["libvpx-vp9"],
            "av1": ["libsvtav1", "libaom-av1"]}
CHIPS = {
    ("h264", "nvenc"): "h264_nvenc", ("h265", "nvenc"): "hevc_nvenc", ("av1", "nvenc"): "av1_nvenc",
    ("h264", "qsv"): "h264_qsv", ("h265", "qsv"): "hevc_qsv", ("vp9", "qsv"): "vp9_qsv",
    ("av1", "qsv"): "av1_qsv", ("h264", "amf"): "h264_amf", ("h265", "amf"): "hevc_amf",
    ("av1", "amf"): "av1_amf", ("h264", "vaapi"): "h264_vaapi", ("h265", "vaapi"): "hevc_vaapi",
    ("vp9", "vaapi"): "vp9_vaapi", ("av1", "vaapi"): "av1_vaapi",
    ("h264", "v4l2"): "h264_v4l2m2m", ("h265", "v4l2"): "hevc_v4l2m2m",
}


@pytest.mark.parametrize("codec", SOFTWARE)
@pytest.mark.parametrize("hardware", HARDWARE)
def test_the_chip_that_is_wanted_and_then_the_processor(codec: str, hardware: str) -> None:
    wanted = HARDWARE[2:] if hardware == "auto" else (hardware,)
    chips = [CHIPS[codec, one] for one in wanted if (codec, one) in CHIPS]
    found = ways(Encoding(codec, hardware=hardware))
    assert [way.encoder for way in found] == chips + SOFTWARE[codec]
    for way in found:
        assert way.output[:2] == ("-c:v", way.encoder)
        assert (way.hardware is None) == (way.encoder in SOFTWARE[codec])
        assert ("-tag:v" in way.output) == (codec == "h265")


def value(way: Way, name: str) -> str | None:
    """What FFmpeg takes: the last."""
    found = [after for word, after in zip(way.output, way.output[1:], strict=False) if word == name]
    return found[-1] if found else None


# The encoder's word for quality, at the best that can be asked for, as usual, and at the worst.
QUALITY = {
    "libx264": ("-crf", "0", "23", "51"), "libx265": ("-crf", "0", "28", "51"),
    "libvpx-vp9": ("-crf", "0", "31", "63"), "libaom-av1": ("-crf", "0", "35", "63"),
    "libsvtav1": ("-crf", "1", "35", "63"),
    "h264_nvenc": ("-cq", "1", "23", "51"), "hevc_nvenc": ("-cq", "1", "28", "51"),
    "av1_nvenc": ("-cq", "1", "28", "51"),
    "h264_qsv": ("-global_quality", "1", "23", "51"),
    "hevc_qsv": ("-global_quality", "1", "28", "51"),
    "vp9_qsv": ("-global_quality", "1", "25", "51"),
    "av1_qsv": ("-global_quality", "1", "28", "51"),
    "h264_amf": ("-qp_i", "1", "23", "51"), "hevc_amf": ("-qp_p", "1", "28", "51"),
    "av1_amf": ("-qp_i", "1", "142", "255"),
    "h264_vaapi": ("-global_quality", "1", "23", "51"),
    "hevc_vaapi": ("-global_quality", "1", "28", "51"),
    "vp9_vaapi": ("-global_quality", "1", "125", "255"),
    "av1_vaapi": ("-global_quality", "1", "142", "255"),
    "h264_v4l2m2m": ("-b:v", "85526277", "6000000", "236235"),
    "hevc_v4l2m2m": ("-b:v", "152390501", "6000000", "420923"),
}


def test_quality_in_the_words_of_each_encoder() -> None:
    seen = set()
    for codec in SOFTWARE:
        for hardware in ("none", *HARDWARE[2:]):
            for at, crf in enumerate((0, None, 51 if codec in ("h264", "h265") else 63)):
                for way in ways(Encoding(codec, crf=crf, hardware=hardware)):
                    name, *steps = QUALITY[way.encoder]
                    assert value(way, name) == steps[at], (way.encoder, crf)
                    seen.add(way.encoder)
    assert seen == set(QUALITY)


@pytest.mark.parametrize("hardware", ("none", *HARDWARE[2:]))
@pytest.mark.parametrize("codec", SOFTWARE)
def test_a_bitrate_takes_the_place_of_quality(codec: str, hardware: str) -> None:
    for way in ways(Encoding(codec, crf=20, hardware=hardware, arguments=words("-b:v 3M"))):
        assert value(way, "-b:v") == "3M"
        assert not {"-crf", "-cq", "-global_quality", "-qp_i", "CQP", "cqp"} & set(way.output)


@pytest.mark.parametrize(("encoding", "filters", "last"), [
    (Encoding(), f"{EVEN},format=yuv420p", ("-c:a", "copy")),
    (Encoding("h265", "aac"), f"{EVEN},format=yuv420p|yuv420p10le", ("-b:a", "192k")),
    (Encoding("vp9", "opus"), f"{EVEN},format=yuv420p|yuv420p10le",
     ("-af", "aformat=channel_layouts=7.1|5.1|stereo|mono")),
    (Encoding(arguments=words("-vf hflip -preset slow")), f"hflip,{EVEN},format=yuv420p",
     ("-c:a", "copy", "-preset", "slow")),
    (Encoding(arguments=words("-pix_fmt yuv444p")), EVEN, ("-pix_fmt", "yuv444p")),
    (Encoding("h264", "aac", arguments=words("-af volume=2 -g 50")), f"{EVEN},format=yuv420p",
     ("-af", "volume=2", "-g", "50")),
    (Encoding("h264", "opus", arguments=words("-af loudnorm")), f"{EVEN},format=yuv420p",
     ("-ar", "48000", "-af", "loudnorm,aformat=channel_layouts=7.1|5.1|stereo|mono")),
    (Encoding("h264", "aac", None, "vaapi", words("-vf hflip")),
     f"hflip,{EVEN},format=nv12,hwupload", ("-b:a", "192k")),
])
def test_filters_and_a_persons_words_at_the_end(
    encoding: Encoding, filters: str, last: tuple[str, ...]
) -> None:
    way = ways(encoding)[0]
    assert value(way, "-vf") == filters
    assert way.output[-len(last):] == last
    assert way.device == (
        ("-vaapi_device", "/dev/dri/renderD128") if way.hardware == "vaapi" else ())


def test_a_picture_that_is_copied() -> None:
    for hardware in HARDWARE:
        assert ways(Encoding("copy", "aac", 20, hardware, words("-ac 1"))) == [
            Way("copy", ("-c:v", "copy", "-c:a", "aac", "-b:a", "192k", "-ac", "1"))]


def asked(*words: str) -> str:
    run = subprocess.run(["ffmpeg", "-hide_banner", *words], capture_output=True, text=True,
                         timeout=60)
    return run.stdout


@functools.cache
def encoders() -> frozenset[str]:
    return frozenset(re.findall(r"^ [VA]\S{5} (\S+)", asked("-encoders"), re.MULTILINE))


# libavcodec's for all encoders, and ffmpeg's own.
COMMON = {"-c:v", "-c:a", "-b:v", "-fps_mode", "-tag:v", "-max_pixels", "-vf", "-pix_fmt",
          "-global_quality"}


@NEEDS_FFMPEG
@pytest.mark.parametrize(("codec", "hardware"), CHIPS)
@pytest.mark.parametrize("text", ["", "-b:v 3M"])
def test_ffmpeg_knows_what_its_chips_are_told(codec: str, hardware: str, text: str) -> None:
    """Names, ranges and named values; whether a chip does it well nobody can see here."""
    encoder = CHIPS[codec, hardware]
    if encoder not in encoders():
        pytest.skip(f"this ffmpeg has no {encoder}")
    rows = asked("-h", f"encoder={encoder}")
    formats = re.search(r"Supported pixel formats: (.*)", rows)
    for crf in (0, None, 51):
        way = ways(Encoding(codec, crf=crf, hardware=hardware, arguments=words(text)))[0]
        for name, said in zip(way.output[::2], way.output[1::2], strict=True):
            if name == "-pix_fmt" and formats:
                assert said in formats[1].split()
            if name in COMMON:
                continue
            row = re.search(rf"^  {name} +<\w+>.*\n((?: {{5}}.*\n)*)", rows, re.MULTILINE)
            assert row, (encoder, name)
            if said.isdigit():
                low, high = re.findall(r"from (\S+) to ([^\s)]+)", row[0])[0]
                assert float(low) <= float(said) and (
                    high == "INT_MAX" or float(said) <= float(high)), (encoder, name, said)
            else:
                assert re.search(rf"^ {{5}}{said} ", row[1], re.MULTILINE), (encoder, name, said)


@functools.cache
def broadcast(**options: Any) -> bytes:
    return b"".join(clip.body for clip in ts_clips(2, size="96x64", fps=FPS, **options))


def encoded(way: Way, container: str, source: bytes, path: Path) -> dict[str, dict[str, Any]]:
    """The file's streams, by kind, and its form; from MPEG-TS on standard input."""
    subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-y", "-protocol_whitelist", "pipe,file",
         "-f", "mpegts", "-i", "pipe:0", "-map", "0:v?", "-map", "0:a?", *way.output,
         "-f", MUXERS[container], str(path)],
        input=source, check=True, timeout=60, capture_output=True)
    run = subprocess.run(
        ["ffprobe", "-v", "error", "-count_packets", "-show_streams", "-show_format", "-of",
         "json", str(path)], check=True, timeout=60, capture_output=True)
    answer = json.loads(run.stdout)
    return {**{one["codec_type"]: one for one in answer["streams"]}, "format": answer["format"]}


def first(encoding: Encoding) -> Way:
    """On the processor, with an encoder that is there."""
    for way in ways(encoding):
        if way.encoder in {*encoders(), "copy"}:
            return way
    pytest.skip(f"this ffmpeg has no encoder for {encoding.video}")


RUNS = [(codec, encoder, container, audio)
        for codec, several in SOFTWARE.items() for encoder in several
        for container, audio in (("mp4", "opus"), ("mkv", "aac"), ("ts", "copy"))
        if clash(Encoding(codec, audio), container) is None]


@NEEDS_FFMPEG
@pytest.mark.parametrize(("codec", "encoder", "container", "audio"), RUNS)
def test_every_frame_in_every_container(
    tmp_path: Path, codec: str, encoder: str, container: str, audio: str
) -> None:
    missing = {encoder, {"opus": "libopus"}.get(audio, "aac")} - encoders()
    if missing:
        pytest.skip(f"this ffmpeg has no {', '.join(missing)}")
    (way,) = [way for way in ways(Encoding(codec, audio)) if way.encoder == encoder]
    made = encoded(way, container, broadcast(), tmp_path / "made")
    assert made["video"]["codec_name"] == NAMES.get(codec, codec)
    assert made["audio"]["codec_name"] == ("opus" if audio == "opus" else "aac")
    assert int(made["video"]["nb_read_packets"]) == FPS
    assert made["video"]["pix_fmt"] == "yuv420p"
    assert 0.95 <= float(made["format"]["duration"]) <= 1.1
    if (codec, container) == ("h265", "mp4"):
        assert made["video"]["codec_tag_string"] == "hvc1"


@NEEDS_FFMPEG
def test_sound_alone_encoded(tmp_path: Path) -> None:
    made = encoded(first(Encoding("copy", "aac", arguments=words("-ac 1 -ar 44100"))), "mp4",
                   broadcast(), tmp_path / "made")
    assert (made["video"]["codec_name"], int(made["video"]["nb_read_packets"])) == ("h264", FPS)
    assert (made["audio"]["channels"], made["audio"]["sample_rate"]) == (1, "44100")


@NEEDS_FFMPEG
def test_an_odd_size_loses_a_line_and_not_the_file(tmp_path: Path) -> None:
    way = first(Encoding(arguments=words("-vf scale=-1:75")))
    made = encoded(way, "mp4", broadcast(), tmp_path / "made")
    assert (made["video"]["width"], made["video"]["height"]) == (112, 74)
    assert int(made["video"]["nb_read_packets"]) == FPS


@NEEDS_FFMPEG
def test_a_size_that_changes_is_scaled_to_the_first(tmp_path: Path) -> None:
    source = broadcast(audio=False) + b"".join(
        clip.body for clip in ts_clips(2, size="160x90", fps=FPS, audio=False, start_s=1.0))
    made = encoded(first(Encoding("h264", "aac")), "mp4", source, tmp_path / "made")
    assert (made["video"]["width"], made["video"]["height"]) == (96, 64)
    assert int(made["video"]["nb_read_packets"]) == 2 * FPS
    assert set(made) == {"video", "format"}


@NEEDS_FFMPEG
@pytest.mark.parametrize(("codec", "pixels"), [("h264", "yuv420p"), ("h265", "yuv420p10le")])
def test_ten_bits_and_hdr(tmp_path: Path, codec: str, pixels: str) -> None:
    if "libx265" not in encoders():
        pytest.skip("this ffmpeg has no libx265")
    source = subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=96x64:r=20:d=0.5",
         "-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-x265-params", "log-level=none",
         "-preset", "ultrafast", "-color_primaries", "bt2020", "-color_trc", "smpte2084",
         "-colorspace", "bt2020nc", "-f", "mpegts", "-"],
        check=True, timeout=60, capture_output=True).stdout
    video = encoded(first(Encoding(codec)), "mp4", source, tmp_path / "made")["video"]
    assert (video["pix_fmt"], video["color_transfer"], video["color_primaries"]) == (
        pixels, "smpte2084", "bt2020")


def test_every_codec_has_its_row() -> None:
    assert set(VIDEO_CODECS) == {*SOFTWARE, "copy"}
