"""Records whose Consents do something: what the family writes is given or withdrawn, what others write is proposed.

Every way of writing ends in `create_all`, `_replace` or `delete` (POST, PUT, PATCH, conditional forms, Bundles,
imports), so the three are all that is changed here. See decisions/consents-do-something.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any
from uuid import uuid4

from django.db import transaction

from consent import audit, authoring, fhir_consent, grants, proposals, stopping
from consent.asking import FAMILY
from consent.audit import Event
from consent.clauses import Malformed, clause_from_json
from consent.fhir_consent import Reading, Reason, normalise
from consent.models import Grant, Organization, Person, Subject
from consent.refusal import Because, Refusal
from phr.records import body
from phr.records.admission import at
from phr.records.gateway import Change, Conflict, Records, Unprocessable
from phr.records.store import Stored
from phr.trust import consent_parts, consents

DOCUMENTS = frozenset({"treatment", "adr"})  # consents to care itself: kept as documents, they share nothing
ENDS = frozenset({"inactive", "rejected", "entered-in-error"})
# What stays of a Consent the family wrote that waits; anything else could tell which guardian it was (G-05).
SHOWN = frozenset({
    "resourceType", "id", "meta", "implicitRules", "language", "modifierExtension", "identifier", "status", "scope",
    "category", "patient", "dateTime", "policy", "policyRule", "provision",
})  # fmt: skip
Resource = dict[str, Any]


class ConsentRecords(Records):
    """Records as doors open them."""

    def prove(self) -> None:
        """The person must have proved lately who she is, for what she is about to consent to. Doors say how."""
        raise Unprocessable("本人確認が必要です / authentication is needed", expression="Consent", reason="step-up")

    def create_all(self, resources: Iterable[Resource], *, keep_ids: bool = False) -> list[Stored]:
        given = list(resources)
        if not any(r.get("resourceType") == "Consent" for r in given):
            return super().create_all(given, keep_ids=keep_ids)
        with self.accounted(), transaction.atomic():
            told = []
            for position, resource in enumerate(given):
                named = keep_ids and "id" in resource
                own = resource if named else {k: v for k, v in resource.items() if k != "id"}
                with at(position):
                    told.append(self._received(own) if resource.get("resourceType") == "Consent" else own)
            return super().create_all(told, keep_ids=True)

    def update(self, type: str, id: str, resource: Resource, **how: Any) -> Stored:
        with self.accounted(), transaction.atomic():
            self._hold({type})
            return super().update(type, id, resource, **how)

    def put(self, type: str, id: str, resource: Resource, **how: Any) -> tuple[Stored, bool]:
        with self.accounted(), transaction.atomic():
            self._hold({type})
            return super().put(type, id, resource, **how)

    def patch(self, type: str, id: str, change: Change, **how: Any) -> Stored:
        with self.accounted(), transaction.atomic():
            self._hold({type})
            return super().patch(type, id, change, **how)

    def lock_all(self, names: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        named = list(names)
        self._hold({type for type, _ in named})
        return super().lock_all(named)

    def _hold(self, types: set[str]) -> None:
        """The person before her Consents, as every deed of the trust does; else two deeds could wait for each other."""
        if "Consent" in types and self.caller.capacity in FAMILY and self.caller.subject is not None:
            Subject.objects.select_for_update().filter(pk=self.caller.subject).first()

    def _replace(self, current: Stored, resource: Resource) -> Stored:
        if current.type != "Consent":
            return super()._replace(current, resource)
        kept = self._with_labels(resource, current)
        draft = self._draft(
            kept, id=current.id, version=current.version + 1, author=current.facts.author, when=self._after(current)
        )
        self._admit([draft], letter="u")
        return super()._replace(current, self._changed(current, resource))

    def delete(self, type: str, id: str, **how: Any) -> Stored | None:
        """Deleting a Consent withdraws it first; where that may not be, it is not deleted either."""
        if type != "Consent":
            return super().delete(type, id, **how)
        with self.accounted(), transaction.atomic():
            self._hold({type})
            gone = super().delete(type, id, **how)
            grant = self._grant(id) if gone is not None else None
            if grant is not None and grant.state != Grant.State.INACTIVE:
                self._end(grant, "deleted")
                Grant.objects.filter(pk=grant.pk).update(projected=grant.state)
            return gone

    # -- new ----------------------------------------------------------------------------------------

    def _received(self, resource: Resource) -> Resource:
        """The Consent that is stored for the one that came; its Grant is made. Raises Rejected, Conflict."""
        id = resource.get("id") or str(uuid4())
        draft = self._draft(resource, id=id, version=1, author=self.author)
        self._admit([draft], letter="c")
        named = {**resource, "id": id}
        if not shares(resource) or resource.get("status") in ENDS or not draft.facts.subjects:
            return named
        subject = Subject.objects.get(pk=draft.facts.subjects[0])
        reading = normalise(named, consent_parts.directory(named, self))
        if self.caller.capacity not in FAMILY:
            return self._proposed(named, subject, reading)
        return self._given(named, subject, reading, None)

    def _proposed(self, resource: Resource, subject: Subject, reading: Reading) -> Resource:
        """What somebody else sent: it waits for the family, with what stands against it."""
        office = Organization.objects.filter(pk=self.caller.organization or 0).first()
        proposals.propose(
            subject=subject, reading=reading, by=None, organization=office, consent_id=resource["id"], now=self.now,
            reasons=_against(reading, self.now),
        )  # fmt: skip
        self._in_step(resource["id"])
        return {**resource, "status": "proposed"}

    def _given(self, resource: Resource, subject: Subject, reading: Reading, old: Grant | None) -> Resource:
        """What the person, or a guardian, wrote."""
        if reading.broken and reading.denies and old is None:
            proposals.deny_all(
                subject=subject, reading=reading, by=self._person, capacity=self.caller.capacity.value,
                consent_id=resource["id"], now=self.now,
            )  # fmt: skip
            self._in_step(resource["id"])
            return _without_names(resource)
        if resource.get("status") != "active" or ((reading.broken or reading.unfit) and self._may_wait(reading, old)):
            if old is not None:
                self._end(old, "superseded")
            proposals.propose(
                subject=subject, reading=reading, by=self._person, organization=None, consent_id=resource["id"],
                now=self.now,
            )  # fmt: skip
            self._in_step(resource["id"])
            return {**_without_names(resource), "status": "proposed"}
        return self._put_in_force(resource, subject, reading, old)

    def _put_in_force(self, resource: Resource, subject: Subject, reading: Reading, old: Grant | None) -> Resource:
        for reason in (*reading.broken, *reading.unfit):
            raise Unprocessable(reason.why, expression=reason.place, reason="consent")
        assert reading.root is not None
        if authoring.takes_both(reading.root):
            self.prove()
        root = reading.root

        def deed() -> Grant:
            return grants.give(
                subject=subject, root=root, by=self._person, capacity=self.caller.capacity.value, now=self.now,
                supersedes=old, ask=reading.ask, terms=consent_parts.terms(resource), consent_id=resource["id"],
            )  # fmt: skip

        made = self._done(deed, subject)
        self._in_step(resource["id"])
        return consents.projected(made, resource)

    def _may_wait(self, reading: Reading, old: Grant | None) -> bool:
        """A consent that cannot be put in force may wait where nothing hangs on it: it replaces none, and what it
        denies is an exception to what it would permit. Otherwise whoever wrote it must know that it does nothing."""
        return old is None and (reading.root is None or reading.root.permit)

    # -- changed ------------------------------------------------------------------------------------

    def _changed(self, current: Stored, resource: Resource) -> Resource:
        grant = self._grant(current.id)
        named = {**resource, "id": current.id}
        if not shares(resource) and grant is None:
            return named
        status = resource.get("status")
        standing = grant is not None and grant.state != Grant.State.INACTIVE
        if status in ENDS:
            if grant is not None and standing:
                self._end(grant, str(status))
                Grant.objects.filter(pk=grant.pk).update(projected=Grant.State.INACTIVE)
            return {**body.parse(current.body), "status": status} if standing and current.body else named
        subject = Subject.objects.get(pk=current.facts.subjects[0])
        reading = normalise(named, consent_parts.directory(named, self))
        if self.caller.capacity not in FAMILY:
            return self._proposed_anew(named, subject, reading, grant if standing else None)
        if grant is not None and standing and _same(grant, reading):
            return self._as_it_is(grant, current, named, status)
        return self._given(named, subject, reading, self._to_follow(grant if standing else None))

    def _as_it_is(self, grant: Grant, current: Stored, resource: Resource, status: object) -> Resource:
        """The same consent once more: nothing is given anew; one that was paused goes on."""
        if grant.state == Grant.State.PAUSED and status == "active":
            self._done(partial(stopping.resume, grant=grant, by=self._person, now=self.now), grant.subject)
            Grant.objects.filter(pk=grant.pk).update(projected=Grant.State.ACTIVE)
        return consents.projected(Grant.objects.get(pk=grant.pk), resource)

    def _to_follow(self, grant: Grant | None) -> Grant | None:
        """The Grant that the next version supersedes; a mere proposal, or what could not be read, just ends."""
        if grant is None or (grant.state != Grant.State.PROPOSED and not _unreadable(grant)):
            return grant
        self._end(grant, "superseded")
        return None

    def _proposed_anew(self, resource: Resource, subject: Subject, reading: Reading, old: Grant | None) -> Resource:
        if old is not None:
            if old.state != Grant.State.PROPOSED or old.proposed_by_id != self.caller.organization:
                told = "家族が同意したものは変えられません / what the family has given is theirs to change"
                raise Unprocessable(told, expression="Consent.status", reason="consent")
            self._end(old, "superseded")
        return self._proposed(resource, subject, reading)

    def _end(self, grant: Grant, reason: str) -> None:
        if self.caller.capacity in FAMILY:
            deed = partial(grants.withdraw, grant=grant, by=self._person, reason=reason, now=self.now)
            self._done(deed, grant.subject)
        elif (office := Organization.objects.filter(pk=self.caller.organization or 0).first()) is not None:
            proposals.retract(grant=grant, organization=office, now=self.now)
        grant.refresh_from_db()
        if grant.state != Grant.State.INACTIVE:
            told = "家族が同意したものは取り消せません / what the family has given is theirs to withdraw"
            raise Unprocessable(told, expression="Consent.status", reason="consent")

    # -- small things -------------------------------------------------------------------------------

    @property
    def _person(self) -> Person:
        assert self.caller.person is not None  # of the family
        return Person.objects.get(pk=self.caller.person)

    def _grant(self, id: str) -> Grant | None:
        """The newest under this Consent; one after the other share it."""
        return Grant.objects.filter(consent_id=id).select_related("subject").order_by("-pk").first()

    def _in_step(self, id: str) -> None:
        """The Consent that is about to be stored tells how its Grant stands."""
        for grant in Grant.objects.filter(consent_id=id):
            Grant.objects.filter(pk=grant.pk).update(projected=grant.state)

    def _done(self, deed: Any, subject: Subject) -> Any:
        """Do it; a no becomes one of the record's own, and stays on the log when the rest is undone."""
        try:
            return deed()
        except Refusal as no:
            self._looks.append(partial(_log_refusal, no, self.caller, subject, self.now))
            raise _as_rejection(no) from no


