"""A death (G-20): nobody acts for this record any more, and nothing opens to the family by itself.

Links are frozen, consents end, the login closes. What a family may learn later is a decision of two staff persons
about one link (`guardianship.release`), as after any freeze.
"""

from __future__ import annotations

from datetime import date, datetime

from django.db import transaction
from django.db.models import F

from consent import audit, grants, guardianship, rules
from consent.audit import Event
from consent.guardianship import FreezeReason
from consent.models import Grant, Guardianship, Person, Subject
from consent.refusal import Because, Refusal


@transaction.atomic
def record(*, subject: Subject, on: date, by: Person, now: datetime) -> bool:
    """Record a death that `by`, staff of a municipality, clinic or hospital, has seen a document of.

    False where it was recorded before. Organisations keep what they wrote themselves. Raises Refusal.
    """
    if not guardianship.may_decide(by, subject.pk):
        raise Refusal("市区町村か医療機関の職員だけができます / only staff may", because=Because.FORBIDDEN)
    held = Subject.objects.select_for_update().get(pk=subject.pk)
    if on > rules.today_in_japan(now) or (held.birth_on is not None and on < held.birth_on):
        raise Refusal("日付が不正です / a date that cannot be", place="on")
    if held.died_on is not None:
        return False
    Subject.objects.filter(pk=held.pk).update(died_on=on, consent_epoch=F("consent_epoch") + 1)
    for link in Guardianship.objects.filter(subject=held, state=Guardianship.State.ACTIVE):
        guardianship.set_frozen(guardianship=link, by=by, reason=FreezeReason.DEATH, now=now)
    for grant in Grant.objects.select_for_update().filter(subject=held).exclude(state=Grant.State.INACTIVE):
        if not _denies_only(grant):
            grants.end(grant, "death", now)
    Person.objects.filter(own_subject=held).update(is_active=False)
    audit.record(Event.DEATH_RECORDED, by=by, subject=held.pk, now=now)
    return True


def _denies_only(grant: Grant) -> bool:
    """Whether a Grant permits nothing: what she refused in life stays refused."""
    return grant.state == Grant.State.ACTIVE and not grant.rows.filter(permit=True).exists()
