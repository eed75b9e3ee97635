"""An Item of SS-MIX2 → FHIR R4 resources, shaped as JP Core has them. Pure. What becomes what: README.md."""

from __future__ import annotations

from collections.abc import Callable

from integrations.items import About, Item, Mapped
from integrations.ssmix2 import (
    administrations,
    allergies,
    basics,
    conditions,
    encounters,
    injections,
    orders,
    prescriptions,
    results,
)
from integrations.ssmix2.case import Case
from integrations.ssmix2.kinds import STAY, UNMAPPED

_MAPPINGS: dict[str, Callable[[Case], None]] = {
    "ADT-00": basics.add,
    "ADT-01": encounters.add,
    "ADT-12": encounters.add,
    **dict.fromkeys(STAY, encounters.add),
    "ADT-61": allergies.add,
    "PPR-01": conditions.add,
    "OMP-01": prescriptions.add,
    "OMP-02": injections.add,
    "OMP-11": administrations.add,
    "OMP-12": administrations.add,
    "OML-01": orders.add,
    "OML-11": results.add,
    "OMG-01": orders.add,
    "OMG-02": orders.add,
    "OMG-03": orders.add,
    "OMG-13": results.add,
}


def to_resources(item: Item, *, about: About) -> Mapped:
    """Map one Item. Ids follow from institution, patient, care date, type, order and part, without 発生日時."""
    case = Case.of(item, about)
    if case.type in UNMAPPED:
        case.note("not-mapped", case.segments[0], type=case.type) if case.segments else None
    elif not item.deleted:
        _MAPPINGS[case.type](case)
    return case.mapped()
