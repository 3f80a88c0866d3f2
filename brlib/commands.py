"""The command line's `user`, `api-key` and `import-channels`: what they take, do and print.

Hung into the program's parser by `battles_record.py`. They work on the database, whether the
daemon runs or not; what they change holds for it at once. What only they need is imported
when one runs: whoever serves would keep it in memory.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from . import config
from .config import Settings
from .errors import RecorderError
from .models import Channel, Role, iso

if TYPE_CHECKING:
    from .accounts import Accounts
    from .channel_csv import Row
    from .store import Store

OK, FAILED, USAGE = 0, 1, 2
CONFIG_HELP = "default: $BR_CONFIG, else ./config.ini, else built-in defaults"
IMPORT_MAX_BYTES = 1024 * 1024

Run = Callable[[argparse.Namespace], int]
Command = Callable[[str, Run, str], argparse.ArgumentParser]


def add_to(command: Command) -> None:
    """All of them; a group without an action lists."""
    users = _Group(command("user", list_users, "add, list, change and delete users"))
    add = users.action("add", add_user, "make a user; asks for the password, or reads it from "
                       "the first line of standard input")
    add.add_argument("name", metavar="NAME")
    add.add_argument("--viewer", action="store_true", help="the user may only read")
    users.action("list", list_users, "show all users")
    reset = users.action("reset-password", reset_password, "give a user a new password, asked "
                         "for as with add, and end all their logins")
    reset.add_argument("name", metavar="NAME")
    delete = users.action("delete", delete_user, "delete a user; their logins end at once")
    delete.add_argument("name", metavar="NAME")

    keys = _Group(command("api-key", list_keys, "make, list and revoke API keys"))
    create = keys.action("create", create_key, "make a key; it is printed once")
    create.add_argument("label", metavar="LABEL", help="what the key is for")
    create.add_argument("--read", action="store_true", help="the key may only read")
    keys.action("list", list_keys, "show all keys")
    revoke = keys.action("revoke", revoke_key, "make a key useless at once")
    revoke.add_argument("id", metavar="ID", type=int, help="its number in the list")

    channels = command("import-channels", import_channels,
                       "watch the channels of a CSV file: platform,channel,quality,enabled")
    channels.add_argument("file", metavar="FILE", help="- is standard input")


class _Group:
    """A command that has actions; each takes --config, too, before or behind it."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._actions = parser.add_subparsers(metavar="ACTION")

    def action(self, name: str, run: Run, help: str) -> argparse.ArgumentParser:
        action = self._actions.add_parser(name, help=help, description=help)
        action.add_argument(
            "--config", metavar="FILE", default=argparse.SUPPRESS, help=CONFIG_HELP)
        action.set_defaults(run=run)
        return action


def read_settings(arguments: argparse.Namespace) -> Settings:
    """Raises ConfigError."""
    return config.load(config.find_file(arguments.config, os.environ), os.environ)


@contextmanager
def _store(arguments: argparse.Namespace) -> Iterator[Store]:
    from .store import open_store

    settings = read_settings(arguments)
    settings.data_directory.mkdir(parents=True, exist_ok=True)
    with closing(open_store(settings.database_path)) as store:
        yield store


@contextmanager
def _accounts(arguments: argparse.Namespace) -> Iterator[Accounts]:
    from .accounts import Accounts

    settings = read_settings(arguments)
    with _store(arguments) as store:
        yield Accounts(store, lambda: settings)


def _used(moment: datetime | None) -> str:
    return iso(moment) or "never"


# Users.


def add_user(arguments: argparse.Namespace) -> int:
    with _accounts(arguments) as accounts:
        role = Role.VIEWER if arguments.viewer else Role.ADMIN
        user = accounts.add_user(arguments.name, new_password(), role)
    print(f"{user.username} may log in as {user.role}")
    return OK


def list_users(arguments: argparse.Namespace) -> int:
    with _accounts(arguments) as accounts:
        for user in accounts.find_users():
            print(f"{user.id}\t{user.role}\tlogin {_used(user.last_login_at)}\t{user.username}")
    return OK


def reset_password(arguments: argparse.Namespace) -> int:
    with _accounts(arguments) as accounts:
        user = accounts.get_named(arguments.name)
        accounts.change_user(user.id, password=new_password())
    print(f"{user.username} has a new password and has to log in again")
    return OK


def delete_user(arguments: argparse.Namespace) -> int:
    with _accounts(arguments) as accounts:
        user = accounts.get_named(arguments.name)
        accounts.delete_user(user.id)
    print(f"{user.username} is deleted")
    return OK


def new_password() -> str:
    """Asked twice at a terminal, else the first line of standard input. Never an argument:
    everyone on the machine sees those. Raises RecorderError."""
    if not sys.stdin or not sys.stdin.isatty():
        return _first_line()
    try:
        password = getpass.getpass("New password: ")
        again = getpass.getpass("Once more: ")
    except (EOFError, KeyboardInterrupt) as error:
        raise RecorderError("No password was given; nothing was changed") from error
    if password != again:
        raise RecorderError("The two passwords differ; nothing was changed. Try again")
    return password


def _first_line() -> str:
    from .passwords import PASSWORD_MAX

    # A character of UTF-8 has up to 4 bytes; a line that is cut is too long for a password.
    line = sys.stdin.buffer.readline(4 * PASSWORD_MAX + 2) if sys.stdin else b""
    try:
        password = line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise RecorderError("The password on standard input is not UTF-8 text") from error
    if not password:
        raise RecorderError("There is no password on standard input: write it as one line, or "
                            "run this at a terminal to be asked for it")
    return password


# API keys.


def create_key(arguments: argparse.Namespace) -> int:
    from .store.api_keys import FULL, READ

    if not arguments.label.strip() or not arguments.label.isprintable():
        raise RecorderError("The label must say what the key is for")
    with _store(arguments) as store:
        print(store.api_keys.create(arguments.label, READ if arguments.read else FULL))
    return OK


def list_keys(arguments: argparse.Namespace) -> int:
    with _store(arguments) as store:
        for key in store.api_keys.find_all():
            print(f"{key.id}\t{key.permission}\tused {_used(key.last_used_at)}\t{key.label}")
    return OK


def revoke_key(arguments: argparse.Namespace) -> int:
    with _store(arguments) as store:
        if not store.api_keys.revoke(arguments.id):
            raise RecorderError(f"There is no key {arguments.id}; see 'api-key list'")
    return OK


# Channels.


def import_channels(arguments: argparse.Namespace) -> int:
    """A daemon that runs begins to watch them within a second."""
    from .platforms import all_platforms  # imports streamlink
    from .service import import_rows, new_channel

    data = (sys.stdin.buffer if arguments.file == "-" else open(arguments.file, "rb"))
    with closing(data):
        text = data.read(IMPORT_MAX_BYTES + 1)
    if len(text) > IMPORT_MAX_BYTES:
        raise RecorderError(f"{arguments.file} has more than {IMPORT_MAX_BYTES} bytes")
    settings, platforms = read_settings(arguments), all_platforms()
    try:
        with _store(arguments) as store:
            def add(row: Row) -> Channel:
                channel = new_channel(
                    settings, platforms[row.platform], row.channel, row.quality, row.enabled)
                store.channels.add(channel)
                return channel

            results = import_rows(text, platforms, add)
    finally:
        for platform in platforms.values():
            platform.close()
    for result in results:
        print(f"line {result.line}\t{result.status}\t"
              f"{result.channel_id or result.message}\t{result.channel}")
    return FAILED if any(result.status == "invalid" for result in results) else OK
