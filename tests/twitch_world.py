"""The platform `twitch` with everything that it meets, for its tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import pytest

from brlib.errors import PlatformError
from brlib.models import Channel, utc_now
from brlib.platforms.base import App
from brlib.platforms.twitch import Twitch
from brlib.workers import Pool

from .standin.adapter import StandInSessions
from .standin.base import StandIn
from .standin.twitch import TwitchHost

SECRET = "appsecret0123456789"
AUTH_TOKEN = "websitetoken0123456789abcdefgh"
USER_TOKEN = "usertoken0123456789"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Keys:
    """Logins that are simply there."""

    given_app: App | None = None
    given_api_token: str | None = None
    given_playback: str | None = None
    refusals: list[tuple[str, str, str]] = field(default_factory=list)

    def app(self, platform: str) -> App | None:
        return self.given_app

    def api_token(self, platform: str) -> str | None:
        return self.given_api_token

    def playback(self, platform: str) -> str | None:
        return self.given_playback

    def refused(self, platform: str, kind: str, reason: str) -> None:
        self.refusals.append((platform, kind, reason))


class World:
    """The platform with everything that it meets; `now_s` is its clock."""

    def __init__(self) -> None:
        self.standin, self.host, self.keys, self.now_s = StandIn(), TwitchHost(), Keys(), 0.0
        self.host.join(self.standin)
        self.twitch = Twitch(
            StandInSessions(self.standin), self.keys, lambda: self.now_s, lambda: NOW)

    def use_app(self) -> None:
        self.host.apps["client-id"] = SECRET
        self.keys.given_app = App("client-id", SECRET)

    def use_login(self) -> None:
        self.host.users_by_token[USER_TOKEN] = ("client-id", "me")
        self.keys.given_app, self.keys.given_api_token = App("client-id"), USER_TOKEN

    def asked(self, host: str, path: str = "") -> int:
        return len(self.standin.asked(host, path))

    def trouble(self, name: str = "somebody") -> PlatformError:
        with pytest.raises(PlatformError) as caught:
            self.twitch.check(channel(name))
        return caught.value

    def open_trouble(self, quality: str = "source") -> PlatformError:
        with pytest.raises(PlatformError) as caught:
            self.twitch.open(channel("somebody", quality))
        assert "://" not in str(caught.value)
        return caught.value


def channel(name: str = "somebody", quality: str = "source") -> Channel:
    return Channel(f"ch_{name}", "twitch", name, name, f"https://www.twitch.tv/{name}", quality,
                   True, utc_now())


def channels(count: int) -> list[Channel]:
    return [channel(f"name{number}") for number in range(count)]


@contextmanager
def new_world() -> Iterator[World]:
    one = World()
    yield one
    one.twitch.close()
    assert one.standin.unexpected == []


def at_once(tasks: Sequence[Callable[[], object]], timeout_s: float = 10.0) -> None:
    """Run each in a thread of its own; fails when one does not end, or not well."""
    pool, done = Pool("task", len(tasks)), threading.Semaphore(0)

    def run(task: Callable[[], object]) -> None:
        task()
        done.release()

    for number, task in enumerate(tasks):
        assert pool.submit(f"task-{number}", partial(run, task))
    assert all(done.acquire(timeout=timeout_s) for _ in tasks)
    assert pool.join(timeout_s)
