"""Where log lines go: the journal's format under systemd, a person's at a terminal.

Set up once by the command line; the level follows the configuration. Secrets are masked
before a line leaves the process, whoever wrote it (streamlink's own lines carry addresses
with tokens). What `GET /api/logs` shows is kept by `brlib.log_ring`.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from dataclasses import dataclass
from typing import TextIO

# sd-daemon(3): a line's journal priority.
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}


@dataclass(frozen=True)
class _Rule:
    """`pattern` is tried only where one of `hints` stands in the lower-case text: most lines
    hold none, and a search for a plain word costs nearly nothing."""

    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    replacement: str


# Between a name and its value, in headers, JSON (also JSON inside JSON), reprs and addresses.
_BETWEEN = r"(?:\\{0,7}['\"]?\s*(?:[:=]|%3D)|\\{0,7}['\"]\s*,)\s*"
# To the quote that ends it, spaces and escaped quotes included; or to the next space.
_VALUE = (r"(?:(?P<open>[bru]{0,2}(?P<quote>\\{0,7}['\"]))(?:(?!(?P=quote))(?:\\.|[^\r\n]))*+"
          r"|[^\s&'\"]+)")

# Lines come from outside, too: no pattern may look at a character again for each place
# where it could begin. Hence no run of characters in front of a word, and bounded ones behind.
_RULES = (
    _Rule(("authorization", "cookie"), re.compile(
        rf"(?i)((?:authorization|cookie)[\w-]{{0,16}}{_BETWEEN})[^\r\n]+"), r"\1***"),
    # A line of a cookie file: domain, flag, path, secure, expiry, name, value.
    _Rule(("\t",), re.compile(
        r"(\t(?:TRUE|FALSE)\t[^\t\r\n]*\t(?:TRUE|FALSE)\t\d+\t[^\t\r\n]*\t)\S+"), r"\1***"),
    _Rule(("br_",), re.compile(r"\bbr_[A-Za-z0-9]{8,}"), "br_***"),
    _Rule(("eyj",), re.compile(r"(?<![\w-])eyJ[\w-]++\.[\w-]++\.[\w-]++"), "***"),
    _Rule(("bearer",), re.compile(r"(?i)\b(bearer[\s:]+)[\w.~+/=-]{8,}"), r"\1***"),
    # Words stand behind these, too ("OAuth callback"): a credential mixes its characters.
    _Rule(("oauth", "basic"), re.compile(
        r"\b((?i:oauth|basic)[\s:]+)(?=[\w.~+/=-]*(?:[0-9=]|[a-z][A-Z]))[\w.~+/=-]{4,}"),
        r"\1***"),
    _Rule(("://",), re.compile(r"(?<=://)[^/\s'\"<>?#]*@"), "***@"),
    _Rule(("sig",), re.compile(r"(?i)(/(?:l?sig|signature)/)[^/\s'\"?]+"), r"\1***"),
    _Rule(("=",), re.compile(
        r"(?i)([?&;](?:l?sig|signature|key|auth|code|state|policy|key-pair-id|x-amz-[\w-]+"
        r"|nauth\w*|hdnea|hdnts|hdntl)=)[^&\s'\"<>]+"), r"\1***"),
    _Rule(("pass", "secret", "token", "key", "credential", "session"), re.compile(
        r"(?i)(?P<name>(?:password|passwd|passphrase|secret|token|credentials?"
        rf"|(?:api|private|session)[_-]?key|session[_-]?id){_BETWEEN}){_VALUE}"),
        r"\g<name>\g<open>***"),
)


def mask(text: str) -> str:
    """`text` without anything that looks like a credential."""
    lower = text.lower()
    for rule in _RULES:
        if any(hint in lower for hint in rule.hints):
            text = rule.pattern.sub(rule.replacement, text)
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
    logging.getLogger().handlers[:] = [handler]
    for noisy in ("urllib3", "requests", "werkzeug"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    set_level(level)


def set_level(level: str) -> None:
    """Everything from `level` up (the option `log_level`), from now on, for every handler."""
    logging.getLogger().setLevel(level.upper())
    # streamlink names every failed try an error; ours say what came of it.
    logging.getLogger("streamlink").setLevel(
        logging.DEBUG if level == "debug" else logging.CRITICAL
    )
