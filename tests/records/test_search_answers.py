"""SQL finds what a naive reading finds: chains, `_has`, quantities, composites, filters, order, pages, scope."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phr.records import store
from phr.records.search.compile import bound_to
from phr.records.search.parse import parse
from phr.records.search.query import Query
from tests.conftest import NOON
from tests.records.search import naive
from tests.records.search.asking import drafted, page, pages, stored, total
from tests.records.search.world import DAYS, FILTERS, SEARCHES, SORTS, patient_id, world

FEW = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
MANY = settings(FEW, max_examples=1500)


@pytest.fixture(params=[7, 8])
def all_of_it(db: None, request: pytest.FixtureRequest) -> naive.World:
    return stored(world(request.param))


def expected(query: Query, seen: naive.World, *, few: bool) -> list[str]:
    column = [k.param.name for k in query.sort if not k.through] in (["date"], ["_lastUpdated"], ["_id"])
    few = few or bound_to(query) is not None  # in one record ties go newest first, whichever way the order goes
    rising = len(query.sort) == 1 and column and not query.sort[0].descending and not few
    return naive.found(query, seen, rising=rising)


def hiding(all_of_it: naive.World, numbers: list[int]) -> tuple[naive.World, frozenset[str]]:
    hidden = frozenset(naive.name(all_of_it.resources[n]) for n in numbers)
    left = [r for r in all_of_it.resources if naive.name(r) not in hidden]
    return naive.World(left, all_of_it.stored), hidden


HIDDEN: st.SearchStrategy[list[int]] = st.lists(st.integers(0, 55), max_size=12, unique=True) | st.just([])
TYPES = st.sampled_from(sorted(SEARCHES))
COMMON = [
    ("_tag", "red"), ("_tag:not", "red"), ("_tag:missing", "true"), ("_tag", "red,blue"), ("_id", "org-1,obs-2"),
    ("_list", "list-0,list-1"), ("_lastUpdated", "ge2026"),
    ("_lastUpdated", f"gt{(NOON + timedelta(seconds=20)).isoformat()}"),
]  # fmt: skip


def found_alike(all_of_it: naive.World, data: st.DataObject) -> None:
    """Hidden resources are not found, and nothing is found through them: the answer is that of a world without them."""
    type = data.draw(TYPES)
    pairs = data.draw(st.lists(SEARCHES[type], min_size=1, max_size=2))
    seen, hidden = hiding(all_of_it, data.draw(HIDDEN))
    query = parse(type, [*pairs, ("_count", "100")], now=NOON)
    few = data.draw(st.booleans())
    wanted = expected(query, seen, few=few)
    assert page(query, hidden=hidden, few=few)[0] == wanted
    assert total(query, hidden) == len(wanted)


def paged_alike(all_of_it: naive.World, data: st.DataObject) -> None:
    type = data.draw(TYPES)
    pairs = data.draw(st.lists(SEARCHES[type], max_size=1))
    sort, size = data.draw(st.sampled_from(SORTS[type])), data.draw(st.sampled_from([1, 2, 3, 7]))
    steering = [("_count", str(size)), *([("_sort", sort)] if sort else [])]
    seen, hidden = hiding(all_of_it, data.draw(HIDDEN))
    query = parse(type, [*pairs, *steering], now=NOON)
    few = data.draw(st.booleans())
    assert pages(query, hidden=hidden, few=few) == expected(query, seen, few=few)


def filtered_alike(all_of_it: naive.World, data: st.DataObject) -> None:
    type = data.draw(TYPES)
    text = data.draw(FILTERS[type])
    seen, hidden = hiding(all_of_it, data.draw(HIDDEN))
    query = parse(type, [("_filter", text), ("_count", "100")], now=NOON)
    few = data.draw(st.booleans())
    assert page(query, hidden=hidden, few=few)[0] == expected(query, seen, few=few)


@FEW
@given(st.data())
@pytest.mark.spec("FHIR R4", "3.1.1.4", "search: every kind of parameter, chains, _has, _list, together")
def test_sql_answers_what_a_naive_reading_answers(all_of_it: naive.World, data: st.DataObject) -> None:
    found_alike(all_of_it, data)


@FEW
@given(st.data())
@pytest.mark.spec("FHIR R4", "3.1.1.5.1", "_sort by several keys, both ways, through references; paging")
def test_pages_are_the_whole_in_order(all_of_it: naive.World, data: st.DataObject) -> None:
    paged_alike(all_of_it, data)


@FEW
@given(st.data())
@pytest.mark.spec("FHIR R4", "search_filter.html", "_filter: operators, and, or, not, chains, brackets, _has")
def test_filters_answer_what_a_naive_reading_answers(all_of_it: naive.World, data: st.DataObject) -> None:
    filtered_alike(all_of_it, data)


@pytest.mark.long
@MANY
@given(st.data())
def test_many_answers(all_of_it: naive.World, data: st.DataObject) -> None:
    found_alike(all_of_it, data)


@pytest.mark.long
@MANY
@given(st.data())
def test_many_pages(all_of_it: naive.World, data: st.DataObject) -> None:
    paged_alike(all_of_it, data)


@pytest.mark.long
@MANY
@given(st.data())
def test_many_filters(all_of_it: naive.World, data: st.DataObject) -> None:
    filtered_alike(all_of_it, data)


@FEW
@given(st.data())
@pytest.mark.spec("FHIR R4", "3.1.1.3", "_type: a search on several types, by what all of them have")
def test_several_types_at_once(all_of_it: naive.World, data: st.DataObject) -> None:
    types = data.draw(st.lists(st.sampled_from([*sorted(SEARCHES), "List"]), min_size=2, max_size=4, unique=True))
    pair = data.draw(st.sampled_from(COMMON))
    seen, hidden = hiding(all_of_it, data.draw(HIDDEN))
    query = parse([], [("_type", ",".join(types)), pair, ("_count", "3"), ("_sort", "-_lastUpdated")], now=NOON)
    assert query.types == tuple(sorted(types))
    assert pages(query, hidden=hidden) == expected(query, seen, few=False)


def test_a_person_is_named_for_several_types_at_once(all_of_it: naive.World) -> None:
    """In a List the patient is the subject; in an Appointment one of the actors, and not the first subject."""
    first, second = patient_id(0), patient_id(1)
    actors = [{"actor": {"reference": f"Patient/{id}"}, "status": "accepted"} for id in (first, second)]
    meeting = {"resourceType": "Appointment", "id": "meeting", "status": "booked", "participant": actors}
    store.insert([drafted(meeting)], now=NOON)
    for id in (first, second):
        query = parse([], [("_type", "Appointment,List,Observation"), ("patient", id), ("_count", "100")], now=NOON)
        known = ("Observation", "List")
        own = [naive.name(r) for r in all_of_it.resources if r["resourceType"] in known and naive.about(r) == id]
        assert sorted(page(query)[0]) == sorted(["Appointment/meeting", *own])
    both = parse([], [("_type", "Patient,RelatedPerson"), ("_id", first)], now=NOON)
    assert page(both)[0] == [f"Patient/{first}"] * any(naive.name(r) == f"Patient/{first}" for r in all_of_it.resources)


@pytest.mark.spec("FHIR R4", "3.1.1.2", "compartment: everything a Patient's compartment holds")
def test_a_compartment_is_what_refers_to_its_patient(all_of_it: naive.World) -> None:
    for n in range(8):
        patient = f"Patient/{patient_id(n)}"
        query = parse([], [("_count", "100")], now=NOON, compartment=("Patient", patient_id(n)))
        links = {"Observation": ("subject", "performer"), "List": ("subject",)}
        wanted = {
            naive.name(r)
            for r in all_of_it.resources
            if naive.name(r) == patient
            or any(
                value.get("reference") == patient
                for link in links.get(r["resourceType"], ())
                for value in naive.READ[r["resourceType"], link](r)
            )
        }
        assert set(page(query)[0]) == wanted
        of_type = parse("Observation", [("_count", "100")], now=NOON, compartment=("Patient", patient_id(n)))
        assert set(page(of_type)[0]) == {name for name in wanted if name.startswith("Observation/")}


def again(resource: naive.Resource, version: int, *, seconds: float) -> None:
    """Store a resource anew."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM phr_resource WHERE type || '/' || fhir_id = %s", [naive.name(resource)])
        [pk] = cursor.fetchone()
    draft = drafted(resource, version)
    current = store.Stored(pk, draft.facts.type, draft.facts.id, version - 1, NOON, False, draft.facts, draft.body)
    store.replace(current, draft, now=NOON + timedelta(seconds=seconds))


