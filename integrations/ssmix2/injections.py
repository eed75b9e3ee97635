"""RDE^O11 of data type OMP-02 → JP_MedicationRequest_Injection. Pure.

RXE-2 is the kind of injection (JHSI table 0002), the drugs are the RXC: base and additives, one contained Medication.
Source: SS-MIX2 guideline 1.2h, OMP-02.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from integrations.ssmix2.case import Case, only
from integrations.ssmix2.codes import Json, amount, categories, concept, people
from integrations.ssmix2.medication import Positions, authored, dosage, identifiers, order_number, rp_number, supply
from integrations.ssmix2.message import Segment
from integrations.ssmix2.prescriptions import status

MIXTURE = "mixture"


def add(case: Case) -> None:
    """One request for each mixture."""
    position = Positions()
    for group in case.groups("ORC"):
        for drug in case.groups("RXE", group):
            _request(case, group[0], drug, position)


def _request(case: Case, order: Segment, group: Sequence[Segment], position: Positions) -> None:
    rxe, rp = group[0], rp_number(order)
    place, made = position(rp), authored(case, rxe, order)
    request = case.start("MedicationRequest", f"{rp}-{place}", profile="JP_MedicationRequest_Injection" if made else "")
    ingredients = _ingredients(case, only(group, "RXC"))
    if ingredients:
        request["contained"] = [{"resourceType": "Medication", "id": MIXTURE, "ingredient": ingredients}]
    request["identifier"] = [*identifiers(rp, place), *order_number(order), *request["identifier"]]
    request |= {"status": status(case, order, group), "intent": "order"}
    kind = concept(rxe[2], institution=case.institution)
    if kinds := [c for c in [kind, *categories(rxe, 21, institution=case.institution)] if c]:
        request["category"] = kinds
    if ingredients:
        request["medicationReference"] = {"reference": f"#{MIXTURE}"}
    elif kind:
        request["medicationCodeableConcept"] = kind
    else:
        case.note("no-code", rxe, 2)
        case.drop(request)
        return
    request["subject"] = case.patient
    if made:
        request["authoredOn"] = made
    if requesters := people(order, 12, institution=case.institution):
        request["requester"] = requesters[0]
    if how := dosage(case, rxe, group):
        request["dosageInstruction"] = [how]
    if what := supply(case, rxe, group):
        request["dispenseRequest"] = what


def _ingredients(case: Case, components: Sequence[Segment]) -> list[Json]:
    """RXC-2 what, RXC-3/4 how much."""
    found = []
    for rxc in components:
        code = concept(rxc[2], institution=case.institution)
        if not code:
            case.note("no-code", rxc, 2)
            continue
        ingredient: Json = {"itemCodeableConcept": code}
        if quantity := amount(rxc[3].text(), rxc[4], institution=case.institution):
            ingredient["strength"] = {"numerator": quantity, "denominator": {"value": Decimal(1)}}
        found.append(ingredient)
    return found
