"""Platform `kick` against the stand-in, with streamlink's own plugin: names, every state with
and without an app, streams, and where each secret goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brlib.errors import Invalid, PlatformError, Trouble
from brlib.models import Broadcast
from brlib.platforms.base import App, Offline
from brlib.platforms.kick import Kick
from brlib.platforms.sessions import BoundedAdapter, Sessions

from .kick_world import APP, Scene, channel, new_scene
from .standin.base import Cut, Reply
from .standin.kick import API, LOGIN, PLAYBACK, SITE
from .standin.logins import GivenLogins
from .standin.proxy import Proxy

# As the cookie has it.
SESSION_TOKEN = "12%7Csession-secret"


@pytest.fixture
def scene() -> Iterator[Scene]:
    with new_scene() as one:
        yield one


@pytest.fixture
def kick(scene: Scene) -> Kick:
    return scene.kick


@pytest.mark.parametrize(("typed", "slug"), [
    ("Chess", "chess"), (" @Chess ", "chess"), ("chess_24-7", "chess_24-7"),
    ("https://kick.com/Chess", "chess"), ("http://www.kick.com/chess/", "chess"),
    ("kick.com/chess", "chess"), ("https://kick.com/chess/videos?sort=date", "chess"),
    ("https://kick.com/chess?clip=clip_1", "chess"), ("https://player.kick.com/chess", "chess"),
])
def test_a_name_is_the_slug(typed: str, slug: str, kick: Kick) -> None:
    address = kick.address(typed)
    assert (address.name, address.url) == (slug, f"https://kick.com/{slug}")


@pytest.mark.parametrize("typed", [
    "", "@", "a b", "a" * 26, "schöch", "https://kick.com/", "https://twitch.tv/chess",
    "https://kick.com.evil.example/chess", "ftp://kick.com/chess", "https://[kick/chess",
    "https://kick.com/categories/games", "video", "chess\nplayers",
])
def test_what_names_no_channel(typed: str, kick: Kick) -> None:
    with pytest.raises(Invalid):
        kick.address(typed)


def test_live_without_an_app(scene: Scene, kick: Kick) -> None:
    scene.host.add("chess", live=True)
    broadcast = kick.check(channel("chess"))
    assert broadcast is not None and broadcast.started_at is not None
    assert (broadcast.id, broadcast.title, broadcast.category, broadcast.viewers) == (
        "2026-03-04T05:06:07Z", "Blitz", "Chess", 12)
    assert broadcast.started_at.isoformat() == "2026-03-04T05:06:07+00:00"
    assert scene.standin.asked(API) == scene.standin.asked(LOGIN) == []


# What answers instead, and what that is for us: with an app and without.
TROUBLES: list[tuple[Reply | Cut, Trouble, float | None]] = [
    (Reply(403, b"<html>Request blocked by security policy", "text/html"), Trouble.BLOCKED, None),
    (Reply(429), Trouble.RATE_LIMITED, None),
    (Reply(429, headers={"Retry-After": "70"}), Trouble.RATE_LIMITED, 70.0),
    (Reply(500), Trouble.ERROR, None),
    (Reply(503, headers={"Retry-After": "9"}), Trouble.ERROR, 9.0),
    (Reply(200, b"<html>", "text/html"), Trouble.ERROR, None),
    (Reply.json([]), Trouble.ERROR, None),
    (Reply.json({}), Trouble.ERROR, None),
    (Reply.json({"data": [{"id": "elsewhere"}]}), Trouble.ERROR, None),
    (Reply.json({"data": {}, "message": "OK"}), Trouble.ERROR, None),
    (Reply(302, headers={"Location": "https://evil.example/"}), Trouble.ERROR, None),
    (Cut(), Trouble.ERROR, None),
    (Cut(Reply.json({"data": None})), Trouble.ERROR, None),
]


@pytest.mark.parametrize("app", [APP, None])
@pytest.mark.parametrize(("answer", "trouble", "retry_after_s"), TROUBLES)
def test_a_failed_check_is_never_offline(
    answer: Reply | Cut, trouble: Trouble, retry_after_s: float | None, app: App | None,
    scene: Scene, kick: Kick,
) -> None:
    scene.logins.given_app = app
    scene.ids["chess"] = scene.host.add("chess", live=True).user_id
    scene.standin.fail(API if app else SITE, answer)
    with pytest.raises(PlatformError) as raised:
        kick.check(channel("chess"))
    assert (raised.value.trouble, raised.value.retry_after_s) == (trouble, retry_after_s)
    assert "/" not in str(raised.value)


def test_offline_and_unknown_without_an_app(scene: Scene, kick: Kick) -> None:
    scene.host.add("chess")
    assert kick.batch_size == 1
    found = kick.check_many([channel("chess"), channel("nobody")])
    assert found["ch_chess"] == Offline()
    gone = found["ch_nobody"]
    assert isinstance(gone, PlatformError) and gone.trouble is Trouble.NOT_FOUND


@pytest.mark.parametrize(("quality", "name", "path"), [
    ("source", "1080p60", "/1080p60/live.m3u8"), ("720p", "720p", "/720p/live.m3u8")])
def test_open(quality: str, name: str, path: str, scene: Scene, kick: Kick) -> None:
    scene.host.add("chess", live=True)
    opened = kick.open(channel("chess", quality))
    assert opened is not None
    assert (opened.quality, opened.stream.url) == (name, f"https://{PLAYBACK}{path}")
    # The plugin's one answer is enough.
    assert len(scene.standin.asked(SITE)) == 1


@pytest.mark.parametrize("change", [
    {"category": None}, {"title": None}, {"shape": {"id": "5"}}])
def test_open_what_the_plugin_refuses(
    change: dict[str, Any], scene: Scene, kick: Kick
) -> None:
    scene.host.add("chess", live=True, **change)
    assert isinstance(kick.check(channel("chess")), Broadcast)
    opened = kick.open(channel("chess", "720p"))
    assert opened is not None
    assert opened.stream.url == f"https://{PLAYBACK}/720p/live.m3u8"


def test_open_an_offline_channel(scene: Scene, kick: Kick) -> None:
    one = scene.host.add("chess", live=True)
    assert kick.open(channel("chess")) is not None
    one.live = False
    assert kick.open(channel("chess")) is None


@pytest.mark.parametrize(("host", "answer", "trouble", "says"), [
    (SITE, Reply(403), Trouble.BLOCKED, "Kick blocks"),
    (SITE, Reply(429, headers={"Retry-After": "5"}), Trouble.RATE_LIMITED, "no more requests"),
    (SITE, Reply(404), Trouble.NOT_FOUND, "no such channel"),
    (SITE, Reply.json({"message": "Maintenance"}), Trouble.ERROR, "Maintenance"),
    (SITE, Cut(), Trouble.ERROR, "kick.com cannot be reached"),
    (PLAYBACK, Reply(404), Trouble.ERROR, "gives no playlist .HTTP 404"),
    (PLAYBACK, Reply(403), Trouble.ERROR, "gives no playlist .HTTP 403"),
    (PLAYBACK, Reply(200, b"hello"), Trouble.ERROR, "playlist cannot be read"),
    (PLAYBACK, Reply(200, b"#EXTM3U\n"), Trouble.ERROR, "lists no streams"),
])
def test_open_fails(
    host: str, answer: Reply | Cut, trouble: Trouble, says: str, scene: Scene, kick: Kick,
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene.host.add("chess", live=True)
    scene.standin.fail(host, answer)
    with pytest.raises(PlatformError, match=says) as raised:
        kick.open(channel("chess"))
    assert raised.value.trouble is trouble
    assert "jwt" not in str(raised.value)
    # The plugin logs exceptions, whose frames hold connections.
    caplog.clear()


def test_for_subscribers_only(scene: Scene, kick: Kick) -> None:
    scene.host.add("chess", live=True, needs_token=True)
    with pytest.raises(PlatformError, match="session_token") as raised:
        kick.open(channel("chess"))
    assert raised.value.trouble is Trouble.RESTRICTED
    scene.logins.playback_text = SESSION_TOKEN
    assert kick.open(channel("chess")) is not None
    assert scene.logins.refusals == []


def test_a_session_token_that_is_not_taken(scene: Scene, kick: Kick) -> None:
    """What is public is recorded all the same."""
    scene.host.add("chess", live=True)
    scene.logins.playback_text = "12%7Cended-long-ago"
    assert kick.open(channel("chess")) is not None
    assert scene.logins.refusals == [("kick", "playback")]


@pytest.mark.parametrize("category", ["Chess", None])
def test_each_secret_goes_to_one_host(category: str | None, scene: Scene, kick: Kick) -> None:
    scene.logins.given_app, scene.logins.playback_text = APP, SESSION_TOKEN
    scene.host.add("chess", live=True, category=category)
    one = channel("chess")
    kick.check(one)
    kick.profile(one)
    opened = kick.open(one)
    assert opened is not None
    # As the recorder reads it, on the session with the login.
    opened.stream.session.http.get(f"https://{PLAYBACK}/master.m3u8")
    assert scene.standin.sent_to("session-secret") == [SITE]
    assert scene.standin.sent_to("kick-app-secret") == [LOGIN]
    assert scene.standin.sent_to("kick-app-token") == [API]


@pytest.mark.parametrize("token", [SESSION_TOKEN, None])
def test_nothing_of_netrc_goes_anywhere(
    token: str | None, scene: Scene, kick: Kick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password netrc-secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    scene.host.add("chess", live=True)
    scene.logins.playback_text = token
    kick.check(channel("chess"))
    opened = kick.open(channel("chess"))
    assert opened is not None
    opened.stream.session.http.get(f"https://{PLAYBACK}/master.m3u8")
    sent = {one.headers.get("Authorization") for one in scene.standin.requests}
    assert sent == {None, *(["Bearer 12|session-secret"] if token else [])}


@pytest.mark.parametrize("app", [APP, None])
def test_profile(app: App | None, scene: Scene, kick: Kick) -> None:
    scene.logins.given_app = app
    scene.host.add("chess")
    shown = kick.profile(channel("chess"))
    assert shown.display_name == "Chess"
    assert shown.profile_image_url == "https://files.kick.com/chess/avatar.webp"
    assert shown.banner_image_url == "https://files.kick.com/chess/banner.webp"
    with pytest.raises(PlatformError):
        kick.profile(channel("nobody"))


def test_opening_again_and_again_keeps_one_plugin(scene: Scene, kick: Kick) -> None:
    """Each plugin object leaves an atexit entry behind."""
    scene.host.add("chess", live=True)
    one = channel("chess")
    kick.open(one)
    kept = kick._kept.get(one).plugin
    for _ in range(200):
        assert kick.open(one) is not None
    assert kick._kept.get(one).plugin is kept
    kick.forget(one.id)
    assert len(kick._kept) == 0


def test_with_real_connections(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a proxy, with TLS as the plugin has it, but with our certificates."""
    scene.host.add("chess", live=True, needs_token=True)
    scene.logins.playback_text = SESSION_TOKEN
    with Proxy(scene.standin) as proxy:
        for name, value in proxy.environment().items():
            monkeypatch.setenv(name, value)
        kick = Kick(Sessions(), scene.logins)
        assert kick.check(channel("chess")) is not None
        assert kick.open(channel("chess")) is not None
        kick.close()
    assert scene.standin.sent_to("session-secret") == [SITE]
    assert scene.standin.unexpected == []


def test_the_plugin_gets_an_adapter_with_limits() -> None:
    """Kick's plugin mounts one without for kick.com when it is made."""
    kick = Kick(Sessions(), GivenLogins("kick"))
    session = kick._kept.get(channel("chess")).session
    assert isinstance(session.http.get_adapter("https://kick.com/api/v2/x"), BoundedAdapter)
    kick.close()
