"""RAS^O17 (OMP-11 prescriptions, OMP-12 injections) → one JP_MedicationAdministration for each RXA. Pure.

A vaccination (kind of injection 06) is stored as an administration like any other, with its lot; whether it is a dose
of the vaccination record is for the family or the clinic to say, so that none is counted twice.
Source: SS-MIX2 guideline 1.2h, OMP-11, OMP-12; JAMI ssmix2-to-fhir, segment-omp-12-rxa-to-medicationadministration.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from integrations.ssmix2.case import Case
from integrations.ssmix2.codes import Json, amount, concept, people
from integrations.ssmix2.medication import MIXTURE, Positions, identifiers, mixture, order_number, route, rp_number
from integrations.ssmix2.message import Segment
from integrations.ssmix2.when import date_of

_STATUS = {"CP": "completed", "RE": "not-done", "NA": "not-done", "PA": "in-progress"}  # HL7 table 0322
_DELETED = "D"  # RXA-21, HL7 table 0323
_UNKNOWN_DOSE = "999"  # HL7 v2.5, 4.14.7.6
VACCINATION = ("06", "99I02")  # JHSI table 0002


def add(case: Case) -> None:
    """Every RXA of every order."""
    position = Positions()
    for group in case.groups("ORC"):
        kind = next((s[2] for s in group if s.name == "RXE"), None)
        vaccination = kind is not None and (kind(1), kind(3)) == VACCINATION
        for given, routes in _given(group):
            _administration(case, group[0], given, routes, position, vaccination=vaccination)


def _given(group: Sequence[Segment]) -> Iterator[tuple[Segment, list[Segment]]]:
    """Each RXA with the RXR that follows it, which may stand for several: `(RXA+ RXR)+`."""
    waiting: list[Segment] = []
    for segment in group:
        if segment.name == "RXA":
            waiting.append(segment)
        elif segment.name == "RXR":
            yield from ((given, [segment]) for given in waiting)
            waiting = []
    yield from ((given, []) for given in waiting)


def _administration(case: Case, order: Segment, given: Segment, routes: list[Segment], position: Positions, *,
                    vaccination: bool) -> None:  # fmt: skip
    rp = rp_number(order)
    spot = position(rp)
    medication, when = concept(given[5], institution=case.institution), _effective(case, given)
    if not medication or not when:
        case.note("no-time" if medication else "no-code", given, 3 if medication else 5)
        return
    injected = _injected(case, given, medication) if case.type == "OMP-12" else {}
    resource = case.start("MedicationAdministration", f"{rp}-{spot}", profile=_profile(case, injected))
    if injected:
        resource["contained"] = [injected]
    resource["identifier"] = [*identifiers(rp, spot), *resource["identifier"]]
    resource["status"] = _STATUS.get(given[20].text(), "completed")
    if given[21].text() == _DELETED:
        resource["status"] = "entered-in-error"
    if injected:
        resource["medicationReference"] = {"reference": f"#{MIXTURE}"}
    else:
        resource["medicationCodeableConcept"] = medication
    resource |= {"subject": case.patient} | when
    if performers := people(given, 10, institution=case.institution):
        resource["performer"] = [{"actor": who} for who in performers]
    if numbers := order_number(order):
        resource["request"] = {"type": "MedicationRequest", "identifier": numbers[0]}
    if notes := [{"text": text} for value in given.all(9) if (text := value(2) or value(1))]:
        resource["note"] = notes
    if dosage := _dosage(case, given, routes):
        resource["dosage"] = dosage
    if vaccination:
        case.note("vaccination", given)


def _effective(case: Case, given: Segment) -> Json:
    start, end = case.time(given, 3), case.time(given, 4)
    if not start:
        return {}
    if not end or end == start:
        return {"effectiveDateTime": start}
    return {"effectivePeriod": case.period(start, end)}


def _dosage(case: Case, given: Segment, routes: list[Segment]) -> Json:
    found = route(case, routes)
    said = given[6].text()
    dose = amount(said, given[7], institution=case.institution) if said != _UNKNOWN_DOSE else {}
    if dose:
        found["dose"] = dose
    if given[12].text():
        found["text"] = given[12].text()
    # mad-1 of R4: a dosage has at least a dose or a rate
    return found if dose else {}


def _profile(case: Case, injected: Json) -> str:
    if case.type != "OMP-12":
        return "JP_MedicationAdministration"
    return "JP_MedicationAdministration_Injection" if "meta" in injected else ""


def _injected(case: Case, given: Segment, medication: Json) -> Json:
    """The Medication with its amount, its lot (RXA-15), how long it keeps (16) and its maker (17)."""
    said = given[6].text()
    dose = amount(said, given[7], institution=case.institution) if said != _UNKNOWN_DOSE else {}
    found = mixture([(medication, dose)])
    if maker := given[17](2) or given[17](1):
        found["manufacturer"] = {"display": maker}
    batch = {"lotNumber": given[15].text(), "expirationDate": date_of(given[16](1))}
    if batch := {name: value for name, value in batch.items() if value}:
        found["batch"] = batch
    return found
