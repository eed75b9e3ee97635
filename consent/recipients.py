"""The registry of those who may receive (IT-20): contract, certificate, purposes, processors; suspended at once.

`decide()` reads these rows on every request, so each change here counts from its commit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime

from django.db import transaction
from django.db.models import F

from consent import audit, clauses, notices, rules
from consent.audit import Event
from consent.cases import Party
from consent.desk import operator
from consent.models import EthicsDecision, OnwardException, Organization, Person, Recipient
from consent.refusal import Because, Refusal

_LEGAL_NUMBER = re.compile(r"[0-9]{13}")
State = Recipient.State
AWAITS_BOARD = "awaits-board"
BOARDS = (AWAITS_BOARD, "board-reject", "board-stop", "approval-lapsed")  # suspended for want of its approval


@transaction.atomic
def register(
    *,
    organization: Organization,
    legal_name: str,
    legal_number: str,
    address: str,
    representative: str,
    contract_ref: str,
    contract_ends_on: date,
    certification: str,
    certified_until: datetime,
    purposes: Iterable[str],
    by: Person,
    now: datetime,
    profiling: bool = False,
    processor_of: Recipient | None = None,
    report_months: int = 12,
) -> Recipient:
    """Enter an organisation into the registry; from now on it is bound by its row in every decision.

    It receives nothing until the board has approved it (IT-30: `board.decide`).

    Raises Refusal: not the operator's staff, a prohibited or unknown purpose, a contract or certificate that is over,
    no corporate number (法人番号: 13 digits with their check digit), a processor of a processor, entered already.
    """
    operator(by)
    named = sorted(set(purposes))
    _check_purposes(named)
    if not _LEGAL_NUMBER.fullmatch(legal_number) or not checks(legal_number):
        raise Refusal("法人番号が不正です / not a corporate number", place="legal_number")
    if contract_ends_on < rules.today_in_japan(now):
        raise Refusal("契約がすでに終わっています / the contract is over", place="contract_ends_on")
    if certified_until <= now:
        raise Refusal("認証がすでに失効しています / the certificate has expired", place="certified_until")
    if processor_of is not None and processor_of.processor_of_id is not None:
        raise Refusal("委託先の委託先は登録できません / no processor of a processor", place="processor_of")
    if Recipient.objects.filter(organization=organization).exists():
        raise Refusal("すでに登録されています / entered already", place="organization", because=Because.CONFLICT)
    made = Recipient.objects.create(
        organization=organization, legal_name=legal_name, legal_number=legal_number, address=address,
        representative=representative, contract_ref=contract_ref, contract_ends_on=contract_ends_on,
        certification=certification, certified_until=certified_until, purposes=named, profiling=profiling,
        processor_of=processor_of, report_months=report_months, registered_at=now, registered_by=by,
        state=State.SUSPENDED, state_reason=AWAITS_BOARD,
    )  # fmt: skip
    audit.record(Event.RECIPIENT_REGISTERED, by=by, now=now, detail=_detail(made))
    return made


@transaction.atomic
def renew(
    *,
    recipient: Recipient,
    by: Person,
    now: datetime,
    contract_ends_on: date | None = None,
    certified_until: datetime | None = None,
) -> Recipient:
    """Write down a renewed contract or certificate: permits stand again from this commit. Raises Refusal."""
    operator(by)
    current = locked(recipient)
    if contract_ends_on is not None:
        current.contract_ends_on = contract_ends_on
    if certified_until is not None:
        current.certified_until = certified_until
    _changed(current, by, now, "contract_ends_on", "certified_until")
    return current


@transaction.atomic
def set_purposes(*, recipient: Recipient, purposes: Iterable[str], by: Person, now: datetime) -> Recipient:
    """What the contract lets it receive for; replaces what stood. Raises Refusal."""
    operator(by)
    named = sorted(set(purposes))
    _check_purposes(named)
    current = locked(recipient)
    current.purposes = named
    _changed(current, by, now, "purposes")
    return current


@transaction.atomic
def suspend(*, recipient: Recipient, reason: str, by: Person | None, now: datetime) -> Recipient:
    """Stop it at once. `reason`: a code; `by` None: by rule (something is overdue). Stopping twice changes nothing."""
    if by is not None:
        operator(by)
    current = locked(recipient)
    if current.state != State.ACTIVE:
        return current
    current.state, current.state_reason = State.SUSPENDED, reason
    _changed(current, by, now, "state", "state_reason", event=Event.RECIPIENT_SUSPENDED)
    return current


@transaction.atomic
def resume(*, recipient: Recipient, by: Person, now: datetime) -> Recipient:
    """Let a suspended one receive again. Raises Refusal: ended for good, not approved, or something is overdue."""
    operator(by)
    current = locked(recipient)
    if current.state == State.ENDED or overdue(current, now=now):
        raise Refusal("再開できません / it cannot be resumed", because=Because.CONFLICT)
    current.state, current.state_reason = State.ACTIVE, ""
    _changed(current, by, now, "state", "state_reason")
    return current


@transaction.atomic
def follow(recipient: Recipient, decision: EthicsDecision, *, by: Person, now: datetime) -> None:
    """What a decision of the board does to its recipient (`board.decide`): denied at once, or let in (IT-30)."""
    current = locked(recipient)
    if current.state == State.ENDED:
        return
    if decision.outcome != EthicsDecision.Outcome.APPROVE:
        current.state, current.state_reason = State.SUSPENDED, f"board-{decision.outcome}"
    elif current.state == State.SUSPENDED and current.state_reason in BOARDS and not overdue(current, now=now):
        current.state, current.state_reason = State.ACTIVE, ""
    else:
        return
    _changed(current, by, now, "state", "state_reason")


@transaction.atomic
def end(*, recipient: Recipient, by: Person, now: datetime) -> Recipient:
    """End the contract for good: nothing reaches it any more. What it got must be deleted (`provisions.sweep`)."""
    operator(by)
    current = locked(recipient)
    current.state, current.state_reason = State.ENDED, "contract-ended"
    _changed(current, by, now, "state", "state_reason")
    return current


@transaction.atomic
def list_onward(
    *, giver: Recipient, taker: Recipient, basis: str, valid_until: datetime, by: Person, now: datetime
) -> OnwardException:
    """List a case in which `giver` may hand on to `taker` (IT-21). Without one, onward use is refused."""
    operator(by)
    if giver.pk == taker.pk or valid_until <= now or not basis.strip():
        raise Refusal("例外として登録できません / not a case that can be listed", place="taker")
    made = OnwardException.objects.create(
        giver=giver, taker=taker, basis=basis, valid_until=valid_until, listed_at=now, listed_by=by
    )
    audit.record(Event.RECIPIENT_CHANGED, by=by, now=now, detail={**_detail(giver), "kind": "onward"})
    return made


def may_hand_on(recipient: Recipient, *, now: datetime) -> bool:
    """Whether any listed case is in force for it."""
    return OnwardException.objects.filter(giver=recipient, valid_until__gt=now).exists()


def overdue(recipient: Recipient, *, now: datetime) -> list[str]:
    """What it owes and did not bring (IT-22), and whether the board's approval is wanting (IT-30): codes."""
    today = rules.today_in_japan(now)
    owed = [] if approved(recipient, now=now) else ["approval-lapsed"]
    if recipient.reports.filter(submitted_at=None, due_on__lt=today).exists():
        owed.append("report-overdue")
    if recipient.provisions.filter(deletion__submitted_at=None, deletion__due_on__lt=today).exists():
        owed.append("deletion-overdue")
    return owed


