"""Tests of logging in, of new tokens for old ones, and of how a login ends."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from brlib.accounts import Accounts
from brlib.errors import TokenExpired, Unauthorized
from brlib.models import Caller, Role
from brlib.passwords import Passwords
from brlib.store.users import SESSIONS_MAX

from .people import KEY, NOW, PASSWORD, QUICK, People, claims_of, people, race, refused

DAY_S, HOUR_S = 86400, 3600


@pytest.fixture
def world(tmp_path: Path) -> Iterator[People]:
    with people(tmp_path, jwt_secret=KEY) as one:
        one.add("anna")
        one.add("bert", Role.VIEWER)
        yield one


def test_a_login(world: People) -> None:
    token = world.accounts.login("ANNA", PASSWORD)
    anna = world.accounts.get_named("anna")
    assert token.expires_at == NOW.replace(microsecond=0) + timedelta(days=1)
    claims = claims_of(token.text)
    assert claims == {
        "sub": anna.id, "role": "admin", "jti": claims["jti"], "iat": int(NOW.timestamp()),
        "exp": int(token.expires_at.timestamp())}
    assert world.accounts.caller(token.text) == Caller(
        "anna", Role.ADMIN, f"user:{anna.id}", claims["jti"])


def test_every_login_is_its_own(world: People) -> None:
    one, other = world.login("bert"), world.login("bert")
    world.accounts.logout(world.accounts.caller(one))
    refused(world, one)
    assert world.accounts.caller(other).role is Role.VIEWER


WRONG = [
    ("anna", "wrong password"), ("nobody", PASSWORD), ("anna", ""), ("", PASSWORD), ("", ""),
    ("anna", "x" * 1024), ("x" * 64, PASSWORD), ("an\ud800na", PASSWORD),
]


@pytest.mark.parametrize("username, password", [
    *WRONG, ("anna", "x" * 1025), ("anna", "\ud800"), ("nobody", "\ud800"),
    ("x" * 1_000_000, PASSWORD), ("anna", PASSWORD + " "), (" anna", PASSWORD),
])
def test_one_answer_for_every_wrong_login(world: People, username: str, password: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        world.accounts.login(username, password)
    assert type(caught.value) is Unauthorized
    assert str(caught.value) == "The user name or the password is wrong"


def test_every_wrong_login_costs_the_same(
    world: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one ever, which makes the hash of nobody, and those after it."""
    calls: list[tuple[int, int, int]] = []
    real = hashlib.scrypt

    def counted(password: bytes, *, n: int, r: int, p: int, **more: Any) -> bytes:
        calls.append((n, r, p))
        return real(password, n=n, r=r, p=p, **more)

    monkeypatch.setattr("hashlib.scrypt", counted)
    costs = set()
    for username, password in WRONG:
        accounts = Accounts(world.store, lambda: world.settings, lambda: world.now,
                            Passwords(QUICK))
        for _ in range(2):
            with pytest.raises(Unauthorized):
                accounts.login(username, password)
        costs.add(tuple(calls))
        calls.clear()
    assert costs == {((1024, 8, 1),) * 3}


def test_a_password_changed_meanwhile_lets_nobody_in(world: People) -> None:
    """It was checked, which takes its time, against the hash of before."""
    class Slow(Passwords):
        def fits(self, password: str, password_hash: str | None) -> bool:
            fits = super().fits(password, password_hash)
            world.accounts.change_user(
                world.accounts.get_named("anna").id, password="another one")
            return fits

    accounts = Accounts(world.store, lambda: world.settings, lambda: world.now, Slow(QUICK))
    with pytest.raises(Unauthorized):
        accounts.login("anna", PASSWORD)
    assert world.store.database.rows("SELECT * FROM sessions") == []


# The end of a login.


@pytest.mark.parametrize("after_s, caller, refreshed", [
    (0, True, True), (DAY_S - 1, True, True), (DAY_S, False, True),
    (DAY_S + HOUR_S - 1, False, True), (DAY_S + HOUR_S + 1, False, False),
    (-10 * DAY_S, True, True),
])
def test_time_ends_it(world: People, after_s: int, caller: bool, refreshed: bool) -> None:
    token = world.login("anna")
    world.pass_time(after_s)
    if caller:
        assert world.accounts.caller(token).name == "anna"
    else:
        with pytest.raises(TokenExpired):
            world.accounts.caller(token)
    if refreshed:
        newer = world.accounts.refresh(token)
        assert newer.expires_at == world.now.replace(microsecond=0) + timedelta(days=1)
        assert world.accounts.caller(newer.text).name == "anna"
        refused(world, token)
    else:
        with pytest.raises(Unauthorized, match="log in"):
            world.accounts.refresh(token)


