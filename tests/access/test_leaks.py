"""The leak matrix: with one hidden resource in the store, every door answers as if it were not there.

Each question is asked twice, in a store with the hidden resource and in one without; everything a client
sees must be the same. Sources: trust rules, section 5 (leak matrix) and E-10 (nonexistent = forbidden).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from consent.guardianship import FreezeReason
from consent.models import Guardianship, Person
from phr.populate.cast import HANA, REN, YUKI
from phr.smart import severing
from tests.family import KAI, LOINC, Answer, App, Neighbourhood, encoded, entry, post, pressure, secret, weight

SYSTEM = "urn:hidden"
IDENTIFIED = {"identifier": [{"system": SYSTEM, "value": "1"}], "effectiveDateTime": "2026-03-02"}
TAGGED = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]}
ABSENT = "0f0f0f0f-0000-4000-8000-000000000000"
Question = Callable[[App, str], Answer]


IDENTIFIER = f"identifier={SYSTEM}|1"
TEST = [{"op": "test", "path": "/status", "value": "final"}]
AMEND = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "operation", "part": [{"name": "type", "valueCode": "replace"},
                                       {"name": "path", "valueString": "Observation.status"},
                                       {"name": "value", "valueCode": "amended"}]},
    ],
}  # fmt: skip


def bundle(kind: str, *entries: Any) -> Question:
    """A Bundle in which `{}` of every url, and as the id of a resource, stands for the hidden id."""

    def ask(app: App, hidden: str) -> Answer:
        filled = [e | {"request": {k: v.replace("{}", hidden) for k, v in e["request"].items()}} for e in entries]
        for made in filled:
            if made.get("resource", {}).get("id") == "{}":
                made["resource"] = made["resource"] | {"id": hidden}
        return app.bundle(kind, *filled)

    return ask


def patch(app: App, path: str, operations: Any = TEST, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return app.ask("PATCH", path, encoded(operations), type="application/json-patch+json", headers=named)


def put_where(app: App, criteria: str, resource: Any, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return app.ask("PUT", f"Observation?{criteria}", encoded(resource), headers=named)


def sorted_by(sort: str) -> Question:
    return lambda app, hidden: app.search("Observation", _sort=sort, _count="3")


def refers(hidden: str) -> dict[str, Any]:
    return pressure(hasMember=[{"reference": f"Observation/{hidden}"}])


def discharge(hidden: str) -> dict[str, Any]:
    """A Composition of the asker's own, whose one section is the hidden resource."""
    return {
        "resourceType": "Composition", "status": "final", "date": "2026-03-01", "title": "退院サマリー",
        "type": {"coding": [{"system": LOINC, "code": "18842-5"}]}, "subject": {"reference": f"Patient/{YUKI}"},
        "author": [{"reference": f"Patient/{YUKI}"}],
        "section": [{"title": "所見", "entry": [{"reference": f"Observation/{hidden}"}]}],
    }  # fmt: skip


