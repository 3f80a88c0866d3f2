"""Memory that bodies are received in, used again: never under the eyes of who still reads."""

from __future__ import annotations

import io
import random
import threading

import pytest

from brlib.capture import download
from brlib.capture.download import Body
from brlib.capture.rooms import LARGE_BYTES, Rooms


def filled(room: io.BytesIO, mark: int) -> bytes:
    with room.getbuffer() as place:
        place[:] = bytes([mark]) * len(place)
    return room.getvalue()


@pytest.mark.parametrize("sizes", [
    (LARGE_BYTES, LARGE_BYTES), (LARGE_BYTES, 3 * LARGE_BYTES), (3 * LARGE_BYTES, LARGE_BYTES),
    (10 * LARGE_BYTES, LARGE_BYTES, 10 * LARGE_BYTES), (LARGE_BYTES + 1, LARGE_BYTES, LARGE_BYTES),
])
def test_a_room_has_the_size_that_is_asked_for(sizes: tuple[int, ...]) -> None:
    made, begun = Rooms(), []
    for mark, size_bytes in enumerate(sizes):
        room = made.take(size_bytes)
        begun.append(room)
        assert filled(room, mark) == bytes([mark]) * size_bytes
        made.give(room)
    assert all(room is begun[0] for room in begun)


def test_what_was_got_out_of_it_stays_as_it_is() -> None:
    made = Rooms()
    room = made.take(LARGE_BYTES)
    held = filled(room, 1)
    made.give(room)
    for size_bytes in (LARGE_BYTES, 2 * LARGE_BYTES, LARGE_BYTES):
        again = made.take(size_bytes)
        assert again is room and filled(again, 2) == bytes([2]) * size_bytes
        made.give(again)
    assert held == bytes([1]) * LARGE_BYTES


def test_small_bodies_do_not_cut_large_rooms_down() -> None:
    made = Rooms()
    large, small = made.take(LARGE_BYTES), made.take(16)
    made.give(large)
    made.give(small)
    assert made.free_bytes == LARGE_BYTES
    assert made.take(16) not in (large, small)
    assert made.take(LARGE_BYTES) is large


def test_what_is_kept_has_a_bound() -> None:
    made = Rooms(kept_bytes=3 * LARGE_BYTES)
    for room in [made.take(LARGE_BYTES) for _ in range(5)]:
        made.give(room)
    assert made.free_bytes == 3 * LARGE_BYTES
    made.give(made.take(4 * LARGE_BYTES))
    assert made.free_bytes == 2 * LARGE_BYTES


def test_many_threads_each_have_their_own() -> None:
    made, wrong = Rooms(), []

    def receive(seed: int) -> None:
        sizes = random.Random(seed)
        held, had = b"", 0
        for turn in range(200):
            mark = (seed * 31 + turn) % 256
            room = made.take(sizes.randrange(LARGE_BYTES, 2 * LARGE_BYTES))
            got = filled(room, mark)
            made.give(room)
            if held.count(had) != len(held):
                wrong.append((seed, turn))
            held, had = got, mark

    threads = [threading.Thread(target=receive, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_a_body_that_is_released_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Rooms()
    monkeypatch.setattr(download, "ROOMS", made)
    body = download._in_place(len, LARGE_BYTES, lambda _: None)
    assert len(body.content) == LARGE_BYTES and made.free_bytes == 0
    body.release()
    body.release()
    assert body == Body(b"") and made.free_bytes == LARGE_BYTES
