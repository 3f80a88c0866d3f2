"""Which broadcasts a channel's owner wants: words in title and category, viewers. Pure.

Asked by the supervisor when a broadcast is seen and whenever what it is called changes.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

TERMS_MAX = 100
TEXT_MAX = 2000
VIEWERS_MAX = 10 ** 9
_KEYS = ("title", "category", "min_viewers", "strict")


@dataclass(frozen=True)
class Words:
    """What a text is to hold: one of `wanted`, if there are any, and none of `never`. All are
    folded, and found anywhere in the text: `run` is in `speedrun`."""

    wanted: tuple[str, ...] = ()
    never: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> Words:
        """`word, other words, !never these`. Raises ValueError for nothing but commas."""
        wanted: list[str] = []
        never: list[str] = []
        for item in filter(None, (part.strip() for part in text.split(","))):
            term = folded(item.removeprefix("!").strip())
            if not term:
                raise ValueError("must have a word behind each !")
            (never if item.startswith("!") else wanted).append(term)
        if not wanted and not never:
            raise ValueError("must hold a word; leave the filter out to want everything")
        if len(wanted) + len(never) > TERMS_MAX:
            raise ValueError(f"must be at most {TERMS_MAX} words")
        return cls(tuple(wanted), tuple(never))

    def against(self, text: str | None) -> str | None:
        """Why a text is not wanted; None when it is."""
        subject = folded(text or "")
        for term in self.never:
            if term in subject:
                return f"holds {term!r}"
        if self.wanted and not any(term in subject for term in self.wanted):
            return "holds none of " + ", ".join(repr(term) for term in self.wanted)
        return None


@dataclass(frozen=True)
class Filters:
    """`strict`: a recording ends when its broadcast is not wanted any more."""

    title: Words = Words()
    category: Words = Words()
    min_viewers: int = 0
    strict: bool = False

    def against(
        self, title: str | None, category: str | None, viewers: int | None
    ) -> str | None:
        """Why a broadcast is not wanted, as a sentence; None when it is.

        How many watch is not always known: nobody is turned away for that.
        """
        for name, words, text in (
            ("title", self.title, title), ("category", self.category, category)
        ):
            if (reason := words.against(text)) is not None:
                return f"the {name} {reason}"
        if viewers is not None and viewers < self.min_viewers:
            return f"{viewers} viewers are fewer than {self.min_viewers}"
        return None


@lru_cache(2048)
def parse(text: str) -> Filters:
    """Of a channel, from the JSON that `canonical` made of them."""
    data = json.loads(text)
    title, category = (Words.read(data[key]) if data[key] else Words()
                       for key in ("title", "category"))
    return Filters(title, category, data["min_viewers"], data["strict"])


def canonical(data: Any) -> str:
    """The object of the API, checked, as JSON of one form. Raises ValueError that begins with
    the key's name where one is wrong."""
    if not isinstance(data, dict) or set(data) - set(_KEYS):
        raise ValueError("must be an object with " + ", ".join(_KEYS))
    words = {key: _words(key, data.get(key)) for key in ("title", "category")}
    viewers, strict = data.get("min_viewers") or 0, data.get("strict") or False
    if isinstance(viewers, bool) or not isinstance(viewers, int) or not (
            0 <= viewers <= VIEWERS_MAX):
        raise ValueError(f"min_viewers must be a whole number from 0 to {VIEWERS_MAX}")
    if not isinstance(strict, bool):
        raise ValueError("strict must be true or false")
    return json.dumps({**words, "min_viewers": viewers, "strict": strict}, ensure_ascii=False)


def _words(key: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > TEXT_MAX:
        raise ValueError(f"{key} must be a text of at most {TEXT_MAX} characters")
    try:
        Words.read(value)
    except ValueError as error:
        raise ValueError(f"{key} {error}") from error
    return value.strip()


def folded(text: str) -> str:
    """For comparison whatever the case and the way of writing it (Unicode 15, 3.13, D146)."""
    once = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", text).casefold())
    return unicodedata.normalize("NFKC", once.casefold())
