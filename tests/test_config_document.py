"""Tests of brlib.config.document: what it reads, and changes that leave the rest as it stands."""

from __future__ import annotations

import configparser
import random

import pytest

from brlib.config.document import Document

EXAMPLE = {"port": "#port = 8080", "host": "#host = 127.0.0.1", "key": "#key = "}


def changed(text: str, section: str, name: str, value: str | None) -> str:
    document = Document(text)
    assert document.problems == []
    if value is None:
        return document.without(section, name, EXAMPLE[name]).text
    return document.with_value(section, name, value, EXAMPLE[name]).text


@pytest.mark.parametrize("name, value, before, after", [
    pytest.param("port", "9", "[server]\nport = 1\n", "[server]\nport = 9\n", id="replaced"),
    pytest.param("port", "9", "[server]\nport=1", "[server]\nport=9", id="no spaces, no end"),
    pytest.param("port", "9", "[server]\n\tPort :  1 \n", "[server]\n\tPort :  9\n",
                 id="as it is written"),
    pytest.param("port", "9", "[server]\nport = 1   # why\n", "[server]\nport = 9   # why\n",
                 id="comment behind"),
    pytest.param("port", "9", "[server]\nport =\n", "[server]\nport = 9\n", id="empty"),
    pytest.param("port", "9", "[server]\nport=  # why\n", "[server]\nport=9  # why\n",
                 id="empty with a comment"),
    pytest.param("host", "a", "[server]\nhost = x,\n  y # z\n\n  # no\n  z\n\nport = 1\n",
                 "[server]\nhost = a\n\n  # no\n\nport = 1\n", id="several lines"),
    pytest.param("port", "9", "[server]\n# A.\n#port = 8080\n# B.\n#host = 127.0.0.1\n",
                 "[server]\n# A.\nport = 9\n# B.\n#host = 127.0.0.1\n", id="the example's line"),
    pytest.param("port", "9", "[server]\n#port = 8080  # why\n", "[server]\nport = 9  # why\n",
                 id="the example's line with a comment"),
    pytest.param("port", "9", "[server]\n#port = 80801\n#port = 8080 or 1\n;port = 8080\n",
                 "[server]\nport = 9\n#port = 80801\n#port = 8080 or 1\n;port = 8080\n",
                 id="other comments stay"),
    pytest.param("port", "9", "[other]\n#port = 8080\n[server]\n# x\n",
                 "[other]\n#port = 8080\n[server]\nport = 9\n# x\n", id="another section's"),
    pytest.param("port", "9", "[server]\nhost = a\n\n# About other.\n[other]\n",
                 "[server]\nhost = a\nport = 9\n\n# About other.\n[other]\n", id="appended"),
    pytest.param("port", "9", "[server]\nhost = a", "[server]\nhost = a\nport = 9\n",
                 id="appended to a last line without an end"),
    pytest.param("port", "9", "[server]\nhost = a,\n  b\n[other]\n",
                 "[server]\nhost = a,\n  b\nport = 9\n[other]\n", id="behind several lines"),
    pytest.param("port", "9", "[server]\n  host = a\n  [other]\n",
                 "[server]\n  host = a\n  port = 9\n  [other]\n", id="indented like what follows"),
    pytest.param("port", "9", "[server]\n#port = 8080\n  host = a\n",
                 "[server]\n  port = 9\n  host = a\n", id="must not swallow what follows"),
    pytest.param("port", "9", "[server]\nhost = a,\n#port = 8080\n  b\n",
                 "[server]\nhost = a,\n#port = 8080\n  b\nport = 9\n", id="inside of a value"),
    pytest.param("port", "9", "", "[server]\nport = 9\n", id="empty file"),
    pytest.param("port", "9", "# x", "# x\n\n[server]\nport = 9\n", id="new section"),
    pytest.param("port", "9", "[other]\n\n", "[other]\n\n[server]\nport = 9\n",
                 id="new section after a blank line"),
    pytest.param("port", "9", "[other]\r\na = b\r\n",
                 "[other]\r\na = b\r\n\r\n[server]\r\nport = 9\r\n", id="CRLF"),
    pytest.param("port", "9", "\ufeff[server]\r\nhost = a\r\n#port = 8080\r\n",
                 "\ufeff[server]\r\nhost = a\r\nport = 9\r\n", id="byte order mark"),
    pytest.param("port", "9", "[server]\rport = 1\r#x\r", "[server]\rport = 9\r#x\r", id="CR"),
    pytest.param("host", "a = [b]: %(c)s ;d", "[server]\nhost = 1\n",
                 "[server]\nhost = a = [b]: %(c)s ;d\n", id="signs in the value"),
    pytest.param("port", None, "[server]\nport = 1\n", "[server]\n#port = 8080\n", id="default"),
    pytest.param("port", None, "[server]\nport = 1   # why\n", "[server]\n#port = 8080   # why\n",
                 id="default, with a comment"),
    pytest.param("host", None, "[server]\nhost = a\n  b\nport = 1\n",
                 "[server]\n#host = 127.0.0.1\nport = 1\n", id="default of several lines"),
    pytest.param("port", None, "[server]\n#port = 8080\nport = 1\nhost = a\n",
                 "[server]\n#port = 8080\nhost = a\n", id="default beneath the example's line"),
    pytest.param("port", None, "[server]\n#port = 8080\nport = 1  # why\n",
                 "[server]\n#port = 8080\n# why\n", id="a comment is not lost"),
    pytest.param("port", None, "[server]\nhost = a\n", "[server]\nhost = a\n", id="nothing there"),
    pytest.param("key", None, "[server]\nkey = hunter2\n", "[server]\n#key = \n", id="a secret"),
])
def test_changes(name: str, value: str | None, before: str, after: str) -> None:
    assert changed(before, "server", name, value) == after
    entry = Document(after).find("server", name)
    assert (entry.value if entry else None) == value


