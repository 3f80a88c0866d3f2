"""Tests of brlib.platforms.answers: values out of what platforms answer, whatever that is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from brlib.platforms import answers
from brlib.platforms.answers import (
    RETRY_MAX_S, address_at, dig, moment_at, retry_after_s, text_at, whole_at,
)

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.mark.parametrize("header, wait_s", [
    (None, None), ("", None), ("  ", None), ("0", 0.0), ("7", 7.0), (" 7 ", 7.0), ("1.5", 1.5),
    ("86401", RETRY_MAX_S), ("9" * 12, RETRY_MAX_S),
    # No numbers as the standard has them.
    ("9" * 13, None), ("-5", None), ("+5", None), ("1e99", None), ("nan", None), ("inf", None),
    ("0x10", None), ("\u0667", None), ("5 seconds", None), ("7,8", None), ("soon", None),
    ("Wed, 04 Mar 2026 05:07:17 GMT", 70.0), ("Wed, 04 Mar 2026 06:07:17 +0100", 70.0),
    # The standard allows no others than GMT.
    ("Wed, 04 Mar 2026 05:07:17", 70.0), ("Wed, 04 Mar 2026 05:07:17 -0000", 70.0),
    ("Wed, 04 Mar 2026 05:06:00 GMT", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ("Wed, 04 Mar 2999 05:07:17 GMT", RETRY_MAX_S),
    ("Wed, 99 Mar 2026 05:07:17 GMT", None), ("2026-03-04T05:07:17Z", None),
])
def test_how_long_to_wait(
    header: str | None, wait_s: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "utc_now", lambda: NOW)
    assert retry_after_s(header) == wait_s
    short_s = retry_after_s(header, 60.0)
    assert short_s == (None if wait_s is None else min(wait_s, 60.0))


@pytest.mark.parametrize("path, found", [
    ((), {"a": [{"b": 1}, 2]}), (("a",), [{"b": 1}, 2]), (("a", 0, "b"), 1), (("a", -1), 2),
    (("a", 2), None), (("a", -3), None), (("b",), None), ((0,), None), (("a", "b"), None),
    (("a", 0, "b", "c"), None),
])
def test_what_stands_at_a_path(path: tuple[str | int, ...], found: Any) -> None:
    assert dig({"a": [{"b": 1}, 2]}, *path) == found


@pytest.mark.parametrize("value, text, whole", [
    ("a", "a", None), (" a ", "a", None), ("", None, None), (" ", None, None), (None, None, None),
    (5, None, 5), (0, None, 0), ("5", "5", 5), ("05", "05", 5), (-5, None, None),
    ("-5", "-5", None), (5.0, None, None), ("5.0", "5.0", None), (True, None, None),
    ("\u0665", "\u0665", None), ("9" * 19, "9" * 19, None), (2 ** 63, None, None),
    ([], None, None), ({}, None, None),
])
def test_texts_and_numbers(value: Any, text: str | None, whole: int | None) -> None:
    assert (text_at({"x": value}, "x"), whole_at({"x": value}, "x")) == (text, whole)


@pytest.mark.parametrize("value, moment", [
    ("2026-03-04T05:06:07Z", NOW), ("2026-03-04 05:06:07", NOW),
    ("2026-03-04T06:06:07+01:00", NOW), ("0001-01-01T00:00:00Z", None),
    ("0001-01-01T00:00:00+14:00", None), ("1970-01-01T00:00:00Z", None), ("soon", None),
    ("5", None), ("", None), (None, None), (1772600767, None),
])
def test_moments(value: Any, moment: datetime | None) -> None:
    assert moment_at({"x": value}, "x") == moment_at(value) == moment


@pytest.mark.parametrize("value, address", [
    ("https://a.example/x?y#z", "https://a.example/x?y#z"),
    ("http://a.example", "http://a.example"),
    ("//a.example/x", "https://a.example/x"), ("/x", None), ("ftp://a.example", None),
    ("javascript:alert(1)", None), ("https://", None), ("https://[", None), ("", None),
    (None, None), (5, None),
])
def test_addresses(value: Any, address: str | None) -> None:
    assert address_at({"x": value}, "x") == address
