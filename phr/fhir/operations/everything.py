"""Patient `$everything`: the whole record as far as the caller may see it (R4 operation-patient-everything)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from phr.fhir.door import admitted
from phr.fhir.operations.answers import searchset
from phr.fhir.operations.calling import Ask, operation
from phr.fhir.operations.inputs import In, refused
from phr.fhir.outcome import Problem
from phr.records import definitions
from phr.records.compartments import Whole
from phr.records.gateway import Records
from phr.records.search import ranges
from phr.records.searching import OPERATOR

MOST = 1000  # resources of a page; without `_count` as many

INPUTS = (
    In("start", "date"),
    In("end", "date"),
    In("_since", "instant"),
    In("_type", "code", max=None, commas=True),
    In("_count", "integer"),
    In("_page", "string"),
)


@operation(
    "everything",
    on=("Patient",),
    levels={"type", "instance"},
    definition="http://hl7.org/fhir/OperationDefinition/Patient-everything",
    inputs=INPUTS,
)
def everything(records: Records, ask: Ask) -> bytes:
    """One page of the record: its resources as matches, and beside them what belongs to nobody and is referred to."""
    admitted(records, "Patient", "r")
    subject = None
    if ask.id is not None:
        subject = records.patient(ask.id)
    elif records.scope.subjects is not None or OPERATOR not in records.scope.actors:
        subject = sole_patient(records)
    whole = Whole(subject, types(ask), since(ask), *care_dates(ask), count(ask))
    return searchset(records, ask, records.everything(whole, cursor=ask.one("_page")))


def sole_patient(records: Records) -> UUID:
    """The patient of the token. Raises Problem (422) where it has none: nobody reads every record in one question."""
    bound = records.scope.subjects
    if bound is None:
        text = "患者を一人指定してください。Name one Patient; for many records at once there is the bulk export."
        raise Problem(422, "too-costly", text)
    if not bound:
        return records.patient("00000000-0000-0000-0000-000000000000")
    return records.patient(str(min(bound)))


def types(ask: Ask) -> tuple[str, ...]:
    """`_type`, in order of the alphabet. Raises Problem (400)."""
    asked = ask.many("_type")
    for type in asked:
        if type not in definitions.concrete_types():
            raise refused("_type", f"R4 に {type[:64]} という型はありません。No such resource type in R4.")
    return tuple(sorted(set(asked)))


def since(ask: Ask) -> datetime | None:
    text = ask.one("_since")
    return ranges.moment(ranges.date_range(text)[0]) if text else None


def care_dates(ask: Ask) -> tuple[datetime | None, datetime | None]:
    """`start` and `end` as half-open moments; a partial date is its whole span, in Japan. Raises Problem (400)."""
    start, end = ask.one("start"), ask.one("end")
    low = ranges.date_range(start)[0] if start else None
    high = ranges.date_range(end)[1] if end else None
    if low is not None and high is not None and low >= high:
        raise refused("end", "start より前です。It is before start.")
    return (None if low is None else ranges.moment(low)), (None if high is None else ranges.moment(high))


def count(ask: Ask) -> int:
    asked = ask.one("_count", MOST)
    if asked < 1:
        raise refused("_count", "正の整数です。It must be positive.")
    return min(int(asked), MOST)
