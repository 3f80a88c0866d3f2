"""Certificates are checked by authorities that are read once, and checked they are."""

from __future__ import annotations

import os
import shutil
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import DEFAULT_CA_BUNDLE_PATH
from requests.exceptions import SSLError
from urllib3.util.ssl_ import create_urllib3_context

from brlib.platforms import trust
from brlib.platforms.heads import TimelyAdapter

from .standin.base import Reply, StandIn
from .standin.proxy import AUTHORITY, Proxy

URL = "https://www.twitch.tv/"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[ssl.SSLContext]:
    """The contexts that are made; none is known at first."""
    contexts: list[ssl.SSLContext] = []

    def counted(**options: Any) -> ssl.SSLContext:
        contexts.append(create_urllib3_context(**options))
        return contexts[-1]

    monkeypatch.setattr(trust, "_contexts", {})
    monkeypatch.setattr(trust, "create_urllib3_context", counted)
    return contexts


@pytest.fixture
def get() -> Iterator[Callable[[bool | str], int]]:
    """The status of an answer, by a session and a connection of its own."""
    standin = StandIn()
    standin.add(lambda request: Reply(200), "www.twitch.tv")

    with Proxy(standin, lasting=False) as proxy:
        def ask(verify: bool | str) -> int:
            with requests.Session() as session:
                session.mount("https://", TimelyAdapter())
                session.trust_env = False
                session.proxies = {"https": proxy.url}
                return session.get(URL, verify=verify, timeout=10).status_code

        yield ask


def test_one_context_serves_all(
    made: list[ssl.SSLContext], get: Callable[[bool | str], int]
) -> None:
    assert [get(str(AUTHORITY)) for _ in range(3)] == [200] * 3
    assert len(made) == 1
    loaded = made[0].cert_store_stats()["x509_ca"]
    assert get(str(AUTHORITY)) == 200
    assert made[0].cert_store_stats()["x509_ca"] == loaded == 1


def test_who_is_not_vouched_for_is_refused(
    made: list[ssl.SSLContext], get: Callable[[bool | str], int]
) -> None:
    for verify in (True, DEFAULT_CA_BUNDLE_PATH):
        with pytest.raises(SSLError, match="certificate verify failed"):
            get(verify)
    assert len(made) == 1


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_who_checks_nothing_changes_nothing_for_others(
    made: list[ssl.SSLContext], get: Callable[[bool | str], int]
) -> None:
    with pytest.raises(SSLError):
        get(True)
    assert get(False) == 200
    assert made[0].verify_mode == ssl.CERT_REQUIRED and made[0].check_hostname
    with pytest.raises(SSLError):
        get(True)


def test_a_bundle_that_changes_is_read_again(
    made: list[ssl.SSLContext], get: Callable[[bool | str], int], tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle.pem"
    shutil.copy(DEFAULT_CA_BUNDLE_PATH, bundle)
    with pytest.raises(SSLError):
        get(str(bundle))
    shutil.copy(AUTHORITY, bundle)
    os.utime(bundle, (1, 1))
    assert get(str(bundle)) == 200
    assert len(made) == 2


def test_what_is_no_file_is_left_to_requests(
    get: Callable[[bool | str], int], tmp_path: Path
) -> None:
    assert trust.trusting(False) is trust.trusting(None) is trust.trusting(str(tmp_path)) is None
    with pytest.raises(OSError, match="invalid path"):
        get(str(tmp_path / "none.pem"))
