"""May this caller in, and how far? Pure: Caller + what is in force + now -> Permit | Deny, with reasons.

Steps L0 to L5 of the trust rules. A Permit does not say yes to any one resource; it carries the Scope that does.
Whoever is refused gets the same answer as if nothing existed; the reason goes to the audit log only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from consent import rules
from consent.asking import FAMILY, THIRD_PARTY, Caller, Capacity, Contract, Glass, InForce, Link, Provided
from consent.reasons import Reason, Rule
from consent.scope import Basis, Category, Mark, Purpose, Scope

__all__ = [
    "FAMILY", "FULL_STEP", "THIRD_PARTY", "Caller", "Capacity", "Contract", "Deny", "Glass", "InForce", "Link",
    "Permit", "Provided", "actors_of", "consenting", "decide", "decide_link", "entitled",
]  # fmt: skip
PURPOSES = frozenset(Purpose)
FULL_STEP = 2  # of an emergency access: the whole record
PROVISION_STATES = frozenset({"permitted", "delivered"})  # delivered: it may be fetched again until it ends
OPEN_LETTERS_PERSON = "rs"
OPEN_LETTERS_ORGANIZATION = "rscu"  # the gateway lets an organisation change only what it authored


@dataclass(frozen=True, slots=True)
class Permit:
    scope: Scope
    because: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Deny:
    because: Reason


def decide(caller: Caller, in_force: InForce, now: datetime) -> Permit | Deny:
    """Permit with a Scope, or Deny with its reason. `now` must be aware. Never raises on odd callers: it denies."""
    if barred := _barred(caller, in_force, now):
        return Deny(barred)
    if caller.glass is not None:
        return _glass(caller, caller.glass, in_force, now)
    if caller.purpose == Purpose.PATADMIN:
        return _nothing(caller, in_force, now)
    if caller.provision or caller.purpose not in rules.CARE_PURPOSES:
        return _provision(caller, in_force, now)
    return _CAPACITIES[caller.capacity](caller, in_force, now)


def decide_link(caller: Caller, in_force: InForce, now: datetime) -> Permit | Deny:
    """Whether an organisation's system may ask who is who: identities only, none that is restricted or protected.

    That the trust lets this client ask is settled by whoever issued the token, and asked again with every question.
    """
    if barred := _barred(caller, in_force, now):
        return Deny(barred)
    if caller.capacity is not Capacity.SYSTEM or caller.purpose != Purpose.PATADMIN or caller.organization is None:
        return Deny(Reason(Rule.NO_LINKING))
    basis = Basis(Rule.LINKING, None, categories=int(Category.IDENTITY), level=2, letters="s")
    marks = int(Mark.MINOR_CONFIDENTIAL | Mark.CHILD_PROTECTION)
    return _permit(caller, in_force, now, (basis,), barred=marks, grants=False, because=(Reason(basis.why),))


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


def consenting(in_force: InForce, now: datetime) -> Capacity | None:
    """In which capacity a person decides what is of weight (research, erasure, moving away): she herself from 16 on,
    her guardians before (G-10, G-14), else None. An unknown age is an adult's."""
    capacity, age = entitled(in_force, now), _age(in_force, now)
    grown = age is None or age >= rules.OWN_CONSENT_AGE
    return capacity if grown == (capacity is Capacity.SELF) else None


def actors_of(caller: Caller, in_force: InForce, now: datetime) -> frozenset[str]:
    """Every name a Grant may use for this caller: person, organisation, class (once its waiting week is over)."""
    return caller.actors | (_class_of(caller, in_force) - waiting_for(caller, in_force, now))


def waiting_for(caller: Caller, in_force: InForce, now: datetime) -> frozenset[str]:
    """The class an organisation has not entered yet: whoever denied the class denied this one too (IT-03)."""
    since = in_force.class_from
    return _class_of(caller, in_force) if since is None or now < since else frozenset()


def _class_of(caller: Caller, in_force: InForce) -> frozenset[str]:
    kind = in_force.organization_kind
    return frozenset({f"class:{kind}"} if kind and f"org:{caller.organization}" in caller.actors else ())


def _barred(caller: Caller, in_force: InForce, now: datetime) -> Reason | None:
    """L0 and L1: what no Grant overrides."""
    if not caller.doors:
        return Reason(Rule.NO_DOOR)
    if caller.purpose in rules.PROHIBITED_PURPOSES:
        return Reason(Rule.PURPOSE_PROHIBITED)
    if caller.purpose not in PURPOSES:
        return Reason(Rule.PURPOSE_UNKNOWN)
    if caller.person is not None and not in_force.person_active:
        return Reason(Rule.PERSON_NOT_ACTIVE)
    if caller.organization is not None and (barred := _recipient(caller, in_force, now)):
        return barred
    if caller.subject is not None and in_force.subject_state != "active":
        return Reason(_SUBJECT_FAULTS.get(in_force.subject_state or "", Rule.SUBJECT_UNKNOWN))
    return None


_SUBJECT_FAULTS = {"locked": Rule.SUBJECT_LOCKED, "erased": Rule.SUBJECT_ERASED}