def approved(recipient: Recipient, *, now: datetime) -> bool:
    """Whether the board's last word on it is an approval that is in force."""
    last = recipient.decisions.order_by("-decided_at", "-pk").first()
    return last is not None and last.valid_until is not None and now < last.valid_until


def of_organization(organization: int | None) -> Recipient | None:
    """The row an organisation's system is bound by; None = it is not in the registry."""
    if organization is None:
        return None
    found = Recipient.objects.filter(organization_id=organization)
    return found.select_related("organization", "processor_of__organization").first()


def principal(recipient: Recipient) -> Recipient:
    """For whom it receives: itself, or the one it processes for (IT-24)."""
    return recipient.processor_of or recipient


def party(recipient: Recipient) -> Party:
    """The row as a judgement needs it. An organisation that is not active receives nothing, whatever its contract."""
    state = recipient.state if recipient.organization.state == Organization.State.ACTIVE else "organization-suspended"
    return Party(
        state=state, contract_ends_on=recipient.contract_ends_on, certified_until=recipient.certified_until,
        purposes=frozenset(recipient.purposes), profiling=recipient.profiling,
    )  # fmt: skip


def actors(recipient: Recipient, *, now: datetime) -> frozenset[str]:
    """What a person's Grant may call it: by name, by its class once the waiting week is over, as a third party."""
    organization = recipient.organization
    names = {f"org:{organization.pk}", "class:third-party"}
    if organization.class_from is not None and organization.class_from <= now:
        names.add(f"class:{organization.kind}")
    return frozenset(names)


def checks(number: str) -> bool:
    """The check digit of a corporate number (法人番号の指定等に関する省令 Art. 2): the first of its 13 digits."""
    weighed = sum(int(d) * (1 + n % 2) for n, d in enumerate(reversed(number[1:])))
    return int(number[0]) == 9 - weighed % 9


def locked(recipient: Recipient) -> Recipient:
    """Changes of one recipient come one after another."""
    found = Recipient.objects.select_for_update(of=("self",)).select_related("organization")
    return found.get(pk=recipient.pk)


def _check_purposes(named: list[str]) -> None:
    if not named or any(p in rules.PROHIBITED_PURPOSES for p in named):
        raise Refusal("禁止された目的です / a prohibited purpose", place="purposes")
    if any(p not in clauses.PURPOSES for p in named):
        raise Refusal("知られていない目的です / an unknown purpose", place="purposes")


def _changed(
    current: Recipient, by: Person | None, now: datetime, *fields: str, event: Event = Event.RECIPIENT_CHANGED
) -> None:
    current.save(update_fields=fields)
    Recipient.objects.filter(pk=current.pk).update(consent_epoch=F("consent_epoch") + 1)
    current.refresh_from_db(fields=["consent_epoch"])
    detail = {**_detail(current), "state": current.state, "reason": current.state_reason}
    audit.record(event, by=by, now=now, detail=detail)
    notices.tell_organization(
        notices.Kind.RECIPIENT_CHANGED, to=current.organization, subject=None, now=now,
        detail={"recipient": current.pk, "state": current.state, "reason": current.state_reason},
    )  # fmt: skip


def _detail(recipient: Recipient) -> dict[str, int | str]:
    return {"recipient": recipient.pk, "organization": recipient.organization_id}
