"""RDE^O11 of data type OMP-02 → JP_MedicationRequest_Injection. Pure.

RXE-2 is the kind of injection (JHSI table 0002), the drugs are the RXC: base and additives, one contained Medication.
Source: SS-MIX2 guideline 1.2h, OMP-02.
"""

from __future__ import annotations

from collections.abc import Sequence

from integrations.ssmix2.case import Case, only
from integrations.ssmix2.codes import Json, amount, categories, concept, people
from integrations.ssmix2.medication import (
    MIXTURE,
    Positions,
    authored,
    dosage,
    identifiers,
    mixture,
    order_number,
    rp_number,
    supply,
)
from integrations.ssmix2.message import Segment
from integrations.ssmix2.prescriptions import status


def add(case: Case) -> None:
    """One request for each mixture."""
    position = Positions()
    for group in case.groups("ORC"):
        for drug in case.groups("RXE", group):
            _request(case, group[0], drug, position)


def _request(case: Case, order: Segment, group: Sequence[Segment], position: Positions) -> None:
    rxe, rp = group[0], rp_number(order)
    place, made = position(rp), authored(case, rxe, order)
    drugs = _drugs(case, only(group, "RXC"))
    medicine = mixture(drugs) if drugs else {}
    profile = "JP_MedicationRequest_Injection" if made and "meta" in medicine else ""
    request = case.start("MedicationRequest", f"{rp}-{place}", profile=profile)
    if medicine:
        request["contained"] = [medicine]
    request["identifier"] = [*identifiers(rp, place), *order_number(order), *request["identifier"]]
    request |= {"status": status(case, order, group), "intent": "order"}
    kind = concept(rxe[2], institution=case.institution)
    if kinds := [c for c in [kind, *categories(rxe, 21, institution=case.institution)] if c]:
        request["category"] = kinds
    if medicine:
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


def _drugs(case: Case, components: Sequence[Segment]) -> list[tuple[Json, Json]]:
    """RXC-2 what, RXC-3/4 how much."""
    found = []
    for rxc in components:
        if drug := concept(rxc[2], institution=case.institution):
            found.append((drug, amount(rxc[3].text(), rxc[4], institution=case.institution)))
        else:
            case.note("no-code", rxc, 2)
    return found
