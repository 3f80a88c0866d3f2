"""Tests of brlib.sidecar: what others put beside finished files, and another daemon's share."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from brlib import sidecar
from brlib.disk import name_new

from .test_sidecar import changed, one


@pytest.mark.parametrize("content", [
    changed(segments=-5), changed(segments=True), changed(segments=10 ** 30),
    changed(segments="7"), changed().replace('"segments": 1', '"segments": 1e999'),
    changed().replace('"duration": 1.0', '"duration": 1e999'), changed(duration=-1.0),
    changed().replace('"missing": 0.0', '"missing": NaN'), changed(title="\ud800"),
    changed(title="x" * 100_000), changed(started_at="0001-01-01T00:00:00+14:00"),
    changed(files=[{"name": "\udcff.mp4", "size": 1}]), changed(listed=False),
    changed(gaps=[{"started_at": "2026-11-01T20:15:30Z", "offset": 1, "duration": 10 ** 400,
                   "segments": 1, "cause": "ad"}]),
])
def test_what_no_store_or_list_could_take(content: str, tmp_path: Path) -> None:
    assert sidecar.parse(changed(), tmp_path) is not None
    assert sidecar.parse(content, tmp_path) is None


def test_what_is_no_file_of_ours_is_left_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.json")
    (tmp_path / "real").write_text(changed())
    (tmp_path / "y.json").symlink_to(tmp_path / "real")
    (tmp_path / "z.json").symlink_to(tmp_path / "nowhere")
    assert sidecar.write(one(tmp_path, "x.mp4")).name == "x.mp4.json"
    for name in ("y", "z"):
        assert sidecar.read(tmp_path / f"{name}.json") is None
        assert sidecar.write(one(tmp_path, f"{name}.mp4")).name == f"{name}.mp4.json"
    assert (tmp_path / "real").read_text() == changed()
    assert (tmp_path / "z.json").is_symlink() and not (tmp_path / "nowhere").exists()


def test_another_users_own_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.json").write_text("private")
    really = os.open

    def refused(path: Any, *args: Any, **options: Any) -> int:
        if Path(path).name == "x.json":
            raise PermissionError(13, "Permission denied")
        return really(path, *args, **options)

    monkeypatch.setattr(os, "open", refused)
    assert sidecar.find_own([str(tmp_path / "x.mp4")], "rec_abc") == []
    assert sidecar.write(one(tmp_path, "x.mp4")).name == "x.mp4.json"


def test_one_that_came_just_now_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another daemon's, between the look and the writing."""
    really = os.link

    def beaten(source: Any, target: Any) -> None:
        Path(target).write_text("another's")
        really(source, target)

    wanted = one(tmp_path, "x.mp4")
    monkeypatch.setattr(os, "link", beaten)
    with pytest.raises(FileExistsError):
        sidecar.write(wanted)
    assert (tmp_path / "x.json").read_text() == "another's"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("there", [False, True])
def test_a_new_name_where_there_are_no_links(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", none)
    (tmp_path / "new").write_text("new")
    if there:
        (tmp_path / "a").write_text("old")
        with pytest.raises(FileExistsError):
            name_new(tmp_path / "new", tmp_path / "a")
    else:
        name_new(tmp_path / "new", tmp_path / "a")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == (
        {"new": "new", "a": "old"} if there else {"a": "new"})


def test_disowned_it_tells_all_and_is_nobodys(tmp_path: Path) -> None:
    path = sidecar.write(one(tmp_path, "x.mp4"))
    before = json.loads(path.read_text("utf-8"))
    sidecar.disown([str(tmp_path / "x.mp4")], "rec_other")
    assert sidecar.read(path) is not None
    sidecar.disown([str(tmp_path / "x.mp4")], "rec_abc")
    assert sidecar.read(path) is None
    assert json.loads(path.read_text("utf-8")) == {**before, "listed": False}
