"""The benefit ledger (IT-51): what was provided, and what came back for it, "none yet" included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from consent import audit, notices, provisions
from consent.audit import Event
from consent.models import Benefit, Organization, Program, Provision, Recipient, Subject
from consent.refusal import Absent, Refusal

DELIVERED = ("delivered", "ended")


@dataclass(frozen=True, slots=True)
class Line:
    """One provision that left, and what came back for it; `benefits` empty: none yet."""

    provision: Provision
    benefits: tuple[Benefit, ...]


@dataclass(frozen=True, slots=True)
class Ledger:
    """The lines of one record, newest first, and their sums."""

    lines: tuple[Line, ...]

    @property
    def provided(self) -> int:
        return len(self.lines)

    @property
    def none_yet(self) -> int:
        return sum(not line.benefits for line in self.lines)

    @property
    def yen(self) -> int:
        """Of different benefits: what came to all takers of a program counts once."""
        return sum({b.pk: b.yen for line in self.lines for b in line.benefits}.values())


@transaction.atomic
def record(
    *,
    by: Recipient,
    program: Program,
    kind: str,
    text_ja: str,
    text_en: str,
    now: datetime,
    provision: Provision | None = None,
    yen: int = 0,
) -> Benefit:
    """Write down what came back: for one provision, or (None) for everybody who took part. They are told.

    Raises Absent: not this recipient's program or provision; Refusal: no words, an unknown kind.
    """
    if kind not in Benefit.Kind.values:
        raise Refusal("知られていない種類です / an unknown kind", place="kind")
    if not text_ja.strip() or not text_en.strip():
        raise Refusal("説明が必要です / words are needed", place="text_ja")
    if not program.recipients.filter(pk=by.pk).exists():
        raise Absent(place="program")
    if provision is not None and not taken(by, program).filter(pk=provision.pk).exists():
        raise Absent(place="provision")
    made = Benefit.objects.create(
        program=program, provision=provision, kind=kind, text_ja=text_ja, text_en=text_en, yen=yen, came_at=now,
        recorded_by=by.organization,
    )  # fmt: skip
    detail: audit.Detail = {"benefit": made.pk, "program": str(program.pk), "recipient": by.pk, "kind": kind}
    audit.record(Event.BENEFIT_RECORDED, by=None, now=now, detail=detail)
    found = [provision] if provision is not None else taken(by, program).select_related("subject")
    for subject in {one.subject_id: one.subject for one in found}.values():
        people = notices.family_of(subject, now=now)
        notices.tell(notices.Kind.BENEFIT_CAME, to=people, subject=subject.pk, now=now, detail=detail)
    return made


def taken(recipient: Recipient, program: Program) -> QuerySet[Provision]:
    """The provisions of a program from which something reached this recipient."""
    return Provision.objects.filter(recipient=recipient, program=program, state__in=DELIVERED).exclude(items=[])


def ledger(subject: Subject) -> Ledger:
    """What one record gave, and what came back."""
    given = [p for p in provisions.history(subject) if p.items]
    programs = {p.program_id for p in given}
    of_all = Q(program__in=programs, provision=None)
    came = list(Benefit.objects.filter(of_all | Q(provision__in=given)).order_by("came_at", "pk"))
    return Ledger(tuple(Line(p, _for(p, came)) for p in given))


def _for(provision: Provision, came: Sequence[Benefit]) -> tuple[Benefit, ...]:
    """Its own, and what came to all of the program from the organisation it was given to."""
    to = provision.recipient.organization_id
    return tuple(
        b
        for b in came
        if b.provision_id == provision.pk
        or (b.provision_id is None and b.program_id == provision.program_id and b.recorded_by_id == to)
    )


@transaction.atomic
def flag_missing(*, now: datetime) -> int:
    """Show the trust's own desk each program that ended, had something, and gave nothing back. Returns how many."""
    ended = Program.objects.filter(state__in=("closed", "stopped"), flagged_at=None, benefits=None)
    had = Provision.objects.filter(program__in=ended).exclude(items=[]).values("program_id")
    found = list(Program.objects.select_for_update().filter(pk__in=ended.filter(pk__in=had).values("pk")))
    for program in found:
        program.flagged_at = now
        program.save(update_fields=["flagged_at"])
        for desk in Organization.objects.filter(kind=Organization.Kind.OPERATOR):
            notices.tell_organization(
                notices.Kind.BENEFIT_MISSING, to=desk, subject=None, now=now, detail={"program": str(program.pk)}
            )
    return len(found)
