"""Provisions: a recipient's system asks, the trust judges for each person, keeps why, and hands over what it permitted.

A request names a program, never a person: consent does. Its recipient learns of those it is given, and of nobody
else: no list, no count, no difference. The handing-over itself is `phr.trust.providing`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from consent import audit, duo, effective, joint, notices, recipients, sides
from consent.audit import Event
from consent.cases import Code
from consent.decide import Caller, Capacity, consenting, entitled
from consent.in_force import in_force_between
from consent.judgement import turned_away
from consent.models import Grant, Person, Program, Provision, ProvisionRequest, Recipient, Subject
from consent.refusal import Absent, Because, Refusal

LONGEST = timedelta(days=366)  # a request is open for a year at most
REFERENCE = 64  # characters
State = Provision.State


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What a recipient's system sends. `reference` is its own name for the request: asked twice, it is one."""

    reference: str
    program: UUID
    purpose: str
    categories: int
    level: int
    until: datetime
    low: datetime | None = None
    high: datetime | None = None
    profiling: bool = False
    onward: bool = False
    intended: duo.Intended | None = None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), default=str, sort_keys=True).encode()).hexdigest()


class TurnedAway(Refusal):
    """A request that is refused before any person is looked at. `place`: the first reason code."""

    because = Because.FORBIDDEN

    def __init__(self, codes: Sequence[Code]) -> None:
        self.codes = tuple(code.value for code in codes)
        super().__init__("この提供依頼は認められません / this request is not permitted", place=self.codes[0])


def ask(*, asking: Asking, by: Caller, now: datetime) -> ProvisionRequest:
    """Judge a request, and every person whose consent speaks of it. The same reference again: the same request.

    Raises TurnedAway (logged), Absent for a program that is not there for this recipient, Refusal for a reference
    that was used for something else, or a period that is none.
    """
    asker = recipients.of_organization(by.organization)
    if asker is None:
        raise _turned_away((Code.RECIPIENT_UNKNOWN,), asking, by, now)
    earlier = ProvisionRequest.objects.filter(asked_by=asker, reference=asking.reference).first()
    if earlier is not None:
        return _same(earlier, asking)
    recipient = recipients.principal(asker)
    program = Program.objects.filter(pk=asking.program, recipients=recipient).exclude(state__in=("draft", "review"))
    found = program.select_related("approval").first()
    if found is None:
        raise Absent(place="program")
    if not now < asking.until <= now + LONGEST or (asking.low and asking.high and asking.low >= asking.high):
        raise Refusal("期間が不正です / the period is out of bounds", place="until")
    request = _request(asking, found, recipient, asker, by, now)
    told = sides.asked(request, now=now)
    codes = turned_away(told.case(sides.NOBODY))
    if by.purpose != asking.purpose:  # what its token was signed for
        codes = (*codes, Code.PURPOSE_DIFFERS)
    if codes:
        raise _turned_away(codes, asking, by, now)
    with transaction.atomic():
        Recipient.objects.select_for_update(of=("self",)).get(pk=asker.pk)
        earlier = ProvisionRequest.objects.filter(asked_by=asker, reference=asking.reference).first()
        if earlier is not None:
            return _same(earlier, asking)
        request.save(force_insert=True)
        audit.record(Event.PROVISION_ASKED, by=by, now=now, detail=_about(request))
        _judge_new(request, told, by)
    return request


@transaction.atomic
def look_again(request: ProvisionRequest, *, by: Caller, now: datetime) -> None:
    """Judge those who consented since. After its time, or when nobody may be asked for it any more: nothing."""
    rows = ProvisionRequest.objects.select_for_update(of=("self",))
    held = rows.select_related("program__approval", "recipient", "asked_by").get(pk=request.pk)
    if now >= held.until:
        return
    told = sides.asked(held, now=now)
    if not turned_away(told.case(sides.NOBODY)):
        _judge_new(held, told, by)


def requests_of(organization: int) -> list[ProvisionRequest]:
    """The requests that an organisation's system made, newest first."""
    found = ProvisionRequest.objects.filter(asked_by__organization_id=organization)
    found = found.select_related("program", "recipient__organization", "asked_by__organization")
    return list(found.order_by("-asked_at", "pk"))


