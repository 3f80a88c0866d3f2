"""Tests of brlib.adoption: what is none of ours, what makes no sense, a store that is full."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from brlib.adoption.finished import search
from brlib.ledger import INDEX
from brlib.mark import kept_mark
from brlib.models import Recording, RecordingStatus
from brlib.store import open_store
from brlib.store.recordings import Recordings

from .adoption_home import RECORDING, Home

IDS = [f"rec_00000000000{number}" for number in range(3)]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    (tmp_path / "data" / "captures").mkdir(parents=True)
    (tmp_path / "recordings").mkdir()
    store = open_store(tmp_path / "data" / "db")
    yield Home(tmp_path, store)
    store.close()


def say(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}))


def test_another_daemons_recordings_stay_its_own(home: Home) -> None:
    """Two of them write to one share; what is listed is deleted when it is old."""
    say(home.finished(IDS[0], "a"), daemon="0123456789abcdef")
    say(home.finished(IDS[1], "b"), daemon=kept_mark(home.root / "data"))
    home.finished(IDS[2], "c")
    home.started(rebuilt=True)
    assert [row.id for row in home.rows()] == [IDS[2], IDS[1]]


def test_a_copy_takes_nobodys_file(home: Home) -> None:
    path = home.finished(IDS[0])
    home.started(rebuilt=True)
    (path.parent / "b.json").write_text(path.read_text("utf-8").replace(IDS[0], IDS[1]), "utf-8")
    home.started(rebuilt=True)
    (row,) = home.rows()
    assert row.id == IDS[0] and len(row.files) == 1


def test_one_that_makes_no_sense_does_not_end_the_search(home: Home) -> None:
    say(home.finished(IDS[0], "x", "a"), bytes=10 ** 400)
    path = home.finished(IDS[1], "x", "b")
    path.write_text(path.read_text("utf-8").replace('"missing": 2.5', '"missing": 1e999'))
    home.finished(IDS[2], "x", "c")
    home.started(rebuilt=True)
    assert [row.id for row in home.rows()] == [IDS[2]]


def test_each_is_a_chance_to_stop(home: Home) -> None:
    for number, recording_id in enumerate(IDS):
        home.finished(recording_id, "x", str(number))
    (home.output / "x" / "other.json").write_text("{}")
    one = home.adoption(rebuilt=True)
    one.prepare()
    steps = 0
    while not one.step():
        steps += 1
    assert steps == 6 and len(home.rows()) == 3, "three, another, two directories"
    assert sum(found is None for found in search([home.output], set())) == 3


def test_what_a_full_store_could_not_take_comes_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.finished(IDS[0])
    one = home.adoption(rebuilt=True)
    one.prepare()
    assert one.step() == 0.0

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Recordings, "add", full)
        for _ in range(2):
            with pytest.raises(sqlite3.OperationalError):
                one.step()
    assert home.rows() == []
    while not one.step():
        continue
    assert [row.id for row in home.rows()] == [IDS[0]]


def test_a_capture_that_the_store_cannot_take_hides_no_other(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a character in its title, and a length that is none."""
    index = home.capture(replace(RECORDING, id=IDS[0])) / INDEX
    index.write_bytes(index.read_bytes().replace(b'%22title%22', b'%d83d').replace(
        b'%0022title%0022', b'%d83d'))
    index = home.capture(replace(RECORDING, id=IDS[1]), ended=True) / INDEX
    text = index.read_bytes()
    at = text.rindex(b"#EXTINF:") + 8
    index.write_bytes(text[:at] + b"1e300" + text[text.index(b",", at):])
    home.capture(replace(RECORDING, id=IDS[2]))
    one = home.started()
    assert [row.id for row in home.rows()] == [IDS[2]]
    assert f"{IDS[0]} cannot be adopted" in caplog.text
    assert any(IDS[1] in problem for problem in one.problems())


def test_a_capture_that_cannot_be_looked_into_stops_no_start(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root cannot be refused: the stand-in for a directory that fails."""
    for recording_id in IDS[:2]:
        home.store.recordings.add(replace(RECORDING, id=recording_id))
    (home.captures / IDS[0]).mkdir()
    really = Path.iterdir

    def failing(path: Path) -> Iterator[Path]:
        if path.name == IDS[0]:
            raise OSError(5, "Input/output error")
        return really(path)

    monkeypatch.setattr(Path, "iterdir", failing)
    home.started()
    assert {row.id: row.status for row in home.rows()} == {
        IDS[0]: RecordingStatus.RECORDING, IDS[1]: RecordingStatus.FAILED}


def test_one_that_could_not_be_taken_up_is_at_the_next_look(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has its row by now: nobody else would ever work at it."""
    home.capture(replace(RECORDING, id=IDS[0]), ended=True)
    home.capture(replace(RECORDING, id=IDS[1]), ended=True)
    one = home.adoption()
    one.prepare()
    one._busy = one._hands.busy
    tried: list[str] = []

    def full(recording: Recording) -> None:
        tried.append(recording.id)
        raise sqlite3.OperationalError("database or disk is full")

    hands, one._hands = one._hands, replace(one._hands, finish=full)
    one.look()
    assert tried == IDS[:2] and len(home.rows()) == 2
    one._hands = hands
    shutil.rmtree(home.captures / IDS[0])
    home.store.recordings.delete(IDS[0])
    one.look()
    one.look()
    assert home.taken_up == [("finish", IDS[1])]
