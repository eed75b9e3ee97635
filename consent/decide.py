"""May this caller in, and how far? Pure: Caller + what is in force + now -> Permit | Deny, with reasons.

Steps L0 to L3 of the trust rules. A Permit does not say yes to any one resource; it carries the Scope that does.
Whoever is refused gets the same answer as if nothing existed; the reason goes to the audit log only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from consent import rules
from consent.asking import FAMILY, THIRD_PARTY, Caller, Capacity, Contract, Glass, InForce, Link, Provided
from consent.scope import Basis, Category, Mark, Purpose, Scope

__all__ = [
    "FAMILY", "THIRD_PARTY", "Caller", "Capacity", "Contract", "Deny", "Glass", "InForce", "Link", "Permit", "Provided",
    "actors_of", "decide", "decide_link", "entitled",
]  # fmt: skip
OPEN_LETTERS_PERSON = "rs"
OPEN_LETTERS_ORGANIZATION = "rscu"  # the gateway lets an organisation change only what it authored


@dataclass(frozen=True, slots=True)
class Permit:
    scope: Scope
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deny:
    because: str


def decide(caller: Caller, in_force: InForce, now: datetime) -> Permit | Deny:
    """Permit with a Scope, or Deny with its reason. `now` must be aware. Never raises on odd callers: it denies."""
    if barred := _barred(caller, in_force):
        return Deny(barred)
    if caller.purpose == Purpose.PATADMIN:
        return _nothing(caller, in_force, now)
    return _CAPACITIES[caller.capacity](caller, in_force, now)


def decide_link(caller: Caller, in_force: InForce, now: datetime) -> Permit | Deny:
    """Whether an organisation's system may ask who is who: identities only, none that is restricted or protected.

    That the trust lets this client ask is settled by whoever issued the token, and asked again with every question.
    """
    if barred := _barred(caller, in_force):
        return Deny(barred)
    if caller.capacity is not Capacity.SYSTEM or caller.purpose != Purpose.PATADMIN or caller.organization is None:
        return Deny("no link request")
    basis = Basis("link request", None, categories=int(Category.IDENTITY), level=2, letters="s")
    marks = int(Mark.MINOR_CONFIDENTIAL | Mark.CHILD_PROTECTION)
    return _permit(caller, in_force, now, (basis,), barred=marks, grants=False, because=(basis.why,))


def entitled(in_force: InForce, now: datetime) -> Capacity | None:
    """In which capacity a person acts for a record: self, guardian, or none. An unknown age is no guardian's."""
    if in_force.subject_state != "active" or not in_force.person_active:
        return None
    age = _age(in_force, now)
    if in_force.own:
        return Capacity.SELF if age is None or age >= rules.OWN_LOGIN_AGE else None
    link = in_force.guardianship
    if link is None or link.fault(rules.today_in_japan(now)) or age is None or rules.guardian_ceiling(age) is None:
        return None
    return Capacity.GUARDIAN


def actors_of(caller: Caller, in_force: InForce) -> frozenset[str]:
    """Every name a Grant may use for this caller: person, organisation, class."""
    if not in_force.organization_kind or f"org:{caller.organization}" not in caller.actors:
        return caller.actors
    return caller.actors | {f"class:{in_force.organization_kind}"}


def _barred(caller: Caller, in_force: InForce) -> str | None:
    """L0 and L1: what no Grant overrides."""
    if not caller.doors:
        return "token opens no door"
    if caller.purpose in rules.PROHIBITED_PURPOSES:
        return "prohibited purpose"
    if caller.purpose not in set(Purpose):
        return "unknown purpose"
    if caller.person is not None and not in_force.person_active:
        return "person not active"
    if caller.organization is not None and in_force.organization_state != "active":
        return "organization not active"
    if caller.subject is not None and in_force.subject_state != "active":
        return f"subject {in_force.subject_state or 'unknown'}"
    return None


def _self(caller: Caller, in_force: InForce, now: datetime) -> Permit | Deny:
    if caller.subject is None or caller.person is None or not in_force.own:
        return Deny("not the person's own record")
    age = _age(in_force, now)
    if age is not None and age < rules.OWN_LOGIN_AGE:
        return Deny("too young to act alone")
    # G-13: not shown to the young person without a clinician's release.
    barred = Mark.CHILD_PROTECTION if age is None or age < rules.ADULT_AGE else 0
    bases = (
        Basis("own record", caller.subject, letters="rsc", beats_deny=True),
        Basis("own words", caller.subject, author=None, letters="ud", beats_deny=True),
    )
    return _permit(caller, in_force, now, bases, barred=int(barred), grants=False, because=("own record",))


