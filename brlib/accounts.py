"""Who may call: users and their passwords, logins and their tokens, and whom a token names.

Called by the web for every request, by the command line's `user`, and by the service for the
first admin. Whoever is no longer what their token was given for is refused at once: the
session and its user are read from the store each time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .config import Settings
from .errors import (
    ConfigError, Conflict, Invalid, NotFound, Problem, TokenExpired, Unauthorized,
)
from .models import Caller, Role, User, new_id, utc_now
from .passwords import Passwords, generated_password, password_problem
from .store import Store
from .store.api_keys import FULL, PREFIX
from .store.users import Session
from .tokens import Claims, Signer, kept_key

log = logging.getLogger(__name__)

USERNAME_MAX = 64
KEY_FILE = "jwt_secret"
KEY_TEXT_MAX = 100
WRONG = "The user name or the password is wrong"
# A machine that starts in the past has its time from the network before that long.
CLOCK_SLACK = timedelta(days=1)
OVER = "The login is over or was never one: log in"


@dataclass(frozen=True)
class Token:
    """What a login gives; whole seconds."""

    text: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True)
class FirstAdmin:
    """The admin of a first start; `password` is there when it was made up here."""

    username: str
    password: str | None = field(repr=False)


class Accounts:
    """`clock` gives the time, aware. Everything that hashes a password (logging in, adding
    and changing users) may raise Unavailable."""

    def __init__(
        self, store: Store, settings: Callable[[], Settings],
        clock: Callable[[], datetime] = utc_now, passwords: Passwords | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._passwords = passwords or Passwords()
        self._lock = threading.Lock()
        self._signer: Signer | None = None

    def prepare(self) -> None:
        """Read the signing key, or make it: what can fail of this is to fail at the start.
        Without it the first login does the same. Raises ConfigError, RecorderError, OSError."""
        self._signing()

    def _signing(self) -> Signer:
        """Read once: another key is for the next start, and the command line needs none."""
        with self._lock:
            if self._signer is None:
                settings = self._settings()
                self._signer = Signer(
                    settings.jwt_secret.encode("utf-8", "surrogateescape") if settings.jwt_secret
                    else kept_key(settings.data_directory / KEY_FILE))
            return self._signer

    # Logins.

    def login(self, username: str, password: str) -> Token:
        """Raises Unauthorized, with nothing in it or in the time it took that says why."""
        known = self._store.users.find_login(username) if len(username) <= USERNAME_MAX else None
        fits = self._passwords.fits(password, known.password_hash if known else None)
        now, session_id = self._clock(), new_id("ses")
        expires_at = self._expiry(now)
        user = (self._store.sessions.add(session_id, known, now, expires_at)
                if known and fits else None)
        if user is None:
            raise Unauthorized(WRONG)
        self._store.sessions.prune(
            now - timedelta(seconds=self._settings().refresh_grace), now + CLOCK_SLACK)
        log.info("%r has logged in", user.username)
        return self._token(user, session_id, now, expires_at)

    def refresh(self, text: str) -> Token:
        """A new token for one that is good or past its end by no more than `refresh_grace`,
        with the user's present role; the old one ends. Raises Unauthorized."""
        claims, now = self._signing().read(text), self._clock()
        if now.timestamp() > claims.expires_s + self._settings().refresh_grace:
            raise Unauthorized(OVER)
        self._session(claims)
        session_id, expires_at = new_id("ses"), self._expiry(now)
        user = self._store.sessions.replace(claims.session_id, session_id, now, expires_at)
        if user is None:
            raise Unauthorized(OVER)
        return self._token(user, session_id, now, expires_at)

    def caller(self, text: str) -> Caller:
        """Whom an API key or a login's token names. Raises Unauthorized, and TokenExpired for
        a login that time alone has ended."""
        return self._key_holder(text) if text.startswith(PREFIX) else self._user_of(text)

    def logout(self, caller: Caller) -> None:
        """End the caller's login; again does no harm. Raises Conflict for an API key."""
        if caller.session_id is None:
            raise Conflict("This is no login: an API key is revoked instead")
        self._store.sessions.delete(caller.session_id)

    def end_sessions(self, user_id: str) -> None:
        """All logins of a user. Raises NotFound."""
        ended = self._store.sessions.delete_of_user(self.get_user(user_id).id)
        log.info("%d logins of user %s were ended", ended, user_id)

    def _key_holder(self, text: str) -> Caller:
        proper = text.isascii() and len(text) <= KEY_TEXT_MAX
        key = self._store.api_keys.find_by_key(text) if proper else None
        if key is None:
            raise Unauthorized("The API key is not known (or was revoked)")
        role = Role.ADMIN if key.permission == FULL else Role.VIEWER
        return Caller(key.label, role, f"key:{key.id}")

    def _user_of(self, text: str) -> Caller:
        claims = self._signing().read(text)
        session = self._session(claims)
        # Another role ends the user's sessions, so a token of ours never says another one.
        if claims.role != session.user.role:
            raise Unauthorized(OVER)
        if self._clock().timestamp() >= claims.expires_s:
            raise TokenExpired("The login has expired: refresh it or log in again")
        user = session.user
        return Caller(user.username, user.role, f"user:{user.id}", session.id)

    def _session(self, claims: Claims) -> Session:
        session = self._store.sessions.find(claims.session_id)
        if session is None or session.user.id != claims.user_id:
            raise Unauthorized(OVER)
        return session

    def _expiry(self, now: datetime) -> datetime:
        duration = timedelta(seconds=self._settings().session_duration)
        return (now + duration).replace(microsecond=0)

    def _token(
        self, user: User, session_id: str, now: datetime, expires_at: datetime
    ) -> Token:
        return Token(self._signing().sign(user, session_id, now, expires_at), expires_at)

    # Users.

    def find_users(self) -> list[User]:
        return self._store.users.find_all()

    def get_user(self, user_id: str) -> User:
        """Raises NotFound."""
        return self._store.users.get(user_id)

    def get_named(self, username: str) -> User:
        """Case does not matter. Raises NotFound."""
        user = self._store.users.find_by_name(username)
        if user is None:
            raise NotFound(f"There is no user {username!r}")
        return user

    def add_user(self, username: str, password: str, role: Role) -> User:
        """Raises Invalid, Conflict."""
        self._check(username, password)
        user = User(new_id("usr"), username, role, self._clock())
        self._store.users.add(user, self._passwords.hashed(password))
        log.info("User %r (%s) was added as %s", username, user.id, role)
        return user

    def change_user(
        self, user_id: str, username: str | None = None, password: str | None = None,
        role: Role | None = None,
    ) -> User:
        """Another role and any new password end the user's logins. Raises NotFound, Invalid,
        and Conflict for a name that is taken and for the last admin's role."""
        self.get_user(user_id)
        self._check(username, password)
        password_hash = None if password is None else self._passwords.hashed(password)
        user = self._store.users.change(user_id, username, role, password_hash)
        told = {"name": username, "role": role, "password": password}
        log.info("User %r (%s) was changed: %s", user.username, user_id,
                 ", ".join(name for name, value in told.items() if value is not None))
        return user

    def delete_user(self, user_id: str) -> None:
        """Raises NotFound, and Conflict for the last admin."""
        self._store.users.delete(user_id)
        log.info("User %s was deleted", user_id)

    def first_admin(self) -> FirstAdmin | None:
        """Where there is no user yet, make the admin of the configuration, with a random
        password if that names none. None where there is one. Raises ConfigError."""
        if self.find_users():
            return None
        settings = self._settings()
        generated = (None if settings.admin_password
                     else generated_password(settings.min_password_length))
        password = settings.admin_password or generated or ""
        try:
            self._check(settings.admin_username, password)
        except Invalid as error:
            raise ConfigError("configuration", [
                Problem(f"[auth] admin_{problem.field}", problem.message)
                for problem in error.problems]) from error
        user = User(new_id("usr"), settings.admin_username, Role.ADMIN, self._clock())
        if not self._store.users.add_first(user, self._passwords.hashed(password)):
            return None
        log.info("User %r (%s) was made, the first admin", user.username, user.id)
        return FirstAdmin(user.username, generated)

    def _check(self, username: str | None, password: str | None) -> None:
        length_min = self._settings().min_password_length
        found = {
            "username": None if username is None else username_problem(username),
            "password": None if password is None else password_problem(password, length_min),
        }
        problems = [Problem(name, message) for name, message in found.items() if message]
        if problems:
            raise Invalid(problems)


def username_problem(username: str) -> str | None:
    """Why a name is refused; None: it is fine."""
    if not 1 <= len(username) <= USERNAME_MAX:
        return f"must have 1 to {USERNAME_MAX} characters"
    if username != username.strip():
        return "must not begin or end with a space"
    return None if username.isprintable() else "must not hold invisible characters"
