"""The trust's own desk: staff of the operator, who look after programs, recipients and complaints."""

from __future__ import annotations

from consent.models import Organization, Person
from consent.refusal import Because, Refusal


def is_operator(person: Person) -> bool:
    """Whether this is active staff of an active operator."""
    office = person.organization
    return bool(
        person.is_active
        and office is not None
        and office.kind == Organization.Kind.OPERATOR
        and office.state == Organization.State.ACTIVE
    )


def operator(person: Person) -> Person:
    """The same person. Raises Refusal for anybody who is not the operator's staff."""
    if not is_operator(person):
        raise Refusal("信託の職員だけができます / only staff of the trust may", because=Because.FORBIDDEN)
    return person
