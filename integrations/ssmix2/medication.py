"""What prescriptions, injections and administrations share: numbers, dosages, statuses. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from integrations.medicines import STRENGTH_TYPE, duration
from integrations.ssmix2.case import Case, one, only
from integrations.ssmix2.codes import EXTENSION, JP, Json, amount, codings, concept, concepts, number
from integrations.ssmix2.message import Segment, Value
from integrations.ssmix2.when import date_of
from phr.records import systems

MIXTURE = "mixture"
CANCELLED = {"CA": "cancelled", "OC": "cancelled", "CR": "cancelled", "DC": "stopped", "OD": "stopped"}  # HL7 0119


def rp_number(order: Segment) -> str:
    """ORC-4: `order_RP_serial`, or the plain number; 1 when the order does not say."""
    said = order[4](1)
    parts = said.split("_")
    rp = parts[1] if len(parts) == 3 else said
    return (rp.lstrip("0") or "0") if rp.isdigit() else rp or "1"


class Positions:
    """How manieth a drug is within its RP."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def __call__(self, rp: str) -> int:
        self._seen[rp] = self._seen.get(rp, 0) + 1
        return self._seen[rp]


def identifiers(rp: str, position: int) -> list[Json]:
    return [
        {"system": systems.RP_NUMBER, "value": rp},
        {"system": systems.ORDER_IN_RP, "value": str(position)},
    ]


def order_number(order: Segment) -> list[Json]:
    """ORC-2, which JP Core's requestIdentifier is."""
    return [{"system": systems.RESOURCE_INSTANCE, "value": order[2](1)}] if order[2](1) else []


def route(case: Case, routes: Sequence[Segment]) -> Json:
    """RXR-1 route, RXR-2 site, RXR-4 method, of a Dosage or of an administration."""
    if not routes:
        return {}
    fields = {"site": 2, "route": 1, "method": 4}
    found = {name: concept(routes[0][at], institution=case.institution) for name, at in fields.items()}
    return {name: value for name, value in found.items() if value}


def dosage(case: Case, drug: Segment, group: Sequence[Segment]) -> Json:
    """dosageInstruction of one RXE."""
    timing = one(group, "TQ1")
    usages = [value.part(1) if "&" in value.raw.split(value.by.component)[0] else value for value in timing.all(3)]
    found: Json = {}
    if use := case.period(case.time(timing, 7), case.time(timing, 8)):
        found["extension"] = [{"url": f"{EXTENSION}/JP_MedicationDosage_PeriodOfUse", "valuePeriod": use}]
    found |= _usage(case, usages, drug, timing)
    found |= route(case, only(group, "RXR"))
    if rate := _rates(case, drug):
        found["doseAndRate"] = [rate]
    return found


def _usage(case: Case, usages: Sequence[Value], drug: Segment, timing: Segment) -> Json:
    """TQ1-3: the first is the usage itself, the others add to it; so do RXE-7 and TQ1-11 in words."""
    found: Json = {}
    texts = [concept(value, institution=case.institution) for value in usages]
    if texts and texts[0]:
        found["text"] = texts[0].get("text", "")
    more = texts[1:] + concepts(drug, 7, institution=case.institution)
    more += [{"text": text}] if (text := timing.whole(11).text()) else []
    if more := [value for value in more if value]:
        found["additionalInstruction"] = more
    if texts and (code := codings(usages[0], institution=case.institution)):
        found["timing"] = {"code": {"coding": code} | ({"text": found["text"]} if found.get("text") else {})}
    return {name: value for name, value in found.items() if value}


def _rates(case: Case, drug: Segment) -> Json:
    """RXE-3/5 a dose, RXE-19 what that makes a day, RXE-23/24 how fast."""
    found: Json = {}
    if dose := amount(drug[3].text(), drug[5], institution=case.institution):
        found["doseQuantity"] = dose
    day = drug[19]
    if daily := amount(day(1), day.part(2), institution=case.institution):
        strength = {"system": STRENGTH_TYPE, "code": "1", "display": "製剤量"}
        found = found | {"type": {"coding": [strength]}}
        found["rateRatio"] = {"numerator": daily, "denominator": duration(Decimal(1))}
    elif speed := amount(drug[23].text(), drug[24], institution=case.institution):
        found["rateQuantity"] = speed
    return found


def supply(case: Case, drug: Segment, group: Sequence[Segment]) -> Json:
    """dispenseRequest: RXE-10/11 the whole amount, TQ1-6 for how many days, RXE-12 how often again."""
    found: Json = {}
    repeats, lasts = drug[12].text(), days(group)
    if repeats.isdecimal() and repeats.isascii() and len(repeats) < 4:
        found["numberOfRepeatsAllowed"] = int(repeats)
    if quantity := amount(drug[10].text(), drug[11], institution=case.institution):
        found["quantity"] = quantity
    if lasts:
        found["expectedSupplyDuration"] = duration(lasts)
    return found


def mixture(drugs: Sequence[tuple[Json, Json]]) -> Json:
    """A contained Medication of drugs and their amounts each time; JP_Medication where all amounts are known."""
    once = {"value": Decimal(1), "unit": "回", "system": systems.MEDICATION_UNIT, "code": "TIME"}
    ingredients = [
        {"itemCodeableConcept": drug} | ({"strength": {"numerator": dose, "denominator": once}} if dose else {})
        for drug, dose in drugs
    ]
    whole = all("code" in dose for _, dose in drugs)
    profile: Json = {"meta": {"profile": [f"{JP}/JP_Medication"]}} if whole else {}
    return {"resourceType": "Medication", "id": MIXTURE} | profile | {"status": "active", "ingredient": ingredients}


def days(group: Sequence[Segment]) -> Decimal | None:
    """TQ1-6, `28^d`; None when it is no number of days."""
    said = one(group, "TQ1")[6]
    unit = said(2, 1).lower() or "d"
    value = number(said(1))
    return value if value and value > 0 and unit in ("d", "日", "day", "日分") else None


def authored(case: Case, drug: Segment, order: Segment) -> str:
    """RXE-32, else ORC-9."""
    return case.time(drug, 32) or case.time(order, 9)


def day_of(stamp: str) -> str:
    found = date_of(stamp)
    return found if len(found) == 10 else ""
