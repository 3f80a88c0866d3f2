"""Tests of brlib.images: what is kept, what is refused, and that nothing is left behind."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import IO, cast

import pytest

from brlib.errors import (
    ChannelNotFound, ImageNotFound, Invalid, RecorderError, TooLarge, Unavailable,
)
from brlib.images import ImageKind, Images
from brlib.picture import Limits, jpeg_size

from .image_home import WAIT_S, Home, until
from .pictures import BLUE, MOVING, RED, WHITE, gif, made, pixel, png, turned

PROFILE, BANNER = ImageKind.PROFILE, ImageKind.BANNER


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.below(tmp_path)


@pytest.mark.parametrize("kind, size", [(PROFILE, (300, 300)), (BANNER, (1200, 400))])
@pytest.mark.parametrize("data, colour", [
    pytest.param(made("a.png"), RED, id="PNG"),
    pytest.param(made("a.jpg"), RED, id="JPEG"),
    pytest.param(made("a.gif", MOVING), RED, id="animated GIF"),
    pytest.param(made("a.webp", MOVING), RED, id="animated WebP"),
])
def test_every_form_becomes_a_jpeg_of_the_size(
    kind: ImageKind, size: tuple[int, int], data: bytes, colour: tuple[int, int, int], home: Home
) -> None:
    image = home.put(data, kind)
    written = image.path.read_bytes()
    assert jpeg_size(written) == size
    assert image.custom and image.size_bytes == len(written)
    assert image.modified_at.tzinfo is UTC
    assert pixel(image.path, 0.5, 0.5) == colour
    assert home.on_disk() == {f"images/{home.channel.id}/{kind}.custom.jpg"}


@pytest.mark.parametrize("data, left, right", [
    # The middle third of three colours.
    pytest.param(made("w.png", "color=red:s=90x30,drawbox=x=30:w=30:c=white:t=fill,"
                      "trim=end_frame=1"), WHITE, WHITE, id="wide: the middle"),
    pytest.param(made("h.png", "color=red:s=30x90,drawbox=y=30:h=30:c=blue:t=fill,"
                      "trim=end_frame=1"), BLUE, BLUE, id="high: the middle"),
    pytest.param(made("t.png", "color=red:s=64x64,format=rgba,geq=r=255:g=0:b=0:"
                      "a='if(lt(X,32),255,0)',trim=end_frame=1"), RED, WHITE, id="transparent"),
    pytest.param(made("p.png", MOVING, "-f", "apng"), RED, RED, id="animated PNG"),
    pytest.param(png(1, 20000), WHITE, WHITE, id="a line, transparent too"),
])
def test_what_becomes_of_it(
    data: bytes, left: tuple[int, int, int], right: tuple[int, int, int], home: Home
) -> None:
    image = home.put(data)
    assert (pixel(image.path, 0.2, 0.5), pixel(image.path, 0.8, 0.5)) == (left, right)


def test_a_camera_s_turn_is_applied_and_its_notes_are_dropped(home: Home) -> None:
    camera = turned(made("c.jpg", "color=red:s=64x64,drawbox=w=32:c=blue:t=fill,trim=end_frame=1"))
    assert b"GPS" in camera
    image = home.put(camera)
    assert (pixel(image.path, 0.5, 0.2), pixel(image.path, 0.5, 0.8)) == (BLUE, RED)
    written = image.path.read_bytes()
    assert b"Exif" not in written and b"GPS" not in written and b"Lavc" not in written


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
MP4 = made("a.mp4", "color=red:s=64x48:r=10,trim=end_frame=2", "-c:v", "libx264")
TRUNCATED = made("a.png")[:45]
HEADS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\x40\0\0\0WEBP")
NO_IMAGES = {
    "nothing": b"", "one byte": b"\xff", "words": b"no image at all",
    "playlist": PLAYLIST, "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "HTML": b"<!DOCTYPE html><img src=x>", "MP4": MP4,
    "ffconcat": b"ffconcat version 1.0\nfile /etc/passwd\n", "BMP": made("a.bmp"),
    "truncated": TRUNCATED, "head of a WebP": made("a.webp", MOVING)[:40],
    **{f"{name} as {head[:4]!r}": head + body for head in HEADS
       for name, body in (("playlist", PLAYLIST), ("MP4", MP4))},
    **{f"nothing as {head[:4]!r}": head for head in HEADS},
}


@pytest.mark.parametrize("data", NO_IMAGES.values(), ids=NO_IMAGES)
def test_what_is_no_image_is_refused_with_a_sentence(data: bytes, home: Home) -> None:
    refuse(home, data)


def refuse(home: Home, data: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        home.put(data)
    assert refused.value.problems[0].field == "file"
    assert refused.value.problems[0].message in (
        "is not a PNG, JPEG, GIF or WebP image",
        "is damaged, or has more than 40 megapixels")
    assert home.on_disk() == set()


@pytest.mark.parametrize("data", [
    pytest.param(png(16000, 2600), id="PNG"), pytest.param(gif(65535, 65535), id="GIF"),
])
def test_bombs_are_refused(data: bytes, home: Home) -> None:
    assert len(data) < PROFILE.max_bytes
    refuse(home, data)


def test_a_hundred_thousand_frames_are_one(home: Home) -> None:
    assert pixel(home.put(gif(64, 64, frames=100_000)).path, 0.5, 0.5) == RED


def padded(size_bytes: int) -> bytes:
    return made("a.jpg").ljust(size_bytes, b"\0")


@pytest.mark.parametrize("kind, limit_bytes", [(PROFILE, 5 * 1024 ** 2), (BANNER, 10 * 1024 ** 2)])
def test_as_many_bytes_as_are_taken_and_one_more(
    kind: ImageKind, limit_bytes: int, home: Home
) -> None:
    source = io.BytesIO(padded(limit_bytes + 1000))
    with pytest.raises(TooLarge, match=f"at most {limit_bytes // 1024 ** 2} MB"):
        home.images.put(home.channel.id, kind, source)
    assert source.tell() == limit_bytes + 1
    assert home.on_disk() == set()
    home.put(padded(limit_bytes), kind)


class Broken(io.RawIOBase):
    """An upload whose connection breaks."""

    def read(self, size: int = -1) -> bytes:
        raise ConnectionResetError("Connection reset by peer")


def test_an_upload_that_breaks_off_leaves_nothing(home: Home) -> None:
    with pytest.raises(Unavailable, match="cannot be stored"):
        home.images.put(home.channel.id, PROFILE, cast(IO[bytes], Broken()))
    assert home.on_disk() == set()


@pytest.mark.parametrize("script, limits, error, says", [
    ("kill -9 $$", Limits(), Unavailable, "interrupted"),
    ("kill -SEGV $$", Limits(), Invalid, "damaged"),
    ("while :; do :; done", Limits(cpu_max_s=1), Invalid, "damaged"),
    ('for last; do :; done; echo image > "${last#file:}"', Limits(), Invalid, "damaged"),
    ("echo /secret/path; exit 1", Limits(), Invalid, "damaged"),
    ("exit 0", Limits(), Invalid, "damaged"),
    ("exec /nowhere/ffmpeg", Limits(), Unavailable, "cannot be started"),
    ("exec sleep 100", Limits(deadline_s=0.2), Unavailable, "too long"),
    ("exec python3 -c 'bytearray(200_000_000)'", Limits(memory_max_bytes=100_000_000), Invalid,
     "damaged"),
])
def test_a_converter_that_fails(
    script: str, limits: Limits, error: type[RecorderError], says: str, home: Home
) -> None:
    home.program(script)
    home.images = home.make(limits)
    with pytest.raises(error, match=says) as failed:
        home.put(made("a.png"))
    assert "secret" not in str(failed.value)
    assert home.on_disk() == set()


def test_without_ffmpeg_nothing_is_converted(home: Home) -> None:
    home.settings = replace(home.settings, ffmpeg_path="/nowhere/ffmpeg")
    with pytest.raises(Unavailable, match="FFmpeg is missing"):
        home.put(made("a.png"))
    assert home.on_disk() == set()


@pytest.mark.parametrize("channel_id", [
    "", ".", "..", "ch_../../../etc", "../ch_aaaaaaaaaaaa", "ch_aaaaaaaaaaaa/..", "/etc/passwd",
    "ch_aaaaaaaaaaa", "ch_aaaaaaaaaaaaa", "ch_aaaaaaaaaaaA", "ch_aaaaaaaaaaaa\n", "ch_aaaaaaaaa\0a",
    "rec_aaaaaaaaaaaa", "ch_aaaaaaaaaaé", "work",
])
def test_an_id_that_is_none_never_becomes_a_path(channel_id: str, home: Home) -> None:
    beside = home.settings.data_directory / "images" / "work" / "profile.custom.jpg"
    beside.parent.mkdir(parents=True)
    beside.touch()
    assert home.images.find(channel_id, PROFILE) is None
    home.images.forget(channel_id)
    with pytest.raises(ImageNotFound):
        home.images.remove(channel_id, PROFILE)
    with pytest.raises(ChannelNotFound):
        home.images.put(channel_id, PROFILE, io.BytesIO(made("a.png")))
    assert home.on_disk() == {"images/work/profile.custom.jpg"}


def test_put_again_and_remove(home: Home) -> None:
    first = home.put(made("a.png"))
    second = home.put(made("b.png", "color=blue:s=64x48,trim=end_frame=1"))
    assert first.path == second.path
    assert first.etag[:8] != second.etag[:8]
    assert home.kept() == second
    assert pixel(second.path, 0.5, 0.5) == BLUE
    home.images.remove(home.channel.id, PROFILE)
    assert home.images.find(home.channel.id, PROFILE) is None
    with pytest.raises(ImageNotFound):
        home.images.remove(home.channel.id, PROFILE)


def test_uploads_at_once_leave_one_whole_image(home: Home) -> None:
    colours = [made(f"{name}.png", f"color={name}:s=64x48,trim=end_frame=1")
               for name in ("red", "blue", "white")]
    threads = [threading.Thread(target=home.put, args=(data,)) for data in colours * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    image = home.kept()
    assert jpeg_size(image.path.read_bytes()) == (300, 300)
    assert pixel(image.path, 0.5, 0.5) in (RED, BLUE, WHITE)
    assert home.on_disk() == {f"images/{home.channel.id}/profile.custom.jpg"}


@pytest.fixture
def busy(home: Home) -> Iterator[Images]:
    """Images whose two places are taken by converters that take their time."""
    started = home.settings.data_directory.parent / "started"
    home.program(f"echo >> '{started}'; exec sleep 100")
    images = home.images = home.make(Limits(turn_max_s=0.05))
    outcomes: list[RecorderError] = []

    def put() -> None:
        with pytest.raises(Unavailable) as stopped:
            home.put(made("a.png"))
        outcomes.append(stopped.value)

    threads = [threading.Thread(target=put) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: started.exists() and started.stat().st_size == 2)
    yield images
    images.stop()
    for thread in threads:
        thread.join(WAIT_S)
    assert [str(o) for o in outcomes] == [
        "The conversion of the image was interrupted: try again"] * 2
    assert home.on_disk() == set()


def test_two_at_a_time_and_the_others_do_not_wait_for_ever(home: Home, busy: Images) -> None:
    with pytest.raises(Unavailable, match="Other images are being converted"):
        home.put(made("a.png"))


def test_who_waits_when_it_stops_hears_so(home: Home, busy: Images) -> None:
    busy.stop()
    busy.stop()
    with pytest.raises(Unavailable, match="stopping"):
        home.put(made("a.png"))


def test_what_a_crash_left_is_removed_at_the_start(home: Home) -> None:
    home.put(made("a.png"))
    left = home.settings.data_directory / "images" / "work" / "tmpx"
    left.mkdir()
    (left / "source").write_bytes(b"half")
    home.images.start()
    home.images.stop()
    assert home.images.join(WAIT_S)
    assert home.on_disk() == {f"images/{home.channel.id}/profile.custom.jpg"}


def test_forget_takes_everything_and_lets_nothing_back(home: Home) -> None:
    home.put(made("a.png"))
    home.put(made("a.png"), BANNER)
    started, go_on = (home.settings.data_directory.parent / name for name in ("started", "go"))
    home.program(f"echo > '{started}'; while [ ! -e '{go_on}' ]; do sleep 0.02; done; "
                 'exec ffmpeg "$@"')

    def put() -> None:
        with pytest.raises(ChannelNotFound):
            home.put(made("a.png"))

    thread = threading.Thread(target=put)
    thread.start()
    until(started.exists)
    home.known.clear()
    home.images.forget(home.channel.id)
    home.images.forget(home.channel.id)
    go_on.touch()
    thread.join(WAIT_S)
    assert home.on_disk() == set()
