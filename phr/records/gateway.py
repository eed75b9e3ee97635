"""Records: the only door to patient data. Bound to a caller, so scoping cannot be forgotten.

Writing is one transaction: validate -> facts -> decide -> index -> seal -> store -> change row -> audit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, connection, transaction

from consent import audit, prepared
from consent.audit import Event
from consent.decide import Caller, Capacity, InForce
from consent.in_force import in_force_for
from consent.models import Subject
from consent.scope import OPEN_TYPES, Door, Facts
from phr.records import body, definitions, facts, index, second_opinion, store, validate, vault
from phr.records.compartments import Compartments
from phr.records.histories import Histories, Past
from phr.records.reading import Gone, NotFound, Page, Refused, TooCostly, open_permit
from phr.records.scoping import Params, scope_sql
from phr.records.search.parse import Query
from phr.records.searching import Searching
from phr.records.store import Draft, Stored

__all__ = [
    "Ambiguous", "Conflict", "Forbidden", "Gone", "Invalid", "NotFound", "Page", "Past", "PreconditionFailed",
    "Records", "Refused", "Rejected", "Stored", "TooCostly", "Unprocessable",
]  # fmt: skip


class Rejected(Exception):
    """Base of what a draft is rejected for; `at` is its position among those written together."""

    at: int | None = None


class Invalid(Rejected):
    """The resource breaks base FHIR; `problems` name each place."""

    def __init__(self, problems: Sequence[validate.Problem]) -> None:
        super().__init__("; ".join(p.diagnostics for p in problems[:3]))
        self.problems = tuple(problems)


class Forbidden(Rejected):
    """The token does not carry this interaction with this type (the only case that is told apart)."""


class Unprocessable(Rejected):
    """Well formed, but not storable for this caller; `expression` names the element."""

    def __init__(self, message: str, *, expression: str) -> None:
        super().__init__(message)
        self.expression = expression


class Conflict(Exception):
    """The id is taken."""


class PreconditionFailed(Exception):
    """If-Match names another version than the current one."""


class Ambiguous(Exception):
    """Several resources match the condition."""


class Records(Searching, Histories, Compartments):
    """Patient records as one caller may see and write them."""

    @classmethod
    def opened_by(cls, caller: Caller, *, now: datetime, in_force: InForce | None = None) -> Records:
        """Decide, and open the record as far as the decision goes. Raises Refused (audited).

        `in_force`: what was read for this caller in this very request, if it was; else it is read here.
        """
        return cls(caller, open_permit(caller, in_force or in_force_for(caller, now=now), now=now), now=now)

    @property
    def author(self) -> int | None:
        """The organisation this caller writes for; None = the family itself."""
        return self.caller.organization if self.caller.capacity in (Capacity.STAFF, Capacity.SYSTEM) else None

    # -- create ---------------------------------------------------------------------------------

    def create(self, resource: dict[str, Any]) -> Stored:
        """Store one new resource under an id of ours. Raises Invalid, Forbidden, Unprocessable."""
        return self.create_all([resource])[0]

    @transaction.atomic
    def create_all(self, resources: Iterable[dict[str, Any]], *, keep_ids: bool = False) -> list[Stored]:
        """Store new resources, all or none, in order. `keep_ids` is for importers with ids of their own.

        Raises Invalid, Forbidden, Unprocessable, or Conflict where an id is taken.
        """
        drafts = []
        for position, resource in enumerate(resources):
            with _at(position):
                own = resource["id"] if keep_ids and "id" in resource else str(uuid4())
                drafts.append(self._draft(resource, id=own, version=1, author=self.author))
        self._admit(drafts, letter="c")
        self._enroll(drafts)
        try:
            pks = store.insert(drafts, now=self.now)
        except IntegrityError as error:  # Conflict leaves this transaction, and so undoes it
            raise Conflict("a resource with this id exists") from error
        written = [self._stored(pk, draft) for pk, draft in zip(pks, drafts, strict=True)]
        self._log_written(Event.RECORD_CREATED, written)
        return written

    @transaction.atomic
    def create_unless(self, resource: dict[str, Any], condition: Query) -> tuple[Stored, bool]:
        """Conditional create (R4 http.html §3.1.0.8.2): the one match, or a new resource and True."""
        match = self.matching(condition)
        return (match, False) if match else (self.create(resource), True)

    def matching(self, condition: Query) -> Stored | None:
        """The one match of a condition, which nobody else can create until this transaction ends.

        What the caller may not see does not match. Raises Ambiguous where several match.
        """
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [condition.fingerprint])
        matches = self.find(condition, letter="s", limit=2)
        self._log_search(condition, matches)
        if len(matches) > 1:
            raise Ambiguous(f"several {condition.type} resources match the condition")
        return matches[0] if matches else None

    # -- update, delete -------------------------------------------------------------------------

    @transaction.atomic
    def update(self, type: str, id: str, resource: dict[str, Any], *, if_match: int | None = None) -> Stored:
        """Store the next version; the same content again writes nothing. Raises NotFound, PreconditionFailed …"""
        current = self._writable(type, id, letter="u")
        _matches(current, if_match)
        kept = self._with_labels(resource, current)
        draft = self._draft(kept, id=id, version=current.version + 1, author=current.facts.author)
        if set(draft.facts.subjects) != set(current.facts.subjects):
            place = f"{type}.{_subject_element(type)}"
            raise Unprocessable("a resource never moves to another person", expression=place)
        self._admit([draft], letter="u")
        if not current.deleted and _content(body.parse(draft.body)) == _content(body.parse(current.body or b"{}")):
            self._log(Event.RECORD_READ, current)
            return current
        store.replace(current, draft, now=self.now)
        written = self._stored(current.pk, draft)
        self._log_written(Event.RECORD_UPDATED, [written])
        return written

    @transaction.atomic
    def delete(self, type: str, id: str, *, if_match: int | None = None) -> Stored | None:
        """Delete; every version stays readable by number. None where there was nothing to delete."""
        try:
            current = self._writable(type, id, letter="d")
        except NotFound:
            return None
        _matches(current, if_match)
        if current.deleted:
            return current
        store.remove(current, now=self.now)
        gone = replace(current, version=current.version + 1, deleted=True, body=None, updated_at=self.now)
        self._log_written(Event.RECORD_DELETED, [gone])
        return gone

    def _writable(self, type: str, id: str, *, letter: str) -> Stored:
        """The current version, locked. Raises NotFound, or Forbidden where the caller may see it but not change it."""
        try:
            current = self._current(type, id, letter=letter, lock=True)
        except NotFound:
            self._current(type, id, letter="r")
            raise Forbidden(f"{type}/{id} may not be changed by this caller") from None
        if not current.facts.subjects and current.facts.author != self.author:
            raise Forbidden(f"{type}/{id} was written by another organisation")
        return current

    def shows_labels(self, found: Stored) -> bool:
        """Whether security labels leave with a resource: only to the organisation that wrote it."""
        return self.author is not None and found.facts.author == self.author

    def _with_labels(self, resource: dict[str, Any], current: Stored) -> dict[str, Any]:
        """Labels that were not shown to the caller cannot be taken away by an update (R4 resource.html, meta)."""
        if current.body is None or b'"security"' not in current.body or self.shows_labels(current):
            return resource
        stored, meta = body.parse(current.body).get("meta", {}), resource.get("meta", {})
        if not isinstance(meta, dict) or not isinstance(given := meta.get("security", []), list):
            return resource  # the check of the structure says what is wrong with it
        kept = [label for label in stored.get("security", []) if label not in given]
        return {**resource, "meta": {**meta, "security": given + kept}} if kept else resource

    # -- steps ----------------------------------------------------------------------------------

    def _draft(self, resource: dict[str, Any], *, id: str, version: int, author: int | None) -> Draft:
        problems = [p for p in validate.check(resource) if p.severity in ("fatal", "error")]
        problems = problems or second_opinion.check(resource)
        if problems:
            raise Invalid(problems)
        stamped = _stamp(resource, id=id, version=version, now=self.now)
        try:
            fact = facts.facts_of(stamped, author=author)
        except facts.Unclassifiable as error:
            raise Unprocessable(str(error), expression=resource["resourceType"]) from error
        indexed = index.index_of(stamped, vault.index_key())
        return Draft(fact, body.write(stamped), indexed, version)

    def _admit(self, drafts: Sequence[Draft], *, letter: str) -> None:
        """Whether each draft may be written. The Patient it names must be one the caller can see."""
        born = {s for d in drafts if d.facts.type == "Patient" for s in d.facts.subjects}
        rows = self._grant_rows(d.facts for d in drafts)
        unseen = self._unseen({s for d in drafts for s in d.facts.subjects} - born)
        for position, draft in enumerate(drafts):
            fact = replace(draft.facts, terms=frozenset(draft.indexed.terms)) if self.granular else draft.facts
            with _at(position):
                if lost := unseen.intersection(fact.subjects):
                    place = f"{fact.type}.{_subject_element(fact.type)}"
                    raise Unprocessable(f"Patient/{min(lost)} is not known here", expression=place)
                if not any(door.admits(fact, letter) for door in self.scope.doors):
                    raise Forbidden(f"the token does not cover {fact.type} '{letter}'")
                if not self.scope.covers(fact, letter=letter, rows=rows):
                    raise _not_coverable(fact)

    def _unseen(self, subjects: set[UUID]) -> set[UUID]:
        """The subjects whose Patient this caller cannot see, whether it is there or not."""
        if self.scope.subjects is not None:
            return subjects - self.scope.subjects
        if not subjects:
            return set()
        p = Params()
        anything = replace(self.scope, doors=(Door("*", "cruds"),))
        sql = (
            f"SELECT r.subject_id FROM phr_resource r WHERE r.type = 'Patient' AND NOT r.deleted"
            f" AND r.fhir_id = ANY({p([str(s) for s in subjects])}) AND {scope_sql(anything, 'r', p)}"
        )
        return subjects - {row[0] for row in prepared.fetch(sql, p.values)}

    def _enroll(self, drafts: Sequence[Draft]) -> None:
        """A new Patient is a new Subject."""
        new = [d for d in drafts if d.facts.type == "Patient"]
        if new:
            Subject.objects.bulk_create(
                [
                    Subject(id=d.facts.subjects[0], birth_on=_birth_on(body.parse(d.body)), created_at=self.now)
                    for d in new
                ],
                ignore_conflicts=True,
            )

    def _stored(self, pk: int, draft: Draft) -> Stored:
        f = draft.facts
        return Stored(pk, f.type, f.id, draft.version, self.now, False, f, draft.body)

    def _log_written(self, event: Event, written: Sequence[Stored]) -> None:
        """One event per person concerned, naming what was written."""
        named: dict[UUID | None, list[str]] = {}
        for entry in written:
            for subject in entry.facts.subjects or (None,):
                named.setdefault(subject, []).append(f"{entry.reference}/{entry.version}")
        told = {subject: {"resources": references} for subject, references in named.items()}
        audit.record_many(event, by=self.caller, now=self.now, told=told)


@contextmanager
def _at(position: int) -> Iterator[None]:
    try:
        yield
    except Rejected as error:
        error.at = position
        raise


def _stamp(resource: dict[str, Any], *, id: str, version: int, now: datetime) -> dict[str, Any]:
    at = now.isoformat(timespec="milliseconds")
    meta = {**resource.get("meta", {}), "versionId": str(version), "lastUpdated": at}
    rest = {k: v for k, v in resource.items() if k not in ("resourceType", "id", "meta")}
    return {"resourceType": resource["resourceType"], "id": id, "meta": meta, **rest}


def _content(resource: dict[str, Any]) -> dict[str, Any]:
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    return {**resource, "meta": meta}


def _matches(current: Stored, if_match: int | None) -> None:
    if if_match is not None and if_match != current.version:
        raise PreconditionFailed(f"the current version is {current.version}")


def _birth_on(patient: dict[str, Any]) -> date | None:
    text = patient.get("birthDate", "")
    return date.fromisoformat(text) if len(text) == 10 else None


def _subject_element(type: str) -> str:
    """The element of a type that names its Patient."""
    return next((name for name in ("subject", "patient") if name in definitions.fields(type)), "id")


def _not_coverable(fact: Facts) -> Unprocessable:
    if not fact.subjects and fact.type not in OPEN_TYPES:
        place = f"{fact.type}.{_subject_element(fact.type)}"
        return Unprocessable("this type must name the Patient it is about", expression=place)
    return Unprocessable("this may not be written for this person", expression=fact.type)
