"""Requests to platforms: batches out in threads, one by hand, and what becomes of the answers.

Each platform has threads of its own: a slow one must not keep the others waiting. Made by the
supervisor, which says who is asked for and takes the answers.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ..errors import ChannelNotFound, PlatformError
from ..models import Channel
from ..pacing import Asked
from ..platforms import Checked, Platform
from .base import CheckPool, Clocks, Heard, Watches
from .rota import Rota

log = logging.getLogger(__name__)

CHECKERS = {"url": 8}
CHECKERS_ELSE = 2
# Platforms bound their requests; what is not back by then does not come back.
LOST_S = 300.0


@dataclass(eq=False)
class Batch:
    name: str
    channels: Sequence[Channel]
    asked: Asked
    lost: bool = False


class Checks:
    def __init__(
        self, platforms: Mapping[str, Platform], rota: Rota, watches: Watches,
        take: Callable[[str, Checked, Heard], None], gone: Callable[[Channel], None],
        clocks: Clocks, pools: Callable[[str, int], CheckPool],
    ) -> None:
        """`take` is given each channel's answer and raises ChannelNotFound for one that is
        gone, and then `gone` is called."""
        self._platforms = platforms
        self._rota = rota
        self._watches = watches
        self._take = take
        self._gone = gone
        self._clocks = clocks
        self._lock = threading.Lock()
        self._out: list[Batch] = []
        self._stopping = threading.Event()
        self._pools = {name: pools(f"check-{name}", CHECKERS.get(name, CHECKERS_ELSE))
                       for name in platforms}

    def free(self, name: str) -> bool:
        return self._pools[name].free > 0

    def start(self, name: str, channels: Sequence[Channel], interval_s: float) -> bool:
        """Ask for these channels; False when that is not done (any more)."""
        watches = [self._watches.get(channel.id) for channel in channels]
        # Before the request: it may be over at once.
        batch = Batch(name, channels, self._rota.asked(name))
        for watch in watches:
            watch.out, watch.due_s = True, batch.asked.at_s + interval_s
        with self._lock:
            self._out.append(batch)
        title = channels[0].id if len(channels) == 1 else f"{name}-{len(channels)}"
        if self._pools[name].submit(f"check-{title}", partial(self._run, batch)):
            return True
        self._rota.withdrawn(name, batch.asked)
        self._back(batch)
        return False

    def one(self, channel: Channel) -> tuple[Checked, Heard]:
        """The answer for one channel that a person asks for: at once, whoever's turn it is.
        Raises PlatformError while the platform itself asked us to wait."""
        self._rota.refuse_while_wished(channel.platform)
        batch = Batch(channel.platform, [channel], self._rota.asked(channel.platform))
        with self._lock:
            self._out.append(batch)
        try:
            answers, own = self._ask(batch, fresh=True)
        finally:
            with self._lock:
                self._out.remove(batch)
        return answers[channel.id], self._heard(batch, own, pressed=True)

    def give_up_lost(self) -> None:
        """Let nobody wait for a request that does not come back. Its channels are not asked
        for again until it does: that would cost the next thread."""
        now_s = self._clocks.clock()
        with self._lock:
            lost = [b for b in self._out if not b.lost and now_s - b.asked.at_s > LOST_S]
            for batch in lost:
                batch.lost = True
        for batch in lost:
            error = PlatformError(
                f"A check is not over after {LOST_S / 60:.0f} minutes: if that lasts, restart "
                "the daemon")
            log.error("%s, %d channels: %s", batch.name, len(batch.channels), error)
            own = not self._rota.failed(
                batch.name, batch.asked, error, whole=len(batch.channels) > 1)
            self._hand_over(batch, {channel.id: error for channel in batch.channels}, own)

    def problems(self) -> list[str]:
        with self._lock:
            lost = [batch for batch in self._out if batch.lost]
        return [f"A check of {batch.name} for {len(batch.channels)} channels does not come back"
                for batch in lost]

    def stop(self) -> None:
        """What is still out is ended with the daemon: that is nobody's failure."""
        self._stopping.set()

    def join(self, deadline_s: float) -> bool:
        end_s = time.monotonic() + deadline_s
        return all([pool.join(max(0.0, end_s - time.monotonic()))
                    for pool in self._pools.values()])

    # In a thread of the platform's pool.

    def _run(self, batch: Batch) -> None:
        try:
            answers, own = self._ask(batch)
            if not self._stopping.is_set():
                self._hand_over(batch, answers, own)
        finally:
            self._back(batch)

    def _back(self, batch: Batch) -> None:
        with self._lock:
            self._out.remove(batch)
        for channel in batch.channels:
            watch = self._watches.find(channel.id)
            if watch is not None:
                watch.out = False

    def _ask(self, batch: Batch, fresh: bool = False) -> tuple[Mapping[str, Checked], bool]:
        """An answer for every channel, and whether failures are the channels' own."""
        name, channels = batch.name, batch.channels
        try:
            given = self._platforms[name].check_many(channels, fresh)
        except PlatformError as error:
            failure = error
        except Exception as error:
            # What no platform foresaw is a failed request to us.
            log.exception("A check of %s met something unforeseen", name)
            failure = PlatformError(f"The check failed: {type(error).__name__}: {error}")
        else:
            answers: dict[str, Checked] = {
                channel.id: _answer(given, channel) for channel in channels}
            return answers, not self._rota.answered(name, batch.asked, list(answers.values()))
        rests = self._rota.failed(name, batch.asked, failure, whole=len(channels) > 1)
        return {channel.id: failure for channel in channels}, not rests

    def _hand_over(self, batch: Batch, answers: Mapping[str, Checked], own: bool) -> None:
        """To each its answer, whatever becomes of the others'. The highest priority begins to
        be recorded first."""
        heard = self._heard(batch, own)
        failed: list[Exception] = []
        for channel in sorted(batch.channels, key=lambda one: -one.priority):
            try:
                self._take(channel.id, answers[channel.id], heard)
            except ChannelNotFound:
                # What the check kept of it anew must go, too.
                log.debug("%s was deleted while it was being checked", channel.display_name)
                self._gone(channel)
            except Exception as error:
                failed.append(error)
        if failed:
            log.error("%d of %d answers of %s could not be taken in", len(failed),
                      len(batch.channels), batch.name, exc_info=failed[0])

    def _heard(self, batch: Batch, own: bool, pressed: bool = False) -> Heard:
        # One jitter for all: who was asked for together is due together.
        return Heard(batch.name, batch.asked.at_s, self._clocks.now(), self._clocks.jitter(),
                     own, pressed)


def _answer(given: Mapping[str, Checked], channel: Channel) -> Checked:
    answer = given.get(channel.id)
    if answer is None:
        return PlatformError("The platform's answer leaves this channel out; it is asked again")
    return answer
