"""Is this provision proper (妥当性判断)? Pure: what was asked, the program, the recipient, the person -> a Judgement.

The trust judges each handing-over for each person (IT-07). Every input is looked at, each has its own reason
codes, and the Judgement keeps them all: it is stored beside the Provision and shown to the person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from consent import duo, rules
from consent.cases import Case, Code, Wanted
from consent.scope import ALL_CATEGORIES, ORDINARY, Category, GrantRow, level_of, row_concerns

ACTION = "access"  # FHIR consentaction: what a provision does


@dataclass(frozen=True, slots=True)
class Finding:
    """One input and what was found of it: its reason code, or None: in order."""

    input: str
    code: Code | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """`permits`: nothing stands against it. `waits`: nothing but the person's own answer is missing."""

    findings: tuple[Finding, ...]
    waits: bool
    categories: int  # what may be handed over: asked for, allowed by the program and by the person
    level: int
    grants: tuple[int, ...]  # the Grants it stands on, newest first

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(f.code.value for f in self.findings if f.code is not None)

    @property
    def permits(self) -> bool:
        return not self.codes and not self.waits

    def as_json(self) -> dict[str, Any]:
        """As it is stored and shown."""
        return {
            "permits": self.permits, "waits": self.waits, "codes": list(self.codes),
            "findings": {f.input: f.code.value if f.code else "ok" for f in self.findings},
            "categories": self.categories, "level": self.level, "grants": list(self.grants),
        }  # fmt: skip


def judge(case: Case) -> Judgement:
    """Look at every input. Never raises: what is missing is a reason against."""
    findings = tuple(Finding(name, look(case)) for name, look in INPUTS.items())
    offer = offered(case.side.rows, case.wanted, case.side.actors, case.now)
    given = case.side.given
    waits = given is not None and given.asks and given.answer is None and not any(f.code for f in findings)
    return Judgement(findings, waits, offer.categories & case.plan.categories,
                     min(offer.level, case.plan.level, case.wanted.level), offer.grants)  # fmt: skip


def turned_away(case: Case) -> tuple[Code, ...]:
    """The reasons that have nothing to do with any person: for them a request is refused as a whole."""
    return tuple(code for name in REQUEST_INPUTS if (code := INPUTS[name](case)) is not None)


# -- the person's conditions -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Offer:
    """What a person's consents hold out to one recipient for one purpose, now."""

    categories: int
    level: int
    grants: tuple[int, ...]
    permitted: bool  # some permit speaks of this recipient and purpose
    denied: bool  # a deny takes all of it away


def offered(rows: Iterable[GrantRow], wanted: Wanted, actors: frozenset[str], now: datetime) -> Offer:
    """What of `wanted` the rows allow by category. Dates, items and authors are looked at when it is handed over."""
    concerning = [r for r in rows if row_concerns(r, actors=actors, purpose=wanted.purpose, action=ACTION, now=now)]
    permits = [r for r in concerning if r.permit]
    mask = wanted.categories & _union(map(_held_out, permits))
    left = mask
    for row in concerning:
        if not row.permit and not _has_exception(row, permits):
            left &= ~_taken(row)
    used = {r.grant: r for r in permits if _held_out(r) & left}
    level = max((r.level for r in used.values()), default=0)
    return Offer(left, level, tuple(sorted(used, reverse=True)), bool(permits), bool(mask) and not left)


def _union(masks: Iterable[int]) -> int:
    found = 0
    for mask in masks:
        found |= mask
    return found


def _held_out(row: GrantRow) -> int:
    """A row that names labels holds out what it names, and the ordinary categories it stands with."""
    mask = ORDINARY
    for named in row.category_masks:
        mask &= named
    for named in row.label_masks:
        mask |= named
    return mask


def _taken(row: GrantRow) -> int:
    """What a deny takes away whatever the resource; one that depends on more is looked at when it is handed over."""
    bound = (row.data_low, row.data_high, row.author, row.item)
    if any(value is not None for value in bound) or row.level > 1 or len(row.category_masks + row.label_masks) > 1:
        return 0
    return (row.category_masks + row.label_masks)[0] if row.category_masks or row.label_masks else ALL_CATEGORIES


def _has_exception(deny: GrantRow, permits: Iterable[GrantRow]) -> bool:
    return any(p.grant == deny.grant and p.path.startswith(deny.path + ".") for p in permits)


# -- the inputs ----------------------------------------------------------------------------------------


def _recipient(case: Case) -> Code | None:
    return Code.RECIPIENT_UNKNOWN if case.party is None else case.party.fault(case.now)


def _processor(case: Case) -> Code | None:
    """IT-24: it stands and falls like the recipient it works for."""
    faulty = case.processor is not None and case.processor.fault(case.now) is not None
    return Code.PROCESSOR_NOT_IN_ORDER if faulty else None


def _program(case: Case) -> Code | None:
    return None if case.plan.state == "active" else Code.PROGRAM_NOT_ACTIVE


