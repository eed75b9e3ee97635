"""Whether a resource may be stored for this caller: the first half of every write. Use it through `gateway.Records`.

measured -> validated -> classified -> indexed -> decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from consent import audit, contract, prepared
from consent.audit import Event
from consent.decide import Capacity
from consent.models import Subject
from consent.scope import OPEN_TYPES, Door, Facts
from phr.records import body, definitions, facts, index, labels, second_opinion, systems, validate, vault
from phr.records.profiles import enforced
from phr.records.reading import Reading, by_subject
from phr.records.rejections import Forbidden, Invalid, Rejected, TooLarge, Unprocessable
from phr.records.scoping import Params, scope_sql
from phr.records.store import Draft, Stored

SUBSETTED = ("http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "SUBSETTED")


class Admission(Reading):
    """What one caller may store. `_second_opinion`: what is asked after our own walker has found nothing."""

    _second_opinion = staticmethod(second_opinion.check)

    @property
    def author(self) -> int | None:
        """The organisation this caller writes for; None = the family itself."""
        return self.caller.organization if self.caller.capacity in (Capacity.STAFF, Capacity.SYSTEM) else None

    def shows_labels(self, found: Stored) -> bool:
        """Whether security labels leave with a resource: only to the organisation that wrote it."""
        return self.author is not None and found.facts.author == self.author

    def _draft(
        self, resource: dict[str, Any], *, id: str, version: int, author: int | None, when: datetime | None = None
    ) -> Draft:
        measure(resource)
        problems = [p for p in validate.check(resource) if p.severity in ("fatal", "error")]
        problems = problems or self._second_opinion(resource)
        problems = problems or enforced.problems(resource, now=self.now)
        if problems:
            raise Invalid(problems)
        _whole(resource)
        stamped = stamp(resource, id=id, version=version, now=when or self.now)
        try:
            fact = facts.facts_of(stamped, author=author)
        except facts.Unclassifiable as error:
            raise _unclassifiable(error, resource["resourceType"]) from error
        indexed = index.index_of(stamped, vault.index_key())
        return Draft(fact, body.write(stamped), indexed, version)

    def _admit(self, drafts: Sequence[Draft], *, letter: str) -> None:
        """Whether each draft may be written. The Patient it names must be one the caller can see."""
        born = {UUID(d.facts.id) for d in drafts if d.facts.type == "Patient" and d.version == 1}  # not whom it names
        rows = by_subject(self._grant_rows(d.facts for d in drafts))
        named = {s for d in drafts for s in d.facts.subjects} - born
        unseen, ending = self._unseen(named), contract.ending(named)
        for position, draft in enumerate(drafts):
            fact = replace(draft.facts, terms=frozenset(draft.indexed.terms)) if self.granular else draft.facts
            with at(position):
                if lost := unseen.intersection(fact.subjects):
                    raise _unknown(fact, min(lost))
                if ending.intersection(fact.subjects):
                    raise _ending(fact)
                if not any(door.admits(fact, letter) for door in self.scope.doors):
                    raise Forbidden(f"the token does not cover {fact.type} '{letter}'")
                spoken = [r for subject in fact.subjects for r in rows.get(subject, ())]
                if not self.scope.covers(fact, letter=letter, rows=spoken):
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
                    Subject(id=UUID(d.facts.id), birth_on=_birth_on(body.parse(d.body)), created_at=self.now)
                    for d in new
                ],
                ignore_conflicts=True,
            )

    def _with_labels(self, resource: dict[str, Any], current: Stored) -> dict[str, Any]:
        """Labels that were not shown to the caller cannot be taken away by an update (R4 resource.html, meta).

        Nor can a protective mark by anybody: a system that writes a resource anew does not know of it (G-12, G-13).
        """
        before = self._last_body(current)
        if before is None or b'"security"' not in before:
            return resource
        meta = resource.get("meta", {})
        if not isinstance(meta, dict) or not isinstance(given := meta.get("security", []), list):
            return resource  # the check of the structure says what is wrong with it
        old = labels.of(body.parse(before))
        if self.shows_labels(current):
            old = [label for label in old if isinstance(label, dict) and label.get("system") == systems.OWN_MARK]
        kept = [label for label in old if label not in given]
        return {**resource, "meta": {**meta, "security": given + kept}} if kept else resource

    def _last_body(self, current: Stored) -> bytes | None:
        """The content that stands, or stood before the deletion: who brings it back brings its labels back."""
        if not current.deleted:
            return current.body
        return next((found.body for found in self._earlier(current, exactly=current.version - 1)), None)

    def _as_shown(self, current: Stored) -> dict[str, Any]:
        """The content as this caller may see it: what a patch is applied to."""
        content = body.parse(current.body or b"{}")
        if not self.shows_labels(current):
            labels.removed(content)
        return content

    def _stored(self, pk: int, draft: Draft, *, when: datetime | None = None) -> Stored:
        f = draft.facts
        return Stored(pk, f.type, f.id, draft.version, when or self.now, False, f, draft.body)

    def _log_written(self, event: Event, written: Sequence[Stored]) -> None:
        """One event per person concerned, naming what was written."""
        named: dict[UUID | None, list[str]] = {}
        for entry in written:
            for subject in entry.facts.subjects or (None,):
                named.setdefault(subject, []).append(f"{entry.reference}/{entry.version}")
        told = {subject: {"resources": references} for subject, references in named.items()}
        audit.record_many(event, by=self.caller, now=self.now, told=told)


@contextmanager
def at(position: int) -> Iterator[None]:
    """Whatever is rejected inside is rejected with its position among the drafts."""
    try:
        yield
    except Rejected as error:
        error.at = position
        raise


def _whole(resource: Mapping[str, Any]) -> None:
    """What was shown in part must not be written back as if it were the whole (R4 search.html §3.1.1.5.8)."""
    tags = resource.get("meta", {}).get("tag", [])
    if any((tag.get("system"), tag.get("code")) == SUBSETTED for tag in tags):
        text = "一部だけの内容です。This is a part (SUBSETTED): read the whole, without _summary and _elements"
        raise Unprocessable(text, expression=f"{resource['resourceType']}.meta.tag")


def measure(resource: dict[str, Any]) -> None:
    """Raises TooLarge, before anything is spent: checking costs by the structure, not by the data of attachments."""
    limit = settings.PHR_MAX_RESOURCE
    size = len(body.write(resource))
    if size > limit and size - _attached(resource) > limit:
        kind = resource.get("resourceType")
        raise TooLarge(limit, expression=kind if isinstance(kind, str) else "Resource")


def _attached(node: Any) -> int:
    """The length of all base64 data in it (Attachment.data, Binary.data)."""
    total, rest = 0, [node]
    while rest:
        node = rest.pop()
        if isinstance(node, dict) and isinstance(data := node.get("data"), str):
            total += len(data)
        rest += [v for v in (node.values() if isinstance(node, dict) else node) if isinstance(v, (dict, list))]
    return total


def stamp(resource: dict[str, Any], *, id: str, version: int, now: datetime) -> dict[str, Any]:
    """The resource under its id, with the version and the time of this writing."""
    when = now.isoformat(timespec="milliseconds")
    meta = {**resource.get("meta", {}), "versionId": str(version), "lastUpdated": when}
    rest = {k: v for k, v in resource.items() if k not in ("resourceType", "id", "meta")}
    return {"resourceType": resource["resourceType"], "id": id, "meta": meta, **rest}


def same_content(one: bytes | None, other: bytes | None) -> bool:
    """Whether two bodies differ in nothing but version and time."""
    return _content(body.parse(one or b"{}")) == _content(body.parse(other or b"{}"))


def _content(resource: Mapping[str, Any]) -> bytes:
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    return body.canonical({**resource, "meta": meta})


def _birth_on(patient: Mapping[str, Any]) -> date | None:
    text = patient.get("birthDate", "")
    return date.fromisoformat(text) if len(text) == 10 else None


def subject_element(type: str) -> str:
    """The element of a type that names its Patient; of a Patient, the one that names another."""
    if type == "Patient":
        return "link.other"
    return next((name for name in ("subject", "patient") if name in definitions.fields(type)), "id")


def _unclassifiable(error: facts.Unclassifiable, type: str) -> Unprocessable:
    if isinstance(error, facts.UnknownSubject):
        place = "Patient.id" if type == "Patient" else f"{type}.{subject_element(type)}"
        return Unprocessable(str(error), expression=place, reason="patient-id")
    reason = "patients-too-many" if isinstance(error, facts.TooManySubjects) else "unprocessable"
    return Unprocessable(str(error), expression=error.place or type, reason=reason)


def _unknown(fact: Facts, lost: UUID) -> Unprocessable:
    """Hidden and absent alike."""
    text = f"この Patient は登録されていません。Patient/{lost} is not known here"
    place = f"{fact.type}.{subject_element(fact.type)}"
    return Unprocessable(text, expression=place, reason="patient-unknown")


def _ending(fact: Facts) -> Unprocessable:
    """To whoever sees the Patient: the contract for this record is ending (解約), and nothing new is taken."""
    text = (
        "解約の手続き中のため、新しい記録は受け付けません。The contract for this record is ending; nothing new is taken"
    )
    return Unprocessable(text, expression=f"{fact.type}.{subject_element(fact.type)}", reason="record-closing")


def _not_coverable(fact: Facts) -> Unprocessable:
    if not fact.subjects and fact.type not in OPEN_TYPES:
        place = f"{fact.type}.{subject_element(fact.type)}"
        text = "どの Patient の記録かが必要です。this type must name the Patient it is about"
        return Unprocessable(text, expression=place, reason="patient-missing")
    return Unprocessable("this may not be written for this person", expression=fact.type)
