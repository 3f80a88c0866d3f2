"""A whole daemon that meets nothing but the stand-in, with all that a broadcast needs.

Owns every host, the proxy, an origin for media, and the daemon; used by the black-box tests
of the platforms. What the daemon answers, tells and logs is kept, to be searched for secrets.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from tests.compare import captured
from tests.daemon import Answer, Daemon
from tests.listener import Listener, wait_until
from tests.media import Clip, ts_clips, video_frames
from tests.origin import Origin
from tests.pictures import made
from tests.standin import kick, twitch, youtube
from tests.standin.accounts import Accounts
from tests.standin.base import Reply, Request, StandIn
from tests.standin.proxy import Proxy

MARK = "5EcReT7"
CLIPS = 24
BANNER_URL = f"https://{twitch.IMAGES}/jtv_user_pictures/banner.png"
IMAGES = (twitch.IMAGES, "files.kick.com", "yt3.googleusercontent.com")


APP_SECRETS = {"twitch": f"tw-{MARK}", "youtube": f"yt-{MARK}", "kick": f"ki-{MARK}"}
API_KEY = f"AIza-{MARK}"
# In the file, as people should have it: the environment is inherited by what is started.
CONFIG = f"""[twitch]
twitch_client_id = tw-app
twitch_client_secret = {APP_SECRETS["twitch"]}
[youtube]
youtube_client_id = yt-app
youtube_client_secret = {APP_SECRETS["youtube"]}
youtube_api_key = {API_KEY}
[kick]
kick_client_id = kick-app
kick_client_secret = {APP_SECRETS["kick"]}
"""


class Heard(Daemon):
    """Keeps all that it says."""

    def __init__(self, directory: Path, **options: Any) -> None:
        super().__init__(directory, **options)
        self.said: list[str] = []

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        status, answered, headers = super().call(method, path, body, **more)
        shown = repr(answered) if isinstance(answered, bytes) else json.dumps(answered)
        self.said.append(f"{method} {path}: {shown} {headers}")
        return status, answered, headers


class World:
    """`apps`: the daemon has an app at each platform, and a key. `options` are the daemon's.
    `argv` is what ran while yt-dlp asked for a player, as anyone on the machine sees it."""

    def __init__(self, directory: Path, apps: bool = False, **options: Any) -> None:
        self.directory = directory
        self.argv: set[str] = set()
        self.standin = StandIn()
        self.twitch = twitch.TwitchHost()
        self.kick = kick.KickHost(client_secret=APP_SECRETS["kick"])
        self.kick.session_token = f"12|session-{MARK}"
        self.youtube = youtube.YouTubeHost(member=f"sap-{MARK}", api_key=API_KEY)
        self.accounts = Accounts(self.twitch, self.youtube, self.kick, MARK)
        self.standin.add(self._look_around, youtube.SITE)
        for host in (self.accounts, self.twitch, self.kick, self.youtube):
            host.join(self.standin)
        self.standin.add(_picture, *IMAGES)
        self.origin = Origin(window=40)
        self.proxy = Proxy(self.standin, lasting=False)
        self.daemon = Heard(directory, twitch_interval="10s", kick_interval="10s",
                            youtube_interval="30s", capture_after="keep",
                            max_concurrent_recordings=20, **options)
        if apps:
            self.twitch.apps["tw-app"] = APP_SECRETS["twitch"]
            self.daemon.config.write_text(CONFIG)

    def start(self) -> World:
        with ExitStack() as exits:
            exits.callback(self.origin.start().stop)
            self.standin.forward(self.origin.port, kick.PLAYBACK, youtube.MEDIA)
            exits.enter_context(self.proxy)
            self.daemon.environ.update(self.proxy.environment())
            exits.callback(self.daemon.close)
            self.daemon.start()
            self.listener = Listener(self.daemon.port)
            exits.callback(self.listener.leave)
            assert self.listener.enter(self.daemon.key)["type"] == "connected"
            self._exits = exits.pop_all()
        return self

    def close(self) -> None:
        self._exits.close()

    def hear(self, type: str, **match: Any) -> dict[str, Any]:
        """The data of the next event that is so; what was told before it is passed over."""
        found = self.hear_all(type, **match)[-1]["data"]
        assert isinstance(found, dict)
        return found

    def hear_all(self, type: str, **match: Any) -> list[dict[str, Any]]:
        """What was told up to the next event that is so."""
        def wanted(message: dict[str, Any]) -> bool:
            data = message.get("data", {})
            return message["type"] == type and all(data.get(k) == v for k, v in match.items())

        heard = self.listener.hear_until(wanted)
        self.daemon.said += [json.dumps(message) for message in heard]
        return heard

    def _look_around(self, request: Request) -> None:
        if request.path == "/youtubei/v1/player":
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    self.argv.add(process.read_text(errors="replace"))

    # What a person does.

    def add(self, platform: str, name: str, **options: Any) -> str:
        """The new channel's id."""
        status, channel, _ = self.daemon.call(
            "POST", "/api/channels", {"platform": platform, "name": name, **options})
        assert status == 201, channel
        return str(channel["id"])

    def check(self, channel_id: str) -> dict[str, Any]:
        """A healthy answer."""
        status, found, _ = self.daemon.call("POST", f"/api/channels/{channel_id}/check")
        assert status == 200, found
        assert isinstance(found, dict)
        return found

    def check_soon(self, channel_id: str) -> dict[str, Any]:
        """A healthy answer, once the platform may be asked again."""
        wait_until(lambda: self.daemon.call(
            "POST", f"/api/channels/{channel_id}/check")[0] == 200, 20.0)
        return self.check(channel_id)

    def fail(self, channel_id: str) -> dict[str, Any]:
        """Check, which must fail; the channel as it is then."""
        status, answer, _ = self.daemon.call("POST", f"/api/channels/{channel_id}/check")
        assert (status, answer["error"]["code"]) == (502, "PLATFORM_ERROR"), answer
        channel = self.channel(channel_id)
        assert channel["status"] == "error"
        assert channel["last_error"] == answer["error"]["message"]
        return channel

    def channel(self, channel_id: str) -> dict[str, Any]:
        found = self.daemon.get(f"/api/channels/{channel_id}")
        assert isinstance(found, dict)
        return found

    def recording_of(self, channel_id: str) -> str:
        """Check, and wait until it is being recorded; the recording's id."""
        self.check(channel_id)
        return str(self.daemon.wait(
            f"/api/channels/{channel_id}", lambda c: c["recording_id"])["recording_id"])

    def wait_segments(self, recording_id: str, count: int) -> dict[str, Any]:
        return self._wait(recording_id, lambda r: r["segments"] >= count)

    def wait_complete(self, recording_id: str) -> dict[str, Any]:
        found = self._wait(recording_id, lambda r: r["status"] in ("complete", "failed"))
        assert found["status"] == "complete", found
        return found

    def _wait(self, recording_id: str, until: Callable[[Any], bool]) -> dict[str, Any]:
        found = self.daemon.wait(f"/api/recordings/{recording_id}", until)
        assert isinstance(found, dict)
        return found

    def gaps(self, recording_id: str) -> list[tuple[str, int]]:
        """(cause, segments) of each."""
        return [(gap["cause"], gap["segments"])
                for gap in self.daemon.get(f"/api/recordings/{recording_id}/gaps")["gaps"]]

    def record_six(self, channel_id: str) -> dict[str, Any]:
        """Record the whole of a broadcast that `broadcast_six` began; the recording."""
        recording_id = self.recording_of(channel_id)
        self.wait_segments(recording_id, 6)
        self.origin.end()
        recording = self.wait_complete(recording_id)
        self.assert_media(recording, clips()[:6])
        return recording

    def broadcast_six(self) -> None:
        """A broadcast of six segments at the media hosts of Kick and YouTube."""
        self.origin.restart_numbering()
        for clip in clips()[:6]:
            self.origin.add(clip)

    def assert_media(self, recording: dict[str, Any], wanted: list[Clip]) -> None:
        """Captured are these segments and no others, and the file has all their frames."""
        capture = self.directory / "data" / "captures" / recording["id"]
        assert [body for _, body in captured(capture)] == [clip.body for clip in wanted]
        frames = sum(clip.frames for clip in wanted)
        assert video_frames(Path(recording["file_path"])) == frames

    def capture(self, recording_id: str) -> Path:
        return self.directory / "data" / "captures" / recording_id


@functools.cache
def clips() -> list[Clip]:
    """One broadcast, cut into segments of half a second."""
    return ts_clips(CLIPS)


def bodies(first: int, last: int) -> list[bytes]:
    return [clip.body for clip in clips()[first:last]]


def _picture(request: Request) -> Reply:
    """Banners are blue, everything else is red."""
    colour = "blue" if "banner" in request.path else "red"
    return Reply(200, made("a.png", f"color={colour}:s=64x48,trim=end_frame=1"), "image/png")
