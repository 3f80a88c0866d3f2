"""Tests of brlib.naming: names that ext4, exFAT and SMB take, and paths that stay inside."""

from __future__ import annotations

import random
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import pytest

from brlib.assembly.base import Plan
from brlib.config import Settings
from brlib.models import Recording, RecordingStatus
from brlib.naming import (
    NAME_MAX_BYTES, VARIABLES, cut_bytes, inside, name_of_url, numbered, render, safe_name,
    template_problem, time_values,
)

RESERVED = {"con", "prn", "aux", "nul",
            *(device + number for device in ("com", "lpt") for number in "0123456789¹²³")}
NASTY = [*'abcXYZ09 ._-~/\\:*?"<>|\x00\x01\n\t\x7f\x85', "\u2028", "\u202e", "\ud83d", "\udfff",
         "é", "e\u0301", "\u0301", "😀", "👩‍👧", "中", "..", "CON", "nul.", "Com1", "\ue000", "{", "}"]


@pytest.mark.parametrize("text, expected", [
    pytest.param("Hello World", "Hello World", id="plain"),
    pytest.param("a/b\\c", "a_b_c", id="separators"),
    pytest.param('<>:"|?*', "_______", id="what SMB forbids"),
    pytest.param("line\nnext\tcol", "line next col", id="line break and tab are spaces"),
    pytest.param("a\x00b\x7f\x85", "ab", id="control characters"),
    pytest.param("  a   b  ", "a b", id="spaces"),
    pytest.param("name. . .", "name", id="dots and spaces at the end"),
    pytest.param(".hidden", "hidden", id="dot at the start"),
    pytest.param("..", "untitled", id="parent"),
    pytest.param(".", "untitled", id="here"),
    pytest.param("", "untitled", id="empty"),
    pytest.param("\x00", "untitled", id="NUL alone"),
    pytest.param("\ud800", "untitled", id="lone surrogate alone"),
    pytest.param("a\udcffb", "ab", id="lone surrogate inside"),
    pytest.param("con", "_con", id="reserved"),
    pytest.param("NUL.txt", "_NUL.txt", id="reserved with suffix"),
    pytest.param("aux .mp4", "_aux .mp4", id="reserved, space, suffix"),
    pytest.param("COM7", "_COM7", id="port"),
    pytest.param("LPT²", "_LPT²", id="port with a superscript"),
    pytest.param("conout$", "_conout$", id="the console's output"),
    pytest.param("console", "console", id="begins like a reserved one"),
    pytest.param("com10", "com10", id="no such port"),
    pytest.param("😀 live", "😀 live", id="emoji"),
    pytest.param("e\u0301", "é", id="composed"),
    pytest.param("e\x00\u0301", "é", id="composed across a NUL"),
    pytest.param("\ue000", "untitled", id="private use"),
])
def test_safe_name(text: str, expected: str) -> None:
    assert safe_name(text) == expected


@pytest.mark.parametrize("character", [
    "a", "é", "中", "😀", "👩‍👧", "e\u0301", "👍🏽", "❤️", "🇩🇪",
    "🏴\U000e0067\U000e0062\U000e007f", "👩🏽‍❤️‍👨🏿"])
def test_long_names_are_cut_between_characters(character: str) -> None:
    name = safe_name("x" + character * 400)
    whole = len(unicodedata.normalize("NFC", character).encode())
    assert NAME_MAX_BYTES - whole <= len(name.encode()) <= NAME_MAX_BYTES
    assert len(name.encode()) % whole == 1 % whole
    assert unicodedata.normalize("NFC", "x" + character * 400).startswith(name)


def test_any_text_becomes_a_name(tmp_path: Path) -> None:
    dice = random.Random(1)
    for number in range(3000):
        text = "".join(dice.choices(NASTY, k=dice.randrange(120)))
        name = safe_name(text)
        assert name and not set(name) & set('/\\:*?"<>|'), text
        assert all(unicodedata.category(c) not in ("Cc", "Cs") for c in name), text
        assert name == name.strip(" .") and len(name.encode()) <= NAME_MAX_BYTES, text
        assert name.split(".")[0].strip().casefold() not in RESERVED, text
        assert safe_name(name) == name, text
        if number % 100 == 0:
            (tmp_path / f"{name} (part 12) (99).mp4").touch()


@pytest.mark.parametrize("text, limit, expected", [
    ("abc", 2, "ab"), ("é", 1, ""), ("aé", 2, "a"), ("aé", 3, "aé"), ("\ud800a", 9, "a"),
    ("", 5, ""), ("abc", 0, ""), ("a👩‍👧b", 11, "a"), ("a👩‍👧b", 12, "a👩‍👧"), ("👩‍👧", 8, ""),
    ("a👍🏽", 8, "a"), ("a👍🏽", 9, "a👍🏽"), ("a🇩🇪🇫🇷", 16, "a🇩🇪"), ("a🇩🇪🇫🇷", 17, "a🇩🇪🇫🇷"),
    ("a🇩🇪", 5, "a"), ("a" + "\u0301" * 60, 99, "a" + "\u0301" * 49),
])
def test_cut_bytes(text: str, limit: int, expected: str) -> None:
    assert cut_bytes(text, limit) == expected