def _party(case: Case) -> Code | None:
    return None if case.plan.names_recipient else Code.NOT_A_PARTY


def _approval(case: Case) -> Code | None:
    until = case.plan.approved_until
    return None if until is not None and case.now < until else Code.APPROVAL_LAPSED


def _purpose(case: Case) -> Code | None:
    asked = case.wanted.purpose
    if asked in rules.PROHIBITED_PURPOSES:
        return Code.PURPOSE_PROHIBITED
    if asked != case.plan.purpose:
        return Code.PURPOSE_DIFFERS
    return None if case.party is None or asked in case.party.purposes else Code.PURPOSE_NOT_CONTRACTED


def _use(case: Case) -> Code | None:
    """A program that says what its data may be used for is asked with what is meant to be done."""
    if not case.plan.duo:
        return None
    intended = case.wanted.intended or duo.Intended()
    well = duo.fits(case.plan.duo, intended, limited=True, named=case.plan.names_recipient)
    return None if well else Code.USE_MISFIT


def _minimal(case: Case) -> Code | None:
    wanted, plan = case.wanted, case.plan
    if not wanted.categories or wanted.categories & ~plan.categories:
        return Code.CATEGORIES_TOO_WIDE
    if wanted.level > plan.level or level_of(wanted.categories) > wanted.level:
        return Code.LEVEL_TOO_HIGH
    early = plan.low is not None and (wanted.low is None or wanted.low < plan.low)
    late = plan.high is not None and (wanted.high is None or wanted.high > plan.high)
    return Code.PERIOD_TOO_WIDE if early or late else None


def _onward(case: Case) -> Code | None:
    """IT-21: nothing is handed on but in a listed case, reviewed, and consented to."""
    if not case.wanted.onward:
        return None
    if not (case.plan.onward and case.wanted.listed):
        return Code.ONWARD_NOT_LISTED
    given = case.side.given
    return None if given is None or given.onward else Code.ONWARD_NOT_CONSENTED


def _declared(case: Case) -> Code | None:
    """What profiles must have been declared so before the board."""
    profiles = case.wanted.profiling or (case.party is not None and case.party.profiling)
    return Code.PROFILING_UNDECLARED if profiles and not case.plan.profiling else None


def _profiling(case: Case) -> Code | None:
    """IT-08: a yes of its own."""
    profiles = case.plan.profiling or (case.party is not None and case.party.profiling)
    given = case.side.given
    return Code.PROFILING_NOT_CONSENTED if profiles and given is not None and not given.profiling else None


def _mandate(case: Case) -> Code | None:
    if case.side.mandate is None:
        return Code.NO_MANDATE
    return None if case.side.mandate == case.side.terms else Code.MANDATE_OUTDATED


def _record(case: Case) -> Code | None:
    return None if case.side.state == "active" else Code.RECORD_NOT_ACTIVE


def _place(case: Case) -> Code | None:
    """G-08: who somebody is tells where she is."""
    hidden = case.side.place_hidden and case.wanted.categories & int(Category.IDENTITY | Category.CARE)
    return Code.PLACE_PROTECTED if hidden else None


def _consent(case: Case) -> Code | None:
    offer = offered(case.side.rows, case.wanted, case.side.actors, case.now)
    if offer.denied:
        return Code.DENIED
    if case.side.given is None or not offer.categories:
        return Code.NO_CONSENT
    return Code.ANSWER_NO if case.side.given.asks and case.side.given.answer is False else None


def _giver(case: Case) -> Code | None:
    given = case.side.given
    return None if given is None or given.giver_stands else Code.GIVER_STOPPED


def _guardians(case: Case) -> Code | None:
    given = case.side.given
    lone = given is not None and given.capacity == "guardian" and not given.everybody_agreed
    return Code.SECOND_GUARDIAN if lone else None


def _own(case: Case) -> Code | None:
    """G-10: from 16 the young person consents herself, before her guardians do. An unknown age is no guardian's."""
    given, age = case.side.given, case.side.age
    if given is None:
        return None
    young = age is not None and age < rules.OWN_CONSENT_AGE
    if given.capacity == "self":
        return Code.GUARDIANS_CONSENT if young else None
    return None if young else Code.OWN_CONSENT


INPUTS: dict[str, Callable[[Case], Code | None]] = {
    "recipient": _recipient, "processor": _processor, "program": _program, "party": _party, "approval": _approval,
    "purpose": _purpose, "use": _use, "minimal": _minimal, "onward": _onward, "declared": _declared,
    "mandate": _mandate, "record": _record, "place": _place, "consent": _consent, "profiling": _profiling,
    "giver": _giver, "guardians": _guardians, "own": _own,
}  # fmt: skip
REQUEST_INPUTS = (
    "recipient", "processor", "program", "party", "approval", "purpose", "use", "minimal", "declared",
)  # fmt: skip
