"""What every resource from a receipt has in common: that it is a claim, its id, and who said so. Pure."""

from __future__ import annotations

from calendar import monthrange
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from integrations.ids import resource_id
from integrations.items import About
from integrations.problems import Problem
from integrations.receipts.masters import Masters
from integrations.receipts.rows import Row
from integrations.receipts.table import Form
from phr.records import systems

Resource = dict[str, Any]

KIND = "receipts"
JP = "http://jpfhir.jp/fhir/core/StructureDefinition"
TAG = {"system": systems.OWN_ORIGIN, "code": systems.CLAIM, "display": "レセプト由来"}


@dataclass(slots=True)
class Making:
    """One receipt on its way to resources."""

    about: About
    key: str  # of the Item: institution, month, person …
    form: Form
    month: str  # YYYY-MM
    masters: Masters
    resources: list[Resource] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    seen: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def get(self, row: Row, name: str) -> str:
        return row.get(name, self.form)

    def begin(self, type: str, *part: str, profile: str = "") -> Resource:
        """A resource whose id follows from its receipt, kind of record, code, day and position among equals."""
        self.seen[type, *part] += 1
        place = "|".join((*part, str(self.seen[type, *part])))
        meta: Resource = {"profile": [f"{JP}/{profile}"]} if profile else {}
        return {
            "resourceType": type,
            "id": resource_id(type, self.about.code, KIND, self.key, place),
            "meta": meta | {"tag": [TAG]},
        }

    @property
    def patient(self) -> Resource:
        return {"reference": f"Patient/{self.about.subject}"}

    @property
    def institution(self) -> Resource:
        """Who claims, by number: the sender is one that the trust knows."""
        return {
            "type": "Organization",
            "identifier": {"system": systems.INSTITUTION_10, "value": self.about.code},
            "display": self.about.organization_name,
        }

    def last_day(self) -> date:
        year, month = int(self.month[:4]), int(self.month[5:])
        return date(year, month, monthrange(year, month)[1])


def drug(making: Making, code: str) -> tuple[Resource, str, tuple[tuple[str, str], ...], str]:
    """A drug by its レセプト電算 code: CodeableConcept, name, codes by system, unit (name and unit from the master)."""
    known = making.masters.drugs.get(code)
    name, unit = (known.name, known.unit) if known else ("", "")
    codes = [(systems.RECEIPT_DRUG, code)]
    if known and len(known.price_code) == 12:
        codes.append((systems.MHLW_DRUG, known.price_code))
    display = {"display": name} if name else {}
    codings = [{"system": system, "code": value} | display for system, value in codes]
    return {"coding": codings, "text": name or f"レセプト電算コード {code}"}, name, tuple(codes), unit
