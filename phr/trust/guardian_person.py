"""What a guardian's `fhirUser` names: her own link to the child, as a RelatedPerson (G-17; own profile `guardian`).

Made from the Guardianship for her who reads it, never stored. To everybody else, the other guardian too, nothing is
there (G-05).
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from consent import audit
from consent.audit import Event
from consent.decide import Capacity
from consent.models import Guardianship
from phr.records import naming
from phr.records.gateway import Records
from phr.records.systems import OWN

TYPE = "RelatedPerson"
_ID = re.compile(rf"{naming.LINKS}([1-9][0-9]{{0,17}})", re.ASCII)
_ROLE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
_Kind = Guardianship.Kind
_RELATIONS = {
    _Kind.PARENT: "PRN", _Kind.ADOPTIVE: "ADOPTP", _Kind.FOSTER: "PRNFOST", _Kind.APPOINTED: "GUARD",
    _Kind.INSTITUTION: "GUARD",
}  # fmt: skip


def own(records: Records, id: str) -> dict[str, Any] | None:
    """The RelatedPerson at this id, logged; None where the caller is not that guardian, at that child's record, now."""
    named, caller, scope = _ID.fullmatch(id), records.caller, records.scope
    if named is None or caller.capacity is not Capacity.GUARDIAN or not scope.subjects:
        return None  # a caller who was refused has a scope of nobody
    if not any("r" in door.letters and not door.terms and door.type in ("*", TYPE) for door in scope.doors):
        return None
    link = Guardianship.objects.filter(
        pk=int(named[1]), person=caller.person, subject__in=scope.subjects, state=Guardianship.State.ACTIVE
    ).select_related("person")  # fmt: skip
    if not (found := link.first()):
        return None
    because = [str(basis.why) for basis in scope.bases][:1]
    detail: audit.Detail = {"type": TYPE, "interaction": "read", "because": because}
    audit.record(Event.RECORD_READ, by=caller, subject=found.subject_id, now=records.now, detail=detail)
    return _spelled(found, id)


def _spelled(link: Guardianship, id: str) -> dict[str, Any]:
    period = {"start": link.starts_on.isoformat()}
    if link.ends_on is not None:
        period["end"] = (link.ends_on - timedelta(days=1)).isoformat()  # ours is half open, FHIR's is not
    names = [{"use": "official", "text": link.person.name}]
    relation = _RELATIONS[_Kind(link.kind)]
    return {
        "resourceType": TYPE, "id": id, "meta": {"profile": [f"{OWN}/StructureDefinition/guardian"]},
        "extension": [{"url": f"{OWN}/StructureDefinition/guardian-capacity", "valueCode": link.kind}],
        "active": True, "patient": {"reference": f"Patient/{link.subject_id}"},
        "relationship": [{"coding": [{"system": _ROLE, "code": relation}]}], "name": names, "period": period,
    }  # fmt: skip
