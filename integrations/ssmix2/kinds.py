"""The data types of the standardised storage, which messages they hold, and where those say their date. Pure.

Source: SS-MIX2 guideline 1.2h, データ種別一覧; Encounter.status: JAMI ssmix2-to-fhir, draft of 2023-01 (CC0-1.0).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from integrations.ssmix2.message import Segment
from integrations.ssmix2.parse import Message
from integrations.ssmix2.when import date_of


class Kind(NamedTuple):
    """One message of one data type. `care_date`: (segment, field) of 診療日; None: the type has none, `-`."""

    type: str
    care_date: tuple[str, int] | None
    status: str = ""  # of the Encounter it tells of
    place: str = "active"  # of the Encounter's location
    undoes: bool = False


_ADMITTED, _LEFT, _HAPPENED = ("PV1", 44), ("PV1", 45), ("EVN", 6)
_PLANNED_IN, _PLANNED_OUT = ("PV2", 8), ("PV2", 9)

ADT = {
    "A08": Kind("ADT-00", None),
    "A23": Kind("ADT-00", None, undoes=True),
    "A54": Kind("ADT-01", None, "in-progress"),
    "A55": Kind("ADT-01", None, "in-progress", undoes=True),
    "A04": Kind("ADT-12", _ADMITTED, "arrived"),
    "A14": Kind("ADT-21", _PLANNED_IN, "planned", "planned"),
    "A27": Kind("ADT-21", _PLANNED_IN, "cancelled", "planned", undoes=True),
    "A01": Kind("ADT-22", _ADMITTED, "arrived"),
    "A11": Kind("ADT-22", _ADMITTED, "cancelled", undoes=True),
    "A21": Kind("ADT-31", _HAPPENED, "onleave"),
    "A52": Kind("ADT-31", _HAPPENED, "in-progress", undoes=True),
    "A22": Kind("ADT-32", _HAPPENED, "in-progress"),
    "A53": Kind("ADT-32", ("PV2", 47), "onleave", undoes=True),
    "A15": Kind("ADT-41", _PLANNED_IN, "in-progress", "planned"),
    "A26": Kind("ADT-41", _PLANNED_IN, "in-progress", "planned", undoes=True),
    "A02": Kind("ADT-42", _HAPPENED, "in-progress"),
    "A12": Kind("ADT-42", _HAPPENED, "in-progress", undoes=True),
    "A16": Kind("ADT-51", _PLANNED_OUT, "in-progress", "planned"),
    "A25": Kind("ADT-51", _PLANNED_OUT, "in-progress", "planned", undoes=True),
    "A03": Kind("ADT-52", _LEFT, "finished", "completed"),
    "A13": Kind("ADT-52", _LEFT, "in-progress", undoes=True),
    "A60": Kind("ADT-61", None),
}
# The event that takes back another of its data type.
UNDOING = {kind.type: event for event, kind in ADT.items() if kind.undoes}

# Events of one inpatient stay: all speak of one Encounter.
STAY = frozenset({"ADT-21", "ADT-22", "ADT-31", "ADT-32", "ADT-41", "ADT-42", "ADT-51", "ADT-52"})

_ORDERED, _GIVEN, _EXAMINED = ("ORC", 9), ("RXA", 3), ("OBR", 7)
OTHER = {
    "PPR^ZD1": (Kind("PPR-01", None),),
    "OMD^O03": (Kind("OMD", _ORDERED),),
    "RDE^O11": (Kind("OMP-01", _ORDERED), Kind("OMP-02", _ORDERED)),
    "RAS^O17": (Kind("OMP-11", _GIVEN), Kind("OMP-12", _GIVEN)),
    "OML^O33": (Kind("OML-01", _ORDERED),),
    "OUL^R22": (Kind("OML-11", ("SPM", 17)),),
    "OMG^O19": (Kind("OMG-01", _ORDERED), Kind("OMG-02", _ORDERED), Kind("OMG-03", _ORDERED)),
    "OMI^Z23": (Kind("OMG-11", _EXAMINED), Kind("OMG-12", _EXAMINED)),
    "ORU^R01": (Kind("OMG-13", _EXAMINED),),
}
# What a message of a type must hold to say anything.
CORE = {
    "OMP-01": "RXE", "OMP-02": "RXE", "OMP-11": "RXA", "OMP-12": "RXA", "OML-01": "OBR", "OML-11": "OBR",
    "OMG-01": "OBR", "OMG-02": "OBR", "OMG-03": "OBR", "OMG-13": "OBR", "PPR-01": "PRB",
    **dict.fromkeys([*STAY, "ADT-01", "ADT-12"], "PV1"),
}  # fmt: skip
# Which segment must have come before, for another to belong to something.
BELONGS = {
    "RXE": "ORC", "RXR": ("RXE", "RXA"), "RXC": ("RXE", "RXA"), "TQ1": "ORC", "RXA": "ORC", "ZPR": "PRB", "ZPD": "PRB",
    "OBX": {"OML-11": "OBR", "OML-01": "SPM", "OMG-13": "OBR"},
}  # fmt: skip
UNMAPPED = frozenset({"OMD", "OMG-11", "OMG-12"})  # kept out: see README.md
TYPES = frozenset({k.type for k in ADT.values()} | {k.type for kinds in OTHER.values() for k in kinds})


def kinds_of(message: Message) -> tuple[Kind, ...]:
    """The data types a message may be of, by MSH-9; () = not one of SS-MIX2."""
    code, event = message.header[9](1), message.header[9](2)
    if code == "ADT":
        return (ADT[event],) if event in ADT else ()
    return OTHER.get(f"{code}^{event}", ())


def kind_of(message: Message) -> Kind | None:
    """The data type of a message that came without a file name: MSH-9, and where that says two, what it holds."""
    kinds = kinds_of(message)
    if len(kinds) < 2:
        return kinds[0] if kinds else None
    wanted = _ORDER_TYPES[message.event](message)
    return next((kind for kind in kinds if kind.type == wanted), kinds[0])


def _injection(message: Message) -> bool:
    """RXE-2 then is the kind of injection (JHSI table 0002, `99I02`), and the drugs stand in RXC."""
    return any(s[2](3) == "99I02" for s in message.all("RXE")) or message.first("RXC") is not None


def _examination(message: Message) -> str:
    systems = {obr[4](3) for obr in message.all("OBR")}
    return "OMG-01" if "JJ1017" in systems else "OMG-02" if "LENDO" in systems else "OMG-03"


_ORDER_TYPES = {
    "RDE^O11": lambda m: "OMP-02" if _injection(m) else "OMP-01",
    "RAS^O17": lambda m: "OMP-12" if _injection(m) else "OMP-11",
    "OMG^O19": _examination,
    "OMI^Z23": lambda m: "OMG-12" if _examination(m) == "OMG-02" else "OMG-11",
}


def care_dates(message: Message, kind: Kind) -> list[str]:
    """診療日 as the message itself says it, `YYYYMMDD`, in order; [] = it does not say."""
    if kind.care_date is None:
        return []
    name, field = kind.care_date
    return list(dict.fromkeys(day for s in message.all(name) if (day := date_of(s[field](1)).replace("-", ""))))


def misplaced(message: Message, type: str) -> Iterator[Segment]:
    """Segments that belong to something which does not stand before them."""
    seen: set[str] = set()
    for segment in message.segments:
        needs = BELONGS.get(segment.name, ())
        if isinstance(needs, dict):
            needs = needs.get(type, ())
        wanted = (needs,) if isinstance(needs, str) else needs
        if wanted and not seen.intersection(wanted):
            yield segment
        seen.add(segment.name)
