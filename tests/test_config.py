"""Tests of brlib.config and of the commands that need nothing but it and the store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from brlib import config
from brlib.config import Settings, load
from brlib.errors import ConfigError

from .daemon import ROOT, run_command


def problems(path: Path | None, environ: dict[str, str] | None = None) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {})
    return [(problem.field, problem.message) for problem in caught.value.problems]


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    return tmp_path / "config.ini"


def test_defaults_work_without_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(None, {})
    assert settings == config.anchored(Settings(), tmp_path)
    assert settings.data_directory == tmp_path / "data"


@pytest.mark.parametrize("section, name, text, expected", [
    pytest.param("server", "port", "0", 0, id="port 0"),
    pytest.param("server", "public_health", "Yes", True, id="yes"),
    pytest.param("server", "public_health", "off", False, id="off"),
    pytest.param("storage", "min_free_space", "200G", 200 * 1024 ** 3, id="G"),
    pytest.param("storage", "min_free_space", "1.5 GiB", 3 * 1024 ** 3 // 2, id="GiB"),
    pytest.param("storage", "min_free_space", "2t", 2 * 1024 ** 4, id="t"),
    pytest.param("storage", "min_free_space", "500", 500, id="bytes"),
    pytest.param("storage", "disk_warning_percent", "80%", 80, id="percent"),
    pytest.param("storage", "disk_warning_percent", "80", 80, id="without its sign"),
    pytest.param("storage", "quota", "9007199254740993", 2 ** 53 + 1, id="more than a float knows"),
    pytest.param("storage", "quota", "none", None, id="none"),
    pytest.param("server", "trusted_proxies", "10.1.2.3/8,\n  ::1", ("10.0.0.0/8", "::1/128"),
                 id="more lines"),
    pytest.param("recording", "reconnect_window", "90s", 90.0, id="s"),
    pytest.param("recording", "reconnect_window", "15m", 900.0, id="m"),
    pytest.param("recording", "reconnect_window", "1H", 3600.0, id="H"),
    pytest.param("recording", "reconnect_window", "500ms", 0.5, id="ms"),
    pytest.param("recording", "url_interval", "1d", 86400.0, id="d"),
    pytest.param("recording", "url_interval", "45", 45.0, id="bare seconds"),
    pytest.param("recording", "default_quality", "best", "source", id="alias"),
    pytest.param("recording", "filename_template", "100%/{title}%(x)s", "100%/{title}%(x)s",
                 id="percent signs stay"),
    pytest.param("processing", "ffmpeg_path", "/opt/ff mpeg", "/opt/ff mpeg", id="space"),
    pytest.param("server", "host", "::1  # every one", "::1", id="comment behind"),
    pytest.param("server", "host", "", "127.0.0.1", id="empty is the default"),
])
def test_values(ini: Path, section: str, name: str, text: str, expected: Any) -> None:
    ini.write_text(f"[{section}]\n{name} = {text}\n")
    assert getattr(load(ini, {}), name) == expected


@pytest.mark.parametrize("section, name, text", [
    ("server", "port", "65536"), ("server", "port", "-1"), ("server", "port", "80.0"),
    ("server", "port", "1e3"), ("server", "port", "9" * 5000), ("server", "public_health", "maybe"),
    ("storage", "disk_warning_percent", "0%"), ("storage", "disk_warning_percent", "101"),
    ("storage", "disk_warning_percent", "x%"),
    ("storage", "min_free_space", "-1"), ("storage", "min_free_space", "1X"),
    ("storage", "min_free_space", "9" * 400), ("storage", "data_directory", "~no-such-user/x"),
    ("recording", "reconnect_window", "-1s"), ("recording", "reconnect_window", "61m"),
    ("recording", "reconnect_window", "soon"), ("recording", "url_interval", "0"),
    ("recording", "url_interval", "9" * 400), ("recording", "default_quality", "4k"),
    ("recording", "filename_template", "../{title}"), ("recording", "when_file_exists", "ask"),
    ("recording", "max_concurrent_recordings", "0"), ("processing", "container", "avi"),
    ("logging", "log_level", "INFO"),
])
def test_a_wrong_value_is_named(ini: Path, section: str, name: str, text: str) -> None:
    ini.write_text(f"[{section}]\n{name} = {text}\n")
    ((field, message),) = problems(ini)
    assert field == f"[{section}] {name}"
    assert repr(text) in message


def test_every_problem_is_listed_at_once(ini: Path) -> None:
    ini.write_text(
        "[server]\nport = x\ncolour = red\ncontainer = mp4\n[logging]\nlog_level = loud\n"
        "[nowhere]\nhost = a\n")
    found = problems(ini, {"BR_THREADS": "none", "BR_HOST_FILE": "/no/such/file"})
    assert {field for field, _ in found} == {
        "[server] port", "[server] colour", "[server] container", "[logging] log_level",
        "[nowhere] host", "BR_THREADS threads", "BR_HOST_FILE"}
    messages = dict(found)
    assert "not an option" in messages["[server] colour"]
    assert "[processing]" in messages["[server] container"]
    assert "[server]" in messages["[nowhere] host"]
    with pytest.raises(ConfigError) as caught:
        load(ini, {})
    assert all(line.startswith(str(ini)) for line in str(caught.value).splitlines())


@pytest.mark.parametrize("data, words", [
    pytest.param(b"[server]\nport=1\n[server]\nhost=a\n", "[server] stands twice: in line 1",
                 id="section twice"),
    pytest.param(b"[server]\nport=1\nport=2\n", "port", id="option twice"),
    pytest.param(b"[server]\nPort=1\nport=2\n", "port", id="option twice, spelt apart"),
    pytest.param(b"port = 1\n", "section", id="no section"),
    pytest.param(b"[server]\nport\n", "is neither", id="no value"),
    pytest.param(b"[server]\n= 1\n", "is neither", id="no name"),
    pytest.param(b"[server]\nhost = \xff\xfe\n", "is not UTF-8 at byte 16", id="not UTF-8"),
    pytest.param(b"[DEFAULT]\nport = 1\n", "belongs into [server]", id="DEFAULT"),
])
def test_files_that_cannot_be_read(ini: Path, data: bytes, words: str) -> None:
    ini.write_bytes(data)
    ((_field, message),) = problems(ini)
    assert words in message


@pytest.mark.parametrize("text", [
    "[auth]\njwt_secret = hunter2\n", "[auth]\nadmin_password hunter2\n",
    "[auth]\nadmin_password hunter2=x\n", "[server]\njwt_secret = hunter2\n",
    "[auth]\njwt_secret = h\n  hunter2\n", "admin_password = hunter2\n",
    "[auth]\nadmin_password = a\nadmin_password = hunter2\n",
])
def test_a_problem_holds_no_secret(ini: Path, text: str) -> None:
    ini.write_text(text)
    assert "hunter2" not in str(problems(ini))
    assert "hunter2" not in str(problems(None, {"BR_JWT_SECRET": "hunter2"}))


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    assert "cannot be read" in problems(tmp_path / "none.ini")[0][1]
    assert "cannot be read" in problems(tmp_path)[0][1]


def test_a_byte_order_mark_is_skipped(ini: Path) -> None:
    ini.write_bytes(b"\xef\xbb\xbf[server]\nport = 7\n")
    assert load(ini, {}).port == 7


@pytest.mark.parametrize("environ, expected", [
    pytest.param({}, 1, id="file"),
    pytest.param({"BR_PORT": "2"}, 2, id="environment before the file"),
    pytest.param({"BR_PORT": " 2 "}, 2, id="spaces"),
    pytest.param({"BR_PORT": ""}, 1, id="empty is not there"),
    pytest.param({"BR_PORT_FILE": "{}"}, 3, id="from a file"),
    pytest.param({"BR_PORT": "2", "BR_PORT_FILE": "{}"}, 2, id="the value before the file"),
    pytest.param({"BR_PORT": "", "BR_PORT_FILE": "{}"}, 3, id="empty value, file"),
    pytest.param({"br_port": "2", "PORT": "2"}, 1, id="other names"),
])
def test_environment(
    ini: Path, tmp_path: Path, environ: dict[str, str], expected: int
) -> None:
    ini.write_text("[server]\nport = 1\n")
    (tmp_path / "secret").write_text("3\n")
    environ = {name: value.format(tmp_path / "secret") for name, value in environ.items()}
    assert load(ini, environ).port == expected


def test_a_binary_secret_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xff\xfe")
    ((field, message),) = problems(None, {"BR_HOST_FILE": str(tmp_path / "secret")})
    assert field == "BR_HOST_FILE" and "utf-8" in message


@pytest.mark.parametrize("text, expected", [
    ("rec", "{}/rec"), ("/srv/rec", "/srv/rec"), ("../rec", "{}/../rec"),
])
def test_directories_are_relative_to_the_file(ini: Path, text: str, expected: str) -> None:
    ini.write_text(f"[storage]\noutput_directory = {text}\n")
    settings = load(ini, {})
    assert str(settings.output_directory) == expected.format(ini.parent)
    assert settings.data_directory == ini.parent / "data"
    assert settings.captures_directory == ini.parent / "data" / "captures"


@pytest.mark.parametrize("given, environ, present, expected", [
    ("a.ini", {"BR_CONFIG": "b.ini"}, True, "a.ini"), (None, {"BR_CONFIG": "b.ini"}, True, "b.ini"),
    (None, {}, True, "config.ini"), (None, {}, False, None),
])
def test_find_file(
    monkeypatch: pytest.MonkeyPatch, ini: Path, given: str | None, environ: dict[str, str],
    present: bool, expected: str | None,
) -> None:
    monkeypatch.chdir(ini.parent)
    if present:
        ini.touch()
    assert config.find_file(given, environ) == (Path(expected) if expected else None)


@pytest.mark.parametrize("ffmpeg, ffprobe", [
    ("ffmpeg", "ffprobe"), ("/opt/ffmpeg/bin/ffmpeg", "/opt/ffmpeg/bin/ffprobe"),
    ("./ffmpeg-5", "./ffprobe-5"),
])
def test_ffprobe_is_beside_ffmpeg(ffmpeg: str, ffprobe: str) -> None:
    assert Settings(ffmpeg_path=ffmpeg).ffprobe_path == ffprobe


def test_the_example_uncommented_is_the_defaults(ini: Path) -> None:
    text = re.sub(r"^#(\w+ = )", r"\1", config.example(), flags=re.MULTILINE)
    ini.write_text(text)
    assert load(ini, {}) == config.anchored(Settings(), ini.parent)
    assert set(re.findall(r"^(\w+) = ", text, re.MULTILINE)) == set(config.OPTIONS)
    assert (ROOT / "config.ini.example").read_text() == config.example()


def test_check_config(ini: Path) -> None:
    ini.write_text("[server]\nport = 1\n")
    fine = run_command("check-config", "--config", str(ini))
    assert (fine.returncode, fine.stderr) == (0, "") and str(ini) in fine.stdout
    ini.write_text("[server]\nport = x\n[logging]\nlog_level = y\n")
    wrong = run_command("check-config", BR_CONFIG=str(ini))
    assert wrong.returncode == 2 and wrong.stdout == ""
    assert len(wrong.stderr.splitlines()) == 2


@pytest.mark.parametrize("name", ["output_directory", "archive_directory", "data_directory"])
def test_a_directory_that_is_a_file_is_named(name: str, ini: Path) -> None:
    section = "processing" if name == "archive_directory" else "storage"
    (ini.parent / "file").touch()
    ini.write_text(f"[server]\nport = 0\n[{section}]\n{name} = file\n")
    wrong = run_command("check-config", "--config", str(ini))
    assert wrong.returncode == 2 and f"{name}: must be a directory" in wrong.stderr
    if name == "output_directory":
        served = run_command("serve", "--config", str(ini))
        assert served.returncode != 0 and f"{name} in [storage] cannot be used" in served.stderr


def test_api_key_commands(ini: Path) -> None:
    ini.touch()
    made = run_command("api-key", "create", "a label", "--read", "--config", str(ini))
    key = made.stdout.strip()
    assert made.returncode == 0 and re.fullmatch(r"br_[A-Za-z0-9]{40}", key)
    listed = run_command("api-key", "--config", str(ini), "list")
    assert "a label" in listed.stdout and "read" in listed.stdout and key not in listed.stdout
    number = listed.stdout.split("\t")[0]
    assert run_command("api-key", "revoke", number, "--config", str(ini)).returncode == 0
    again = run_command("api-key", "revoke", number, "--config", str(ini))
    assert again.returncode == 1 and number in again.stderr
    assert run_command("api-key", "list", "--config", str(ini)).stdout == ""


def test_usage_errors_exit_with_2() -> None:
    assert run_command("no-such-command").returncode == 2
