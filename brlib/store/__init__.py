"""SQLite: what must survive a restart and is not in a capture's ledger.

`open_store` gives one object with a table group each; the engine and the API share it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from ..errors import Unavailable
from .api_keys import ApiKeys
from .base import Database, is_damage
from .channels import Channels
from .credentials import Credentials, LoginFlows
from .platform_ids import PlatformIds
from .quota_states import QuotaStates
from .rebuild import Rebuilt as Rebuilt
from .rebuild import mend
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
    quota_states: QuotaStates

    def close(self) -> None:
        self.database.close()


def open_store(path: Path) -> Store:
    """Open (and make or migrate) the database. Raises sqlite3.Error or OSError, Unavailable
    when it is of a newer version or damaged."""
    try:
        database = Database(path)
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            raise Unavailable(f"{path} is damaged ({error}): start the daemon, which sets it "
                              "aside and rebuilds it") from error
        raise
    return Store(
        database, Channels(database), Recordings(database), ApiKeys(database), Users(database),
        Sessions(database), Credentials(database), LoginFlows(database),
        Rests(database), PlatformIds(database, "kick"), QuotaStates(database))


def open_or_rebuild(path: Path, expected: bool) -> tuple[Store, Rebuilt | None]:
    """The same for the daemon, which alone may set a damaged database aside and go on with
    what it still gives. `expected`: there must be one, because captures are here."""
    rebuilt = mend(path, expected)
    return open_store(path), rebuilt
