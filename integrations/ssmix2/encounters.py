"""ADT events → Encounter. Pure.

There is no visit number: an outpatient visit is patient, day and department; an inpatient stay is patient and day of
admission, so every event of a stay is a new version of its one Encounter (the key of the Item, see `reading.key_of`).
Source: SS-MIX2 guideline 1.2h, ADT; JAMI ssmix2-to-fhir, segment-adt-xx-pv1-to-encounter.
"""

from __future__ import annotations

from integrations.ssmix2.case import Case
from integrations.ssmix2.codes import Json, people, place
from integrations.ssmix2.kinds import ADT, STAY
from integrations.ssmix2.message import Segment
from integrations.ssmix2.tables import ENCOUNTER_CLASS
from integrations.ssmix2.when import date_time
from phr.records import systems

DEPARTMENT = "http://jami.jp/SS-MIX2/CodeSystem/ClinicalDepartment"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"


def add(case: Case) -> None:
    """The Encounter one event tells of."""
    kind, visit = ADT[case.event], case.first("PV1")
    encounter = case.start("Encounter", "encounter", profile="JP_Encounter")
    if case.type in STAY | {"ADT-01"} and not _named(case):
        case.note("stay-unknown", visit, 44)
    encounter |= {"status": kind.status, "class": _class(case, visit)}
    if department := case.item.content["dept"].strip("-") or visit[10](1):
        encounter["serviceType"] = {"coding": [{"system": DEPARTMENT, "code": department}]}
    encounter["subject"] = case.patient
    if participants := list(_participants(case, visit)):
        encounter["participant"] = participants
    if period := _period(case, visit):
        encounter["period"] = period
    if disposition := visit[36](1):
        local = f"{systems.OWN}/CodeSystem/local/{case.institution}/discharge-disposition"
        encounter["hospitalization"] = {"dischargeDisposition": {"coding": [{"system": local, "code": disposition}]}}
    if location := _location(case, visit, kind.place):
        encounter["location"] = [location]
    encounter["serviceProvider"] = case.sender


def _named(case: Case) -> bool:
    return case.item.key.endswith("|STAY|")


def _class(case: Case, visit: Segment) -> Json:
    code = ENCOUNTER_CLASS.get(visit[2].text(), "AMB" if case.type == "ADT-12" else "IMP")
    return {"system": systems.ACT_CODE, "code": code}


def _participants(case: Case, visit: Segment) -> list[Json]:
    found = []
    for field, role in ((7, "ATND"), (17, "ADM")):
        kind = [{"coding": [{"system": PARTICIPATION, "code": role}]}]
        found += [{"type": kind, "individual": who} for who in people(visit, field, institution=case.institution)]
    return found


def _period(case: Case, visit: Segment) -> Json:
    """Of the visit or stay: 44 and 45; of a planned one, what is planned."""
    start, end = case.time(visit, 44) or date_time(case.item.content["admitted"]), case.time(visit, 45)
    if case.type == "ADT-21":
        plan = case.first("PV2")
        start, end = case.time(plan, 8), case.time(plan, 9)
    return case.period(start, "" if ADT[case.event].undoes else end)


def _location(case: Case, visit: Segment, status: str) -> Json:
    name = place(visit[3])
    if not name:
        return {}
    found: Json = {"location": {"type": "Location", "display": name}, "status": status}
    if period := _at_place(case, visit):
        found["period"] = period
    return found


def _at_place(case: Case, visit: Segment) -> Json:
    """Since when, or until when, somebody is where PV1-3 says."""
    event, plan = case.first("EVN"), case.first("PV2")
    match case.type:
        case "ADT-31" | "ADT-32" | "ADT-42":
            return case.period(case.time(event, 6), case.time(plan, 47) if case.type == "ADT-31" else "")
        case "ADT-21" | "ADT-41":
            return case.period(case.time(plan, 8), "")
        case "ADT-51":
            return case.period("", case.time(plan, 9))
        case "ADT-22":
            return case.period(case.time(visit, 44), "")
        case "ADT-52":
            return case.period("", case.time(visit, 45))
    return {}
