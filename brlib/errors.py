"""The exceptions that reach a caller, each with the code the API gives it.

Raised by every layer; `brlib.web.app` alone turns a code into an HTTP status.
"""

import re
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one field of a request or one option of the configuration."""

    field: str
    message: str


class RecorderError(Exception):
    """Anything we know how to explain. `str()` is a sentence for a person."""

    code = "INTERNAL_ERROR"


class Invalid(RecorderError):
    """What was asked for makes no sense; `problems` names each field."""

    code = "VALIDATION_ERROR"

    def __init__(self, problems: list[Problem], message: str = "") -> None:
        super().__init__(message or "; ".join(f"{p.field}: {p.message}" for p in problems))
        self.problems = problems


class Unauthorized(RecorderError):
    code = "UNAUTHORIZED"


class TokenExpired(Unauthorized):
    """The login is over; within the grace period it can still be refreshed."""

    code = "TOKEN_EXPIRED"


class Forbidden(RecorderError):
    code = "FORBIDDEN"


class NotFound(RecorderError):
    code = "NOT_FOUND"


class ChannelNotFound(NotFound):
    code = "CHANNEL_NOT_FOUND"

    def __init__(self, channel_id: str) -> None:
        super().__init__(f"Channel with ID {channel_id} does not exist")


class RecordingNotFound(NotFound):
    code = "RECORDING_NOT_FOUND"

    def __init__(self, recording_id: str) -> None:
        super().__init__(f"Recording with ID {recording_id} does not exist")


class ImageNotFound(NotFound):
    code = "IMAGE_NOT_FOUND"


class Conflict(RecorderError):
    """The thing exists already, or its state does not allow the verb."""

    code = "CONFLICT"


class TooLarge(RecorderError):
    """More bytes than are taken."""

    code = "PAYLOAD_TOO_LARGE"


class RateLimited(RecorderError):
    """Too many requests; `retry_after_s` is when the next may come."""

    code = "RATE_LIMITED"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


_ADDRESS = re.compile(r"""(https?://)(?:[^\s/?#'"]*@)?([^\s/?#'"@]+)[^\s'"]*""", re.IGNORECASE)
_WITH_URL = re.compile(r"(with url: )\S+")


def hosts_only(text: str) -> str:
    """`text` with nothing of an address but its host: the rest may hold a token, and what is
    said of a platform is shown to everyone who may look."""
    return _WITH_URL.sub(r"\1…", _ADDRESS.sub(r"\1\2", text))


class Trouble(StrEnum):
    """Why a platform gave no healthy answer."""

    ERROR = "error"
    NOT_FOUND = "not_found"
    BLOCKED = "blocked"
    RATE_LIMITED = "rate_limited"
    LOGIN_EXPIRED = "login_expired"
    RESTRICTED = "restricted"  # for subscribers or members, and we are none


class PlatformError(RecorderError):
    """A platform or origin did not give a healthy answer. Never means offline.

    `str()` says what a person can do. `retry_after_s` is what the platform asked for.
    """

    code = "PLATFORM_ERROR"

    def __init__(
        self, message: str, trouble: Trouble = Trouble.ERROR, retry_after_s: float | None = None
    ) -> None:
        super().__init__(hosts_only(message))
        self.trouble = trouble
        self.retry_after_s = retry_after_s


class Unavailable(RecorderError):
    """The daemon cannot do this now: stopping, full, or without a tool that it needs."""

    code = "UNAVAILABLE"


class ConfigError(RecorderError):
    """The configuration cannot be used; `problems` lists everything that is wrong."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        super().__init__("\n".join(f"{source}: {p.field}: {p.message}" for p in problems))
        self.problems = problems


class DiskHangs(OSError):
    """A write to the same files has not come back yet."""


class CaptureDamaged(RecorderError):
    """A capture directory that cannot be read; nothing in it was changed."""
