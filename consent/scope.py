"""What may be seen, as data. Pure: no database, no HTTP, no clock.

Names follow the trust rules: a *Fact* is what a rule may speak of, a *Clause* is one
node of a consent, a *GrantRow* is its flattened form (one row of the effective-grant
table), a *Scope* is what a Permit lets through. `Scope.covers` is the Python form;
`phr.records.scoping` gives the same rule as SQL, and a property test proves them equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, IntFlag, StrEnum
from uuid import UUID

from consent.reasons import Rule


class Purpose(StrEnum):
    """Purpose of use (HL7 v3 PurposeOfUse). Others may arrive as plain strings."""

    TREAT = "TREAT"
    ETREAT = "ETREAT"
    BTG = "BTG"
    HPAYMT = "HPAYMT"
    HOPERAT = "HOPERAT"
    PATRQT = "PATRQT"
    FAMRQT = "FAMRQT"
    PUBHLTH = "PUBHLTH"
    HRESCH = "HRESCH"
    PATADMIN = "PATADMIN"  # linking identities: opens no record (`decide.decide_link`)


class Level(IntEnum):
    """Sensitivity: 1 not 要配慮, 2 要配慮 but routinely shown, 3 stigmatising or expert, 4 very restricted."""

    L1 = 1
    L2 = 2
    L3 = 3
    L4 = 4


class Category(IntFlag):
    """The closed vocabulary of data categories. Bits are stored: never renumber, only add.

    Bits from 32 on are *labels*: level 3, named one by one in a consent or not given at all.
    """

    HOME = 1 << 0  # self-measured: weight, blood pressure, steps, sleep (level 1)
    IDENTITY = 1 << 1  # Patient, RelatedPerson
    PREGNANCY = 1 << 2  # 妊婦健診
    BIRTH = 1 << 3
    NEWBORN = 1 << 4  # 新生児聴覚・先天性代謝異常
    GROWTH = 1 << 5
    CHECKUP = 1 << 6  # 乳幼児健診
    SCHOOL = 1 << 7  # 学校健診
    IMMUNIZATION = 1 << 8
    MEDICATION = 1 << 9
    ALLERGY = 1 << 10
    PROBLEM = 1 << 11
    LABORATORY = 1 << 12
    VITAL = 1 << 13
    IMAGING = 1 << 14
    PROCEDURE = 1 << 15
    CARE = 1 << 16  # encounters, appointments, care plans and teams
    DENTAL = 1 << 17
    ADMINISTRATIVE = 1 << 18
    PSY = 1 << 32  # mental health, EPDS
    SDV = 1 << 33  # violence, maltreatment, child protection
    HIV = 1 << 34
    STI = 1 << 35
    GDIS = 1 << 36  # genetics
    LOSS = 1 << 37  # miscarriage, stillbirth, termination
    SUD = 1 << 38  # smoking, alcohol, drugs
    INFECTION = 1 << 39  # HBV, HCV, HTLV-1
    FAMILY = 1 << 40  # economy, care burden
    INSURANCE = 1 << 41
    UNCLASSIFIED = 1 << 42  # what we do not know


ALL_CATEGORIES = sum(Category)
LABELS = sum(c for c in Category if c >= 1 << 32)
ORDINARY = ALL_CATEGORIES & ~LABELS
LEVEL_1 = int(Category.HOME)


def level_of(categories: int, *, declared: int = 0) -> int:
    """The sensitivity level of a category mask; `declared` (R = 3, V = 4) only raises it."""
    if categories & LABELS or not categories:
        own = Level.L3
    else:
        own = Level.L1 if categories & ~LEVEL_1 == 0 else Level.L2
    return max(int(own), declared)


class Mark(IntFlag):
    """Marks of a resource. The protective ones are used only in step L1; MIXED only by permits of step L3."""

    LOCATION = 1
    MINOR_CONFIDENTIAL = 2
    CHILD_PROTECTION = 4
    MIXED = 8  # it consists of parts of different ordinary categories: a permit must name all of them


# Types that may stand without a Subject; everything else without one is never served.
OPEN_TYPES = frozenset({
    "Organization", "OrganizationAffiliation", "Practitioner", "PractitionerRole", "Location",
    "HealthcareService", "Endpoint", "Medication", "MedicationKnowledge", "Substance",
    "CodeSystem", "ValueSet", "ConceptMap", "NamingSystem", "StructureDefinition",
    "SearchParameter", "OperationDefinition", "CapabilityStatement", "ImplementationGuide",
    "Questionnaire", "PlanDefinition", "ActivityDefinition", "Library", "Measure",
})  # fmt: skip
# Lists of as many persons as an organisation likes. Nobody could ask all of them, so such a list is the writing
# organisation's alone, and without a Subject: who stands on it is shown to no other, and by no Grant.
LISTS = frozenset({"Group"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules may know of one resource. `low`/`high`: clinical time, half-open; None = unknown."""

    type: str
    id: str
    subjects: tuple[UUID, ...] = ()
    categories: int = int(Category.UNCLASSIFIED)
    level: int = 3
    low: datetime | None = None
    high: datetime | None = None
    author: int | None = None  # Organization; None = the family itself
    marks: int = 0  # Mark
    terms: frozenset[int] = frozenset()  # hashed search terms; only granular SMART scopes look

    @property
    def labels(self) -> int:
        return self.categories & LABELS


