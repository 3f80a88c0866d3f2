"""Accounts over a store of their own, with a clock that stands, for tests; and races."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from brlib.accounts import Accounts
from brlib.config import Settings
from brlib.errors import RecorderError, Unauthorized
from brlib.models import Role, User
from brlib.passwords import Passwords
from brlib.store import Store, open_store

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
PASSWORD = "correct horse"
KEY = "k" * 64
# A thousandth of the real costs; less memory than this OpenSSL refuses.
QUICK = "scrypt:1024:8:1"
RACE_MAX_S = 20.0


class People:
    """`accounts` of the database in `directory`; the clock moves by hand only."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.settings = Settings(data_directory=directory, **options)
        self.now = NOW
        self.store: Store = open_store(self.settings.database_path)
        self.accounts = Accounts(
            self.store, lambda: self.settings, lambda: self.now, Passwords(QUICK))

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def set(self, **options: Any) -> None:
        self.settings = replace(self.settings, **options)

    def add(self, username: str, role: Role = Role.ADMIN) -> User:
        return self.accounts.add_user(username, PASSWORD, role)

    def login(self, username: str) -> str:
        return self.accounts.login(username, PASSWORD).text


@contextmanager
def people(directory: Path, **options: Any) -> Iterator[People]:
    one = People(directory, **options)
    try:
        yield one
    finally:
        one.store.close()


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, whoever signed it and however old it is."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def refused(world: People, token: str) -> None:
    """Neither as a caller nor for a new token; and not as one that only expired."""
    for act in (world.accounts.caller, world.accounts.refresh):
        with pytest.raises(Unauthorized) as caught:
            act(token)
        assert type(caught.value) is Unauthorized


def race(contestants: list[tuple[People, Callable[[], object]]]) -> list[object]:
    """What actions of as many processes come to when every one has looked at the database
    and is about to write before the first may: a result or a RecorderError each."""
    results: list[object] = [None] * len(contestants)

    def run(number: int) -> None:
        try:
            results[number] = contestants[number][1]()
        except RecorderError as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(contestants))]
    path = contestants[0][0].settings.database_path
    blocker = sqlite3.connect(path, isolation_level=None)
    try:
        blocker.execute("BEGIN IMMEDIATE")
        for thread in threads:
            thread.start()
        deadline_s, pause = time.monotonic() + RACE_MAX_S, threading.Event()
        while not all(one.store.database._write_lock.locked() for one, _ in contestants):
            assert time.monotonic() < deadline_s, "not all came to their write"
            pause.wait(0.005)
    finally:
        blocker.close()
        for thread in threads:
            thread.join(RACE_MAX_S)
    return results
