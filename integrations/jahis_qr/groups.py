"""Rows → dispensing groups, with every drug bound to its usage, remarks and doctor. Pure.

A group opens with record 5. One with an error is set aside as a whole; the others stand.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date

from integrations.jahis_qr.rows import Row, day
from integrations.jahis_qr.table import RECORDS
from integrations.jahis_qr.wording import say
from integrations.problems import Problem

MOST_ROWS = 500  # a visit has some dozens; more would only cost time

_ONCE = ("11", "15", "51")
_OF_DRUG = ("281", "291")
_OF_RP = ("311", "391")


@dataclass(frozen=True, slots=True)
class Drug:
    """One record 201 with what belongs to it. `order` is its position in the RP, from 1."""

    row: Row
    usage: Row
    order: int
    doctor: Row | None
    supplements: tuple[str, ...]  # 311 of the RP, then 281 of the drug
    cautions: tuple[str, ...]  # 391 of the RP, then 291 of the drug


@dataclass(frozen=True, slots=True)
class Group:
    """One visit to a pharmacy: its day, who dispensed (11, 15), where it was prescribed (51), the drugs."""

    day: date
    rows: tuple[Row, ...]
    drugs: tuple[Drug, ...]

    def first(self, number: str) -> Row | None:
        return next((row for row in self.rows if row.number == number), None)

    def all(self, number: str) -> list[Row]:
        return [row for row in self.rows if row.number == number]


def of(rows: list[Row], problems: list[Problem]) -> tuple[tuple[Group, ...], frozenset[int]]:
    """The sound groups in the order of the file, and the lines that are set aside."""
    orphans, parts = _cut(rows)
    aside = {row.line for row in orphans} | _lone_ingredients(rows, problems)
    problems += [say("no-group", line=row.line, number=row.number) for row in orphans]
    sound = []
    for part in parts:
        if group := _group(part, problems):
            sound.append(group)
        else:
            problems.append(say("group-set-aside", line=part[0].line))
            aside.update(row.line for row in part)
    return tuple(sound), frozenset(aside)


def _cut(rows: list[Row]) -> tuple[list[Row], list[list[Row]]]:
    """The rows before the first record 5 that need one, and the groups. Root records belong to neither."""
    orphans: list[Row] = []
    parts: list[list[Row]] = []
    for row in rows:
        record = RECORDS.get(row.number)
        if record is None or record.scope in ("root", "tail"):
            continue
        if record.scope == "group-start":
            parts.append([row])
        elif parts:
            parts[-1].append(row)
        else:
            orphans.append(row)
    return orphans, parts


def _lone_ingredients(rows: list[Row], problems: list[Problem]) -> set[int]:
    serials = {row.get("レコード通番") for row in rows if row.number == "3"} - {""}
    lone = {row.line for row in rows if row.number == "31" and row.get("レコード通番") not in serials}
    problems += [say("no-otc", line=line, field=1) for line in sorted(lone)]
    return lone


def _group(part: list[Row], problems: list[Problem]) -> Group | None:
    """One group, or None when it has an error."""
    if len(part) > MOST_ROWS:
        problems.append(say("group-too-large", line=part[0].line, limit=MOST_ROWS))
        return None
    on = day(part[0].get("年月日"))
    named = all(_is_named(row) for row in part)
    _note_repeats(part, problems)
    drugs = _drugs(part, problems)
    return Group(on, tuple(part), tuple(drugs)) if on and named and drugs is not None else None


def _is_named(row: Row) -> bool:
    return all(row.get(field.name) for field in RECORDS[row.number].fields if field.vital)


def _note_repeats(part: list[Row], problems: list[Problem]) -> None:
    seen: set[str] = set()
    for row in part:
        if row.number in _ONCE and row.number in seen:
            problems.append(say("twice", line=row.line, number=row.number))
        seen.add(row.number)


def _drugs(part: list[Row], problems: list[Problem]) -> list[Drug] | None:
    """The drugs of a group; None when one lacks its usage, or a remark its drug."""
    remarks, sound = _remarks(part, problems)
    orders: Counter[str] = Counter()
    doctor: Row | None = None
    drugs = []
    for index, row in enumerate(part):
        if row.number == "55":
            doctor = row
        if row.number != "201":
            continue
        rp = row.get("RP番号")
        orders[rp] += 1
        usage = _usage(part, index, rp)
        if usage is None:
            problems.append(say("no-usage", line=row.line, field=1))
            sound = False
            continue
        texts = [
            (*_texts(part, of_rp, rp), *remarks.get((row.line, of_drug), ()))
            for of_rp, of_drug in zip(_OF_RP, _OF_DRUG, strict=True)
        ]
        drugs.append(Drug(row, usage, orders[rp], doctor, texts[0], texts[1]))
    return drugs if sound else None


def _usage(part: list[Row], index: int, rp: str) -> Row | None:
    """The 301 of this RP that follows the drug, else the last one before it: some writers use a number twice."""
    same = [(place, row) for place, row in enumerate(part) if row.number == "301" and row.get("RP番号") == rp]
    after = [row for place, row in same if place > index]
    return after[0] if after else (same[-1][1] if same else None)


def _texts(part: list[Row], number: str, rp: str) -> tuple[str, ...]:
    return tuple(r.get("内容") for r in part if r.number == number and r.get("RP番号") == rp and r.get("内容"))


def _remarks(part: list[Row], problems: list[Problem]) -> tuple[dict[tuple[int, str], list[str]], bool]:
    """Texts of 281 and 291 by (line of their drug, number): they bind to the drug before them, not by RP number."""
    remarks: dict[tuple[int, str], list[str]] = {}
    drug: Row | None = None
    sound = True
    rps = {row.get("RP番号") for row in part if row.number == "201"}
    for row in part:
        if row.number == "201":
            drug = row
        elif row.number in _OF_DRUG and drug is None:
            problems.append(say("no-drug", line=row.line, number=row.number))
            sound = False
        elif row.number in _OF_DRUG and drug is not None and row.get("内容"):
            remarks.setdefault((drug.line, row.number), []).append(row.get("内容"))
        elif row.number in _OF_RP and row.get("RP番号") not in rps:
            problems.append(say("no-rp", line=row.line, field=1))
    return remarks, sound
