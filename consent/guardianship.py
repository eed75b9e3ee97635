"""Who acts for whom. A link is verified by staff, never by the guardian; a freeze is silent (G-04, G-06, G-07)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from consent import audit, effective, grants, joint, kin, rules
from consent.audit import Event
from consent.decide import Capacity, entitled
from consent.in_force import in_force_between
from consent.models import AuditEntry, Grant, Guardianship, Organization, Person, Subject
from consent.refusal import Because, Refusal

REVIEW_MONTHS = 24
SOON = timedelta(days=60)  # a review that is due within shows in the queue
_DESKS = frozenset({Organization.Kind.MUNICIPALITY, Organization.Kind.CLINIC, Organization.Kind.HOSPITAL})

_E, _K = Guardianship.Evidence, Guardianship.Kind
REGISTERS = frozenset({_E.FAMILY_REGISTER, _E.COURT_ORDER})  # what shows that there is no other guardian
# G-19: which evidence shows which kind of link
SHOWN_BY = {
    _K.PARENT: frozenset(_E),
    _K.ADOPTIVE: frozenset({_E.FAMILY_REGISTER, _E.COURT_ORDER}),
    _K.FOSTER: frozenset({_E.RESIDENT_RECORD, _E.COURT_ORDER}),
    _K.APPOINTED: frozenset({_E.FAMILY_REGISTER, _E.COURT_ORDER, _E.CLINIC_IN_PERSON}),
    _K.INSTITUTION: frozenset({_E.COURT_ORDER}),
}


class UnableToLink(Refusal):
    """The link is not made; the message says why in both languages."""


class UnableToChangeLink(Refusal):
    """The link is not frozen, unfrozen, renewed or ended; the message says why in both languages."""

    because = Because.CONFLICT


class FreezeReason(StrEnum):
    SUPPORT_MEASURE = "support-measure"  # 支援措置
    COURT_ORDER = "court-order"
    CHILD_PROTECTION = "child-protection"
    REVIEW = "review"
    DEATH = "death"


def standing(person: Person, subject: Subject, now: datetime) -> Capacity | None:
    """The capacity in which a person acts for a record now: self, guardian, or none. One query."""
    return entitled(in_force_between(person.pk, subject.pk, now=now), now)


@transaction.atomic
def link(
    *,
    person: Person,
    subject: Subject,
    kind: Guardianship.Kind,
    evidence: Guardianship.Evidence,
    starts_on: date,
    review_on: date,
    by: Person,
    now: datetime,
    ends_on: date | None = None,
    sole: bool = False,
) -> Guardianship:
    """Link a guardian to a child on evidence that `by`, staff of a municipality or clinic, has seen.

    `sole`: the register knows no other guardian. Raises UnableToLink: not such staff, verifying oneself, an adult or
    a child of unknown age, evidence that does not show this, a review later than 24 months, an empty period, a link
    that is already open.
    """
    _locked(subject)
    today = rules.today_in_japan(now)
    if fault := _link_fault(person, subject, evidence, by, today):
        raise UnableToLink(fault)
    if evidence not in SHOWN_BY[kind] or (sole and evidence not in REGISTERS):
        raise UnableToLink("この書類では確認できません / this evidence does not show it", place="evidence")
    if subject.birth_on is not None and starts_on < subject.birth_on:
        raise UnableToLink("出生より前には始まりません / not before the birth", place="starts_on")
    if not today <= review_on <= rules.months_after(today, REVIEW_MONTHS) or (ends_on and ends_on <= starts_on):
        raise UnableToLink("期間または見直し日が不正です / the period or the review date is out of bounds")
    if Guardianship.objects.filter(person=person, subject=subject).exclude(state=Guardianship.State.ENDED).exists():
        raise UnableToLink("すでに登録されています / already linked")
    made = Guardianship.objects.create(
        person=person, subject=subject, kind=kind, evidence=evidence, verified_by=by,
        starts_on=starts_on, ends_on=ends_on, review_on=review_on, sole=sole,
    )  # fmt: skip
    _told(Event.GUARDIANSHIP_LINKED, made, by, now, kind=str(kind), evidence=str(evidence))
    return made


@transaction.atomic
def set_frozen(*, guardianship: Guardianship, by: Person, reason: FreezeReason, now: datetime) -> None:
    """Stop a link at once; to the guardian it is as if there were none. Frozen stays frozen.

    Half of the deed: doors freeze by `phr.smart.severing.freeze`, which ends the guardian's tokens too.
    Raises UnableToChangeLink unless `by` is staff of a municipality, clinic or hospital.
    """
    current = _current(guardianship)
    _require_staff(current, by)
    if current.state != Guardianship.State.ACTIVE:
        return
    _set(guardianship, current, Guardianship.State.FROZEN)
    _stop_what_hangs_on(current, now)
    _told(Event.GUARDIANSHIP_FROZEN, current, by, now, reason=str(reason))


@transaction.atomic
def unfreeze(*, guardianship: Guardianship, by: Person, second: Person, now: datetime) -> None:
    """Let a frozen link stand again. It takes two staff persons (G-06).

    One of them at least is of a desk of the kind that froze it: no clinic takes back what a municipality did, nor the
    other way. Raises UnableToChangeLink for that, unless `by` and `second` are two, both such staff, and it is frozen.
    """
    current = _current(guardianship)
    _require_staff(current, by)
    _require_staff(current, second)
    if by.pk == second.pk or current.state != Guardianship.State.FROZEN:
        raise UnableToChangeLink("凍結の解除には職員2名が必要です / unfreezing takes two staff persons")
    clinical = _frozen_by_a_clinic(current)
    if all(is_municipal(one) is clinical for one in (by, second)):
        raise UnableToChangeLink(
            "凍結した種類の窓口の職員が必要です / it takes staff of the kind of desk that froze it"
        )
    current.release_asked_by = None
    _set(guardianship, current, Guardianship.State.ACTIVE)
    _told(Event.GUARDIANSHIP_UNFROZEN, current, by, now, second=second.pk)


@transaction.atomic
def release(*, guardianship: Guardianship, by: Person, now: datetime) -> bool:
    """One of the two staff persons who unfreeze: the first asks, the second does it. True: it stands again.

    Raises UnableToChangeLink as `unfreeze`; the first cannot be the second.
    """
    current = _current(guardianship)
    _require_staff(current, by)
    if current.state != Guardianship.State.FROZEN:
        raise UnableToChangeLink("凍結されていません / it is not frozen")
    first = current.release_asked_by
    if first is not None and first.pk != by.pk and is_desk(first):
        unfreeze(guardianship=guardianship, by=first, second=by, now=now)
        return True
    Guardianship.objects.filter(pk=current.pk).update(release_asked_by=by)
    _told(Event.GUARDIANSHIP_RELEASE_ASKED, current, by, now)
    return False


@transaction.atomic
def renew(
    *, guardianship: Guardianship, evidence: Guardianship.Evidence, review_on: date, by: Person, now: datetime
) -> None:
    """Keep a link that was looked at again, on evidence seen again. Raises UnableToLink, UnableToChangeLink."""
    current = _current(guardianship)
    today = rules.today_in_japan(now)
    if current.state != Guardianship.State.ACTIVE:
        raise UnableToChangeLink("有効な登録ではありません / the link does not stand")
    if fault := _link_fault(current.person, current.subject, evidence, by, today):
        raise UnableToLink(fault)
    if evidence not in SHOWN_BY[Guardianship.Kind(current.kind)]:
        raise UnableToLink("この書類では確認できません / this evidence does not show it", place="evidence")
    if not today <= review_on <= rules.months_after(today, REVIEW_MONTHS):
        raise UnableToLink("見直し日が不正です / the review date is out of bounds", place="review_on")
    Guardianship.objects.filter(pk=current.pk).update(evidence=evidence, review_on=review_on, verified_by=by)
    guardianship.refresh_from_db()
    _told(Event.GUARDIANSHIP_RENEWED, current, by, now, evidence=str(evidence))


def due_for_review(desk: Organization, *, now: datetime) -> list[Guardianship]:
    """Links this desk verified that must be looked at, the oldest first: frozen ones, whoever froze them (G-06), until
    they are let stand again or ended; and those whose review is due within 60 days or overdue."""
    due = Q(state=Guardianship.State.ACTIVE, review_on__lte=rules.today_in_japan(now) + SOON)
    links = Guardianship.objects.filter(due | Q(state=Guardianship.State.FROZEN), verified_by__organization=desk)
    return list(links.order_by("review_on", "pk"))


@transaction.atomic
def end(*, guardianship: Guardianship, by: Person, reason: str, now: datetime) -> None:
    """End a link for good. Staff may, and the guardian for herself; no guardian ends another's. `reason`: a code.

    Raises UnableToChangeLink for anybody else.
    """
    current = _current(guardianship)
    if by.pk != current.person_id:
        _require_staff(current, by)
    if current.state == Guardianship.State.ENDED:
        return
    today = rules.today_in_japan(now)
    current.ends_on = today if current.ends_on is None else min(today, current.ends_on)
    guardianship.ends_on = current.ends_on
    _set(guardianship, current, Guardianship.State.ENDED)
    _stop_what_hangs_on(current, now)
    _told(Event.GUARDIANSHIP_ENDED, current, by, now, reason=reason)


def _link_fault(person: Person, subject: Subject, evidence: str, by: Person, today: date) -> str | None:
    clinical = _kind(by) != Organization.Kind.MUNICIPALITY
    if not is_desk(by) or (clinical and evidence != "clinic-in-person") or kin.is_kin(by, subject.pk):
        return "市区町村か医療機関の職員が確認します / a municipality or clinic must verify it"
    if kin.are_kin(by, person):
        return "自分自身や家族は確認できません / nobody verifies himself or his family"
    gone = subject.state != Subject.State.ACTIVE or subject.died_on is not None
    if gone or person.own_subject_id == subject.pk or not person.is_active:
        return "この組み合わせは登録できません / these two cannot be linked"
    if subject.birth_on is not None and subject.birth_on > today:
        return "まだ生まれていません / not born yet: the pregnancy is the mother's record"
    if subject.birth_on is None or rules.guardian_ceiling(rules.age_on(subject.birth_on, today)) is None:
        return "未成年ではありません / not known to be a minor"
    return None


def may_decide(by: Person, subject: UUID) -> bool:
    """Whether the person is staff of such a desk, and this record is not of her own family."""
    return is_desk(by) and not kin.is_kin(by, subject)


def is_desk(by: Person) -> bool:
    """Whether the person is staff of an active municipality, clinic or hospital."""
    return bool(
        by.is_active
        and by.organization is not None
        and by.organization.state == Organization.State.ACTIVE
        and by.organization.kind in _DESKS
    )


def is_municipal(by: Person) -> bool:
    """Whether the person is staff of a municipality."""
    return is_desk(by) and _kind(by) == Organization.Kind.MUNICIPALITY


def _frozen_by_a_clinic(link: Guardianship) -> bool:
    """By the log. Where that is gone, it counts as a municipality's."""
    lines = AuditEntry.objects.filter(subject=link.subject_id, event=Event.GUARDIANSHIP_FROZEN.value).order_by("-pk")
    for line, told in zip(lines, audit.opened(lines), strict=True):
        if told is not None and told.get("guardianship") == link.pk:
            desk = Organization.objects.filter(pk=line.organization or 0).first()
            return desk is not None and desk.kind != Organization.Kind.MUNICIPALITY
    return False


