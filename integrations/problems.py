"""What may be wrong with something that came in, and the one error for "nothing of it can be used".

Messages name places and kinds, never values: problem lists are kept and shown outside the sealed record.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypedDict

Severity = Literal["error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. `line`, `field` and `part` count from 1; None = not about one of them."""

    severity: Severity
    code: str
    ja: str
    en: str
    line: int | None = None
    field: int | None = None
    part: int | None = None

    def as_json(self) -> dict[str, str | int]:
        return {key: value for key, value in asdict(self).items() if value is not None}

    def place(self) -> str:
        """Where it is, for people: 「部品2 3行目 4項目 / part 2 line 3 field 4」; empty when it is about the whole."""
        places = (
            ("部品{}", "part {}", self.part),
            ("{}行目", "line {}", self.line),
            ("{}項目", "field {}", self.field),
        )
        ja = " ".join(japanese.format(n) for japanese, _, n in places if n is not None)
        en = " ".join(english.format(n) for _, english, n in places if n is not None)
        return f"{ja} / {en}" if ja else ""


class Unreadable(Exception):
    """Nothing of the input can be used; the problems say why and where."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{p.place()}: {p.en}" if p.place() else p.en for p in problems))
        self.problems = tuple(problems)


class Wording(TypedDict):
    severity: Severity
    ja: str
    en: str


class Phrasebook:
    """The problems somebody can report, from a JSON file: code -> severity, ja, en. `{…}` takes places and names."""

    def __init__(self, path: Path) -> None:
        self._wording: Mapping[str, Wording] = json.loads(path.read_text(encoding="utf-8"))

    def __call__(
        self, code: str, *, line: int | None = None, field: int | None = None, part: int | None = None, **words: object
    ) -> Problem:
        """The problem with this code, at this place."""
        text = self._wording[code]
        ja, en = (text[language].format(**words) for language in ("ja", "en"))  # type: ignore[literal-required]
        return Problem(text["severity"], code, ja, en, line, field, part)


def errors(problems: Iterable[Problem]) -> list[Problem]:
    return [p for p in problems if p.severity == "error"]
