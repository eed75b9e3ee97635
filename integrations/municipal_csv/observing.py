"""The entries of one visit -> Observations (JP Core). Pure.

The value as received stands beside what it was mapped to; what could not be read stays as text. A blood pressure is one
panel with two components. What is for staff only bears the label of that.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from integrations.incoming import Resource
from integrations.municipal_csv import catalogue, deriving
from integrations.municipal_csv.catalogue import Shape
from integrations.municipal_csv.making import STAFF_ONLY, Maker
from integrations.municipal_csv.wording import say
from integrations.problems import Problem
from phr.records import systems

CHECKUP_JUDGEMENT = f"{systems.OWN}/StructureDefinition/checkup-judgement"
FINDINGS = {"所見なし": "no-finding", "所見あり": "finding"}
JUDGED = {
    "ok": "異常なし", "ok-or-observe": "健康・要観察 (区別なし)", "needs-guidance": "要指導", "observe": "要経過観察",
    "under-care": "既医療", "needs-detail": "要精密検査", "needs-treatment": "要治療", "unknown": "判定なし・不明",
}  # fmt: skip
UNIT_NAMES = {"kg": "kg", "g": "g", "cm": "cm", "mm": "mm", "m": "m", "d": "日", "10*3/uL": "10^3/μL"}
GRAMS = {"31000296": "31000297"}  # JP Core codes a weight in kg and one in g apart
PRESSURE = ("bp.sys", "bp.dia")
STAFF_ITEMS = frozenset({"judge.support", "q.abuse"})
Entry = dict[str, Any]


def observations(make: Maker, encounter: Resource | None, problems: list[Problem]) -> list[Resource]:
    """Every entry of the Item as Observations, then what is derived from them."""
    entries: dict[str, Entry] = {entry["item"]: entry for entry in make.content["items"]}
    made: dict[str, Resource] = {}
    for item, entry in entries.items():
        if item in PRESSURE:
            made.setdefault("bp", _pressure(make, encounter, entries))
        else:
            made[item] = _observation(make, encounter, entry)
    _derive(make, encounter, entries, made, problems)
    return list(made.values())


def free(make: Maker, encounter: Resource | None) -> list[Resource]:
    """Free columns as they came: unknown items, so sensitive; those nobody vouched for are for staff only."""
    found = []
    for number, (name, text, audience) in enumerate(make.content.get("free", ())):
        shape = catalogue.items()["hx"]  # its form only: a survey with a text
        resource = _begun(make, encounter, shape, f"free:{number}:{name}")
        resource["code"] = {"coding": make.local(name, None, "free"), "text": name}
        if not resource["code"]["coding"]:
            del resource["code"]["coding"]
        resource["valueString"] = text
        if audience == "staff":
            resource["meta"] = resource["meta"] | {"security": [STAFF_ONLY]}
        found.append(resource)
    return found


def _begun(make: Maker, encounter: Resource | None, shape: Shape, part: str) -> Resource:
    resource: Resource = {
        "resourceType": "Observation",
        "id": make.id("Observation", part),
        "meta": {"profile": [shape.profile]},
        "status": "final",
        "category": shape.category,
        "code": shape.code,
        "subject": make.patient,
    }
    if encounter:
        resource["encounter"] = {"reference": f"Encounter/{encounter['id']}"}
    resource["effectiveDateTime"] = make.content["on"]
    resource["performer"] = [make.sender]
    if shape.specimen:
        resource["specimen"] = shape.specimen
    return resource


def _observation(make: Maker, encounter: Resource | None, entry: Entry) -> Resource:
    shape = _shape(make, entry)
    resource = _begun(make, encounter, shape, entry["item"])
    if on := entry.get("on"):
        resource["effectiveDateTime"] = on
    resource |= _value(make, shape, entry)
    if entry.get("unit") == "g":
        resource["code"] = _in_grams(shape.code)
    if text := entry.get("text"):
        resource["note"] = [{"text": text}]
    if entry["item"] in STAFF_ITEMS:
        resource["meta"] = resource["meta"] | {"security": [STAFF_ONLY]}
    if shape.type == "judgement":
        resource["meta"] = {"profile": [*resource["meta"]["profile"], CHECKUP_JUDGEMENT]}
    if shape.id == "hdr.months.computed":
        resource["method"] = {"text": "生年月日と受診日から計算"}
    return resource


def _shape(make: Maker, entry: Entry) -> Shape:
    """Below two years length is lying, from two it is standing (JP Core, 母子健康手帳)."""
    item = entry["item"]
    if item == "ant.height" and _below_two(make):
        item = "ant.length"
    return catalogue.items()[item]


def _below_two(make: Maker) -> bool:
    for entry in make.content["items"]:
        if entry["item"] == "hdr.months.computed":
            return int(entry["value"]) < 24
    return make.content.get("stage") in ("nb", "w2", "m1", "m3_4", "m6_7", "m9_10", "y1_6")


def _value(make: Maker, shape: Shape, entry: Entry) -> Resource:
    if "value" not in entry and shape.type in ("code", "ordinal", "finding", "bool", "titre", "mark", "support"):
        return {"valueCodeableConcept": _as_received(make, shape, entry)} if entry.get("raw") else _unsaid(entry)
    if "value" not in entry:
        return {"valueString": entry["raw"]} if entry.get("raw") else _unsaid(entry)
    return _VALUES[shape.type](make, shape, entry)


def _unsaid(entry: Entry) -> Resource:
    """Only words, no value."""
    system = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
    return {"dataAbsentReason": {"coding": [{"system": system, "code": "unknown"}]}}


def _as_received(make: Maker, shape: Shape, entry: Entry) -> Resource:
    concept: Resource = {"text": entry["raw"]}
    local = make.local(entry["raw"], entry.get("map"), shape.id)
    return {"coding": local} | concept if local else concept


def _number(make: Maker, shape: Shape, entry: Entry) -> Resource:
    value = Decimal(entry["value"])
    unit: str = entry.get("unit", "")
    if unit:
        return {"valueQuantity": _quantity(value, UNIT_NAMES.get(unit, unit), unit)}
    if shape.unit:
        return {"valueQuantity": _quantity(value, shape.unit[0], shape.unit[1])}
    return {"valueInteger": int(value)}


def _quantity(value: Decimal | int, text: str, ucum: str) -> Resource:
    return {"value": value, "unit": text, "system": systems.UCUM, "code": ucum}


def _word(make: Maker, shape: Shape, entry: Entry) -> Resource:
    word, map = entry["value"], entry.get("map")
    coding = [{"system": systems.OWN_ANSWER, "code": word}]
    if shape.type == "finding":
        coding.append({"system": systems.OWN_FINDING, "code": FINDINGS[word]})
    if "raw" in entry:
        coding += make.local(entry["raw"], map, shape.id)
    return {"valueCodeableConcept": make.mapped_by(map) | {"coding": coding, "text": word}}


def _judgement(make: Maker, shape: Shape, entry: Entry) -> Resource:
    word, map = entry["value"], entry.get("map")
    common = {"system": systems.OWN_JUDGEMENT, "code": word, "display": JUDGED[word]}
    coding = [*make.local(entry["raw"], map, shape.id), common]
    return {"valueCodeableConcept": make.mapped_by(map) | {"coding": coding, "text": JUDGED[word]}}


def _support(make: Maker, shape: Shape, entry: Entry) -> Resource:
    word, map = entry["value"], entry.get("map")
    coding = [{"system": systems.OWN_SUPPORT, "code": word}, *make.local(entry["raw"], map, shape.id)]
    return {"valueCodeableConcept": make.mapped_by(map) | {"coding": coding, "text": word}}


def _mark(make: Maker, shape: Shape, entry: Entry) -> Resource:
    plain = entry["value"].replace(".", "").replace("-", "").isdigit()
    return _number(make, shape, entry) if plain else _word(make, shape, entry)


def _date(make: Maker, shape: Shape, entry: Entry) -> Resource:
    return {"valueDateTime": entry["value"]}


def _bool(make: Maker, shape: Shape, entry: Entry) -> Resource:
    return {"valueBoolean": entry["value"] == "あり"}


def _gestation(make: Maker, shape: Shape, entry: Entry) -> Resource:
    return {"valueQuantity": _quantity(int(entry["value"]), "日", "d")}


_VALUES: dict[str, Callable[[Maker, Shape, Entry], Resource]] = {
    "decimal": _number, "int": _number, "code": _word, "ordinal": _word, "finding": _word, "titre": _word,
    "bool": _bool, "judgement": _judgement, "support": _support, "mark": _mark, "date": _date, "datetime": _date,
    "gestation": _gestation,
}  # fmt: skip


def _in_grams(code: Resource) -> Resource:
    return code | {"coding": [c | {"code": GRAMS.get(c["code"], c["code"])} for c in code["coding"]]}


def _pressure(make: Maker, encounter: Resource | None, entries: dict[str, Entry]) -> Resource:
    resource = _begun(make, encounter, catalogue.items()["bp"], "bp")
    resource["component"] = []
    for item in PRESSURE:
        if item in entries:
            shape = catalogue.items()[item]
            # Only the LOINC code of each: the panel says whose pressure it is
            code = {"coding": shape.code["coding"][:1], "text": shape.name}
            resource["component"].append({"code": code} | _value(make, shape, entries[item]))
    return resource


def _derive(make: Maker, encounter: Resource | None, entries: dict[str, Entry], made: dict[str, Resource],
            problems: list[Problem]) -> None:  # fmt: skip
    if make.content["form"] not in ("prenatal", "postpartum"):
        return
    numbers = {i: Decimal(e["value"]) for i, e in entries.items() if i in _NUMBERS and "value" in e}
    words = {i: e["value"] for i, e in entries.items() if i == "rubella" and "value" in e}
    for found in deriving.derived(numbers, words):
        sources = dict.fromkeys("bp" if item in PRESSURE else item for item in found.sources)
        pointed = [{"reference": f"Observation/{made[item]['id']}"} for item in sources]
        if given := made.get(found.item):
            given["derivedFrom"] = pointed
            if entries[found.item].get("value", found.value) != found.value:
                problems.append(say("derived-differs", line=make.item.line, name=found.item))
            continue
        shape = catalogue.items()[found.item]
        resource = _begun(make, encounter, shape, f"{found.item}:derived")
        resource |= _value(make, shape, {"item": found.item, "value": found.value})
        resource["method"] = {"text": found.method}
        resource["derivedFrom"] = pointed
        made[found.item] = resource


_NUMBERS = frozenset({*PRESSURE, "ogtt.0", "ogtt.60", "ogtt.120"})
