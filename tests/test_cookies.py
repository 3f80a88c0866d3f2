"""Tests of brlib.cookies: what is repaired, what is refused and why, and that tools take it."""

from __future__ import annotations

import http.cookiejar
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from brlib.cookies import (
    HEADER, TEXT_MAX_BYTES, Cookie, cookie_header, read, youtube_cookies,
)
from brlib.errors import Invalid

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
LATER = int((NOW + timedelta(days=90)).timestamp())
PAST = int((NOW - timedelta(days=1)).timestamp())


def line(
    name: str, value: str = "v", expires: object = LATER, domain: str = ".youtube.com",
    flag: str = "TRUE", secure: str = "TRUE",
) -> str:
    return "\t".join((domain, flag, "/", secure, str(expires), name, value))


INFO, ACCOUNT = line("LOGIN_INFO", "info"), line("SAPISID", "sap")
GOOD = "\n".join((HEADER, "", INFO, ACCOUNT, ""))


@pytest.mark.parametrize("content", [
    GOOD,
    GOOD.encode(),
    GOOD.replace(HEADER, "# HTTP Cookie File"),
    GOOD.replace(HEADER + "\n", ""),
    "\ufeff" + GOOD,
    b"\xef\xbb\xbf" + GOOD.encode(),
    GOOD.replace("\n", "\r\n"),
    GOOD.replace("\n", "\r"),
    GOOD.replace("\t", "    "),
    GOOD.replace(str(LATER), f"{LATER}.5"),
    GOOD.replace(".youtube.com\tTRUE", ".youtube.com\tFALSE"),
    GOOD.replace(".youtube.com\tTRUE", "youtube.com\tTRUE"),
    GOOD.replace("TRUE", "true").replace(".youtube", ".YouTube"),
    GOOD.rstrip("\n"),
    "\n".join("  " + one for one in GOOD.split("\n")),
    GOOD + line("LOGIN_INFO", "info") + "\n",
    GOOD + "# a comment\n$ another\n#\n\n",
], ids=[
    "good", "bytes", "other header", "no header", "BOM", "BOM bytes", "CRLF", "CR", "spaces",
    "float expiry", "flag against dot", "dot against flag", "case", "no last line end",
    "indented", "twice", "comments"])
def test_repaired(content: str | bytes) -> None:
    kept = youtube_cookies(content, NOW)
    assert kept.text == GOOD
    assert (kept.login, kept.left_out) == (("LOGIN_INFO", "SAPISID"), 0)
    assert kept.expires_at == datetime.fromtimestamp(LATER, UTC)


@pytest.mark.parametrize("more, left_out", [
    ("only six\tfields", 1),
    (line("OTHER", domain=".example.com"), 1),
    (line("OTHER", domain=".notyoutube.com"), 1),
    (line("OTHER", domain=".youtube.com.evil.example"), 1),
    (line("OLD", expires=PAST), 1),
    (line("BAD", "a;b"), 1),
    (line("BAD", "a\x00b"), 1),
    (line("BAD", "é"), 1),
    (line("B D"), 1),
    (line(""), 1),
    (line("BAD", expires="soon"), 1),
    (line("BAD", expires="9" * 30), 1),
    (line("BAD", flag="YES"), 1),
    (line("BAD", domain="youtube com"), 1),
    ("x" * 1000 + "\n" + "\t" * 6, 1),
])
def test_left_out(more: str, left_out: int) -> None:
    kept = youtube_cookies(GOOD + more + "\n", NOW)
    assert (kept.text, kept.left_out) == (GOOD, left_out)


@pytest.mark.parametrize("expires", ["0", "", "-1"])
def test_session_cookies_get_an_end(expires: str) -> None:
    text = "\n".join((HEADER, line("LOGIN_INFO", expires=expires), ACCOUNT))
    kept = youtube_cookies(text, NOW)
    assert [c.expires_s - NOW.timestamp() for c in kept.cookies if c.session] == [365 * 86400]
    assert kept.expires_at == datetime.fromtimestamp(LATER, UTC)
    only = youtube_cookies(GOOD.replace(str(LATER), "0"), NOW)
    assert only.expires_at is None


def test_http_only_lines_are_data() -> None:
    kept = youtube_cookies(GOOD.replace(".youtube.com", "#HttpOnly_.youtube.com"), NOW)
    assert kept.login == ("LOGIN_INFO", "SAPISID")
    assert kept.text.count("#HttpOnly_.youtube.com") == 2


