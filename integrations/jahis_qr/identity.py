"""Whose record is this? Record 1 is only ever compared with the chosen person, never taken over. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import date

from integrations.jahis_qr.parse import Notebook
from integrations.jahis_qr.rows import day
from integrations.jahis_qr.table import RECORDS
from integrations.jahis_qr.wording import say
from integrations.problems import Problem

_GENDERS = {"1": "male", "2": "female"}


def mismatches(notebook: Notebook, *, names: Iterable[str], gender: str, birth_on: date | None) -> list[Problem]:
    """Where record 1 contradicts the person: name, sex, date of birth.

    `names`: every name and reading the person has; one of them must be the name or the reading of record 1 (NFKC,
    without spaces, small kana and hiragana folded). `gender` is the FHIR code. A birth date or sex that is not known
    on our side is not compared; a person without any name never agrees.
    """
    row = notebook.patient
    position = RECORDS["1"].position
    problems = []
    if not _names(row.get("氏名"), row.get("氏名カナ")) & _names(*names):
        problems.append(say("name-differs", line=row.line, field=position["氏名"] + 1))
    stated = _GENDERS.get(row.get("性別"))
    if stated and gender in _GENDERS.values() and stated != gender:
        problems.append(say("gender-differs", line=row.line, field=position["性別"] + 1))
    if birth_on is not None and day(row.get("生年月日")) != birth_on:
        problems.append(say("birth-differs", line=row.line, field=position["生年月日"] + 1))
    return problems


def _names(*spellings: str) -> set[str]:
    return {folded(spelling) for spelling in spellings} - {""}


def folded(name: str) -> str:
    """NFKC, no spaces or separators, lower case, hiragana as katakana, small kana as large."""
    plain = "".join(c for c in unicodedata.normalize("NFKC", name).casefold() if not c.isspace() and c not in "・･.")
    return "".join(map(_large_katakana, plain))


_SMALL = str.maketrans("ァィゥェォッャュョヮヵヶ", "アイウエオツヤユヨワカケ")


def _large_katakana(character: str) -> str:
    if "ぁ" <= character <= "ゖ":
        character = chr(ord(character) + 0x60)
    return character.translate(_SMALL)
