"""Who reads about a record, as `consent.telling` asks; and which consents are there for her."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from rest_framework.request import Request

from consent import telling
from consent.models import Grant, Subject
from consent.refusal import Absent
from consent.telling import Reader
from phr.api.frame import person_of, record_of


def reader_of(request: Request, subject: UUID, *, now: datetime) -> tuple[Subject, Reader]:
    """The record this person acts for, and as whom she reads about it. Raises Absent, as `record_of`."""
    record, capacity = record_of(request, subject, now=now)
    return record, Reader.at(
        now, person=person_of(request).pk, capacity=capacity, birth_on=record.birth_on,
        location_hidden=record.location_hidden,
    )  # fmt: skip


def shown(grant: Grant, reader: Reader) -> bool:
    """Whether this consent is there for the reader."""
    return telling.grant_shown(reader, root=grant.root, given_as=grant.capacity, given_by=grant.given_by_id)


def grant_of(subject: UUID, id: int, reader: Reader) -> Grant:
    """One version. Raises Absent, alike for one that is not there and one that she is not told of."""
    found = Grant.objects.filter(subject=subject, pk=id).select_related("supersedes", "subject").first()
    if found is None or not shown(found, reader):
        raise Absent
    return found
