"""A person at a record, as the gateway knows her, for deeds that her right to the record allows whole."""

from __future__ import annotations

from uuid import UUID

from consent.decide import Caller, Capacity
from consent.models import Person
from consent.scope import Door, Purpose

EVERY_DOOR = (Door("*", "cruds"),)


def caller_for(person: Person, subject: UUID, capacity: Capacity, *, client: str, request: str = "") -> Caller:
    """Herself, or a guardian, at one record: how far that goes is decided as for every other caller."""
    return Caller(
        client=client, capacity=capacity, purpose=Purpose.PATRQT if capacity is Capacity.SELF else Purpose.FAMRQT,
        doors=EVERY_DOOR, person=person.pk, subject=subject, request=request,
    )  # fmt: skip


def staff_caller(person: Person, *, purpose: str, client: str, request: str = "") -> Caller:
    """Somebody of an organisation, at no record in particular."""
    return Caller(
        client=client, capacity=Capacity.STAFF, purpose=purpose, doors=EVERY_DOOR, person=person.pk,
        organization=person.organization_id, request=request,
    )  # fmt: skip
