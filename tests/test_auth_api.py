"""Who may call what, over HTTP: logins, users, keys, limits, and those who try without."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from brlib.store import open_store
from brlib.web.app import declared_operations
from brlib.web.routes import Access

from .daemon import Daemon, another_address, run_command
from .test_api import refused
from .listener import Listener

PASSWORD = "correct horse battery"
SECRET = "s" * 64


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    one = Daemon(tmp_path_factory.mktemp("auth"), admin_username="Ann", admin_password=PASSWORD,
                 jwt_secret=SECRET).start()
    yield one
    one.close()


def login(daemon: Daemon, username: str, password: str) -> tuple[int, Any, dict[str, str]]:
    return daemon.call("POST", "/api/auth/login", {"username": username, "password": password},
                       key=None, headers={"X-Forwarded-For": another_address()})


def refresh(daemon: Daemon, token: str) -> tuple[int, Any, dict[str, str]]:
    return daemon.call("POST", "/api/auth/refresh", key=token,
                       headers={"X-Forwarded-For": another_address()})


def token_of(daemon: Daemon, username: str = "Ann", password: str = PASSWORD) -> str:
    status, body, _ = login(daemon, username, password)
    assert status == 200, body
    return str(body["token"])


def add_user(daemon: Daemon, username: str, role: str) -> tuple[str, str]:
    """(id, token) of a new user."""
    status, body, _ = daemon.call("POST", "/api/users", {
        "username": username, "password": PASSWORD, "role": role})
    assert (status, body["role"], body["last_login_at"]) == (201, role, None)
    return str(body["id"]), token_of(daemon, username)


def works(daemon: Daemon, token: str) -> bool:
    status, body, _ = daemon.call("GET", "/api/channels", key=token)
    assert status == 200 or (status, body["error"]["code"]) == (401, "UNAUTHORIZED")
    return status == 200


# Logins.


def test_login_and_refresh_answer_as_the_reference_shows(daemon: Daemon) -> None:
    status, body, headers = login(daemon, "ann", PASSWORD)
    assert (status, sorted(body)) == (200, ["expires_at", "token"])
    assert body["token"].startswith("eyJhbGciOiJIUzI1NiIs")
    assert headers["Cache-Control"] == "no-store"
    ends = datetime.fromisoformat(body["expires_at"])
    assert timedelta(hours=23) < ends - datetime.now(UTC) <= timedelta(hours=24)
    claims = jwt.decode(body["token"], SECRET, algorithms=["HS256"])
    assert sorted(claims) == ["exp", "iat", "jti", "role", "sub"]
    assert (claims["role"], claims["exp"]) == ("admin", int(ends.timestamp()))
    status, fresh, _ = refresh(daemon, body["token"])
    assert (status, sorted(fresh)) == (200, ["expires_at", "token"])
    assert works(daemon, fresh["token"])
    # A refreshed token replaces its session.
    assert not works(daemon, body["token"])
    refused(refresh(daemon, body["token"]), 401, "UNAUTHORIZED")


@pytest.mark.parametrize("username, password", [
    ("Ann", "hunter2hunter2"), ("Ann", PASSWORD + " "), ("nobody", PASSWORD), ("Ann'--", PASSWORD),
    ("Ann", "x" * 2000), ("ánn", PASSWORD),
])
def test_a_wrong_login_says_one_thing(daemon: Daemon, username: str, password: str) -> None:
    message = refused(login(daemon, username, password), 401, "UNAUTHORIZED")
    assert message == refused(login(daemon, "nobody", "nothing"), 401, "UNAUTHORIZED")
    assert password not in message and username not in message


def test_logout_and_ending_sessions(daemon: Daemon) -> None:
    user_id, one = add_user(daemon, "leaver", "viewer")
    two = token_of(daemon, "leaver")
    assert daemon.call("POST", "/api/auth/logout", key=one)[:2] == (204, None)
    assert not works(daemon, one) and works(daemon, two)
    assert daemon.call("DELETE", f"/api/users/{user_id}/sessions")[:2] == (204, None)
    assert not works(daemon, two)
    refused(refresh(daemon, two), 401, "UNAUTHORIZED")
    refused(daemon.call("POST", "/api/auth/logout"), 409, "CONFLICT")


@pytest.mark.parametrize("change", [
    {"password": "another long one"}, {"role": "admin"}, None,
])
def test_what_changes_or_deletes_a_user_ends_the_logins(
    daemon: Daemon, change: dict[str, Any] | None
) -> None:
    user_id, token = add_user(daemon, f"user {another_address()}", "viewer")
    assert works(daemon, token)
    if change is None:
        assert daemon.call("DELETE", f"/api/users/{user_id}")[:2] == (204, None)
    else:
        status, body, _ = daemon.call("PATCH", f"/api/users/{user_id}", change)
        assert (status, body["id"]) == (200, user_id)
    assert not works(daemon, token)
    refused(refresh(daemon, token), 401, "UNAUTHORIZED")
    assert daemon.call("DELETE", f"/api/users/{user_id}")[0] in (204, 404)


# Users.


def test_life_of_a_user(daemon: Daemon) -> None:
    user_id, token = add_user(daemon, "Bob", "viewer")
    assert re.fullmatch(r"usr_[a-z0-9]{12}", user_id)
    shown = daemon.get(f"/api/users/{user_id}")
    assert shown in daemon.get("/api/users")["users"]
    assert "Bob" in [u["username"] for u in daemon.get("/api/users")["users"]]
    assert "password" not in json.dumps(daemon.get("/api/users"))
    refused(daemon.call("POST", "/api/users", {"username": "BOB", "password": PASSWORD}), 409,
            "CONFLICT")
    refused(daemon.call("POST", "/api/users", {"username": "eve", "password": "short"}), 400,
            "VALIDATION_ERROR", "password")
    refused(daemon.call("POST", "/api/users", {"username": "eve", "role": "god"}), 400,
            "VALIDATION_ERROR", "password", "role")
    assert daemon.call("PATCH", f"/api/users/{user_id}", {"username": "Rob"})[0] == 200
    assert works(daemon, token)
    assert daemon.call("DELETE", f"/api/users/{user_id}")[0] == 204
    for method, path in (("GET", user_id), ("PATCH", user_id), ("DELETE", user_id),
                         ("DELETE", f"{user_id}/sessions"), ("GET", "usr_%00")):
        refused(daemon.call(method, f"/api/users/{path}", {"role": "admin"}), 404, "NOT_FOUND")


def test_the_last_admin_stays(daemon: Daemon) -> None:
    (ann,) = [u for u in daemon.get("/api/users")["users"] if u["username"] == "Ann"]
    refused(daemon.call("DELETE", f"/api/users/{ann['id']}"), 409, "CONFLICT")
    refused(daemon.call("PATCH", f"/api/users/{ann['id']}", {"role": "viewer"}), 409, "CONFLICT")
    assert daemon.get(f"/api/users/{ann['id']}")["role"] == "admin"


def operations(access: Access, *methods: str) -> list[tuple[str, str]]:
    return [(o.method, "/api" + re.sub(r"<\w+:key_id>", "1", re.sub(r"<\w+>", "x", o.path)))
            for o in declared_operations().values() if o.access is access and o.method in methods]


def test_a_viewer_and_a_read_key_only_read(daemon: Daemon) -> None:
    _, token = add_user(daemon, "viewer", "viewer")
    status, made, _ = daemon.call("POST", "/api/auth/keys", {"label": "r", "permission": "read"})
    assert status == 201
    writes = operations(Access.ADMIN, "POST", "PATCH", "PUT", "DELETE")
    closed = operations(Access.ADMIN, "GET")
    assert len(writes) > 30 and len(closed) == 8
    for key in (token, made["key"]):
        for method, path in (*writes[:25], *closed):
            refused(daemon.call(method, path, {}, key=key), 403, "FORBIDDEN")
        for path in ("channels", "recordings", "recordings/active", "storage", "health",
                     "system/dependencies", "openapi.json"):
            assert daemon.call("GET", f"/api/{path}", key=key)[0] == 200
    _, token = add_user(daemon, "viewer two", "viewer")
    for method, path in writes[25:]:
        refused(daemon.call(method, path, {}, key=token), 403, "FORBIDDEN")


def test_a_viewer_sees_no_secret_of_an_address(daemon: Daemon) -> None:
    secret = "http://me:hunter2@127.0.0.1:9/live.m3u8?token=s3cr3t#x"
    status, channel, _ = daemon.call("POST", "/api/channels", {
        "platform": "url", "name": secret, "enabled": False})
    assert (status, channel["url"]) == (201, secret)
    _, token = add_user(daemon, "looker", "viewer")
    bare = "http://127.0.0.1:9/live.m3u8"
    for path in (f"channels/{channel['id']}", f"channels/{channel['id']}/profile"):
        _, shown, _ = daemon.call("GET", f"/api/{path}", key=token)
        assert (shown["name"], shown["url"]) == (bare, bare)
    listener = Listener(daemon.port)
    try:
        state = listener.enter(token)
    finally:
        listener.leave()
    for text in (json.dumps(daemon.call("GET", "/api/channels", key=token)[1]),
                 daemon.call("GET", "/api/channels/export", key=token)[1].decode(),
                 json.dumps(state)):
        assert bare in text and "hunter2" not in text and "s3cr3t" not in text
    assert daemon.get(f"/api/channels/{channel['id']}")["url"] == secret
    daemon.call("DELETE", f"/api/channels/{channel['id']}")


# Keys.


def test_life_of_a_key(daemon: Daemon) -> None:
    status, made, _ = daemon.call("POST", "/api/auth/keys", {"label": "phone"})
    assert (status, made["permission"], made["last_used_at"]) == (201, "full", None)
    key = made.pop("key")
    assert re.fullmatch(r"br_[A-Za-z0-9]{40}", key)
    assert made in daemon.get("/api/auth/keys")["keys"]
    assert key not in json.dumps(daemon.get("/api/auth/keys"))
    assert daemon.call("GET", "/api/auth/keys", key=key)[0] == 200
    (row,) = [k for k in daemon.get("/api/auth/keys")["keys"] if k["id"] == made["id"]]
    assert row["last_used_at"]
    assert daemon.call("DELETE", f"/api/auth/keys/{made['id']}")[:2] == (204, None)
    assert not works(daemon, key)
    for gone in (made["id"], 2 ** 63, 2 ** 80):
        refused(daemon.call("DELETE", f"/api/auth/keys/{gone}"), 404, "NOT_FOUND")
    refused(daemon.call("POST", "/api/auth/keys", {"permission": "all", "more": 1}), 400,
            "VALIDATION_ERROR", "label", "permission", "more")


# Those who try.


def forged(daemon: Daemon, secret: str = SECRET, algorithm: str = "HS256", **more: Any) -> str:
    claims = jwt.decode(token_of(daemon), SECRET, algorithms=["HS256"])
    return str(jwt.encode({**claims, **more}, secret, algorithm=algorithm))


def test_forged_tokens(daemon: Daemon) -> None:
    now = int(datetime.now(UTC).timestamp())
    claims = jwt.decode(token_of(daemon), SECRET, algorithms=["HS256"])
    tokens = {
        "alg none": jwt.encode(claims, None, algorithm="none"),
        "another key": forged(daemon, "x" * 64),
        "another algorithm": forged(daemon, algorithm="HS512"),
        "no such session": forged(daemon, jti="x" * 32),
        "another user": forged(daemon, sub="usr_000000000000"),
        "beyond grace": forged(daemon, iat=now - 90_000, exp=now - 3601),
        "no end": jwt.encode({k: v for k, v in claims.items() if k != "exp"}, SECRET, "HS256"),
        "odd types": forged(daemon, jti=["x"], exp=now + 60),
        "cut": token_of(daemon)[:-3], "garbage": "a.b.c", "long": "eyJ" + "x" * 3000,
    }
    for name, token in tokens.items():
        answer = daemon.call("GET", "/api/channels", key=token)
        assert (answer[0], answer[1]["error"]["code"]) in (
            (401, "UNAUTHORIZED"), (401, "TOKEN_EXPIRED")), name
        assert token not in json.dumps(answer[1]), name
        refused(refresh(daemon, token), 401, "UNAUTHORIZED")
    # Signed with the right key and within its grace: only a refresh takes it.
    late = forged(daemon, iat=now - 90_000, exp=now - 60)
    refused(daemon.call("GET", "/api/channels", key=late), 401, "TOKEN_EXPIRED")
    assert refresh(daemon, late)[0] == 200


def test_a_key_anywhere_but_in_its_header(daemon: Daemon) -> None:
    key, token = daemon.key, token_of(daemon)
    for query in (f"token={key}", f"key={key}", f"api_key={key}", f"access_token={token}"):
        refused(daemon.call("GET", f"/api/channels?{query}", key=None), 401, "UNAUTHORIZED")
    for headers in ({"Authorization": key}, {"Authorization": f"Token {key}"},
                    {"Authorization": "Bearer"}, {"X-API-Key": key},
                    {"Cookie": f"token={token}; session={token}"},
                    {"Authorization": "Basic eDp5"}):
        refused(daemon.call("GET", "/api/channels", key=None, headers=headers), 401,
                "UNAUTHORIZED")
    refused(daemon.call("POST", "/api/auth/refresh", key=None), 401, "UNAUTHORIZED")
    refused(daemon.call("POST", "/api/auth/refresh", key=key), 401, "UNAUTHORIZED")


# Limits.


def test_guessing_is_slow(daemon: Daemon) -> None:
    address = {"X-Forwarded-For": another_address()}
    guess = {"username": "Ann", "password": "guess"}
    for left in range(9, -1, -1):
        status, _, headers = daemon.call(
            "POST", "/api/auth/login", guess, key=None, headers=address, limits=True)
        assert (status, headers["X-RateLimit-Limit"]) == (401, "10")
        assert headers["X-RateLimit-Remaining"] == str(left)
    answer = daemon.call("POST", "/api/auth/login", {"username": "Ann", "password": PASSWORD},
                         key=None, headers=address, limits=True)
    refused(answer, 429, "RATE_LIMITED")
    assert 1 <= int(answer[2]["Retry-After"]) <= 60
    reset_s = int(answer[2]["X-RateLimit-Reset"]) - datetime.now(UTC).timestamp()
    assert 0 < reset_s <= 61
    # Neither a good login nor an address that the guesser makes up helps.
    spoofed = {"X-Forwarded-For": "6.6.6.6, " + address["X-Forwarded-For"]}
    refused(daemon.call("POST", "/api/auth/refresh", key=token_of(daemon), headers=spoofed,
                        limits=True), 429, "RATE_LIMITED")
    # The rest of the API is another matter.
    assert daemon.call("GET", "/api/channels", headers=address)[0] == 200


def test_reading_and_writing_count_for_the_credential(daemon: Daemon) -> None:
    key, other = daemon.renew_key(), daemon.renew_key()
    for number in range(30):
        status, _, headers = daemon.call("PATCH", "/api/channels/x", {}, key=key, limits=True)
        assert (status, headers["X-RateLimit-Remaining"]) == (404, str(29 - number))
    refused(daemon.call("PATCH", "/api/channels/x", {}, key=key, limits=True,
                        headers={"X-Forwarded-For": another_address()}), 429, "RATE_LIMITED")
    assert daemon.call("PATCH", "/api/channels/x", {}, key=other, limits=True)[0] == 404
    for number in range(100):
        status, _, headers = daemon.call("GET", "/api/nothing", key=key, limits=True)
        assert (status, headers["X-RateLimit-Remaining"]) == (404, str(99 - number))
    refused(daemon.call("GET", "/api/channels", key=key, limits=True), 429, "RATE_LIMITED")
    # Two logins of one user are one caller.
    assert token_of(daemon) != (token := token_of(daemon))
    before = int(daemon.call("GET", "/api/channels", key=token)[2]["X-RateLimit-Remaining"])
    after = daemon.call("GET", "/api/channels", key=token_of(daemon))[2]["X-RateLimit-Remaining"]
    assert int(after) == before - 1


def test_strangers_count_by_their_address(daemon: Daemon) -> None:
    address = {"X-Forwarded-For": another_address()}
    for _ in range(100):
        assert daemon.call("GET", "/api/channels", key="br_x", headers=address,
                           limits=True)[0] == 401
    answer = daemon.call("GET", "/api/channels", key="br_x", headers=address, limits=True)
    refused(answer, 429, "RATE_LIMITED")
    assert daemon.call("GET", "/api/channels", headers=address, limits=True)[0] == 200


# The first start.


def test_the_first_admin_is_made_and_shown_once(tmp_path: Path) -> None:
    one = Daemon(tmp_path).start()
    try:
        first_admin(one)
    finally:
        one.close()


def first_admin(one: Daemon) -> None:
    shown = [line for line in one.log if "admin" in line.lower()]
    found = [m[1] for line in one.log if (m := re.search(r"password (\S{16,}) ", line))]
    assert len(found) == 1, shown
    assert login(one, "admin", found[0])[0] == 200
    one.terminate()
    one.log.clear()
    one.start()
    assert not [line for line in one.log if found[0] in line or "password" in line.lower()]
    assert login(one, "admin", found[0])[0] == 200
    config = ("--config", str(one.config))
    assert run_command("user", "reset-password", "admin", *config, stdin=PASSWORD).returncode == 0
    assert login(one, "admin", found[0])[0] == 401
    assert login(one, "admin", PASSWORD)[0] == 200
    store = open_store(one.directory / "data" / "battles-record.sqlite3")
    rows = store.database.rows("SELECT * FROM users")
    store.close()
    assert [row["password"].startswith("scrypt:") for row in rows] == [True]
