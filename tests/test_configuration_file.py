"""Tests of brlib.config.Configuration and its file: how it is rewritten, and edits by hand."""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from brlib import config
from brlib.config import Configuration
from brlib.config.file import ConfigFile
from brlib.errors import ConfigError, Conflict, Unavailable

from .configuring import SECRET, TEXT, look, refused, shown_anew, watched


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    path = tmp_path / "config.ini"
    path.write_text(TEXT)
    return path


# How the file is written.

def test_the_file_stays_what_it_is(tmp_path: Path) -> None:
    real = tmp_path / "etc" / "real.ini"
    real.parent.mkdir()
    real.write_bytes(b"\xef\xbb\xbf[server]\r\nport = 1\r\n")
    real.chmod(0o640)
    link = tmp_path / "config.ini"
    link.symlink_to("etc/real.ini")
    configuration, _ = watched(link)
    inode = real.stat().st_ino
    configuration.change({"port": 2, "log_level": "debug"})
    assert real.read_bytes() == (
        b"\xef\xbb\xbf[server]\r\nport = 2\r\n\r\n[logging]\r\nlog_level = debug\r\n")
    assert link.is_symlink() and real.stat().st_ino != inode
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert [path.name for path in real.parent.iterdir()] == ["real.ini"]
    assert configuration.settings.output_directory == tmp_path / "recordings"


def test_attributes_stay(ini: Path) -> None:
    try:
        os.setxattr(ini, "user.note", b"ours")
    except OSError:
        pytest.skip("this file system has no attributes")
    watched(ini)[0].change({"port": 2})
    assert os.getxattr(ini, "user.note") == b"ours"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_stays(ini: Path) -> None:
    os.chown(ini, 1234, 2345)
    watched(ini)[0].change({"port": 2})
    assert (ini.stat().st_uid, ini.stat().st_gid) == (1234, 2345)


def failing(number: int) -> Callable[..., None]:
    def fail(*given: object, **more: object) -> None:
        raise OSError(number, os.strerror(number))
    return fail


