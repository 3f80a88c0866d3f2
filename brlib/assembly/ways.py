"""By which of the ways there are a recording is encoded: the first that FFmpeg is able to go.

Asked by `Assembly` before each try.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from .. import encoding
from ..encoding import Encoding, Way
from .base import AssemblyFailed, FFmpegFailed, Plan, Task
from .process import why_not

log = logging.getLogger(__name__)


class WayFailed(Exception):
    """The trial of an encoder went well, and yet: its sessions are all taken, its driver failed,
    a filter does not fit the picture."""

    def __init__(self, encoder: str, reason: str) -> None:
        super().__init__(f"{encoder} failed and is passed over: {reason}")
        self.encoder = encoder
        self.reason = reason


# What FFmpeg says against a way; None: it is able to.
Trial = Callable[[Plan, Way, Task], str | None]


def is_to_blame(
    way: Way, error: AssemblyFailed, captured_bytes: int, doubted: set[str]
) -> bool:
    """Whether another try by this way would most likely end alike. `doubted` are the encoders
    that have failed for once by something that passes; that is added to."""
    if error.of_disk:
        # Room is kept for as much as the capture holds: with less another file may do.
        return error.made_bytes > captured_bytes
    if not isinstance(error, FFmpegFailed):
        return False
    if not error.passing or way.hardware is not None or way.encoder in doubted:
        return True
    doubted.add(way.encoder)
    return False


def with_way(
    plan: Plan, wanted: Encoding, task: Task, passed_over: Mapping[str, str] = MappingProxyType({}),
    trial: Trial = why_not,
) -> tuple[Plan, str | None]:
    """`plan` with a way, and what is wrong where there is none: then the streams are copied, so
    that there is a file, of which another can be made. Encoders that are `passed_over` have
    failed at it already, for that reason. Raises AssemblyFailed, Suspended."""
    if plan.mode != "reencode":
        return plan, None
    clash = encoding.clash(wanted, plan.container)
    if clash is not None:
        return plan, _copied(f"{clash[0]}: {clash[1]}")
    said: list[str] = []
    # Tried is the encoder: whether a filter fits a picture, such as a crop, is seen with it.
    bare = replace(wanted, arguments=replace(wanted.arguments, picture=""))
    for way, tried in zip(encoding.ways(wanted), encoding.ways(bare), strict=True):
        problem = passed_over.get(way.encoder) or trial(plan, tried, task)
        if problem is None:
            if said:
                log.warning("%s is encoded by %s: %s", task.recording.id, way.encoder,
                            "; ".join(said))
            return replace(plan, way=way), None
        said.append(f"{way.encoder}: {problem}")
    return plan, _copied("; ".join(said))


def _copied(why: str) -> str:
    return (f"It could not be encoded and is a copy ({why}). See video_codec, "
            "hardware_acceleration and ffmpeg_arguments, then reprocess")