@pytest.mark.parametrize("template, words", [
    pytest.param("{channel}/{date}_{title}", None, id="default"),
    pytest.param("{id}", None, id="one variable"),
    pytest.param("{{{title}}}", None, id="braces"),
    pytest.param("a..b/{title}", None, id="dots inside a name"),
    pytest.param("", "must name a file", id="empty"),
    pytest.param("{title}/", "must name a file", id="directory"),
    pytest.param("/{title}", "stay inside", id="absolute"),
    pytest.param("//{title}", "stay inside", id="two slashes"),
    pytest.param("~/{title}", "stay inside", id="home"),
    pytest.param("../{title}", "stay inside", id="parent"),
    pytest.param("{channel}/../../{title}", "stay inside", id="parent inside"),
    pytest.param("{channel}\\{title}", "stay inside", id="backslash"),
    pytest.param("recording", "at least one variable", id="no variable"),
    pytest.param("{{title}}", "at least one variable", id="escaped variable"),
    pytest.param("{nope}", "knows only", id="unknown"),
    pytest.param("{}", "knows only", id="unnamed"),
    pytest.param("{0}", "knows only", id="by position"),
    pytest.param("{title!r}", "knows only", id="conversion"),
    pytest.param("{title:>999999999}", "knows only", id="format"),
    pytest.param("{title.__class__}", "knows only", id="attribute"),
    pytest.param("{title[0]}", "knows only", id="index"),
    pytest.param("{channel/title}", "knows only", id="slash in a variable"),
    pytest.param("{title", "not a template", id="open brace"),
    pytest.param("title}", "not a template", id="closing brace"),
])
def test_template_problem(template: str, words: str | None) -> None:
    problem = template_problem(template)
    assert problem is None if words is None else problem is not None and words in problem


@pytest.mark.parametrize("template, title, expected", [
    pytest.param("{channel}/{date}_{title}", "a/b", "ch/2026-01-02_a_b", id="values add no level"),
    pytest.param("{title}/{id}", "..", "title/r1", id="a value that is a parent"),
    pytest.param("{title}", "", "title", id="empty value: the variable's name"),
    pytest.param("{title}", "{channel}", "{channel}", id="values are no templates"),
    pytest.param(".{title}./{id}", "x", "x/r1", id="dots around a level"),
    pytest.param("{{{title}}}", "x", "{x}", id="braces"),
    pytest.param("CON/{title}", "x", "_CON/x", id="reserved level"),
    pytest.param("./a//{title}", "x", "a/x", id="empty levels"),
])
def test_render(template: str, title: str, expected: str) -> None:
    values = {"channel": "ch", "date": "2026-01-02", "title": title, "id": "r1"}
    assert template_problem(template) is None
    assert str(render(template, values)) == expected


def test_no_template_and_no_value_leaves_the_root(tmp_path: Path) -> None:
    dice = random.Random(2)
    pieces = [*(f"{{{name}}}" for name in VARIABLES), "/", "..", ".", "a", "{{", "}}", " ", "~"]
    tried = 0
    for _ in range(4000):
        template = "".join(dice.choices(pieces, k=dice.randrange(1, 9)))
        if template_problem(template) is None:
            values = {v: "".join(dice.choices(NASTY, k=dice.randrange(60))) for v in VARIABLES}
            path = render(template, values)
            assert inside(tmp_path / path, tmp_path), (template, values)
            assert not path.is_absolute() and ".." not in path.parts
            assert all(len(part.encode()) < 255 - 30 for part in path.parts)
            tried += 1
    assert tried > 500


def test_inside(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "root2"
    root.mkdir()
    other.mkdir()
    (root / "out").symlink_to(other)
    (root / "loop").symlink_to(root / "loop")
    (tmp_path / "alias").symlink_to(root)
    (other / "back").symlink_to(root)
    cases = {
        root / "a.mp4": True, root / "not" / "yet" / "a.mp4": True, tmp_path / "alias" / "a": True,
        other / "back" / "a": True, root: False, tmp_path: False, other / "a": False,
        root / ".." / "a": False, root / "x" / ".." / "a": True, root / "out" / "a": False,
        tmp_path / "alias": False, root / "loop" / "a": False, root / "nul\x00byte": False,
    }
    assert {path: inside(path, root) for path in cases} == cases


@pytest.mark.parametrize("url, expected", [
    ("https://cdn.example/live/show.m3u8?token=secret", "cdn.example_live_show"),
    ("http://user:word@host:8080/a/b/", "host_8080_a_b"),
    ("http://host", "host"),
    ("http://host/A.M3U8", "host_A"),
    ("http://host/%2e%2e/x", "host_%2e%2e_x"),
])
def test_name_of_url(url: str, expected: str) -> None:
    assert name_of_url(url) == expected


def test_time_values_sort_and_have_no_colon() -> None:
    values = time_values(datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC))
    assert values == {"date": "2026-03-04", "time": "05-06-07", "datetime": "2026-03-04_05-06-07"}


@pytest.mark.parametrize("path, expected", [
    ("a/name.mp4", "a/name (2).mp4"), ("name", "name (2)"), ("v1.5 talk.ts", "v1.5 talk (2).ts"),
])
def test_numbered(path: str, expected: str) -> None:
    assert numbered(Path(path), 2) == Path(expected)


@pytest.mark.parametrize("zone, expected", [
    ("Europe/Berlin", "2026-07-02 00-30-00"), ("America/New_York", "2026-07-01 18-30-00"),
    ("UTC", "2026-07-01 22-30-00"),
])
def test_times_are_those_of_the_configured_zone(zone: str, expected: str) -> None:
    recording = Recording(
        id="rec_1", channel_id="ch_1", channel_name="x", platform="url", title="x",
        status=RecordingStatus.PROCESSING,
        started_at=datetime(2026, 7, 1, 22, 30, tzinfo=UTC))
    settings = Settings(filename_template="{date} {time}", timezone=zone)
    assert Plan.of(recording, settings, settings.processing).stem.name == expected
