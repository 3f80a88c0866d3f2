"""SQLite: what must survive a restart and is not in a capture's ledger.

`open_store` gives one object with a table group each; the engine and the API share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .api_keys import ApiKeys
from .base import Database
from .channels import Channels
from .credentials import Credentials, LoginFlows
from .platform_ids import PlatformIds
from .recordings import Recordings
from .rests import Rests
from .users import Sessions, Users


@dataclass(frozen=True)
class Store:
    database: Database
    channels: Channels
    recordings: Recordings
    api_keys: ApiKeys
    users: Users
    sessions: Sessions
    credentials: Credentials
    login_flows: LoginFlows
    rests: Rests
    kick_ids: PlatformIds

    def close(self) -> None:
        self.database.close()


def open_store(path: Path) -> Store:
    """Open (and make or migrate) the database. Raises sqlite3.Error or OSError."""
    database = Database(path)
    return Store(
        database, Channels(database), Recordings(database), ApiKeys(database), Users(database),
        Sessions(database), Credentials(database), LoginFlows(database),
        Rests(database), PlatformIds(database, "kick"))
