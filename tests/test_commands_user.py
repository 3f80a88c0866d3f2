"""Tests of `battles_record.py user …`: what it does, prints and refuses, and how it asks."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from battles_record import main
from brlib.errors import Unauthorized
from brlib.models import Role

from .daemon import PROGRAM
from .people import PASSWORD, People, people

NEW = "another password"


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def world(tmp_path: Path) -> Iterator[People]:
    """The accounts as the daemon has them while the commands run."""
    with people(tmp_path) as one:
        yield one


@pytest.fixture
def user(
    world: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """Runs `user …` with something on standard input; the exit code."""
    ini = tmp_path / "config.ini"
    ini.write_text("[storage]\ndata_directory = .\n")
    monkeypatch.setattr("brlib.accounts.Accounts", lambda store, settings: world.accounts)

    def run(*arguments: str, stdin: bytes = b"", terminal: bool = False) -> int:
        kind = Terminal if terminal else io.TextIOWrapper
        monkeypatch.setattr(sys, "stdin", kind(io.BytesIO(stdin)))
        return main(["user", *arguments, "--config", str(ini)])

    return run


def test_add_list_reset_and_delete(
    world: People, user: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert user("add", "anna", stdin=PASSWORD.encode() + b"\n") == 0
    assert user("add", "bert", "--viewer", stdin="pässwörd\r\nanother line\n".encode()) == 0
    assert capsys.readouterr().out == (
        "anna may log in as admin\nbert may log in as viewer\n")
    bert = world.accounts.get_named("bert")
    assert bert.role is Role.VIEWER
    token = world.accounts.login("bert", "pässwörd").text

    assert user("list") == user() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == lines[2:]
    assert lines[0].split("\t")[1:] == ["admin", "login never", "anna"]
    assert lines[1].split("\t") == [
        bert.id, "viewer", "login 2026-01-02T03:04:05Z", "bert"]

    assert user("reset-password", "BERT", stdin=NEW.encode()) == 0
    with pytest.raises(Unauthorized):
        world.accounts.caller(token)
    token = world.accounts.login("bert", NEW).text
    assert user("delete", "bert") == 0
    with pytest.raises(Unauthorized):
        world.accounts.caller(token)
    assert [one.username for one in world.accounts.find_users()] == ["anna"]
    assert NEW not in "".join(capsys.readouterr())


@pytest.mark.parametrize("arguments, stdin, said", [
    (["add", "bert"], b"", "no password on standard input"),
    (["add", "bert"], b"\n" + PASSWORD.encode(), "no password on standard input"),
    (["add", "bert"], b"short\n", "at least 8 characters"),
    (["add", "bert"], b"x" * 5000, "at most 1024 characters"),
    (["add", "bert"], b"\xff" * 10, "not UTF-8"),
    (["add", "ANNA"], PASSWORD.encode(), "'anna' already"),
    (["add", "bert "], PASSWORD.encode(), "username: must not begin or end"),
    (["reset-password", "nobody"], PASSWORD.encode(), "no user 'nobody'"),
    (["reset-password", "anna"], b"short", "at least 8 characters"),
    (["delete", "nobody"], b"", "no user 'nobody'"),
    (["delete", "anna"], b"", "last admin: make another one first"),
])
def test_refusals(
    world: People, user: Callable[..., int], capsys: pytest.CaptureFixture[str],
    arguments: list[str], stdin: bytes, said: str,
) -> None:
    world.add("anna")
    token = world.login("anna")
    assert user(*arguments, stdin=stdin) == 1
    assert capsys.readouterr().out == ""
    assert world.accounts.caller(token).role is Role.ADMIN
    assert [one.username for one in world.accounts.find_users()] == ["anna"]
    user(*arguments, stdin=stdin)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [
    ["add"], ["add", "anna", PASSWORD], ["add", "anna", "--password", PASSWORD], ["no-such"],
    ["delete"], ["reset-password", "anna", PASSWORD]])
def test_usage(
    user: Callable[..., int], capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """A password is no argument: everyone on the machine sees those."""
    with pytest.raises(SystemExit) as caught:
        user(*arguments)
    assert caught.value.code == 2
    assert "usage: battles-record" in capsys.readouterr().err


def test_a_broken_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.ini").write_text("[auth]\nmin_password_length = 3\n")
    assert main(["user", "--config", str(tmp_path / "config.ini"), "list"]) == 2
    assert "min_password_length" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


# At a terminal.


@pytest.mark.parametrize("answers, code, said", [
    ([PASSWORD, PASSWORD], 0, ""),
    ([PASSWORD, NEW], 1, "differ"),
    ([KeyboardInterrupt()], 1, "nothing was changed"),
    ([PASSWORD, EOFError()], 1, "nothing was changed"),
])
def test_asked_twice(
    world: People, user: Callable[..., int], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], answers: list[str | BaseException], code: int, said: str,
) -> None:
    def answer(prompt: str) -> str:
        one = answers.pop(0)
        if isinstance(one, BaseException):
            raise one
        return one

    monkeypatch.setattr("getpass.getpass", answer)
    assert user("add", "anna", terminal=True) == code
    assert said in capsys.readouterr().err
    assert answers == []
    assert len(world.accounts.find_users()) == (code == 0)


def what_it_shows(terminal: io.FileIO) -> bytes:
    try:
        return terminal.read(4096) or b""
    except OSError:  # nothing at all, and nobody at the other end
        return b""


def test_nothing_is_echoed(tmp_path: Path) -> None:
    """A real terminal and the real program."""
    ours, theirs = pty.openpty()
    with open(ours, "r+b", buffering=0) as terminal:
        child = subprocess.Popen(
            [sys.executable, str(PROGRAM), "user", "add", "anna"], cwd=tmp_path, stdin=theirs,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        try:
            os.close(theirs)
            assert child.stderr is not None and child.stdout is not None
            with child.stdout, child.stderr:
                for prompt in (b"New password: ", b"Once more: "):
                    seen = b""
                    while not seen.endswith(prompt):
                        byte = child.stderr.read(1)
                        assert byte, seen
                        seen += byte
                    terminal.write(PASSWORD.encode() + b"\n")
                out, rest = child.stdout.read(), child.stderr.read()
            assert child.wait(20) == 0, rest
            assert PASSWORD.encode() not in what_it_shows(terminal)
        finally:
            child.kill()
            child.wait(20)
    assert out == b"anna may log in as admin\n"
    with people(tmp_path / "data") as world:
        assert world.accounts.caller(world.login("anna")).role is Role.ADMIN
