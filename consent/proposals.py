"""Consents that somebody sent for a person: they count for nothing until she, or a guardian, says yes (E-7)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from consent import audit, effective, grants, notices
from consent.audit import Event
from consent.clauses import Malformed, clause_from_json, clause_to_json
from consent.fhir_consent import Reading, Reason
from consent.grants import UnableToGive, accountably
from consent.models import Grant, Organization, Person, Subject
from consent.receipts import Terms
from consent.refusal import Because

BROKEN = "broken"  # the key under which an unreadable one is kept: no tree, so it is read as malformed


def propose(
    *,
    subject: Subject,
    reading: Reading,
    by: Person | None,
    organization: Organization | None,
    consent_id: str,
    now: datetime,
    reasons: Iterable[Reason] = (),
) -> Grant:
    """Keep a consent that does not count yet, with why, and tell the family. In the caller's transaction.

    One that cannot be read is kept without a tree; `enforce_broken` is what makes it deny.
    """
    told = [*reading.broken, *reading.unfit, *reasons]
    root = _tree(reading)
    grant = Grant.objects.create(
        subject=subject, given_by=by, proposed_by=organization, capacity="", root=root, given_at=now,
        state=Grant.State.PROPOSED, reasons=[{"place": r.place, "why": r.why} for r in told][:50], ask=reading.ask,
        consent_id=consent_id, terms=Terms(names=_names(root)).as_json(),
    )  # fmt: skip
    audit.record(Event.GRANT_PROPOSED, by=by, subject=subject.pk, now=now, detail={"grant": grant.pk})
    _tell_family(grant, now)
    return grant


def deny_all(*, subject: Subject, reading: Reading, by: Person, capacity: str, consent_id: str, now: datetime) -> Grant:
    """E-5: what the person, or a guardian, wrote cannot be read and denies something: deny all to third parties
    until it is fixed. She is told. In the caller's transaction.
    """
    grant = Grant.objects.create(
        subject=subject, given_by=by, capacity=capacity, root=_tree(reading), given_at=now, consent_id=consent_id,
        reasons=[{"place": r.place, "why": r.why} for r in reading.broken][:50], terms=Terms().as_json(),
    )  # fmt: skip
    effective.rebuild(grant)
    grants.raise_epoch(subject)
    audit.record(
        Event.GRANT_GIVEN, by=by, subject=subject.pk, now=now,
        detail={"grant": grant.pk, "grant_version": 1, "capacity": capacity, "because": "malformed"},
    )  # fmt: skip
    _tell_family(grant, now)
    return grant


def accept(*, grant: Grant, by: Person, capacity: str, now: datetime, terms: Terms | None = None) -> Grant:
    """Say yes: a Grant of the person's own in its place. Raises UnableToGive, and as `grants.give`."""
    with accountably(grant.subject_id, by=by, now=now, grant=grant.pk):
        Subject.objects.select_for_update().get(pk=grant.subject_id)  # before its Grants, as every deed does
        current = Grant.objects.select_for_update(of=("self",)).select_related("subject").get(pk=grant.pk)
        if current.state != Grant.State.PROPOSED or current.given_by_id is not None or current.reasons:
            raise UnableToGive("承認できる提案ではありません / it is no proposal that can be accepted",
                               because=Because.CONFLICT)  # fmt: skip
        try:
            root = clause_from_json(current.root)
        except Malformed as error:
            raise UnableToGive("読めない提案です / it cannot be read", because=Because.CONFLICT) from error
        return grants.give(
            subject=current.subject, root=root, by=by, capacity=capacity, now=now, supersedes=current, terms=terms,
            ask=current.ask,
        )  # fmt: skip


@transaction.atomic
def retract(*, grant: Grant, organization: Organization, now: datetime) -> None:
    """The organisation takes back what it proposed; what was accepted since is not its own any more."""
    Subject.objects.select_for_update().get(pk=grant.subject_id)
    current = Grant.objects.select_for_update().get(pk=grant.pk)
    if current.state == Grant.State.PROPOSED and current.proposed_by_id == organization.pk:
        grants.end(current, "retracted", now)
        audit.record(
            Event.GRANT_WITHDRAWN, by=None, subject=current.subject_id, now=now,
            detail={"grant": current.pk, "because": "retracted"},
        )  # fmt: skip


def _tree(reading: Reading) -> dict[str, object]:
    if reading.root is not None:
        return clause_to_json(reading.root)
    return {"permit": not reading.denies, BROKEN: True}


def _names(root: object) -> dict[str, str]:
    """What those who are named are called, as far as they are known."""
    try:
        named = grants.actors_of(clause_from_json(root))
    except Malformed:
        return {}
    known = Organization.objects.filter(pk__in=[int(a[4:]) for a in named if a.startswith("org:")])
    return {f"org:{o.pk}": o.name for o in known}


def _tell_family(grant: Grant, now: datetime) -> None:
    family = notices.family_of(grant.subject, now=now)
    notices.tell(
        notices.Kind.GRANT_PROPOSED, to=family, subject=grant.subject_id, now=now,
        detail={"grant": grant.pk, "because": "malformed" if BROKEN in grant.root else "proposed"},
    )  # fmt: skip
