"""What is in force for one Caller right now: one round trip to the database, made by every request.

`COLUMNS` and `JOINS` speak of a relation `c` (person, organization, subject, names, link, glass), so that whoever
finds a caller in the database, as a bearer token does, reads what is in force in the same statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from consent import prepared
from consent.decide import Caller, Capacity, Contract, InForce, Link, Provided

# Any permit row, not yet over, whose first grantee is one of the caller's names. The order makes the planner
# walk the index: it would read the table from its beginning, expecting to meet such a row soon.
_GRANTED = """EXISTS (
    SELECT FROM unnest(array_append(c.names, CASE WHEN o.class_from <= %(now)s THEN 'class:' || o.kind END)) AS n(name)
    CROSS JOIN LATERAL (
      SELECT FROM consent_effectivegrant e WHERE e.grantee = n.name AND e.permit{about}
         AND (e.valid_to IS NULL OR %(now)s < e.valid_to)
       ORDER BY e.subject_id LIMIT 1) found)"""
# Whether a record is of the person's own family: her own, a child's to whom she has a link of whatever state, that
# of another guardian of such a child, or of another child of theirs. A frozen link is not told from an active one.
_KIN = """EXISTS (
    SELECT FROM consent_guardianship a
      LEFT JOIN consent_guardianship b ON b.subject_id = a.subject_id
      LEFT JOIN consent_person q ON q.id = b.person_id
      LEFT JOIN consent_guardianship d ON d.person_id = b.person_id AND d.subject_id = {subject}
     WHERE a.person_id = {person}
       AND (a.subject_id = {subject} OR q.own_subject_id = {subject} OR d.id IS NOT NULL))"""
COLUMNS = f"""
  s.state, s.birth_on, COALESCE(s.location_hidden, false), COALESCE(s.consent_epoch, 0),
  COALESCE(p.is_active, false), p.organization_id, COALESCE(p.own_subject_id = c.subject, false),
  o.state, COALESCE(o.kind, ''), o.class_from,
  c.glass AND (p.own_subject_id = c.subject OR {_KIN.format(person="c.person", subject="c.subject")}),
  CASE WHEN c.names IS NULL THEN false
       WHEN c.subject IS NULL THEN {_GRANTED.format(about="")}
       ELSE {_GRANTED.format(about=" AND e.subject_id = c.subject")} END,
  g.id, g.state, g.starts_on, g.ends_on, g.review_on,
  r.id, r.state, r.contract_ends_on, r.certified_until, r.purposes"""
# The one open link (unique while not ended), else the latest ended one: decide() tells why it gives nothing.
JOINS = """
  LEFT JOIN consent_subject s ON s.id = c.subject
  LEFT JOIN consent_person p ON p.id = c.person
  LEFT JOIN consent_organization o ON o.id = c.organization
  LEFT JOIN consent_recipient r ON r.organization_id = c.organization
  LEFT JOIN LATERAL (SELECT * FROM consent_guardianship l
                     WHERE c.link AND l.person_id = c.person AND l.subject_id = c.subject
                     ORDER BY l.state = 'ended', l.id DESC LIMIT 1) g ON true"""
WIDTH = 22  # columns
_ASKED = f"""
SELECT {COLUMNS}{{more}} FROM (SELECT %(person)s::bigint AS person, %(organization)s::bigint AS organization,
    %(subject)s::uuid AS subject, %(names)s::text[] AS names, %(link)s::boolean AS link,
    %(glass)s::boolean AS glass) c {JOINS} {{joins}}
