"""The logins that a test gives to a platform, and what the platform said of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from brlib.platforms.base import App


@dataclass
class GivenLogins:
    """`refusals` are (platform, kind), in the order in which they were told."""

    platform: str
    given_app: App | None = None
    playback_text: str | None = None
    token: str | None = None
    refusals: list[tuple[str, str]] = field(default_factory=list)

    def app(self, platform: str) -> App | None:
        return self.given_app if platform == self.platform else None

    def api_token(self, platform: str) -> str | None:
        return self.token if platform == self.platform else None

    def playback(self, platform: str) -> str | None:
        return self.playback_text if platform == self.platform else None

    def refused(self, platform: str, kind: str, reason: str) -> None:
        assert reason
        self.refusals.append((platform, kind))