QUESTIONS: dict[str, Question] = {
    # direct
    "read": lambda app, x: app.get(f"Observation/{x}"),
    "head": lambda app, x: app.ask("HEAD", f"Observation/{x}"),
    "vread": lambda app, x: app.get(f"Observation/{x}/_history/1"),
    "vread of no version": lambda app, x: app.get(f"Observation/{x}/_history/7"),
    "history": lambda app, x: app.get(f"Observation/{x}/_history"),
    "if-none-match": lambda app, x: app.get(f"Observation/{x}", if_none_match='W/"1"'),
    "if-none-match any": lambda app, x: app.get(f"Observation/{x}", if_none_match="*"),
    # writing
    "put": lambda app, x: app.put(pressure() | {"id": x}),
    "put if-match": lambda app, x: app.put(pressure() | {"id": x}, if_match='W/"1"'),
    "put other if-match": lambda app, x: app.put(pressure() | {"id": x}, if_match='W/"9"'),
    "put another's": lambda app, x: app.put(pressure(KAI) | {"id": x}),
    "put malformed": lambda app, x: app.put(pressure(status="zzz") | {"id": x}),
    "delete": lambda app, x: app.delete(f"Observation/{x}"),
    "delete if-match": lambda app, x: app.delete(f"Observation/{x}", if_match='W/"9"'),
    "put if there is one": lambda app, x: app.put(pressure() | {"id": x}, if_match="*"),
    "put if there is none": lambda app, x: app.put(pressure() | {"id": x}, if_none_match="*"),
    "patch": lambda app, x: patch(app, f"Observation/{x}"),
    "patch if-match": lambda app, x: patch(app, f"Observation/{x}", if_match='W/"1"'),
    "patch that asks": lambda app, x: patch(app, f"Observation/{x}", TEST),
    "put by identifier": lambda app, x: put_where(app, IDENTIFIER, pressure()),
    "put by identifier if-match": lambda app, x: put_where(app, IDENTIFIER, pressure(), if_match="*"),
    "put by id": lambda app, x: put_where(app, f"_id={x}", pressure() | {"id": x}),
    "put by another's id": lambda app, x: put_where(app, IDENTIFIER, pressure() | {"id": x}),
    "patch by identifier": lambda app, x: patch(app, f"Observation?{IDENTIFIER}"),
    "patch by id": lambda app, x: patch(app, f"Observation?_id={x}"),
    "delete by identifier": lambda app, x: app.delete(f"Observation?{IDENTIFIER}"),
    "delete by identifier if-match": lambda app, x: app.delete(f"Observation?{IDENTIFIER}", if_match="*"),
    "delete by id": lambda app, x: app.delete(f"Observation?_id={x}"),
    "delete by patient": lambda app, x: app.delete(f"Observation?patient={YUKI}&{IDENTIFIER}&date=2026-03-02"),
    "create": lambda app, x: app.create(pressure() | {"id": x}),
    "if-none-exist by identifier": lambda app, x: app.create(pressure(), if_none_exist=f"identifier={SYSTEM}|1"),
    "if-none-exist by id": lambda app, x: app.create(pressure(), if_none_exist=f"_id={x}"),
    "if-none-exist by patient": lambda app, x: app.create(
        pressure(), if_none_exist=f"patient={YUKI}&identifier={SYSTEM}|1&date=2026-03-02"
    ),
    "reference to it": lambda app, x: app.create(refers(x)),
    "batch": bundle(
        "batch", entry("GET", "Observation/{}"), entry("GET", "Observation/{}/_history/1"),
        entry("DELETE", "Observation/{}"), entry("GET", "Observation?_id={}"), post(pressure(), ifNoneExist="_id={}"),
    ),
    "transaction read": bundle("transaction", entry("GET", "Observation/{}")),
    "transaction delete": bundle("transaction", entry("DELETE", "Observation/{}")),
    "transaction if-none-exist": bundle("transaction", post(pressure(), ifNoneExist=f"identifier={SYSTEM}|1")),
    "transaction conditional reference": lambda app, x: app.bundle(
        "transaction", post(pressure(hasMember=[{"reference": f"Observation?identifier={SYSTEM}|1"}]))
    ),
    "batch of changes": bundle(
        "batch", entry("PUT", "Observation/{}", pressure() | {"id": "{}"}), entry("PATCH", "Observation/{}", AMEND),
        entry("PUT", f"Observation?{IDENTIFIER}", pressure()), entry("PATCH", f"Observation?{IDENTIFIER}", AMEND),
        entry("DELETE", f"Observation?{IDENTIFIER}"), entry("DELETE", "Observation?_id={}"),
        entry("HEAD", "Observation/{}"), entry("GET", "Observation/{}", ifNoneMatch='W/"1"'),
        entry("GET", "Observation/{}/_history"), entry("GET", "Observation/_history"), entry("GET", "_history"),
        entry("POST", "Observation/_search?_id={}"),
    ),
    "transaction put": bundle("transaction", entry("PUT", "Observation/{}", pressure() | {"id": "{}"})),
    "transaction patch": bundle("transaction", entry("PATCH", "Observation/{}", AMEND)),
    "transaction put by identifier": bundle("transaction", entry("PUT", f"Observation?{IDENTIFIER}", pressure())),
    "transaction patch by identifier": bundle("transaction", entry("PATCH", f"Observation?{IDENTIFIER}", AMEND)),
    "transaction delete by identifier": bundle("transaction", entry("DELETE", f"Observation?{IDENTIFIER}")),
    "transaction several of one": bundle(
        "transaction", entry("DELETE", "Observation/{}"), entry("DELETE", f"Observation?{IDENTIFIER}")
    ),
    "transaction reference": lambda app, x: app.bundle("transaction", post(refers(x))),
    "contained of another": lambda app, x: app.create(
        pressure(contained=[pressure(KAI, id="o")], hasMember=[{"reference": "#o"}])
    ),
    "contained that refers to it": lambda app, x: app.create(
        pressure(contained=[refers(x) | {"id": "o"}], hasMember=[{"reference": "#o"}])
    ),
    # counting and finding
    "search": lambda app, x: app.search("Observation"),
    "total": lambda app, x: app.search("Observation", _total="accurate", _count="2"),
    "estimate": lambda app, x: app.search("Observation", _total="estimate", _count="1"),
    "count only": lambda app, x: app.search("Observation", _summary="count"),
    "exact page": lambda app, x: app.search("Observation", _count="5"),
    "one less": lambda app, x: app.search("Observation", _count="4"),
    "_id": lambda app, x: app.search("Observation", _id=x, _total="accurate"),
    "_id among": lambda app, x: app.search("Observation", _id=f"{x},nobody-at-all"),
    "identifier": lambda app, x: app.search("Observation", identifier=f"{SYSTEM}|1", _total="accurate"),
    "identifier system": lambda app, x: app.search("Observation", identifier=f"{SYSTEM}|", _total="accurate"),
    "identifier missing": lambda app, x: app.search("Observation", **{"identifier:missing": "false"}),
    "not": lambda app, x: app.search("Observation", **{"code:not": "nothing"}, _total="accurate"),
    "code": lambda app, x: app.search("Observation", code=f"{LOINC}|8480-6", _total="accurate"),
    "date": lambda app, x: app.search("Observation", date="2026-03-02", _total="accurate"),
    "date from": lambda app, x: app.search("Observation", date="ge2026-03-02", _total="accurate"),
    "patient": lambda app, x: app.search("Observation", patient=str(YUKI), _total="accurate"),
    "other patient": lambda app, x: app.search("Observation", patient=str(KAI), _total="accurate"),
    "_lastUpdated": lambda app, x: app.search("Observation", _lastUpdated="ge2026-01-01", _total="accurate"),
    "_security": lambda app, x: app.search("Observation", _security="R"),
    "has-member": lambda app, x: app.search("Observation", **{"has-member": f"Observation/{x}"}),
    # order
    **{f"_sort {sort}": sorted_by(sort) for sort in ("date", "-date", "_id", "-_id", "_lastUpdated", "-_lastUpdated")},
    "second page": lambda app, x: app.get(app.search("Observation", _count="3").next or "metadata"),
    "second page by date": lambda app, x: app.get(
        app.search("Observation", _count="2", _sort="date").next or "metadata"
    ),
    # operations
    "$validate": lambda app, x: app.get(f"Observation/{x}/$validate"),
    "$validate its update": lambda app, x: app.ask(
        "POST", f"Observation/{x}/$validate?mode=update", encoded(pressure() | {"id": x})
    ),
    "$validate a reference to it": lambda app, x: app.ask("POST", "Observation/$validate", encoded(refers(x))),
    "$extract": lambda app, x: app.ask("POST", f"QuestionnaireResponse/{x}/$extract"),
    "$everything": lambda app, x: app.get(f"Patient/{YUKI}/$everything"),
    "$everything, one page": lambda app, x: app.get(f"Patient/{YUKI}/$everything?_count=6"),
    "$everything, second page": lambda app, x: app.get(
        app.get(f"Patient/{YUKI}/$everything?_count=3").next or "metadata"
    ),
    "$everything by date": lambda app, x: app.get(f"Patient/{YUKI}/$everything?start=2026-03-02&end=2026-03-02"),
    "$everything of mine": lambda app, x: app.get("Patient/$everything?_type=Observation"),
    "$everything of a stranger": lambda app, x: app.get(f"Patient/{KAI}/$everything"),
    "$lastn": lambda app, x: app.get(f"Observation/$lastn?patient={YUKI}&code=8480-6&max=9"),
    "$lastn, the newest": lambda app, x: app.get(f"Observation/$lastn?patient={YUKI}&code=8480-6&date=le2026-03-02"),
    "$lastn by identifier": lambda app, x: app.get(
        f"Observation/$lastn?patient={YUKI}&code=8480-6&identifier={SYSTEM}|1"
    ),
    "$lastn of a stranger": lambda app, x: app.get(f"Observation/$lastn?patient={KAI}&code=8480-6"),
    "$docref": lambda app, x: app.get(f"DocumentReference/$docref?patient={YUKI}"),
    "$docref of a stranger": lambda app, x: app.get(f"DocumentReference/$docref?patient={KAI}"),
    "$document": lambda app, x: app.get(f"Composition/{x}/$document"),
    "$document by id": lambda app, x: app.get(f"Composition/$document?id=Composition/{x}"),
    "$document of what names it": lambda app, x: app.get(f"Composition/{app.made(discharge(x))['id']}/$document"),
    "$match": lambda app, x: app.ask(
        "POST", "Patient/$match", encoded({"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": "1"}]})
    ),
    "$explain": lambda app, x: app.get(f"Observation/{x}/$explain"),
    "$explain about somebody": lambda app, x: app.get(f"Observation/{x}/$explain?actor=class:clinic"),
    "$meta": lambda app, x: app.get(f"Observation/{x}/$meta"),
    "$meta of a version": lambda app, x: app.get(f"Observation/{x}/_history/1/$meta"),
    "$meta of the type": lambda app, x: app.get("Observation/$meta"),
    "$meta of everything": lambda app, x: app.get("$meta"),
    "$meta-add": lambda app, x: app.ask("POST", f"Observation/{x}/$meta-add", encoded(TAGGED)),
    "$meta-delete": lambda app, x: app.ask("POST", f"Observation/{x}/$meta-delete", encoded(TAGGED)),
    "$summary": lambda app, x: app.get(f"Patient/{YUKI}/$summary"),
    "$immunization-recommendation": lambda app, x: app.get(f"Patient/{YUKI}/$immunization-recommendation"),
    "$immunization-recommendation of a stranger": lambda app, x: app.get(f"Patient/{KAI}/$immunization-recommendation"),
    "$immunization-status": lambda app, x: app.get(f"Patient/{YUKI}/$immunization-status"),
    "$immunization-status of a stranger": lambda app, x: app.get(f"Patient/{KAI}/$immunization-status"),
    "$summary of mine": lambda app, x: app.get("Patient/$summary"),
    "$summary of a stranger": lambda app, x: app.get(f"Patient/{KAI}/$summary"),
    # the Patient beside it
    "patients": lambda app, x: app.search("Patient", _total="accurate"),
    "patients named": lambda app, x: app.search("Patient", name="見本", _total="accurate"),
    "stranger's patient": lambda app, x: app.get(f"Patient/{KAI}"),
}  # fmt: skip

