"""A town whose register has numbers for the family's children, and what tests of feeds do and look at."""

from __future__ import annotations

import io
from collections import Counter
from datetime import datetime
from typing import Any
from uuid import UUID

from consent.decide import Caller
from consent.models import Organization
from integrations import running, taking
from integrations.items import Piece
from integrations.models import ImportRun
from phr.records import body
from phr.records.gateway import Records
from phr.records.models import Resource
from tests.consent.people import People
from tests.integrations.feeds import doses

HANA, REN = "2018-06-01,female", "2026-03-01,male"


def caller(organization: Organization) -> Caller:
    return taking.caller_for(organization, client="town")


def register(family: People, now: datetime, *, numbers: dict[UUID, str] | None = None) -> None:
    """The town writes the Patients with its own numbers: Hana is 0001, Ren 0002."""
    given = numbers or {family.hana.pk: "0001", family.ren.pk: "0002"}
    born = {family.hana.pk: HANA, family.ren.pk: REN}
    Records.opened_by(caller(family.city), now=now).create_all(
        [
            {
                "resourceType": "Patient", "id": str(pk), "identifier": [{"system": doses.SYSTEM, "value": number}],
                "birthDate": born[pk].split(",")[0], "gender": born[pk].split(",")[1], "name": [{"text": "見本"}],
            }
            for pk, number in given.items()
        ],
        keep_ids=True,
    )  # fmt: skip


def pieces(*texts: str) -> list[Piece]:
    return [Piece(f"doses-{n}.csv", io.BytesIO(text.encode())) for n, text in enumerate(texts, 1)]


def brought(*texts: str, organization: Organization, now: datetime, dry: bool = False, run: bool = True) -> ImportRun:
    """Take in and run, as a desk and a worker do between them."""
    made = taking.take(
        doses, pieces(*texts), organization=organization, by=caller(organization), now=now, dry=dry, wake=False
    )
    if run:
        running.run(made.pk, clock=lambda: now)
    made.refresh_from_db()
    return made


def standing(subject: UUID) -> Counter[str]:
    rows = Resource.objects.filter(subject=subject, deleted=False).exclude(type="Patient")
    return Counter(rows.values_list("type", flat=True))


def contents(organization: Organization, now: datetime) -> list[dict[str, Any]]:
    """Every Immunization as the organisation may read it."""
    records = Records.opened_by(caller(organization), now=now)
    rows = Resource.objects.filter(type="Immunization", deleted=False).order_by("fhir_id")
    return [body.parse(records.read("Immunization", row.fhir_id).body or b"{}") for row in rows]


def counts(run: ImportRun) -> dict[str, int]:
    names = ("created", "updated", "unchanged", "retracted", "unmatched", "refused_items")
    return {name: getattr(run, name) for name in names if getattr(run, name)}