def _kind(by: Person) -> str:
    return "" if by.organization is None else by.organization.kind


def _require_staff(guardianship: Guardianship, by: Person) -> None:
    if not is_desk(by) or kin.is_kin(by, guardianship.subject_id) or kin.are_kin(by, guardianship.person):
        raise UnableToChangeLink("市区町村か医療機関の職員だけができます / only staff of a municipality or clinic may")


def _locked(subject: Subject) -> Subject:
    """Changes of one Subject's trust come one after another."""
    return Subject.objects.select_for_update().get(pk=subject.pk)


def _current(guardianship: Guardianship) -> Guardianship:
    _locked(guardianship.subject)
    return Guardianship.objects.select_for_update().get(pk=guardianship.pk)


def _set(given: Guardianship, current: Guardianship, state: Guardianship.State) -> None:
    """Change the row, and the object the caller holds."""
    current.state = given.state = state
    current.save(update_fields=["state", "ends_on", "release_asked_by"])


def _stop_what_hangs_on(stopped: Guardianship, now: datetime) -> None:
    """What this guardian asked waits no longer, and persons let in by her go out with her (G-09).

    What was given to a clinic stays.
    """
    joint.drop_asked_by(stopped.person, stopped.subject, now=now)
    given = Grant.objects.select_for_update().filter(
        subject=stopped.subject, given_by=stopped.person, capacity=Capacity.GUARDIAN, state=Grant.State.ACTIVE
    )
    for grant in given:
        if any(row.permit and "person:" in "".join(row.grantees) for row in effective.rows_of_stored(grant)):
            grants.end(grant, "guardian stopped", now)


def _told(event: Event, made: Guardianship, by: Person, now: datetime, **detail: str | int) -> None:
    Subject.objects.filter(pk=made.subject_id).update(consent_epoch=F("consent_epoch") + 1)
    audit.record(event, by=by, subject=made.subject_id, now=now, detail={"guardianship": made.pk, **detail})
