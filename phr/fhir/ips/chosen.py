"""Which resources of a record an International Patient Summary holds, and in which section. Pure.

A summary is for a clinician who does not know the person. What is wrong (entered in error, refuted) is left out;
of measurements the newest of each kind stands; what was handed over long ago is history, not medication.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from phr.fhir.ips import pregnancy
from phr.fhir.ips.wording import code_of, codings
from phr.records import body
from phr.records.dispensing import alike, said
from phr.records.gateway import Stored
from phr.records.systems import CLAIM, DISPENSE_KEY, LOINC, OWN_ORIGIN

# The types that are read for a summary; Observations are many and are read by themselves.
TYPES = (
    "AllergyIntolerance", "CarePlan", "Condition", "Device", "DeviceUseStatement", "DiagnosticReport", "Flag",
    "Immunization", "MedicationRequest", "MedicationStatement", "MedicationDispense", "Procedure",
)  # fmt: skip
MEDICINES = ("MedicationStatement", "MedicationRequest", "MedicationDispense")
WRONG = frozenset({"entered-in-error", "cancelled", "refuted"})
RECENT = timedelta(days=180)  # a dispensing or a course of medicine that ended within
EXAMINED = timedelta(days=365)  # findings of checkups
OVER = frozenset({"inactive", "remission", "resolved"})
# Said of a child for ever: gestational age, weight and length at birth, Apgar, newborn hearing
AT_BIRTH = frozenset({"11884-4", "8339-4", "89269-5", "9272-6", "9274-2", "54109-4", "54108-6"})
VITAL = frozenset({"vital-signs", "body-measurement"})


@dataclass(frozen=True, slots=True)
class Item:
    """One resource, opened and read."""

    found: Stored
    resource: dict[str, Any]

    @property
    def type(self) -> str:
        return self.found.type


Items = list[Item]


def read(found: Iterable[Stored]) -> Items:
    """What is not wrong and no claim, in the order in which it came (newest first); a dispensing once."""
    items = [Item(one, body.parse(one.body or b"{}")) for one in found]
    return _told_once([item for item in items if not _wrong(item.resource) and not _claimed(item)])


def _wrong(resource: Mapping[str, Any]) -> bool:
    return resource.get("status") in WRONG or code_of(resource.get("verificationStatus")) in WRONG


def _claimed(item: Item) -> bool:
    """Diagnoses and procedures of a bill: what was charged for is no finding. Its medicines were handed over."""
    return CLAIM in _tags(item) and item.type not in MEDICINES


def _tags(item: Item) -> set[str]:
    tags = item.resource.get("meta", {}).get("tag", ())
    return {tag.get("code") for tag in tags if tag.get("system") == OWN_ORIGIN}


def _told_once(items: Items) -> Items:
    """Of dispensings that bear the same exact key and agree (two channels told of one) the first told that is no claim
    stands. Anybody may write a key: what does not agree in drug, day and amount stands by itself.
    """
    best: dict[str, Items] = {}
    for item in sorted(items, key=lambda item: (CLAIM in _tags(item), item.found.updated_at)):
        for key in _dispense_keys(item):
            if not any(alike(said(one.resource), said(item.resource)) for one in best.setdefault(key, [])):
                best[key].append(item)
    return [item for item in items if all(any(one is item for one in best[key]) for key in _dispense_keys(item))]


def _dispense_keys(item: Item) -> list[str]:
    named = item.resource.get("identifier", ()) if item.type == "MedicationDispense" else ()
    return [i["value"] for i in named if i.get("system") == DISPENSE_KEY and "value" in i]


def sections(items: Items, *, now: datetime, birth: datetime | None) -> dict[str, Items]:
    """Section name -> its resources, in the order in which they are to be read."""
    of = _by_type(items)
    measured = _newest_of_each(of("Observation"))
    mother = birth is None or now - birth > pregnancy.YOUNGEST
    conditions = of("Condition")
    out = {
        "problems": [c for c in conditions if code_of(c.resource.get("clinicalStatus")) not in OVER],
        "allergies": sorted(of("AllergyIntolerance"), key=_danger),
        "medications": [m for m in _medicines(of) if _in_use(m, now)],
        "immunizations": of("Immunization"),
        "procedures": [p for p in of("Procedure") if p.resource.get("status") != "not-done"],
        "devices": of("DeviceUseStatement"),
        "past": [c for c in conditions if code_of(c.resource.get("clinicalStatus")) in OVER],
        "plan": [p for p in of("CarePlan") if p.resource.get("status") in ("active", "on-hold")],
        "alerts": [f for f in of("Flag") if f.resource.get("status") == "active"],
        "pregnancy": [], "vital": [], "social": [], "results": _newest_of_each(of("DiagnosticReport")),
    }  # fmt: skip
    for item in measured:
        if name := _section_of(item, now=now, mother=mother):
            out[name].append(item)
    if mother:
        out["pregnancy"] = pregnancy.ordered(pregnancy.current(out["pregnancy"]))
    return out


def _by_type(items: Items) -> Callable[[str], Items]:
    return lambda kind: [item for item in items if item.type == kind]


def _danger(item: Item) -> tuple[bool, bool]:
    resource = item.resource
    return code_of(resource.get("clinicalStatus")) in OVER, resource.get("criticality") != "high"


def _medicines(of: Callable[[str], Items]) -> Items:
    return [item for kind in MEDICINES for item in of(kind)]


def _in_use(item: Item, now: datetime) -> bool:
    """Going on as far as the record says, or not over for long."""
    if item.resource.get("status") in ("active", "on-hold", "intended") and item.type != "MedicationDispense":
        return True
    last = item.found.facts.high or item.found.facts.low
    if last is None:
        return item.resource.get("status") not in ("stopped", "not-taken", "declined", "not-done")
    supply = item.resource.get("daysSupply", {}).get("value", 0)
    return now - last < RECENT + timedelta(days=max(0, min(int(supply), 3650)))


def categories(observation: Mapping[str, Any]) -> set[str]:
    """Codes of its categories; HL7's and JP Core's are spelled the same."""
    return {str(c.get("code")) for category in observation.get("category", ()) for c in codings(category)}


def loinc(observation: Mapping[str, Any]) -> set[str]:
    return {str(c["code"]) for c in codings(observation.get("code")) if c.get("system") == LOINC and "code" in c}


def _section_of(item: Item, *, now: datetime, mother: bool) -> str | None:
    kinds, codes = categories(item.resource), loinc(item.resource)
    if mother and codes & pregnancy.CODES.keys():
        return "pregnancy"
    if mother and codes & pregnancy.COURSE:
        return None  # of a pregnancy that is told of by what it came to
    if kinds & VITAL:
        return "vital"
    if "social-history" in kinds:
        return "social"
    if not kinds or kinds & {"laboratory", "imaging"} or codes & AT_BIRTH:
        return "results"
    if kinds & {"exam", "procedure"}:
        low = item.found.facts.low
        return "results" if low is not None and now - low < EXAMINED else None
    return None


def _newest_of_each(items: Items) -> Items:
    """The first of each kind: the same LOINC codes, else the same codes, else the same text."""
    seen: dict[object, Item] = {}
    for item in items:
        seen.setdefault((item.type, _kind(item.resource)), item)
    return list(seen.values())


def _kind(resource: Mapping[str, Any]) -> object:
    code = resource.get("code", {})
    return (
        frozenset(loinc(resource))
        or frozenset((c.get("system"), c["code"]) for c in codings(code) if "code" in c)
        or code.get("text")
    )
