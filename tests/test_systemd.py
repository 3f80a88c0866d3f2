"""The unit that systemd starts: every line has its reason, and what it names is what we are."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from brlib.capture.base import Timeouts
from brlib.service.base import STOP_MAX_S
from brlib.service.service import STEP_MAX_S
from brlib.web.server import GRACEFUL_TIMEOUT_S, LEFTOVERS_MAX_S
from brlib.workers import run

from .daemon import ROOT

UNIT = ROOT / "systemd" / "battles-record.service"
README = (ROOT / "README.md").read_text("utf-8")
LINES = UNIT.read_text("utf-8").splitlines()
# The exposure that `systemd-analyze security` may find, in tenths.
EXPOSURE_MAX = 20
# They speak for themselves.
PLAIN = ("Description", "Documentation", "ExecStart")


def directives() -> list[tuple[int, str, str]]:
    return [(number, found[1], found[2]) for number, line in enumerate(LINES)
            if (found := re.fullmatch(r"([A-Z]\w*)=(.*)", line))]


def values(name: str) -> list[str]:
    return [value for _, key, value in directives() if key == name]


def seconds(name: str) -> float:
    found = re.fullmatch(r"(\d+)s", values(name)[0])
    assert found, f"{name} has no seconds"
    return float(found[1])


def test_every_line_has_a_reason() -> None:
    without = [LINES[number] for number, key, _ in directives()
               if key not in PLAIN and not LINES[number - 1].startswith("# ")
               and LINES[number - 1].partition("=")[0] != key]
    assert without == []


def test_there_is_nothing_but_sections_reasons_and_directives() -> None:
    assert [line for line in LINES if not re.fullmatch(r"|#.*|\[\w+\]|[A-Z]\w*=.*", line)] == []
    assert [line for line in LINES if line.startswith("[")] == ["[Unit]", "[Service]", "[Install]"]


def test_it_starts_what_the_readme_installs() -> None:
    python, program, command, option, config = values("ExecStart")[0].split()
    assert (command, option) == ("serve", "--config")
    place = Path(program).parent
    assert python == str(place / ".venv/bin/python")
    assert (ROOT / Path(program).name).is_file()
    for line in (
        f"git archive HEAD | sudo tar -x -C {place}\ncd {place}\nsudo python3 -m venv .venv",
        f"config.ini.example {config}",
        f"sudo install -m 644 systemd/{UNIT.name} /etc/systemd/system/",
        f"--home-dir /var/lib/{values('StateDirectory')[0]} --shell /usr/sbin/nologin "
        f"{values('User')[0]}\n",
        f"BR_DATA_DIRECTORY={environment()['BR_DATA_DIRECTORY']} ",
    ):
        assert line in README, line
    assert f"-{Path(config).parent}" in values("ReadWritePaths")


def environment() -> dict[str, str]:
    return {name: value for name, _, value in (
        one.partition("=") for one in values("Environment"))}


def test_it_writes_where_it_may() -> None:
    state = f"/var/lib/{values('StateDirectory')[0]}"
    assert values("ProtectSystem") == ["strict"]
    for name in ("BR_DATA_DIRECTORY", "BR_OUTPUT_DIRECTORY"):
        assert environment()[name].startswith(state + "/")


def test_deadlines_nest() -> None:
    assert STOP_MAX_S < GRACEFUL_TIMEOUT_S
    assert GRACEFUL_TIMEOUT_S + LEFTOVERS_MAX_S < seconds("TimeoutStopSec")
    # What a check loop may take is not cut short, and what hangs is not left for long.
    assert Timeouts().read_s < STEP_MAX_S <= seconds("WatchdogSec") <= 120


@pytest.mark.parametrize("name, value", [
    ("Type", "notify"), ("NotifyAccess", "all"), ("KillMode", "mixed"),
    ("Restart", "on-failure"), ("StartLimitIntervalSec", "0"), ("OOMPolicy", "continue"),
    ("RestartPreventExitStatus", "2"),
])
def test_what_the_engine_relies_on(name: str, value: str) -> None:
    assert values(name) == [value]


def test_what_is_not_there() -> None:
    """deno and node compile at run time; the network is what it is for."""
    assert values("MemoryDenyWriteExecute") == values("PrivateNetwork") == []


@pytest.mark.parametrize("arguments, silent", [
    # A key that it does not know is a warning to it.
    pytest.param(["verify", "--man=no"], True, id="verify"),
    pytest.param(["security", "--offline=yes", "--no-pager", f"--threshold={EXPOSURE_MAX}"],
                 False, id="security"),
])
def test_systemd_agrees(tmp_path: Path, arguments: list[str], silent: bool) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed; .ci/run installs it")
    unit = tmp_path / UNIT.name
    # What it starts is not installed here.
    unit.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/usr/bin/env", "\n".join(LINES)))
    code, said = run("systemd-analyze", ["systemd-analyze", *arguments, str(unit)], 30.0)
    assert code == 0 and not (silent and said), said
