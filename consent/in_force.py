"""What is in force for one Caller right now: one round trip to the database, made by every request.

The statement is put together once per shape of caller, from the parts that shape needs: PostgreSQL takes
longer to plan a join than to run it.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import NamedTuple
from uuid import UUID

from consent import prepared
from consent.decide import Caller, Capacity, InForce, Link


class _Part(NamedTuple):
    """Columns and the join they come from; and the columns where the part is not asked for."""

    columns: str
    join: str
    absent: str


_SUBJECT = _Part(
    "s.state, s.birth_on, COALESCE(s.location_hidden, false), COALESCE(s.consent_epoch, 0)",
    "LEFT JOIN consent_subject s ON s.id = %(subject)s",
    "NULL, NULL, false, 0",
)
_PERSON = _Part(
    "COALESCE(p.is_active, false), p.organization_id, p.own_subject_id",
    "LEFT JOIN consent_person p ON p.id = %(person)s",
    "false, NULL, NULL",
)
_ORGANIZATION = _Part(
    "o.state, COALESCE(o.kind, '')", "LEFT JOIN consent_organization o ON o.id = %(organization)s", "NULL, ''"
)
# Any permit row, not yet over, whose first grantee is one of the caller's names.
_GRANTS = _Part(
    "EXISTS (SELECT FROM consent_effectivegrant e WHERE e.permit AND e.grantee = ANY({names}){about}"
    " AND (e.valid_to IS NULL OR %(now)s < e.valid_to))",
    "",
    "false",
)
# The one open link (unique while not ended), else the latest ended one: decide() tells why it gives nothing.
_LINK = _Part(
    "g.id, g.state, g.starts_on, g.ends_on, g.review_on",
    "LEFT JOIN consent_guardianship g ON g.person_id = %(person)s AND g.subject_id = %(subject)s",
    "NULL, NULL, NULL, NULL, NULL",
)


def in_force_for(caller: Caller, *, now: datetime) -> InForce:
    """Read what decide() needs to know of this caller. One query; what does not exist is None or False.

    What this capacity does not depend on (the grants of a guardian, the links of a clinic) is not read.
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


@cache
def _statement(subject: bool, person: bool, organization: bool, grants: bool, link: bool) -> str:
    """The query for one shape of caller: which parts are asked for."""
    asked = (_SUBJECT, subject), (_PERSON, person), (_ORGANIZATION, organization), (_GRANTS, grants), (_LINK, link)
    columns = ", ".join(part.columns if wanted else part.absent for part, wanted in asked)
    joins = " ".join(part.join for part, wanted in asked if wanted)
    names = "array_append(%(names)s::text[], 'class:' || o.kind)" if organization else "%(names)s::text[]"
    columns = columns.format(names=names, about=" AND e.subject_id = %(subject)s" if subject else "")
    latest = " ORDER BY g.state = 'ended', g.id DESC LIMIT 1" if link else ""
    return f"SELECT {columns} FROM (SELECT) nothing {joins}{latest}"  # noqa: S608 - only the constants above


def _read(
    subject: UUID | None,
    person: int | None,
    organization: int | None,
    now: datetime,
    *,
    names: str | None,
    link: bool,
) -> InForce:
    shape = (subject is not None, person is not None, organization is not None, names is not None, link)
    # As text: psycopg quotes a str several times faster than a list, a UUID or a datetime.
    told = {
        "names": names,
        "subject": None if subject is None else str(subject),
        "person": person,
        "organization": organization,
        "now": now.isoformat(),
    }
    [row] = prepared.fetch(_statement(*shape), told)
    state, birth_on, hidden, epoch, active, staff_of, own, organization_state, kind, grants, *found = row
    return InForce(
        subject_state=state,
        birth_on=birth_on,
        location_hidden=hidden,
        epoch=epoch,
        person_active=active,
        person_organization=staff_of,
        own=subject is not None and own == subject,
        guardianship=None if found[0] is None else Link(**dict(zip(Link.__slots__, found, strict=True))),
        organization_state=organization_state,
        organization_kind=kind,
        grants=grants,
    )
