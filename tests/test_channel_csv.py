"""Tests of brlib.channel_csv: what people and spreadsheets send, and the way there and back."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from brlib.channel_csv import ROWS_MAX, VALUE_MAX, Row, parse, render
from brlib.errors import Invalid
from brlib.models import Channel
from brlib.quality import QUALITIES

HEADER = "platform,channel,quality,enabled\n"
ADDED = datetime(2026, 1, 1, tzinfo=UTC)
PIECES = [*"abcXYZ019 ,;'\"=+-@|()!#._", "\t", "é", "e\u0301", "中", "😀", "·", "＝", "＠", "\u2028",
          "\x85", "@handle", "'=", '""', "platform", "channel", "http://h/x?a=1,2;b"]


def channel(name: str, platform: str = "twitch", quality: str = "source",
            enabled: bool = True) -> Channel:
    return Channel("ch_1", platform, name, name, "", quality, enabled, ADDED)


def said(row: Row) -> tuple[str, str, str | None, bool]:
    """A row without its line."""
    assert row.problem is None
    return row.platform, row.channel, row.quality, row.enabled


@pytest.mark.parametrize("text, expected", [
    pytest.param("", [], id="nothing"),
    pytest.param(" \n\r\n,,,\n", [], id="nothing but empty lines"),
    pytest.param(HEADER, [], id="header alone"),
    pytest.param(HEADER + "twitch,a,1080p,false\n", [("twitch", "a", "1080p", False)], id="plain"),
    pytest.param("twitch,a,1080p,false", [("twitch", "a", "1080p", False)], id="no header"),
    pytest.param("twitch,a\nkick,b,,\nurl,c,480p\nyoutube,d,,no", [
        ("twitch", "a", None, True), ("kick", "b", None, True), ("url", "c", "480p", True),
        ("youtube", "d", None, False)], id="defaults"),
    pytest.param("enabled,quality,channel,platform\n0,720p,a,kick\n", [
        ("kick", "a", "720p", False)], id="another order"),
    pytest.param("channel,platform\na,kick\n", [("kick", "a", None, True)], id="two columns"),
    pytest.param(" Platform , CHANNEL\nTwitch, A ,\n", [("twitch", "A", None, True)],
                 id="spaces and capitals"),
    pytest.param("\ufeffplatform,channel\r\ntwitch,a\r\n\r\nkick,b", [
        ("twitch", "a", None, True), ("kick", "b", None, True)], id="mark and CRLF"),
    pytest.param("twitch,a\rkick,b\r", [("twitch", "a", None, True), ("kick", "b", None, True)],
                 id="CR"),
    pytest.param("platform;channel;quality;enabled\nurl;http://h/a,b;;NO\n", [
        ("url", "http://h/a,b", None, False)], id="semicolons"),
    pytest.param('"url";"http://h/a;b,c"\n', [("url", "http://h/a;b,c", None, True)],
                 id="semicolons, quoted"),
    pytest.param("url,http://h/a;b=1\n", [("url", "http://h/a;b=1", None, True)],
                 id="comma before semicolon"),
    pytest.param('twitch,"a ""b"", c", "720p"\n', [("twitch", 'a "b", c', "720p", True)],
                 id="quotes"),
    pytest.param("twitch,platform\ntwitch,channel\n", [
        ("twitch", "platform", None, True), ("twitch", "channel", None, True)],
        id="channels called like columns"),
    pytest.param("platform,channel,,\ntwitch,a,,\n", [("twitch", "a", None, True)],
                 id="empty cells behind"),
    pytest.param("youtube,@handle\nyoutube,'@handle\nkick,'-x\nurl,'a'\n", [
        ("youtube", "@handle", None, True), ("youtube", "@handle", None, True),
        ("kick", "-x", None, True), ("url", "'a'", None, True)], id="shields"),
])
def test_parse(text: str, expected: list[tuple[str, str, str | None, bool]]) -> None:
    assert [said(row) for row in parse(text)] == expected
    assert parse(text.encode()) == parse(text)


@pytest.mark.parametrize("value, enabled", [
    ("true", True), ("TRUE", True), ("Yes", True), ("1", True), ("", True),
    ("false", False), ("False", False), ("NO", False), ("0", False),
])
def test_enabled(value: str, enabled: bool) -> None:
    assert parse(f"twitch,a,source,{value}") == [Row(1, "twitch", "a", "source", enabled)]


@pytest.mark.parametrize("text, problem", [
    ("twitch,,source", "channel is missing"),
    (",a", "platform is missing"),
    ("twitch", "channel is missing"),
    pytest.param(" " * 500_000 + "x", "channel is missing", id="endless spaces"),
    ("twitch,a,source,maybe", "enabled must be true or false"),
    ("twitch,a,source,true,more", "has 5 values for 4 columns"),
    ("channel,platform\na,twitch,720p", "has 3 values for 2 columns"),
    ('twitch,"a\nb"', "channel must have at most 2000 characters, none of them a control one"),
    ("twitch,a\ud800", "channel must have at most 2000 characters, none of them a control one"),
    ("twitch," + "a" * (VALUE_MAX + 1),
     "channel must have at most 2000 characters, none of them a control one"),
])
def test_rows_with_a_problem(text: str, problem: str) -> None:
    """They do not keep the others out."""
    bad, good = parse(text + "\ntwitch,good" if text[0] != "c" else text + "\ngood,twitch")
    assert bad.problem == problem
    assert said(good) == ("twitch", "good", None, True)


def test_rows_know_their_lines() -> None:
    rows = parse('\n' + HEADER + 'twitch,a\n\n\ntwitch,"b\nb"\r\ntwitch,c\n')
    assert [row.line for row in rows] == [3, 6, 8]


@pytest.mark.parametrize("data, message", [
    pytest.param(b"twitch,\xe4\n", "csv: is not UTF-8 (at byte 7)", id="another encoding"),
    pytest.param("twitch,a\n".encode("utf-16"), "csv: is not UTF-8 (at byte 0)", id="UTF-16"),
    pytest.param("twitch,a\n".encode("utf-16-le"), "NUL", id="UTF-16 without a mark"),
    pytest.param("platform,channel,title\ntwitch,a,x", "not platform, channel, title",
                 id="unknown column"),
    pytest.param("id,platform,channel\n1,twitch,a", "not id, platform, channel",
                 id="unknown first column"),
    pytest.param("platform,name\ntwitch,a", "line 1: the columns are platform, channel, quality",
                 id="column missing"),
    pytest.param("platform,channel,channel\ntwitch,a,b", "each at most once", id="column twice"),
    pytest.param('twitch,a\ntwitch,"b\nkick,c\n', "line 2: unexpected end of data",
                 id="quote without end"),
    pytest.param('twitch,a\n\ntwitch,"b" c\n', "line 3: ", id="text behind a quote"),
    pytest.param('twitch,"' + "a" * 200_000, "line 1: field larger than field limit",
                 id="endless field"),
    pytest.param("twitch,a\n" * (ROWS_MAX + 1), f"line {ROWS_MAX + 1}: there are more than",
                 id="too many"),
])
def test_lists_that_are_refused(data: bytes | str, message: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(data)
    assert message in str(caught.value) and caught.value.problems[0].field == "csv"


def test_as_many_rows_as_are_allowed() -> None:
    assert len(parse(HEADER + "twitch,a\n\n" * ROWS_MAX)) == ROWS_MAX


@pytest.mark.parametrize("name, cell", [
    ("name", "name"), ("a,b", '"a,b"'), ('a"b', '"a""b"'), ("@handle.x-y·z", "@handle.x-y·z"),
    ("@ユーザー", "@ユーザー"), ("-name-", "-name-"), ("'name'", "'name'"),
    ("=1+1", "'=1+1"), ("+1", "'+1"), ("@SUM(1)", "'@SUM(1)"), ("-1|'x'!A", "'-1|'x'!A"),
    ("＝1", "'＝1"), ("'=1", "''=1"), ('=A("b")', '"\'=A(""b"")"'),
])
def test_names_that_a_spreadsheet_would_compute(name: str, cell: str) -> None:
    assert render([channel(name)]) == (
        f"platform,channel,quality,enabled\r\ntwitch,{cell},source,true\r\n")
    assert [row.channel for row in parse(render([channel(name)]))] == [name]


@pytest.mark.parametrize("seed", range(20))
def test_there_and_back(seed: int) -> None:
    rng = random.Random(seed)
    channels = []
    for _ in range(50):
        name = "".join(rng.choices(PIECES, k=rng.randint(1, 8))).strip().replace("\t", "") or "x"
        channels.append(channel(
            name.strip() or "x", rng.choice(("twitch", "youtube", "kick", "url")),
            rng.choice(QUALITIES), rng.random() < 0.5))
    rows = parse(render(channels))
    assert [said(row) for row in rows] == [
        (c.platform, c.name, c.quality, c.enabled) for c in channels]
    assert [row.line for row in rows] == list(range(2, len(channels) + 2))
    assert parse(render(channels).replace("\r\n", "\n").encode()) == rows


def test_an_empty_list_there_and_back() -> None:
    assert parse(render([])) == []