UUID_TEXT = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(
    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00|(?<=\"lastUpdated\":\")[^\"]+|(?<=Made</th><td>)[^<]+"
)
CURSOR = re.compile(rb"_page=([A-Za-z0-9_-]+)")


def told(answer: Answer, *, fixed: set[str]) -> Any:
    """What a client sees: ids and times that are new each time, and the sealed cursor's letters, are blanked."""

    def blank(match: re.Match[bytes]) -> bytes:
        return match[0] if match[0].decode() in fixed else b"NEW"

    text = CURSOR.sub(lambda m: b"_page=%d" % len(m[1]), answer.content)
    headers = {k: UUID_TEXT.sub(blank, v.encode()) for k, v in answer.headers.items()}
    for changing in ("X-Request-Id", "Last-Modified"):
        headers.pop(changing, None)
    return answer.status, UUID_TEXT.sub(blank, TIME.sub(b"TIME", text)), headers


@pytest.fixture
def visible(family: Neighbourhood) -> set[str]:
    """Five pressures of Yuki's that her clinic may read, around the hidden one in every order."""
    days = ["2026-03-01", "2026-03-03", None, "2026-03-02", "2026-02-01"]
    return {family.mother.made(pressure(effectiveDateTime=day))["id"] for day in days}


def asked(ask: Question, app: App, hidden: str, fixed: set[str]) -> Any:
    """Ask, look, and undo what the question wrote. The hidden id is told apart from no other."""
    with transaction.atomic():
        answer = ask(app, hidden)
        seen = told(answer, fixed=fixed)
        transaction.set_rollback(True)
    return _without(seen, hidden)


def _without(seen: Any, hidden: str) -> Any:
    status, content, headers = seen
    return status, content.replace(hidden.encode(), b"HIDDEN"), headers


def same(family: Neighbourhood, app: App, visible: set[str], hide: Callable[[], str], name: str) -> None:
    fixed = visible | {str(x) for x in (YUKI, HANA, KAI)}
    without = asked(QUESTIONS[name], app, ABSENT, fixed | {ABSENT})
    hidden = hide()
    with_it = asked(QUESTIONS[name], app, hidden, fixed | {hidden})
    assert with_it == without
    assert hidden not in fixed


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_restricted_observation_is_not_there_for_the_clinic(
    family: Neighbourhood, visible: set[str], name: str
) -> None:
    assert set(family.clinic.search("Observation").ids) == visible

    def hide() -> str:
        made = family.mother.made(secret(**IDENTIFIED))
        again = family.mother.put(made | {"status": "amended"})
        assert again.headers["ETag"] == 'W/"2"'
        return str(made["id"])

    same(family, family.clinic, visible, hide, name)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_strangers_observation_is_not_there_for_the_mother(
    family: Neighbourhood, visible: set[str], name: str
) -> None:
    kai = family.stranger_of(KAI)
    same(family, family.mother, visible, lambda: str(kai.made(pressure(KAI, **IDENTIFIED))["id"]), name)


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_was_deleted_out_of_sight_was_never_there(family: Neighbourhood, visible: set[str], name: str) -> None:
    def hide() -> str:
        made = family.mother.made(secret(**IDENTIFIED))
        assert family.mother.delete(f"Observation/{made['id']}").status == 204
        return str(made["id"])

    same(family, family.clinic, visible, hide, name)


@pytest.mark.G("07")
@pytest.mark.parametrize("name", sorted(QUESTIONS.keys() - {"$document of what names it"}))  # Yuki's to make
def test_a_frozen_father_is_told_what_he_was_told_without_a_link(family: Neighbourhood, name: str) -> None:
    """His token is a token that ended; with his token for his other child, Hana is as if he never had been hers."""
    hana, father, other = family.app("mother", patient="hana"), family.father, family.app("father", patient="ren")
    hidden = hana.made(weight(HANA, **IDENTIFIED))["id"]
    fixed = {str(x) for x in (YUKI, HANA, KAI, REN, hidden)}
    question = QUESTIONS[name]
    link = Guardianship.objects.filter(person=family.demo.people["ichiro"], subject_id=HANA)
    with transaction.atomic():
        sid = transaction.savepoint()
        link.update(person=Person.objects.get(username="otsu"))
        never = asked(question, other, hidden, fixed)
        transaction.savepoint_rollback(sid)
    severing.freeze(
        guardianship_id=link.get().pk, by=family.demo.people["sato"], reason=FreezeReason.COURT_ORDER,
        now=timezone.now(),
    )  # fmt: skip
    assert asked(question, other, hidden, fixed) == never
    ended = asked(question, father, hidden, fixed)
    assert ended == asked(question, App("no such token"), hidden, fixed)
    assert b"valueQuantity" not in ended[1]
    assert ended[0] == 401 or "page" in name, "a second page is asked for where there is a first"


def test_the_questions_can_tell(family: Neighbourhood, visible: set[str]) -> None:
    """The matrix would notice: what the clinic may read changes the answers."""

    def show() -> str:
        return str(family.mother.made(pressure(**IDENTIFIED))["id"])

    for name in ("read", "vread", "history", "total", "count only", "exact page", "identifier", "_sort -date",
                 "$everything", "$everything, one page", "$everything by date", "$lastn", "$lastn, the newest",
                 "$document of what names it",
                 "$meta", "$meta-add",
                 "if-none-exist by identifier", "transaction if-none-exist", "batch", "delete", "search",
                 "put if there is one", "patch", "put by identifier", "put by another's id", "patch by identifier",
                 "delete by identifier", "delete by patient", "batch of changes", "transaction patch by identifier",
                 "transaction delete by identifier", "transaction several of one"):  # fmt: skip
        with transaction.atomic():
            with pytest.raises(AssertionError):
                same(family, family.clinic, visible, show, name)
            transaction.set_rollback(True)
