"""A Patient is not deleted through the REST door, by nobody and in no way: it would close the record for everyone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from phr.populate.cast import HANA, YUKI
from tests.family import KAI, Answer, App, Neighbourhood, entry, post, pressure, rows

WAYS: dict[str, Callable[[App, str], Answer]] = {
    "alone": lambda app, x: app.delete(f"Patient/{x}"),
    "if-match": lambda app, x: app.delete(f"Patient/{x}", if_match='W/"1"'),
    "by condition": lambda app, x: app.delete(f"Patient?_id={x}"),
    "by a condition that matches nothing": lambda app, x: app.delete("Patient?identifier=urn:nothing|1"),
    "transaction": lambda app, x: app.bundle("transaction", post(pressure()), entry("DELETE", f"Patient/{x}")),
    "transaction by condition": lambda app, x: app.bundle("transaction", entry("DELETE", f"Patient?_id={x}")),
    "transaction, nothing matches": lambda app, x: app.bundle(
        "transaction", entry("DELETE", "Patient?identifier=urn:nothing|1")
    ),
}
BATCH = [entry("DELETE", "Patient/{}"), entry("DELETE", "Patient?_id={}"), entry("GET", "Patient/{}")]


@pytest.mark.spec("FHIR R4", "3.1.0.7", "a server that refuses to delete a resource says so: 405, with what is allowed")
@pytest.mark.parametrize("way", WAYS)
def test_a_patient_stays(family: Neighbourhood, way: str) -> None:
    hana, before = family.app("mother", patient="hana"), rows()
    for app in (hana, family.father, family.clinic, family.mother):
        answers = [WAYS[way](app, str(x)) for x in (HANA, YUKI, KAI, "0f0f0f0f-0000-4000-8000-000000000000")]
        assert {a.status for a in answers} == {405}, "there or not, seen or not"
        assert len({a.content for a in answers}) == 1
        assert "a procedure of its own" in answers[0].issue["diagnostics"]
        if way.startswith(("alone", "if", "by")):
            assert answers[0].headers["Allow"] == "GET, HEAD, PUT, PATCH"
    assert rows() == before
    assert family.father.get(f"Patient/{HANA}/$everything").status == 200


def test_a_patient_stays_in_a_batch(family: Neighbourhood) -> None:
    hana = family.app("mother", patient="hana")
    filled = [e | {"request": {k: v.replace("{}", str(HANA)) for k, v in e["request"].items()}} for e in BATCH]
    entries = hana.bundle("batch", *filled).json["entry"]
    assert [e["response"]["status"] for e in entries] == ["405", "405", "200"]


def test_who_may_delete_nothing_is_told_so_first(family: Neighbourhood) -> None:
    reader = family.app("mother", scope="patient/*.rs")
    for way in WAYS.values():
        assert way(reader, str(YUKI)).status == 403


def test_validate_says_so(family: Neighbourhood) -> None:
    answer = family.mother.get(f"Patient/{YUKI}/$validate?mode=delete")
    assert (answer.status, answer.issue["code"], answer.issue["severity"]) == (200, "not-supported", "error")
