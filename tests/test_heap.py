"""The C library takes our settings, and those of the environment go before them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from .daemon import ROOT

CODE = "from brlib import heap; print(heap.settle())"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="there is no mallopt elsewhere")
@pytest.mark.parametrize(("environ", "settled"), [
    ({}, "True"), ({"MALLOC_ARENA_MAX": "4"}, "False")])
def test_settings_are_taken(environ: dict[str, str], settled: str) -> None:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, env={**clean, **environ}, capture_output=True,
        text=True, timeout=30, check=True)
    assert done.stdout.strip() == settled
