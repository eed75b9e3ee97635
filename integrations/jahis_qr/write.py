"""FHIR resources of one person → a notebook as JAHISTC text (JAHISTC08, 出力区分 2), so that any other app can read it.

What this folder mapped is written in the words it came in (`same_dispense.words_of`): reading it again gives the same
ids. What other channels told is written by its FHIR elements. Nothing is written of whom it was hidden from: this only
sees what it is given. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from integrations.jahis_qr import write_groups
from integrations.jahis_qr.remarks import JAN, RECORD
from integrations.jahis_qr.table import CODES

HEADER = "JAHISTC08,2"
PROFESSIONAL, PATIENT = "1", "2"  # 作成者
IN_GROUP = ("401", "411", "421", "501", "601")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")
_GENDERS = {"male": "1", "female": "2"}

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """What goes into the notebook, newest first. `places`: reference of an Organization -> the Organization."""

    patient: Resource
    dispensed: Sequence[Resource] = ()
    others: Sequence[Resource] = ()  # AllergyIntolerance, Condition, MedicationStatement, Communication, CareTeam
    places: Mapping[str, Resource] = field(default_factory=dict)


def to_lines(pages: Pages) -> list[str]:
    """The lines of the notebook, without line ends."""
    rows: list[tuple[str, ...]] = [_person(pages.patient)]
    rows += (row for r in pages.others for row in _note(r))
    serials = iter(range(1, 1000))
    rows += (row for r in pages.others if _is_bought(r) for row in _bought(r, serials))
    remarks = [r for r in pages.others if _record(r) in IN_GROUP]
    rows += (("4", _text(r), _day(r.get("sent")), _creator(r)) for r in pages.others if _record(r) == "4")
    rows += write_groups.rows(pages.dispensed, [_remark(r) for r in remarks], pages.places)
    rows += (row for r in pages.others if r["resourceType"] == "CareTeam" for row in _pharmacist(r))
    return [HEADER, *(",".join(map(field_of, row)) for row in rows)]


def to_text(pages: Pages) -> bytes:
    """The notebook as a file: cp932, CR LF."""
    return encoded(to_lines(pages))


def encoded(lines: Iterable[str]) -> bytes:
    """cp932; a character it lacks is sent as ■, as the format has it."""
    text = "".join(f"{line}\r\n" for line in lines)
    try:
        return text.encode("cp932")
    except UnicodeEncodeError:
        return b"".join(_character(c) for c in text)


def _character(character: str) -> bytes:
    try:
        return character.encode("cp932")
    except UnicodeEncodeError:
        return b"\x81\xa1"


def field_of(text: str) -> str:
    """A field holds no comma and no line end: they become full width, and a space."""
    return _CONTROL.sub(lambda found: "\u3000" if found[0] == "\u3000" else " ", text).strip().replace(",", "，")


def _person(patient: Resource) -> tuple[str, ...]:
    """Record 1: name, sex, birth date, reading. Address and telephone stay at home."""
    names = [name for name in patient.get("name", ()) if isinstance(name, dict)]
    spelled = [_name(name) for name in names]
    kana = next((text for text in spelled if text and re.fullmatch(r"[ァ-ヶー・ 　ｦ-ﾟ]+", text)), "")
    name = next((text for text in spelled if text and text != kana), kana)
    born = _day(patient.get("birthDate"))
    return ("1", name, _GENDERS.get(patient.get("gender", ""), ""), born, "", "", "", "", "", "", kana)


def _name(name: Resource) -> str:
    given = " ".join(g for g in name.get("given", ()) if g)
    return str(name.get("text") or " ".join(filter(None, (name.get("family"), given))))


def _note(resource: Resource) -> Iterable[tuple[str, ...]]:
    """Record 2: allergies and intolerances, history, other remarks."""
    kind = resource["resourceType"]
    if kind == "AllergyIntolerance" and (said := _said(resource.get("code"))):
        yield "2", "2" if resource.get("type") == "intolerance" else "1", said, PROFESSIONAL
    elif kind == "Condition" and (said := _said(resource.get("code"))):
        yield "2", "3", said, PROFESSIONAL
    elif _record(resource) == "2":
        yield "2", "9", _text(resource), _creator(resource)


def _is_bought(resource: Resource) -> bool:
    return resource["resourceType"] == "MedicationStatement" and _record(resource) == "3"


def _bought(resource: Resource, serials: Any) -> Iterable[tuple[str, ...]]:
    """Record 3 with its 31."""
    concept, period = resource.get("medicationCodeableConcept", {}), resource.get("effectivePeriod", {})
    jan = next((c.get("code", "") for c in concept.get("coding", ()) if c.get("system") == JAN), "")
    notes = [n.get("text", "") for n in resource.get("note", ())]
    parts = [p for n in notes if n.startswith("成分: ") for p in n.removeprefix("成分: ").split("、") if p]
    serial = str(next(serials)) if parts else ""
    who = PATIENT if resource.get("informationSource") else PROFESSIONAL
    yield "3", _said(concept), _day(period.get("start")), _day(period.get("end")), who, serial, jan
    for part in parts:
        yield "31", serial, part, "1", "", who


def _remark(resource: Resource) -> write_groups.Remark:
    """Records 401 to 601, to be put into the group of their day."""
    number, on, text = _record(resource), _day(resource.get("sent")), _text(resource)
    if number == "601":
        return write_groups.Remark(on, (number, text, on), bound=False)
    kinds = {name: code for code, name in CODES["提供情報種別"].items()}
    kind = (kinds.get(resource["category"][0].get("text", ""), ""),) if number == "411" else ()
    return write_groups.Remark(on, (number, text, *kind, _creator(resource)), bound=True)


def _pharmacist(resource: Resource) -> Iterable[tuple[str, ...]]:
    """Record 701."""
    for who in resource.get("participant", ()):
        period = who.get("period", {})
        name, office = who.get("member", {}).get("display", ""), who.get("onBehalfOf", {}).get("display", "")
        if name:
            yield "701", name, office, "", _day(period.get("start")), _day(period.get("end")), PROFESSIONAL


def _record(resource: Resource) -> str:
    """Which record of a notebook it was; "" = it came otherwise."""
    category = resource.get("category", ())
    concepts = [c for c in (category if isinstance(category, list) else [category]) if isinstance(c, dict)]
    codes = (c.get("code", "") for concept in concepts for c in concept.get("coding", ()) if c.get("system") == RECORD)
    return next(codes, "")


def _said(concept: Any) -> str:
    if not isinstance(concept, dict):
        return ""
    displays = (c.get("display") for c in concept.get("coding", ()))
    return str(concept.get("text") or next(filter(None, displays), ""))


def _text(resource: Resource) -> str:
    return next((p["contentString"] for p in resource.get("payload", ()) if "contentString" in p), "")


def _creator(resource: Resource) -> str:
    return PATIENT if "reference" in resource.get("sender", {}) else PROFESSIONAL


def _day(told: Any) -> str:
    """YYYYMMDD of a FHIR date; "" where it is not a whole date."""
    return told[:10].replace("-", "") if isinstance(told, str) and len(told) >= 10 else ""
