"""The `quota_states` table: what was told last of each quota, so that a restart tells nothing anew.

Used by `quotas`. A quota is a channel's, by its id, or that of all, under "".
"""

from __future__ import annotations

from collections.abc import Mapping

from ..models import QuotaState
from .base import Database


class QuotaStates:
    def __init__(self, database: Database) -> None:
        self._database = database

    def find_all(self) -> dict[str, QuotaState]:
        return {row[0]: QuotaState(row[1]) for row in self._database.rows(
            "SELECT channel_id, state FROM quota_states")}

    def keep(self, states: Mapping[str, QuotaState]) -> None:
        """These and no others."""
        with self._database.write(durable=False) as db:
            db.execute("DELETE FROM quota_states")
            db.executemany("INSERT INTO quota_states VALUES (?, ?)", [
                (channel_id, state.value) for channel_id, state in states.items()])
