"""What every resource of one Item shares: ids, the person, who says it, codes as received. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from integrations.ids import resource_id
from integrations.incoming import Resource
from integrations.items import About, Item
from phr.records import systems

KIND = "municipal-csv"
MAPPED_BY = f"{systems.OWN}/StructureDefinition/mapped-by"
STAFF_ONLY = {"system": systems.OWN_MARK, "code": "child-protection"}  # hidden from the family, and its Provenance too
_CODE = re.compile(r"[^\s]+(\s[^\s]+)*\Z")


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the resources of one Item for one person."""

    item: Item
    about: About

    @property
    def content(self) -> Any:
        return self.item.content

    def id(self, type: str, part: str) -> str:
        return resource_id(type, self.about.code, KIND, self.item.key, part)

    @property
    def patient(self) -> Resource:
        return {"reference": f"Patient/{self.about.subject}"}

    @property
    def sender(self) -> Resource:
        system = systems.OWN_MUNICIPALITY if len(self.about.code) == 6 else systems.INSTITUTION_10
        return _organization(system, self.about.code, self.about.organization_name)

    def facility(self) -> Resource | None:
        """Where it took place, as far as the row says."""
        code, name = self.content.get("facility_code", ""), self.content.get("facility", "")
        if len(code) in (7, 10) and code.isascii() and code.isdigit():
            system = systems.INSTITUTION_10 if len(code) == 10 else systems.INSTITUTION_7
            return _organization(system, code, name)
        return {"type": "Organization", "display": name} if name else None

    def doctor(self) -> Resource | None:
        name = self.content.get("doctor")
        return {"type": "Practitioner", "display": name} if name else None

    def local(self, code: str, map: list[str] | None, field: str) -> list[Resource]:
        """The local code as received: a Coding of (sender, form, map) in the map's version; [] where it is no code."""
        if not _CODE.match(code):
            return []
        system = (
            f"{systems.OWN}/CodeSystem/municipal/{self.about.code}/{self.content['form']}/{map[0] if map else field}"
        )
        coding = {"system": system, "code": code}
        return [coding | {"version": map[1]}] if map else [coding]

    def mapped_by(self, map: list[str] | None) -> Resource:
        """Which map, in which version, gave the common code."""
        if not map:
            return {}
        url = f"{systems.OWN}/ConceptMap/municipal/{self.about.code}/{map[0]}|{map[1]}"
        return {"extension": [{"url": MAPPED_BY, "valueUri": url}]}


def _organization(system: str, code: str, name: str) -> Resource:
    found: Resource = {"type": "Organization", "identifier": {"system": system, "value": code}}
    return found | {"display": name} if name else found
