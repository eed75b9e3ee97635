"""What both guardians must agree to (G-14, Civil Code 824-2): asked by one, answered by the other, stopped by either.

Whoever does a deed of weight for a child calls `ask` first. It answers `agreed` where the person may act alone (her
own record, or the only guardian the register knows), else the act waits. `use` before the deed makes it happen once.
What is frozen, or was never verified, need not agree and is told nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from django.db import transaction
from django.db.models import F, QuerySet

from consent import audit, effective, notices, rules
from consent.audit import Event
from consent.decide import Capacity, consenting, entitled
from consent.in_force import in_force_between
from consent.models import Grant, Guardianship, JointAct, JointAnswer, Organization, Person, Subject
from consent.refusal import Absent, Because, Refusal

LIFE = timedelta(days=30)
State = JointAct.State


class Kind(StrEnum):
    """What takes both. Add, never rename."""

    CONSENT = "consent"  # research, other purposes than care, a class of recipients
    ERASURE = "erasure"
    TRANSFER = "transfer"
    CLOSING = "closing"
    PROVISION = "provision"  # the answer where a consent asks each time


@transaction.atomic
def ask(
    *,
    kind: Kind,
    subject: Subject,
    by: Person,
    now: datetime,
    grant: Grant | None = None,
    detail: audit.Detail | None = None,
) -> JointAct:
    """Ask for a deed on this record; the same question again gives the same act. Look at its `state`.

    `grant`: the proposed Grant that becomes active when everybody agrees. `detail`: which deed exactly, in ids and
    codes. Raises Absent for somebody who is neither the person herself nor a guardian; Refusal for a guardian from 16
    on, and for the young person before (G-10).
    """
    current = Subject.objects.select_for_update().get(pk=subject.pk)
    in_force = in_force_between(by.pk, subject.pk, now=now)
    capacity = entitled(in_force, now)
    if capacity is None:
        raise Absent
    if consenting(in_force, now) is None:
        own = capacity is Capacity.SELF
        raise Refusal("16歳からできます / from 16 years of age" if own else
                      "本人だけができます / only the young person may", because=Because.FORBIDDEN)  # fmt: skip
    told = audit.checked(detail)
    act = _open(current, now).filter(kind=kind.value, grant=grant, detail=told).first()
    if act is None:
        act = JointAct.objects.create(
            subject=current, kind=kind.value, grant=grant, detail=told, asked_by=by, asked_at=now, expires_at=now + LIFE
        )
        _say(Event.JOINT_ACT_ASKED, act, by, now)
    if capacity is Capacity.SELF:
        _agreed(act, by, now)
        return act
    JointAnswer.objects.get_or_create(act=act, person=by, defaults={"at": now})
    if not _settle(act, by, now) and act.asked_by_id == by.pk and act.asked_at == now:
        others = [link.person for link in must_agree(current, now) if link.person_id != by.pk]
        notices.tell(
            notices.Kind.JOINT_ACT_ASKED, to=others, subject=current.pk, now=now,
            detail={"joint_act": act.pk, "kind": act.kind},
        )  # fmt: skip
    return act


@transaction.atomic
def agree(*, act: JointAct, by: Person, now: datetime) -> JointAct:
    """One guardian's yes. Raises Absent (not hers to answer), Refusal where it is settled or over."""
    current = _held(act, by, now)
    if current.state == State.AGREED:
        return current
    if current.state != State.PENDING:
        raise Refusal("すでに終わっています / already settled", because=Because.CONFLICT)
    JointAnswer.objects.get_or_create(act=current, person=by, defaults={"at": now})
    _settle(current, by, now)
    return current


@transaction.atomic
def refuse(*, act: JointAct, by: Person, now: datetime) -> JointAct:
    """Any guardian's no, or whoever asked takes it back: it settles the act. Staff are told of two who disagree."""
    current = _held(act, by, now)
    if current.state == State.DONE:
        raise Refusal("すでに実行されています / already done", because=Because.CONFLICT)
    if current.state == State.REFUSED:
        return current
    _settled(current, State.REFUSED, now)
    if current.grant is not None and current.grant.state == Grant.State.PROPOSED:
        Grant.objects.filter(pk=current.grant.pk).update(
            state=Grant.State.INACTIVE, ended_at=now, ended_reason="refused by a guardian"
        )
    _say(Event.JOINT_ACT_REFUSED, current, by, now)
    if current.asked_by_id != by.pk:
        tell_desks(current.subject, now, {"joint_act": current.pk, "kind": current.kind})
    return current


@transaction.atomic
def use(*, act: JointAct, now: datetime) -> None:
    """Do it once: call it in the transaction of the deed. Raises Refusal where it is not agreed, used or over."""
    current = JointAct.objects.select_for_update().get(pk=act.pk)
    if current.state != State.AGREED or current.expires_at <= now:
        raise Refusal("保護者二人の同意が必要です / both guardians must agree", because=Because.CONFLICT)
    _settled(current, State.DONE, now)
    act.state = current.state


def of(subject: Subject, *, now: datetime) -> list[JointAct]:
    """What waits, or may be done, for this record now; newest first."""
    return list(_open(subject, now).select_related("grant").order_by("-asked_at", "-pk"))


def must_agree(subject: Subject, now: datetime) -> list[Guardianship]:
    """The links whose persons all must say yes: verified and not frozen. One that is due for review still counts."""
    today = rules.today_in_japan(now)
    links = Guardianship.objects.filter(subject=subject, state=Guardianship.State.ACTIVE, starts_on__lte=today)
    return [x for x in links.select_related("person").order_by("pk") if x.ends_on is None or today < x.ends_on]


