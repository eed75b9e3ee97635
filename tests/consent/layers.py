"""The whole decision, L0 to L5, written down a second time from the trust rules' text, as plainly as can be.

Slow and simple on purpose; it shares with the code the words (Facts, Clause, Caller, InForce) and the evaluation of
one tree, which has its own reference (`test_tree_properties`). Random questions stand below.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random
from uuid import UUID

from consent.decide import Caller, Capacity, Contract, Glass, InForce, Link, Permit, Provided, decide
from consent.effective import rows_of
from consent.evaluate import Asked, eval_grants
from consent.scope import ACTION_OF, Category, Clause, Door, Facts, Mark
from tests.consent import random_trees, words

NOW = words.NOW
TODAY = date(2026, 4, 1)  # in Japan
ORGANIZATION, PERSON = 1, 1
CARE = {"TREAT", "ETREAT", "BTG", "HPAYMT", "HOPERAT", "PATRQT", "FAMRQT", "PUBHLTH", "PATADMIN"}
PURPOSES = ["TREAT"] * 9 + ["PATRQT", "FAMRQT", "HRESCH", "PUBHLTH", "BTG", "LEGAL", "odd"]
STANDARD = {"IMMUNIZATION", "ALLERGY", "GROWTH", "MEDICATION", "CARE", "IDENTITY"}
EMERGENCY = {"ALLERGY", "MEDICATION", "PREGNANCY", "PROBLEM", "IMMUNIZATION", "IDENTITY", "LABORATORY"}
FROM_GUARDIANS = {"SDV", "STI", "LOSS"}


@dataclass(frozen=True)
class Question:
    caller: Caller
    in_force: InForce
    facts: Facts
    grants: tuple[tuple[UUID, Clause], ...]
    letter: str

    @property
    def actors(self) -> frozenset[str]:
        """Everything a Grant may call the caller."""
        caller, own = self.caller, self.in_force
        names = set()
        if caller.person is not None:
            names.add(f"person:{caller.person}")
        family = caller.capacity in (Capacity.SELF, Capacity.GUARDIAN)
        if not family:
            names.add("class:third-party")
        if not family and caller.capacity is not Capacity.PROXY and caller.organization is not None:
            names.add(f"org:{caller.organization}")
            if own.organization_kind and own.class_from is not None and own.class_from <= NOW:
                names.add(f"class:{own.organization_kind}")  # see also `waiting`
        if caller.provision:
            names.add(f"provision:{caller.provision}")
        return frozenset(names)

    @property
    def waiting(self) -> frozenset[str]:
        """A class the organisation is still to enter: denies of it count already."""
        kind = self.in_force.organization_kind
        if not kind or f"org:{self.caller.organization}" not in self.actors:
            return frozenset()
        return frozenset({f"class:{kind}"}) - self.actors


def permitted(q: Question) -> bool:
    """What the code under test says: `decide`, then the Scope with the flattened rows."""
    answer = decide(q.caller, settled(q), NOW)
    if not isinstance(answer, Permit):
        return False
    rows = [row for number, (subject, root) in enumerate(q.grants) for row in rows_of(number, subject, root)]
    return answer.scope.covers(q.facts, letter=q.letter, rows=rows)


def settled(q: Question) -> InForce:
    """With `grants` as the database would say: a permit row, not yet over, that may concern the caller."""
    names = {f"person:{q.caller.person}"} if q.caller.capacity is Capacity.PROXY else {"", *q.actors}
    rows = (row for number, (subject, root) in enumerate(q.grants) for row in rows_of(number, subject, root))
    found = any(
        row.permit
        and (row.grantees[0] if row.grantees else "") in names
        and (row.valid_to is None or row.valid_to > NOW)
        and q.caller.subject in (None, row.subject)
        for row in rows
    )
    return replace(q.in_force, grants=found)


# -- the second writing ----------------------------------------------------------------------------


def reference(q: Question) -> bool:
    """L0, L1, then each subject by itself; every one must permit."""
    caller, own, facts = q.caller, q.in_force, q.facts
    if not any(q.letter in d.letters and d.type in ("*", facts.type) for d in caller.doors):
        return False  # L0
    if not _passes_l1(caller, own) or not _provision_stands(caller, own):
        return False
    if caller.glass is not None and not _glass_stands(caller, own):
        return False
    if not facts.subjects or caller.purpose == "PATADMIN":
        return False
    if (caller.glass is not None or caller.provision) and q.letter not in "rs":
        return False
    if facts.marks & _marks_against(caller, own):
        return False
    return all(_subject_permits(q, subject) for subject in facts.subjects)


def _passes_l1(caller: Caller, own: InForce) -> bool:
    if caller.purpose in ("LEGAL", "odd"):
        return False
    if caller.person is not None and not own.person_active:
        return False
    if caller.subject is not None and own.subject_state != "active":
        return False
    if caller.organization is None:
        return True
    if own.organization_state != "active":
        return False
    bound = own.recipient
    if bound is None:
        return True
    if bound.state != "active" or bound.ends_on < TODAY or bound.certified_until <= NOW:
        return False
    return caller.purpose in CARE or caller.purpose in bound.purposes


def _provision_stands(caller: Caller, own: InForce) -> bool:
    """L5: outside care, and wherever a Provision is named, it must be in force and be this one."""
    if caller.glass is not None or (caller.purpose in CARE and not caller.provision):
        return True
    given = own.provision
    if not caller.provision or given is None or own.recipient is None or caller.organization is None:
        return False
    if caller.capacity not in (Capacity.SYSTEM, Capacity.RESEARCHER):
        return False
    if (given.organization, given.subject, given.purpose) != (caller.organization, caller.subject, caller.purpose):
        return False
    if given.state not in ("permitted", "delivered") or given.until <= NOW or given.program_state != "active":
        return False
    age = _age(own)
    if given.given_as == "self":
        return age is None or age >= 16
    return given.given_as == "guardian" and age is not None and age < 16 and not given.lone_guardian


def _glass_stands(caller: Caller, own: InForce) -> bool:
    glass = caller.glass
    assert glass is not None
    return (
        caller.subject == glass.subject
        and caller.purpose in ("ETREAT", "BTG")
        and glass.ends_at > NOW
        and caller.capacity is Capacity.STAFF
        and caller.person is not None
        and caller.organization is not None
        and own.person_organization == caller.organization
        and own.organization_kind in ("clinic", "hospital", "ambulance")
        and not own.kin
    )


def _marks_against(caller: Caller, own: InForce) -> int:
    age = _age(own)
    secret = int(Mark.MINOR_CONFIDENTIAL | Mark.CHILD_PROTECTION)
    if caller.glass is not None:
        return 0
    if caller.provision:
        return secret | int(Mark.LOCATION)
    if caller.capacity is Capacity.SELF:
        return 0 if age is not None and age >= 18 else int(Mark.CHILD_PROTECTION)
    if caller.capacity in (Capacity.GUARDIAN, Capacity.PROXY):
        return secret | (int(Mark.LOCATION) if own.location_hidden else 0)
    treating = caller.purpose in ("TREAT", "ETREAT", "BTG") or (
        caller.purpose == "PUBHLTH" and own.organization_kind == "municipality"
    )
    return 0 if treating or (caller.subject is not None and not own.location_hidden) else int(Mark.LOCATION)


def _subject_permits(q: Question, subject: UUID) -> bool:
    caller = q.caller
    if caller.subject is not None and subject != caller.subject:
        return False
    strong, weak, grants_count = _own_right(q, subject)
    if strong:
        return True
    verdict = _consents(q, subject) if grants_count else None
    if verdict is False:
        return False
    return verdict is True or weak


def _own_right(q: Question, subject: UUID) -> tuple[bool, bool, bool]:
    """L2 (and L4): permitted whatever is denied; permitted unless denied; whether consents count at all."""
    caller, own, facts = q.caller, q.in_force, q.facts
    if caller.provision:
        return False, False, True
    if caller.glass is not None:
        whole = caller.glass.step == 2
        first = facts.level <= 2 and _names(facts) <= EMERGENCY
        return q.letter in "rs" and (whole or first), False, True
    match caller.capacity:
        case Capacity.SELF:
            if caller.subject is None or caller.person is None or not own.own:
                return False, False, False
            age = _age(own)
            grown = age is None or age >= 15
            return grown and (q.letter in "rsc" or (q.letter in "ud" and facts.author is None)), False, False
        case Capacity.GUARDIAN:
            return False, _guardian_sees(q), _link_stands(q) and _guardian_age(q) is not None
        case Capacity.PROXY:
            return False, False, caller.person is not None and caller.subject is not None and _named_herself(q)
        case Capacity.STAFF | Capacity.SYSTEM:
            if caller.organization is None:
                return False, False, False
            staff = caller.person is not None and own.person_organization == caller.organization
            if caller.capacity is Capacity.STAFF and not staff:
                return False, False, False
            free = {"TREAT", "PUBHLTH"} if own.organization_kind == "municipality" else {"TREAT"}
            return caller.purpose in free and facts.author == caller.organization, False, True
    return False, False, False


def _named_herself(q: Question) -> bool:
    return settled(q).grants


def _guardian_sees(q: Question) -> bool:
    ceiling = _guardian_age(q)
    if not _link_stands(q) or ceiling is None:
        return False
    names, facts = _names(q.facts), q.facts
    inside = (
        names <= STANDARD and facts.level <= 2 if ceiling >= 15 else not names & FROM_GUARDIANS and facts.level <= 3
    )
    return inside and (q.letter in "rsc" or (q.letter in "ud" and facts.author is None))


def _guardian_age(q: Question) -> int | None:
    age = _age(q.in_force)
    return None if age is None or not 0 <= age < 18 else age


def _link_stands(q: Question) -> bool:
    link = q.in_force.guardianship
    return (
        link is not None
        and q.caller.person is not None
        and q.caller.subject is not None
        and link.state == "active"
        and link.starts_on <= TODAY <= link.review_on
        and (link.ends_on is None or link.ends_on > TODAY)
    )


def _consents(q: Question, subject: UUID) -> bool | None:
    asked = Asked(q.facts, q.actors, q.caller.purpose, ACTION_OF[q.letter], NOW, q.waiting)
    return eval_grants([root for about, root in q.grants if about == subject], asked)


def _names(facts: Facts) -> set[str]:
    return {c.name or "" for c in Category if facts.categories & c}


def _age(own: InForce) -> int | None:
    """Completed years: one is complete when the day before the birthday ends."""
    if own.birth_on is None:
        return None
    years = TODAY.year - own.birth_on.year
    return years if (TODAY.month, TODAY.day) >= (own.birth_on.month, own.birth_on.day) else years - 1


# -- random questions ------------------------------------------------------------------------------


def question(rng: Random) -> Question:
    """One question; the rows of the database agree with each other more often than not."""
    asked = random_trees.asked(rng)
    hana, ren = words.SUBJECTS
    facts = replace(
        asked.facts,
        subjects=rng.choice([(hana,)] * 6 + [(ren,), (hana, ren), ()]),
        marks=rng.choice([0] * 6 + [int(Mark.MIXED), 1, 2, 4]),
        categories=asked.facts.categories | (int(Category[rng.choice(sorted(STANDARD | EMERGENCY | FROM_GUARDIANS))])
                                             if rng.random() < 0.3 else 0),
    )  # fmt: skip
    facts = replace(facts, level=max(facts.level, 3 if facts.labels else facts.level))
    caller = _caller(rng)
    grants = tuple(
        (rng.choice([hana, hana, ren]), random_trees.clause(rng, permit=rng.choice([None, True, True, False])))
        for _ in range(rng.choice([0, 1, 1, 2, 3]))
    )
    if rng.random() < 0.5:  # random trees seldom meet: one that means somebody in particular
        wide = Clause(permit=True, actors=frozenset({rng.choice(["person:1", "org:1"])}), level=rng.choice([None, 3]))
        grants = (*grants, (hana, wide))
    return Question(caller, _in_force(rng, caller), facts, grants, rng.choice("rrrrscud"))


def _caller(rng: Random) -> Caller:
    capacity = rng.choice([*list(Capacity), Capacity.STAFF, Capacity.SYSTEM])
    mostly = rng.random() < 0.95
    office = capacity in (Capacity.STAFF, Capacity.SYSTEM, Capacity.RESEARCHER)
    subject = rng.choice([None, words.HANA]) if office else words.HANA if mostly else None
    glass = None
    purpose = "HRESCH" if capacity is Capacity.RESEARCHER else rng.choice(PURPOSES)
    if capacity is Capacity.STAFF and rng.random() < 0.5:
        ends = NOW + timedelta(minutes=rng.choice([20, 20, 0, -5]))
        glass = Glass(id=1, subject=rng.choice([words.HANA] * 4 + [words.REN]), step=rng.choice([1, 2]), ends_at=ends)
        subject, purpose = words.HANA, rng.choice(["BTG", "BTG", "BTG", "ETREAT", "TREAT"])
    provision = "p" if rng.random() < (0.9 if purpose == "HRESCH" else 0.05) and glass is None else ""
    doors = rng.choice([(Door("*", "cruds"),)] * 9 + [(), (Door("Observation", "rs"),)])
    return Caller(
        client="c", capacity=capacity, purpose=purpose, doors=doors,
        person=PERSON if capacity is not Capacity.SYSTEM and mostly else None,
        organization=ORGANIZATION if office and rng.random() < 0.95 else None,
        subject=words.HANA if provision else subject, provision=provision, glass=glass,
    )  # fmt: skip


def _in_force(rng: Random, caller: Caller) -> InForce:
    def often(usual: object, *others: object) -> object:
        return usual if rng.random() < 0.95 else rng.choice(others)

    born = rng.choice([8, 8, 13, 15, 16, 17, 18, 30, None])
    birthday = None if born is None else date(2026 - born, 4, rng.choice([1, 2]))
    start = TODAY + timedelta(days=int(str(often(-9, 0, 1))))
    link = Link(
        id=1, state=str(often("active", "frozen", "ended")), starts_on=start,
        ends_on=rng.choice([None, None, TODAY, TODAY + timedelta(days=1)]),
        review_on=TODAY + timedelta(days=int(str(often(90, 0, -1)))),
    )  # fmt: skip
    return InForce(
        subject_state=often("active", "locked", "erased", None) if caller.subject else None,  # type: ignore[arg-type]
        birth_on=birthday, location_hidden=rng.random() < 0.3, person_active=bool(often(True, False)),
        person_organization=often(ORGANIZATION, 2, None), own=bool(often(True, False)),  # type: ignore[arg-type]
        guardianship=often(link, None), organization_state=often("active", "suspended", None),  # type: ignore[arg-type]
        organization_kind=str(rng.choice(["clinic", "clinic", "hospital", "municipality", "research", "ambulance"])),
        class_from=often(NOW, NOW + timedelta(seconds=1), None), kin=rng.random() < 0.1,  # type: ignore[arg-type]
        recipient=_recipient(rng, caller), provision=_provided(rng, born) if caller.provision else None,
    )  # fmt: skip


def _recipient(rng: Random, caller: Caller) -> Contract | None:
    if rng.random() < (0.1 if caller.provision else 0.7):
        return None
    return Contract(
        id=1, state=rng.choice(["active"] * 12 + ["suspended", "ended"]),
        ends_on=TODAY + timedelta(days=rng.choice([30] * 9 + [0, -1])),
        certified_until=NOW + timedelta(seconds=rng.choice([9] * 9 + [1, 0])),
        purposes=rng.choice([("HRESCH",)] * 9 + [()]),
    )  # fmt: skip


def _provided(rng: Random, born: int | None) -> Provided | None:
    usual = "self" if born is None or born > 16 else "guardian"
    if rng.random() < 0.05:
        return None
    return Provided(
        state=rng.choice(["permitted"] * 14 + ["delivered", "asked", "refused", "ended"]),
        organization=rng.choice([ORGANIZATION] * 9 + [2]), subject=rng.choice([words.HANA] * 9 + [words.REN]),
        purpose=rng.choice(["HRESCH"] * 14 + ["TREAT"]), until=NOW + timedelta(days=rng.choice([1] * 9 + [0])),
        program_state=rng.choice(["active"] * 14 + ["stopped", "closed"]),
        given_as=rng.choice([usual] * 6 + ["self", "guardian", ""]), lone_guardian=rng.random() < 0.3,
    )  # fmt: skip
