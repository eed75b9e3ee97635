"""Every operation offered has its rows, its questions and its lines on the log. One that lacks any fails the build.

All operations share four routes, so the table of routes alone would notice none of them: here each (operation,
type, level) needs a row in `permissions.TABLE`, each (operation, type) a question in the leak matrix, and each that
reads of a person must be seen to write the log. What is excused is named, with its reason.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from phr.fhir.operations import calling
from phr.fhir.operations.calling import ANY, SYSTEM
from phr.populate.cast import YUKI
from phr.records.definitions import concrete_types
from tests.access import test_leaks
from tests.access.permissions import TABLE
from tests.family import Answer, App, Neighbourhood, encoded, organization, pressure
from tests.operations.test_document import NOTE, composition
from tests.operations.test_extract import DATE, response
from tests.operations.test_match import linker, of_yuki

Offered = tuple[str, str]  # operation, type: `*` for any type, nothing for the base
LEVELS = {0: "system", 1: "type", 2: "instance", 4: "version"}  # by how many parts of the path go before it
PLACES = (SYSTEM, ANY, *sorted(concrete_types()))
OFFERED = {(one.name, place): one for place in PLACES for one in calling.offered(place)}

NO_PERSON = "asks what codes mean; definitions belong to no person, and kept ones are found by a logged search"
EXCUSED: dict[Offered, str] = {
    ("lookup", "CodeSystem"): NO_PERSON,
    ("subsumes", "CodeSystem"): NO_PERSON,
    ("validate-code", "CodeSystem"): NO_PERSON,
    ("translate", "ConceptMap"): NO_PERSON,
    ("expand", "ValueSet"): NO_PERSON,
    ("validate-code", "ValueSet"): NO_PERSON,
}
FILES = "answers with a job; what its files tell is asked, and their log read, in tests/fhir/bulk (leaks, flow)"
EXCUSED |= {("export", place): FILES for place in (SYSTEM, "Patient", "Group")}


def called(path: str) -> tuple[Offered, str] | None:
    """Which operation a path calls, and at which level; None where it calls none that is offered."""
    *place, last = path.partition("?")[0].removeprefix("/fhir/").split("/")
    name, level = last.removeprefix("$"), LEVELS.get(len(place), "")
    for type in [place[0], ANY] if place else [SYSTEM]:
        if last.startswith("$") and (one := OFFERED.get((name, type))) and level in one.levels:
            return (name, type), level
    return None


def levels(one: Offered) -> set[str]:
    """Those of the place: what is offered at the base and on types stands under both."""
    at_base = {"system"}
    found = set(OFFERED[one].levels)
    return found & at_base if one[1] == SYSTEM else found - at_base


class Listener:
    """An app that only notes which paths a question asks for."""

    status, next = 200, None

    def __init__(self) -> None:
        self.paths: list[str] = []

    def ask(self, method: str, path: str, *args: Any, **more: Any) -> Listener:
        self.paths.append(path)
        return self

    def get(self, path: str, **more: str) -> Listener:
        return self.ask("GET", path)

    def made(self, resource: Any) -> dict[str, Any]:
        return {"id": "made"}


def questions() -> set[Offered]:
    """What the questions of the matrix that are named after an operation really call."""
    listener = Listener()
    for name, question in test_leaks.QUESTIONS.items():
        if name.startswith("$"):
            question(listener, "hidden")  # type: ignore[arg-type]
    return {found[0] for path in listener.paths if (found := called(path))}


def test_every_operation_has_a_row_at_each_of_its_levels() -> None:
    rows = {found for row in TABLE if (found := called(row.path))}
    wanted = {(one, level) for one in OFFERED for level in levels(one)}
    assert wanted - rows == set()


def test_every_operation_is_in_the_leak_matrix() -> None:
    asked = questions()
    assert set(OFFERED) - asked - set(EXCUSED) == set()
    assert set(EXCUSED) <= set(OFFERED), "an excuse for what is not offered"


# -- what reads of a person is on the log -----------------------------------------------------------

TAGGED = test_leaks.TAGGED


def _document(family: Neighbourhood) -> str:
    author = f"Organization/{family.clinic.made(organization())['id']}"
    return str(family.mother.made(composition(author=author, section=[{"title": "x", "text": NOTE}]))["id"])


def _response(family: Neighbourhood) -> str:
    return f"QuestionnaireResponse/{family.mother.made(response(DATE, of=YUKI))['id']}"


def _calls(family: Neighbourhood) -> dict[Offered, tuple[App, str, str, Any]]:
    """One call of each that finds something of Yuki's: who asks, how, where, with which body."""
    seen = f"Observation/{family.mother.made(pressure())['id']}"
    mother, yuki = family.mother, f"Patient/{YUKI}"
    return {
        ("explain", ANY): (mother, "GET", f"{seen}/$explain", None),
        ("meta", SYSTEM): (mother, "GET", "$meta", None),
        ("meta", ANY): (mother, "GET", f"{seen}/$meta", None),
        ("meta-add", ANY): (mother, "POST", f"{seen}/$meta-add", TAGGED),
        ("meta-delete", ANY): (mother, "POST", f"{seen}/$meta-delete", TAGGED),
        ("extract", "QuestionnaireResponse"): (mother, "POST", f"{_response(family)}/$extract", None),
        ("validate", ANY): (mother, "GET", f"{seen}/$validate", None),
        ("document", "Composition"): (mother, "GET", f"Composition/{_document(family)}/$document", None),
        ("docref", "DocumentReference"): (mother, "GET", f"DocumentReference/$docref?patient={YUKI}", None),
        ("lastn", "Observation"): (mother, "GET", f"Observation/$lastn?patient={YUKI}&code=8480-6", None),
        ("everything", "Patient"): (mother, "GET", f"{yuki}/$everything", None),
        ("immunization-recommendation", "Patient"): (mother, "GET", f"{yuki}/$immunization-recommendation", None),
        ("immunization-status", "Patient"): (mother, "GET", f"{yuki}/$immunization-status", None),
        ("summary", "Patient"): (mother, "GET", f"{yuki}/$summary", None),
        ("match", "Patient"): (linker(family), "POST", "Patient/$match", of_yuki(family)),
    }


def _lines() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM consent_auditentry WHERE event LIKE 'record:%'")
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("one", sorted(set(OFFERED) - set(EXCUSED)), ids="$".join)
def test_what_reads_of_a_person_is_logged(family: Neighbourhood, one: Offered) -> None:
    app, method, path, body = _calls(family)[one]
    found = called(path)
    assert found and found[0] == one
    before = _lines()
    answer: Answer = app.ask(method, path, None if body is None else encoded(body))
    assert answer.status == 200, answer
    assert _lines() > before
