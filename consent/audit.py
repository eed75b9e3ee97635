"""The log: one explicit call, one INSERT, one append-only table. Never clinical content, tokens or keys.

Who, when, what kind of deed and about whom stand in clear; the detail is sealed by the key of the person it is about
(`consent.payload`), so that it is shredded with the record.

Nothing leaves and nothing is written without its line: if the line cannot be kept, AuditUnavailable is
raised and the caller must answer 503. Sealing and verifying: `consent.sealing`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from consent import payload, prepared
from consent.decide import Caller
from consent.keys import CannotOpen

if TYPE_CHECKING:
    from consent.models import AuditEntry, Person


class Event(StrEnum):
    """subject:verb. Add, never rename: the names are sealed."""

    RECORD_READ = "record:read"
    RECORD_SEARCHED = "record:searched"
    RECORD_HISTORY = "record:history"
    RECORD_CREATED = "record:created"
    RECORD_UPDATED = "record:updated"
    RECORD_DELETED = "record:deleted"
    RECORD_REFUSED = "record:refused"
    RECORD_MISSED = "record:missed"  # asked for, and not there
    RECORD_DISAGREED = "record:disagreed"  # the SQL form let a row through that the Python form refuses
    LOG_READ = "log:read"
    TRUST_READ = "trust:read"  # what stands beside the record: consents, provisions, requests; by the family
    CORRECTION_READ = "correction:read"  # by a desk, as the following
    COMPLAINT_READ = "complaint:read"
    HOLD_READ = "hold:read"
    GUARDIANSHIP_READ = "guardianship:read"
    PROTECTION_READ = "protection:read"
    GLASS_READ = "glass:read"
    INCIDENT_READ = "incident:read"
    BUNDLE_PROCESSED = "bundle:processed"
    GRANT_GIVEN = "grant:given"
    GRANT_WITHDRAWN = "grant:withdrawn"
    GRANT_REFUSED = "grant:refused"
    GRANT_PROPOSED = "grant:proposed"
    GRANT_PAUSED = "grant:paused"
    GRANT_RESUMED = "grant:resumed"
    GRANT_ANSWERED = "grant:answered"
    GUARDIANSHIP_LINKED = "guardianship:linked"
    GUARDIANSHIP_FROZEN = "guardianship:frozen"
    GUARDIANSHIP_UNFROZEN = "guardianship:unfrozen"
    GUARDIANSHIP_ENDED = "guardianship:ended"
    JOINT_ACT_ASKED = "joint-act:asked"
    JOINT_ACT_AGREED = "joint-act:agreed"
    JOINT_ACT_REFUSED = "joint-act:refused"
    GUARDIANSHIP_RENEWED = "guardianship:renewed"
    GUARDIANSHIP_RELEASE_ASKED = "guardianship:release"  # the first of the two who unfreeze
    LOCATION_HIDDEN = "location:hidden"
    LOCATION_SHOWN = "location:shown"
    PROTECTION_ASKED = "protection:asked"
    PROTECTION_CLOSED = "protection:closed"
    PROXIES_SUSPENDED = "proxies:suspended"
    PROXIES_CONFIRMED = "proxies:confirmed"
    MARK_SET = "mark:set"
    MARK_RELEASED = "mark:released"
    BIRTH_RECORDED = "birth:recorded"
    LOSS_RECORDED = "pregnancy:ended"
    DEATH_RECORDED = "death:recorded"
    ADOPTION_RECORDED = "adoption:recorded"
    ADULTHOOD_REACHED = "adulthood:reached"
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
    PERSON_PROVED = "person:proved"  # who she is, once more or better
    CREDENTIAL_ADDED = "credential:added"
    CREDENTIAL_REMOVED = "credential:removed"
    PASSWORD_CHANGED = "password:changed"
    RECOVERY_OPENED = "recovery:opened"
    ACCOUNT_RECOVERED = "account:recovered"
    IMPORT_ACCEPTED = "import:accepted"
    IMPORT_COMMITTED = "import:committed"
    IMPORT_REFUSED = "import:refused"
    IMPORT_REPORTED = "import:reported"  # a dry run ended
    IMPORT_PAUSED = "import:paused"
    IMPORT_RESUMED = "import:resumed"
    IMPORT_CANCELLED = "import:cancelled"
    ORIGINAL_DESTROYED = "import:original-destroyed"
    NUMBER_LINKED = "number:linked"  # a source's own number names this person from now on
    NUMBER_UNLINKED = "number:unlinked"
    NUMBER_DISMISSED = "number:dismissed"  # it is of nobody here
    NUMBERS_READ = "number:read"  # who waits to be linked, and candidates; by staff
    LINK_CODE_MADE = "link-code:made"
    LINK_CODE_REFUSED = "link-code:refused"
    PEER_CHANGED = "peer:changed"  # registered, paused, resumed, removed
    PEER_LINKED = "peer:linked"
    PEER_UNLINKED = "peer:unlinked"
    PEER_RECEIVED = "peer:received"  # fetched from a peer and stored
    PEER_SENT = "peer:sent"  # about to leave for a peer: kept before it does
    PEER_STOPPED = "peer:stopped"  # a peer does not take it, or it is given up
    DISPENSE_SEPARATED = "dispense:separated"  # what two channels told is shown as two again
    DISPENSE_JOINED = "dispense:joined"
    EXPORT_ACCEPTED = "export:accepted"
    EXPORT_ENDED = "export:ended"
    EXPORT_FAILED = "export:failed"
    EXPORT_DELETED = "export:deleted"
    RECORD_EXPORTED = "record:exported"  # left in a file of an export
    GLASS_OPENED = "glass:opened"  # emergency access: the emergency set of one record
    GLASS_WIDENED = "glass:widened"  # the whole record
    GLASS_CLOSED = "glass:closed"
    GLASS_REFUSED = "glass:refused"
    GLASS_REVIEWED = "glass:reviewed"
    GLASS_ALARMED = "glass:alarmed"  # unusually many
    KEYS_ROTATED = "keys:rotated"
    HOLD_PLACED = "hold:placed"
    HOLD_LIFTED = "hold:lifted"
    ERASURE_ASKED = "erasure:asked"
    ERASURE_AGREED = "erasure:agreed"
    ERASURE_CANCELLED = "erasure:cancelled"
    ERASURE_REFUSED = "erasure:refused"
    CLOSING_ASKED = "closing:asked"  # the contract for a record ends (解約)
    CLOSING_CANCELLED = "closing:cancelled"
    RECORD_DISCLOSED = "record:disclosed"  # handed to the person, whole
    CORRECTION_ASKED = "correction:asked"
    CORRECTION_ANSWERED = "correction:answered"
    RECORD_MOVED_IN = "record:moved-in"
    TRANSFER_ASKED = "transfer:asked"
    TRANSFER_AGREED = "transfer:agreed"
    TRANSFER_CANCELLED = "transfer:cancelled"
    RECORD_MOVED_OUT = "record:moved-out"
    TRANSFER_CONFIRMED = "transfer:confirmed"
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
    CONFIRMATION_DISCARDED = "confirmation:discarded"


# The only keys a detail may have. Values are ids, codes, counts and our own words, never a resource's content,
# a search value, a token or a key.
DETAIL = frozenset({
    "type", "id", "version", "interaction", "params", "count", "total", "entries", "because", "status", "method",
    "grant", "grant_version", "supersedes", "guardianship", "evidence", "kind", "reason", "second", "capacity",
    "scope", "token_ref", "grant_type", "client",
    "run", "connector", "file_sha256", "rows", "created", "updated", "unchanged", "problems",
    "terms", "mandate", "recipient", "program", "provision", "decision", "outcome", "codes", "state", "benefit",
    "complaint", "incident", "items", "purpose", "organization", "until",
    "joint_act", "mark", "assessment", "wish", "case", "days", "children", "episode",
    "acr", "key_id", "old_key_id", "kinds", "resources", "categories", "level",
    "glass", "step", "hold", "erasure", "correction", "transfer", "digest",
})  # fmt: skip
LONGEST = 200  # characters of one value
UNAVAILABLE = "監査ログに書けません / the audit log cannot be written"

Value: TypeAlias = str | int | bool | None
Detail: TypeAlias = Mapping[str, Value | list[str] | list[int] | tuple[str, ...] | tuple[int, ...]]


class AuditUnavailable(Exception):
    """The line could not be kept; what it would have told must not happen."""


class UndeclaredDetail(ValueError):
    """A programming error: a detail key that `DETAIL` does not declare, or a value of another shape."""


# One line, kept only while the key that sealed its detail still stands.
_COLUMNS = """
INSERT INTO consent_auditentry
  (xid, at, event, subject, person, organization, client, capacity, purpose, request,
   version, key_version, salt, detail)