def redated(resource: naive.Resource, day: date | None) -> naive.Resource:
    rest = {name: value for name, value in resource.items() if not name.startswith("effective")}
    return rest | ({"effectiveDateTime": day.isoformat()} if day else {})


MOVING = ["_lastUpdated", "-_lastUpdated", "-_lastUpdated,_id", "date", "-date", "-date,-_lastUpdated", "date,_id",
          "-_lastUpdated,date", "-patient.birthdate,date", "_id,-date"]  # fmt: skip


@settings(FEW, max_examples=40)
@given(st.data())
@pytest.mark.spec(
    "FHIR R4", "3.1.1.5.1", "pages by _lastUpdated or date: nothing is lost or met twice while both change"
)
def test_updates_between_pages_move_nothing(all_of_it: naive.World, data: st.DataObject) -> None:
    sort = data.draw(st.sampled_from(MOVING))
    size, few = data.draw(st.sampled_from([1, 3, 5])), data.draw(st.booleans())
    query = parse("Observation", [("_sort", sort), ("_count", str(size)), ("status", "final,amended")], now=NOON)
    observations = [r for r in all_of_it.resources if r["resourceType"] == "Observation"]
    before = pages(query, few=few)
    began, versions = 1000.0, dict.fromkeys((r["id"] for r in observations), 1)
    with_savepoint = connection.cursor()
    with_savepoint.execute("SAVEPOINT before_updates")
    try:
        found, mark = page(query, few=few, began=(NOON + timedelta(seconds=began)).isoformat())
        while mark is not None:
            began += 1
            for r in data.draw(st.lists(st.sampled_from(observations), max_size=3, unique_by=lambda r: str(r["id"]))):
                versions[r["id"]] += 1
                again(redated(r, data.draw(st.sampled_from([*DAYS, None]))), versions[r["id"]], seconds=began)
            more, mark = page(query, few=few, mark=mark)
            found += more
        assert found == before
    finally:
        with_savepoint.execute("ROLLBACK TO SAVEPOINT before_updates")
