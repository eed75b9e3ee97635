"""Callers of deeds that staff do at a desk: an organisation writes what it found, and the log names who did it."""

from __future__ import annotations

from uuid import UUID

from consent.decide import Caller, Capacity
from consent.models import Organization, Person
from consent.scope import Door, Purpose

EVERY_DOOR = (Door("*", "cruds"),)


def acting_for(organization: Organization, subject: UUID | None, *, by: Person, request: str = "") -> Caller:
    """The organisation at one record (or at new ones), on behalf of what it wrote itself."""
    return Caller(
        client="desk", capacity=Capacity.SYSTEM, purpose=Purpose.TREAT, doors=EVERY_DOOR,
        organization=organization.pk, person=by.pk, subject=subject, request=request,
    )  # fmt: skip
