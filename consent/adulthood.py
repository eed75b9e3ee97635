"""Coming of age (G-16): told in time, done at the boundary, caught up with after any downtime.

What may be done never waits for this: from the first second of the 18th birthday no guardian is entitled and nothing
a guardian gave counts (`rules.adulthood`). Here links, consents and people are brought in line with it, once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import F, Q

from consent import audit, grants, notices, rules
from consent.audit import Event
from consent.decide import Capacity
from consent.models import Grant, Guardianship, JointAct, Milestone, Person, Subject
from consent.scope import Clause

WARNINGS = (180, 30, 1)  # days before
REACHED, OFFERED = "adult", "offered"
ADULTHOOD = "adulthood"  # why a Grant ended
BATCH = 500


def due(*, now: datetime) -> Iterator[Subject]:
    """Everybody for whom something is to be done now. The dead are left in peace."""
    today = rules.today_in_japan(now)
    newest = (today + timedelta(days=WARNINGS[0])).replace(day=1)
    bound = date(newest.year - rules.ADULT_AGE, newest.month, 1) + timedelta(days=62)  # generous; asked again below
    done = Milestone.objects.filter(name=OFFERED).values("subject")
    born = Subject.objects.filter(birth_on__lte=bound, state=Subject.State.ACTIVE, died_on=None)
    known = born.filter(pk__in=Guardianship.objects.values("subject")).exclude(pk__in=done)
    reached = Milestone.objects.filter(name=REACHED).values("subject")
    known = known.exclude(Q(pk__in=reached), person=None)  # grown up, and nobody there to ask
    for subject in known.order_by("birth_on", "pk").iterator(BATCH):
        if _step(subject, today) is not None:
            yield subject


@transaction.atomic
def advance(*, subject: Subject, now: datetime) -> list[Guardianship]:
    """Do for one person what is due, each step once. Returns the links that ended now: their tokens are to be revoked.

    After a downtime only the nearest warning is given.
    """
    held = Subject.objects.select_for_update().get(pk=subject.pk)
    if held.birth_on is None or held.died_on is not None or held.state != Subject.State.ACTIVE:
        return []
    step = _step(held, rules.today_in_japan(now))
    if step is None:
        return []
    if step:
        _warn(held, step, now)
        return []
    ended = _come_of_age(held, now)
    _offer(held, now)
    return ended


def _step(subject: Subject, today: date) -> int | None:
    """The nearest warning that is due, in days; 0 = adult; None = not yet."""
    assert subject.birth_on is not None
    left = (rules.first_day_of(subject.birth_on, rules.ADULT_AGE) - today).days
    if left <= 0:
        return 0
    return min((days for days in WARNINGS if left <= days), default=None)


def _warn(subject: Subject, days: int, now: datetime) -> None:
    first = _first_time(subject, f"warned-{days}", now)
    for earlier in WARNINGS:
        if earlier > days:
            _first_time(subject, f"warned-{earlier}", now)
    if first:
        notices.tell(
            notices.Kind.ADULTHOOD_NEAR, to=notices.family_of(subject, now=now), subject=subject.pk, now=now,
            detail={"days": days},
        )  # fmt: skip


def _come_of_age(subject: Subject, now: datetime) -> list[Guardianship]:
    if not _first_time(subject, REACHED, now):
        return []
    assert subject.birth_on is not None
    last = rules.first_day_of(subject.birth_on, rules.ADULT_AGE)
    links = list(
        Guardianship.objects.select_for_update().filter(subject=subject).exclude(state=Guardianship.State.ENDED)
    )
    for link in links:
        link.state = Guardianship.State.ENDED
        link.ends_on = max(link.starts_on, last if link.ends_on is None else min(last, link.ends_on))
        link.save(update_fields=["state", "ends_on"])
    JointAct.objects.filter(subject=subject, state__in=[JointAct.State.PENDING, JointAct.State.AGREED]).update(
        state=JointAct.State.REFUSED, settled_at=now
    )
    given = Grant.objects.select_for_update().filter(subject=subject, capacity=Capacity.GUARDIAN)
    for grant in given.exclude(state=Grant.State.INACTIVE):
        grants.end(grant, "not agreed" if grant.state == Grant.State.PROPOSED else ADULTHOOD, now)
    Subject.objects.filter(pk=subject.pk).update(consent_epoch=F("consent_epoch") + 1)
    audit.record(Event.ADULTHOOD_REACHED, by=None, subject=subject.pk, now=now, detail={"count": len(links)})
    return links


def _offer(subject: Subject, now: datetime) -> None:
    """What guardians gave to others is put before the new adult, as soon as she has a login: it waits for her yes."""
    adult = Person.objects.filter(own_subject=subject, is_active=True).first()
    if adult is None or not _first_time(subject, OFFERED, now):
        return
    ended = Grant.objects.filter(
        subject=subject, capacity=Capacity.GUARDIAN, state=Grant.State.INACTIVE, ended_reason=ADULTHOOD
    )
    offered = [_offered(grant, now) for grant in ended.order_by("pk") if _permits_others(grant)]
    notices.tell(
        notices.Kind.ADULTHOOD_REACHED, to=[adult], subject=subject.pk, now=now, detail={"count": len(offered)}
    )
    for grant in offered:
        notices.tell(notices.Kind.GRANT_PROPOSED, to=[adult], subject=subject.pk, now=now, detail={"grant": grant.pk})


def _offered(old: Grant, now: datetime) -> Grant:
    return Grant.objects.create(
        subject=old.subject, given_by=None, capacity="", version=old.version + 1, supersedes=old,
        state=Grant.State.PROPOSED, root=old.root, ask=old.ask, terms=old.terms, given_at=now,
    )  # fmt: skip


def _permits_others(grant: Grant) -> bool:
    """What lets an organisation or a class in is asked anew; persons a guardian let in are not."""
    try:
        return _names_others(grants.clause_from_json(grant.root))
    except grants.Malformed:
        return False


def _names_others(clause: Clause) -> bool:
    own = clause.permit and any(not a.startswith("person:") for a in clause.actors or ())
    return own or any(_names_others(child) for child in clause.clauses)


def _first_time(subject: Subject, name: str, now: datetime) -> bool:
    return Milestone.objects.get_or_create(subject=subject, name=name, defaults={"at": now})[1]
