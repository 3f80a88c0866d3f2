"""Where log lines go: the journal's format under systemd, a person's at a terminal.

Set up once by the command line. Secrets are masked before a line leaves the process,
whoever wrote it (streamlink's own lines carry addresses with tokens).
"""

from __future__ import annotations

import logging
import os
import re
import sys
from typing import TextIO

_SECRETS = (
    (re.compile(r"\bbr_[A-Za-z0-9]{8,}"), "br_***"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+"), "***"),
    (re.compile(r"(?i)\b(authorization|cookie|set-cookie)(['\"]?\s*[:=]\s*)[^\r\n]+"), r"\1\2***"),
    (re.compile(r"(?i)\b(bearer|oauth)\s+[\w.~+/=-]{8,}"), r"\1 ***"),
    (re.compile(r"(://)[^/@\s:]+:[^/@\s]+@"), r"\1***@"),
    (re.compile(r"(?i)([?&;](?:sig|signature|token|access_token|key|api_key|auth|password"
                r"|client_secret|nauth\w*|hdnea|hdnts|policy)=)[^&\s'\"<>]+"), r"\1***"),
    (re.compile(r"(?i)\b([\w-]*(?:password|secret|token|api[_-]?key))(['\"]?\s*[:=]\s*['\"]?)"
                r"[^\s'\",}&]+"), r"\1\2***"),
)
# sd-daemon(3): a line's journal priority.
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}


def mask(text: str) -> str:
    """`text` without anything that looks like a credential."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class MaskingFormatter(logging.Formatter):
    """One masked line a record (more for a traceback); `journal` adds the priority."""

    def __init__(self, journal: bool) -> None:
        stamp = "" if journal else "%(asctime)s "
        super().__init__(stamp + "%(levelname)s %(name)s: %(message)s")
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        text = mask(super().format(record))
        if not self._journal:
            return text
        priority = f"<{_PRIORITIES.get(record.levelno, 5)}>"
        return "\n".join(priority + line for line in text.splitlines())


def set_up(level: str, stream: TextIO | None = None) -> None:
    """Send everything from `level` up to `stream` (standard error)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(MaskingFormatter(journal="JOURNAL_STREAM" in os.environ))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("urllib3", "requests", "werkzeug"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # streamlink names every failed try an error; ours say what came of it.
    logging.getLogger("streamlink").setLevel(
        logging.DEBUG if level == "debug" else logging.CRITICAL
    )
