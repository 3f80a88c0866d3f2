"""Tests of brlib.config.Configuration: changes by PATCH, what they may be and when they hold."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from brlib import config
from brlib.config import OPTIONS, Configuration, Settings, load
from brlib.errors import Invalid, Unavailable

from .configuring import SECRET, TEXT, look, refused, shown_anew, watched


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    path = tmp_path / "config.ini"
    path.write_text(TEXT)
    return path


# What is written reads back.

@pytest.mark.parametrize("name, value, expected, line", [
    ("url_interval", "15m", 900, "url_interval = 15m"),
    ("url_interval", 45, 45, "url_interval = 45"),
    ("url_interval", 2.5, 2.5, "url_interval = 2.5"),
    ("url_interval", 1e2, 100, "url_interval = 100"),
    ("quota", "200G", 200 * 1024 ** 3, "quota = 200G"),
    ("quota", 2 ** 53 + 1, 2 ** 53 + 1, "quota = 9007199254740993"),
    ("public_health", True, True, "public_health = yes"),
    ("public_health", "on", True, "public_health = on"),
    ("trusted_proxies", ["10.0.0.1", "::1"], ["10.0.0.1/32", "::1/128"],
     "trusted_proxies = 10.0.0.1, ::1"),
    ("default_quality", "best", "source", None),
    ("default_quality", "720p", "720p", "default_quality = 720p"),
    ("filename_template", "100%/{title} ;#[x] = é", "100%/{title} ;#[x] = é",
     "filename_template = 100%/{title} ;#[x] = é"),
    ("filename_template", '"{title}"', '"{title}"', 'filename_template = "{title}"'),
    ("jwt_secret", SECRET, "***", f"jwt_secret = {SECRET}"),
    ("port", 1.0, 1, "port = 1  # one"),
    ("port", None, 8080, "#port = 8080  # one"),
    ("host", None, "127.0.0.1", None),
])
def test_values(ini: Path, name: str, value: Any, expected: Any, line: str | None) -> None:
    configuration, changes = watched(ini)
    before = configuration.shown()[name]
    configuration.change({name: value})
    assert configuration.shown()[name] == expected
    assert shown_anew(ini) == configuration.shown()
    assert len(changes) == (before != expected)
    text = ini.read_text()
    assert line in text.splitlines() if line else text == TEXT


def test_directories_are_relative_to_the_file(ini: Path) -> None:
    configuration, _ = watched(ini)
    configuration.change({"output_directory": "films"})
    films = ini.parent / "films"
    assert films.is_dir() and configuration.settings.output_directory == films
    assert configuration.shown()["output_directory"] == str(films)
    assert "output_directory = films\n" in ini.read_text()


def test_what_is_shown_can_be_given_back(ini: Path) -> None:
    ini.write_text("[storage]\nquota = none\nmin_free_space = 1.5G\n[server]\nport = 3\n"
                   "trusted_proxies = ::1\n[auth]\nadmin_password = hunter2\n")
    configuration, changes = watched(ini, BR_HOST="::", BR_QUOTA="none")
    shown = configuration.shown()
    assert set(shown) == set(OPTIONS) and "hunter2" not in json.dumps(shown)
    text = ini.read_text()
    assert configuration.change(json.loads(json.dumps(shown))) == []
    assert ini.read_text() == text and changes == []


def odd_text(chance: random.Random) -> str:
    """A text with what INI files, templates and people make difficult."""
    return "".join(chance.choices(
        ("a", "{title}", " ", "#", ";", "=", ":", "[", "]", "%", '"', "'", ",", "\\", "\t", "\n",
         "\r", "\x00", "\x0b", "\x85", "\u2028", "\ud800", "\ufeff", "é", "𝄞", "none", "*"),
        k=chance.randrange(0, 7)))


def any_value(chance: random.Random) -> Any:
    return chance.choice((
        odd_text(chance), odd_text(chance), odd_text(chance), chance.randrange(-2, 90),
        chance.random() * 1e-6, chance.random() * 10 ** chance.randrange(1, 20), True, None,
        float("inf"), float("nan"), [], ["::1"], ["::1", "10.0.0.0/8"], [odd_text(chance)], {},
        "90s", "2G", "1440p60", "mkv", "debug", "after", SECRET, 10 ** 30, "12",
    ))


def test_whatever_is_accepted_reads_back(
    ini: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The disk has nothing to do with it, and syncs take time.
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr("brlib.config.usable.find_problems", lambda *given: [])
    monkeypatch.setattr("brlib.config.usable.make", lambda *given: None)
    seed = random.randrange(10 ** 9)
    print("seed", seed)
    chance = random.Random(seed)
    accepted = 0
    ini.write_text(config.example())
    configuration, _ = watched(ini)
    for _ in range(2500):
        names = chance.sample(sorted(OPTIONS), chance.choice((1, 1, 2)))
        values = {name: any_value(chance) for name in names}
        before, text = configuration.shown(), ini.read_bytes()
        try:
            configuration.change(values)
        except Invalid as error:
            assert {problem.field for problem in error.problems} <= set(values)
            assert (configuration.shown(), ini.read_bytes()) == (before, text)
            continue
        accepted += 1
        after = configuration.shown()
        assert {n: v for n, v in after.items() if n not in values} == {
            n: v for n, v in before.items() if n not in values}, values
        assert load(ini, {}) == configuration._written, values
        for name in {"host", "admin_username", "ffmpeg_path", "admin_password"} & set(values):
            assert getattr(configuration._written, name) == (
                OPTIONS[name].default if values[name] is None else values[name])
    assert accepted > 200
    configuration.change({name: None for name in OPTIONS})
    assert ini.read_text() == config.example()


# What is refused, all at once, and then nothing has changed.

@pytest.mark.parametrize("name, value, words", [
    ("colour", "red", "is not an option"), ("port", "x", "whole number"), ("port", True, "number"),
    ("port", 80.5, "whole number"), ("port", [1], "number or a text"), ("port", {}, "number"),
    ("public_health", 1, "true or false"), ("host", 5, "a text"), ("host", "", "null gives"),
    ("host", "a\nport = 2", "one line"), ("host", "a\x00", "one line"), ("host", "\ud800", "one"),
    ("host", "a\u2028b", "one line"), ("host", "a\x85b", "one line"), ("host", "a ", "space"),
    ("host", "a #b", "comment"), ("host", "#b", "comment"), ("host", "x" * 5000, "characters"),
    ("trusted_proxies", ["::1, ::2"], "comma"), ("trusted_proxies", [1], "list"),
    ("trusted_proxies", ["x"], "addresses"), ("url_interval", float("nan"), "a time"),
    ("jwt_secret", "hunter2", "32 characters"), ("admin_password", 5, "a text"),
    ("filename_template", "../{title}", "inside"),
])
def test_refused(ini: Path, name: str, value: Any, words: str) -> None:
    configuration, changes = watched(ini)
    assert words in refused(configuration, **{name: value})[name]
    assert (ini.read_text(), changes) == (TEXT, [])


def test_every_problem_is_named_at_once(ini: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    configuration, changes = watched(ini, BR_THREADS="4", BR_ADMIN_PASSWORD_FILE=str(ini))
    found = refused(
        configuration, port="x", colour=1, output_directory=str(tmp_path / "file"), threads=5,
        admin_password="other", container="mkv", jwt_secret="hunter2")
    assert set(found) == {
        "port", "colour", "output_directory", "threads", "admin_password", "jwt_secret"}
    assert "BR_THREADS" in found["threads"]
    assert "BR_ADMIN_PASSWORD_FILE" in found["admin_password"]
    assert "hunter2" not in str(found) and "other" not in str(found)
    assert (ini.read_text(), changes) == (TEXT, [])


@pytest.mark.parametrize("directory, words", [
    ("data/captures", "the data directory"), ("data/captures/x", "the data directory"),
    ("config.ini/x", "cannot be made"), ("config.ini", "must be a directory"),
    ("x" * 300, "cannot be used"), ("loop/x", "cannot be"), ("~nobody-here/x", "home"),
])
def test_directories_that_cannot_be(ini: Path, directory: str, words: str) -> None:
    (ini.parent / "loop").symlink_to("loop")
    configuration, _ = watched(ini)
    assert words in refused(configuration, output_directory=directory)["output_directory"]
    assert not (ini.parent / "data").exists()


def test_captures_may_not_move_to_where_files_are(ini: Path) -> None:
    configuration, _ = watched(ini)
    configuration.change({"output_directory": "new/captures/films"})
    assert "captures" in refused(configuration, data_directory="new")["data_directory"]
    assert configuration.change({"data_directory": "other"}) == ["data_directory"]
    assert "captures" in refused(
        configuration, output_directory="other/captures")["output_directory"]
    assert "captures" in refused(
        configuration, output_directory="data/captures")["output_directory"]


def test_without_a_file_nothing_can_be_changed() -> None:
    configuration = Configuration.fixed(Settings(port=5))
    with pytest.raises(Unavailable):
        configuration.change({"port": 6})
    assert configuration.step() > 0
    assert configuration.settings == Settings(port=5)


# When a change holds.

def test_changes_hold_at_once_or_from_the_next_start_on(ini: Path) -> None:
    configuration, changes = watched(ini)
    running = configuration.settings
    assert configuration.change({"port": 7, "container": "mkv"}) == ["port"]
    assert configuration.settings == replace(running, container="mkv")
    assert configuration.shown()["port"] == 7
    assert changes == [(running, configuration.settings, ["port", "container"])]
    assert configuration.change({"container": "mp4"}) == ["port"]
    assert configuration.change({"port": 1}) == []
    assert ini.read_text().startswith(TEXT)
    configuration.ignore(configuration._listeners[0])
    configuration.change({"port": 2})
    assert len(changes) == 3


def test_a_secret_given_back_hidden_stays(ini: Path) -> None:
    configuration, _ = watched(ini)
    configuration.change({"admin_password": "hunter2"})
    configuration.change({"admin_password": "***", "container": "ts"})
    assert "admin_password = hunter2\n" in ini.read_text()
    assert configuration.settings.admin_password == "hunter2"
    configuration.change({"admin_password": None})
    assert "hunter2" not in ini.read_text()
    assert configuration.shown()["admin_password"] is None


def test_the_environment_stays_above_the_file(ini: Path) -> None:
    configuration, changes = watched(ini, BR_CONTAINER="ts")
    ini.write_text("[processing]\ncontainer = mkv\n")
    look(configuration)
    assert (configuration.settings.container, len(changes)) == ("ts", 1)
    assert changes[0][2] == ["port"]
    configuration.change({"container": "ts", "log_level": "debug"})
    assert "container = mkv\n" in ini.read_text()
    assert shown_anew(ini, BR_CONTAINER="ts") == configuration.shown()
