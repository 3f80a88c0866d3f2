"""The `credentials` and `login_flows` tables: what platforms know us by, and logins under way.

Called by `brlib.credentials` alone. Another secret is another credential with another id:
whoever asked a platform about one changes nothing about a newer one that came meanwhile.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from .base import Database, need_time, to_text, to_time

API, PLAYBACK = "api", "playback"
DEVICE, REDIRECT = "device", "redirect"


class Status(StrEnum):
    """What is known of a credential that is kept."""

    UNVERIFIED = "unverified"
    CONNECTED = "connected"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Credential:
    """`secret` is an access token, a website's token or the text of a cookies file.

    `older_refresh_token` is the last one that worked: some platforms lose the newer.
    `announced`: the event that says it has expired was sent.
    """

    id: str
    platform: str
    kind: str
    secret: str = field(repr=False)
    stored_at: datetime
    status: Status = Status.UNVERIFIED
    refresh_token: str | None = field(default=None, repr=False)
    older_refresh_token: str | None = field(default=None, repr=False)
    client_id: str | None = None
    username: str | None = None
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    last_validated: datetime | None = None
    problem: str | None = None
    announced: bool = False


@dataclass(frozen=True)
class LoginFlow:
    """A login that a person has begun. `secret` is the device code or the PKCE verifier; the
    id is the `state` of a redirect."""

    id: str = field(repr=False)
    platform: str
    flow: str
    secret: str = field(repr=False)
    client_id: str
    started_at: datetime
    expires_at: datetime
    interval_s: float = 0.0


class Credentials:
    def __init__(self, database: Database) -> None:
        self._database = database

    def find_all(self) -> list[Credential]:
        return [to_credential(row) for row in self._database.rows(
            "SELECT * FROM credentials ORDER BY platform, kind")]

    def find(self, platform: str, kind: str) -> Credential | None:
        rows = self._database.rows(
            "SELECT * FROM credentials WHERE platform = ? AND kind = ?", (platform, kind))
        return to_credential(rows[0]) if rows else None

    def put(self, *credentials: Credential) -> None:
        """Keep each in place of what was kept of that platform and kind; all or none."""
        with self._database.write() as db:
            for credential in credentials:
                _insert(db, "credentials", credential)

    def replace(self, credential_id: str, newer: Credential) -> bool:
        """False, and nothing is kept, when the old one is not there any more."""
        with self._database.write() as db:
            if not db.execute(
                    "DELETE FROM credentials WHERE id = ?", (credential_id,)).rowcount:
                return False
            _insert(db, "credentials", newer)
        return True

    def change(self, credential_id: str, **changes: Any) -> bool:
        """Set some columns; False when it is not there any more."""
        assignments = ", ".join(f"{name} = ?" for name in changes)
        values = tuple(_stored(value) for value in changes.values())
        with self._database.write() as db:
            return bool(db.execute(
                f"UPDATE credentials SET {assignments} WHERE id = ?",
                (*values, credential_id)).rowcount)

    def announce(self, credential_id: str) -> bool:
        """Note that its end is announced; False when that was so already or it is gone."""
        with self._database.write() as db:
            return bool(db.execute(
                "UPDATE credentials SET announced = 1 WHERE id = ? AND announced = 0",
                (credential_id,)).rowcount)

    def delete(self, platform: str) -> list[str]:
        """Everything of a platform, logins under way included; the kinds that there were."""
        with self._database.write() as db:
            kinds = [row["kind"] for row in db.execute(
                "SELECT kind FROM credentials WHERE platform = ? ORDER BY kind", (platform,))]
            for table in ("credentials", "login_flows"):
                db.execute(f"DELETE FROM {table} WHERE platform = ?", (platform,))
        self._database.scrub()
        return kinds


class LoginFlows:
    def __init__(self, database: Database) -> None:
        self._database = database

    def find_all(self) -> list[LoginFlow]:
        return [to_flow(row) for row in self._database.rows(
            "SELECT * FROM login_flows ORDER BY started_at, id")]

    def add(self, flow: LoginFlow, at_most: int) -> None:
        """The oldest of more than `at_most` of a platform end."""
        with self._database.write() as db:
            _insert(db, "login_flows", flow)
            db.execute(
                "DELETE FROM login_flows WHERE platform = ? AND id NOT IN (SELECT id FROM"
                " login_flows WHERE platform = ? ORDER BY rowid DESC LIMIT ?)",
                (flow.platform, flow.platform, at_most))

    def take(self, flow_id: str, platform: str) -> LoginFlow | None:
        """Get it once: it is gone then. None: there is none such."""
        with self._database.write() as db:
            row = db.execute("SELECT * FROM login_flows WHERE id = ? AND platform = ?",
                             (flow_id, platform)).fetchone()
            db.execute("DELETE FROM login_flows WHERE id = ? AND platform = ?",
                       (flow_id, platform))
        return to_flow(row) if row else None

    def slow_down(self, flow_id: str, interval_s: float) -> None:
        with self._database.write() as db:
            db.execute("UPDATE login_flows SET interval_s = ? WHERE id = ?",
                       (interval_s, flow_id))

    def finish(self, flow_id: str, credential: Credential) -> bool:
        """End it and keep what it brought, at once; False, and nothing is kept, when someone
        has ended it meanwhile."""
        with self._database.write() as db:
            if not db.execute("DELETE FROM login_flows WHERE id = ?", (flow_id,)).rowcount:
                return False
            _insert(db, "credentials", credential)
        return True


def _insert(db: sqlite3.Connection, table: str, subject: Credential | LoginFlow) -> None:
    names = [f.name for f in fields(subject)]
    db.execute(
        f"INSERT OR REPLACE INTO {table} ({', '.join(names)}) "
        f"VALUES ({', '.join('?' * len(names))})",
        tuple(_stored(getattr(subject, name)) for name in names))


def _stored(value: Any) -> Any:
    if isinstance(value, tuple):
        return " ".join(value)
    return to_text(value) if isinstance(value, datetime) else value


def to_credential(row: sqlite3.Row) -> Credential:
    values = dict(row)
    values.update(
        status=Status(row["status"]),
        scopes=tuple(row["scopes"].split()),
        announced=bool(row["announced"]),
        stored_at=need_time(row["stored_at"]),
        expires_at=to_time(row["expires_at"]),
        last_validated=to_time(row["last_validated"]),
    )
    return Credential(**values)


def to_flow(row: sqlite3.Row) -> LoginFlow:
    values = dict(row)
    values.update(started_at=need_time(row["started_at"]),
                  expires_at=need_time(row["expires_at"]))
    return LoginFlow(**values)