"""
INSERT = f"""{_COLUMNS}
SELECT pg_current_xact_id()::text::bigint, %s::timestamptz, %s, %s::uuid, %s::bigint, %s::bigint, %s, %s, %s, %s,
       %s::int, %s::smallint, %s::bytea, %s::bytea
 WHERE {payload.STANDS.format(id="%s", wrapped="%s::bytea")} RETURNING 1
"""

INSERT_MANY = f"""{_COLUMNS}
SELECT pg_current_xact_id()::text::bigint, %s, %s, told.subject, %s, %s, %s, %s, %s, %s,
       told.version, told.key_version, told.salt, told.detail
FROM unnest(%s::uuid[], %s::int[], %s::smallint[], %s::bytea[], %s::bytea[])
  AS told(subject, version, key_version, salt, detail)
WHERE (SELECT bool_and({payload.STANDS.format(id="held.id", wrapped="held.wrapped")})
       FROM unnest(%s::bigint[], %s::bytea[]) AS held(id, wrapped))
RETURNING 1
"""

FETCH_LOGGED = f"""
WITH found AS ({{select}}), logged AS ({_COLUMNS}
  SELECT pg_current_xact_id()::text::bigint, %(log_at)s::timestamptz, %(log_event)s, found.subject_id,
         %(log_person)s::bigint, %(log_organization)s::bigint, %(log_client)s, %(log_capacity)s, %(log_purpose)s,
         %(log_request)s, found.version, %(log_key_version)s::smallint, %(log_salt)s::bytea, %(log_detail)s::bytea
    FROM found WHERE found.subject_id = %(log_subject)s::uuid AND found.subject2_id IS NULL AND ({{when}})
     AND {payload.STANDS.format(id="%(log_key)s", wrapped="%(log_wrapped)s::bytea")}
  RETURNING 1)
