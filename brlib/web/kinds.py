"""Kinds of values in requests: the check that a value passes, and the same as JSON Schema.

Used to declare the fields of bodies and queries; the API document shows the schema, so a
check and what is said of it stand in one place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .. import arguments, filters as filtering, naming, processing as finishing, quality
from .. import retention as retaining, schedule as scheduling
from ..accounts import USERNAME_MAX
from ..passwords import PASSWORD_MAX
from ..windows import SPANS_MAX

MAX_TEXT = 2000
DATE_MAX_LENGTH = len("2026-02-02")
_HOUR, _SIXTY, _PART = "([01][0-9]|2[0-3])", "[0-5][0-9]", "([.][0-9]{1,6})?"
_MONTH, _DAY = "(0[1-9]|1[0-2])", "(0[1-9]|[12][0-9]|3[01])"
# ISO 8601, the extended format and the basic one; whether a month has that day is seen later.
_MOMENT = (
    f"([0-9]{{4}}-{_MONTH}-{_DAY}"
    f"(T{_HOUR}:{_SIXTY}(:{_SIXTY}{_PART})?(Z|[+-]{_HOUR}:{_SIXTY})?)?"
    f"|[0-9]{{4}}{_MONTH}{_DAY}"
    f"(T{_HOUR}{_SIXTY}({_SIXTY}{_PART})?(Z|[+-]{_HOUR}{_SIXTY})?)?)")
Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """`check` gives the value to use or raises ValueError with what is wrong."""

    check: Callable[[Any], Any]
    schema: Schema


@dataclass(frozen=True)
class Field:
    """One key of a body or a query."""

    kind: Kind
    required: bool = False
    about: str = ""


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text that is not empty")
    if len(value) > MAX_TEXT or any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in value):
        raise ValueError(f"must have at most {MAX_TEXT} characters, none of them a control one")
    return value.strip()


text = Kind(_text, {"type": "string", "minLength": 1, "maxLength": MAX_TEXT,
                    "pattern": r"^[^\u0000-\u001f]*\S[^\u0000-\u001f]*$"})


def _secret(value: Any) -> str:
    """A password: as it was typed, spaces and all."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT:
        raise ValueError(f"must be a text of 1 to {MAX_TEXT} characters")
    return value


secret = Kind(_secret, {"type": "string", "minLength": 1, "maxLength": MAX_TEXT,
                        "format": "password"})
# What else a name or a new password needs, the accounts say: settings may ask for more.
new_secret = Kind(_secret, {**secret.schema, "minLength": 8, "maxLength": PASSWORD_MAX})
username = Kind(_text, {**text.schema, "maxLength": USERNAME_MAX})


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


flag = Kind(_flag, {"type": "boolean"})


def _flag_text(value: Any) -> bool:
    if value not in ("true", "false"):
        raise ValueError("must be true or false")
    return bool(value == "true")


# In a query everything is text; its schema says what the text means.
flag_text = Kind(_flag_text, {"type": "boolean"})


def whole(low: int, high: int) -> Kind:
    def check(value: Any) -> int:
        # JSON knows one kind of number: 5.0 is a whole one.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value
    return Kind(check, {"type": "integer", "minimum": low, "maximum": high})


def whole_text(low: int, high: int) -> Kind:
    number = whole(low, high)

    def check(value: Any) -> int:
        if not str(value).isascii() or not str(value).isdigit() or len(str(value)) > 18:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(number.check(int(value)))
    return Kind(check, number.schema)


def one_of(*choices: str) -> Kind:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError("must be one of " + ", ".join(choices))
        return value
    return Kind(check, {"type": "string", "enum": list(choices)})


def _known_quality(value: Any) -> str:
    canonical = quality.known(value) if isinstance(value, str) else None
    if canonical is None:
        raise ValueError("must be one of " + ", ".join(quality.QUALITIES))
    return canonical


known_quality = Kind(_known_quality, {"type": "string", "examples": list(quality.QUALITIES)})


def _template(value: Any) -> str:
    problem = naming.template_problem(_text(value))
    if problem:
        raise ValueError(problem)
    return _text(value)


