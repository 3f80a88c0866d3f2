"""A configuration file for tests, watched as the service would watch it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from brlib.config import Configuration, Settings
from brlib.errors import Invalid

TEXT = "# Ours.\n[server]\nport = 1  # one\n\n[recording]\n#url_interval = 30s\n"
SECRET = "s" * 32

Change = tuple[Settings, Settings, list[str]]


def watched(path: Path | None, **environ: str) -> tuple[Configuration, list[Change]]:
    configuration, changes = Configuration(path, environ), list[Change]()
    configuration.listen(lambda *change: changes.append(change))
    return configuration, changes


def look(configuration: Configuration) -> float:
    """As often as the worker would within two seconds."""
    waited_s = configuration.step()
    while (wait_s := configuration.step()) and waited_s + wait_s < 2.0:
        waited_s += wait_s
    return waited_s


def refused(configuration: Configuration, **values: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        configuration.change(values)
    return {problem.field: problem.message for problem in caught.value.problems}


def shown_anew(path: Path, **environ: str) -> dict[str, Any]:
    """What the next start would show."""
    return Configuration(path, environ).shown()
