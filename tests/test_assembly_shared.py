"""Tests of brlib.assembly.place where several programs name files, and one file has two names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from brlib.assembly.base import AssemblyFailed
from brlib.assembly.place import files_left

from .test_assembly_place import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def beaten_at(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Another daemon takes these names right before they are given."""
    really, left = os.link, list(names)

    def link(source: Any, target: Any) -> None:
        if Path(target).name in left:
            left.remove(Path(target).name)
            Path(target).write_text("another daemon's")
        really(source, target)

    monkeypatch.setattr(os, "link", link)


def test_a_name_that_is_taken_just_now(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    beaten_at(monkeypatch, "a (part 1).mp4", "a (part 2).mp4", "a (part 2) (2).mp4")
    with home.store() as store:
        home.add(store, "rec_a", "b.mp4")
        named = home.place(store, "a (part 1).mp4", "a (part 2).mp4")
    assert named == ("a (part 1) (2).mp4", "a (part 2) (3).mp4")
    assert home.left() == {
        "a (part 1).mp4": "another daemon's", "a (part 2).mp4": "another daemon's",
        "a (part 2) (2).mp4": "another daemon's", "a (part 1) (2).mp4": "new 0",
        "a (part 2) (3).mp4": "new 1", "a (part 1) (2).json": ""}


def test_one_that_was_ours_and_was_deleted_and_taken(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row still names it: it is another's all the same, and stays."""
    beaten_at(monkeypatch, "a.mp4")
    with home.store() as store:
        home.add(store, "rec_a", "a.mp4")
        (home.out / "a.mp4").unlink()
        assert home.place(store, "a.mp4") == ("a (2).mp4",)
    assert home.left() == {
        "a.mp4": "another daemon's", "a (2).mp4": "new 0", "a (2).json": ""}


@pytest.mark.parametrize("when_exists, left", [
    ("skip", {"a.mp4": "another daemon's"}),
    ("overwrite", {"a.mp4": "new 0", "a.json": ""}),
])
def test_then_it_is_as_the_settings_say(
    when_exists: str, left: dict[str, str], home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.when_exists = when_exists
    beaten_at(monkeypatch, "a.mp4")
    with home.store() as store:
        home.add(store, "rec_a")
        if when_exists == "skip":
            with pytest.raises(AssemblyFailed) as caught:
                home.place(store, "a.mp4")
            assert caught.value.hopeless
            assert store.recordings.get("rec_a").files == ()
        else:
            assert home.place(store, "a.mp4") == ("a.mp4",)
    assert home.left() == left


@pytest.mark.parametrize("alias", ["folder", "file"])
def test_the_old_name_may_be_the_new_file(alias: str, home: Home) -> None:
    """A link among the directories, or as on a share that knows no case: what was named last
    must not be removed as the old one."""
    home.when_exists = "overwrite"
    with home.store() as store:
        home.add(store, "rec_a", "a.mp4")
        old = home.directory / "same" / "a.mp4" if alias == "folder" else home.out / "A.mp4"
        if alias == "folder":
            old.parent.symlink_to(home.out)
        else:
            old.symlink_to(home.out / "a.mp4")
        store.recordings.change("rec_a", files=(str(old),))
        assert home.place(store, "a.mp4") == ("a.mp4",)
    assert home.left()["a.mp4"] == "new 0" and "a.json" in home.left()


def test_a_disk_that_fails_does_not_say_which_files_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").touch()
    names = (str(tmp_path / "a"), str(tmp_path / "b"))
    assert files_left(names, tmp_path) == names[:1]
    assert files_left(names, tmp_path / "away") == names

    def stale(*_: object, **__: object) -> bool:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(Path, "is_dir", stale)
    assert files_left(names, tmp_path) == names
