"""The `users` and `sessions` tables: who may log in, and who has.

Called by `brlib.accounts`. What must hold whoever else writes at the same moment (an admin
stays, a session is replaced once) is decided inside the transaction that writes; the daemon
and the command line are two processes.
"""

from __future__ import annotations

import sqlite3
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime

from ..errors import Conflict, NotFound
from ..models import Role, User
from .base import Database, need_time, to_text, to_time

SESSIONS_MAX = 100


@dataclass(frozen=True)
class Login:
    """What a password is checked against; nothing else carries the hash."""

    user: User
    password_hash: str = field(repr=False)


@dataclass(frozen=True)
class Session:
    """A login that has not been ended, with its user as of now."""

    id: str
    user: User


class Users:
    def __init__(self, database: Database) -> None:
        self._database = database

    def find_all(self) -> list[User]:
        return [to_user(row) for row in self._rows()]

    def get(self, user_id: str) -> User:
        """Raises NotFound."""
        rows = self._database.rows("SELECT * FROM users WHERE id = ?", (user_id,))
        if not rows:
            raise _unknown(user_id)
        return to_user(rows[0])

    def find_by_name(self, username: str) -> User | None:
        """Case does not matter, in any script."""
        login = self.find_login(username)
        return login.user if login else None

    def find_login(self, username: str) -> Login | None:
        """A user by name, with what the password is checked against."""
        row = _named(self._rows(), username)
        return Login(to_user(row), row["password"]) if row else None

    def add(self, user: User, password_hash: str) -> None:
        """Raises Conflict when there is a user of that name."""
        with self._database.write() as db:
            _need_free_name(db, user.username)
            _insert(db, user, password_hash)

    def add_first(self, user: User, password_hash: str) -> bool:
        """Add a user only where there is none at all; False when there is."""
        with self._database.write() as db:
            if db.execute("SELECT 1 FROM users LIMIT 1").fetchone():
                return False
            _insert(db, user, password_hash)
        return True

    def change(
        self, user_id: str, username: str | None = None, role: Role | None = None,
        password_hash: str | None = None,
    ) -> User:
        """Set what is given; the user as it is then. Another role and any new password end
        the user's sessions. Raises NotFound, and Conflict for a name that is taken and for
        the last admin's role."""
        with self._database.write() as db:
            row = _need(db, user_id)
            if username is not None:
                _need_free_name(db, username, but=user_id)
            if role is Role.VIEWER:
                _need_other_admin(db, row)
            db.execute(
                "UPDATE users SET username = ?, role = ?, password = ? WHERE id = ?",
                (row["username"] if username is None else username, role or row["role"],
                 row["password"] if password_hash is None else password_hash, user_id))
            changed = to_user(_need(db, user_id))
            if password_hash is not None or changed.role != row["role"]:
                db.execute("DELETE FROM sessions WHERE user_id = ?", (user_id,))
        return changed

    def delete(self, user_id: str) -> None:
        """With all sessions. Raises NotFound, and Conflict for the last admin."""
        with self._database.write() as db:
            _need_other_admin(db, _need(db, user_id))
            db.execute("DELETE FROM users WHERE id = ?", (user_id,))
        self._database.scrub()

    def _rows(self) -> list[sqlite3.Row]:
        return self._database.rows("SELECT * FROM users ORDER BY rowid")


