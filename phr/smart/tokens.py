"""The hot path: a bearer token and what it stands for, in one query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from consent import in_force, prepared
from consent.decide import THIRD_PARTY, Glass, InForce


@dataclass(frozen=True, slots=True)
class Bearer:
    """A usable access token: its client, its scope text, the launch it belongs to, and what is in force for it."""

    client_id: str
    scope: str  # space separated; phr.smart.scopes.doors_of turns it into doors
    expires: datetime
    launch: UUID
    person: int | None
    organization: int | None
    subject: UUID | None
    capacity: str
    purpose: str
    acr: str
    authenticated_at: datetime | None
    glass: Glass | None
    in_force: InForce


# Everything that makes a token unusable by itself is in the WHERE; the link a launch rests on
# (guardianship, grants) is for the decision, from current rows read along with it (consent.in_force).
_FIND = f"""
SELECT c.client_id, c.scope, c.expires, c.launch, c.person, c.organization, c.subject,
       c.capacity, c.purpose, c.acr, c.authenticated_at,
       c.glass_id, c.glass_subject, c.step, c.glass_ends_at, {in_force.COLUMNS}
  FROM (
    SELECT a.client_id, t.scope, t.expires, l.id AS launch, l.person_id AS person,
           l.organization_id AS organization, l.subject_id AS subject,
           l.capacity, l.purpose, l.acr, l.authenticated_at, l.capacity = 'guardian' AS link,
           l.glass_id IS NOT NULL AS glass, l.glass_id, b.subject_id AS glass_subject, b.step,
           LEAST(b.ends_at, b.closed_at) AS glass_ends_at,
           CASE WHEN l.capacity IN ('self', 'guardian') THEN NULL
                WHEN l.capacity = 'proxy' THEN ARRAY['person:' || l.person_id]
                ELSE ARRAY['', 'person:' || l.person_id, 'org:' || l.organization_id, '{THIRD_PARTY}'] END AS names
      FROM phr_accesstoken t
      JOIN phr_launch l ON l.id = t.launch_id
      JOIN phr_application a ON a.id = t.application_id
      LEFT JOIN consent_emergencyaccess b ON b.id = l.glass_id
     WHERE t.token_checksum = %(checksum)s
       AND t.expires > %(now)s AND t.revoked_at IS NULL
       AND l.revoked_at IS NULL AND l.ends_at > %(now)s
       AND a.is_active
  ) c {in_force.JOINS}
 WHERE c.person IS NULL OR p.is_active
"""

MAX_TOKEN = 512  # characters; ours have 30 to 43


def bearer(token: str, *, now: datetime) -> Bearer | None:
    """Find a usable access token. None: unknown, expired, revoked, or its client or person is stopped."""
    if not token or len(token) > MAX_TOKEN:
        return None
    rows = prepared.fetch(_FIND, {"checksum": checksum(token), "now": now.isoformat()})
    if not rows:
        return None
    told, standing = rows[0][: -in_force.WIDTH], rows[0][-in_force.WIDTH :]
    glass = None if told[-4] is None else Glass(id=told[-4], subject=told[-3], step=told[-2], ends_at=told[-1])
    return Bearer(*(*told[:-4], glass, in_force.in_force_of(standing)))


def checksum(token: str) -> str:
    """How a token is stored: SHA-256, hexadecimal. The token itself is nowhere."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