def _guardian(caller: Caller, in_force: InForce, now: datetime) -> Permit | Deny:
    link = in_force.guardianship
    if caller.subject is None or caller.person is None or link is None:
        return Deny("no guardianship")
    if fault := link.fault(rules.today_in_japan(now)):
        return Deny(f"guardianship {fault}")
    age = _age(in_force, now)
    if age is None:
        return Deny("age not known")
    ceiling = rules.guardian_ceiling(age)
    if ceiling is None:
        return Deny("no guardian at this age")
    why = f"guardian: {ceiling.name}"
    bases = (
        Basis(why, caller.subject, categories=ceiling.categories, level=ceiling.level, letters="rsc"),
        Basis(why, caller.subject, author=None, categories=ceiling.categories, level=ceiling.level, letters="ud"),
    )
    because = (why, f"guardianship:{link.id}")
    return _permit(caller, in_force, now, bases, barred=_family_marks(in_force), grants=True, because=because)


def _proxy(caller: Caller, in_force: InForce, now: datetime) -> Permit | Deny:
    if caller.subject is None or caller.person is None or not in_force.grants:
        return Deny("no link and no grant")
    return _permit(caller, in_force, now, (), barred=_family_marks(in_force), grants=True, because=("granted",))


def _staff(caller: Caller, in_force: InForce, now: datetime) -> Permit | Deny:
    if caller.person is None or caller.organization is None:
        return Deny("no organization")
    if in_force.person_organization != caller.organization:
        return Deny("not staff of this organization")
    return _organization(caller, in_force, now)


def _organization(caller: Caller, in_force: InForce, now: datetime) -> Permit | Deny:
    if caller.organization is None:
        return Deny("no organization")
    municipal = in_force.organization_kind == "municipality"
    own = caller.purpose in (rules.MUNICIPAL_PURPOSES if municipal else rules.STAFF_PURPOSES)
    if not own and not in_force.grants:
        return Deny("no grant for this purpose")
    bases = (Basis("own organization's record", None, author=caller.organization, beats_deny=True),) if own else ()
    # G-08: treating staff see where a person is; for any other purpose it stays hidden unless known to be open.
    treating = own or caller.purpose in (Purpose.ETREAT, Purpose.BTG)
    hidden = in_force.location_hidden or caller.subject is None
    barred = int(Mark.LOCATION) if hidden and not treating else 0
    because = tuple(b.why for b in bases) + (("granted",) if in_force.grants else ())
    return _permit(caller, in_force, now, bases, barred=barred, grants=in_force.grants, because=because)


def _researcher(caller: Caller, in_force: InForce, now: datetime) -> Permit | Deny:
    if caller.organization is None or caller.purpose != Purpose.HRESCH or not in_force.grants:
        return Deny("no grant for research")
    barred = int(Mark.LOCATION | Mark.MINOR_CONFIDENTIAL | Mark.CHILD_PROTECTION)
    return _permit(caller, in_force, now, (), barred=barred, grants=True, because=("granted",))


_CAPACITIES: Mapping[Capacity, Callable[[Caller, InForce, datetime], Permit | Deny]] = {
    Capacity.SELF: _self,
    Capacity.GUARDIAN: _guardian,
    Capacity.PROXY: _proxy,
    Capacity.STAFF: _staff,
    Capacity.RESEARCHER: _researcher,
    Capacity.SYSTEM: _organization,
}


def _family_marks(in_force: InForce) -> int:
    marks = Mark.MINOR_CONFIDENTIAL | Mark.CHILD_PROTECTION
    return int(marks | Mark.LOCATION) if in_force.location_hidden else int(marks)


def _age(in_force: InForce, now: datetime) -> int | None:
    return None if in_force.birth_on is None else rules.age_on(in_force.birth_on, rules.today_in_japan(now))


def _nothing(caller: Caller, in_force: InForce, now: datetime) -> Permit:
    """Who may only ask who is who reads and writes nothing by any other door."""
    permit = _permit(caller, in_force, now, (), barred=0, grants=False, because=("linking opens no record",))
    return replace(permit, scope=replace(permit.scope, open_letters=""))


def _permit(
    caller: Caller,
    in_force: InForce,
    now: datetime,
    bases: tuple[Basis, ...],
    *,
    barred: int,
    grants: bool,
    because: tuple[str, ...],
) -> Permit:
    organizational = caller.capacity in (Capacity.STAFF, Capacity.SYSTEM)
    scope = Scope(
        doors=caller.doors,
        bases=bases,
        actors=actors_of(caller, in_force),
        purpose=caller.purpose,
        now=now,
        subjects=None if caller.subject is None else frozenset({caller.subject}),
        grants=grants,
        barred_marks=barred,
        open_letters=OPEN_LETTERS_ORGANIZATION if organizational else OPEN_LETTERS_PERSON,
    )
    return Permit(scope, because)
