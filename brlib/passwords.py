"""Passwords: what a new one must be, how it is kept, and whether one fits. Used by accounts."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug.security import check_password_hash, generate_password_hash

from .errors import Unavailable

# Longer ones are refused unhashed: what is hashed is paid for before it is known who asks.
PASSWORD_MAX = 1024
# One hashing takes 32 MiB for about a tenth of a second (scrypt with n = 2**15, r = 8).
AT_ONCE = 2
WAIT_MAX_S = 2.0
GENERATED_LENGTH = 20
# None of 0 O 1 l I: it is read from a terminal and typed.
_ALPHABET = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def password_problem(password: str, length_min: int) -> str | None:
    """Why a new password is refused; None: it is fine."""
    if len(password) < length_min:
        return f"must have at least {length_min} characters"
    if len(password) > PASSWORD_MAX:
        return f"must have at most {PASSWORD_MAX} characters"
    return None if _encodable(password) else "must be valid Unicode text"


def generated_password(length_min: int) -> str:
    """A random one that nobody mistypes; 20 characters hold more than 115 bits."""
    length = max(GENERATED_LENGTH, length_min)
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


class Passwords:
    """Hashes with werkzeug's scrypt, a few at a time. `method` is werkzeug's name for the
    algorithm with its costs."""

    def __init__(self, method: str = "scrypt", wait_max_s: float = WAIT_MAX_S) -> None:
        self._method = method
        self._wait_max_s = wait_max_s
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._nobodys: str | None = None

    def hashed(self, password: str) -> str:
        """What is stored of a password. Raises Unavailable."""
        with self._turn():
            return generate_password_hash(password, self._method)

    def fits(self, password: str, password_hash: str | None) -> bool:
        """Whether a password is the one of a hash. None is the hash of nobody: it takes as
        long and nothing fits. Raises Unavailable."""
        if len(password) > PASSWORD_MAX or not _encodable(password):
            return False
        with self._turn():
            # Made for the first who asks, whoever that is: so it betrays nothing.
            if self._nobodys is None:
                self._nobodys = generate_password_hash(secrets.token_urlsafe(), self._method)
            same = check_password_hash(password_hash or self._nobodys, password)
        return same and password_hash is not None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=self._wait_max_s):
            raise Unavailable("Too many passwords are being checked: try again in a moment")
        try:
            yield
        finally:
            self._turns.release()


def _encodable(text: str) -> bool:
    """JSON may bring half of a surrogate pair, which has no bytes to hash."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