@pytest.mark.parametrize("before", [
    "[server]\n# A.\n#port = 8080\n# B.\n#host = 127.0.0.1\n", "[server]\n#port = 8080 # why\n",
])
def test_there_and_back(before: str) -> None:
    assert changed(changed(before, "server", "port", "1"), "server", "port", None) == before


@pytest.mark.parametrize("text, line", [
    ("[a]\n\nb\n", 3), ("b = 1\n[a]\n", 1), ("[a]\n[b]\n[a]\n", 3), ("[a]\nb=1\nB=2\n", 3),
    ("[a]\n= 1\n", 2), ("[]\n", 1), ("[a]\n:\n", 2),
])
def test_problems_have_their_lines(text: str, line: int) -> None:
    (problem,) = Document(text).problems
    assert problem.field == f"line {line}"


PIECES = (
    "[server]", "[other]", "port = 1", "host=a", "key : x", "key", "= 1", "#port = 8080",
    "# text", "; text", "value # text", "a#b", "  ", "\t", " ", "\n", "\n", "\n", "\r\n", "x", ",",
    "=", ":", "[", "]", "\x0b", "\x85", "%(x)s", "ünï", "\u2028",
)


def reference(text: str) -> dict[tuple[str, str], str] | None:
    """What configparser reads; None for what it refuses."""
    parser = configparser.ConfigParser(
        interpolation=None, inline_comment_prefixes=("#",), default_section="")
    try:
        parser.read_file(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    except configparser.Error:
        return None
    return {(section, name): value for section in parser.sections()
            for name, value in parser.items(section)}


def test_it_reads_what_configparser_reads() -> None:
    seed = random.randrange(10 ** 9)
    print("seed", seed)
    chance = random.Random(seed)
    read = 0
    for _ in range(4000):
        text = "".join(chance.choices(PIECES, k=chance.randrange(1, 14)))
        text = chance.choice(("", "[server]\n", "[server]\n  host = 1\n")) + text
        document, expected = Document(text), reference(text)
        found = {(entry.section, entry.name): entry.value for entry in document.entries}
        assert bool(document.problems) is (expected is None), text
        assert document.text == text
        if expected is not None:
            assert found == expected, text
            read += len(expected)
    assert read > 1000


def test_a_change_changes_nothing_else() -> None:
    seed = random.randrange(10 ** 9)
    print("seed", seed)
    chance = random.Random(seed)
    done = 0
    while done < 1500:
        text = "".join(chance.choices(PIECES, k=chance.randrange(1, 14)))
        before = reference(text)
        if before is None:
            continue
        name = chance.choice(tuple(EXAMPLE))
        value = chance.choice(("9", "a=b", "[x]", ";", None))
        after = reference(changed(text, "server", name, value))
        before.pop(("server", name), None)
        expected = before if value is None else before | {("server", name): value}
        assert after == expected, (text, name, value)
        done += 1