@pytest.mark.parametrize("name, number", [
    ("os.replace", errno.EBUSY), ("tempfile.mkstemp", errno.EROFS), ("os.fsync", errno.ENOSPC),
    ("shutil.copystat", errno.EPERM),
])
def test_a_file_that_cannot_be_written(
    ini: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    configuration, changes = watched(ini)
    monkeypatch.setattr(name, failing(number))
    with pytest.raises(Unavailable, match=os.strerror(number)) as caught:
        configuration.change({"container": "mkv"})
    assert "by hand" in str(caught.value)
    monkeypatch.undo()
    assert [path.name for path in ini.parent.iterdir()] == ["config.ini"]
    assert (ini.read_text(), changes, configuration.settings.container) == (TEXT, [], "mp4")
    configuration.change({"container": "mkv"})
    assert configuration.settings.container == "mkv"


def test_an_output_directory_that_cannot_be_made(
    ini: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration, _ = watched(ini)
    monkeypatch.setattr(Path, "mkdir", failing(errno.EROFS))
    assert "Read-only" in refused(configuration, output_directory="x")["output_directory"]
    ini.write_text("[storage]\noutput_directory = y\n")
    look(configuration)
    assert configuration.settings.output_directory == ini.parent / "recordings"


def test_a_file_is_made_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    configuration, changes = watched(config.find_file(None, {}))
    look(configuration)
    configuration.change({"log_level": "debug"})
    path = tmp_path / "config.ini"
    assert path.read_text() == config.example().replace("#log_level = info", "log_level = debug")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert config.find_file(None, {}) and shown_anew(path) == configuration.shown()
    path.write_text("[logging]\nlog_level = error\n")
    look(configuration)
    assert [names for _, _, names in changes] == [["log_level"]] * 2
    path.unlink()
    with pytest.raises(Conflict):
        configuration.change({"log_level": "debug"})


def test_changes_at_the_same_time(ini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    configuration, changes = watched(ini)
    names = ["port", "threads", "max_websockets", "min_password_length", "quota", "min_free_space"]

    def change(name: str) -> None:
        for value in range(10, 30):
            configuration.change({name: value})

    threads = [threading.Thread(target=change, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        configuration.step()
    for thread in threads:
        thread.join()
    assert {name: configuration.shown()[name] for name in names} == dict.fromkeys(names, 29)
    assert shown_anew(ini) == configuration.shown()
    assert len(changes) == len(names) * 20


def test_an_edit_at_the_same_moment_is_not_lost(
    ini: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration, changes = watched(ini)
    read = ConfigFile.read

    def and_then_edited(file: ConfigFile) -> Any:
        found = read(file)
        ini.write_text("[server]\nport = 9\n")
        return found

    monkeypatch.setattr(ConfigFile, "read", and_then_edited)
    with pytest.raises(Conflict, match="same moment"):
        configuration.change({"container": "mkv"})
    assert (ini.read_text(), changes) == ("[server]\nport = 9\n", [])


# Changes by hand.

def test_an_edit_is_noticed_within_two_seconds(ini: Path) -> None:
    configuration, changes = watched(ini)
    running = configuration.settings
    assert look(configuration) < 2.0 and changes == []
    ini.write_text("[processing]\ncontainer = mkv\n")
    waited_s = configuration.step()
    assert changes == []
    assert 1.0 + waited_s < 2.0
    configuration.step()
    assert changes == [(running, configuration.settings, ["port", "container"])]
    assert configuration.restart_required == ["port"]
    look(configuration)
    assert len(changes) == 1


def test_a_file_still_being_written_is_waited_for(ini: Path) -> None:
    configuration, changes = watched(ini)
    for text in ("", "[processing]\n", "[processing]\ncontainer = mkv\n"):
        ini.write_text(text)
        configuration.step()
        assert changes == []
    configuration.step()
    assert len(changes) == 1


def test_an_edit_not_yet_noticed_is_not_lost(ini: Path) -> None:
    configuration, changes = watched(ini)
    ini.write_text("[processing]\ncontainer = mkv  # mine\n")
    configuration.change({"log_level": "debug"})
    assert configuration.settings.container == "mkv" and "# mine" in ini.read_text()
    look(configuration)
    assert [names for _, _, names in changes] == [["port", "container", "log_level"]]


def test_its_own_change_is_not_an_edit(ini: Path) -> None:
    configuration, changes = watched(ini)
    configuration.change({"log_level": "debug"})
    look(configuration)
    assert len(changes) == 1


@pytest.mark.parametrize("text, words", [
    ("[server]\nport = x\n[auth]\njwt_secret = hunter2\n[a]\nb = c\n",
     ["[server] port 'x' must be", "jwt_secret must have", "[a] b is not an option"]),
    ("[auth]\nadmin_password hunter2\n", ["line 2 is neither"]),
    ("[storage]\noutput_directory = data/captures/x\n", ["output_directory would put"]),
    ("[server]\nhost = \udcff\n", ["is not UTF-8"]),
])
def test_a_broken_edit_is_refused_once(
    ini: Path, caplog: pytest.LogCaptureFixture, text: str, words: list[str]
) -> None:
    configuration, changes = watched(ini)
    running = configuration.settings
    ini.write_bytes(text.encode("utf-8", "surrogateescape"))
    look(configuration)
    look(configuration)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR and str(ini) in record.getMessage()
    assert all(word in record.getMessage() for word in words)
    with pytest.raises(Conflict) as caught:
        configuration.change({"container": "mkv"})
    assert words[0] in str(caught.value)
    assert "hunter2" not in str(caught.value) + caplog.text
    assert (configuration.settings, changes) == (running, [])
    ini.write_text(TEXT.replace("#url_interval = 30s", "url_interval = 5s"))
    look(configuration)
    assert configuration.settings.url_interval == 5.0


def test_a_change_may_put_an_edit_right(ini: Path) -> None:
    configuration, _ = watched(ini)
    ini.write_text("[storage]\noutput_directory = data/captures/x\n")
    look(configuration)
    configuration.change({"output_directory": "films"})
    assert configuration.settings.output_directory == ini.parent / "films"


def test_a_file_that_is_gone(ini: Path, caplog: pytest.LogCaptureFixture) -> None:
    configuration, changes = watched(ini)
    running = configuration.settings
    ini.unlink()
    look(configuration)
    look(configuration)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    with pytest.raises(Conflict):
        configuration.change({"container": "mkv"})
    assert (configuration.settings, changes) == (running, [])
    ini.write_text(TEXT + "[processing]\ncontainer = ts\n")
    look(configuration)
    assert [names for _, _, names in changes] == [["container"]]


def test_no_secret_is_logged(ini: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    configuration, _ = watched(ini)
    configuration.change({"admin_password": "hunter2", "jwt_secret": SECRET})
    ini.write_text(f"[auth]\nadmin_password = hunter2{SECRET}\n")
    look(configuration)
    assert "admin_password" in caplog.text
    assert "hunter2" not in caplog.text and SECRET not in caplog.text
    assert "hunter2" not in repr(configuration.settings)


def test_a_broken_file_stops_the_start(ini: Path) -> None:
    ini.write_text("[server]\nport = x\n")
    with pytest.raises(ConfigError):
        Configuration(ini, {})
