"""What is in force for one Caller right now: one round trip to the database, made by every request.

`COLUMNS` and `JOINS` speak of a relation `c` (person, organization, subject, names, link), so that whoever finds
a caller in the database, as a bearer token does, reads what is in force in the same statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from consent import prepared
from consent.decide import Caller, Capacity, InForce, Link

# Any permit row, not yet over, whose first grantee is one of the caller's names. The order makes the planner
# walk the index: it would read the table from its beginning, expecting to meet such a row soon.
_GRANTED = """EXISTS (
    SELECT FROM unnest(array_append(c.names, 'class:' || o.kind)) AS n(name) CROSS JOIN LATERAL (
      SELECT FROM consent_effectivegrant e WHERE e.grantee = n.name AND e.permit{about}
         AND (e.valid_to IS NULL OR %(now)s < e.valid_to)
       ORDER BY e.subject_id LIMIT 1) found)"""
COLUMNS = f"""
  s.state, s.birth_on, COALESCE(s.location_hidden, false), COALESCE(s.consent_epoch, 0),
  COALESCE(p.is_active, false), p.organization_id, COALESCE(p.own_subject_id = c.subject, false),
  o.state, COALESCE(o.kind, ''),
  CASE WHEN c.names IS NULL THEN false
       WHEN c.subject IS NULL THEN {_GRANTED.format(about="")}
       ELSE {_GRANTED.format(about=" AND e.subject_id = c.subject")} END,
  g.id, g.state, g.starts_on, g.ends_on, g.review_on"""
# The one open link (unique while not ended), else the latest ended one: decide() tells why it gives nothing.
JOINS = """
  LEFT JOIN consent_subject s ON s.id = c.subject
  LEFT JOIN consent_person p ON p.id = c.person
  LEFT JOIN consent_organization o ON o.id = c.organization
  LEFT JOIN LATERAL (SELECT * FROM consent_guardianship l
                     WHERE c.link AND l.person_id = c.person AND l.subject_id = c.subject
                     ORDER BY l.state = 'ended', l.id DESC LIMIT 1) g ON true"""
WIDTH = 15  # columns
_ASKED = f"""
SELECT {COLUMNS} FROM (SELECT %(person)s::bigint AS person, %(organization)s::bigint AS organization,
    %(subject)s::uuid AS subject, %(names)s::text[] AS names, %(link)s::boolean AS link) c {JOINS}
"""


def in_force_for(caller: Caller, *, now: datetime) -> InForce:
    """Read what decide() needs to know of this caller. One query; what does not exist is None or False.

    What this capacity does not depend on (the grants of a guardian, the links of a clinic) is not read.
    `phr.smart.tokens` asks the same in SQL, where the caller is found.
    """
    return _read(
        caller.subject, caller.person, caller.organization, now,
        names=None if caller.capacity in (Capacity.SELF, Capacity.GUARDIAN) else _names(caller),
        link=caller.capacity is Capacity.GUARDIAN,
    )  # fmt: skip


def in_force_between(person: int, subject: UUID, *, now: datetime) -> InForce:
    """What is in force between a person and a record, whatever capacity she may claim."""
    return _read(subject, person, None, now, names=f"{{person:{person}}}", link=True)


def _names(caller: Caller) -> str:
    """Whom a permit must name first, as an array literal (names are our own words and numbers).

    A proxy is named herself: a permit to anyone makes nobody a proxy.
    """
    if caller.capacity is Capacity.PROXY:
        return f"{{person:{caller.person}}}"
    return "{" + ",".join(['""', *caller.actors]) + "}"


def _read(
    subject: UUID | None,
    person: int | None,
    organization: int | None,
    now: datetime,
    *,
    names: str | None,
    link: bool,
) -> InForce:
    # As text: psycopg dumps a str several times faster than a list, a UUID or a datetime.
    told = {
        "names": names,
        "subject": None if subject is None else str(subject),
        "person": person,
        "organization": organization,
        "link": link,
        "now": now.isoformat(),
    }
    return in_force_of(prepared.fetch(_ASKED, told)[0])


def in_force_of(row: Sequence[Any]) -> InForce:
    """The values of `COLUMNS` as InForce."""
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
