"""YouTube's Data API on its own: who may be asked when, and what an answer is worth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from brlib.models import Broadcast
from brlib.platforms.base import App
from brlib.platforms.youtube_api import YouTubeApi

from .standin.adapter import StandInSessions
from .standin.base import Reply, StandIn
from .standin.logins import GivenLogins
from .standin.youtube import DATA_API, Video, YouTubeHost

ID = "abcdefghijk"
KEY = "AIza-data-api-key"
REFUSED = Reply.json({"error": {"message": "API key not valid.", "errors": [
    {"reason": "badRequest"}]}}, 400)
USED_UP = Reply.json({"error": {"errors": [{"reason": "quotaExceeded"}]}}, 403)
EXPIRED = Reply.json({"error": {"code": 401, "message": "Invalid Credentials"}}, 401)


@dataclass
class Scene:
    standin: StandIn = field(default_factory=StandIn)
    host: YouTubeHost = field(default_factory=YouTubeHost)
    logins: GivenLogins = field(default_factory=lambda: GivenLogins("youtube"))
    clock_s: float = 0.0

    def __post_init__(self) -> None:
        self.host.join(self.standin)
        self.host.add("@chess", Video(ID))
        self.api = YouTubeApi(
            StandInSessions(self.standin), self.logins, lambda: self.clock_s,
            lambda: datetime(2026, 3, 4, 3, 0, 0, tzinfo=UTC))

    def use(self, key: str | None = None, token: str | None = None) -> None:
        self.logins.given_app = App(api_key=key) if key is not None else None
        self.logins.token = token

    def live(self) -> bool:
        return self.api.find_live(Broadcast(ID), ()) is not None

    @property
    def asked(self) -> int:
        return len(self.standin.asked(DATA_API))


@pytest.fixture
def scene() -> Iterator[Scene]:
    one = Scene()
    yield one
    one.api.close()


@pytest.mark.parametrize("answer", [REFUSED, USED_UP, Reply(500), Reply(429)])
def test_another_key_is_asked_with_at_once(scene: Scene, answer: Reply) -> None:
    """What one key may not do says nothing about the next."""
    fault = scene.standin.fail(
        DATA_API, answer, when=lambda request: request.headers.get("X-Goog-Api-Key") != KEY)
    scene.use("AIza-mistyped")
    assert [scene.live() for _ in range(3)] == [False] * 3
    assert scene.asked == 1
    scene.use(KEY)
    assert scene.live()
    assert scene.asked == 2
    scene.standin.heal(fault)
    # Also after it was taken away and given again.
    scene.clock_s = 120.0
    scene.use()
    assert not scene.live()
    scene.use(KEY)
    assert scene.live()


def test_the_same_key_rests(scene: Scene) -> None:
    scene.use(KEY)
    fault = scene.standin.fail(DATA_API, REFUSED)
    assert not scene.live()
    scene.standin.heal(fault)
    scene.clock_s = 3599.0
    assert not scene.live()
    assert scene.asked == 1
    scene.clock_s = 3600.0
    assert scene.live()


def test_a_login_that_was_renewed_is_asked_with_at_once(scene: Scene) -> None:
    scene.standin.fail(DATA_API, EXPIRED, when=lambda request:
                       request.headers["Authorization"] == "Bearer token-1")
    scene.standin.fail(DATA_API, Reply.json({"items": [{
        "id": ID, "snippet": {"liveBroadcastContent": "live"}}]}), when=lambda request:
        request.headers["Authorization"] == "Bearer token-2")
    scene.use(token="token-1")
    assert not scene.live()
    assert scene.logins.refusals == [("youtube", "api")]
    scene.use(token="token-2")
    assert scene.live()


@pytest.mark.parametrize("known", [Broadcast(None), Broadcast("")])
def test_a_broadcast_without_an_id_is_not_asked_for(scene: Scene, known: Broadcast) -> None:
    scene.use(KEY)
    assert scene.api.find_live(known, ()) is None
    assert scene.asked == 0


@pytest.mark.parametrize("item", [
    {"snippet": {"liveBroadcastContent": "live"}}, {"id": None}, {"id": "lmnopqrstuv"}, "x", None])
def test_an_item_without_the_id_says_nothing(scene: Scene, item: object) -> None:
    scene.use(KEY)
    scene.standin.fail(DATA_API, Reply.json({"items": [item]}))
    assert not scene.live()


@pytest.mark.parametrize("answer", [{}, {"items": None}, {"items": {}}])
def test_an_answer_without_a_list_is_none(scene: Scene, answer: dict[str, object]) -> None:
    """And is not asked for again at once: each costs a unit."""
    scene.use(KEY)
    fault = scene.standin.fail(DATA_API, Reply.json(answer))
    assert [scene.live() for _ in range(3)] == [False] * 3
    assert scene.asked == 1
    scene.standin.heal(fault)
    scene.clock_s = 600.0
    assert scene.live()