class Sessions:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, session_id: str, login: Login, now: datetime, expires_at: datetime
    ) -> User | None:
        """Begin a session and note the login: the user as of now, or None when the user is
        gone or has another password than the one that was checked. The oldest of more than
        100 sessions end."""
        with self._database.write() as db:
            row = db.execute("SELECT * FROM users WHERE id = ? AND password = ?",
                             (login.user.id, login.password_hash)).fetchone()
            if row is None:
                return None
            _begin(db, session_id, row["id"], now, expires_at)
            db.execute("UPDATE users SET last_login_at = ? WHERE id = ?",
                       (to_text(now), row["id"]))
            return to_user(_need(db, row["id"]))

    def find(self, session_id: str) -> Session | None:
        rows = self._database.rows(
            "SELECT users.* FROM sessions JOIN users ON users.id = sessions.user_id"
            " WHERE sessions.id = ?", (session_id,))
        return Session(session_id, to_user(rows[0])) if rows else None

    def replace(
        self, old_id: str, new_id: str, now: datetime, expires_at: datetime
    ) -> User | None:
        """End one session and begin another: the user as of now, or None when the old one
        was gone already, as for the later of two that try."""
        with self._database.write() as db:
            row = db.execute(
                "SELECT users.* FROM sessions JOIN users ON users.id = sessions.user_id"
                " WHERE sessions.id = ?", (old_id,)).fetchone()
            if row is None:
                return None
            db.execute("DELETE FROM sessions WHERE id = ?", (old_id,))
            _begin(db, new_id, row["id"], now, expires_at)
            return to_user(row)

    def delete(self, session_id: str) -> bool:
        """False when there is no such session."""
        with self._database.write() as db:
            return bool(db.execute(
                "DELETE FROM sessions WHERE id = ?", (session_id,)).rowcount)

    def delete_of_user(self, user_id: str) -> int:
        """How many there were."""
        with self._database.write() as db:
            return db.execute("DELETE FROM sessions WHERE user_id = ?", (user_id,)).rowcount

    def prune(self, before: datetime, begun_after: datetime) -> int:
        """Drop the sessions that expired before a moment, and those that began after another:
        a clock that was wrong then would let them live for years. How many there were."""
        with self._database.write(durable=False) as db:
            return db.execute(
                "DELETE FROM sessions WHERE expires_at < ? OR created_at > ?",
                (to_text(before), to_text(begun_after))).rowcount


def _name_key(username: str) -> str:
    """Two names with the same key are one: SQLite's own lower() knows ASCII alone."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold())


def _named(rows: list[sqlite3.Row], username: str) -> sqlite3.Row | None:
    key = _name_key(username)
    return next((row for row in rows if _name_key(row["username"]) == key), None)


def _need(db: sqlite3.Connection, user_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM users WHERE id = ?", (user_id,)).fetchone()
    if row is None:
        raise _unknown(user_id)
    return row


def _need_free_name(db: sqlite3.Connection, username: str, but: str = "") -> None:
    others = db.execute("SELECT * FROM users WHERE id != ?", (but,)).fetchall()
    taken = _named(others, username)
    if taken:
        raise Conflict(f"There is a user {taken['username']!r} already")


def _need_other_admin(db: sqlite3.Connection, row: sqlite3.Row) -> None:
    """What is done to this user must leave an admin."""
    if row["role"] == Role.ADMIN and not db.execute(
            "SELECT 1 FROM users WHERE role = ? AND id != ?", (Role.ADMIN, row["id"])).fetchone():
        raise Conflict(f"{row['username']!r} is the last admin: make another one first")


def _insert(db: sqlite3.Connection, user: User, password_hash: str) -> None:
    db.execute(
        "INSERT INTO users (id, username, password, role, created_at, last_login_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (user.id, user.username, password_hash, user.role, to_text(user.created_at),
         to_text(user.last_login_at)))


def _begin(
    db: sqlite3.Connection, session_id: str, user_id: str, now: datetime, expires_at: datetime
) -> None:
    db.execute("INSERT INTO sessions (id, user_id, created_at, expires_at) VALUES (?, ?, ?, ?)",
               (session_id, user_id, to_text(now), to_text(expires_at)))
    # By rowid, which only grows: the clock may have been set back.
    db.execute(
        "DELETE FROM sessions WHERE user_id = ?1 AND rowid NOT IN (SELECT rowid FROM sessions"
        " WHERE user_id = ?1 ORDER BY rowid DESC LIMIT ?2)", (user_id, SESSIONS_MAX))


def _unknown(user_id: str) -> NotFound:
    return NotFound(f"User with ID {user_id} does not exist")


def to_user(row: sqlite3.Row) -> User:
    return User(row["id"], row["username"], Role(row["role"]), need_time(row["created_at"]),
                to_time(row["last_login_at"]))
