"""What is deleted by rules, and by whom it is asked: the API, the quotas, and a loop once an hour.

Made by `Service`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..errors import Unavailable
from ..models import RecordingStatus, utc_now
from ..presence import Presence
from ..storage import Cleanup, Doomed, Storage
from ..workers import Worker

log = logging.getLogger(__name__)

# At first when everything has settled.
FIRST_AFTER_S, EVERY_S = 600.0, 3600.0
# Files by the thousand on a slow disk.
STEP_MAX_S = 1800.0


class Upkeep:
    def __init__(
        self, storage: Storage, presence: Presence, forget: Callable[[str], None],
        doubted_for_s: Callable[[], float],
    ) -> None:
        """`forget` is told of what is gone; `doubted_for_s` is for how long yet the clock is
        not to be trusted."""
        self._storage = storage
        self._presence = presence
        self._forget = forget
        self._doubted_for_s = doubted_for_s
        self._settled = False
        self.worker = Worker("upkeep", self.step, STEP_MAX_S)

    def stop(self) -> None:
        """Let a look end soon; the storage ends a cleanup. Returns at once, idempotent."""
        self._presence.stop()

    def step(self) -> float:
        """The rules, once an hour; the seconds until the next time."""
        if not self._settled:
            self._settled = True
            return FIRST_AFTER_S
        try:
            self.cleanup()
        except Unavailable as error:
            log.warning("Retention waits: %s", error)
        return EVERY_S

    def cleanup(self) -> Cleanup:
        """See which files are gone, and run the retention rules. Raises Unavailable while the
        clock, by which they go, is in doubt."""
        self._presence.look()
        left_s = self._doubted_for_s()
        if left_s and self._storage.by_age:
            raise Unavailable(
                "The clock was set, or was not seen for long: nothing is deleted for its age "
                f"for the next {left_s / 3600:.1f} hours. If the date is right, just wait")
        done = self._storage.cleanup(utc_now())
        for recording_id in done.deleted:
            self._forget(recording_id)
        return done

    def find_doomed(self) -> list[Doomed]:
        """What a cleanup would delete now."""
        return self._storage.find_doomed(utc_now())

    def remove(self, recording_id: str) -> None:
        """A complete recording, for a quota. Raises what `Storage.remove` does."""
        self._storage.remove(recording_id, True, (RecordingStatus.COMPLETE,))
        self._forget(recording_id)
