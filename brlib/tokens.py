"""Login tokens: JWTs signed with HS256, and the key that signs them. Used by accounts.

A token only says which session it belongs to and until when; whether that session is still
there is the store's to say.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import jwt

from . import disk
from .errors import ConfigError, Problem, RecorderError, Unauthorized
from .models import User

ALGORITHM = "HS256"
CLAIMS = ("sub", "role", "iat", "exp", "jti")
# Ours have about 250 characters.
TOKEN_MAX = 4096
KEY_BYTES = 48
# RFC 7518, 3.2: a key for HS256 has at least 256 bits.
KEY_LENGTH_MIN = 32


@dataclass(frozen=True)
class Claims:
    """What a genuine token says; `expires_s` is a Unix time."""

    user_id: str
    role: str
    session_id: str
    expires_s: int


class Signer:
    """Makes tokens and reads them. Raises ConfigError when the key is none."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        try:
            jwt.encode({}, key, ALGORITHM)
        except jwt.InvalidKeyError as error:
            # PyJWT refuses whatever looks like a public key or a JSON object.
            raise ConfigError("configuration", [Problem("jwt_secret", str(error))]) from error

    def sign(self, user: User, session_id: str, now: datetime, expires_at: datetime) -> str:
        return jwt.encode(
            {"sub": user.id, "role": str(user.role), "jti": session_id,
             "iat": int(now.timestamp()), "exp": int(expires_at.timestamp())},
            self._key, ALGORITHM)

    def read(self, text: str) -> Claims:
        """The claims of a token that we signed, however old. Raises Unauthorized."""
        if len(text) > TOKEN_MAX or not text.isascii():
            raise Unauthorized("This is no token of a login here")
        try:
            # The times are for the caller's clock; PyJWT would ask its own.
            said = jwt.decode(
                text, self._key, algorithms=[ALGORITHM],
                options={"require": list(CLAIMS), "verify_exp": False, "verify_iat": False})
        except jwt.PyJWTError as error:
            raise Unauthorized("This is no token of a login here") from error
        if not all(type(said[name]) is int for name in ("iat", "exp")):
            raise Unauthorized("This is no token of a login here")
        return Claims(said["sub"], str(said["role"]), said["jti"], said["exp"])


def kept_key(path: Path) -> bytes:
    """The key in a file that only its owner reads; made where there is none. One process
    alone may do that at a time. Raises OSError, RecorderError."""
    if not path.exists():
        _keep(path, secrets.token_urlsafe(KEY_BYTES).encode())
    key = path.read_bytes().strip()
    if len(key) < KEY_LENGTH_MIN:
        raise RecorderError(
            f"{path} holds no key of {KEY_LENGTH_MIN} characters or more: delete it and a new "
            "one is made (everyone has to log in again)")
    return key


def _keep(path: Path, key: bytes) -> None:
    """Whole or not at all, whenever the power goes."""
    # mkstemp's files are 0600 from the start.
    fd, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with open(fd, "wb") as file:
            file.write(key + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    disk.sync(path.parent)
