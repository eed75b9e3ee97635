"""Who asks, and what the database says about that: all that `decide` may know. Pure.

Every value here is read for each request (`consent.in_force`, `phr.smart.tokens`); nothing is kept between two.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from consent.reasons import Rule
from consent.scope import Door


class Capacity(StrEnum):
    """In which role somebody acts. One token has exactly one."""

    SELF = "self"
    GUARDIAN = "guardian"
    PROXY = "proxy"
    STAFF = "staff"
    RESEARCHER = "researcher"
    SYSTEM = "system"


FAMILY = frozenset({Capacity.SELF, Capacity.GUARDIAN})
THIRD_PARTY = "class:third-party"  # an actor everybody but the person herself and her guardians has


@dataclass(frozen=True, slots=True, kw_only=True)
class Glass:
    """An emergency access somebody opened: one record, a while, the emergency set (step 1) or all of it (step 2)."""

    id: int
    subject: UUID
    step: int
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, in which capacity, for what. `subject` is the patient in the token's context."""

    client: str
    capacity: Capacity
    purpose: str
    doors: tuple[Door, ...]
    person: int | None = None
    organization: int | None = None
    subject: UUID | None = None
    request: str = ""  # X-Request-Id
    token: str = ""  # a reference to the token, never the token
    acr: str = ""  # how well the person proved who she is: "aal1", "aal2", "aal3"; empty for systems
    authenticated_at: datetime | None = None  # when she last did
    rights: frozenset[str] = frozenset()  # what a token opens beside the record: trust.read, trust.write
    provision: str = ""  # the id of the Provision this reads for (L5); never from a token
    glass: Glass | None = None  # the emergency access this token was issued for (L4)

    @property
    def actors(self) -> frozenset[str]:
        """What a Grant may call this caller, as far as the token tells; `actors_of` adds the classes."""
        names = set()
        if self.person is not None:
            names.add(f"person:{self.person}")
        if self.organization is not None and self.capacity not in FAMILY | {Capacity.PROXY}:
            names.add(f"org:{self.organization}")
        if self.capacity not in FAMILY:
            names.add(THIRD_PARTY)
        if self.provision:
            names.add(f"provision:{self.provision}")
        return frozenset(names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A Guardianship as decide() needs it. It stands while starts_on <= today < ends_on and up to review_on."""

    id: int
    state: str
    starts_on: date
    ends_on: date | None
    review_on: date

    def fault(self, today: date) -> Rule | None:
        """Why it gives nothing today; None = it stands."""
        if self.state != "active":
            return Rule.LINK_FROZEN if self.state == "frozen" else Rule.LINK_ENDED
        if today < self.starts_on:
            return Rule.LINK_NOT_BEGUN
        if self.ends_on is not None and today >= self.ends_on:
            return Rule.LINK_ENDED
        return Rule.LINK_OVERDUE if today > self.review_on else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A Recipient's row as decide() needs it (IT-20). `ends_on` is the last day; `certified_until` an instant."""

    id: int
    state: str
    ends_on: date
    certified_until: datetime
    purposes: tuple[str, ...]

    def fault(self, today: date, now: datetime) -> Rule | None:
        """Why nothing may reach it now; None = it stands."""
        if self.state != "active":
            return Rule.RECIPIENT_NOT_ACTIVE
        if today > self.ends_on:
            return Rule.CONTRACT_ENDED
        return Rule.CERTIFICATION_EXPIRED if now >= self.certified_until else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provided:
    """A Provision, its Program and the consent it rests on, as decide() needs them (L5)."""

    state: str
    organization: int
    subject: UUID
    purpose: str
    until: datetime
    program_state: str
    given_as: str = ""  # the capacity in which the consent it rests on was given; empty = there is none any more
    lone_guardian: bool = False  # one guardian alone gave it, though there is another who has not agreed (G-14)


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What the database says about one Caller at one moment. None = there is no such row."""

    subject_state: str | None = None
    birth_on: date | None = None
    location_hidden: bool = False
    epoch: int = 0
    person_active: bool = False
    person_organization: int | None = None  # the organisation the person is staff of
    own: bool = False  # the subject is the person's own record
    guardianship: Link | None = None
    organization_state: str | None = None
    organization_kind: str = ""
    class_from: datetime | None = None  # from when on the organisation counts as one of its class; None = not at all
    kin: bool = False  # the record is of the person's own family (read for emergency access only)
    recipient: Contract | None = None
    provision: Provided | None = None
    grants: bool = False  # there are permit rows that may concern this caller