@dataclass(frozen=True, slots=True)
class Clause:
    """One node of a consent. None = not stated = any. Unknown values are kept: they narrow a permit."""

    permit: bool
    purposes: frozenset[str] | None = None
    actors: frozenset[str] | None = None  # "person:7", "org:3", "class:clinic"
    actions: frozenset[str] | None = None  # FHIR consentaction: access, collect, correct, disclose
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    categories: frozenset[str] | None = None  # names of Category, ordinary ones
    labels: frozenset[str] | None = None  # names of Category, labels
    level: int | None = None
    data_low: datetime | None = None
    data_high: datetime | None = None
    authors: frozenset[int] | None = None
    items: frozenset[str] | None = None  # "Observation/abc"
    clauses: tuple[Clause, ...] = ()


@dataclass(frozen=True, slots=True)
class GrantRow:
    """One row of the effective-grant table; None = any."""

    grant: int
    path: str  # "0", "0.1", "0.1.0": position in the tree
    permit: bool
    subject: UUID
    grantees: tuple[str, ...]  # all of them must be among the caller's actors; empty = anyone
    purpose: str | None
    action: str | None
    category_masks: tuple[int, ...]
    label_masks: tuple[int, ...]
    level: int
    data_low: datetime | None = None
    data_high: datetime | None = None
    author: int | None = None
    item: str | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None


LETTERS = "cruds"
# SMART letter -> FHIR consent action
ACTION_OF = {"r": "access", "s": "access", "c": "collect", "u": "correct", "d": "correct"}
ANYONE = -1


@dataclass(frozen=True, slots=True)
class Door:
    """Step L0: one SMART permission. `terms`: each set must meet the resource's terms (granular scope)."""

    type: str  # "*" = any
    letters: str
    terms: tuple[frozenset[int], ...] = ()

    def admits(self, facts: Facts, letter: str) -> bool:
        return (
            letter in self.letters
            and self.type in ("*", facts.type)
            and all(choice & facts.terms for choice in self.terms)
        )


@dataclass(frozen=True, slots=True)
class Basis:
    """Step L2: what a capacity alone permits. `subject` None = any subject (staff, by authorship)."""

    why: Rule
    subject: UUID | None
    author: int | None = ANYONE  # ANYONE, None = written by the family, else that Organization
    categories: int = ALL_CATEGORIES  # every category of the resource must lie inside
    level: int = 4
    letters: str = LETTERS
    beats_deny: bool = False  # self, and the authoring organisation's own record

    def permits(self, facts: Facts, subject: UUID, letter: str) -> bool:
        return (
            letter in self.letters
            and self.subject in (None, subject)
            and self.author in (ANYONE, facts.author)
            and facts.categories & ~self.categories == 0
            and facts.level <= self.level
        )


