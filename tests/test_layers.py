"""The architecture, held by a test: who may import whom, how large things are, who makes threads.

The tables here are the design: a module that is not in them fails, too.
"""

from __future__ import annotations

import ast
import functools
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from .daemon import ROOT

# Lowest first. A module imports only from layers below its own, never a sibling.
LAYERS = (
    ("__init__", "errors", "disk", "pulse", "notify", "media_filters", "omitted",
     "heap"),
    ("ballast", "mark", "models", "mpegts", "fmp4", "windows", "filters",
     "arguments"),
    ("rules", "quality", "naming", "ffmpeg", "picture", "continuity", "playlist", "shape",
     "pacing", "passwords", "tokens", "channel_csv", "cookies", "clocks", "schedule", "retention",
     "encoding"),
    ("tally", "chapters", "hls", "log", "identity", "sidecar", "manifest", "processing"),
    ("config", "log_ring", "store", "events", "workers", "ledger"),
    ("platforms", "disks"),
    ("capture", "assembly", "supervisor", "recorder", "storage", "accounts", "images",
     "tools", "credentials", "viewing", "watchdog", "adoption", "quotas", "presence"),
    ("service",),
    ("web",),
    ("demo_origin",),
    ("demo", "commands"),
    ("battles_record",),
)
# The same inside a package, file by file.
INSIDE = {
    "adoption": (("base", "captures", "finished"), ("relisting",), ("adoption",), ("__init__",)),
    "config": (("readers",), ("settings", "document"), ("clashes", "values"),
               ("usable", "file"), ("configuration",), ("__init__",)),
    "store": (("migrations",), ("base",), ("rows",), ("listing",),
              ("api_keys", "channels", "credentials", "platform_ids", "recordings", "rests",
               "quota_states", "users"),
              ("tables",), ("damage",), ("salvage",), ("rebuild",), ("__init__",)),
    "platforms": (("base", "deadline", "kept", "trust"), ("heads", "repeated"),
                  ("answers", "sessions", "streams", "youtube_address"), ("bare", "kick_names"),
                  ("live_manifest",),
                  ("liveness", "page", "kick_api", "twitch_api", "youtube_api",
                   "youtube_page", "ytdlp"),
                  ("twitch_web", "url_plugin", "url_words", "ytdlp_streams"),
                  ("twitch_helix", "twitch_playback", "url_page"),
                  ("url", "twitch", "kick", "youtube"), ("__init__",)),
    "disks": (("base", "rates"), ("calls",), ("disks",), ("room",), ("__init__",)),
    "images": (("base",), ("converter", "download", "files"), ("images",), ("__init__",)),
    "credentials": (("base",), ("exchange", "parts", "values", "views"), ("oauth",),
                    ("kick", "twitch", "youtube"), ("vault",),
                    ("flows", "keeper", "revocations"), ("trial",),
                    ("credentials",), ("__init__",)),
    "capture": (("base", "cuts", "inlet", "rooms", "standins", "timeline"),
                ("download", "cuts_mp4", "cuts_ts"),
                ("segments", "turn"), ("session",), ("tracks",), ("dash",), ("remux",),
                ("capture",), ("__init__",)),
    "assembly": (("base", "moving"), ("marks", "plans", "sentences", "turns"),
                 ("process", "place", "job"), ("output", "captures", "ways"),
                 ("feed", "again", "archive"), ("assembly",), ("__init__",)),
    "viewing": (("base",), ("captured", "outline"), ("transport", "cuts"), ("divisions",),
                ("viewing",), ("__init__",)),
    "recorder": (("base", "facts"), ("doubt", "reception", "row", "setbacks"), ("ending", "news"),
                 ("active",), ("recorder",), ("__init__",)),
    "supervisor": (("base", "wishes"), ("line",), ("answers", "board", "rota"), ("checks",),
                   ("supervisor",), ("__init__",)),
    "service": (("base", "health", "upkeep", "usage"), ("watchlist", "archive"), ("service",),
                ("__init__",)),
    "web": (("kinds", "limits", "shapes", "slots", "wire", "views"), ("inputs", "connections"),
            ("routes", "errors"), ("document", "guard", "files"),
            ("auth", "platform_logins", "users", "channels", "channel_lists", "images",
             "recordings", "watching", "storage", "settings", "system"), ("ws",), ("app",),
            ("server",), ("__init__",)),
}
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 59
MEDIAN_LINES_MAX = 150
MAKERS = {"Thread", "Timer", "ThreadPoolExecutor", "ProcessPoolExecutor", "Process", "Popen",
          "fork", "start_new_thread"}
MAY_MAKE = {"workers"}
# They are spoken to by a person at a terminal.
MAY_PRINT = {"demo", "demo_origin", "web.server", "commands", "battles_record"}

PRODUCT = [ROOT / "battles_record.py", *sorted((ROOT / "brlib").rglob("*.py"))]
TESTS = sorted((ROOT / "tests").glob("*.py"))
BENCH = sorted((ROOT / "bench").rglob("*.py"))


