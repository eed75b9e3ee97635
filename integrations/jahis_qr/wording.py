"""Every problem this connector can report (`wording.json`). `{…}` in a text takes places and names, never values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypedDict

from integrations.jahis_qr.table import HERE
from integrations.problems import Problem, Severity


class Wording(TypedDict):
    severity: Severity
    ja: str
    en: str


WORDING: Mapping[str, Wording] = json.loads((HERE / "wording.json").read_text(encoding="utf-8"))


def say(
    code: str, *, line: int | None = None, field: int | None = None, part: int | None = None, **words: object
) -> Problem:
    """The problem with this code, at this place."""
    text = WORDING[code]
    return Problem(text["severity"], code, text["ja"].format(**words), text["en"].format(**words), line, field, part)
