"""What one judgement looks at: the request, the program, the recipient, the person; and every reason against. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from consent import rules
from consent.duo import Intended
from consent.scope import GrantRow


class Code(StrEnum):
    """Why not. Add, never rename: they are stored, and apps translate them."""

    RECIPIENT_UNKNOWN = "recipient-unknown"
    RECIPIENT_NOT_ACTIVE = "recipient-not-active"
    CONTRACT_ENDED = "contract-ended"
    CERTIFICATE_EXPIRED = "certificate-expired"
    PROCESSOR_NOT_IN_ORDER = "processor-not-in-order"
    NOT_A_PARTY = "recipient-not-in-program"
    PROGRAM_NOT_ACTIVE = "program-not-active"
    APPROVAL_LAPSED = "approval-lapsed"
    PURPOSE_PROHIBITED = "purpose-prohibited"
    PURPOSE_NOT_CONTRACTED = "purpose-not-contracted"
    PURPOSE_DIFFERS = "purpose-differs"
    USE_MISFIT = "use-misfit"
    CATEGORIES_TOO_WIDE = "categories-too-wide"
    LEVEL_TOO_HIGH = "level-too-high"
    PERIOD_TOO_WIDE = "period-too-wide"
    ONWARD_NOT_LISTED = "onward-not-listed"
    PROFILING_UNDECLARED = "profiling-undeclared"
    NO_MANDATE = "no-mandate"
    MANDATE_OUTDATED = "mandate-outdated"
    RECORD_NOT_ACTIVE = "record-not-active"
    PLACE_PROTECTED = "place-protected"
    NO_CONSENT = "no-consent"
    DENIED = "denied"
    ANSWER_NO = "answer-no"
    PROFILING_NOT_CONSENTED = "profiling-not-consented"
    ONWARD_NOT_CONSENTED = "onward-not-consented"
    GIVER_STOPPED = "giver-stopped"
    SECOND_GUARDIAN = "second-guardian-missing"
    OWN_CONSENT = "own-consent-needed"
    GUARDIANS_CONSENT = "guardians-consent-needed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A recipient, or the processor that asks for it."""

    state: str
    contract_ends_on: date  # the last day, in Japan
    certified_until: datetime
    purposes: frozenset[str]
    profiling: bool = False

    def fault(self, now: datetime) -> Code | None:
        """Why it may receive nothing at this second; None = it is in order."""
        if self.state != "active":
            return Code.RECIPIENT_NOT_ACTIVE
        if rules.today_in_japan(now) > self.contract_ends_on:
            return Code.CONTRACT_ENDED
        return Code.CERTIFICATE_EXPIRED if now >= self.certified_until else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A Program as the board approved it. `approved_until` None: no approval is in force."""

    state: str
    approved_until: datetime | None
    purpose: str
    categories: int
    level: int
    duo: tuple[str, ...] = ()
    low: datetime | None = None
    high: datetime | None = None
    profiling: bool = False
    onward: bool = False
    names_recipient: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for. `low`, `high`: clinical time, half-open; `listed`: an onward exception is in force for it."""

    purpose: str
    categories: int
    level: int
    low: datetime | None = None
    high: datetime | None = None
    profiling: bool = False
    onward: bool = False
    listed: bool = False
    intended: Intended | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The consent a provision would stand on, as far as rows do not tell it."""

    capacity: str
    profiling: bool = False
    onward: bool = False
    giver_stands: bool = True  # who gave it may still act for the record
    everybody_agreed: bool = True  # each guardian whose link stands gave it or agreed to it (G-14)
    asks: bool = False  # ask each time
    answer: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The person's side. `rows`: the effective rows of her record that may speak of this recipient."""

    state: str
    age: int | None
    place_hidden: bool = False
    mandate: int | None = None  # the version of the terms that was accepted and stands
    terms: int = 0  # the version published now
    rows: Sequence[GrantRow] = ()
    given: Given | None = None
    actors: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Everything one judgement looks at."""

    wanted: Wanted
    plan: Plan
    party: Party | None
    side: Side
    now: datetime
    processor: Party | None = None  # who asks for the recipient, if it does not ask itself
