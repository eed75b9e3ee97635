"""OML-01 and OMG-01/02/03: what was ordered → ServiceRequest. Pure. Results come as messages of their own.

Source: SS-MIX2 guideline 1.2h; JAMI ssmix2-to-fhir, segment-oml-11-orc-to-servicerequest.
"""

from __future__ import annotations

from collections.abc import Sequence

from integrations.ssmix2.case import Case, only
from integrations.ssmix2.codes import concept, people
from integrations.ssmix2.message import Segment
from integrations.ssmix2.results import add_specimen, specimen_part
from phr.records import systems

_REVOKED = frozenset({"CA", "OC", "CR", "DC", "OD"})  # HL7 table 0119


def add(case: Case) -> None:
    """One request for each OBR, with the specimen it is for."""
    specimens = list(case.groups("SPM"))
    for group in specimens:
        specimen = {"reference": f"Specimen/{add_specimen(case, group[0])['id']}"}
        for order in case.groups("ORC", group):
            _requests(case, order, [specimen], specimen_part(group[0]))
    if not specimens:
        for order in case.groups("ORC"):
            _requests(case, order, [], "")


def _requests(case: Case, group: Sequence[Segment], specimens: list[dict[str, str]], base: str) -> None:
    order = group[0]
    for obr in case.groups("OBR", group):
        asked = obr[0]
        code = concept(asked[4], institution=case.institution)
        if not code:
            case.note("no-code", asked, 4)
            continue
        number = asked[2](1) or order[2](1)
        request = case.start("ServiceRequest", f"OBR:{base}:{number}:{asked[4](1)}", profile="JP_ServiceRequest_Common")
        if number:
            system = f"{systems.OWN}/IdSystem/local/{case.institution}/placer-order"
            request["identifier"].append({"system": system, "value": number})
        done = order[5].text() == "CM"  # HL7 table 0038
        status = "revoked" if order[1].text() in _REVOKED else "completed" if done else "active"
        request |= {"status": status, "intent": "order", "code": code}
        details = [concept(obx[3], institution=case.institution) for obx in only(obr, "OBX") if obx[11].text() == "O"]
        if details := [detail for detail in details if detail]:
            request["orderDetail"] = details
        request["subject"] = case.patient
        if when := case.time(asked, 36) or case.time(asked, 7):
            request["occurrenceDateTime"] = when
        if made := case.time(order, 9):
            request["authoredOn"] = made
        found = [who for s, at in ((order, 12), (asked, 16)) for who in people(s, at, institution=case.institution)]
        if found:
            request["requester"] = found[0]
        if specimens:
            request["specimen"] = specimens
