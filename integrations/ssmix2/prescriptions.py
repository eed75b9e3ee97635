"""RDE^O11 of data type OMP-01 → one JP_MedicationRequest for each RXE. Pure.

Source: SS-MIX2 guideline 1.2h, OMP-01; JAMI ssmix2-to-fhir, segment-omp-01-rxe-to-medicationrequest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from integrations.ssmix2.case import Case, one
from integrations.ssmix2.codes import Json, categories, concept, concepts, people
from integrations.ssmix2.medication import (
    CANCELLED,
    Positions,
    authored,
    day_of,
    days,
    dosage,
    identifiers,
    order_number,
    rp_number,
    supply,
)
from integrations.ssmix2.message import Segment


def add(case: Case) -> None:
    """Every drug of every order."""
    position = Positions()
    for group in case.groups("ORC"):
        for drug in case.groups("RXE", group):
            _request(case, group[0], drug, _with_timing(group, drug), position)


def _with_timing(order: Sequence[Segment], drug: Sequence[Segment]) -> list[Segment]:
    """TQ1 may stand between ORC and RXE."""
    return [*drug, *(s for s in order if s.name == "TQ1" and s not in drug)]


def _request(case: Case, order: Segment, drug: Sequence[Segment], group: Sequence[Segment],
             position: Positions) -> None:  # fmt: skip
    rxe, rp = drug[0], rp_number(order)
    place = position(rp)
    medication = _medication(case, rxe)
    if not medication:
        case.note("no-code", rxe, 2)
        return
    made = authored(case, rxe, order)
    # JP_MedicationRequest demands authoredOn: without it, the base resource
    request = case.start("MedicationRequest", f"{rp}-{place}", profile="JP_MedicationRequest" if made else "")
    request["identifier"] = [*identifiers(rp, place), *order_number(order), *request["identifier"]]
    request |= {"status": status(case, order, group), "intent": "order"}
    if kinds := categories(rxe, 21, institution=case.institution):
        request["category"] = kinds
    request |= {"medicationCodeableConcept": medication, "subject": case.patient}
    if made:
        request["authoredOn"] = made
    if requesters := people(order, 12, institution=case.institution):
        request["requester"] = requesters[0]
    if how := dosage(case, rxe, group):
        request["dosageInstruction"] = [how]
    if what := supply(case, rxe, group):
        request["dispenseRequest"] = what


def _medication(case: Case, drug: Segment) -> Json:
    """RXE-2, and RXE-31 with further codes (guideline 1.2g and later)."""
    found = concept(drug[2], institution=case.institution)
    more = concepts(drug, 31, institution=case.institution)
    codings = [c for value in (found, *more) for c in value.get("coding", [])]
    distinct = list({(c["system"], c["code"]): c for c in reversed(codings)}.values())[::-1]
    text = found.get("text") or next((value["text"] for value in more if value.get("text")), "")
    return ({"coding": distinct} if distinct else {}) | ({"text": text} if text else {})


def status(case: Case, order: Segment, group: Sequence[Segment]) -> str:
    """Whether the supply had ended when the message was made; whether the order was taken back (ORC-1)."""
    if undone := CANCELLED.get(order[1].text()):
        return undone
    timing = one(group, "TQ1")
    end, start, lasts = day_of(timing[8](1)), day_of(timing[7](1)), days(group)
    if not end and start and start < "9900" and lasts and lasts < 3_660:
        end = (date.fromisoformat(start) + timedelta(days=int(lasts) - 1)).isoformat()
    return "completed" if end and end < case.said_on else "active"
