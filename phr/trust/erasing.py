"""Erasing a record on request (IT-14): crypto-shredding, in one transaction. A process that dies half-way has done
nothing, and the sweep begins again.

What stays is a pseudonym: the Subject's number, its Grants' history without own words, provision records and the log,
whose details no key opens any more and whose seals hold. What an account was for beside this record, a guardian's or a
colleague's, stays too; an account without any such use is emptied.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F

from consent import audit, erasures, grants, joint, overdue, rules
from consent.audit import Event
from consent.models import (
    Complaint,
    Erasure,
    Grant,
    Guardianship,
    JointAct,
    LegalHold,
    Mandate,
    Notice,
    Organization,
    Person,
    Provision,
    Subject,
    Transfer,
)
from consent.notices import Kind, family_of, tell, tell_organization
from phr.records import shredding
from phr.records.shredding import Shredded
from phr.trust import receiving

Forget = Callable[[UUID, Person | None], None]  # tokens and credentials: of a record, and of an account that empties


def run_due(*, now: datetime, forget: Forget) -> int:
    """Erase what is due, each by itself, and whatever of erased persons came back; returns how many records."""
    done = sum(run(id, now=now, forget=forget) for id in erasures.due(now=now))
    for moved in erasures.moved_out(now=now):
        done += again(moved, now=now, forget=forget)
    for subject in shredding.left_over():
        with transaction.atomic():
            shredding.shred(subject)
    return done


@transaction.atomic
def run(id: int, *, now: datetime, forget: Forget) -> bool:
    """Erase one record whose time has come. False where it is not wanted, or may not be, any more; or was done."""
    erasure = Erasure.objects.select_related("subject", "asked_by").get(pk=id)
    Subject.objects.select_for_update().get(pk=erasure.subject_id)
    erasure.refresh_from_db(fields=["state", "due_at"])
    if erasure.state != Erasure.State.WAITING:
        return False
    match erasures.still_wanted(erasure, now=now):
        case None:
            erasure.state, erasure.ended_at = Erasure.State.DONE, now
            erasure.save(update_fields=["state", "ended_at"])
            _erase(erasure.subject, now=now, forget=forget)
            return True
        case "hold" if erasure.closing:
            _lock(erasure, now)
            return False
        case "hold" | "not yet":
            return False
        case why:
            erasure.state, erasure.ended_at = Erasure.State.CANCELLED, now
            erasure.save(update_fields=["state", "ended_at"])
            audit.record(Event.ERASURE_REFUSED, by=None, subject=erasure.subject_id, now=now, detail={"because": why})
            return False


@transaction.atomic
def again(id: UUID, *, now: datetime, forget: Forget) -> bool:
    """Erase what needs no request any more: what a restored backup brought back, or what moved out and was signed for.
    False: erased, or not here."""
    subject = Subject.objects.select_for_update().filter(pk=id).exclude(state=Subject.State.ERASED).first()
    if subject is None:
        return False
    _erase(subject, now=now, forget=forget)
    return True


def _lock(closing: Erasure, now: datetime) -> None:
    """Its time has come, and a law bids to keep it: nobody opens it any more; erased when the last hold is over."""
    subject = closing.subject
    if subject.state != Subject.State.ACTIVE or closing.due_at > now:
        return
    family = family_of(subject, now=now)
    Subject.objects.filter(pk=subject.pk).update(state=Subject.State.LOCKED, consent_epoch=F("consent_epoch") + 1)
    audit.record(Event.SUBJECT_LOCKED, by=None, subject=subject.pk, now=now, detail={"erasure": closing.pk})
    tell(Kind.RECORD_CLOSED, to=family, subject=None, now=now, detail={"erasure": closing.pk})


def _erase(subject: Subject, *, now: datetime, forget: Forget) -> Shredded:
    """In the order in which things stop: access first, then what is told, then what is kept."""
    family = family_of(subject, now=now)
    Subject.objects.filter(pk=subject.pk).update(
        state=Subject.State.ERASED, birth_on=None, consent_epoch=F("consent_epoch") + 1
    )
    _end_rights(subject, now)
    _hide_birth(subject)
    _tell_recipients(subject, now)
    Notice.objects.filter(subject=subject, person__isnull=False).delete()
    tell(Kind.RECORD_ERASED, to=family, subject=None, now=now)
    LegalHold.objects.filter(subject=subject).update(reason="")
    audit.record(Event.SUBJECT_ERASED, by=None, subject=subject.pk, now=now)
    gone = shredding.shred(subject.pk)
    forget(subject.pk, _emptied(subject))
    return gone


def _end_rights(subject: Subject, now: datetime) -> None:
    """Provisions (whoever got something must delete it), the mandate, Grants, links and what waits for guardians end;
    own words in them go."""
    for provision in Provision.objects.filter(subject=subject, state__in=overdue.OPEN):
        overdue.end(provision=provision, reason="erased", by=None, now=now)
    Mandate.objects.filter(subject=subject, ended_at=None).update(ended_at=now)
    for grant in Grant.objects.filter(subject=subject).exclude(state=Grant.State.INACTIVE):
        grants.end(grant, "", now)
    Grant.objects.filter(subject=subject).update(ended_reason="")
    open_links = Guardianship.objects.filter(subject=subject).exclude(state=Guardianship.State.ENDED)
    open_links.update(state=Guardianship.State.ENDED, ends_on=rules.today_in_japan(now))
    waiting = JointAct.objects.filter(subject=subject, state__in=[joint.State.PENDING, joint.State.AGREED])
    waiting.update(state=joint.State.REFUSED, settled_at=now)
    tickets = Complaint.objects.filter(subject=subject).exclude(state=Complaint.State.CLOSED)
    tickets.update(state=Complaint.State.CLOSED, closed_at=now)  # nobody can read their words any more


def _hide_birth(subject: Subject) -> None:
    """A guardian's link begins with the birth and may end with adulthood, a package's manifest names the day: what
    stays tells the year, and of the manifest the digest that its receipt names."""
    grown = None if subject.birth_on is None else rules.first_day_of(subject.birth_on, rules.ADULT_AGE)
    for link in Guardianship.objects.filter(subject=subject):
        link.starts_on = link.starts_on.replace(month=1, day=1)
        if link.ends_on is not None and link.ends_on == grown:
            link.ends_on = link.ends_on.replace(month=12, day=31)
        link.save(update_fields=["starts_on", "ends_on"])
    for move in Transfer.objects.filter(subject=subject, manifest__isnull=False):
        move.manifest = {"digest": receiving.digest_kept(move.manifest)}
        move.save(update_fields=["manifest"])


def _tell_recipients(subject: Subject, now: datetime) -> None:
    """Organisations a Grant named must know that what they were given rests on nothing any more."""
    named = set()
    for root in Grant.objects.filter(subject=subject).values_list("root", flat=True):
        named |= _organizations(root)
    for organization in Organization.objects.filter(pk__in=named).order_by("pk"):
        tell_organization(Kind.RECORD_ERASED, to=organization, subject=subject.pk, now=now)


def _organizations(node: object) -> set[int]:
    """The organisations that a stored Clause names, at any depth."""
    if isinstance(node, str) and node.startswith("org:") and node[4:].isdigit():
        return {int(node[4:])}
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return set().union(*map(_organizations, inner))


def _emptied(subject: Subject) -> Person | None:
    """The account of this record, cut off from it; returned where it was for nothing else, and is emptied."""
    person = Person.objects.select_for_update(of=("self",)).filter(own_subject=subject).first()
    if person is None:
        return None
    person.own_subject = None
    guards = Guardianship.objects.filter(person=person).exclude(state=Guardianship.State.ENDED).exists()
    if guards or person.organization_id is not None or person.is_staff:
        person.save(update_fields=["own_subject"])
        return None
    person.username, person.name, person.kana, person.is_active = f"erased-{subject.pk.hex}", "", "", False
    person.set_unusable_password()
    person.save()
    return person