def handed(request: ProvisionRequest, *, after: Provision | None, most: int) -> tuple[list[Provision], bool]:
    """One page of what a request may fetch, in the order it was judged, and whether more follow."""
    found = request.provisions.filter(state__in=(State.PERMITTED, State.DELIVERED)).order_by("made_at", "pk")
    if after is not None:
        rest = found.filter(made_at__gt=after.made_at) | found.filter(made_at=after.made_at, pk__gt=after.pk)
        found = rest.order_by("made_at", "pk")
    page = list(found[: most + 1])
    return page[:most], len(page) > most


@transaction.atomic
def answer(*, provision: Provision, yes: bool, by: Person, now: datetime) -> Provision:
    """The person's answer where she is asked each time. A child's guardians must both say yes; one no is enough.

    From 16 on, and to what she gave herself, only the young person answers (G-10); before, her own no is enough.
    It is judged anew with the answer. Raises Absent: not hers to answer; Refusal: another's, or it waits for none.
    """
    subject = Subject.objects.select_for_update().get(pk=provision.subject_id)
    in_force = in_force_between(by.pk, subject.pk, now=now)
    capacity = entitled(in_force, now)
    if capacity is None:
        raise Absent
    current = locked(provision)
    _require_hers(current, capacity, yes=yes, own_word=consenting(in_force, now) is not None)
    if current.state != State.ASKED or now >= current.until:
        raise Refusal("回答を待っていません / it waits for no answer", because=Because.CONFLICT)
    if yes and capacity is Capacity.GUARDIAN and not _everybody(current, subject, by, now):
        return current
    found = sides.judge_again(current, now=now, answer=yes)
    current.answered_at, current.answered_by = now, by
    _write(current, found)
    if yes and found.judgement.permits and current.grant_id is not None:
        grant = Grant.objects.select_for_update().get(pk=current.grant_id)
        grant.answered = [*grant.answered, current.pk]
        grant.save(update_fields=["answered"])
        effective.rebuild(grant)
        current.grant = grant
    current.save()
    audit.record(Event.PROVISION_ANSWERED, by=by, subject=subject.pk, now=now, detail=_told(current))
    return current


def waiting(subject: Subject, *, now: datetime) -> list[Provision]:
    """What waits for the person's answer."""
    found = Provision.objects.filter(subject=subject, state=State.ASKED, until__gt=now)
    return list(found.select_related("program", "recipient__organization").order_by("made_at"))


def history(subject: Subject) -> list[Provision]:
    """Every provision of one record, newest first, refused ones with their reasons (IT-10). Each row once."""
    found = Provision.objects.filter(subject=subject).select_related("program", "recipient__organization", "grant")
    return list(found.order_by("-made_at", "pk"))


@transaction.atomic
def delivered(*, provision: Provision, items: Sequence[str], last: bool, by: Caller, now: datetime) -> Provision:
    """Keep what is about to leave (IT-40), in the transaction that tells it. The same page again adds nothing."""
    current = locked(provision)
    current.items = list(dict.fromkeys([*current.items, *items]))
    first = current.state == State.PERMITTED
    current.state = State.DELIVERED
    if last and current.delivered_at is None:
        current.delivered_at = now
    current.save(update_fields=["items", "state", "delivered_at"])
    detail: audit.Detail = {**_told(current), "count": len(items)}
    audit.record(Event.PROVISION_DELIVERED, by=by, subject=current.subject_id, now=now, detail=detail)
    if first:
        people = notices.family_of(current.subject, now=now)
        notices.tell(notices.Kind.PROVISION_MADE, to=people, subject=current.subject_id, now=now, detail=_told(current))
    return current


def locked(provision: Provision) -> Provision:
    """Changes of one provision come one after another."""
    found = Provision.objects.select_for_update(of=("self",)).select_related(
        "request__program__approval", "request__recipient", "request__asked_by", "subject"
    )
    return found.get(pk=provision.pk)


