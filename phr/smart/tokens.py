"""The hot path: a bearer token and what it stands for, in one query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from consent import prepared


@dataclass(frozen=True, slots=True)
class Bearer:
    """A usable access token: its client, its scope text and the launch it belongs to."""

    application: int
    client_id: str
    scope: str  # space separated; phr.smart.scopes.doors_of turns it into doors
    expires: datetime
    launch: UUID
    person: int | None
    organization: int | None
    subject: UUID | None
    guardianship: int | None
    capacity: str
    purpose: str


# Everything that makes a token unusable by itself is in the WHERE; the link a launch rests on
# (guardianship, grants) is looked at by the decision, from current rows.
_FIND = """
SELECT a.id, a.client_id, t.scope, t.expires,
       l.id, l.person_id, l.organization_id, l.subject_id, l.guardianship_id, l.capacity, l.purpose
  FROM phr_accesstoken t
  JOIN phr_launch l ON l.id = t.launch_id
  JOIN phr_application a ON a.id = t.application_id
  LEFT JOIN consent_person p ON p.id = l.person_id
 WHERE t.token_checksum = %s
   AND t.expires > %s AND t.revoked_at IS NULL
   AND l.revoked_at IS NULL AND (l.ends_at IS NULL OR l.ends_at > %s)
   AND a.is_active AND (l.person_id IS NULL OR p.is_active)
"""

MAX_TOKEN = 512  # characters; ours have 30 to 43


def bearer(token: str, *, now: datetime) -> Bearer | None:
    """Find a usable access token. None: unknown, expired, revoked, or its client or person is stopped."""
    if not token or len(token) > MAX_TOKEN:
        return None
    rows = prepared.fetch(_FIND, [checksum(token), now, now])
    return Bearer(*rows[0]) if rows else None


def checksum(token: str) -> str:
    """How a token is stored: SHA-256, hexadecimal. The token itself is nowhere."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
