"""Tests of tokens, honest and forged, of the key that signs them, and of API keys."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from brlib.accounts import KEY_FILE
from brlib.errors import ConfigError, Conflict, RecorderError, Unauthorized
from brlib.models import Caller, Role
from brlib.store.api_keys import FULL, READ
from brlib.tokens import CLAIMS

from .people import KEY, People, claims_of, people, refused

Said = dict[str, Any]
PEM = "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[People]:
    with people(tmp_path, jwt_secret=KEY) as one:
        one.add("anna")
        one.add("bert", Role.VIEWER)
        yield one


def forged(claims: Said, key: str = KEY, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, key, algorithm)


def unsigned(claims: Said, header: Said) -> str:
    return ".".join([encoded(json.dumps(header)), encoded(json.dumps(claims)), ""])


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def without(name: str) -> Callable[[Said], str]:
    return lambda c: forged({key: value for key, value in c.items() if key != name})


def with_null(name: str) -> Callable[[Said], str]:
    return lambda c: forged({**c, name: None})


FORGED: dict[str, Callable[[Said], str]] = {
    "alg none": lambda c: unsigned(c, {"alg": "none", "typ": "JWT"}),
    "alg NONE": lambda c: unsigned(c, {"alg": "NONE"}),
    "no signature": lambda c: unsigned(c, {"alg": "HS256"}),
    "no alg": lambda c: unsigned(c, {}),
    "key in the header": lambda c: unsigned(c, {"alg": "HS256", "jwk": {"kty": "oct", "k": ""}}),
    "another key": lambda c: forged(c, "j" * 64),
    "HS512 with the key": lambda c: forged(c, algorithm="HS512"),
    "HS384 with the key": lambda c: forged(c, algorithm="HS384"),
    "another's session": lambda c: forged({**c, "sub": "usr_other"}),
    "an unknown session": lambda c: forged({**c, "jti": "ses_no"}),
    "no such time": lambda c: forged({**c, "exp": "soon"}),
    "a time with a point": lambda c: forged({**c, "exp": c["exp"] + 0.5}),
    "endless": lambda c: forged({**c, "exp": float("inf")}),
    "true": lambda c: forged({**c, "exp": True}),
    "a session that is a list": lambda c: forged({**c, "jti": [c["jti"]]}),
    "a user that is a number": lambda c: forged({**c, "sub": 1}),
    "for someone else": lambda c: forged({**c, "aud": "another program"}),
    **{f"without {name}": without(name) for name in CLAIMS},
    **{f"null {name}": with_null(name) for name in CLAIMS},
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_forged_tokens(world: People, forge: Callable[[Said], str]) -> None:
    token = world.login("anna")
    # The forger's tool is good: what it makes of the true claims is the true token.
    assert claims_of(forged(claims_of(token))) == claims_of(token)
    assert world.accounts.caller(forged(claims_of(token))).name == "anna"
    refused(world, forge(claims_of(token)))
    assert world.accounts.caller(token).name == "anna"


@pytest.mark.parametrize("role", ["admin", "root", "", ["admin"], 1])
def test_a_forged_role_gives_nothing(world: People, role: object) -> None:
    token = forged({**claims_of(world.login("bert")), "role": role})
    with pytest.raises(Unauthorized):
        world.accounts.caller(token)
    assert world.accounts.caller(world.accounts.refresh(token).text).role is Role.VIEWER


@pytest.mark.parametrize("end_s", [10 ** 10, 10 ** 30])
def test_a_far_end_is_only_a_number(world: People, end_s: int) -> None:
    token = forged({**claims_of(world.login("anna")), "exp": end_s})
    assert world.accounts.caller(token).name == "anna"


@pytest.mark.parametrize("token", [
    "", ".", "..", "a.b.c", "a.b", "a.b.c.d", "é.é.é", "😀", "\ud800", "\x00", "bearer", "null",
    "x" * 10_000_000, "." * 4096, "eyJhbGciOiJIUzI1NiJ9..", "W10.W10.W10", "e30.e30.e30",
    encoded("[" * 2000) + ".e30.e30", encoded('{"a":' * 500) + ".e30.e30",
    encoded('{"alg":' + "9" * 3000 + "}") + ".e30.e30",
    encoded('{"alg":"HS256","crit":["b64"],"b64":false}') + "..e30", "' OR '1'='1", "br", "br-x",
], ids=lambda token: ascii(token[:12]))
def test_garbage(world: People, token: str) -> None:
    refused(world, token)


# The key that signs.


def test_the_key_is_made_once_and_kept(tmp_path: Path) -> None:
    with people(tmp_path) as first:
        first.add("anna")
        # The command line may run as someone whose files the daemon cannot read.
        assert not (tmp_path / KEY_FILE).exists()
        token = first.login("anna")
    made = (tmp_path / KEY_FILE).read_bytes()
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert len(made.strip()) >= 64
    with people(tmp_path) as second:
        second.accounts.prepare()
        assert second.accounts.caller(token).name == "anna"
        refused(second, forged(claims_of(token)))
    assert (tmp_path / KEY_FILE).read_bytes() == made
    assert [path.name for path in tmp_path.iterdir() if KEY_FILE in path.name] == [KEY_FILE]


def test_another_key_ends_all_logins(tmp_path: Path) -> None:
    with people(tmp_path) as first:
        first.add("anna")
        token = first.login("anna")
    (tmp_path / KEY_FILE).unlink()
    with people(tmp_path) as second:
        refused(second, token)


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 31])
def test_a_damaged_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / KEY_FILE).write_bytes(content)
    with people(tmp_path) as world:
        with pytest.raises(RecorderError, match="delete it"):
            world.accounts.prepare()


def test_a_key_that_cannot_be_kept_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("brlib.tokens.os.fsync", full)
    with people(tmp_path) as world:
        with pytest.raises(OSError, match="No space"):
            world.accounts.prepare()
    assert [path.name for path in tmp_path.iterdir() if KEY_FILE in path.name] == []


@pytest.mark.parametrize("key", [PEM.format("x" * 40), json.dumps({"kty": "oct", "k": "x" * 40})],
                         ids=["public key", "JWK"])
def test_a_configured_key_that_is_none(tmp_path: Path, key: str) -> None:
    with people(tmp_path, jwt_secret=key) as world:
        with pytest.raises(ConfigError, match="jwt_secret") as caught:
            world.accounts.prepare()
        assert "x" * 40 not in str(caught.value)


# API keys.


def test_api_keys_call_too(world: People) -> None:
    keys = world.store.api_keys
    (full, full_text), (read, read_text) = keys.make("ops", FULL), keys.make("tv", READ)
    assert keys.find_all() == [full, read]
    assert world.accounts.caller(full_text) == Caller("ops", Role.ADMIN, f"key:{full.id}")
    caller = world.accounts.caller(read_text)
    assert caller == Caller("tv", Role.VIEWER, f"key:{read.id}")
    with pytest.raises(Conflict, match="revoked"):
        world.accounts.logout(caller)
    with pytest.raises(Unauthorized):
        world.accounts.refresh(read_text)
    assert keys.revoke(full.id)
    refused(world, full_text)


@pytest.mark.parametrize("text", [
    "br_", "br_" + "x" * 40, "br_é", "br_\ud800", "br_" + "x" * 1_000_000, "br_' OR 1=1 --"],
    ids=lambda text: ascii(text[:12]))
def test_what_is_no_api_key(world: People, text: str) -> None:
    world.store.api_keys.create("ops", FULL)
    refused(world, text)
