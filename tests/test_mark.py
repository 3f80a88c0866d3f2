"""Tests of brlib.mark: one for each data directory, for good."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from brlib.mark import FILE, kept_mark


def test_it_is_made_once(tmp_path: Path) -> None:
    first = kept_mark(tmp_path)
    assert first is not None and kept_mark(tmp_path) == first
    (tmp_path / "other").mkdir()
    assert kept_mark(tmp_path / "other") not in (None, first)
    assert os.listdir(tmp_path / "other") == [FILE]


@pytest.mark.parametrize("content", [b"", b"x\n", b"\xff", b"0" * 17])
def test_what_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert kept_mark(tmp_path) is None


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert kept_mark(tmp_path) is None
    assert os.listdir(tmp_path) == []
    assert kept_mark(tmp_path) is not None


def test_another_process_made_it_just_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def beaten(source: Path, target: Path) -> None:
        target.write_text("0123456789abcdef\n")
        raise FileExistsError(17, "File exists")

    monkeypatch.setattr(os, "link", beaten)
    assert kept_mark(tmp_path) == "0123456789abcdef"
    assert os.listdir(tmp_path) == [FILE]
