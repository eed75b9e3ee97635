"""The log: one explicit call, one INSERT, one append-only table. Never clinical content, tokens or keys.

Nothing leaves and nothing is written without its line: if the line cannot be kept, AuditUnavailable is
raised and the caller must answer 503. Sealing and verifying: `consent.sealing`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from django.db import DatabaseError

from consent import prepared
from consent.decide import Caller

if TYPE_CHECKING:
    from consent.models import Person


class Event(StrEnum):
    """subject:verb. Add, never rename: the names are sealed."""

    RECORD_READ = "record:read"
    RECORD_SEARCHED = "record:searched"
    RECORD_HISTORY = "record:history"
    RECORD_CREATED = "record:created"
    RECORD_UPDATED = "record:updated"
    RECORD_DELETED = "record:deleted"
    RECORD_REFUSED = "record:refused"
    RECORD_DISAGREED = "record:disagreed"  # the SQL form let a row through that the Python form refuses
    BUNDLE_PROCESSED = "bundle:processed"
    GRANT_GIVEN = "grant:given"
    GRANT_WITHDRAWN = "grant:withdrawn"
    GRANT_REFUSED = "grant:refused"
    GUARDIANSHIP_LINKED = "guardianship:linked"
    GUARDIANSHIP_FROZEN = "guardianship:frozen"
    GUARDIANSHIP_UNFROZEN = "guardianship:unfrozen"
    GUARDIANSHIP_ENDED = "guardianship:ended"
    SUBJECT_CREATED = "subject:created"
    SUBJECT_LOCKED = "subject:locked"
    SUBJECT_ERASED = "subject:erased"
    TOKEN_ISSUED = "token:issued"
    TOKEN_REFUSED = "token:refused"
    TOKEN_REVOKED = "token:revoked"
    TOKEN_INTROSPECTED = "token:introspected"
    PERSON_SIGNED_IN = "person:signed-in"
    PERSON_SIGN_IN_FAILED = "person:sign-in-failed"
    PERSON_SIGNED_OUT = "person:signed-out"
    IMPORT_ACCEPTED = "import:accepted"
    IMPORT_COMMITTED = "import:committed"
    IMPORT_REFUSED = "import:refused"
    EXPORT_ACCEPTED = "export:accepted"
    EXPORT_ENDED = "export:ended"
    EXPORT_FAILED = "export:failed"
    EXPORT_DELETED = "export:deleted"
    RECORD_EXPORTED = "record:exported"  # left in a file of an export
    KEYS_ROTATED = "keys:rotated"
    TERMS_PUBLISHED = "terms:published"
    MANDATE_ACCEPTED = "mandate:accepted"
    MANDATE_ENDED = "mandate:ended"
    RECIPIENT_REGISTERED = "recipient:registered"
    RECIPIENT_CHANGED = "recipient:changed"
    RECIPIENT_SUSPENDED = "recipient:suspended"
    CLASS_ENTERED = "class:entered"
    PROGRAM_PROPOSED = "program:proposed"
    PROGRAM_CHANGED = "program:changed"
    BOARD_DECIDED = "board:decided"
    PROVISION_ASKED = "provision:asked"  # by a recipient's system, for a program
    PROVISION_TURNED_AWAY = "provision:turned-away"  # before any person was looked at
    PROVISION_JUDGED = "provision:judged"
    PROVISION_ANSWERED = "provision:answered"
    PROVISION_DELIVERED = "provision:delivered"
    PROVISION_ENDED = "provision:ended"
    PROVISION_DISCARDED = "provision:discarded"  # the record of it, after its three years
    BENEFIT_RECORDED = "benefit:recorded"
    REPORT_SUBMITTED = "report:submitted"
    DELETION_CERTIFIED = "deletion:certified"
    COMPLAINT_RECEIVED = "complaint:received"
    COMPLAINT_CHANGED = "complaint:changed"
    INCIDENT_REPORTED = "incident:reported"
    INCIDENT_TOLD = "incident:told"
    CONFIRMATION_KEPT = "confirmation:kept"


# The only keys a detail may have. Values are ids, codes, counts and our own words, never a resource's content,
# a search value, a token or a key.
DETAIL = frozenset({
    "type", "id", "version", "interaction", "params", "count", "total", "entries", "because", "status", "method",
    "grant", "grant_version", "supersedes", "guardianship", "evidence", "kind", "reason", "second", "capacity",
    "scope", "token_ref", "grant_type", "client",
    "run", "connector", "file_sha256", "rows", "created", "updated", "unchanged", "problems",
    "terms", "mandate", "recipient", "program", "provision", "decision", "outcome", "codes", "state", "benefit",
    "complaint", "incident", "items", "purpose", "organization", "until",
    "key_id", "old_key_id", "resources", "categories", "level",
})  # fmt: skip
LONGEST = 200  # characters of one value

Value: TypeAlias = str | int | bool | None
Detail: TypeAlias = Mapping[str, Value | list[str] | list[int] | tuple[str, ...] | tuple[int, ...]]


class AuditUnavailable(Exception):
    """The line could not be kept; what it would have told must not happen."""


class UndeclaredDetail(ValueError):
    """A programming error: a detail key that `DETAIL` does not declare, or a value of another shape."""


# The salt (122 random bits) is drawn by the database: one value less to send.
INSERT = """
INSERT INTO consent_auditentry
  (xid, at, event, subject, person, organization, client, capacity, purpose, request, salt, detail)
