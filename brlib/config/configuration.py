"""The configuration while the daemon runs: the present settings, and how they change.

Owned by the service. The API changes the file through it; `step`, called about once a second
by a worker, notices what people change by hand. Both come to the same: the file is read as a
whole, and either holds or is refused as a whole.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import ConfigError, Conflict, Invalid, Problem, Unavailable
from . import usable
from .clashes import clashes
from .document import Document
from .file import ConfigFile, State
from .settings import (
    AT_START, OPTIONS, SECRETS, Settings, different, example_line, section_of, value_of,
)
from .values import HIDDEN, shown, written

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
# A file is read when it was the same twice, so long apart: editors write in several steps.
SETTLED_AFTER_S = 0.3

# Called with the settings before and after and the names of the options that are others;
# among those may be some that hold from the next start on.
Listener = Callable[[Settings, Settings, list[str]], None]


class Configuration:
    def __init__(
        self, path: Path | None, environ: Mapping[str, str], fixed: Settings | None = None
    ) -> None:
        """`path` as `find_file` gives it. Raises ConfigError with every problem."""
        self._file = ConfigFile(path, environ)
        self._watched = fixed is None
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        # The state of the file that was dealt with last.
        self._known: State | None = None
        if fixed is not None:
            self._written = fixed
        else:
            document, self._known = self._file.read()
            self._written = self._file.settings(document)
        self._present = self._written
        self._seen = self._known

    @classmethod
    def fixed(cls, settings: Settings) -> Configuration:
        """These settings and no file: they never change."""
        return cls(None, {}, settings)

    @property
    def settings(self) -> Settings:
        """Those that hold now: ask each time. Options for the next start are as at the last."""
        return self._present

    def shown(self) -> dict[str, Any]:
        """All options as JSON values, as the file (and the environment) has them: what was
        changed reads back, even where it holds from the next start on only."""
        return shown(self._written)

    @property
    def restart_required(self) -> list[str]:
        """The options whose value in the file waits for the next start."""
        return different(self._present, self._written)

    def listen(self, listener: Listener) -> None:
        """Call `listener` after every change, in the order of the changes. It must not
        change the configuration itself."""
        self._listeners.append(listener)

    def ignore(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    # Changes through the API.

    def change(self, values: Mapping[str, Any]) -> list[str]:
        """Write options into the file: JSON values, or text as people write it; None is the
        default again. All of them or none. The names of those that wait for the next start.

        Raises Invalid with every problem, Conflict when the file as it stands cannot be used,
        Unavailable when it cannot be written.
        """
        if not self._watched:
            raise Unavailable("There is no configuration file that could be changed")
        with self._lock:
            try:
                document, state = self._file.read()
                before = self._file.settings(document)
            except ConfigError as error:
                raise self._unusable(error.problems) from error
            asked = self._asked(values, before)
            after = self._checked({name: value for name, (_, value) in asked.items()}, before)
            changed = document
            for name, (text, value) in asked.items():
                if text is None or value != getattr(before, name):
                    changed = _edited(changed, name, text)
            if changed.text != document.text:
                self._write(changed, state, after)
            return self.restart_required

    def _asked(
        self, values: Mapping[str, Any], before: Settings
    ) -> dict[str, tuple[str | None, Any]]:
        """Text (None: the default) and value of each option. Raises Invalid."""
        asked, problems = {}, []
        for name, value in values.items():
            if name in SECRETS and value == HIDDEN:
                continue
            try:
                asked[name] = self._read(name, value, before)
            except ValueError as error:
                problems.append(Problem(name, str(error)))
        if problems:
            good = {name: value for name, (_, value) in asked.items()}
            raise Invalid(problems + self._find_unusable(replace(before, **good)))
        return {name: found for name, found in asked.items()
                if self._file.find_override(name) is None}

    def _read(self, name: str, value: Any, before: Settings) -> tuple[str | None, Any]:
        """Raises ValueError with what is wrong."""
        if name not in OPTIONS:
            raise ValueError("is not an option")
        text = None if value is None else written(name, value)
        read = OPTIONS[name].default if text is None else value_of(name, text)
        if isinstance(read, Path):
            read = self._file.path.parent.resolve() / read
        variable = self._file.find_override(name)
        if variable is not None and read != getattr(before, name):
            raise ValueError(f"is set by the environment variable {variable}: change it there")
        if OPTIONS[name].metadata["by_hand"] and read != getattr(before, name):
            raise ValueError("names a program: change it in config.ini by hand")
        return text, read

    def _checked(self, values: dict[str, Any], before: Settings) -> Settings:
        """The settings with these values. Raises Invalid, Conflict."""
        after = replace(before, **values)
        problems = self._find_unusable(after)
        # What the file says already goes together: a clash is this change's, whatever it names.
        if [problem for problem in problems if problem.field in values] or clashes(after):
            raise Invalid(problems)
        if problems:
            raise self._unusable(problems)
        return after

    def _find_unusable(self, after: Settings) -> list[Problem]:
        return usable.find_problems(self._written, after, self._present.captures_directory)

    def _unusable(self, problems: list[Problem]) -> Conflict:
        return Conflict(f"{self._file.path} has to be put right by hand first; nothing was "
                        f"changed. {_sentence(problems)}")

    def _write(self, document: Document, state: State | None, after: Settings) -> None:
        """Raises Conflict, Unavailable; then nothing has changed."""
        path = self._file.path
        if document.problems or self._file.settings(document) != after:
            raise Conflict(f"{path} is written in a way that this change does not fit into: "
                           "change it by hand. Nothing was changed")
        if self._file.state() != state:
            raise Conflict(f"{path} was changed by someone else at the same moment. Nothing was "
                           "changed: look at the settings and try again")
        if problems := usable.make(self._written, after):
            raise Invalid(problems)
        try:
            self._known = self._seen = self._file.write(document)
        except OSError as error:
            raise Unavailable(
                f"{path} could not be rewritten ({error.strerror}), and nothing was changed. Let "
                f"the daemon's user write its directory (where the file is mounted by itself, "
                "mount the directory), or change it by hand: that is noticed") from error
        self._apply(after)

    # Changes by hand.

    def step(self) -> float:
        """Look at the file; the seconds until the next look."""
        if not self._watched:
            return LOOK_EVERY_S
        with self._lock:
            state = self._file.state()
            if state == self._known:
                return LOOK_EVERY_S
            if state != self._seen:
                self._seen = state
                return SETTLED_AFTER_S
            # From here on it is dealt with, whatever comes of it.
            self._known = state
            if state is None:
                log.warning("%s is gone; the settings stay as they are", self._file.path)
            else:
                self._take_over()
        return LOOK_EVERY_S

    def _take_over(self) -> None:
        try:
            document, self._known = self._file.read()
            after = self._file.settings(document)
            if problems := self._find_unusable(after) or usable.make(self._written, after):
                raise ConfigError(str(self._file.path), problems)
        except (ConfigError, OSError) as error:
            said = _sentence(error.problems) if isinstance(error, ConfigError) else str(error)
            log.error("%s was changed but cannot be used; the settings stay as they are: %s",
                      self._file.path, said)
        else:
            self._apply(after)

    def _apply(self, after: Settings) -> None:
        names = different(self._written, after)
        before = self._present
        self._written = after
        self._present = replace(after, **{name: getattr(before, name) for name in AT_START})
        if not names:
            return
        log.info("%s: changed %s", self._file.path, ", ".join(names))
        if waiting := [name for name in self.restart_required if name in names]:
            log.warning("From the next start on: %s", ", ".join(waiting))
        for listener in list(self._listeners):
            listener(before, self._present, names)


def _edited(document: Document, name: str, text: str | None) -> Document:
    section, example = section_of(name), example_line(name)
    if text is None:
        return document.without(section, name, example)
    return document.with_value(section, name, text, example)


def _sentence(problems: list[Problem]) -> str:
    return "; ".join(f"{problem.field} {problem.message}" for problem in problems)
