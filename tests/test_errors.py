"""What a platform's trouble may say: hosts, and nothing else of an address."""

from __future__ import annotations

import pytest

from brlib.errors import PlatformError, Trouble, hosts_only


@pytest.mark.parametrize("said, shown", [
    ("503 for url: http://h/real/secret?token=T", "503 for url: http://h"),
    ("https://me:pw@h:8443/a/b#c is gone", "https://h:8443 is gone"),
    ("'http://h/a?b', then (https://i/c)", "'http://h', then (https://i"),
    ("Max retries exceeded with url: /a?token=T (Caused by x)",
     "Max retries exceeded with url: … (Caused by x)"),
    ("no address at all", "no address at all"),
    ("HTTP://H/x", "HTTP://H"),
    ("http://[::1]:80/x?y", "http://[::1]:80"),
])
def test_only_hosts_are_said(said: str, shown: str) -> None:
    assert hosts_only(said) == shown
    error = PlatformError(said, Trouble.BLOCKED, 5.0)
    assert (str(error), error.trouble, error.retry_after_s) == (shown, Trouble.BLOCKED, 5.0)