def test_the_earliest_end_is_the_logins() -> None:
    soon = LATER - 86400
    kept = youtube_cookies("\n".join((
        GOOD, line("__Secure-3PAPISID", expires=soon), line("VISITOR", expires=PAST + 90000))),
        NOW)
    assert kept.login == ("LOGIN_INFO", "SAPISID", "__Secure-3PAPISID")
    assert kept.expires_at == datetime.fromtimestamp(soon, UTC)


@pytest.mark.parametrize("content, why", [
    ("", "is empty"),
    (" \n\t\n", "is empty"),
    (HEADER, "no line of it is a cookie"),
    (json.dumps([{"domain": ".youtube.com", "name": "LOGIN_INFO"}]), "is JSON"),
    ("{broken", "is JSON"),
    ("[" * 100_000, "is JSON"),
    ("LOGIN_INFO=info; SAPISID=sap", "is a Cookie header"),
    ("<html><body>", "is a web page"),
    ("hello\nworld", "no line of it is a cookie"),
    (b"\xff\xfeL\x00", "is not UTF-8"),
    ("x" * (TEXT_MAX_BYTES + 1), "more than 512 KiB"),
    (GOOD.replace("youtube", "example"), "no cookies of youtube.com"),
    (INFO, "SAPISID is missing"),
    (ACCOUNT, "LOGIN_INFO is missing"),
    (GOOD.replace(".youtube.com", ".google.com"), "LOGIN_INFO is missing"),
    (GOOD.replace(".youtube.com", ".music.youtube.com"), "LOGIN_INFO is missing"),
    (GOOD.replace(str(LATER), str(PAST)), "has expired"),
    (INFO + "\n" + line("SAPISID", expires=PAST), "has expired"),
])
def test_refused(content: str | bytes, why: str) -> None:
    with pytest.raises(Invalid) as caught:
        youtube_cookies(content, NOW)
    (problem,) = caught.value.problems
    assert problem.field == "cookie_content"
    assert why in problem.message
    assert why in str(caught.value)


@pytest.mark.parametrize("text", [
    "\t" * TEXT_MAX_BYTES, "a." * (TEXT_MAX_BYTES // 2), "\n" * TEXT_MAX_BYTES,
    "#HttpOnly_" * (TEXT_MAX_BYTES // 10), " " * (TEXT_MAX_BYTES - 1) + "=",
    "\t".join(["a." * 50_000, *["0" * 50_000] * 6]),
], ids=["tabs", "dots", "lines", "prefixes", "spaces", "long fields"])
def test_nonsense_as_long_as_allowed(text: str) -> None:
    """With a pattern that looks at characters again and again this takes for ever."""
    with pytest.raises(Invalid):
        youtube_cookies(text, NOW)


def test_what_is_kept_is_read_whole_by_the_standard_reader(tmp_path: Path) -> None:
    """streamlink's reader is http.cookiejar's, which drops and refuses more than yt-dlp's."""
    file = tmp_path / "cookies.txt"
    now = datetime.now(UTC)
    end = int((now + timedelta(days=9)).timestamp())
    file.write_text(youtube_cookies("\r\n".join((
        "\ufeff" + line("LOGIN_INFO", expires=0), "#HttpOnly_" + line("SAPISID", expires=end),
        "rubbish", line("PREF", "a=b c", f"{end}.25", "www.youtube.com", "TRUE", "FALSE"),
        line("HOST", "", end, "www.youtube.com", "FALSE"))), now).text)
    jar = http.cookiejar.MozillaCookieJar(file)
    jar.load()
    assert sorted(cookie.name for cookie in jar) == ["HOST", "LOGIN_INFO", "PREF", "SAPISID"]
    assert {c.name: c.value for c in jar}["PREF"] == "a=b c"
    assert not any(cookie.is_expired() for cookie in jar)


def test_reading_again_gives_the_same() -> None:
    cookies, bad = read(youtube_cookies(GOOD, NOW).text, NOW)
    assert bad == 0
    assert [cookie.line for cookie in cookies] == [INFO, ACCOUNT]


@pytest.mark.parametrize("domain, path, sent", [
    (".youtube.com", "/", True), ("www.youtube.com", "/", True), (".www.youtube.com", "/", True),
    ("youtube.com", "/", False), (".google.com", "/", False), ("m.youtube.com", "/", False),
    (".tube.com", "/", False), (".youtube.com", "/live", False),
])
def test_a_host_gets_its_own_cookies(domain: str, path: str, sent: bool) -> None:
    cookie = Cookie(domain, path, True, LATER, "a", "b")
    assert cookie_header([cookie], "www.youtube.com") == ("a=b" if sent else "")


def test_a_value_is_never_shown() -> None:
    kept = youtube_cookies(GOOD.replace("info", "SECRET"), NOW)
    assert "SECRET" in kept.text
    assert "SECRET" not in repr(kept)
