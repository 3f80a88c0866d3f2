"""Tests of users and passwords: brlib.accounts, brlib.passwords and brlib.store.users."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from brlib.accounts import Accounts
from brlib.errors import ConfigError, Conflict, Invalid, NotFound, Unauthorized, Unavailable
from brlib.models import Role
from brlib.passwords import AT_ONCE, GENERATED_LENGTH, Passwords, generated_password
from brlib.store.api_keys import FULL

from .people import NOW, PASSWORD, QUICK, People, people, race


@pytest.fixture
def world(tmp_path: Path) -> Iterator[People]:
    with people(tmp_path) as one:
        yield one


def test_users_and_back(world: People) -> None:
    anna = world.add("Anna Ä 😀")
    world.pass_time(1)
    bert = world.add("bert", Role.VIEWER)
    assert (anna.role, anna.created_at, anna.last_login_at) == (Role.ADMIN, NOW, None)
    assert anna.id.startswith("usr_") and anna.id != bert.id
    assert world.accounts.find_users() == [anna, bert]
    assert world.accounts.get_user(bert.id) == bert
    assert world.accounts.get_named("BERT") == bert
    world.login("bert")
    assert world.accounts.get_user(bert.id).last_login_at == NOW + timedelta(seconds=1)
    world.accounts.delete_user(bert.id)
    assert world.accounts.find_users() == [anna]


@pytest.mark.parametrize("change, name, password, role", [
    ({}, "bert", PASSWORD, Role.VIEWER),
    ({"username": "Bert"}, "Bert", PASSWORD, Role.VIEWER),
    ({"username": "carl"}, "carl", PASSWORD, Role.VIEWER),
    ({"password": "another one"}, "bert", "another one", Role.VIEWER),
    ({"role": Role.ADMIN}, "bert", PASSWORD, Role.ADMIN),
    ({"username": "carl", "password": "another one", "role": Role.ADMIN},
     "carl", "another one", Role.ADMIN),
])
def test_changes(
    world: People, change: dict[str, Any], name: str, password: str, role: Role
) -> None:
    world.add("anna")
    bert = world.add("bert", Role.VIEWER)
    changed = world.accounts.change_user(bert.id, **change)
    assert (changed.id, changed.username, changed.role) == (bert.id, name, role)
    assert world.accounts.get_user(bert.id) == changed
    token = world.accounts.login(name, password)
    assert world.accounts.caller(token.text).role is role


@pytest.mark.parametrize("one, other", [
    ("anna", "anna"), ("anna", "ANNA"), ("änna", "ÄNNA"), ("straße", "STRASSE"),
    ("e\u0301va", "\u00e9va"), ("ﬁn", "fin"),
])
def test_one_user_a_name(world: People, one: str, other: str) -> None:
    first, second = world.add(one), world.add("bert")
    with pytest.raises(Conflict, match="already"):
        world.add(other)
    with pytest.raises(Conflict, match="already"):
        world.accounts.change_user(second.id, username=other)
    assert world.accounts.find_users() == [first, second]
    assert world.accounts.caller(world.login(other)).name == one


@pytest.mark.parametrize("username, password, fields", [
    ("", PASSWORD, ["username"]),
    ("x" * 65, PASSWORD, ["username"]),
    (" anna", PASSWORD, ["username"]),
    ("anna\u00a0", PASSWORD, ["username"]),
    ("an\nna", PASSWORD, ["username"]),
    ("an\x00na", PASSWORD, ["username"]),
    ("an\u202ena", PASSWORD, ["username"]),
    ("an\ud800na", PASSWORD, ["username"]),
    ("anna", "x" * 7, ["password"]),
    ("anna", "", ["password"]),
    ("anna", "x" * 1025, ["password"]),
    ("anna", "\ud800" * 8, ["password"]),
    ("", "", ["username", "password"]),
])
def test_what_makes_no_user(
    world: People, username: str, password: str, fields: list[str]
) -> None:
    anna = world.add("somebody")
    with pytest.raises(Invalid) as caught:
        world.accounts.add_user(username, password, Role.VIEWER)
    assert [problem.field for problem in caught.value.problems] == fields
    with pytest.raises(Invalid):
        world.accounts.change_user(anna.id, username=username, password=password)
    assert world.accounts.find_users() == [anna]


@pytest.mark.parametrize("username, password", [
    ("x" * 64, "x" * 8), ("a", "x" * 1024), ("two words", "\x00\n\t ü😀  "), ("Зоя", "пароль12"),
])
def test_what_makes_one(world: People, username: str, password: str) -> None:
    world.accounts.add_user(username, password, Role.VIEWER)
    assert world.accounts.caller(world.accounts.login(username, password).text).name == username


def test_the_policy_is_the_configurations_present_one(world: People) -> None:
    world.set(min_password_length=len(PASSWORD) + 1)
    with pytest.raises(Invalid, match="at least 14 characters"):
        world.add("anna")


@pytest.mark.parametrize("act", [
    lambda a: a.get_user("usr_no"), lambda a: a.get_named("nobody"),
    lambda a: a.change_user("usr_no", password="12345678"), lambda a: a.change_user("usr_no"),
    lambda a: a.delete_user("usr_no"), lambda a: a.end_sessions("usr_no"),
    lambda a: a.get_user("' OR 1=1 --"),
])
def test_unknown_users(world: People, act: Callable[[Accounts], object]) -> None:
    world.add("anna")
    with pytest.raises(NotFound):
        act(world.accounts)


def test_the_last_admin_stays(world: People) -> None:
    anna, bert = world.add("anna"), world.add("bert", Role.VIEWER)
    for act in (lambda: world.accounts.delete_user(anna.id),
                lambda: world.accounts.change_user(anna.id, role=Role.VIEWER, username="x")):
        with pytest.raises(Conflict, match="last admin"):
            act()
    assert world.accounts.find_users() == [anna, bert]
    world.accounts.change_user(bert.id, role=Role.ADMIN)
    world.accounts.delete_user(anna.id)
    assert [user.id for user in world.accounts.find_users()] == [bert.id]


@pytest.mark.parametrize("demoted", [False, True])
def test_two_last_admins_cannot_both_go(tmp_path: Path, demoted: bool) -> None:
    with people(tmp_path) as one, people(tmp_path) as other:
        anna, bert = one.add("anna"), one.add("bert")
        results = race([
            (one, lambda: one.accounts.delete_user(anna.id)),
            (other, lambda: other.accounts.change_user(bert.id, role=Role.VIEWER) if demoted
             else other.accounts.delete_user(bert.id)),
        ])
        assert [isinstance(result, Conflict) for result in results].count(True) == 1
        assert [user.role for user in one.accounts.find_users()].count(Role.ADMIN) == 1


def test_two_users_of_one_name_cannot_both_come(tmp_path: Path) -> None:
    with people(tmp_path) as one, people(tmp_path) as other:
        results = race([(one, lambda: one.add("änna")), (other, lambda: other.add("Änna"))])
        assert [isinstance(result, Conflict) for result in results].count(True) == 1
        assert len(one.accounts.find_users()) == 1


# The first admin.


def test_a_first_admin_is_made_up(world: People) -> None:
    first = world.accounts.first_admin()
    assert first is not None and first.username == "admin" and first.password is not None
    assert len(first.password) >= GENERATED_LENGTH >= 20
    token = world.accounts.login("admin", first.password)
    assert world.accounts.caller(token.text).role is Role.ADMIN
    assert world.accounts.first_admin() is None
    assert len(world.accounts.find_users()) == 1


def test_the_first_admin_of_the_configuration(tmp_path: Path) -> None:
    with people(tmp_path, admin_username="root", admin_password=PASSWORD) as world:
        first = world.accounts.first_admin()
        assert first is not None and (first.username, first.password) == ("root", None)
        assert world.accounts.caller(world.login("root")).role is Role.ADMIN
        world.set(admin_username="another", admin_password="short")
        assert world.accounts.first_admin() is None


def test_no_first_admin_where_there_is_a_user(world: People) -> None:
    world.add("bert", Role.VIEWER)
    assert world.accounts.first_admin() is None
    assert [user.username for user in world.accounts.find_users()] == ["bert"]


@pytest.mark.parametrize("options, fields", [
    ({"admin_password": "short"}, ["[auth] admin_password"]),
    ({"admin_username": "x" * 65}, ["[auth] admin_username"]),
    ({"admin_username": "", "admin_password": "short"},
     ["[auth] admin_username", "[auth] admin_password"]),
])
def test_a_first_admin_that_cannot_be(
    tmp_path: Path, options: dict[str, str], fields: list[str]
) -> None:
    with people(tmp_path, **options) as world:
        with pytest.raises(ConfigError) as caught:
            world.accounts.first_admin()
        assert [problem.field for problem in caught.value.problems] == fields
        assert "short" not in str(caught.value)
        assert world.accounts.find_users() == []


def test_two_processes_make_one_first_admin(tmp_path: Path) -> None:
    with people(tmp_path) as one, people(tmp_path) as other:
        results = race([(one, one.accounts.first_admin), (other, other.accounts.first_admin)])
        assert results.count(None) == 1
        assert len(one.accounts.find_users()) == 1


def test_made_up_passwords() -> None:
    made = [generated_password(8) for _ in range(50)]
    assert len(set(made)) == 50
    assert not set("".join(made)) & set("0O1lI")
    assert len(generated_password(128)) == 128


# Hashing.


def test_hashes_are_werkzeugs_scrypt_and_salted() -> None:
    passwords = Passwords()
    one, other = passwords.hashed(PASSWORD), passwords.hashed(PASSWORD)
    assert one.startswith("scrypt:32768:8:1$") and one != other
    assert passwords.fits(PASSWORD, one) and not passwords.fits(PASSWORD + "x", one)
    assert not passwords.fits(PASSWORD, None)


def test_few_are_hashed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes 32 MiB; who comes on top is told to come again."""
    inside, go_on = threading.Semaphore(0), threading.Event()

    def slow(password: str, method: str) -> str:
        inside.release()
        assert go_on.wait(10)
        return ""

    monkeypatch.setattr("brlib.passwords.generate_password_hash", slow)
    passwords = Passwords(QUICK, wait_max_s=0.01)
    threads = [threading.Thread(target=passwords.hashed, args=("x",)) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    try:
        assert all(inside.acquire(timeout=10) for _ in threads)
        for act in (lambda: passwords.hashed("x"), lambda: passwords.fits("x", None)):
            with pytest.raises(Unavailable):
                act()
    finally:
        go_on.set()
        for thread in threads:
            thread.join(10)
    assert passwords.hashed("x") == ""


# Secrets.


def test_no_secret_is_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ExitStack() as stack:
        world = stack.enter_context(people(tmp_path, jwt_secret="configured-" * 4))
        first = world.accounts.first_admin()
        world.add("bert")
        token = world.accounts.login("bert", PASSWORD)
        newer = world.accounts.refresh(token.text)
        key = world.store.api_keys.create("label", FULL)
        login = world.store.users.find_login("bert")
        assert first is not None and first.password is not None and login is not None
        shown = [repr(thing) for thing in (
            first, token, newer, login, world.accounts, world.store, world.settings,
            world.accounts.caller(newer.text), world.accounts.caller(key),
            world.accounts.find_users())]
        for wrong in ("wrong password", PASSWORD + "x"):
            with pytest.raises(Unauthorized) as caught:
                world.accounts.login("bert", wrong)
            shown.append(str(caught.value))
        for old in (token.text, "br_" + "x" * 40, newer.text + "x"):
            with pytest.raises(Unauthorized) as caught:
                world.accounts.caller(old)
            shown.append(str(caught.value))
        world.accounts.change_user(login.user.id, password="another " + PASSWORD)
        world.accounts.delete_user(login.user.id)
    text = caplog.text + "\n".join(shown)
    assert "bert" in caplog.text and "was changed: password" in caplog.text
    for secret in (PASSWORD, "wrong password", "configured-", first.password, token.text,
                   newer.text, key, login.password_hash, "scrypt"):
        assert secret not in text
