"""Who acts for whom. A link is verified by staff, never by the guardian; a freeze is silent (G-04, G-06, G-07)."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from django.db import transaction
from django.db.models import F

from consent import audit, effective, grants, rules
from consent.audit import Event
from consent.decide import Capacity, entitled
from consent.in_force import in_force_between
from consent.models import Grant, Guardianship, Organization, Person, Subject

REVIEW_MONTHS = 24
_DESKS = frozenset({Organization.Kind.MUNICIPALITY, Organization.Kind.CLINIC, Organization.Kind.HOSPITAL})


class UnableToLink(Exception):
    """The link is not made; the message says why in both languages."""


class UnableToChangeLink(Exception):
    """The link is not frozen, unfrozen or ended; the message says why in both languages."""


class FreezeReason(StrEnum):
    SUPPORT_MEASURE = "support-measure"  # 支援措置
    COURT_ORDER = "court-order"
    CHILD_PROTECTION = "child-protection"
    REVIEW = "review"


def may_act_for(person: Person, subject: Subject, now: datetime) -> bool:
    """Whether the person acts for this record now: it is her own, or her guardianship stands."""
    return standing(person, subject, now) is not None


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
) -> Guardianship:
    """Link a guardian to a child on evidence that `by`, staff of a municipality or clinic, has seen.

    Raises UnableToLink: not such staff, verifying oneself, an adult or a child of unknown age, a review
    later than 24 months, an empty period, a link that is already open.
    """
    _locked(subject)
    today = rules.today_in_japan(now)
    if fault := _link_fault(person, subject, evidence, by, today):
        raise UnableToLink(fault)
    if not today <= review_on <= rules.months_after(today, REVIEW_MONTHS) or (ends_on and ends_on <= starts_on):
        raise UnableToLink("期間または見直し日が不正です / the period or the review date is out of bounds")
    if Guardianship.objects.filter(person=person, subject=subject).exclude(state=Guardianship.State.ENDED).exists():
        raise UnableToLink("すでに登録されています / already linked")
    made = Guardianship.objects.create(
        person=person, subject=subject, kind=kind, evidence=evidence, verified_by=by,
        starts_on=starts_on, ends_on=ends_on, review_on=review_on,
    )  # fmt: skip
    _told(Event.GUARDIANSHIP_LINKED, made, by, now, kind=str(kind), evidence=str(evidence))
    return made


@transaction.atomic
def freeze(*, guardianship: Guardianship, by: Person, reason: FreezeReason, now: datetime) -> None:
    """Stop a link at once; to the guardian it is as if there were none. Frozen stays frozen.

    Raises UnableToChangeLink unless `by` is staff of a municipality, clinic or hospital.
    """
    current = _current(guardianship)
    _require_staff(current, by)
    if current.state != Guardianship.State.ACTIVE:
        return
    _set(guardianship, current, Guardianship.State.FROZEN)
    _stop_proxies(current, now)
    _told(Event.GUARDIANSHIP_FROZEN, current, by, now, reason=str(reason))


@transaction.atomic
def unfreeze(*, guardianship: Guardianship, by: Person, second: Person, now: datetime) -> None:
    """Let a frozen link stand again. It takes two staff persons (G-06).

    Raises UnableToChangeLink unless `by` and `second` are two and both such staff, and the link is frozen.
    """
    current = _current(guardianship)
    _require_staff(current, by)
    _require_staff(current, second)
    if by.pk == second.pk or current.state != Guardianship.State.FROZEN:
        raise UnableToChangeLink("凍結の解除には職員2名が必要です / unfreezing takes two staff persons")
    _set(guardianship, current, Guardianship.State.ACTIVE)
    _told(Event.GUARDIANSHIP_UNFROZEN, current, by, now, second=second.pk)


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
    _stop_proxies(current, now)
    _told(Event.GUARDIANSHIP_ENDED, current, by, now, reason=reason)


def _link_fault(person: Person, subject: Subject, evidence: str, by: Person, today: date) -> str | None:
    if not _is_desk(by) or (_kind(by) != Organization.Kind.MUNICIPALITY and evidence != "clinic-in-person"):
        return "市区町村か医療機関の職員が確認します / a municipality or clinic must verify it"
    if by.pk == person.pk:
        return "自分自身は確認できません / nobody verifies himself"
    if subject.state != Subject.State.ACTIVE or person.own_subject_id == subject.pk or not person.is_active:
        return "この組み合わせは登録できません / these two cannot be linked"
    if subject.birth_on is None or rules.guardian_ceiling(rules.age_on(subject.birth_on, today)) is None:
        return "未成年ではありません / not known to be a minor"
    return None


def _is_desk(by: Person) -> bool:
    return bool(
        by.is_active
        and by.organization is not None
        and by.organization.state == Organization.State.ACTIVE
        and by.organization.kind in _DESKS
    )


def _kind(by: Person) -> str:
    return "" if by.organization is None else by.organization.kind


def _require_staff(guardianship: Guardianship, by: Person) -> None:
    if not _is_desk(by) or by.pk == guardianship.person_id:
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
    current.save(update_fields=["state", "ends_on"])


def _stop_proxies(stopped: Guardianship, now: datetime) -> None:
    """Persons a guardian let in go out with that guardian (G-09); what was given to a clinic stays."""
    given = Grant.objects.select_for_update().filter(
        subject=stopped.subject, given_by=stopped.person, capacity=Capacity.GUARDIAN, state=Grant.State.ACTIVE
    )
    for grant in given:
        if any(row.permit and "person:" in "".join(row.grantees) for row in effective.rows_of_stored(grant)):
            grants.end(grant, "guardian stopped", now)


def _told(event: Event, made: Guardianship, by: Person, now: datetime, **detail: str | int) -> None:
    Subject.objects.filter(pk=made.subject_id).update(consent_epoch=F("consent_epoch") + 1)
    audit.record(event, by=by, subject=made.subject_id, now=now, detail={"guardianship": made.pk, **detail})
