"""A store with something in every table, and how to tear it. For tests of what is saved then."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from brlib.models import Gap, GapCause, RecordingStatus, Role, User
from brlib.store import Store, open_or_rebuild, open_store
from brlib.store.api_keys import FULL
from brlib.store.credentials import API, Credential
from brlib.store.damage import damage_of

from .test_store import CHANNEL, FULL_CHANNEL, MOMENT, RECORDING

PAGE = 4096
NAME = "db.sqlite3"
RECORDINGS = 400
GAP = Gap(MOMENT, 1.0, 2.0, 3, GapCause.NETWORK)
ADMIN = User("usr_1", "boss", Role.ADMIN, MOMENT)


def fill(store: Store) -> None:
    for channel in (CHANNEL, FULL_CHANNEL):
        store.channels.add(channel)
    store.users.add(ADMIN, "scrypt:hash")
    store.users.add(User("usr_2", "guest", Role.VIEWER, MOMENT), "scrypt:hash")
    login = store.users.find_login("boss")
    assert login is not None
    store.sessions.add("ses_1", login, MOMENT, MOMENT + timedelta(days=1))
    store.credentials.put(Credential("cred_1", "twitch", API, "secret", MOMENT))
    store.rests.keep("twitch", MOMENT)
    store.kick_ids["somebody"] = 7
    for n in range(RECORDINGS):
        store.recordings.add(replace(
            RECORDING, id=f"rec_{n:03d}", started_at=MOMENT + timedelta(minutes=n),
            status=RecordingStatus.COMPLETE, files=(f"/srv/{n}.mp4",)))
    store.recordings.set_gaps("rec_000", [GAP])
    store.recordings.set_gaps(f"rec_{RECORDINGS - 1}", [GAP, GAP])
    for label in ("a", "b"):
        store.api_keys.create(label, FULL)
    store.api_keys.revoke(2)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store with something in every table."""
    directory = tmp_path_factory.mktemp("sound")
    with closing(open_store(directory / NAME)) as store:
        fill(store)
    return directory / NAME


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as kill -9 leaves it: all of it in the log, next to nothing in the file."""
    directory = tmp_path_factory.mktemp("killed")
    with closing(open_store(directory / NAME)) as store, pytest.MonkeyPatch.context() as patch:
        store.database._writer.execute("PRAGMA wal_autocheckpoint = 0")
        # It ended before the revoked key was out of the log.
        patch.setattr(store.database, "scrub", lambda: None)
        fill(store)
        shutil.copytree(directory, directory / "copy")
    return directory / "copy" / NAME


@pytest.fixture
def path(tmp_path: Path, sound: Path) -> Path:
    shutil.copy(sound, tmp_path / NAME)
    return tmp_path / NAME


def tear(path: Path, offset: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def pages_of(path: Path, table: str) -> list[int]:
    """The numbers of a table's leaf pages in the order of its rows, its root the last."""
    with closing(sqlite3.connect(path)) as db:
        (root,) = db.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    page = path.read_bytes()[(root - 1) * PAGE:root * PAGE]
    if page[0] != 5:
        return [root]
    count = int.from_bytes(page[3:5], "big")
    cells = [int.from_bytes(page[12 + 2 * n:14 + 2 * n], "big") for n in range(count)]
    leaves = [int.from_bytes(page[cell:cell + 4], "big") for cell in cells]
    return [*leaves, int.from_bytes(page[8:12], "big"), root]


def zero(path: Path, page: int) -> None:
    tear(path, (page - 1) * PAGE, bytes(PAGE))


def mended(path: Path, expected: bool = True) -> tuple[Store, str]:
    """The store after a start that has to rebuild it, and why it was."""
    before = {p.name: p.read_bytes() for p in path.parent.glob(NAME + "*")
              if not p.name.endswith(("-shm", ".suspect"))}
    store, rebuilt = open_or_rebuild(path, expected)
    try:
        assert rebuilt is not None
        for name, data in before.items():
            aside = rebuilt.aside.name + name.removeprefix(NAME)
            assert (path.parent / aside).read_bytes() == data, "what is set aside is kept as it was"
        assert damage_of(path) is None
        rebuilt.done()
        assert path.stat().st_mode & 0o077 == 0
    except BaseException:
        store.close()
        raise
    return store, rebuilt.reason


def again(path: Path) -> None:
    """The next start finds nothing wrong."""
    store, rebuilt = open_or_rebuild(path, True)
    store.close()
    assert rebuilt is None
