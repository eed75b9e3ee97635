"""One school checkup -> Encounter and Observations in JP Core's shape, under ids that follow from its key. Pure."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any

from integrations.ids import resource_id
from integrations.incoming import Resource
from integrations.items import About, Item, Mapped
from integrations.problems import Problem
from integrations.school import catalogue, obesity
from integrations.school.catalogue import DENTAL, JP, KINDS, Shape
from integrations.school.wording import say
from phr.records import systems

KIND = "school-csv"
EDITION = f"{systems.OWN}/CodeSystem/growth-edition"
GRADE = f"{systems.OWN}/StructureDefinition/school-grade"
AMBULATORY = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB", "display": "外来"}
Entry = dict[str, Any]


def resources(item: Item, *, about: About) -> Mapped:
    """What an Item becomes. A date in the future makes it nothing."""
    content = item.content
    if content["form"] == "nothing":
        return Mapped()
    if content["on"] > about.today.isoformat()[: len(content["on"])]:
        return Mapped(problems=(say("future", line=item.line),))
    make = _Maker(item, about)
    visit = make.visit()
    observed = [make.observation(entry, visit) for entry in content["items"]]
    problems: list[Problem] = []
    if not any(entry["item"] == "s.obesity" and "value" in entry for entry in content["items"]):
        if computed := make.obesity(visit):
            observed.append(computed)
        elif any(entry["item"] in ("s.height", "s.weight") for entry in content["items"]):
            problems.append(say("obesity-unknown", line=item.line))
    return Mapped([visit, *observed], tuple(problems))


class _Maker:
    """Makes the resources of one checkup."""

    def __init__(self, item: Item, about: About) -> None:
        self.item, self.about, self.on = item, about, item.content["on"]
        self.patient = {"reference": f"Patient/{about.subject}"}

    def id(self, type: str, part: str) -> str:
        return resource_id(type, self.about.code, KIND, self.item.key, part)

    def sender(self) -> Resource:
        six = len(self.about.code) == 6
        system = systems.OWN_MUNICIPALITY if six else f"{systems.OWN}/NamingSystem/school-code"
        found: Resource = {"type": "Organization", "identifier": {"system": system, "value": self.about.code}}
        return found | ({"display": self.about.organization_name} if self.about.organization_name else {})

    def visit(self) -> Resource:
        name = "学校健康診断"
        visit: Resource = {
            "resourceType": "Encounter",
            "id": self.id("Encounter", "visit"),
            "meta": {"profile": [JP + "JP_Encounter"]},
            "status": "finished",
            "class": AMBULATORY,
            "type": [{"coding": [{"system": systems.OWN_VISIT, "code": "school", "display": name}], "text": name}],
            "subject": self.patient,
            "period": {"start": self.on, "end": self.on},
            "serviceProvider": self.sender(),
        }
        if grade := self.item.content.get("grade"):
            visit["extension"] = [{"url": GRADE, "valueString": grade}]
        return visit

    def observation(self, entry: Entry, visit: Resource) -> Resource:
        shape = catalogue.items()[entry["item"]]
        made = self._observation(shape, visit)
        made |= _value(entry, shape, self.about.code)
        if shape.id == "s.obesity" and "value" in entry:
            made["method"] = _edition(self.item.content["edition"])
        return made

    def obesity(self, visit: Resource) -> Resource | None:
        """肥満度 as it follows from height and weight, with the edition of the standard weights."""
        entries = [e for e in self.item.content["items"] if e["item"] in _MEASURED and "value" in e]
        said = {e["item"]: Decimal(e["value"]) for e in entries}
        identity, edition = self.item.identity, self.item.content["edition"]
        if len(said) < len(_MEASURED) or len(identity.birth_date) != 10 or len(self.on) != 10:
            return None
        found = obesity.degree(
            edition=edition, sex=identity.gender, birth=date.fromisoformat(identity.birth_date),
            on=date.fromisoformat(self.on), height=said["s.height"], weight=said["s.weight"],
        )  # fmt: skip
        if found is None:
            return None
        shape = catalogue.items()["s.obesity"]
        made = self._observation(shape, visit) | _value({"value": str(found), "raw": ""}, shape, self.about.code)
        made["method"] = _edition(edition)
        made["derivedFrom"] = [{"reference": f"Observation/{self.id('Observation', part)}"} for part in _MEASURED]
        return made

    def _observation(self, shape: Shape, visit: Resource) -> Resource:
        profile, category = KINDS[shape.kind]
        categories = [{"coding": [{"system": systems.JP_OBSERVATION_CATEGORY, "code": category}]}]
        if shape.id in _MEASURED:
            categories.append({"coding": [{"system": systems.OBSERVATION_CATEGORY, "code": "vital-signs"}]})
        made: Resource = {
            "resourceType": "Observation",
            "id": self.id("Observation", shape.id),
            "meta": {"profile": [JP + profile]},
            "status": "final",
            "category": categories,
            "code": dict(shape.code),
            "subject": self.patient,
            "encounter": {"reference": f"Encounter/{visit['id']}"},
            "effectiveDateTime": self.on,
            "performer": [self.sender()],
        }
        if shape.kind == "lab":
            made["specimen"] = {"type": "Specimen", "display": "尿"}
        return made


_CODE = re.compile(r"[^\s]+(\s[^\s]+)*")  # R4 datatypes.html, code
_MEASURED = ("s.height", "s.weight")


def _edition(edition: str) -> Resource:
    return {"coding": [{"system": EDITION, "code": edition}], "text": f"標準体重: {edition}"}


def _value(entry: Entry, shape: Shape, code: str) -> Resource:
    """value[x]. A word of the form is coded, with the cell as received where that says more."""
    if "value" not in entry:
        return {"valueString": entry["raw"]}
    word = entry["value"]
    if shape.value == "decimal":
        return {"valueQuantity": {
            "value": Decimal(word), "unit": shape.unit, "system": systems.UCUM, "code": shape.ucum}}  # fmt: skip
    coding: Resource = {"system": catalogue.CODES[shape.value], "code": word}
    if shape.value == "dental":
        coding["display"] = DENTAL[word]
    codings, raw = [coding], entry["raw"]
    if (given := entry.get("map")) and _CODE.fullmatch(raw):
        local = {"system": f"{systems.OWN}/CodeSystem/school/{code}/{given[0]}", "version": given[1], "code": raw}
        codings.append(local)
    return {"valueCodeableConcept": {"coding": codings, "text": raw}}
