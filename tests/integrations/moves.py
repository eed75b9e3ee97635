"""What tests of import runs do and look at."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from uuid import UUID

from consent.decide import Caller
from integrations import accepting, running
from integrations.base import connector
from integrations.incoming import Part
from integrations.models import ImportRun
from phr.records.models import Change, Resource, Version

JAHIS = connector("jahis-qr")
FULL = {
    "AllergyIntolerance": 2, "Binary": 1, "CareTeam": 1, "Communication": 6, "DocumentReference": 1,
    "MedicationDispense": 5, "MedicationStatement": 1, "Provenance": 3,
}  # fmt: skip


def hanas(data: bytes) -> bytes:
    return data.replace(b"S500401", b"H300601")


def imported(*data: bytes | Part, by: Caller, subject: UUID, now: datetime, at: datetime | None = None) -> ImportRun:
    """Accept and run, as the API and a worker do between them."""
    parts = [d if isinstance(d, Part) else Part(d) for d in data]
    run = accepting.accept(JAHIS, parts, subject=subject, by=by, now=now, wake=False)
    running.run(run.pk, clock=lambda: at or now)
    run.refresh_from_db()
    return run


def kinds(subject: UUID) -> Counter[str]:
    """Types of what stands in a person's record, but for her Patient."""
    rows = Resource.objects.filter(subject=subject, deleted=False).exclude(type="Patient")
    return Counter(rows.values_list("type", flat=True))


def codes(run: ImportRun) -> set[str]:
    return {p["code"] for p in run.problems}


def table_sizes() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (Resource, Version, Change))
