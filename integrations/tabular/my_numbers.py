"""A column of 個人番号 is never taken: found by its header, or because nearly all its values have the form. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from integrations.problems import Problem, Unreadable
from integrations.tabular.figures import is_my_number, names_my_number
from integrations.tabular.reading import Record
from integrations.tabular.wording import say

FEWEST_NUMBERS = 3  # fewer are chance (about 1 of 11): only told
NEARLY_ALL = 0.9


def refuse_headers(headers: Iterable[str], *, line: int) -> None:
    """Raises Unreadable where a header says so."""
    if any(map(names_my_number, headers)):
        raise Unreadable([say("my-number-column", line=line)])


@dataclass(slots=True)
class Watch:
    """Counts, for every column, the values that have the form of a 個人番号, and all others."""

    hits: dict[int, int] = field(default_factory=dict)
    lines: dict[int, int] = field(default_factory=dict)
    values: dict[int, int] = field(default_factory=dict)  # of the columns with hits, since the first
    seen: int = 0

    def look(self, one: Record | Problem) -> None:
        if isinstance(one, Problem):
            return
        fields = one.fields
        self.seen += 1
        for index in self.hits:
            if index < len(fields) and fields[index].strip():
                self.values[index] += 1
        for index, text in enumerate(fields):
            if 12 <= len(text) <= 16 and is_my_number(text.strip()):
                if index not in self.hits:
                    self.hits[index], self.lines[index], self.values[index] = 0, one.line, 1
                self.hits[index] += 1

    def refuse(self) -> None:
        """Raises Unreadable where nearly all values of a column have the form."""
        for index, hits in self.hits.items():
            if hits >= FEWEST_NUMBERS and hits >= NEARLY_ALL * self.values[index]:
                raise Unreadable([say("my-number-column", line=self.lines[index], field=index + 1)])

    def doubts(self) -> Iterator[Problem]:
        for index, hits in sorted(self.hits.items()):
            yield say("my-number-like", line=self.lines[index], field=index + 1, count=hits)