"""
_PLAIN = _ASKED.format(more="", joins="")
# A Provision, and whose consent it rests on: the Grant it was judged by, while that is active and who gave it is not
# stopped.
# A guardian alone: another guardian whose link stands has not said yes to that Grant (G-14).
_FOR_PROVISION = _ASKED.format(
    more=""", v.state, vr.organization_id, v.subject_id, v.purpose, v.until, vp.state,
  CASE WHEN vg.state = 'active' AND (vg.capacity <> 'guardian' OR EXISTS (
         SELECT FROM consent_guardianship w
          WHERE w.subject_id = v.subject_id AND w.person_id = vg.given_by_id AND w.state = 'active'))
       THEN vg.capacity ELSE '' END,
  EXISTS (
    SELECT FROM consent_guardianship l
     WHERE l.subject_id = v.subject_id AND l.state = 'active' AND l.person_id <> vg.given_by_id
       AND t.day >= l.starts_on AND (l.ends_on IS NULL OR t.day < l.ends_on) AND t.day <= l.review_on
       AND NOT EXISTS (SELECT FROM consent_jointanswer y JOIN consent_jointact j ON j.id = y.act_id
                        WHERE j.grant_id = vg.id AND y.person_id = l.person_id))""",
    joins="""
  LEFT JOIN consent_provision v ON v.id = %(provision)s::uuid
  LEFT JOIN consent_recipient vr ON vr.id = v.recipient_id
  LEFT JOIN consent_program vp ON vp.id = v.program_id
  LEFT JOIN consent_grant vg ON vg.id = v.grant_id
  CROSS JOIN (SELECT (%(now)s::timestamptz AT TIME ZONE 'Asia/Tokyo')::date) t(day)""",
)


def in_force_for(caller: Caller, *, now: datetime) -> InForce:
    """Read what decide() needs to know of this caller. One query; what does not exist is None or False.

    What this capacity does not depend on (the grants of a guardian, the links of a clinic) is not read.
    `phr.smart.tokens` asks the same in SQL, where the caller is found.
    """
    return _read(
        caller.subject, caller.person, caller.organization, now,
        names=None if caller.capacity in (Capacity.SELF, Capacity.GUARDIAN) else _names(caller),
        link=caller.capacity is Capacity.GUARDIAN, glass=caller.glass is not None, provision=caller.provision,
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
    glass: bool = False,
    provision: str = "",
) -> InForce:
    # As text: psycopg dumps a str several times faster than a list, a UUID or a datetime.
    told = {
        "names": names,
        "subject": None if subject is None else str(subject),
        "person": person,
        "organization": organization,
        "link": link,
        "glass": glass,
        "now": now.isoformat(),
    }
    if not provision:
        return in_force_of(prepared.fetch(_PLAIN, told)[0])
    row = prepared.fetch(_FOR_PROVISION, {**told, "provision": provision})[0]
    rests = row[WIDTH:]
    provided = None if rests[0] is None else Provided(**dict(zip(Provided.__slots__, rests, strict=True)))
    return replace(in_force_of(row[:WIDTH]), provision=provided)


def in_force_of(row: Sequence[Any]) -> InForce:
    """The values of `COLUMNS` as InForce."""
    state, birth_on, hidden, epoch, active, staff_of, own, organization_state, kind, since, kin, grants, *rest = row
    link, contract = rest[:5], rest[5:]
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
        class_from=since,
        kin=bool(kin),
        recipient=None if contract[0] is None else _contract(contract),
        grants=grants,
    )


def _contract(row: Sequence[Any]) -> Contract:
    id, state, ends_on, certified_until, purposes = row
    return Contract(id=id, state=state, ends_on=ends_on, certified_until=certified_until, purposes=tuple(purposes))


def is_kin(person: int, subject: UUID) -> bool:
    """Whether a record is of a person's own family: no colleague would open it to her in an emergency."""
    own = "SELECT own_subject_id = %(subject)s::uuid FROM consent_person WHERE id = %(person)s::bigint"
    sql = f"SELECT coalesce(({own}), false) OR {_KIN.format(person='%(person)s::bigint', subject='%(subject)s::uuid')}"
    return bool(prepared.fetch(sql, {"person": person, "subject": str(subject)})[0][0])
