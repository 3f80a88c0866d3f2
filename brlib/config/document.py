"""The text of an INI file: its entries, what is wrong with it, and changes that leave
everything else as it stands.

Reads what `configparser` reads (without interpolation, `#` behind a space begins a comment),
but keeps the lines. Pure; knows nothing of options and their values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import Problem

_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_COMMENT = re.compile(r"(?:^|(?<=\s))#")
_SECTION = re.compile(r"\[(.+)\]")
_SIGN = re.compile(r"[=:]")
_BOM = "\ufeff"


@dataclass(frozen=True)
class Line:
    """One line in its pieces; together they are the line, byte for byte."""

    body: str
    comment: str
    end: str

    @classmethod
    def of(cls, raw: str) -> Line:
        text = raw.rstrip("\r\n")
        found = _COMMENT.search(text)
        start = found.start() if found else len(text)
        if text.strip().startswith(("#", ";")):
            start = 0
        return cls(text[:start], text[start:], raw[len(text):])

    @property
    def indent(self) -> str:
        return self.body[:len(self.body) - len(self.body.lstrip())]

    @property
    def remark(self) -> str:
        """The comment behind an entry, with the space before it."""
        return self.body[len(self.body.rstrip()):] + self.comment if self.comment else ""

    def with_value(self, value: str) -> str:
        """The line `name = …` with another value; its comment stays."""
        sign = _SIGN.search(self.body)
        assert sign is not None
        name, old = self.body[:sign.end()], self.body[sign.end():]
        space = old[:len(old) - len(old.lstrip())]
        if not old.strip():
            # What stands behind the sign belongs to the comment, if there is one.
            space = " " if name[-2:-1].isspace() else ""
            return name + space + value + (old + self.comment if self.comment else "") + self.end
        return name + space + value + self.remark + self.end


@dataclass(frozen=True)
class Entry:
    """An option with its value; `line` is the number (from 0) of its first line, `more` are
    those that go on with the value."""

    section: str
    name: str
    value: str
    line: int
    more: tuple[int, ...] = ()

    @property
    def end(self) -> int:
        return (self.line, *self.more)[-1]


class Document:
    def __init__(self, text: str) -> None:
        self._bom = text[:1] if text.startswith(_BOM) else ""
        self._raw: list[str] = _LINES.findall(text[len(self._bom):])
        self.problems: list[Problem] = []
        self._lines = [Line.of(raw) for raw in self._raw]
        self._sections: dict[str, int] = {}
        # Where an entry or a section begins: such a line ends the one before it.
        self._marks: list[int] = []
        self._entries: dict[tuple[str, str], Entry] = {}
        self._read()

    @property
    def text(self) -> str:
        return self._bom + "".join(self._raw)

    @property
    def entries(self) -> list[Entry]:
        return list(self._entries.values())

    def find(self, section: str, name: str) -> Entry | None:
        return self._entries.get((section, name))

    def _problem(self, number: int, message: str) -> None:
        # Never with the line itself: it may hold a secret.
        self.problems.append(Problem(f"line {number + 1}", message))

    def _read(self) -> None:
        section: str | None = None
        entry: Entry | None = None
        indent = 0
        blanks = 0
        for number, line in enumerate(self._lines):
            body = line.body.strip()
            if not body:
                blanks += not line.comment
                continue
            deeper = len(line.indent) > indent
            if entry is not None and deeper:
                entry = self._longer(entry, number, "\n" * blanks + body)
                blanks = 0
                continue
            indent, blanks, entry = len(line.indent), 0, None
            if found := _SECTION.match(body):
                section = found[1]
                self._begin_section(section, number)
            elif section is None:
                self._problem(number, "stands before the first [section]")
            elif (found := _SIGN.search(body)) and found.start():
                name, value = body[:found.start()].strip().lower(), body[found.end():].strip()
                entry = self._begin_entry(section, name, value, number)
            else:
                self._problem(number, 'is neither "[section]" nor "name = value"')

    def _begin_section(self, section: str, number: int) -> None:
        self._marks.append(number)
        if section in self._sections:
            first = self._sections[section] + 1
            self._problem(number, f"[{section}] stands twice: in line {first} as well")
        self._sections.setdefault(section, number)

    def _begin_entry(self, section: str, name: str, value: str, number: int) -> Entry:
        self._marks.append(number)
        before = self.find(section, name)
        if before is not None:
            self._problem(number, f"{name} stands twice: in line {before.line + 1} as well")
        entry = self._entries[section, name] = Entry(section, name, value, number)
        return entry

    def _longer(self, entry: Entry, number: int, text: str) -> Entry:
        longer = Entry(entry.section, entry.name, f"{entry.value}\n{text}", entry.line,
                       (*entry.more, number))
        self._entries[entry.section, entry.name] = longer
        return longer

    # Changes. Each gives a new document.

    def with_value(self, section: str, name: str, value: str, example: str) -> Document:
        """The option set: in its own line, else in place of the line `example`, else in a new
        one. `value` is one line without a comment in it, with no space at its ends."""
        entry = self.find(section, name)
        if entry is not None:
            return self._edited({entry.line: self._lines[entry.line].with_value(value)}, entry.more)
        text = f"{name} = {value}"
        if section not in self._sections:
            return self._appended(f"[{section}]", text)
        found = self._find_example(section, example)
        if found is None:
            return self._inserted(self._last(section) + 1, text)
        number, remark = found
        line = self._indent_at(number) + text + remark + self._lines[number].end
        return self._edited({number: line})

    def without(self, section: str, name: str, example: str) -> Document:
        """The option taken out; the line `example` stands there again."""
        entry = self.find(section, name)
        if entry is None:
            return self
        line = self._lines[entry.line]
        if self._find_example(section, example) is None:
            left = example.rstrip() + line.remark if line.comment else example
        else:
            left = line.comment
        if left:
            return self._edited({entry.line: line.indent + left + line.end}, entry.more)
        return self._edited({}, (entry.line, *entry.more))

    def _edited(self, new: dict[int, str], gone: tuple[int, ...] = ()) -> Document:
        return self._with("".join(
            new.get(number, raw) for number, raw in enumerate(self._raw) if number not in gone))

    def _with(self, text: str) -> Document:
        return Document(self._bom + text)

    def _find_example(self, section: str, example: str) -> tuple[int, str] | None:
        """The commented line in a section that says what the example file says, and the
        remark behind it. Lines inside of a longer value are none."""
        within = {number for entry in self.entries for number in range(entry.line, entry.end)}
        start = example.rstrip()
        for number in self._numbers(section):
            line = self._lines[number]
            said = line.comment.strip()
            if said.startswith(start) and not line.body.strip() and number not in within:
                remark = said[len(start):]
                if not remark or (remark[0].isspace() and remark.lstrip().startswith("#")):
                    return number, remark
        return None

    def _numbers(self, section: str) -> range:
        """The line numbers of a section, its heading first."""
        first = self._sections[section]
        others = [number for number in self._sections.values() if number > first]
        return range(first, min(others, default=len(self._raw)))

    def _last(self, section: str) -> int:
        """The last line of a section's last entry, or its heading."""
        return max((entry.end for entry in self.entries if entry.section == section),
                   default=self._sections[section])

    def _indent_at(self, number: int) -> str:
        """How far in a new line must stand to begin an entry and not to swallow the next."""
        following = next((mark for mark in self._marks if mark >= number), None)
        return self._lines[following].indent if following is not None else ""

    @property
    def _end(self) -> str:
        """How the file's lines end."""
        return next((line.end for line in self._lines if line.end), "\n")

    def _inserted(self, number: int, text: str) -> Document:
        raw = list(self._raw)
        if not self._lines[number - 1].end:
            raw[number - 1] += self._end
        raw.insert(number, self._indent_at(number) + text + self._end)
        return self._with("".join(raw))

    def _appended(self, *texts: str) -> Document:
        text = "".join(self._raw)
        if self._raw and not self._lines[-1].end:
            text += self._end
        if self._raw and self._raw[-1].strip():
            text += self._end
        return self._with(text + "".join(line + self._end for line in texts))