def test_one_clock_alone_counts(world: People) -> None:
    world.pass_time(200 * 365 * DAY_S)
    assert world.accounts.caller(world.login("anna")).name == "anna"


def test_the_configured_times(world: People) -> None:
    world.set(session_duration=60.0, refresh_grace=0.0)
    token = world.login("anna")
    world.pass_time(61)
    with pytest.raises(Unauthorized):
        world.accounts.refresh(token)
    world.set(refresh_grace=60.0)
    assert world.accounts.refresh(token).expires_at > world.now


def demote_behind_the_back(world: People) -> None:
    """As no code of ours does it: the session stays."""
    with world.store.database.write() as db:
        db.execute("UPDATE users SET role = 'viewer' WHERE username = 'anna'")


ENDS: list[Callable[[People, Caller], object]] = [
    lambda w, c: w.accounts.logout(c),
    lambda w, c: w.accounts.end_sessions(w.accounts.get_named("anna").id),
    lambda w, c: w.accounts.delete_user(w.accounts.get_named("anna").id),
    lambda w, c: w.accounts.change_user(w.accounts.get_named("anna").id, role=Role.VIEWER),
    lambda w, c: w.accounts.change_user(w.accounts.get_named("anna").id, password=PASSWORD),
]


@pytest.mark.parametrize("end", ENDS, ids=["logout", "ended", "deleted", "demoted", "password"])
@pytest.mark.parametrize("expired", [False, True])
def test_a_login_ends_at_once(
    world: People, end: Callable[[People, Caller], object], expired: bool
) -> None:
    world.add("carl")
    token, others = world.login("anna"), world.login("bert")
    caller = world.accounts.caller(token)
    end(world, caller)
    if expired:
        world.pass_time(DAY_S + 1)
    refused(world, token)
    world.accounts.refresh(others)


@pytest.mark.parametrize("change", [
    {"username": "anne"}, {"role": Role.ADMIN}, {"username": "ANNA", "role": Role.ADMIN}, {}])
def test_what_does_not_end_it(world: People, change: dict[str, Any]) -> None:
    token = world.login("anna")
    user = world.accounts.change_user(world.accounts.get_named("anna").id, **change)
    assert world.accounts.caller(token).name == user.username


def test_another_role_than_the_tokens_is_refused(world: People) -> None:
    token = world.login("anna")
    demote_behind_the_back(world)
    with pytest.raises(Unauthorized):
        world.accounts.caller(token)
    newer = world.accounts.refresh(token).text
    assert world.accounts.caller(newer).role is Role.VIEWER
    assert claims_of(newer)["role"] == "viewer"


def test_one_of_two_refreshes_wins(tmp_path: Path) -> None:
    with people(tmp_path, jwt_secret=KEY) as one, people(tmp_path, jwt_secret=KEY) as other:
        one.add("anna")
        token = one.login("anna")
        results = race([(one, lambda: one.accounts.refresh(token)),
                        (other, lambda: other.accounts.refresh(token))])
        assert [isinstance(result, Unauthorized) for result in results].count(True) == 1
        assert len(one.store.database.rows("SELECT * FROM sessions")) == 1


def test_the_oldest_of_many_logins_end(world: People) -> None:
    tokens = [world.login("anna") for _ in range(2)]
    others = world.login("bert")
    world.pass_time(-HOUR_S)  # a clock that was set back makes nobody older
    for _ in range(SESSIONS_MAX - 2):
        world.login("anna")
    assert world.accounts.caller(tokens[0])
    world.login("anna")
    refused(world, tokens[0])
    for token in (tokens[1], others):
        assert world.accounts.caller(token)


def test_a_login_drops_what_nobody_can_refresh(world: People) -> None:
    old = world.accounts.caller(world.login("anna")).session_id
    world.pass_time(HOUR_S)
    kept = world.accounts.caller(world.login("anna")).session_id
    world.pass_time(DAY_S + 1)
    new = world.accounts.caller(world.login("bert")).session_id
    rows = world.store.database.rows("SELECT id FROM sessions")
    assert {row["id"] for row in rows} == {kept, new} and old not in (kept, new)