SELECT found.*, EXISTS (SELECT FROM logged) FROM found
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
    told, version = _detail(detail)
    # As text: psycopg quotes a str several times faster than a datetime or a UUID.
    about, at, who = None if subject is None else str(subject), now.isoformat(), _who(by)

    def keep() -> bool:
        key = payload.key_of(subject)
        line = payload.seal(told, subject=subject, key=key)
        values = (at, event.value, about, *who, version, key.version, line.salt, line.detail, key.id, key.wrapped)
        return bool(prepared.fetch(INSERT, values))

    _kept(keep, [subject])


def record_many(
    event: Event,
    *,
    by: Caller | Person | None,
    now: datetime,
    told: Mapping[UUID | None, Detail],
) -> None:
    """Keep one line per patient found, in one statement; none if there is none. `told`: patient -> detail."""
    if not told:
        return
    if len(told) == 1:  # most searches are about one person: arrays of one cost more to write than values
        [(subject, detail)] = told.items()
        record(event, by=by, now=now, subject=subject, detail=detail)
        return
    details = {subject: _detail(detail) for subject, detail in told.items()}

    def keep() -> bool:
        keys = payload.keys_of(details)
        lines = [payload.seal(text, subject=s, key=keys[s]) for s, (text, _) in details.items()]
        values = (
            now, event.value, *_who(by),
            list(details), [version for _, version in details.values()], [line.key.version for line in lines],
            [line.salt for line in lines], [line.detail for line in lines],
            [key.id for key in keys.values()], [key.wrapped for key in keys.values()],
        )  # fmt: skip
        return bool(prepared.fetch(INSERT_MANY, values))

    _kept(keep, list(details))


