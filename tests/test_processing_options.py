"""The options of processing: in the file, through the API of a real daemon, and of a channel."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brlib.config import load
from brlib.errors import ConfigError
from brlib.processing import NAMES

from .configuring import TEXT, look, refused, watched
from .daemon import Daemon
from .test_api import refused as refused_answer

ENCODED = {"processing_mode": "reencode", "container": "mkv", "video_codec": "vp9", "crf": 40,
           "audio_codec": "opus", "ffmpeg_arguments": "-cpu-used 6 -vf scale=-2:720"}
# Lines of [processing]; what [storage] says; the option that is named, and what is said of it.
WRONG = [
    ("processing_mode = remux", "processing_mode", "one of copy, concatenate, reencode"),
    ("capture_after = burn", "capture_after", "one of delete, keep, archive"),
    ("video_codec = h266", "video_codec", "one of h264"),
    ("audio_codec = mp3", "audio_codec", "one of copy"),
    ("crf = 64", "crf", "from 0 to 63"), ("crf = 1.5", "crf", "from 0 to 63"),
    ("hardware_acceleration = cuda", "hardware_acceleration", "one of none"),
    ("ffmpeg_arguments = -i /etc/passwd", "ffmpeg_arguments", "'-i' is none of the options"),
    ("ffmpeg_arguments = out.mp4", "ffmpeg_arguments", "may name no file"),
    ("capture_after = archive", "capture_after", "archive needs an archive_directory"),
    ("archive_directory = data/captures", "archive_directory", "inside the data directory"),
    ("archive_directory = data/captures/x", "archive_directory", "inside the data directory"),
    ("archive_directory = films/../data/viewing", "archive_directory", "inside the data"),
    ("archive_directory = data", "archive_directory", "inside the data directory"),
    ("processing_mode = reencode\nvideo_codec = copy", "video_codec", "reencode needs"),
    ("processing_mode = reencode\nvideo_codec = av1\ncontainer = ts", "video_codec", "av1 does"),
    ("processing_mode = reencode\ncontainer = ts\naudio_codec = opus", "audio_codec", "opus does"),
    ("processing_mode = reencode\ncrf = 52", "crf", "from 0 to 51 with h264"),
    ("processing_mode = reencode\nhardware_acceleration = amf\nvideo_codec = vp9",
     "hardware_acceleration", "amf has no encoder for vp9"),
    ("processing_mode = reencode\nffmpeg_arguments = -af volume=2", "ffmpeg_arguments",
     "sound that is copied"),
]


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    path = tmp_path / "config.ini"
    path.write_text(TEXT)
    return path


def asked(lines: str) -> dict[str, str]:
    """What the API would be sent for the same."""
    return dict(line.split(" = ", 1) for line in lines.splitlines())


@pytest.mark.parametrize("lines, name, says", WRONG)
def test_refused_in_the_file_and_by_the_api(ini: Path, lines: str, name: str, says: str) -> None:
    configuration, changes = watched(ini)
    found = refused(configuration, **asked(lines))
    assert list(found) == [name] and says in found[name]
    assert (ini.read_text(), changes) == (TEXT, [])
    ini.write_text(f"{TEXT}[processing]\n{lines}\n")
    look(configuration)
    assert changes == []
    with pytest.raises(ConfigError) as caught:
        load(ini, {})
    ((field, message),) = [(one.field, one.message) for one in caught.value.problems]
    assert field == f"[processing] {name}" and says in message


def test_what_goes_together_is_taken(ini: Path) -> None:
    configuration, _ = watched(ini)
    configuration.change({**ENCODED, "capture_after": "archive", "archive_directory": "archive"})
    settings = configuration.settings
    assert settings == load(ini, {})
    assert settings.archive_directory == ini.parent / "archive"
    # It holds at once, and so it is there at once.
    assert (ini.parent / "archive").is_dir()
    assert settings.processing.encoding.quality == 40
    assert settings.processing.encoding.arguments.picture == "scale=-2:720"
    # Of what goes together only by another option that one cannot be taken away.
    assert "needs" in refused(configuration, archive_directory=None)["capture_after"]
    assert "ts" in refused(configuration, container="ts")["video_codec"]
    configuration.change({name: None for name in (*ENCODED, "capture_after", "archive_directory")})
    assert configuration.settings.processing == load(None, {}).processing
    assert configuration.settings.archive_directory is None


def test_a_clash_is_the_request_s_whichever_option_it_names(ini: Path) -> None:
    configuration, _ = watched(ini)
    assert "when it starts" in refused(configuration, schedule_end="00:00")["schedule_end"]
    configuration.change({"schedule_end": "18:00"})
    assert "when it starts" in refused(configuration, schedule_start="18:00")["schedule_end"]


@pytest.mark.parametrize("directory, says", [
    ("config.ini", "must be a directory"), ("config.ini/x", "cannot be made"),
    ("x" * 300, "cannot be used"), ("link", "inside the data directory"),
    ("link/x", "inside the data directory"), ("~nobody-here/x", "home"), ("", "null gives"),
])
def test_archives_that_cannot_be(ini: Path, directory: str, says: str) -> None:
    (ini.parent / "data").mkdir()
    (ini.parent / "link").symlink_to("data")
    configuration, _ = watched(ini)
    assert says in refused(configuration, archive_directory=directory)["archive_directory"]


def test_data_may_not_move_to_where_the_archive_is(ini: Path) -> None:
    configuration, _ = watched(ini)
    configuration.change({"archive_directory": "old/captures"})
    assert "inside" in refused(configuration, data_directory="old")["archive_directory"]
    (ini.parent / "link").symlink_to("old")
    assert "inside" in refused(configuration, data_directory="link")["data_directory"]
    configuration.change({"data_directory": "other"})


def test_an_archive_that_cannot_be_made(ini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object, **more: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    configuration, changes = watched(ini)
    monkeypatch.setattr(Path, "mkdir", fail)
    assert "Read-only" in refused(configuration, archive_directory="x")["archive_directory"]
    ini.write_text("[processing]\narchive_directory = y\n")
    look(configuration)
    assert changes == []


# Through the API.

@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    one = Daemon(tmp_path_factory.mktemp("processing"))
    one.start()
    yield one
    one.close()


@pytest.fixture
def path(daemon: Daemon) -> Iterator[str]:
    """Of a channel. The settings are the defaults again afterwards."""
    made = daemon.call("POST", "/api/channels", {
        "platform": "twitch", "name": "anna", "enabled": False})[1]
    assert made["processing"] is None
    yield f"/api/channels/{made['id']}"
    for body in ({"processing_mode": "copy"}, {
            **dict.fromkeys(ENCODED), "capture_after": None, "archive_directory": None}):
        assert daemon.call("PATCH", "/api/settings", body)[0] == 200
    daemon.call("DELETE", f"/api/channels/{made['id']}")


def test_settings(daemon: Daemon, path: str) -> None:
    status, shown, _ = daemon.call("PATCH", "/api/settings", {
        **ENCODED, "capture_after": "archive", "archive_directory": "archive"})
    assert status == 200 and shown["restart_required"] == []
    assert ENCODED.items() <= shown.items()
    assert shown["archive_directory"] == str(daemon.directory / "archive")
    text = daemon.config.read_text()
    for body, field in [({"container": "ts"}, "video_codec"), ({"crf": 64}, "crf"),
                        ({"archive_directory": None}, "capture_after"),
                        ({"archive_directory": "data/captures"}, "archive_directory"),
                        ({"ffmpeg_arguments": "-vf movie=/etc/passwd"}, "ffmpeg_arguments")]:
        answer = daemon.call("PATCH", "/api/settings", body)
        refused_answer(answer, 400, "VALIDATION_ERROR", field)
    assert daemon.config.read_text() == text


def test_a_channel_s_own(daemon: Daemon, path: str) -> None:
    whole = {**dict.fromkeys(NAMES), **ENCODED}
    assert daemon.call("PATCH", path, {"processing": ENCODED})[1]["processing"] == whole
    assert daemon.call("PATCH", path, {"priority": 1})[1]["processing"] == whole
    assert daemon.get(path)["processing"] == whole
    assert daemon.get("/api/channels")["channels"][0]["processing"] == whole
    # It is set as a whole: what is left out is as the settings say again.
    shown = daemon.call("PATCH", path, {"processing": {"container": "ts"}})[1]["processing"]
    assert shown == {**dict.fromkeys(NAMES), "container": "ts"}
    assert daemon.call("PATCH", path, {"processing": None})[1]["processing"] is None
    status, made, _ = daemon.call("POST", "/api/channels", {
        "platform": "twitch", "name": "bert", "enabled": False, "processing": {"crf": 0}})
    assert status == 201 and made["processing"] == {**dict.fromkeys(NAMES), "crf": 0}
    daemon.call("DELETE", f"/api/channels/{made['id']}")


@pytest.mark.parametrize("own, says", [
    ([], "must be an object"), ({"bitrate": 5}, "bitrate is none of"),
    ({"\ud800\n": 5}, "\ud800\n is none of"),
    ({"crf": 64}, "crf must be"), ({"video_codec": "h266"}, "video_codec must be one of"),
    ({"ffmpeg_arguments": "-f null"}, "ffmpeg_arguments cannot be used: -f is set by container"),
    ({"capture_after": "archive"}, "capture_after: archive needs an archive_directory"),
    ({"processing_mode": "reencode", "video_codec": "vp9", "container": "ts"},
     "video_codec: vp9 does not go into the container ts"),
    ({"processing_mode": "reencode", "crf": 60}, "crf: must be from 0 to 51 with h264"),
])
def test_a_channel_s_own_that_is_refused(
    own: Any, says: str, daemon: Daemon, path: str
) -> None:
    before = daemon.get(path)
    for answer in (daemon.call("PATCH", path, {"processing": own}), daemon.call(
            "POST", "/api/channels", {"platform": "twitch", "name": "bert", "processing": own})):
        refused_answer(answer, 400, "VALIDATION_ERROR", "processing")
        assert answer[1]["error"]["details"][0]["message"].startswith(says)
    assert daemon.get("/api/channels")["channels"] == [before]


def test_a_channel_s_own_beside_the_settings(daemon: Daemon, path: str) -> None:
    own = {"processing": {"container": "ts", "capture_after": "archive"}}
    refused_answer(daemon.call("PATCH", path, own), 400, "VALIDATION_ERROR", "processing")
    daemon.call("PATCH", "/api/settings", {"archive_directory": "archive"})
    assert daemon.call("PATCH", path, own)[0] == 200
    # The settings may change behind it, and the channel in all that is something else.
    assert daemon.call("PATCH", "/api/settings", {**ENCODED, "archive_directory": None})[0] == 200
    assert daemon.call("PATCH", path, {"priority": 2})[0] == 200
    refused_answer(daemon.call("PATCH", path, own), 400, "VALIDATION_ERROR", "processing")
    assert daemon.get(path)["processing"]["container"] == "ts"
