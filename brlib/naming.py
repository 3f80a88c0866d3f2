"""Where a finished file goes: templates, names that every file system takes, and roots.

Pure; called by the recorder when a recording ends and by the API to check templates.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

NAME_MAX_BYTES = 200  # of 255: room for " (part 12)", a number and a suffix
VARIABLES = (
    "channel", "title", "date", "time", "datetime", "platform", "quality", "category", "id",
)

# What exFAT, NTFS and SMB forbid in a name, besides control characters.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
_JOINER = "\u200d"
# Colours of skin, and the tags that name a part of a country.
_SKIN = re.compile("[\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]")
_TOGETHER_MAX = 16
_RESERVED = re.compile(
    r"^(con|prn|aux|nul|com[\d¹²³]|lpt[\d¹²³]|con(in|out)\$)\s*(\.|$)", re.IGNORECASE)


def safe_name(text: str, fallback: str = "untitled") -> str:
    """`text` as one path component: no separators, no reserved names, bounded in bytes."""
    text = "".join(
        c for c in text if c.isspace() or unicodedata.category(c) not in ("Cs", "Cc", "Co"))
    text = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", text))
    text = re.sub(r"\s+", " ", text).strip(" .")
    if _RESERVED.match(text):
        text = "_" + text
    return cut_bytes(text, NAME_MAX_BYTES).rstrip(" .") or fallback


def cut_bytes(text: str, limit: int) -> str:
    """The longest beginning of `text` of at most `limit` bytes of UTF-8, whole characters as a
    person sees them: an emoji of several parts is kept or left out, unless it is absurd."""
    cut = text.encode("utf-8", "ignore")[:limit].decode("utf-8", "ignore")
    text = text.encode("utf-8", "ignore").decode("utf-8", "ignore")
    end = len(cut)
    while 0 < end < len(text) and len(cut) - end < _TOGETHER_MAX and _together(text, end):
        end -= 1
    return cut if 0 < end < len(text) and _together(text, end) else cut[:end]


def _together(text: str, at: int) -> bool:
    """Whether a cut at this place would be inside of what is seen as one (Unicode UAX 29, 3.1.1,
    as far as titles need it)."""
    before, behind = text[at - 1], text[at]
    if before == _JOINER or behind == _JOINER or unicodedata.category(behind).startswith("M"):
        return True
    if _SKIN.fullmatch(behind):
        return True
    if not (_FLAG.fullmatch(before) and _FLAG.fullmatch(behind)):
        return False
    # Letters of flags come in pairs.
    letters = 0
    while letters < at and _FLAG.fullmatch(text[at - 1 - letters]):
        letters += 1
    return letters % 2 == 1


def template_problem(template: str) -> str | None:
    """What is wrong with a file-name template, or None."""
    try:
        fields = [field for _, field, spec, conv in string.Formatter().parse(template)
                  if field is not None and (spec == "" and conv is None or not field)]
        all_fields = [field for _, field, _, _ in string.Formatter().parse(template)
                      if field is not None]
    except ValueError as error:
        return f"is not a template: {error}"
    unknown = [field for field in all_fields if field not in VARIABLES]
    if unknown or len(fields) != len(all_fields):
        return "knows only " + " ".join("{%s}" % name for name in VARIABLES)
    parts = PurePosixPath(template).parts
    if not parts or template.endswith("/"):
        return "must name a file"
    if template.startswith(("/", "~")) or "\\" in template or ".." in parts:
        return "must stay inside the output directory (no '..', no absolute path)"
    if not all_fields:
        return "needs at least one variable, or every recording would have the same name"
    return None


def render(template: str, values: Mapping[str, str]) -> PurePosixPath:
    """The relative path (without suffix) that a checked template gives.

    Values cannot add a directory: each is made a safe name first.
    """
    safe = {name: safe_name(values.get(name, ""), name) for name in VARIABLES}
    parts = [safe_name(part.format_map(safe)) for part in PurePosixPath(template).parts]
    return PurePosixPath(*parts)


def time_values(moment: datetime) -> dict[str, str]:
    """`date`, `time` and `datetime` of a moment, in names that sort."""
    return {
        "date": moment.strftime("%Y-%m-%d"),
        "time": moment.strftime("%H-%M-%S"),
        "datetime": moment.strftime("%Y-%m-%d_%H-%M-%S"),
    }


def inside(path: Path, root: Path) -> bool:
    """Whether `path`, links resolved, is below `root`; never for what cannot be resolved."""
    try:
        resolved = path.resolve()
        # From Python 3.13 on links in a circle resolve to themselves, without an error.
        circle = any(p.is_symlink() for p in (resolved, *resolved.parents))
        return not circle and root.resolve() in resolved.parents
    except (OSError, RuntimeError, ValueError):  # links in a circle, a NUL
        return False


def bare_url(url: str) -> str:
    """An address without what may be secret in it: user, password, query, fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def name_of_url(url: str) -> str:
    """A short name for a stream's address: host and path, without the query."""
    parts = urlsplit(url)
    path = re.sub(r"\.m3u8$", "", parts.path.strip("/"), flags=re.IGNORECASE)
    return safe_name("_".join(p for p in (parts.netloc.rpartition("@")[2], path) if p))


def numbered(path: Path, number: int) -> Path:
    """`name.mp4` → `name (2).mp4`."""
    return path.with_name(f"{path.stem} ({number}){path.suffix}")
