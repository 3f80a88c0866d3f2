"""The configuration file with the environment over it: read, and rewritten in one piece.

`load` serves the command line; `ConfigFile` belongs to `Configuration`.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import disk
from ..errors import ConfigError, Problem
from .clashes import clashes
from .document import Document
from .settings import OPTIONS, SECRETS, Settings, anchored, example, section_of, value_of

log = logging.getLogger(__name__)

# By which a change is noticed: device, inode, time of the last change in ns, bytes.
State = tuple[int, int, int, int]


def find_file(given: str | None, environ: Mapping[str, str]) -> Path | None:
    """`--config`, else `$BR_CONFIG`, else ./config.ini where there is one, else None."""
    if given or environ.get("BR_CONFIG"):
        return Path(given or environ["BR_CONFIG"])
    return Path("config.ini") if Path("config.ini").exists() else None


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Settings from a file (None: built-in defaults) and the environment.

    Relative directories are relative to the file. Raises ConfigError with every problem.
    """
    document = Document("") if path is None else _read(path)[0]
    return _settings(document, path, environ)


class ConfigFile:
    """One configuration file, there or not. `path` None is what the next start would find:
    config.ini in the working directory, which need not be there."""

    def __init__(self, path: Path | None, environ: Mapping[str, str]) -> None:
        self.path = (path or Path("config.ini")).absolute()
        self._may_lack = path is None
        self._environ = dict(environ)

    def state(self) -> State | None:
        """What the file is at this moment; None where there is none that can be seen."""
        try:
            return _state(os.stat(self.path))
        except OSError:
            return None

    def read(self) -> tuple[Document, State | None]:
        """Raises ConfigError. A file that may lack and does is the example with nothing set."""
        if self._may_lack and not self.path.exists():
            return Document(example()), None
        # Once it was there it is missed.
        self._may_lack = False
        return _read(self.path)

    def settings(self, document: Document) -> Settings:
        """Raises ConfigError."""
        return _settings(document, self.path, self._environ)

    def find_override(self, name: str) -> str | None:
        """The environment variable that sets this option, whatever the file says."""
        variable = "BR_" + name.upper()
        found = (v for v in (variable, variable + "_FILE") if self._environ.get(v, "").strip())
        return next(found, None)

    def write(self, document: Document) -> State:
        """Put a document in the file's place, whole or not at all, with the old one's mode,
        owner and attributes. A link stays one. Raises OSError; then nothing has changed."""
        target = self.path.resolve()
        fd, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with open(fd, "wb") as file:
                file.write(document.text.encode("utf-8"))
                file.flush()
                if target.exists():
                    _make_alike(name, target)
                os.fsync(fd)
                state = _state(os.fstat(fd))
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
        self._may_lack = False
        _sync_directory(target.parent)
        return state


def _make_alike(name: str, model: Path) -> None:
    was, now = model.stat(), os.stat(name)
    if (was.st_uid, was.st_gid) != (now.st_uid, now.st_gid):
        os.chown(name, was.st_uid, was.st_gid)
    shutil.copystat(model, name)
    os.utime(name)


def _sync_directory(directory: Path) -> None:
    try:
        disk.sync(directory)
    except OSError as error:
        # The new file stands there; only a power cut just now could bring the old one back.
        log.warning("%s cannot be synced: %s", directory, error)


def _state(found: os.stat_result) -> State:
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: Path) -> tuple[Document, State]:
    """Raises ConfigError where it cannot be read at all; see the document's own problems."""
    try:
        with open(path, "rb") as file:
            state = _state(os.fstat(file.fileno()))
            return Document(file.read().decode("utf-8")), state
    except OSError as error:
        raise ConfigError(
            str(path), [Problem("file", f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            str(path), [Problem("file", f"is not UTF-8 at byte {error.start}")]) from error


def _settings(document: Document, path: Path | None, environ: Mapping[str, str]) -> Settings:
    problems = list(document.problems)
    given = {**_from_document(document, problems), **_from_environment(environ, problems)}
    values: dict[str, Any] = {}
    for name, (place, value) in given.items():
        try:
            values[name] = value_of(name, value)
        except ValueError as error:
            said = str(error) if name in SECRETS else f"{value!r} {error}"
            problems.append(Problem(f"{place} {name}", said))
    if not problems:
        settings = anchored(Settings(**values), path.parent if path else Path.cwd())
        problems = [Problem(f"[{section_of(one.field)}] {one.field}", one.message)
                    for one in clashes(settings)]
    if problems:
        raise ConfigError(str(path or "configuration"), problems)
    return settings


def _from_document(
    document: Document, problems: list[Problem]
) -> dict[str, tuple[str, str]]:
    given = {}
    for entry in document.entries:
        place = f"[{entry.section}]"
        if not entry.name.isidentifier():
            # Half a secret may stand before the sign.
            problems.append(Problem(f"{place} line {entry.line + 1}", "is not an option"))
        elif entry.name not in OPTIONS:
            problems.append(Problem(f"{place} {entry.name}", "is not an option"))
        elif section_of(entry.name) != entry.section:
            home = section_of(entry.name)
            problems.append(Problem(f"{place} {entry.name}", f"belongs into [{home}]"))
        elif entry.value.strip():
            given[entry.name] = (place, entry.value.strip())
    return given


def _from_environment(
    environ: Mapping[str, str], problems: list[Problem]
) -> dict[str, tuple[str, str]]:
    given = {}
    for name in OPTIONS:
        variable = "BR_" + name.upper()
        # Empty is as good as not there, as in the file: compose files pass `BR_PORT=`.
        if value := environ.get(variable, "").strip():
            given[name] = (variable, value)
        elif source := environ.get(variable + "_FILE"):
            try:
                given[name] = (variable + "_FILE", Path(source).read_text("utf-8").strip())
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                problems.append(Problem(variable + "_FILE", f"{source}: {reason}"))
    return given