def alone(subject: Subject, by: Person, now: datetime) -> bool:
    """Whether one guardian is enough: the register knows no other (単独親権), or the other is frozen."""
    links = must_agree(subject, now)
    if {link.person_id for link in links} != {by.pk}:
        return False
    frozen = Guardianship.objects.filter(subject=subject, state=Guardianship.State.FROZEN).exclude(person=by)
    return any(link.sole for link in links) or frozen.exists()


def carry_over(old: Grant, made: Grant) -> None:
    """What everybody agreed to stays agreed when less of it is left: `made` is `old` with a part withdrawn."""
    act = JointAct.objects.filter(grant=old, state=State.DONE).first()
    if act is None:
        return
    answers = list(act.answers.all())
    act.pk, act.grant = None, made
    act.save(force_insert=True)
    JointAnswer.objects.bulk_create(JointAnswer(act=act, person_id=x.person_id, at=x.at) for x in answers)


def tell_desks(subject: Subject, now: datetime, detail: audit.Detail) -> None:
    """G-15: guardians disagree; the desks that verified them are told."""
    desks = Organization.objects.filter(
        pk__in=Guardianship.objects.filter(subject=subject)
        .exclude(state=Guardianship.State.ENDED)
        .values("verified_by__organization")
    )
    for desk in desks:
        notices.tell_organization(notices.Kind.GUARDIANS_DISAGREE, to=desk, subject=subject.pk, now=now, detail=detail)


def drop_asked_by(person: Person, subject: Subject, *, now: datetime) -> None:
    """What somebody asked who may ask no longer (frozen, ended) waits no longer; nobody is told why."""
    acts = JointAct.objects.filter(subject=subject, asked_by=person, state__in=[State.PENDING, State.AGREED])
    for act in acts.select_for_update():
        _settled(act, State.REFUSED, now)
        Grant.objects.filter(joint_act=act, state=Grant.State.PROPOSED).update(
            state=Grant.State.INACTIVE, ended_at=now, ended_reason="asked by somebody who may not"
        )


def _open(subject: Subject, now: datetime) -> QuerySet[JointAct]:
    return JointAct.objects.filter(subject=subject, state__in=[State.PENDING, State.AGREED], expires_at__gt=now)


def _held(act: JointAct, by: Person, now: datetime) -> JointAct:
    Subject.objects.select_for_update().get(pk=act.subject_id)
    current = JointAct.objects.select_for_update(of=("self",)).select_related("grant", "subject").get(pk=act.pk)
    if entitled(in_force_between(by.pk, act.subject_id, now=now), now) is not Capacity.GUARDIAN:
        raise Absent
    if current.expires_at <= now:
        raise Absent
    return current


def _settle(act: JointAct, by: Person, now: datetime) -> bool:
    """Whether everybody agrees by now."""
    if act.state != State.PENDING:
        return act.state == State.AGREED
    needed = {link.person_id for link in must_agree(act.subject, now)}
    said = set(act.answers.values_list("person_id", flat=True))
    enough = needed <= said and (len(needed) > 1 or alone(act.subject, by, now))
    if enough:
        _agreed(act, by, now)
    return enough


def _agreed(act: JointAct, by: Person, now: datetime) -> None:
    if act.state == State.AGREED:
        return
    if act.grant is not None:
        _activate(act.grant, now)
    _settled(act, State.AGREED if act.grant is None else State.DONE, now)
    _say(Event.JOINT_ACT_AGREED, act, by, now)


def _activate(grant: Grant, now: datetime) -> None:
    """The Grant that waited counts from now on, in place of the one it supersedes. Raises Refusal from 16 on."""
    subject = grant.subject
    age = None if subject.birth_on is None else rules.age_on(subject.birth_on, rules.today_in_japan(now))
    if grant.capacity == Capacity.GUARDIAN and (age is None or age >= rules.OWN_CONSENT_AGE):
        raise Refusal("16歳からは本人が同意します / from 16 the young person consents", because=Because.CONFLICT)
    if grant.state != Grant.State.PROPOSED:
        raise Refusal("この同意はもう待っていません / this consent waits no longer", because=Because.CONFLICT)
    if grant.supersedes is not None and grant.supersedes.state != Grant.State.INACTIVE:
        _end(grant.supersedes, "superseded", now)
    grant.state = Grant.State.ACTIVE
    grant.save(update_fields=["state"])
    effective.rebuild(grant)
    Subject.objects.filter(pk=subject.pk).update(consent_epoch=F("consent_epoch") + 1)


def _end(grant: Grant, reason: str, now: datetime) -> None:
    grant.state, grant.ended_at, grant.ended_reason = Grant.State.INACTIVE, now, reason
    grant.save(update_fields=["state", "ended_at", "ended_reason"])
    effective.rebuild(grant)


def _settled(act: JointAct, state: JointAct.State, now: datetime) -> None:
    act.state, act.settled_at = state, now
    act.save(update_fields=["state", "settled_at"])


def _say(event: Event, act: JointAct, by: Person, now: datetime) -> None:
    told: dict[str, audit.Value] = {"joint_act": act.pk, "kind": act.kind}
    audit.record(event, by=by, subject=act.subject_id, now=now, detail=told | {"grant": act.grant_id})