def shares(resource: Mapping[str, Any]) -> bool:
    """Whether a Consent is about sharing data; one to treatment, or an advance directive, is a document."""
    scope = resource.get("scope")
    codings = scope.get("coding") if isinstance(scope, Mapping) else None
    codes = {c.get("code") for c in codings or () if isinstance(c, Mapping) and c.get("system") == fhir_consent.SCOPE}
    return not codes or not codes <= DOCUMENTS


def _same(grant: Grant, reading: Reading) -> bool:
    try:
        root = clause_from_json(grant.root)
    except Malformed:
        return False
    clean = not reading.broken and not reading.unfit
    return clean and reading.root == root and reading.ask == grant.ask and grant.state != Grant.State.PROPOSED


def _unreadable(grant: Grant) -> bool:
    try:
        clause_from_json(grant.root)
    except Malformed:
        return True
    return False


def _against(reading: Reading, now: datetime) -> list[Reason]:
    """What the authoring profile has against a sound tree: it could not be accepted."""
    if reading.root is None:
        return []
    try:
        authoring.check(reading.root, now=now)
    except authoring.OutsideProfile as no:
        return [Reason(fhir_consent.element(no.place), no.why)]
    return []


def _without_names(resource: Resource) -> Resource:
    return {name: value for name, value in resource.items() if name in SHOWN}


def _as_rejection(no: Refusal) -> Exception:
    if isinstance(no, grants.Collides):
        stand = Grant.objects.filter(pk__in=no.grants).exclude(consent_id="").values_list("consent_id", flat=True)
        return Conflict(f"{no.why} ({', '.join(f'Consent/{id}' for id in stand)})")
    if no.because is Because.CONFLICT:
        return Conflict(no.why)
    place = fhir_consent.element(no.place) if no.place.startswith("root") else "Consent"
    return Unprocessable(f"{no.why} ({no.place})" if place == "Consent" and no.place else no.why, expression=place,
                         reason="consent")  # fmt: skip


def _log_refusal(no: Refusal, caller: Any, subject: Subject, now: datetime) -> None:
    detail: audit.Detail = {"because": no.because.value, "kind": type(no).__name__}
    audit.record(Event.GRANT_REFUSED, by=caller, subject=subject.pk, now=now, detail=detail)