VALUES (pg_current_xact_id()::text::bigint, %s, %s, %s, %s, %s, %s, %s, %s, %s, uuid_send(gen_random_uuid()), %s)
"""

INSERT_MANY = """
INSERT INTO consent_auditentry
  (xid, at, event, subject, person, organization, client, capacity, purpose, request, salt, detail)
SELECT pg_current_xact_id()::text::bigint, %s, %s, told.subject, %s, %s, %s, %s, %s, %s,
       uuid_send(gen_random_uuid()), told.detail::jsonb
FROM unnest(%s::uuid[], %s::text[]) AS told(subject, detail)
"""


FETCH_LOGGED = """
WITH found AS ({select}), told (subject, detail) AS ({told}), logged AS (
  INSERT INTO consent_auditentry
    (xid, at, event, subject, person, organization, client, capacity, purpose, request, salt, detail)
  SELECT pg_current_xact_id()::text::bigint, %(log_at)s, %(log_event)s, told.subject, %(log_person)s::bigint,
         %(log_organization)s::bigint, %(log_client)s, %(log_capacity)s, %(log_purpose)s, %(log_request)s,
         uuid_send(gen_random_uuid()), told.detail FROM told)
SELECT * FROM found
"""


def record(
    event: Event,
    *,
    by: Caller | Person | None,
    now: datetime,
    subject: UUID | None = None,
    detail: Detail | None = None,
) -> None:
    """Keep one line, in the caller's transaction if there is one.

    Raises AuditUnavailable if it cannot be kept, UndeclaredDetail for a key outside `DETAIL`.
    """
    # As text: psycopg quotes a str several times faster than a datetime or a UUID.
    about = None if subject is None else str(subject)
    _execute(INSERT, (now.isoformat(), event.value, about, *_who(by), _detail(detail)))


def record_many(
    event: Event,
    *,
    by: Caller | Person | None,
    now: datetime,
    told: Mapping[UUID | None, Detail],
) -> None:
    """Keep one line per patient found, in one statement; none if there is none. `told`: patient -> detail."""
    if told:
        details = [_detail(detail) for detail in told.values()]
        _execute(INSERT_MANY, (now, event.value, *_who(by), list(told), details))


def fetch_logged(
    select: str, values: Mapping[str, Any], event: Event, *, told: str, by: Caller, now: datetime
) -> list[tuple[Any, ...]]:
    """Run a query for rows by key and keep the lines about what it found, in one statement: neither without the other.

    `told`: a SELECT of (subject, detail) from `found`, the rows of `select`. Raises AuditUnavailable.
    """
    person, organization, client, capacity, purpose, request = _who(by)
    line = {
        "log_at": now.isoformat(), "log_event": event.value, "log_person": person, "log_organization": organization,
        "log_client": client, "log_capacity": capacity, "log_purpose": purpose, "log_request": request,
    }  # fmt: skip
    try:
        return prepared.fetch(FETCH_LOGGED.format(select=select, told=told), {**values, **line})
    except DatabaseError as error:
        raise AuditUnavailable("監査ログに書けません / the audit log cannot be written") from error


def _execute(sql: str, line: Sequence[Any]) -> None:
    try:
        prepared.execute(sql, line)
    except DatabaseError as error:
        raise AuditUnavailable("監査ログに書けません / the audit log cannot be written") from error


def _who(by: Caller | Person | None) -> tuple[int | None, int | None, str, str, str, str]:
    """person, organization, client, capacity, purpose, request."""
    if by is None:
        return (None, None, "", "", "", "")
    if isinstance(by, Caller):
        client, purpose, request = _clean(by.client, 100), _clean(by.purpose, 16), _clean(by.request, 36)
        return (by.person, by.organization, client, by.capacity.value, purpose, request)
    return (by.pk, by.organization_id, "", "", "", "")


def _detail(detail: Detail | None) -> str:
    return json.dumps(checked(detail), ensure_ascii=False, separators=(",", ":")) if detail else "{}"


def checked(detail: Detail | None) -> dict[str, object]:
    """A detail as it may be kept. Raises UndeclaredDetail for a key outside `DETAIL`."""
    told = detail or {}
    if not told.keys() <= DETAIL:
        raise UndeclaredDetail(f"undeclared detail keys: {sorted(told.keys() - DETAIL)}")
    return {k: _value(k, v) for k, v in told.items()}


def _value(key: str, value: object) -> object:
    if isinstance(value, str):
        return _clean(value, LONGEST)
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, list | tuple) and all(isinstance(one, str | int) for one in value):
        return [_value(key, one) for one in value]
    raise UndeclaredDetail(f"{key}: only texts, whole numbers and lists of them")


def _clean(text: str, longest: int) -> str:
    """What PostgreSQL can store, and no more of it than `longest`: a hostile id must not stop the log."""
    if text.isascii() and text.isprintable() and len(text) <= longest:
        return text
    return text.encode("utf-8", "replace").decode()[:longest].replace("\x00", "\ufffd")
