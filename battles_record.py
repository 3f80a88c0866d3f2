#!/usr/bin/env python3
"""The command line: serve, demo, check-config, print-example, api-key.

Exit codes: 0 fine, 1 failed, 2 usage or configuration. Users, passwords and channel import
get their commands here.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from collections.abc import Sequence

from brlib import __version__, config, log
from brlib.config import Settings
from brlib.errors import ConfigError, RecorderError
from brlib.store import Store, open_store
from brlib.store.api_keys import FULL, READ

OK, FAILED, USAGE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return USAGE
    except (RecorderError, OSError, sqlite3.Error) as error:
        print(f"battles-record: {error}", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="battles-record", description="Records live streams completely, and can prove it.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help)
        sub.add_argument("--config", metavar="FILE",
                         help="default: $BR_CONFIG, else ./config.ini, else built-in defaults")
        sub.set_defaults(run=run)
        return sub

    command("serve", serve, "run the daemon in the foreground")
    demo_command = commands.add_parser(
        "demo", help="record a live broadcast that it makes itself")
    demo_command.set_defaults(run=demo)
    demo_command.add_argument("--seconds", type=int, default=20, help="length of the broadcast")
    demo_command.add_argument("--directory", default="demo-data", help="where everything goes")
    command("check-config", check_config, "check the configuration, list all problems")
    command("print-example", print_example, "print config.ini.example")
    keys = command("api-key", list_keys, "make, list and revoke API keys")
    actions = keys.add_subparsers(metavar="ACTION")
    create = actions.add_parser("create", help="make a key; it is printed once")
    create.add_argument("label", help="what the key is for")
    create.add_argument("--read", action="store_true", help="the key may only read")
    create.set_defaults(run=create_key)
    actions.add_parser("list", help="show all keys").set_defaults(run=list_keys)
    revoke = actions.add_parser("revoke", help="make a key useless at once")
    revoke.add_argument("id", type=int, help="its number in the list")
    revoke.set_defaults(run=revoke_key)
    for action in actions.choices.values():
        action.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS,
                            help=argparse.SUPPRESS)
    return parser


def _settings(arguments: argparse.Namespace) -> Settings:
    return config.load(config.find_file(arguments.config, os.environ), os.environ)


def serve(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    log.set_up(settings.log_level)
    from brlib.web.server import serve as run_server  # imports Flask and gunicorn

    return run_server(settings)


def demo(arguments: argparse.Namespace) -> int:
    from brlib.demo import Demo

    return Demo(arguments.directory, arguments.seconds).run()


def check_config(arguments: argparse.Namespace) -> int:
    path = config.find_file(arguments.config, os.environ)
    config.load(path, os.environ)
    print(f"{path or 'built-in defaults'}: fine")
    return OK


def print_example(arguments: argparse.Namespace) -> int:
    print(config.example(), end="")
    return OK


def _open_store(arguments: argparse.Namespace) -> Store:
    settings = _settings(arguments)
    settings.data_directory.mkdir(parents=True, exist_ok=True)
    return open_store(settings.database_path)


def create_key(arguments: argparse.Namespace) -> int:
    store = _open_store(arguments)
    try:
        print(store.api_keys.create(arguments.label, READ if arguments.read else FULL))
    finally:
        store.close()
    return OK


def list_keys(arguments: argparse.Namespace) -> int:
    store = _open_store(arguments)
    try:
        for key in store.api_keys.find_all():
            used = key.last_used_at.isoformat(timespec="seconds") if key.last_used_at else "never"
            print(f"{key.id}\t{key.permission}\tused {used}\t{key.label}")
    finally:
        store.close()
    return OK


def revoke_key(arguments: argparse.Namespace) -> int:
    store = _open_store(arguments)
    try:
        if not store.api_keys.revoke(arguments.id):
            print(f"There is no key {arguments.id}; see 'api-key list'", file=sys.stderr)
            return FAILED
    finally:
        store.close()
    return OK


if __name__ == "__main__":
    sys.exit(main())