# Whether it can be used is for the watchlist to see.
directory = Kind(_text, {"type": "string", "pattern": "^/", "examples": ["/srv/recordings"]})
template = Kind(_template, {"type": "string", "maxLength": MAX_TEXT,
                            "examples": ["{channel}/{date}_{title}"]})


_DAY_LIST: Schema = {"type": ["array", "string"], "items": {"type": "string"},
                     "examples": [["mon", "tue"], "mon-fri, sun"]}
# As the modules want them kept: JSON in one form.
schedule = Kind(scheduling.canonical, {
    "type": "object", "additionalProperties": False, "properties": {
        "windows": {"type": ["array", "null"], "maxItems": SPANS_MAX, "items": {
            "type": "object", "additionalProperties": False,
            "required": ["days", "start", "end"], "properties": {
                "days": _DAY_LIST, "start": {"type": "string", "examples": ["18:00"]},
                "end": {"type": "string", "examples": ["02:00"]}}}},
        "blackouts": {"type": ["array", "null"], "maxItems": SPANS_MAX, "items": {
            "type": "string", "examples": ["sat-sun 12:00-14:00", "2026-12-24..2026-12-26"]}},
        "timezone": {"type": ["string", "null"], "examples": ["Europe/Berlin"]},
        "end_behavior": {"type": ["string", "null"],
                         "enum": [*scheduling.EndBehavior, None]}}})
_WORDS: Schema = {"type": ["string", "null"], "maxLength": filtering.TEXT_MAX,
                  "examples": ["speedrun, world record, !rerun"]}
filters = Kind(filtering.canonical, {
    "type": "object", "additionalProperties": False, "properties": {
        "title": _WORDS, "category": _WORDS,
        "min_viewers": {"type": ["integer", "null"], "minimum": 0,
                        "maximum": filtering.VIEWERS_MAX},
        "strict": {"type": ["boolean", "null"]}}})


_MANY: Schema = {"type": ["integer", "null"], "minimum": 1, "maximum": retaining.LATEST_MAX}
retention = Kind(retaining.canonical, {
    "type": "object", "additionalProperties": False, "properties": {
        "days": {**_MANY, "maximum": retaining.DAYS_MAX}, "keep_latest": _MANY,
        "min_keep": {**_MANY, "minimum": 0}}})


processing = Kind(finishing.canonical, {
    "type": "object", "additionalProperties": False, "properties": {
        **{name: {"type": ["string", "null"], "enum": [*choices, None]}
           for name, choices in finishing.CHOICES.items()},
        "crf": {"type": ["integer", "null"], "minimum": 0, "maximum": finishing.CRF_MAX},
        "ffmpeg_arguments": {"type": ["string", "null"], "maxLength": arguments.TEXT_MAX,
                             "examples": ["-preset slow -vf scale=-2:720"]}}})


def nullable(kind: Kind) -> Kind:
    kinds = kind.schema["type"]
    return Kind(lambda value: None if value is None else kind.check(value),
                {**kind.schema, "type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]})


def moment(end: bool) -> Kind:
    """An ISO 8601 time, or a date. As an end, a date means the whole day and a time its whole
    second, for that is how times are shown. Naive is UTC."""
    def check(value: Any) -> datetime:
        # In a query an unescaped + arrives as a space.
        text = str(value).replace(" ", "+")
        try:
            if not re.fullmatch(_MOMENT, text, re.ASCII):
                raise ValueError(text)
            parsed = datetime.fromisoformat(text)
            if end and len(text) <= DATE_MAX_LENGTH:
                parsed = parsed.replace(hour=23, minute=59, second=59)
            if end and not parsed.microsecond:
                parsed = parsed.replace(microsecond=999999)
            return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise ValueError("must be an ISO 8601 date or time") from error
    return Kind(check, {"type": "string", "pattern": f"^{_MOMENT}$",
                        "examples": ["2026-02-02", "2026-02-02T14:30:00Z"]})


def identifier(prefix: str) -> Kind:
    pattern = f"{prefix}_[a-z0-9]{{12}}"

    def check(value: Any) -> str:
        if not re.fullmatch(pattern, str(value)):
            raise ValueError(f"must be an id such as {prefix}_a1b2c3d4e5f6")
        return str(value)
    return Kind(check, {"type": "string", "pattern": f"^{pattern}$",
                        "examples": [f"{prefix}_a1b2c3d4e5f6"]})
