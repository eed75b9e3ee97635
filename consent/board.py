"""The data ethics board: it lets programs, recipients, terms and screens through, or stops them (IT-05, IT-30)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from consent import audit, overdue, programs, recipients
from consent.audit import Event
from consent.desk import is_operator, operator
from consent.models import BoardMember, EthicsDecision, Person, Program, Provision, Recipient, Terms
from consent.refusal import Refusal

SEATS = 3  # a board is at least three persons,
ROLES = 3  # of at least three kinds: diverse (IT-30)
_SCREEN = re.compile(r"[a-z][a-z0-9-]{0,39}@[0-9A-Za-z][0-9A-Za-z.-]{0,19}")
Outcome, Role = EthicsDecision.Outcome, BoardMember.Role


@dataclass(frozen=True, slots=True)
class Screen:
    """A page of an app as the board saw it: its name, and the version. It is recorded; whose app it is acts on it."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


About = Program | Recipient | Terms | Screen


@transaction.atomic
def decide(
    *,
    about: About,
    outcome: str,
    members: Mapping[Person, str],
    reasons: str,
    by: Person,
    now: datetime,
    valid_until: datetime | None = None,
) -> EthicsDecision:
    """Write down what the board decided. What it approves counts, what it stops is over: both from this commit.

    `members`: who sat, in which role. Raises Refusal: the board is too small or not diverse, no medical member where
    special-care data (要配慮: level 2 or 3) is concerned, the proposer among them or writing it down, no end of an
    approval, no benefit.
    """
    operator(by)
    if not reasons.strip():
        raise Refusal("理由が必要です / reasons are needed", place="reasons")
    if outcome not in Outcome.values:
        raise Refusal("知られていない結論です / an unknown outcome", place="outcome")
    if outcome == Outcome.APPROVE and (valid_until is None or valid_until <= now):
        raise Refusal("承認には期限が必要です / an approval has an end", place="valid_until")
    current = _current(about)
    if outcome != Outcome.STOP:  # to stop, nothing may stand in the way
        _check_board(current, members, by)
    made = EthicsDecision.objects.create(
        program=current if isinstance(current, Program) else None,
        recipient=current if isinstance(current, Recipient) else None,
        terms=current if isinstance(current, Terms) else None,
        screen=str(current) if isinstance(current, Screen) else "",
        outcome=outcome, reasons=reasons, decided_at=now, recorded_by=by,
        valid_until=valid_until if outcome == Outcome.APPROVE else None,
    )  # fmt: skip
    BoardMember.objects.bulk_create(BoardMember(decision=made, person=p, role=role) for p, role in members.items())
    _follow(current, made, by, now)
    audit.record(Event.BOARD_DECIDED, by=by, now=now, detail={"decision": made.pk, "outcome": outcome})
    return made


def roles_of(decisions: Iterable[EthicsDecision]) -> dict[int, list[str]]:
    """Who sat, by role, for each of these decisions: for reports, without names."""
    found: dict[int, list[str]] = {d.pk: [] for d in decisions}
    for seat in BoardMember.objects.filter(decision__in=list(found)).order_by("role"):
        found[seat.decision_id].append(seat.role)
    return found


def _current(about: About) -> About:
    """The thing as it stands, locked: changes of one come one after another."""
    if isinstance(about, Program):
        return programs.locked(about)
    if isinstance(about, Recipient):
        return recipients.locked(about)
    if isinstance(about, Screen):
        if not _SCREEN.fullmatch(str(about)):
            raise Refusal("画面の名称と版が必要です / the screen's name and version", place="screen")
        return about
    return Terms.objects.select_for_update().get(pk=about.pk)


def _check_board(about: About, members: Mapping[Person, str], by: Person) -> None:
    if any(role not in Role.values for role in members.values()):
        raise Refusal("知られていない役割です / an unknown role", place="members")
    if len(members) < SEATS or len(set(members.values())) < ROLES or not all(map(is_operator, members)):
        raise Refusal("委員会の構成が不十分です / too few members, or too much alike", place="members")
    special = not isinstance(about, Program) or about.level >= 2
    if special and Role.MEDICAL not in members.values():
        raise Refusal("要配慮情報には医療の委員が必要です / a medical member is needed", place="members")
    if isinstance(about, Program) and about.proposed_by_id in {by.pk, *(person.pk for person in members)}:
        raise Refusal("提案者は審査も記録もできません / who proposed it neither decides nor records", place="members")


def _follow(about: About, decision: EthicsDecision, by: Person, now: datetime) -> None:
    """What a decision does. For terms an approval or a stop counts by itself (`mandates.current`)."""
    if isinstance(about, Program):
        programs.follow(about, decision, by=by, now=now)
    elif isinstance(about, Recipient):
        recipients.follow(about, decision, by=by, now=now)
    elif isinstance(about, Terms) and decision.outcome != Outcome.APPROVE:
        standing = Provision.objects.filter(mandate__terms=about, state__in=overdue.OPEN).order_by("pk")
        for provision in standing:
            overdue.end(provision=provision, reason=f"terms-{decision.outcome}", by=None, now=now)
