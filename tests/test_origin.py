"""The stand-in origin and the test media do what the other tests rely on them for."""

from __future__ import annotations

import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from Crypto.Cipher import AES
from Crypto.Util.Padding import unpad

from tests.faults import (Cut, Early, Hang, Html, Missing, OldPlaylist, PlaylistError,
                          ServerError, Trickle, every)
from tests.media import Clip, fmp4_clips, stream_kinds, ts_clips, video_frames
from tests.origin import Origin


@pytest.fixture(autouse=True)
def no_leaked_threads() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def clip(i: int, size_bytes: int = 200_000) -> Clip:
    return Clip(f"clip {i} ".encode() * (size_bytes // 8), 0.5, 10)


def get(url: str, wanted: str | None = None) -> bytes:
    headers = {"Range": wanted} if wanted else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as answer:
        body: bytes = answer.read()
        return body


def status(url: str) -> int:
    try:
        get(url)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    return 200


def playlist(origin: Origin) -> list[str]:
    return get(origin.url).decode().splitlines()


def names(origin: Origin) -> list[str]:
    return [line for line in playlist(origin) if not line.startswith("#")]


def decoded_frames(path: Path) -> int:
    command = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0",
               "-show_entries", "stream=nb_read_frames", "-of", "default=nw=1:nk=1", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return int(done.stdout.split()[0])


@pytest.mark.parametrize("codec, kind", [
    ("libx264", "h264"), ("hevc", "hevc"), ("mpeg2video", "mpeg2video")])
def test_clips_join_to_exactly_their_frames(tmp_path: Path, codec: str, kind: str) -> None:
    ts = ts_clips(6, codec=codec, start_s=100.0)
    init, fmp4 = fmp4_clips(6, codec=codec)
    for head, clips in ((b"", ts), (init, fmp4)):
        whole = tmp_path / "whole"
        whole.write_bytes(head + b"".join(clip.body for clip in clips))
        frames = sum(clip.frames for clip in clips)
        assert frames == 60
        assert (video_frames(whole), decoded_frames(whole)) == (frames, frames)
        assert stream_kinds(whole) == [f"{kind} 160x90", "aac"]
        whole.write_bytes(head + clips[3].body)
        assert decoded_frames(whole) == clips[3].frames
    assert ts_clips(6, codec=codec, start_s=100.0) == ts


def test_seeds_and_start_change_every_clip() -> None:
    clips = ts_clips(3) + ts_clips(3, seed="b") + ts_clips(3, start_s=1.5)
    assert len({clip.body for clip in clips}) == 9


def test_window_slides_and_old_segments_expire() -> None:
    with Origin(window=3, first_num=40) as origin:
        for i in range(7):
            item = origin.add(clip(i))
        assert origin.listed() == origin.offered[4:]
        assert names(origin) == [item.name for item in origin.listed()]
        assert "#EXT-X-MEDIA-SEQUENCE:44" in playlist(origin)
        assert [status(f"{origin.base_url}/{old.name}") for old in origin.offered] == \
            [404] + [200] * 6
        assert get(f"{origin.base_url}/{item.name}") == item.body
        assert origin.fetches(item.name) == 2
        assert origin.requests[-1].path == f"/{item.name}"
        origin.end()
        assert playlist(origin)[-1] == "#EXT-X-ENDLIST"


def test_pages_and_variants() -> None:
    with Origin() as origin:
        item = origin.add(clip(0))
        master = get(origin.master_url).decode()
        assert "RESOLUTION=1920x1080,FRAME-RATE=60.000" in master
        assert get(f"{origin.base_url}/720p/live.m3u8") == get(f"{origin.base_url}/moved.m3u8")
        assert get(f"{origin.base_url}/720p/{item.name}") == item.body
        assert "/720p/live.m3u8" in [request.path for request in origin.requests]
        assert b"EXTINF" not in get(f"{origin.base_url}/empty.m3u8")
        assert b"<html>" in get(f"{origin.base_url}/page.html")
        assert status(f"{origin.base_url}/nope/live.m3u8") == 404


def test_keys_rotate_and_decrypt_to_the_offered_body() -> None:
    with Origin(window=0, encrypted=True, program_dates=True) as origin:
        for i in range(7):
            origin.add(clip(i), init=b"init")
        key, num = b"", 0
        for line in playlist(origin):
            if line.startswith("#EXT-X-KEY:METHOD=AES"):
                key = get(f"{origin.base_url}/{line.split(chr(34))[1]}")
            elif not line.startswith("#"):
                cipher = AES.new(key, AES.MODE_CBC, iv=num.to_bytes(16, "big"))
                body = unpad(cipher.decrypt(get(f"{origin.base_url}/{line}")), 16)
                assert body == origin.offered[num].body
                num += 1
        text = "\n".join(playlist(origin))
        assert num == 7
        assert text.count("#EXT-X-KEY") == 2
        assert text.count("#EXT-X-PROGRAM-DATE-TIME") == 7
        assert text.index("#EXT-X-MAP") < text.index("#EXT-X-KEY")


def test_maps_change_and_are_served() -> None:
    with Origin() as origin:
        for i, init in enumerate((b"one", b"one", b"two")):
            origin.add(clip(i), init=init, discontinuity=init == b"two")
        maps = [line.split('"')[1] for line in playlist(origin) if line.startswith("#EXT-X-MAP")]
        assert [get(f"{origin.base_url}/{name}") for name in maps] == [b"one", b"two"]
        assert playlist(origin).count("#EXT-X-DISCONTINUITY") == 1


@pytest.mark.parametrize("encrypted", [False, True])
def test_byte_ranges_lie_where_the_playlist_says(encrypted: bool) -> None:
    with Origin(window=4, byteranges=True, encrypted=encrypted) as origin:
        for i in range(10):
            origin.add(clip(i, 1000 + 100 * i))
        ranges = [line.partition(":")[2] for line in playlist(origin) if "BYTERANGE" in line]
        assert ["@" in text for text in ranges] == [True, False, True, False]
        assert len(set(names(origin))) == 2
        at = 0
        for text, item in zip(ranges, origin.listed()):
            size, _, start = text.partition("@")
            at = int(start) if start else at
            url = f"{origin.base_url}/{item.name}"
            body = get(url, f"bytes={at}-{at + int(size) - 1}")
            assert encrypted or body == item.body
            at += int(size)
        assert {request.status for request in origin.requests if request.range} == {206}
        with pytest.raises(urllib.error.HTTPError, match="416") as caught:
            get(url, f"bytes={at}-")
        caught.value.close()


@pytest.mark.parametrize("reuse_names", [False, True])
def test_numbering_restarts(reuse_names: bool) -> None:
    with Origin(window=3) as origin:
        for i in range(5):
            origin.add(clip(i))
        origin.restart_numbering(2, reuse_names=reuse_names)
        assert names(origin) == []
        new = origin.add(clip(99))
        assert (new.num, new.epoch, new.discontinuity) == (2, 1, True)
        assert (new.name == origin.offered[2].name) is reuse_names
        assert get(f"{origin.base_url}/{new.name}") == new.body
        assert playlist(origin)[-3:] == ["#EXT-X-DISCONTINUITY", "#EXTINF:0.50000,", new.name]
        assert "#EXT-X-MEDIA-SEQUENCE:2" in playlist(origin)
        assert status(f"{origin.base_url}/{origin.offered[4].name}") == 200


def test_answers_spoilt_for_a_number_of_tries() -> None:
    with Origin() as origin:
        urls = [f"{origin.base_url}/{origin.add(clip(i)).name}" for i in range(9)]
        origin.faults += [Missing(every(5), 2), ServerError(every(3), 1, status=502),
                          Html(every(7), 1), Early(every(8), 0.3)]
        assert [status(urls[5]) for _ in range(3)] == [404, 404, 200]
        assert [status(urls[6]) for _ in range(2)] == [502, 200]
        assert b"<html>" in get(urls[7])
        assert get(urls[7]) == origin.offered[7].body
        assert status(urls[8]) == 404
        deadline = time.monotonic() + 3
        while status(urls[8]) == 404:
            assert time.monotonic() < deadline
        assert status(urls[0]) == 200


def test_cut_resets_after_half_the_body() -> None:
    with Origin() as origin:
        item = origin.add(clip(0, 2_000_000))
        origin.faults.append(Cut(lambda num: True, 1))
        url = f"{origin.base_url}/{item.name}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert int(answer.headers["Content-Length"]) == len(item.body)
            assert answer.read(len(item.body) // 2) == item.body[:len(item.body) // 2]
            with pytest.raises(ConnectionResetError):
                answer.read()
        assert get(url) == item.body


def test_slow_answers_wake_at_once_on_stop() -> None:
    def fetch(url: str) -> None:
        with pytest.raises(OSError):
            get(url)

    with Origin() as origin:
        items = [origin.add(clip(i)) for i in range(2)]
        origin.faults += [Hang(lambda num: num == 0, 1, seconds=60),
                          Trickle(lambda num: num == 1, 1, bytes_per_s=100)]
        clients = [threading.Thread(target=fetch, args=(f"{origin.base_url}/{item.name}",))
                   for item in items]
        for client in clients:
            client.start()
        deadline = time.monotonic() + 3
        while len(origin.requests) < 2:
            assert time.monotonic() < deadline
        asked_s = time.monotonic()
    for client in clients:
        client.join(2)
    assert time.monotonic() - asked_s < 1
    assert {request.status for request in origin.requests} == {0, 200}


def test_hang_and_trickle_take_their_time() -> None:
    with Origin() as origin:
        item = origin.add(clip(0, 1000))
        url = f"{origin.base_url}/{item.name}"
        origin.faults += [Hang(lambda num: True, 1, seconds=0.2),
                          Trickle(lambda num: True, 2, bytes_per_s=5000)]
        begun_s = time.monotonic()
        with pytest.raises(ConnectionError):
            get(url)
        assert get(url) == item.body
        assert 0.3 < time.monotonic() - begun_s < 2


def test_playlist_faults_follow_the_clock() -> None:
    with Origin() as origin:
        for i in range(4):
            origin.add(clip(i))
        origin.faults += [OldPlaylist(100, 200, age=3), PlaylistError(200, 300)]
        assert len(names(origin)) == 4
        origin.clock_zero -= 150
        assert names(origin) == [origin.offered[0].name]
        origin.clock_zero -= 100
        assert status(origin.url) == 503
        origin.reset_clock()
        assert status(origin.url) == 200


def test_away_refuses_and_resets_and_comes_back() -> None:
    with Origin() as origin:
        item = origin.add(clip(0, 1_000_000))
        origin.faults.append(Trickle(lambda num: True, 1, bytes_per_s=1000))
        with urllib.request.urlopen(f"{origin.base_url}/{item.name}", timeout=5) as answer:
            answer.read(1)
            origin.go_away()
            with pytest.raises(ConnectionResetError):
                answer.read()
        with pytest.raises(urllib.error.URLError, match="refused"):
            get(origin.url)
        origin.come_back()
        assert status(origin.url) == 200
        origin.away(0.05)
        assert status(origin.url) == 200


def test_playback_runs_in_real_time_with_stalls() -> None:
    with Origin() as origin:
        begun_s = time.monotonic()
        playback = origin.play([clip(i) for i in range(4)], every_s=0.1, stalls={2: 0.3})
        playback.wait(5)
        assert playback.ended_at is not None
        assert 0.6 <= playback.ended_at - begun_s < 1.5
        assert len(origin.offered) == 4
        endless = origin.play((clip(i) for i in range(10**6)), every_s=30.0, then_end=False)
        with pytest.raises(TimeoutError):
            endless.wait(0.05)

        def broken() -> Iterator[Clip]:
            yield clip(0)
            raise ValueError("no more clips")

        with pytest.raises(ValueError, match="no more clips"):
            origin.play(broken(), every_s=0.01).wait(5)


def test_twenty_clients_at_once() -> None:
    got: list[bytes] = []
    with Origin() as origin:
        item = origin.add(clip(0))
        url = f"{origin.base_url}/{item.name}"
        clients = [threading.Thread(target=lambda: got.extend(get(url) for _ in range(10)))
                   for _ in range(20)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(10)
        assert origin.fetches(item.name) == 200
    assert got == [item.body] * 200
