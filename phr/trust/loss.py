"""The loss of a pregnancy (G-01): level 3 in the mother's record, no child, and nobody is reminded or told anything."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from django.db import transaction

from consent import audit, guardianship, rules, silence
from consent.audit import Event
from consent.models import Organization, Person, Subject
from consent.refusal import Absent, Because, Refusal
from phr.records import systems
from phr.records.gateway import Gone, NotFound, Records, Refused, Stored
from phr.trust.clinics import acting_for


class Loss(StrEnum):
    """What happened. The code is that of ICD-10."""

    MISCARRIAGE = "miscarriage"
    TERMINATION = "termination"
    STILLBIRTH = "stillbirth"
    ECTOPIC = "ectopic"


CODES = {Loss.MISCARRIAGE: "O03.9", Loss.TERMINATION: "O04.9", Loss.STILLBIRTH: "P95", Loss.ECTOPIC: "O00.9"}


@transaction.atomic
def record(
    *, mother: UUID, episode: str, loss: Loss, on: date, by: Person, now: datetime, request: str = ""
) -> Stored | None:
    """Record a loss, and keep silent about this pregnancy from now on. `episode`: the id of its EpisodeOfCare.

    `by`: staff of the clinic that wrote the episode. Nothing else changes: whoever was let in sees what was there
    before. None where it was recorded before. Raises Absent, Refusal.
    """
    clinic = by.organization
    if not guardianship.may_decide(by, mother) or clinic is None or clinic.kind == Organization.Kind.MUNICIPALITY:
        raise Refusal("医療機関の職員だけができます / only staff of a clinic may", because=Because.FORBIDDEN)
    held = Subject.objects.select_for_update().filter(pk=mother, state=Subject.State.ACTIVE).first()
    if held is None:
        raise Absent
    if on > rules.today_in_japan(now):
        raise Refusal("日付が不正です / a date that cannot be", place="on")
    records = _opened(clinic, held, episode, by, now, request)
    if silence.kept(held.pk, episode):
        return None
    made = records.create({
        "resourceType": "Condition",
        "clinicalStatus": {"coding": [{"system": _STATUS, "code": "active"}]},
        "code": {"coding": [{"system": systems.ICD10, "code": CODES[loss]}]},
        "subject": {"reference": f"Patient/{mother}"},
        "onsetDateTime": on.isoformat(),
        "recordedDate": rules.today_in_japan(now).isoformat(),
    })  # fmt: skip
    silence.keep(held, episode, now=now)
    audit.record(Event.LOSS_RECORDED, by=by, subject=held.pk, now=now, detail={"episode": episode})
    return made


_STATUS = "http://terminology.hl7.org/CodeSystem/condition-clinical"


def _opened(clinic: Organization, mother: Subject, episode: str, by: Person, now: datetime, request: str) -> Records:
    """The clinic at her record, where it keeps this episode."""
    try:
        records = Records.opened_by(acting_for(clinic, mother.pk, by=by, request=request), now=now)
        found = records.read("EpisodeOfCare", episode)
    except (Refused, NotFound, Gone):
        raise Absent(place="episode") from None
    if found.facts.author != clinic.pk:
        raise Absent(place="episode")
    return records