def _recipient(caller: Caller, in_force: InForce, now: datetime) -> Reason | None:
    """An organisation that has a contract with the trust is bound by it, whatever it asks (IT-20)."""
    if in_force.organization_state != "active":
        return Reason(Rule.ORGANIZATION_NOT_ACTIVE, (f"organization:{caller.organization}",))
    contract = in_force.recipient
    if contract is None:
        return None
    rule = contract.fault(rules.today_in_japan(now), now)
    if rule is None and caller.purpose not in rules.CARE_PURPOSES and caller.purpose not in contract.purposes:
        rule = Rule.RECIPIENT_PURPOSE
    return None if rule is None else Reason(rule, (f"recipient:{contract.id}",))


def _self(caller: Caller, in_force: InForce, now: datetime) -> Permit | Deny:
    if caller.subject is None or caller.person is None or not in_force.own:
        return Deny(Reason(Rule.NOT_OWN))
    age = _age(in_force, now)
    if age is not None and age < rules.OWN_LOGIN_AGE:
        return Deny(Reason(Rule.TOO_YOUNG))
    # G-13: not shown to the young person without a clinician's release.
    barred = Mark.CHILD_PROTECTION if age is None or age < rules.ADULT_AGE else 0
    bases = (
        Basis(Rule.OWN_RECORD, caller.subject, letters="rsc", beats_deny=True),
        Basis(Rule.OWN_WORDS, caller.subject, author=None, letters="ud", beats_deny=True),
    )
    because = (Reason(Rule.OWN_RECORD),)
    return _permit(caller, in_force, now, bases, barred=int(barred), grants=False, because=because)


def _guardian(caller: Caller, in_force: InForce, now: datetime) -> Permit | Deny:
    link = in_force.guardianship
    if caller.subject is None or caller.person is None or link is None:
        return Deny(Reason(Rule.NO_LINK))
    rests = (f"guardianship:{link.id}",)
    if fault := link.fault(rules.today_in_japan(now)):
        return Deny(Reason(fault, rests))
    age = _age(in_force, now)
    if age is None:
        return Deny(Reason(Rule.AGE_UNKNOWN, rests))
    ceiling = rules.guardian_ceiling(age)
    if ceiling is None:
        return Deny(Reason(Rule.GROWN_UP, rests))
    why, allowed, level = Rule.GUARDIAN, ceiling.categories, ceiling.level
    bases = (
        Basis(why, caller.subject, categories=allowed, level=level, letters="rsc"),
        Basis(why, caller.subject, author=None, categories=allowed, level=level, letters="ud"),
    )
    because = (Reason(why, (*rests, f"ceiling:{ceiling.name}")),)
    return _permit(caller, in_force, now, bases, barred=_family_marks(in_force), grants=True, because=because)


def _proxy(caller: Caller, in_force: InForce, now: datetime) -> Permit | Deny:
    if caller.subject is None or caller.person is None or not in_force.grants:
        return Deny(Reason(Rule.NO_GRANT))
    because = (Reason(Rule.GRANTED),)
    return _permit(caller, in_force, now, (), barred=_family_marks(in_force), grants=True, because=because)


def _staff(caller: Caller, in_force: InForce, now: datetime) -> Permit | Deny:
    if caller.person is None or caller.organization is None:
        return Deny(Reason(Rule.NO_ORGANIZATION))
    if in_force.person_organization != caller.organization:
        return Deny(Reason(Rule.NOT_STAFF))
    return _organization(caller, in_force, now)


def _organization(caller: Caller, in_force: InForce, now: datetime) -> Permit | Deny:
    if caller.organization is None:
        return Deny(Reason(Rule.NO_ORGANIZATION))
    municipal = in_force.organization_kind == "municipality"
    own = caller.purpose in (rules.MUNICIPAL_PURPOSES if municipal else rules.STAFF_PURPOSES)
    if not own and not in_force.grants:
        return Deny(Reason(Rule.NO_GRANT))
    bases = (Basis(Rule.OWN_ORGANIZATION, None, author=caller.organization, beats_deny=True),) if own else ()
    # G-08: treating staff see where a person is; for any other purpose it stays hidden unless known to be open.
    treating = own or caller.purpose in (Purpose.ETREAT, Purpose.BTG)
    hidden = in_force.location_hidden or caller.subject is None
    barred = int(Mark.LOCATION) if hidden and not treating else 0
    because = tuple(Reason(b.why) for b in bases) + ((Reason(Rule.GRANTED),) if in_force.grants else ())
    return _permit(caller, in_force, now, bases, barred=barred, grants=in_force.grants, because=because)


def _glass(caller: Caller, glass: Glass, in_force: InForce, now: datetime) -> Permit | Deny:
    """L4: one clinician, one record, a while. It passes denies; it passes nothing of L1, nor one's own family."""
    rests = (f"glass:{glass.id}",)
    if fault := _glass_fault(caller, glass, in_force, now):
        return Deny(Reason(fault, rests))
    full = glass.step >= FULL_STEP
    why = Rule.GLASS_FULL if full else Rule.GLASS_SET
    basis = Basis(why, glass.subject, letters="rs", beats_deny=True)
    if not full:
        basis = replace(basis, categories=rules.EMERGENCY_SET, level=2)
    because = (Reason(why, rests),)
    return _reading(_permit(caller, in_force, now, (basis,), barred=0, grants=in_force.grants, because=because))


