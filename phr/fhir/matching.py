"""How much two Patients have in common. Pure.

Not a probability: three grades with plain conditions, and within a grade the share of what was asked that agrees.
A name, however rare, makes nobody certain; nor do twins' names, birth date and address.

* certain: an identifier, the birth date and at least part of the name agree, and nothing contradicts;
* probable: nothing of weight contradicts, and either an identifier agrees with birth date or name, or the whole
  name, the birth date and an address or telecom do;
* possible: anything less. It is never told (`decisions/match-discloses-little.md`).

Source: FHIR R4 operation-patient-match (score, grade), valueset-match-grade.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from phr.records.search.normal import normal

Patient = Mapping[str, Any]
CERTAIN, PROBABLE, POSSIBLE = "certain", "probable", "possible"
_FLOOR = {CERTAIN: Decimal("0.90"), PROBABLE: Decimal("0.60"), POSSIBLE: Decimal("0.10")}
_BREADTH = {CERTAIN: Decimal("0.10"), PROBABLE: Decimal("0.29"), POSSIBLE: Decimal("0.49")}


@dataclass(frozen=True, slots=True)
class Match:
    """The grade, a score in [0, 1] that orders, and the elements of the question that agree."""

    grade: str
    score: Decimal
    agreeing: Mapping[str, Any]


def compare(asked: Patient, kept: Patient) -> Match:
    """How well a stored Patient answers the one that was asked for."""
    identifiers = [i for i in asked.get("identifier", ()) if _number(i) and _number(i) in _numbers(kept)]
    names = [(n, _named(n, kept)) for n in asked.get("name", ())]
    contacts = set(map(_contact, kept.get("telecom", ()))) - {None}
    telecoms = [t for t in asked.get("telecom", ()) if _contact(t) in contacts]
    addresses = [a for a in asked.get("address", ()) if any(_same_place(a, b) for b in kept.get("address", ()))]
    birth, gender = _birth(asked, kept), _equal(asked.get("gender"), kept.get("gender"))
    name = max((share for _, share in names), default=0)
    contradicted = birth is False or gender is False or (bool(names) and name == 0)
    near = bool(telecoms or addresses) and not _other_numbers(asked, kept)
    grade = _grade(bool(identifiers), name, birth, contradicted, near=near)
    agreeing = {
        "identifier": identifiers, "name": [n for n, share in names if share == 2],
        "birthDate": asked.get("birthDate") if birth else None, "gender": asked.get("gender") if gender else None,
    }  # fmt: skip
    given = [asked.get(key) for key in ("identifier", "name", "birthDate", "gender", "telecom", "address")]
    points = [bool(identifiers), name == 2, bool(birth), bool(gender), bool(telecoms), bool(addresses)]
    share = Decimal(sum(p for p, g in zip(points, given, strict=True) if g)) / max(1, sum(bool(g) for g in given))
    score = (_FLOOR[grade] + _BREADTH[grade] * share).quantize(Decimal("0.01"))
    return Match(grade, score, {key: value for key, value in agreeing.items() if value})


def _grade(identified: bool, name: int, birth: bool | None, contradicted: bool, *, near: bool) -> str:
    if contradicted:
        return POSSIBLE
    if identified and birth and name:
        return CERTAIN
    if (identified and (birth or name)) or (name == 2 and birth and near):
        return PROBABLE
    return POSSIBLE


def sufficient(asked: Patient) -> bool:
    """Whether there is enough to ask by: an identifier with its system, or a name and a whole birth date."""
    numbered = any(map(_number, asked.get("identifier", ())))
    return numbered or bool(words(asked) and len(asked.get("birthDate", "")) == 10)


def words(patient: Patient) -> list[str]:
    """Family names, else whole names, in the form in which they are compared; each once."""
    found = [n.get("family") or n.get("text") or "" for n in patient.get("name", ())]
    return list(dict.fromkeys(filter(None, map(str.strip, found))))


def _number(identifier: Patient) -> tuple[str, str] | None:
    system, value = identifier.get("system"), identifier.get("value")
    return (str(system), normal(str(value)).replace("-", "")) if system and value else None


def _numbers(patient: Patient) -> set[tuple[str, str] | None]:
    return {_number(i) for i in patient.get("identifier", ()) if i.get("use") != "old"}


def _other_numbers(asked: Patient, kept: Patient) -> bool:
    """Whether the same register gave them different numbers, and none the same."""
    one, other = {n for i in asked.get("identifier", ()) if (n := _number(i))}, _numbers(kept)
    return not one & other and bool({n[0] for n in one} & {n[0] for n in other if n})


def _named(name: Patient, kept: Patient) -> int:
    """2: family and given agree (in the same writing), 1: one of them does, 0: neither."""
    family, given = _family(name), _given(name)
    best = 0
    for other in kept.get("name", ()):
        same_family = bool(family) and family == _family(other)
        same_given = bool(given) and given == _given(other)
        whole = bool(_whole(name)) and _whole(name) == _whole(other)
        best = max(best, 2 if whole or (same_family and same_given) else int(same_family or same_given))
    return best


def _family(name: Patient) -> str:
    return normal(str(name.get("family", "")))


def _given(name: Patient) -> str:
    return normal("".join(map(str, name.get("given", ()))))


def _whole(name: Patient) -> str:
    """A whole name without spaces: its parts, or its text."""
    parts = _family(name) + _given(name) if name.get("family") and name.get("given") else str(name.get("text", ""))
    return normal(parts).replace(" ", "")


def _birth(asked: Patient, kept: Patient) -> bool | None:
    """None: one of them does not say. A partial date agrees with any day inside it, and settles nothing."""
    one, other = str(asked.get("birthDate", "")), str(kept.get("birthDate", ""))
    if not one or not other:
        return None
    if len(one) == len(other) == 10:
        return one == other
    short = min(len(one), len(other))
    return None if one[:short] == other[:short] else False


def _equal(one: object, other: object) -> bool | None:
    if one in (None, "unknown") or other in (None, "unknown"):
        return None
    return one == other


def _contact(contact: Patient) -> tuple[str, str] | None:
    """A phone number by its digits (+81 and a leading 0 are one), anything else by its letters."""
    value = normal(str(contact.get("value", "")))
    digits = re.sub(r"\D", "", value.removeprefix("tel:").replace("+81", "0"))
    if "@" not in value and len(digits) >= 9:
        return "phone", digits
    return ("other", value) if value else None


def _same_place(one: Patient, other: Patient) -> bool:
    """The same lines in the same city, or the same whole text; down to a house number, for a city says little."""
    text, kept = _place(one), _place(other)
    return text == kept and any(map(str.isdigit, text))


def _place(address: Patient) -> str:
    parts: Iterable[Any] = (address.get("city", ""), *address.get("line", ()))
    written = "".join(map(str, parts)) if address.get("line") else str(address.get("text", ""))
    return normal(written).replace(" ", "")
