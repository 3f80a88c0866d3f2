"""Tests of brlib.log: no secret leaves the process, and each line has its priority."""

from __future__ import annotations

import io
import logging
import signal
from collections.abc import Iterator

import pytest

from brlib.log import MaskingFormatter, mask, set_level, set_up

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
    f'"password": "a b {SECRET} c"', f"'password': 'a \"b\" {SECRET}'",
    f'"password": "a\\"b {SECRET} c"',
    f'{{"error": "{{\\"token\\": \\"a b {SECRET}\\"}}"}}',
    f"password=a,b;{SECRET}", f'"password": "broken off {SECRET}', f"token=b'a {SECRET}'",
    f"passphrase: {SECRET}", f"private_key={SECRET}", f"session_id={SECRET}",
    f"jwt_secret = {SECRET}", f"session_token: '{SECRET}'", f"twitch_client_secret={SECRET}",
    f"('token', '{SECRET}')", f"['--password', 'a {SECRET}']", f"x?u=h%3Ftoken%3D{SECRET}%26b",
    f"Authorization: Basic {SECRET}", f"('Authorization', 'Digest a=\"{SECRET}\"')",
    f'{{\\"authorization\\": \\"Digest {SECRET}\\"}}', f"Proxy-Authorization: {SECRET}",
    f"sent Basic {SECRET}== to it", "Basic dXNlcjpwYXNz".replace("dXNlcjpwYXNz", "dXNl" + SECRET),
    f"PASS oauth:{SECRET}", f"bearer: {SECRET}",
    f'"cookie_content": "# Netscape\\n.youtube.com\\tTRUE {SECRET}"',
    f"cookies={{'a': '{SECRET}'}}",
    f".youtube.com\tTRUE\t/\tFALSE\t1790000000\tSID\t{SECRET}",
    f"http://{SECRET}@host/x", f"http://u:p@{SECRET}@host/x", f"redis://:{SECRET}@host",
    f"https://h/callback?code={SECRET}&state={SECRET}", f"https://h/#access_token={SECRET}",
    f"https://h/x?X-Amz-Signature={SECRET}&X-Amz-Credential={SECRET}",
    f"https://h/hls_playlist/expire/1/sig/{SECRET}/file/index.m3u8", f"https://h/x?lsig={SECRET}",
])
def test_secrets_are_masked(text: str) -> None:
    masked = mask(text)
    assert SECRET not in masked and "***" in masked
    assert mask(masked) == masked


@pytest.mark.parametrize("text", [
    "Recording rec_abc123def456 of ch_abc123def456 begins", "https://host/live/x.m3u8?quality=best",
    "br_short", "The token is not valid", "no password given", "http://host:8080/path",
    "tokenized text: yes", "eyJ is how they begin", "key frames: 12", "",
    "OAuth callback refused", "Basic authentication is not enough", "OAuth 2.0 is used",
    "https://www.youtube.com/@handle/live", "http://host:8080/@handle", "tokens: 12", "passed: 3",
    "the session is over", "password must have 8 characters", "https://h/design/signal/x.ts?a=1",
])
def test_the_rest_is_left_alone(text: str) -> None:
    assert mask(text) == text


def test_what_stands_around_a_secret_is_kept() -> None:
    assert mask("GET https://u:p@h/x?a=1&token=t&b=2 failed") == (
        "GET https://***@h/x?a=1&token=***&b=2 failed")


@pytest.mark.parametrize("text, masked", [
    ('{"password": "a b c", "username": "bob"}', '{"password": "***", "username": "bob"}'),
    ("{'token': 'a \\' b', 'n': 5}", "{'token': '***', 'n': 5}"),
    ('"{\\"token\\": \\"a b\\", \\"n\\": 5}"',
     '"{\\"token\\": \\"***\\", \\"n\\": 5}"'),
    ("token=a, n=5", "token=*** n=5"), ("POST /x?token=a&n=5", "POST /x?token=***&n=5"),
    ("GET /a/sig/x.y/b?key=1&n=2 5", "GET /a/sig/***/b?key=***&n=2 5"),
    ("Cookie: a=1; b=2\nHost: h", "Cookie: ***\nHost: h"), ("password=\nnext", "password=\n***"),
])
def test_no_more_is_masked_than_must(text: str, masked: str) -> None:
    assert mask(text) == masked


LONG = 300_000
LONG_MAX_S = 60


@pytest.fixture
def bounded() -> Iterator[None]:
    """Interrupts a search that has no end in sight (`re` lets signals through)."""
    def give_up(*_: object) -> None:
        pytest.fail(f"not done after {LONG_MAX_S} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LONG_MAX_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("text", [
    *(piece * (LONG // len(piece)) for piece in (
        "a-", "eyJ-", "eyJ.", "eyJa.b!", "cookie", "cookie ", "token", "token='", "token\\'",
        "token=\\\\'", "token='\\", "password:", "basic ", "oauth:", "bearer ", "://", "://a:",
        "?sig", "?x-amz-", "&nauth", "/sig/", "\tTRUE\t", "\tTRUE\t\tTRUE\t1", "br_", "br_a ")),
    *(start + run * LONG for run in (" ", "\\", "a", "-") for start in (
        "token", "token=", "token='", "cookie", "oauth", "://", "eyJ")),
    "token=" + "\\" * (LONG // 3) + '"' + "\\" * LONG,
], ids=lambda text: f"{text[:10]}…")
@pytest.mark.usefixtures("bounded")
def test_a_long_line_is_masked_in_linear_time(text: str) -> None:
    """A pattern that looks at such a line once for each place where it could begin takes
    minutes to hours."""
    masked = mask(f"{text}\npassword={SECRET}")
    assert masked.endswith("***") and SECRET not in masked


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


@pytest.mark.usefixtures("as_before")
def test_another_level_holds_at_once() -> None:
    stream = io.StringIO()
    set_up("error", stream)
    log, foreign = logging.getLogger("brlib.x"), logging.getLogger("streamlink.x")
    for level in ("warning", "debug", "info"):
        set_level(level)
        log.debug("d")
        log.warning("w")
        foreign.error("f")
    assert [line.rpartition(": ")[2] for line in stream.getvalue().splitlines()] == [
        "w", "d", "w", "f", "w"]
    assert len(logging.getLogger().handlers) == 1
