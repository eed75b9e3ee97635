"""One cell -> what it says: the value as read, the text as received, and what is doubtful about it. Pure.

What cannot be read is kept as it came, and told; nothing is mended and nothing is taken for something else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from integrations.municipal_csv import plausible
from integrations.municipal_csv.catalogue import Shape, called, plain
from integrations.municipal_csv.profile import CodeMap
from integrations.municipal_csv.wording import say
from integrations.problems import Problem
from integrations.tabular.dates import Style, day, months_between
from integrations.tabular.figures import amount, count

Entry = dict[str, Any]  # item, value, raw, unit, map: JSON values only
JUDGEMENTS = frozenset(
    {"ok", "ok-or-observe", "needs-guidance", "observe", "under-care", "needs-detail", "needs-treatment", "unknown"}
)

_SIGNS = {
    "-": "−", "(-)": "−", "ー": "−", "‐": "−", "―": "−", "–": "−", "−": "−", "陰性": "−", "±": "±", "(±)": "±",
    "+-": "±", "+": "＋", "(+)": "＋", "陽性": "＋", "1+": "1＋", "+1": "1＋", "2+": "2＋", "++": "2＋", "3+": "3＋",
    "+++": "3＋", "4+": "4＋",
}  # fmt: skip
_YES, _NO = frozenset({"有", "有り", "アリ"}), frozenset({"無", "無し", "ナシ"})
_WEEKS_DAYS = re.compile(r"(\d{1,2})(?:週|W)\+?(?:(\d)(?:日|D)?)?\Z|(\d{1,2})[+/-](\d)\Z", re.ASCII)
_TITRE = re.compile(r"([<≦≤]?)(\d{1,5})(?:倍)?(未満|以下)?\Z", re.ASCII)
_TIME = re.compile(r"[T ](\d{1,2}):(\d\d)(?::(\d\d))?\Z", re.ASCII)


def warning(problem: Problem) -> Problem:
    """The same problem where the row stands in spite of it."""
    return replace(problem, severity="warning") if problem.severity == "error" else problem


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cell stands (line, field from 1, the profile's name for it), and when and at what age it was said."""

    line: int
    field: int
    name: str
    on: str
    birth: str
    dates: tuple[Style, ...]

    def say(self, code: str, **words: object) -> Problem:
        return warning(say(code, line=self.line, field=self.field, part=None, name=called(self.name), **words))


@dataclass(frozen=True, slots=True)
class Reader:
    """How one item is read: its shape, its code map with the map's name, the unit of the file."""

    shape: Shape
    map_name: str = ""
    map: CodeMap | None = None
    unit: str = ""
    days: str = ""  # of a pregnancy: the text of the column of days beside that of weeks


Read = Callable[[str, Reader, Place, list[Problem]], Entry]


def read(raw: str, how: Reader, place: Place, problems: list[Problem]) -> Entry:
    """What one cell that is not empty says."""
    found = _READERS[how.shape.type](raw, how, place, problems)
    return {"item": how.shape.id} | found


def _number(raw: str, how: Reader, place: Place, problems: list[Problem]) -> Entry:
    value = amount(raw)
    if value is None or (how.shape.type == "int" and value != value.to_integral_value()):
        problems.append(place.say("not-a-number"))
        return {"raw": raw}
    _doubt(value, how, place, problems)
    entry: Entry = {"value": str(value)}
    return entry | {"unit": how.unit} if how.unit else entry


def _doubt(value: Decimal, how: Reader, place: Place, problems: list[Problem]) -> None:
    shape, own = how.shape, how.shape.unit[1] if how.shape.unit else ""
    if how.unit and how.unit != own:
        factor = plausible.TO_ITEM_UNIT.get((how.unit, own))
        if factor is None:
            return
        value *= factor
    if (shape.low is not None and value < shape.low) or (shape.high is not None and value > shape.high):
        problems.append(place.say("implausible"))
    elif (at_age := _at_age(shape.id, place)) and not at_age[0] <= value <= at_age[1]:
        problems.append(place.say("implausible-at-age"))


def _at_age(item: str, place: Place) -> tuple[Decimal, Decimal] | None:
    if len(place.on) < 10 or len(place.birth) < 10 or item not in plausible.MEASURES:
        return None
    return plausible.bounds(item, months_between(date.fromisoformat(place.birth), date.fromisoformat(place.on)))


def _word(raw: str, how: Reader, place: Place, problems: list[Problem]) -> Entry:
    word, mapped = _meant(raw, how)
    if not word:
        problems.append(place.say("unmapped-code"))
        return {"raw": raw} | ({"map": mapped} if mapped else {})
    entry: Entry = {"value": word}
    if word != raw or mapped:
        entry["raw"] = raw
    return entry | {"map": mapped} if mapped else entry