def _require_hers(provision: Provision, capacity: Capacity, *, yes: bool, own_word: bool) -> None:
    own = provision.grant is not None and provision.grant.capacity == Capacity.SELF
    if capacity is Capacity.GUARDIAN and (own or not own_word):
        raise Refusal("本人だけが答えられます / only the young person answers", because=Because.FORBIDDEN)
    if capacity is Capacity.SELF and yes and not own_word:
        raise Refusal("16歳までは保護者が答えます / before 16 the guardians answer", because=Because.FORBIDDEN)


def _everybody(provision: Provision, subject: Subject, by: Person, now: datetime) -> bool:
    """Whether, with this guardian, all have said yes (G-14)."""
    detail = {"provision": str(provision.pk)}
    act = joint.ask(kind=joint.Kind.PROVISION, subject=subject, by=by, now=now, detail=detail)
    if act.state != joint.State.AGREED:
        return False
    joint.use(act=act, now=now)
    return True


def _judge_new(request: ProvisionRequest, told: sides.Asked, by: Caller) -> None:
    known = set(request.provisions.values_list("subject_id", flat=True))
    new = [subject for subject in sides.concerned(told) if subject not in known]
    made = []
    for subject, found in sides.judge_all(told, new).items():
        one = Provision(
            request=request, program_id=request.program_id, recipient=request.recipient, subject_id=subject,
            purpose=request.purpose, data_low=request.data_low, data_high=request.data_high, made_at=told.now,
            until=request.until,
        )  # fmt: skip
        _write(one, found)
        made.append(one)
    Provision.objects.bulk_create(made)
    audit.record_many(Event.PROVISION_JUDGED, by=by, now=told.now, told={p.subject_id: _told(p) for p in made})
    for one in (p for p in made if p.state == State.ASKED):
        people, now = notices.family_of(one.subject, now=told.now), told.now
        notices.tell(notices.Kind.PROVISION_ASKED, to=people, subject=one.subject_id, now=now, detail=_told(one))


def _write(provision: Provision, found: sides.Found) -> None:
    """What was judged, as the row keeps it."""
    judgement = found.judgement
    provision.judgement = judgement.as_json()
    provision.grant, provision.mandate = found.grant, found.mandate
    provision.grant_version = None if found.grant is None else found.grant.version
    provision.categories, provision.level = judgement.categories, judgement.level
    provision.state = State.PERMITTED if judgement.permits else State.ASKED if judgement.waits else State.REFUSED


def _request(
    asking: Asking, program: Program, recipient: Recipient, asker: Recipient, by: Caller, now: datetime
) -> ProvisionRequest:
    return ProvisionRequest(
        recipient=recipient, asked_by=asker, client=by.client, reference=asking.reference, sha256=asking.sha256,
        program=program, purpose=asking.purpose, categories=asking.categories, level=asking.level, data_low=asking.low,
        data_high=asking.high, profiling=asking.profiling, onward=asking.onward,
        intended={} if asking.intended is None else asdict(asking.intended), until=asking.until, asked_at=now,
    )  # fmt: skip


def _same(earlier: ProvisionRequest, asking: Asking) -> ProvisionRequest:
    if earlier.sha256 != asking.sha256:
        raise Refusal("同じ番号の別の依頼があります / asked before, for something else", place="reference",
                      because=Because.CONFLICT)  # fmt: skip
    return earlier


def _turned_away(codes: Sequence[Code], asking: Asking, by: Caller, now: datetime) -> TurnedAway:
    told = TurnedAway(codes)
    detail: audit.Detail = {"program": str(asking.program), "codes": list(told.codes), "purpose": asking.purpose}
    audit.record(Event.PROVISION_TURNED_AWAY, by=by, now=now, detail=detail)
    return told


def _about(request: ProvisionRequest) -> dict[str, str | int]:
    return {"program": str(request.program_id), "recipient": request.recipient_id, "categories": request.categories}


def _told(provision: Provision) -> dict[str, str | int | list[str] | None]:
    return {
        "provision": str(provision.pk), "program": str(provision.program_id), "recipient": provision.recipient_id,
        "grant": provision.grant_id, "grant_version": provision.grant_version, "state": str(provision.state),
        "codes": list(provision.judgement["codes"]), "categories": provision.categories,
    }  # fmt: skip
