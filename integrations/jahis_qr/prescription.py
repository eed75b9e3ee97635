"""院外処方箋２次元シンボル (JAHISn): the same camera, another layout, a prescription instead of a dispensing. Pure.

Source: JAHIS 院外処方箋２次元シンボル記録条件規約 1.10 (first line JAHIS10; older ones JAHIS9 …).
The record numbers of a notebook with other meanings, eras as digits, other 剤形. Strict where a medicine could be
misread: one record that is not as the standard has it refuses the whole, by its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from integrations.jahis_qr.identity import folded
from integrations.jahis_qr.rows import BOM, Row, amount, encoding_of, rows_of
from integrations.jahis_qr.wording import say
from integrations.problems import Problem, Unreadable

HEADER = re.compile(rb"JAHIS\d{1,2}\s*(\r|\n|\Z)")
DIGITS = re.compile(r"\d{8}|[1-5]\d{6}", re.ASCII)
MOST_ROWS = 500  # a prescription has some dozens
ORAL, AS_NEEDED = "1", "2"
FORMS = ("1", "2", "3", "4", "5", "6", "9")
_ERAS = {"1": 1867, "2": 1911, "3": 1925, "4": 1988, "5": 2018}
_GENDERS = {"1": "male", "2": "female"}
_NO_NAME_NEEDED = "2"  # レセプト電算コード: the name may be left out
STRENGTH = "2"  # 力価フラグ: the amount is one of the substance


@dataclass(frozen=True, slots=True)
class Drug:
    """One 201. `dose` is None where it is one of the substance, not of the preparation."""

    row: Row
    rp: str
    order: str
    kind: str
    code: str
    name: str
    dose: Decimal | None
    unit: str
    remarks: tuple[str, ...]  # 281


@dataclass(frozen=True, slots=True)
class Usage:
    """One RP: 101, 111, 181."""

    form: str
    number: Decimal | None
    kind: str
    code: str
    text: str
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prescription:
    """What one symbol (or set) says. `rows` leaves out the header."""

    rows: tuple[Row, ...]
    issued: date
    until: date | None
    refills: int | None
    drugs: tuple[Drug, ...]
    usages: Mapping[str, Usage]
    problems: tuple[Problem, ...]

    def said(self, number: str, place: int) -> str:
        """A field of the first record with this number, counted from 1; "" when there is none."""
        return next((_at(row, place) for row in self.rows if row.number == number), "")

    @property
    def clinic(self) -> str:
        """10 digits of the prescribing institution; "" when it is not complete."""
        whole = self.said("1", 3).zfill(2) + (self.said("1", 1) or "1") + self.said("1", 2)
        return whole if len(whole) == 10 and whole.isascii() and whole.isdigit() else ""

    @property
    def prescriber(self) -> str:
        names = (self.said("1", 4), self.said("4", 3), self.said("5", 3) or self.said("5", 2))
        return " ".join(filter(None, names))


def is_prescription(data: bytes) -> bool:
    return HEADER.match(data.removeprefix(BOM).lstrip()) is not None


def parse(data: bytes) -> Prescription:
    """Read one whole prescription. Raises Unreadable, naming the line."""
    problems: list[Problem] = []
    rows = rows_of(data, encoding_of(data), problems)[1:]
    if len(rows) > MOST_ROWS:
        raise Unreadable([say("too-many-lines", limit=MOST_ROWS)])
    issued = _required_day(rows, "51")
    for number in ("11", "12", "13"):
        if not any(row.number == number for row in rows):
            raise Unreadable([say("rx-record-missing", number=number)])
    usages = {_at(row, 1): _usage(row, rows) for row in rows if row.number == "101"}
    drugs = tuple(_drug(row, rows, usages, problems) for row in rows if row.number == "201")
    if not drugs:
        raise Unreadable([say("rx-record-missing", number="201")])
    until = next((_day(_at(row, 1)) for row in rows if row.number == "52"), None)
    times = next((_at(row, 1) for row in rows if row.number == "64"), "")
    refills = int(times) if times.isascii() and times.isdigit() and len(times) == 1 else None
    return Prescription(tuple(rows), issued, until, refills, drugs, usages, tuple(problems[:200]))


def _at(row: Row, place: int) -> str:
    return row.fields[place - 1] if place <= len(row.fields) else ""


def _required_day(rows: Iterable[Row], number: str) -> date:
    row = next((row for row in rows if row.number == number), None)
    if row is None:
        raise Unreadable([say("rx-record-missing", number=number)])
    found = _day(_at(row, 1))
    if found is None:
        raise Unreadable([say("rx-not-as-specified", line=row.line, field=1)])
    return found


def _day(text: str) -> date | None:
    """`YYYYMMDD`, or `GYYMMDD` with a digit for the era."""
    if not DIGITS.fullmatch(text):
        return None
    year = int(text[:4]) if len(text) == 8 else _ERAS[text[0]] + int(text[1:3])
    try:
        return date(year, int(text[-4:-2]), int(text[-2:]))
    except ValueError:
        return None


def _usage(row: Row, rows: Iterable[Row]) -> Usage:
    """101 with the 111 and 181 of its RP. Raises Unreadable where 剤形 or number could be misread."""
    rp, form, number = _at(row, 1), _at(row, 2), _at(row, 4)
    if form not in FORMS:
        raise Unreadable([say("rx-not-as-specified", line=row.line, field=2)])
    if amount(number) is None:
        raise Unreadable([say("rx-not-as-specified", line=row.line, field=4)])
    of_rp = [other for other in rows if other.fields and other.fields[0] == rp]
    how = next((other for other in of_rp if other.number == "111"), None)
    if how is not None and (_at(how, 2) not in ("", "1", "2") and not _at(how, 4)):
        raise Unreadable([say("rx-not-as-specified", line=how.line, field=4)])
    remarks = tuple(_at(other, 4) for other in of_rp if other.number == "181" and _at(other, 4))
    kind, code, text = (_at(how, 2), _at(how, 3), _at(how, 4)) if how else ("", "", "")
    return Usage(form, amount(number), kind, code, text, remarks)


def _drug(row: Row, rows: Iterable[Row], usages: Mapping[str, Usage], problems: list[Problem]) -> Drug:
    """201 with its 281. Raises Unreadable."""
    rp, order, about, kind, code, name, dose, flag, unit = (_at(row, place) for place in range(1, 10))
    wrong = [
        place for place, sound in (
            (2, order.isascii() and order.isdigit()), (3, about in ("", "1", "2", "3")), (4, kind in set("12345678")),
            (6, name or (kind == _NO_NAME_NEEDED and code)), (7, amount(dose) is not None), (8, flag in ("1", "2")),
            (9, unit),
        ) if not sound
    ]  # fmt: skip
    if wrong:
        raise Unreadable([say("rx-not-as-specified", line=row.line, field=wrong[0])])
    if rp not in usages:
        raise Unreadable([say("rx-no-form", line=row.line, field=1)])
    if flag == STRENGTH:
        problems.append(say("strength-dose", line=row.line, field=7))
    remarks = tuple(
        _at(other, 5) for other in rows
        if other.number == "281" and (_at(other, 1), _at(other, 2)) == (rp, order) and _at(other, 5)
    )  # fmt: skip
    return Drug(row, rp, order, kind, code, name, None if flag == STRENGTH else amount(dose), unit, remarks)


def mismatches(
    found: Prescription, *, names: Iterable[str], gender: str, birth_on: date | None
) -> list[Problem]:  # fmt: skip
    """Where records 11, 12, 13 contradict the person."""
    line = {row.number: row.line for row in reversed(found.rows)}
    problems = []
    theirs = {folded(name) for name in (found.said("11", 2), found.said("11", 3))} - {""}
    if not theirs & ({folded(name) for name in names} - {""}):
        problems.append(say("name-differs", line=line["11"], field=2))
    stated = _GENDERS.get(found.said("12", 1))
    if stated and gender in _GENDERS.values() and stated != gender:
        problems.append(say("gender-differs", line=line["12"], field=1))
    if birth_on is not None and _day(found.said("13", 1)) != birth_on:
        problems.append(say("birth-differs", line=line["13"], field=1))
    return problems