def name_of(path: Path) -> str:
    """`brlib/web/ws.py` → `web.ws`, `brlib/__init__.py` → `__init__`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[1:] if parts[0] == "brlib" else parts)


MODULES = {name_of(path): path for path in PRODUCT}


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imported(module: str) -> Iterator[tuple[str, int]]:
    """The project's modules that one imports, wherever in the file, and the lines."""
    for node in ast.walk(tree(MODULES[module])):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in ("brlib", "battles_record"):
                    yield found(alias.name.removeprefix("brlib").strip("."), ""), node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = origin(module, node)
            if base is not None:
                for alias in node.names:
                    yield found(base, alias.name), node.lineno


def origin(module: str, node: ast.ImportFrom) -> str | None:
    """The module after `from`, without `brlib`; None for what is not ours."""
    said = node.module or ""
    if not node.level:
        first, _, rest = said.partition(".")
        return rest if first == "brlib" else None
    inside = "" if module == "battles_record" else module
    package = inside.split(".")[:-1]
    package = package[:len(package) - node.level + 1]
    return ".".join([*package, *([said] if said else [])])


def found(base: str, name: str) -> str:
    """The module that `from base import name` reads."""
    for candidate in (f"{base}.{name}", f"{base}.{name}.__init__", base, f"{base}.__init__"):
        if candidate.strip(".") in MODULES:
            return candidate.strip(".")
    raise AssertionError(f"no module for {base!r} {name!r}")


def rank(name: str, layers: tuple[tuple[str, ...], ...]) -> int:
    for number, layer in enumerate(layers):
        if name in layer:
            return number
    raise AssertionError(f"{name} has no place in the table")


def offence(module: str, other: str) -> str | None:
    """Why one module may not import another."""
    mine, theirs = module.split(".")[0], other.split(".")[0]
    if mine == theirs and mine in INSIDE:
        one, two = module.split(".")[1], other.split(".")[1]
        allowed = rank(two, INSIDE[mine]) < rank(one, INSIDE[mine])
        return None if allowed else f"{other} is not before it in its package"
    allowed = rank(theirs, LAYERS) < rank(mine, LAYERS)
    return None if allowed else f"{other} is not in a lower layer"


def test_imports_go_down() -> None:
    wrong = [f"{module}, line {line}: {problem}"
             for module in MODULES for other, line in imported(module)
             if (problem := offence(module, other))]
    assert wrong == []


def test_every_module_has_one_place() -> None:
    tops = [name for layer in LAYERS for name in layer]
    assert sorted(tops) == sorted({module.split(".")[0] for module in MODULES})
    for package, layers in INSIDE.items():
        files = sorted(m.split(".")[1] for m in MODULES if m.startswith(package + "."))
        assert sorted(name for layer in layers for name in layer) == files


@pytest.mark.parametrize("module, other, allowed", [
    ("capture.capture", "models", True), ("models", "capture.base", False),
    ("capture.base", "assembly.__init__", False), ("web.ws", "web.app", False),
    ("web.app", "web.ws", True), ("store.channels", "store.recordings", False),
    ("service.service", "web.app", False), ("battles_record", "store.api_keys", True),
    ("rules", "naming", False), ("rules", "rules", False),
])
def test_the_rule_itself(module: str, other: str, allowed: bool) -> None:
    assert (offence(module, other) is None) is allowed


def test_imports_are_found_wherever_they_stand() -> None:
    assert {"service.__init__", "web.app", "workers"} <= {n for n, _ in imported("web.server")}
    assert {"web.server", "demo", "__init__"} <= {name for name, _ in imported("battles_record")}
    assert {"recorder.base", "recorder.doubt"} <= {name for name, _ in imported("recorder.active")}


def too_large(path: Path) -> Iterator[str]:
    text = path.read_text("utf-8")
    if (lines := len(text.splitlines())) > FILE_LINES_MAX:
        yield f"{path}: {lines} lines"
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef) and node.end_lineno:
            if (lines := node.end_lineno - node.lineno + 1) > FUNCTION_LINES_MAX:
                yield f"{path}, {node.name}: {lines} lines"


def test_files_and_functions_are_small() -> None:
    assert [problem for path in (*PRODUCT, *TESTS, *BENCH) for problem in too_large(path)] == []


def test_every_module_says_what_it_is() -> None:
    assert [path for path in (*PRODUCT, *TESTS, *BENCH)
            if path.stat().st_size and not ast.get_docstring(tree(path))] == []


def test_the_median_file_is_small() -> None:
    lengths = [len(path.read_text("utf-8").splitlines()) for path in PRODUCT[1:]]
    assert statistics.median(lengths) <= MEDIAN_LINES_MAX


def called(module: str) -> list[str]:
    """What a module calls, by the last part of the name."""
    names = []
    for node in ast.walk(tree(MODULES[module])):
        if isinstance(node, ast.Call):
            names.append(getattr(node.func, "attr", getattr(node.func, "id", "")))
    return names


def test_threads_and_children_are_made_in_one_place() -> None:
    others = [module for module in MODULES if module not in MAY_MAKE]
    assert [module for module in others if MAKERS & set(called(module))] == []
    assert [module for module in others
            if re.search(r"^\s*(import|from) subprocess", MODULES[module].read_text("utf-8"),
                         re.MULTILINE)] == []


def test_prints_have_their_places() -> None:
    assert [module for module in MODULES
            if "print" in called(module) and module not in MAY_PRINT] == []


def test_workers_really_make_them() -> None:
    assert {"Thread", "ThreadPoolExecutor", "Popen"} <= set(called("workers"))