def fetch_logged(
    select: str,
    values: Mapping[str, Any],
    event: Event,
    *,
    subject: UUID,
    detail: Detail,
    by: Caller,
    now: datetime,
    when: str = "true",
) -> list[tuple[tuple[Any, ...], bool]]:
    """Run a query for one row by key and keep the line about what it found, in one statement.

    That is where the row is of `subject` alone and `when` (SQL over `found`) holds: the line says `detail` and the
    row's version. Returns the row and whether its line is kept; where it is not, the caller must keep one before
    anything leaves. Raises AuditUnavailable.
    """
    text, _ = _detail(detail)
    person, organization, client, capacity, purpose, request = _who(by)
    try:
        key = payload.key_of(subject)
        sealed = payload.seal(text, subject=subject, key=key)
        line = {
            "log_at": now.isoformat(), "log_event": event.value, "log_person": person,
            "log_organization": organization, "log_client": client, "log_capacity": capacity, "log_purpose": purpose,
            "log_request": request, "log_subject": str(subject), "log_key": key.id, "log_wrapped": key.wrapped,
            "log_key_version": key.version, "log_salt": sealed.salt, "log_detail": sealed.detail,
        }  # fmt: skip
        rows = prepared.fetch(FETCH_LOGGED.format(select=select, when=when), {**values, **line})
    except (DatabaseError, CannotOpen, ImproperlyConfigured) as error:
        raise AuditUnavailable(UNAVAILABLE) from error
    return [(row[:-1], row[-1]) for row in rows]


def _kept(keep: Callable[[], bool], subjects: Sequence[UUID | None]) -> None:
    """Keep it; with keys read anew where a remembered one stands no longer. Raises AuditUnavailable."""
    try:
        if keep():
            return
        payload.forget([*subjects, None])
        if keep():
            return
    except (DatabaseError, CannotOpen, ImproperlyConfigured) as error:
        raise AuditUnavailable(UNAVAILABLE) from error
    raise AuditUnavailable(UNAVAILABLE)


def opened(entries: Iterable[AuditEntry]) -> list[dict[str, Any] | None]:
    """What lines say in detail, beside them; None where that is gone with the person's key, or was altered."""
    found = list(entries)
    told = payload.opened([(e.subject, e.key_version, bytes(e.salt), bytes(e.detail)) for e in found])
    return [
        detail if detail is None or e.version is None else {**detail, "version": e.version}
        for e, detail in zip(found, told, strict=True)
    ]


def _who(by: Caller | Person | None) -> tuple[int | None, int | None, str, str, str, str]:
    """person, organization, client, capacity, purpose, request."""
    if by is None:
        return (None, None, "", "", "", "")
    if isinstance(by, Caller):
        client, purpose, request = _clean(by.client, 100), _clean(by.purpose, 16), _clean(by.request, 36)
        return (by.person, by.organization, client, by.capacity.value, purpose, request)
    return (by.pk, by.organization_id, "", "", "", "")


def _detail(detail: Detail | None) -> tuple[str, int | None]:
    """A detail as text, and the version in it: that says nothing by itself, and has a column of its own."""
    told = checked(detail)
    version = told.pop("version", None)
    if version is not None and (not isinstance(version, int) or not 0 <= version < 1 << 31):
        raise UndeclaredDetail("version: a number")
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")) if told else "{}", version


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
