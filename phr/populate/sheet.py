"""What one author writes about one subject: the resources of one transaction."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from phr.populate.dice import Dice
from phr.populate.facilities import Facility
from phr.populate.items import answer, items, quantity_unit
from phr.populate.systems import JP_PROFILE, VISIT
from phr.records.systems import LOINC, OWN_ORIGIN, SELF_MEASURED, UCUM

Resource = dict[str, Any]
AMBULATORY = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB", "display": "外来"}
SYSTOLIC = {"coding": [{"system": LOINC, "code": "8480-6"}], "text": "収縮期血圧"}
DIASTOLIC = {"coding": [{"system": LOINC, "code": "8462-4"}], "text": "拡張期血圧"}
AT_HOME = [{"system": OWN_ORIGIN, "code": SELF_MEASURED}]
GUARDIAN = {"type": "RelatedPerson", "display": "保護者"}
BLOOD = {"type": "Specimen", "display": "血液"}
URINE = {"type": "Specimen", "display": "尿"}
SWAB = {"type": "Specimen", "display": "擦過検体"}
SPECIMEN_OF = dict.fromkeys(("urine.protein", "urine.glucose", "urine.p", "urine.g"), URINE) | dict.fromkeys(
    ("gbs", "cervix.cyt", "chlamydia"), SWAB
)


class Sheet:
    """Collects resources about `subject` (a Patient id) by `facility`; None = the family itself.

    A child's record names no other person's id: what its parents measure is performed by "保護者".
    """

    def __init__(self, dice: Dice, subject: str, facility: Facility | None, *, child: bool = False) -> None:
        self.dice = dice
        self.subject = subject
        self.facility = facility
        self.patient = {"reference": f"Patient/{subject}"}
        self.performer = [facility.performer if facility else GUARDIAN if child else self.patient]
        self.resources: list[Resource] = []

    def add(self, type_: str, profile: str | None = None, **elements: Any) -> Resource:
        """Start a resource with a new id and put it on the sheet."""
        resource: Resource = {"resourceType": type_, "id": self.dice.uuid()}
        if profile:
            resource["meta"] = {"profile": [JP_PROFILE + profile]}
        resource.update(elements)
        self.resources.append(resource)
        return resource

    def observe(
        self,
        item_id: str,
        at: str,
        value: Decimal | int | str | date,
        *,
        encounter: Resource | None = None,
        **elements: Any,
    ) -> Resource:
        """One Observation: a number becomes a quantity (or an integer), text a coded answer, a date a dateTime."""
        item = items()[item_id]
        resource = self._observation(item_id, at, encounter)
        if isinstance(value, str):
            resource["valueCodeableConcept"] = answer(value)
        elif isinstance(value, date):
            resource["valueDateTime"] = value.isoformat()
        elif item.unit:
            resource["valueQuantity"] = {"value": value, **quantity_unit(*item.unit)}
        else:
            resource["valueInteger"] = value
        if elements:
            resource.update(elements)
        return resource

    def pressure(self, at: str, systolic: int, diastolic: int, *, encounter: Resource | None = None) -> Resource:
        """A blood pressure: panel 85354-9 with two components (R4 vital signs)."""
        resource = self._observation("bp", at, encounter)
        resource["component"] = [
            {"code": code, "valueQuantity": {"value": value, "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}}
            for code, value in ((SYSTOLIC, systolic), (DIASTOLIC, diastolic))
        ]
        return resource

    def _observation(self, item_id: str, at: str, encounter: Resource | None) -> Resource:
        item = items()[item_id]
        resource: Resource = {
            "resourceType": "Observation",
            "id": self.dice.uuid(),
            "meta": {"profile": [item.profile]},
            "status": "final",
            "category": item.category,
            "code": item.code,
            "subject": self.patient,
        }
        if encounter:
            resource["encounter"] = {"reference": f"Encounter/{encounter['id']}"}
        resource["effectiveDateTime"] = at
        resource["performer"] = self.performer
        if item.lab:
            resource["specimen"] = SPECIMEN_OF.get(item_id, BLOOD)
        if self.facility is None:
            resource["meta"]["tag"] = AT_HOME
            resource["method"] = {"text": "家庭測定"}
        self.resources.append(resource)
        return resource

    def visit(self, kind: str, text: str, at: str, *, minutes: int = 30) -> Resource:
        """An Encounter of `kind` (a code of our own, such as `prenatal` or `y1_6`)."""
        assert self.facility is not None
        return self.add(
            "Encounter",
            "JP_Encounter",
            status="finished",
            **{"class": AMBULATORY},
            type=[{"coding": [{"system": VISIT, "code": kind, "display": text}], "text": text}],
            subject=self.patient,
            period={"start": at, "end": _later(at, minutes)},
            serviceProvider=self.facility.performer,
        )


def _later(at: str, minutes: int) -> str:
    hour, minute = int(at[11:13]), int(at[14:16]) + minutes
    return f"{at[:11]}{hour + minute // 60:02d}:{minute % 60:02d}{at[16:]}"