def _meant(raw: str, how: Reader) -> tuple[str, list[str]]:
    """The word a code stands for ("" = not known), and name and version of the map that says so."""
    if how.map is not None:
        found = how.map.codes.get(raw) or how.map.codes.get(unicodedata.normalize("NFKC", raw).strip(), "")
        return found, [how.map_name, how.map.version]
    folded = plain(raw)
    for word in how.shape.allowed:
        if plain(word) == folded:
            return word, []
    if how.shape.type in ("ordinal", "mark"):
        sign = _SIGNS.get(folded, "")
        both = (sign, {"＋": "1＋", "1＋": "＋"}.get(sign, ""))
        return next((word for word in both if word and word in how.shape.allowed), ""), []
    if {"あり", "なし"} <= set(how.shape.allowed):
        return "あり" if folded in _YES else "なし" if folded in _NO else "", []
    return "", []


def _judgement(raw: str, how: Reader, place: Place, problems: list[Problem]) -> Entry:
    word, mapped = _meant(raw, how)
    if word not in JUDGEMENTS:
        problems.append(place.say("unmapped-judgement"))
        word = "unknown"
    return {"value": word, "raw": raw} | ({"map": mapped} if mapped else {})


def _support(raw: str, how: Reader, place: Place, problems: list[Problem]) -> Entry:
    word, mapped = _meant(raw, how)
    if mapped and not word:
        problems.append(place.say("unmapped-code"))
    return {"raw": raw} | ({"value": word} if word else {}) | ({"map": mapped} if mapped else {})


def _text(raw: str, how: Reader, place: Place, problems: list[Problem]) -> Entry:
    return {"raw": raw}


def _date(raw: str, how: Reader, place: Place, problems: list[Problem]) -> Entry:
    found = day(raw, place.dates)
    if found.fault:
        problems.append(place.say(found.fault))
    return {"value": found.text} if found.text else {"raw": raw}


def _datetime(raw: str, how: Reader, place: Place, problems: list[Problem]) -> Entry:
    text = moment(raw, place.dates)
    if not text:
        problems.append(place.say("bad-date"))
    return {"value": text} if text else {"raw": raw}


def moment(raw: str, dates: tuple[Style, ...]) -> str:
    """A date with or without a time of day, as FHIR text in Japan; "" = it is neither."""
    plainly = unicodedata.normalize("NFKC", raw).strip()
    match = _TIME.search(plainly)
    on = day(plainly[: match.start()] if match else plainly, dates)
    if match is None or len(on.text) < 10:
        return "" if on.fault else on.text
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    if hour > 23 or minute > 59 or second > 59:
        return ""
    return f"{on.text}T{hour:02d}:{minute:02d}:{second:02d}+09:00"


def _gestation(raw: str, how: Reader, place: Place, problems: list[Problem]) -> Entry:
    """Days, from days, from weeks and days in one cell, or in two columns. Bare weeks are no day: kept as received."""
    folded = plain(raw)
    found: int | None = None
    if match := _WEEKS_DAYS.match(folded):
        weeks, days = match[1] or match[3], match[2] or match[4] or how.days
        found = _days(count(weeks), count(days))
    elif how.days and (found := _days(count(folded), count(how.days))) is not None:
        pass
    elif how.unit == "d":
        found = count(folded)
    if found is None:
        problems.append(place.say("not-a-gestation"))
        return {"raw": raw}
    if not (how.shape.low or 0) <= found <= (how.shape.high or 400):
        problems.append(place.say("implausible"))
    return {"value": str(found), "raw": raw}


def _days(weeks: int | None, days: int | None) -> int | None:
    return None if weeks is None or days is None or days > 6 else weeks * 7 + days


def _titre(raw: str, how: Reader, place: Place, problems: list[Problem]) -> Entry:
    match = _TITRE.match(plain(raw))
    word = ""
    if match and match[1] not in ("≦", "≤") and match[3] != "以下":  # "at most 8" is neither 8 nor below 8
        word = f"{'<' if match[1] or match[3] else ''}{match[2]}"
    if word not in how.shape.allowed:
        return _word(raw, how, place, problems)
    return {"value": word} | ({"raw": raw} if raw != word else {})


def _mark(raw: str, how: Reader, place: Place, problems: list[Problem]) -> Entry:
    value = amount(raw)
    return _word(raw, how, place, problems) if value is None else _number(raw, how, place, problems)


_READERS: dict[str, Read] = {
    "decimal": _number, "int": _number, "code": _word, "ordinal": _word, "finding": _word, "bool": _word,
    "judgement": _judgement, "support": _support, "text": _text, "date": _date, "datetime": _datetime,
    "gestation": _gestation, "titre": _titre, "mark": _mark,
}  # fmt: skip