@dataclass(frozen=True, slots=True)
class Scope:
    """What a Permit lets through. Every condition is a conjunction; an empty one lets nothing through."""

    doors: tuple[Door, ...]
    bases: tuple[Basis, ...]
    actors: frozenset[str]
    purpose: str
    now: datetime
    subjects: frozenset[UUID] | None = None  # the token's patients; None = not bound to patients
    grants: bool = False  # consult the effective-grant rows (step L3)
    barred_marks: int = 0  # step L1: protective marks against this capacity
    open_letters: str = "rs"  # what may be done with types that have no Subject
    waiting: frozenset[str] = frozenset()  # a class it is still to enter: denies of it count, permits do not yet
    epoch: int | None = None  # of the one Subject it is bound to: what was begun under another one does not go on

    def covers(self, facts: Facts, *, letter: str, rows: Sequence[GrantRow] = ()) -> bool:
        """Whether one resource passes. `rows`: the effective rows of its subjects (if `grants`)."""
        if not any(door.admits(facts, letter) for door in self.doors):
            return False
        if not facts.subjects:
            return (facts.type in OPEN_TYPES and letter in self.open_letters) or (
                facts.type in LISTS and facts.author in self.list_keepers(letter)
            )
        if facts.marks & self.barred_marks:
            return False
        return all(self._permits(facts, subject, letter, rows) for subject in facts.subjects)

    def names(self, *, permit: bool) -> frozenset[str]:
        """What a row that permits, or denies, may call this caller."""
        return self.actors if permit else self.actors | self.waiting

    def list_keepers(self, letter: str) -> frozenset[int]:
        """The organisations whose own lists are seen: the caller's, unless the token is bound to persons."""
        if self.subjects is not None:
            return frozenset()
        free = (b for b in self.bases if b.subject is None and letter in b.letters)
        return frozenset(b.author for b in free if b.author is not None and b.author != ANYONE)

    def _permits(self, facts: Facts, subject: UUID, letter: str, rows: Sequence[GrantRow]) -> bool:
        if self.subjects is not None and subject not in self.subjects:
            return False
        standing = [b for b in self.bases if b.permits(facts, subject, letter)]
        if any(b.beats_deny for b in standing):
            return True
        if not self.grants:
            return bool(standing)
        verdict = by_rows(
            (r for r in rows if r.subject == subject),
            facts, actors=self.actors, waiting=self.waiting, purpose=self.purpose, action=ACTION_OF[letter],
            now=self.now,
        )  # fmt: skip
        return bool(standing) if verdict is None else verdict


def by_rows(
    rows: Iterable[GrantRow],
    facts: Facts,
    *,
    actors: frozenset[str],
    purpose: str,
    action: str,
    now: datetime,
    waiting: frozenset[str] = frozenset(),
) -> bool | None:
    """Step L3 from rows: True permit, False deny, None not applicable. `waiting`: names that denies alone may use.

    A deny counts unless a permit of the same grant *below* it matches too (an exception to it).
    """
    names = {True: actors, False: actors | waiting}
    hits = [r for r in rows if row_matches(r, facts, actors=names[r.permit], purpose=purpose, action=action, now=now)]
    permits = [r for r in hits if r.permit]
    for deny in hits:
        if not deny.permit and not any(p.grant == deny.grant and p.path.startswith(deny.path + ".") for p in permits):
            return False
    return True if permits else None


def row_matches(
    row: GrantRow, facts: Facts, *, actors: frozenset[str], purpose: str, action: str, now: datetime
) -> bool:
    """Whether one row speaks of this caller and of this resource."""
    return row_concerns(row, actors=actors, purpose=purpose, action=action, now=now) and row_describes(row, facts)


def row_concerns(row: GrantRow, *, actors: frozenset[str], purpose: str, action: str, now: datetime) -> bool:
    """Whether one row speaks of this caller, now."""
    return (
        (row.valid_from is None or row.valid_from <= now)
        and (row.valid_to is None or now < row.valid_to)
        and actors.issuperset(row.grantees)
        and row.purpose in (None, purpose)
        and row.action in (None, action)
    )


def named(facts: Facts, mask: int, *, permit: bool) -> bool:
    """Whether a Clause that names these ordinary categories speaks of the resource.

    One of its categories is enough, but for a permit of what is MIXED: there all of them must be named
    (decisions/categories-of-parts.md).
    """
    if permit and facts.marks & Mark.MIXED and facts.categories & ORDINARY & ~mask:
        return False
    return bool(facts.categories & mask)


def row_describes(row: GrantRow, facts: Facts) -> bool:
    """Whether one row speaks of this resource. Unknown facts fail a permit, meet a deny."""
    unknown_ok = not row.permit
    return (
        all(named(facts, mask, permit=row.permit) for mask in row.category_masks)
        and _labels_match(row, facts)
        and _time_matches(row, facts, unknown_ok=unknown_ok)
        and (row.author is None or row.author == facts.author or (unknown_ok and facts.author is None))
        and row.item in (None, f"{facts.type}/{facts.id}")
    )


def _labels_match(row: GrantRow, facts: Facts) -> bool:
    labels = facts.labels
    if not row.permit:
        return facts.level >= row.level and all(labels & mask for mask in row.label_masks)
    if facts.level > row.level:
        return False
    if not row.label_masks:
        return labels == 0
    return labels != 0 and all(labels & ~mask == 0 for mask in row.label_masks)


def _time_matches(row: GrantRow, facts: Facts, *, unknown_ok: bool) -> bool:
    if row.data_low is None and row.data_high is None:
        return True
    if facts.low is None or facts.high is None:
        return unknown_ok
    if row.permit:
        return (row.data_low is None or facts.low >= row.data_low) and (
            row.data_high is None or facts.high <= row.data_high
        )
    return (row.data_low is None or facts.high > row.data_low) and (row.data_high is None or facts.low < row.data_high)
