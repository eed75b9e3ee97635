"""Text of an HL7 v2.5 message → segments, fields, components. Pure. Nothing is split before it is asked for.

`""` is what a source writes for "deleted": it reads as nothing here. Source: HL7 v2.5, chapter 2 (2.5.3 delimiters,
2.7 escape sequences).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

DELETED = '""'
_ESCAPED = re.compile(r"\\([^\\\r]*)\\")
_HEX = re.compile(r"X((?:[0-9A-Fa-f]{2})+)\Z")
_BREAKS = frozenset({".br", ".sp", ".ce"})
_STYLES = frozenset({"H", "N", ".fi", ".nf"})  # of display only


@dataclass(frozen=True, slots=True)
class Delimiters:
    """MSH-1 and MSH-2."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    sub: str = "&"

    def written(self) -> str:
        """As they stand behind the letters MSH."""
        return f"{self.field}{self.component}{self.repetition}{self.escape}{self.sub}"


PLAIN = Delimiters()


@dataclass(frozen=True, slots=True)
class Value:
    """One repetition of one field, as written."""

    raw: str
    by: Delimiters = PLAIN

    def __bool__(self) -> bool:
        return self.raw not in ("", DELETED)

    def __call__(self, component: int = 1, sub: int = 0) -> str:
        """The text of a component (from 1), of a sub-component of it, or "". Escapes are undone, blanks cut off."""
        parts = self.raw.split(self.by.component)
        raw = parts[component - 1] if component <= len(parts) else ""
        if sub:
            subs = raw.split(self.by.sub)
            raw = subs[sub - 1] if sub <= len(subs) else ""
        return "" if raw == DELETED else unescaped(raw, self.by).strip()

    def text(self) -> str:
        """The whole as text, for types that have no components: a `^` in it is one the sender forgot to escape."""
        return "" if self.raw == DELETED else unescaped(self.raw, self.by).strip()

    def part(self, component: int) -> Value:
        """A component whose own sub-components are the components."""
        parts = self.raw.split(self.by.component)
        raw = parts[component - 1] if component <= len(parts) else ""
        return Value(raw.replace(self.by.sub, self.by.component), self.by)


NOTHING = Value("")


@dataclass(frozen=True, slots=True)
class Segment:
    """One line: `fields[n]` is field n as written (for MSH too). `line` counts from 1 within the message."""

    name: str
    fields: Sequence[str]
    line: int
    by: Delimiters = PLAIN

    def __getitem__(self, field: int) -> Value:
        """The first repetition of a field; `NOTHING` behind the last."""
        raw = self.fields[field] if field < len(self.fields) else ""
        return Value(raw.split(self.by.repetition, 1)[0], self.by) if raw else NOTHING

    def all(self, field: int) -> Iterator[Value]:
        """Every repetition that says something."""
        raw = self.fields[field] if field < len(self.fields) else ""
        for one in raw.split(self.by.repetition) if raw else ():
            if value := Value(one, self.by):
                yield value

    def whole(self, field: int) -> Value:
        """The field with its repetitions, for those whose type does not repeat."""
        return Value(self.fields[field], self.by) if field < len(self.fields) else NOTHING


def segment_of(text: str, line: int, by: Delimiters) -> Segment:
    """One line of text. MSH-1 is the separator itself, so its numbers are shifted."""
    fields = text.split(by.field)
    if fields[0] == "MSH":
        fields.insert(1, by.field)
    return Segment(fields[0], fields, line, by)


def unescaped(text: str, by: Delimiters = PLAIN) -> str:
    """Undo `\\F\\ \\S\\ \\T\\ \\R\\ \\E\\ \\.br\\ \\Xhh\\`; what is no escape stays as it is."""
    if by.escape not in text:
        return text
    own = text if by.escape == "\\" else text.replace(by.escape, "\\")
    named = {"F": by.field, "S": by.component, "T": by.sub, "R": by.repetition, "E": by.escape}
    return _ESCAPED.sub(lambda match: _plain(match, named), own)


def _plain(match: re.Match[str], named: dict[str, str]) -> str:
    said = match[1]
    if said in named:
        return named[said]
    if said in _STYLES:
        return ""
    if said.split(" ")[0] in _BREAKS:
        return "\n"
    if found := _HEX.match(said):
        text = bytes.fromhex(found[1]).decode("ascii", "replace").replace("\r\n", "\n").replace("\r", "\n")
        return "".join(c for c in text if c >= " " or c in "\t\n")
    return match[0]


def escaped(text: str, by: Delimiters = PLAIN) -> str:
    """Text as it may stand in a field of a message of ours."""
    pairs = {by.escape: "E", by.field: "F", by.component: "S", by.sub: "T", by.repetition: "R"}
    return "".join(f"{by.escape}{pairs[c]}{by.escape}" if c in pairs else " " if c in "\r\n" else c for c in text)
