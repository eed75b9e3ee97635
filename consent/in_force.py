"""What is in force for one Caller right now: one round trip to the database, made by every request."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import connection

from consent.decide import Caller, Capacity, InForce, Link

# The one open link (unique while not ended), else the latest ended one: decide() tells why it gives nothing.
IN_FORCE = """
SELECT s.state, s.birth_on, COALESCE(s.location_hidden, false), COALESCE(s.consent_epoch, 0),
       COALESCE(p.is_active, false), p.organization_id, COALESCE(p.own_subject_id = s.id, false),
       o.state, COALESCE(o.kind, ''),
       EXISTS (SELECT FROM consent_effectivegrant e
               WHERE e.permit AND e.grantee = ANY(array_append(%(names)s::text[], 'class:' || o.kind))
                 AND (%(subject)s::uuid IS NULL OR e.subject_id = %(subject)s::uuid)
                 AND (e.valid_from IS NULL OR e.valid_from <= %(now)s)
                 AND (e.valid_to IS NULL OR %(now)s < e.valid_to)),
       g.id, g.state, g.starts_on, g.ends_on, g.review_on
FROM (SELECT) nothing
LEFT JOIN consent_subject s ON s.id = %(subject)s::uuid
LEFT JOIN consent_person p ON p.id = %(person)s::bigint
LEFT JOIN consent_organization o ON o.id = %(organization)s::bigint
LEFT JOIN LATERAL (SELECT * FROM consent_guardianship l WHERE l.person_id = p.id AND l.subject_id = s.id
                   ORDER BY l.state = 'ended', l.id DESC LIMIT 1) g ON true
"""


def in_force_for(caller: Caller, *, now: datetime) -> InForce:
    """Read what decide() needs to know of this caller. One query; what does not exist is None or False."""
    return _read(
        names=_names(caller), subject=caller.subject, person=caller.person, organization=caller.organization, now=now
    )


def in_force_between(person: int, subject: UUID, *, now: datetime) -> InForce:
    """What is in force between a person and a record, whatever capacity she may claim."""
    return _read(names=[f"person:{person}"], subject=subject, person=person, organization=None, now=now)


def _names(caller: Caller) -> list[str]:
    """Whom a permit must name first. A proxy is named herself: a permit to anyone makes nobody a proxy."""
    if caller.capacity is Capacity.PROXY:
        return [f"person:{caller.person}"]
    return ["", *sorted(caller.actors)]


def _read(
    *, names: list[str], subject: UUID | None, person: int | None, organization: int | None, now: datetime
) -> InForce:
    told = {"names": names, "subject": subject, "person": person, "organization": organization, "now": now}
    with connection.cursor() as cursor:
        cursor.execute(IN_FORCE, told)
        row = cursor.fetchone()
    state, birth_on, hidden, epoch, active, staff_of, own, organization_state, kind, grants, *link = row
    return InForce(
        subject_state=state,
        birth_on=birth_on,
        location_hidden=hidden,
        epoch=epoch,
        person_active=active,
        person_organization=staff_of,
        own=own,
        guardianship=None if link[0] is None else Link(**dict(zip(Link.__slots__, link, strict=True))),
        organization_state=organization_state,
        organization_kind=kind,
        grants=grants,
    )
