"""The platform `kick` with everything that it meets, for its tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from brlib.models import Channel, utc_now
from brlib.platforms.base import App
from brlib.platforms.kick import Kick

from .standin.adapter import StandInSessions
from .standin.base import StandIn
from .standin.kick import API, KickHost
from .standin.logins import GivenLogins

APP = App("kick-app", "kick-app-secret")
STREAMS, CHANNELS = "/public/v1/users/livestreams", "/public/v1/channels"


class Scene:
    """The platform with everything that it meets; `ids` is what it remembers, `clock_s` its
    clock."""

    def __init__(self) -> None:
        self.standin, self.host, self.logins = StandIn(), KickHost(), GivenLogins("kick")
        self.host.join(self.standin)
        self.ids: dict[str, int] = {}
        self.clock_s = 0.0
        self.kick = self._new()

    def _new(self) -> Kick:
        return Kick(StandInSessions(self.standin), self.logins, self.ids, lambda: self.clock_s)

    def restart(self) -> None:
        self.kick.close()
        self.kick = self._new()

    def asked(self, path: str = "") -> int:
        """How often the API was."""
        return len(self.standin.asked(API, path))


def channel(name: str, quality: str = "source", **more: Any) -> Channel:
    return Channel(f"ch_{name}", "kick", name, name, f"https://kick.com/{name}", quality, True,
                   utc_now(), **more)


@contextmanager
def new_scene() -> Iterator[Scene]:
    one = Scene()
    yield one
    one.kick.close()
