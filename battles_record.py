#!/usr/bin/env python3
"""The command line: serve, demo, check-config, print-example, user, api-key.

Exit codes: 0 fine, 1 failed, 2 usage or configuration. Channel import gets its command here.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import sys
from collections.abc import Sequence

from brlib import __version__, config, log
from brlib.commands import CONFIG_HELP, FAILED, OK, USAGE, Run, add_to
from brlib.errors import ConfigError, RecorderError


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

    def command(name: str, run: Run, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help)
        sub.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
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
    add_to(command)
    return parser


def serve(arguments: argparse.Namespace) -> int:
    configuration = config.Configuration(
        config.find_file(arguments.config, os.environ), os.environ)
    log.set_up(configuration.settings.log_level)
    from brlib.web.server import serve as run_server  # imports Flask and gunicorn

    return run_server(configuration)


def demo(arguments: argparse.Namespace) -> int:
    from brlib.demo import Demo

    return Demo(arguments.directory, arguments.seconds).run()


def check_config(arguments: argparse.Namespace) -> int:
    path = config.find_file(arguments.config, os.environ)
    settings = config.load(path, os.environ)
    if problems := config.unusable(settings):
        raise ConfigError(str(path or "built-in defaults"), problems)
    for program in (settings.ffmpeg_path, settings.ffprobe_path):
        if shutil.which(program) is None:
            print(f"{program} is not there (yet): ffmpeg_path in [processing]", file=sys.stderr)
    print(f"{path or 'built-in defaults'}: fine")
    return OK


def print_example(arguments: argparse.Namespace) -> int:
    print(config.example(), end="")
    return OK


if __name__ == "__main__":
    sys.exit(main())