def _reading(permit: Permit) -> Permit:
    """The same, for reading and searching only: who comes in an emergency, or for a provision, writes nothing."""
    doors = tuple(replace(d, letters="".join(x for x in d.letters if x in "rs")) for d in permit.scope.doors)
    return replace(permit, scope=replace(permit.scope, doors=doors, open_letters=OPEN_LETTERS_PERSON))


def _glass_fault(caller: Caller, glass: Glass, in_force: InForce, now: datetime) -> Rule | None:
    if caller.subject != glass.subject or caller.purpose not in rules.GLASS_PURPOSES:
        return Rule.GLASS_MISMATCH
    if now >= glass.ends_at:
        return Rule.GLASS_OVER
    on_duty = caller.organization is not None and in_force.person_organization == caller.organization
    if caller.capacity is not Capacity.STAFF or caller.person is None or not on_duty:
        return Rule.GLASS_NO_CLINICIAN
    if in_force.organization_kind not in rules.GLASS_KINDS:
        return Rule.GLASS_NO_CLINICIAN
    return Rule.GLASS_FAMILY if in_force.kin else None


def _provision(caller: Caller, in_force: InForce, now: datetime) -> Permit | Deny:
    """L5: outside care nothing is read but what the trust judged and permitted, for one person and one recipient."""
    provided, rests = in_force.provision, (f"provision:{caller.provision}",)
    if not caller.provision or provided is None:
        return Deny(Reason(Rule.NO_PROVISION))
    system = caller.capacity in (Capacity.RESEARCHER, Capacity.SYSTEM)
    if not system or caller.organization is None or in_force.recipient is None:
        return Deny(Reason(Rule.RECIPIENT_MISSING, rests))
    if fault := _provision_fault(caller, provided, in_force, now):
        return Deny(Reason(fault, rests))
    barred = int(Mark.LOCATION | Mark.MINOR_CONFIDENTIAL | Mark.CHILD_PROTECTION)
    because = (Reason(Rule.PROVIDED, rests), Reason(Rule.GRANTED))
    return _reading(_permit(caller, in_force, now, (), barred=barred, grants=True, because=because))


def _provision_fault(caller: Caller, provided: Provided, in_force: InForce, now: datetime) -> Rule | None:
    asked = (caller.organization, caller.subject, caller.purpose)
    if asked != (provided.organization, provided.subject, provided.purpose):
        return Rule.PROVISION_MISMATCH
    if provided.state not in PROVISION_STATES:
        return Rule.PROVISION_STATE
    if now >= provided.until:
        return Rule.PROVISION_OVER
    if provided.program_state != "active":
        return Rule.PROGRAM_STOPPED
    return _consent_fault(provided, in_force, now)


def _consent_fault(provided: Provided, in_force: InForce, now: datetime) -> Rule | None:
    """Whose consent counts: her own from 16 on (G-10); a guardian's before, and both guardians' (G-14)."""
    age = _age(in_force, now)
    if provided.given_as == Capacity.SELF:
        return Rule.GUARDIANS_CONSENT if age is not None and age < rules.OWN_CONSENT_AGE else None
    if provided.given_as != Capacity.GUARDIAN:
        return Rule.CONSENT_GONE
    if age is None:
        return Rule.AGE_UNKNOWN
    if age >= rules.OWN_CONSENT_AGE:
        return Rule.OWN_CONSENT
    return Rule.BOTH_GUARDIANS if provided.lone_guardian else None


def _researcher(caller: Caller, in_force: InForce, now: datetime) -> Permit | Deny:
    return Deny(Reason(Rule.NO_PROVISION))  # for care nobody is a researcher


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
    permit = _permit(caller, in_force, now, (), barred=0, grants=False, because=(Reason(Rule.LINKING_ONLY),))
    return replace(permit, scope=replace(permit.scope, open_letters=""))


def _permit(
    caller: Caller,
    in_force: InForce,
    now: datetime,
    bases: tuple[Basis, ...],
    *,
    barred: int,
    grants: bool,
    because: tuple[Reason, ...],
) -> Permit:
    organizational = caller.capacity in (Capacity.STAFF, Capacity.SYSTEM)
    scope = Scope(
        doors=caller.doors,
        bases=bases,
        actors=actors_of(caller, in_force, now),
        purpose=caller.purpose,
        now=now,
        subjects=None if caller.subject is None else frozenset({caller.subject}),
        grants=grants,
        barred_marks=barred,
        open_letters=OPEN_LETTERS_ORGANIZATION if organizational else OPEN_LETTERS_PERSON,
        epoch=None if caller.subject is None else in_force.epoch,
        waiting=waiting_for(caller, in_force, now),
    )
    return Permit(scope, because)
