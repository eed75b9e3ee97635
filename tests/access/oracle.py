"""Small worlds (a family, its desks, consents, flags, ages) and what each of its people must see of them.

The world is written into the database as rows; what must be seen is told from the world's own description by the
second writing of the rules (`tests.consent.layers`), never from what the database or the server says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from django.db import connection

from consent import clauses, effective
from consent.asking import Caller, Capacity, Glass, InForce, Link
from consent.decide import Permit
from consent.models import EmergencyAccess, Grant, Guardianship, Organization, Person, Subject
from consent.reasons import Rule
from consent.rules import today_in_japan
from consent.scope import Basis, Category, Clause, Door, Facts, Mark, Scope, level_of
from phr.populate.store import for_person
from phr.records.gateway import Records
from phr.smart.models import AccessToken, Application, Launch
from tests.consent import layers
from tests.family import App, weight

C = Category
DOORS = (Door("*", "cruds"),)
LOINC = "http://loinc.org"
YEAR = timedelta(days=365)


def coded(code: str) -> dict[str, Any]:
    return {"coding": [{"system": LOINC, "code": code}]}


def parts(*codes: str) -> dict[str, Any]:
    return {"component": [{"code": coded(code)} for code in codes], "valueQuantity": None}


def allergy_of(subject: UUID) -> dict[str, Any]:
    active = {"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}
    return {"resourceType": "AllergyIntolerance", "clinicalStatus": {"coding": [active]}, "code": {"text": "卵"},
            "patient": {"reference": f"Patient/{subject}"}}  # fmt: skip


RESTRICTED = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}
# What is written, and what the rules know of it: (code, more, categories, declared level, marks)
KINDS: tuple[tuple[str, dict[str, Any], int, int, int], ...] = (
    ("29463-7", {}, C.GROWTH, 0, 0),
    ("8480-6", {}, C.VITAL, 0, 0),
    ("8339-4", {}, C.BIRTH | C.GROWTH, 0, 0),
    ("883-9", {}, C.LABORATORY, 0, 0),
    ("56888-1", {}, C.LABORATORY | C.HIV, 0, 0),
    ("71354-5", {}, C.PSY, 0, 0),
    ("1-1", {}, C.UNCLASSIFIED, 0, 0),
    ("8480-6", {"meta": RESTRICTED}, C.VITAL, 3, 0),
    ("85354-9", parts("8480-6"), C.VITAL, 0, 0),
    ("85354-9", parts("8480-6", "29463-7"), C.VITAL | C.GROWTH, 0, Mark.MIXED),
)
NAMED = ["GROWTH", "VITAL", "BIRTH", "LABORATORY", "ALLERGY", "IDENTITY"]
LABELLED = ["PSY", "HIV", "UNCLASSIFIED"]


@dataclass
class Somebody:
    """A caller: his app, and all the rules may know of him."""

    name: str
    app: App
    caller: Caller
    in_force: InForce


@dataclass
class World:
    rng: Random
    now: datetime
    mother: UUID = field(default_factory=lambda: UUID(int=0))
    child: UUID = field(default_factory=lambda: UUID(int=0))
    facts: dict[str, Facts] = field(default_factory=dict)  # "Type/id" -> what the rules know of it
    grants: list[tuple[UUID, Clause]] = field(default_factory=list)
    people: list[Somebody] = field(default_factory=list)
    states: dict[UUID, str] = field(default_factory=dict)

    def sees(self, who: Somebody, facts: Facts, letter: str = "r") -> bool:
        asked = layers.Question(who.caller, who.in_force, facts, tuple(self.grants), letter)
        if not facts.subjects:
            return False
        if who.caller.subject is None and any(self.states[s] != "active" for s in facts.subjects):
            return False  # L1, for whoever is bound to no patient: nothing of a locked person
        with at_moment(self.now):
            return layers.reference(asked)


@contextmanager
def at_moment(now: datetime) -> Iterator[None]:
    """The second writing asks no clock: it is told the moment of this world."""
    kept = layers.NOW, layers.TODAY
    layers.NOW, layers.TODAY = now, today_in_japan(now)
    try:
        yield
    finally:
        layers.NOW, layers.TODAY = kept


def build(seed: int, now: datetime) -> World:
    """Make one world, in the database too. Same seed, same world (but for ids)."""
    world = World(Random(seed), now)
    rng = world.rng
    offices = {
        name: Organization.objects.create(
            name=name, kind=kind, code=f"77{seed % 10**6:06d}{n:02d}",
            class_from=rng.choice([now - YEAR, now + YEAR, None]),
        )
        for n, (name, kind) in enumerate([("a", "clinic"), ("b", "hospital"), ("city", "municipality")])
    }  # fmt: skip
    born = {"mother": date(1990, 5, 5), "child": date(now.year - rng.choice([3, 8, 13, 16, 17]), 1, 2)}
    if rng.random() < 0.2:  # of age today, or tomorrow
        today = today_in_japan(now)
        born["child"] = rng.choice([today, today + timedelta(days=1)]).replace(year=today.year - rng.choice([15, 18]))
    hidden = {name: rng.random() < 0.3 for name in born}
    subjects = {
        name: Subject.objects.create(birth_on=day, location_hidden=hidden[name], created_at=now)
        for name, day in born.items()
    }
    world.mother, world.child = subjects["mother"].pk, subjects["child"].pk
    persons = _persons(seed, subjects, offices)
    links = _links(world, persons, subjects["child"])
    _write(world, persons, offices)
    _consents(world, persons, subjects, offices)
    world.states = {s.pk: "active" for s in subjects.values()}
    if rng.random() < 0.15:
        locked = rng.choice(list(subjects.values()))
        world.states[locked.pk] = "locked"
        Subject.objects.filter(pk=locked.pk).update(state="locked")
    _people(world, persons, subjects, offices, links)
    return world


def _persons(seed: int, subjects: dict[str, Subject], offices: dict[str, Organization]) -> dict[str, Person]:
    own: dict[str, dict[str, Any]] = {
        "mother": {"own_subject": subjects["mother"]}, "teen": {"own_subject": subjects["child"]},
        "doctor": {"organization": offices["a"]}, "er": {"organization": offices["b"]},
    }  # fmt: skip
    names = ("mother", "father", "aunt", "teen", "doctor", "er", "officer")
    return {
        name: Person.objects.create(username=f"{name}-{seed}", name=name, password="!", **own.get(name, {}))
        for name in names
    }


def _links(world: World, persons: dict[str, Person], child: Subject) -> dict[str, Link]:
    """The mother's link stands; the father's is anything."""
    rng, today = world.rng, today_in_japan(world.now)
    made = {}
    fathers = rng.choice(["active", "active", "frozen", "ended"])
    overdue = rng.random() < 0.2
    for name, state, review in (
        ("mother", "active", today + YEAR), ("father", fathers, today - timedelta(days=1) if overdue else today)
    ):  # fmt: skip
        row = Guardianship.objects.create(
            person=persons[name], subject=child, state=state, evidence="birth-notice", verified_by=persons["officer"],
            starts_on=today - YEAR, review_on=review,
        )  # fmt: skip
        made[name] = Link(id=row.pk, state=state, starts_on=row.starts_on, ends_on=None, review_on=review)
    return made


# -- what is written -------------------------------------------------------------------------------


def _write(world: World, persons: dict[str, Person], offices: dict[str, Organization]) -> None:
    """The records of mother and child: by the family, by the clinic, by the hospital."""
    rng = world.rng
    for subject in (world.mother, world.child):
        patient = {"resourceType": "Patient", "id": str(subject), "birthDate": "2000-01-01"}
        _keep(world, patient, None, persons, C.IDENTITY, subjects=(subject,))
        _keep(world, allergy_of(subject), rng.choice([None, offices["a"]]), persons, C.ALLERGY, subjects=(subject,))
    for _ in range(10):
        code, more, categories, declared, marks = rng.choice(KINDS)
        subject = rng.choice([world.mother, world.child])
        day = (world.now - timedelta(days=rng.choice([10, 400]))).replace(microsecond=0)
        about: tuple[UUID, ...] = (subject,)
        if rng.random() < 0.15:
            other = world.child if subject == world.mother else world.mother
            more = more | {"focus": [{"reference": f"Patient/{other}"}]}
            about = (subject, other)
        resource = weight(subject, code=coded(code), on=day.isoformat(), **more)
        author = rng.choice([None, offices["a"], offices["b"], offices["city"]])
        protected = rng.choice([0] * 6 + [1, 2, 4])
        _keep(world, resource, author, persons, categories, subjects=about, declared=declared,
              marks=int(marks) | protected, time=day)  # fmt: skip


def _keep(
    world: World, resource: dict[str, Any], author: Organization | None, persons: dict[str, Person], categories: int,
    *, subjects: tuple[UUID, ...], declared: int = 0, marks: int = 0, time: datetime | None = None,
) -> None:  # fmt: skip
    """Store it as it is, asked by no rule; and remember what the rules may know of it."""
    caller = for_person(persons["mother"], world.mother)
    if author is not None:
        caller = Caller(client="w", capacity=Capacity.SYSTEM, purpose="TREAT", doors=DOORS, organization=author.pk)
    anything = (Basis(Rule.THE_TRUST, None, beats_deny=True),)
    scope = Scope(DOORS, anything, caller.actors, caller.purpose, world.now)
    made = Records(caller, Permit(scope, ()), now=world.now).create_all([resource], keep_ids="id" in resource)[0]
    if marks & ~Mark.MIXED:
        with connection.cursor() as cursor:
            for table, key in (("phr_resource", "id"), ("phr_version", "resource_id")):
                cursor.execute(f"UPDATE {table} SET marks = marks | %s WHERE {key} = %s", [marks, made.pk])
    world.facts[made.reference] = Facts(
        made.type, made.id, subjects, int(categories), level_of(int(categories), declared=declared),
        time, None if time is None else time + timedelta(seconds=1), None if author is None else author.pk, marks,
    )  # fmt: skip


# -- who allowed what ------------------------------------------------------------------------------


def _consents(
    world: World, persons: dict[str, Person], subjects: dict[str, Subject], offices: dict[str, Organization]
) -> None:
    rng = world.rng
    actors = [f"org:{offices['a'].pk}", f"org:{offices['b'].pk}", "class:clinic", "class:hospital",
              f"person:{persons['aunt'].pk}", f"person:{persons['aunt'].pk}", f"person:{persons['father'].pk}",
              "class:third-party"]  # fmt: skip
    aunt = Clause(permit=True, actors=frozenset({f"person:{persons['aunt'].pk}"}))
    roots = [aunt] * rng.choice([0, 2])
    roots += [_clause(world, actors, 2, permit=rng.random() < 0.75) for _ in range(rng.choice([0, 1, 2, 3, 4, 5]))]
    for root in roots:
        subject = rng.choice(list(subjects.values()))
        grant = Grant.objects.create(
            subject=subject, given_by=persons["mother"], capacity="self", root=clauses.clause_to_json(root),
            given_at=world.now,
        )  # fmt: skip
        effective.rebuild(grant)
        world.grants.append((subject.pk, root))


def _clause(world: World, actors: list[str], depth: int, *, permit: bool) -> Clause:
    rng, now = world.rng, world.now

    def maybe(values: list[str], often: float) -> frozenset[str] | None:
        return frozenset(rng.sample(values, rng.choice([1, 1, 2]))) if rng.random() < often else None

    kids = tuple(
        _clause(world, actors, depth - 1, permit=not permit if rng.random() < 0.8 else permit)
        for _ in range(rng.choice([0, 0, 1, 2]) if depth else 0)
    )
    labels = maybe(LABELLED, 0.25)
    return Clause(
        permit=permit, purposes=maybe(["TREAT", "FAMRQT", "PUBHLTH", "BTG"], 0.3), actors=maybe(actors, 0.6),
        actions=maybe(["access", "collect"], 0.1), valid_to=rng.choice([None, None, now + YEAR, now - YEAR]),
        categories=None if labels else maybe(NAMED, 0.4), labels=labels,
        level=rng.choice([None, None, None, 1, 2, 3]),
        data_low=rng.choice([None, None, None, now - timedelta(days=100)]),
        items=maybe(sorted(world.facts), 0.1), clauses=kids,
    )  # fmt: skip


# -- who asks --------------------------------------------------------------------------------------


def _people(
    world: World, persons: dict[str, Person], subjects: dict[str, Subject], offices: dict[str, Organization],
    links: dict[str, Link],
) -> None:  # fmt: skip
    def add(name: str, capacity: Capacity, purpose: str, *, person: str = "", office: str = "",
            about: str = "", step: int = 0, **known: Any) -> None:  # fmt: skip
        who, house = persons.get(person), offices.get(office)
        subject = subjects.get(about)
        in_force = InForce(
            subject_state=world.states[subject.pk] if subject else None,
            birth_on=subject.birth_on if subject else None, location_hidden=bool(subject and subject.location_hidden),
            person_active=who is not None, person_organization=who.organization_id if who else None,
            organization_state="active" if house else None, organization_kind=house.kind if house else "",
            class_from=house.class_from if house else None, **known,
        )  # fmt: skip
        glass = _glass(world, who, house, subject, step) if step and who and house and subject else None
        caller = Caller(
            client="w", capacity=capacity, purpose=purpose, doors=DOORS, person=who.pk if who else None,
            organization=house.pk if house else None, subject=subject.pk if subject else None, glass=glass,
        )  # fmt: skip
        world.people.append(Somebody(name, _app(world, caller), caller, in_force))

    add("mother", Capacity.SELF, "PATRQT", person="mother", about="mother", own=True)
    add("mother of", Capacity.GUARDIAN, "FAMRQT", person="mother", about="child", guardianship=links["mother"])
    add("father of", Capacity.GUARDIAN, "FAMRQT", person="father", about="child", guardianship=links["father"])
    add("teen", Capacity.SELF, "PATRQT", person="teen", about="child", own=True)
    add("aunt", Capacity.PROXY, "FAMRQT", person="aunt", about=world.rng.choice(["mother", "child"]))
    add("clinic", Capacity.SYSTEM, "TREAT", office="a")
    add("hospital", Capacity.SYSTEM, world.rng.choice(["TREAT", "HPAYMT"]), office="b", about="mother")
    add("city", Capacity.SYSTEM, "PUBHLTH", office="city")
    add("research", Capacity.SYSTEM, "HRESCH", office="b")
    add("doctor", Capacity.STAFF, "TREAT", person="doctor", office="a")
    step, about = world.rng.choice([1, 2]), world.rng.choice(["mother", "child"])
    add("emergency", Capacity.STAFF, "BTG", person="er", office="b", about=about, step=step)


def _glass(world: World, who: Person, house: Organization, subject: Subject, step: int) -> Glass:
    row = EmergencyAccess.objects.create(
        person=who, organization=house, subject=subject, purpose="BTG", step=step, reason="other",
        full_reason="other" if step == 2 else "", text=b"", opened_at=world.now - timedelta(minutes=5),
        ends_at=world.now + timedelta(minutes=30), review_due_at=world.now + timedelta(days=3),
    )  # fmt: skip
    return Glass(id=row.pk, subject=subject.pk, step=step, ends_at=row.ends_at)


def _app(world: World, caller: Caller) -> App:
    """An app by a launch row, with a token for everything: what the doors let through is another test's."""
    application = Application.objects.get(client_id="tsumugi-app")
    launch = Launch.objects.create(
        application=application, person_id=caller.person, organization_id=caller.organization,
        subject_id=caller.subject, capacity=caller.capacity, purpose=caller.purpose, scope="system/*.cruds",
        glass_id=caller.glass.id if caller.glass else None, created_at=world.now, ends_at=world.now + YEAR,
    )  # fmt: skip
    token = f"oracle-{launch.pk}"
    AccessToken.objects.create(
        token=token, application=application, scope=launch.scope, expires=launch.ends_at, launch=launch
    )
    return App(token)
