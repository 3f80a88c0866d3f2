"""Tests of brlib.log: no secret leaves the process, and each line has its priority."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from brlib.log import MaskingFormatter, mask, set_up

SECRET = "s3cr3tValue"
JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.{SECRET}"


@pytest.mark.parametrize("text", [
    f"key br_{SECRET}", f"token {JWT}", f"Authorization: Bearer {SECRET}",
    f"'Authorization': 'OAuth {SECRET}'", f"sent Bearer {SECRET} to it", f"oauth {SECRET}",
    f"Cookie: a=1; session={SECRET}", f"set-cookie: auth-token={SECRET}; Path=/",
    f"http://user:{SECRET}@host/x", f"rtmp://u:{SECRET}@host:1935/app",
    f"https://h/x.m3u8?sig={SECRET}", f"https://h/x.m3u8?a=1&token={SECRET}&b=2",
    f"https://h/x?nauthsig={SECRET}", f"https://h/x?hdnts={SECRET}", f"/x?a=1;key={SECRET}",
    f"https://h/x?Policy={SECRET}&Signature={SECRET}",
    f"password={SECRET}", f"PASSWORD: {SECRET}", f'"token": "{SECRET}"',
    f'{{"access_token": "{SECRET}", "refresh_token":"{SECRET}"}}', f"client_secret={SECRET}",
    f"auth_token = '{SECRET}'", f"X-Api-Key: {SECRET}", f"youtube_api_key={SECRET}",
    f"grant_type=x&refresh_token={SECRET}&scope=y",
])
def test_secrets_are_masked(text: str) -> None:
    masked = mask(text)
    assert SECRET not in masked and "***" in masked
    assert mask(masked) == masked


@pytest.mark.parametrize("text", [
    "Recording rec_abc123def456 of ch_abc123def456 begins", "https://host/live/x.m3u8?quality=best",
    "br_short", "The token is not valid", "no password given", "http://host:8080/path",
    "tokenized text: yes", "eyJ is how they begin", "key frames: 12", "",
])
def test_the_rest_is_left_alone(text: str) -> None:
    assert mask(text) == text


def test_what_stands_around_a_secret_is_kept() -> None:
    assert mask("GET https://u:p@h/x?a=1&token=t&b=2 failed") == (
        "GET https://***@h/x?a=1&token=***&b=2 failed")


def record(level: int, message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("brlib.x", level, __file__, 1, message, args, None)


@pytest.mark.parametrize("level, prefix", [
    (logging.DEBUG, "<7>"), (logging.INFO, "<6>"), (logging.WARNING, "<4>"), (logging.ERROR, "<3>"),
    (logging.CRITICAL, "<5>"),
])
def test_journal_lines(level: int, prefix: str) -> None:
    text = MaskingFormatter(journal=True).format(record(level, "two\nlines"))
    first, second = text.splitlines()
    assert first == f"{prefix}{logging.getLevelName(level)} brlib.x: two"
    assert second == f"{prefix}lines"


def test_arguments_and_tracebacks_are_masked() -> None:
    one = record(logging.INFO, "called %s", f"http://h/?token={SECRET}")
    try:
        raise ValueError(f"password={SECRET}")
    except ValueError as error:
        one.exc_info = (ValueError, error, error.__traceback__)
    text = MaskingFormatter(journal=False).format(one)
    assert SECRET not in text and "Traceback" in text and "token=***" in text


@pytest.fixture
def as_before() -> Iterator[None]:
    names = ("urllib3", "requests", "werkzeug", "streamlink")
    root, levels = logging.getLogger(), [logging.getLogger(name).level for name in names]
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in zip(names, levels, strict=True):
        logging.getLogger(name).setLevel(before)


@pytest.mark.parametrize("level, expected", [
    ("debug", ["d", "i", "w", "streamlink"]), ("info", ["i", "w"]), ("warning", ["w"]),
    ("error", []),
])
@pytest.mark.usefixtures("as_before")
def test_set_up(monkeypatch: pytest.MonkeyPatch, level: str, expected: list[str]) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    stream = io.StringIO()
    set_up(level, stream)
    log = logging.getLogger("brlib.x")
    log.debug("d")
    log.info("i")
    log.warning("w")
    logging.getLogger("streamlink.stream").error("streamlink")
    logging.getLogger("urllib3.connectionpool").info("noise")
    assert [line.rpartition(": ")[2] for line in stream.getvalue().splitlines()] == expected
