"""Deeds of guardianship that also take the tokens away: in one transaction with the change they follow from.

What a token opens is decided on every request, so a stopped link opens nothing even before; here the launches end,
so that nothing comes back to life when a link does (refresh tokens, codes).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from consent import adulthood, death, guardianship, proxies
from consent.decide import Capacity
from consent.guardianship import FreezeReason
from consent.models import Guardianship, Person, Subject
from phr.smart.models import Launch


def sever(*, now: datetime, **about: Any) -> int:
    """End every launch that is about this (`person`, `subject`, `capacity`). Returns how many."""
    return Launch.objects.filter(revoked_at=None, **about).update(revoked_at=now)


@transaction.atomic
def freeze(*, guardianship_id: int, by: Person, reason: FreezeReason, now: datetime) -> Guardianship:
    """`guardianship.set_frozen`, and the guardian's tokens for this child end: the one freeze that doors reach.

    Raises UnableToChangeLink, DoesNotExist.
    """
    link = Guardianship.objects.get(pk=guardianship_id)
    guardianship.set_frozen(guardianship=link, by=by, reason=reason, now=now)
    _sever_link(link, now)
    return link


@transaction.atomic
def end(*, guardianship_id: int, by: Person, reason: str, now: datetime) -> Guardianship:
    """`guardianship.end`, and the guardian's tokens for this child end. Raises UnableToChangeLink, DoesNotExist."""
    link = Guardianship.objects.get(pk=guardianship_id)
    guardianship.end(guardianship=link, by=by, reason=reason, now=now)
    _sever_link(link, now)
    return link


@transaction.atomic
def come_of_age(*, subject: Subject, now: datetime) -> int:
    """`adulthood.advance`, and the tokens of the guardians whose links ended end with them. Returns how many links."""
    ended = adulthood.advance(subject=subject, now=now)
    for link in ended:
        _sever_link(link, now)
    return len(ended)


def catch_up(*, now: datetime) -> int:
    """Everybody who is due (G-16), each in a transaction of her own. Returns how many links ended."""
    return sum(come_of_age(subject=subject, now=now) for subject in adulthood.due(now=now))


@transaction.atomic
def record_death(*, subject: Subject, by: Person, now: datetime, **told: object) -> bool:
    """`death.record`, and every token about this record that a person holds ends."""
    made = death.record(subject=subject, by=by, now=now, **told)  # type: ignore[arg-type]
    for capacity in (Capacity.SELF, Capacity.GUARDIAN, Capacity.PROXY):
        sever(subject_id=subject.pk, capacity=capacity.value, now=now)
    return made


@transaction.atomic
def suspend_credential(*, person: Person, by: Person | None, now: datetime) -> int:
    """`proxies.suspend_credential`, and every token of this person ends."""
    stopped = proxies.suspend_credential(person=person, by=by, now=now)
    sever(person_id=person.pk, now=now)
    return stopped


def sever_record(subject: UUID, *, now: datetime) -> int:
    """Nothing bound to this record goes on."""
    return sever(subject_id=subject, now=now)


def _sever_link(link: Guardianship, now: datetime) -> None:
    about: Mapping[str, Any] = {"person_id": link.person_id, "subject_id": link.subject_id}
    sever(now=now, capacity=Capacity.GUARDIAN.value, **about)
