"""Transactions and batches (R4 http.html §3.1.0.11)."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from phr.populate.cast import HANA, YUKI
from tests.family import KAI, OTSU, Neighbourhood, encoded, entry, organization, post, pressure, rows, secret, weight

ENCOUNTER = "urn:uuid:0a1b2c3d-0000-4000-8000-00000000000a"
OBSERVATION = "urn:uuid:0a1b2c3d-0000-4000-8000-00000000000b"


def encounter(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Encounter", "status": "finished", "subject": {"reference": f"Patient/{YUKI}"},
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}, **more,
    }  # fmt: skip


def statuses(answer: Any) -> list[str]:
    assert answer.status == 200, answer
    return [e["response"]["status"] for e in answer.json["entry"]]


def located(answer: Any, at: int) -> str:
    return str(answer.json["entry"][at]["response"]["location"].split("/")[1])


# -- transaction -----------------------------------------------------------------------------------


@pytest.mark.spec("FHIR R4", "3.1.0.11.2", "a transaction: answers in the order of the entries")
def test_a_transaction(family: Neighbourhood) -> None:
    old, gone = family.mother.made(weight()), family.mother.made(weight())
    answer = family.mother.bundle(
        "transaction",
        entry("GET", f"Observation?code=29463-7&_id={old['id']}"), post(weight(value="1.00")),
        entry("PUT", f"Observation/{old['id']}", old | {"status": "amended"}),
        entry("DELETE", f"Observation/{gone['id']}"), entry("GET", f"Observation/{old['id']}"),
    )  # fmt: skip
    assert statuses(answer) == ["200", "201", "200", "204", "200"]
    told = answer.json
    assert told["type"] == "transaction-response"
    assert told["entry"][0]["resource"]["entry"][0]["resource"]["status"] == "amended"  # GET comes last
    assert told["entry"][4]["resource"]["meta"]["versionId"] == "2"
    assert [e["response"].get("etag") for e in told["entry"]] == [None, 'W/"1"', 'W/"2"', 'W/"2"', 'W/"2"']
    made = family.mother.get(f"Observation/{located(answer, 1)}")
    assert b'"value":1.00' in made.content


@pytest.mark.spec("FHIR R4", "3.1.0.11.2", "references between entries are resolved, in any direction")
@pytest.mark.parametrize("backwards", [False, True])
def test_entries_refer_to_each_other(family: Neighbourhood, backwards: bool) -> None:
    pair = [
        post(encounter(reasonReference=[{"reference": OBSERVATION}]), ENCOUNTER),
        post(weight(encounter={"reference": ENCOUNTER}, identifier=[{"system": "urn:ietf:rfc:3986",
                                                                     "value": OBSERVATION}]), OBSERVATION),
    ]  # fmt: skip
    answer = family.mother.bundle("transaction", *(pair[::-1] if backwards else pair))
    first, second = located(answer, int(backwards)), located(answer, int(not backwards))
    seen = family.mother.get(f"Observation/{second}").json
    assert seen["encounter"] == {"reference": f"Encounter/{first}"}
    assert seen["identifier"][0]["value"] == OBSERVATION  # an identifier stays what it is
    back = family.mother.get(f"Encounter/{first}").json
    assert back["reasonReference"] == [{"reference": f"Observation/{second}"}]
    assert family.mother.search("Observation", encounter=first).ids == [second]


def test_updates_refer_to_what_is_created(family: Neighbourhood) -> None:
    old = family.mother.made(weight())
    answer = family.mother.bundle(
        "transaction", entry("PUT", f"Observation/{old['id']}", old | {"encounter": {"reference": ENCOUNTER}}),
        post(encounter(), ENCOUNTER),
    )  # fmt: skip
    assert statuses(answer) == ["200", "201"]
    seen = family.mother.get(f"Observation/{old['id']}").json
    assert seen["encounter"]["reference"] == f"Encounter/{located(answer, 1)}"


@pytest.mark.spec("FHIR R4", "2.36.4", "a relative reference is resolved against the fullUrl's base")
def test_relative_references_of_another_server(family: Neighbourhood) -> None:
    answer = family.mother.bundle(
        "transaction", post(encounter(), "https://old.example/fhir/Encounter/77"),
        post(weight(encounter={"reference": "Encounter/77"})),
    )  # fmt: skip
    seen = family.mother.get(f"Observation/{located(answer, 1)}").json
    assert seen["encounter"]["reference"] == f"Encounter/{located(answer, 0)}"


def test_a_name_that_no_entry_bears(family: Neighbourhood) -> None:
    before = rows()
    answer = family.mother.bundle("transaction", post(weight()), post(weight(encounter={"reference": ENCOUNTER})))
    assert (answer.status, answer.issue["expression"]) == (400, ["Bundle.entry[1]"])
    assert rows() == before


@pytest.mark.spec("FHIR R4", "3.1.0.11.2", "conditional references: one match, or the transaction fails")
def test_conditional_references(family: Neighbourhood) -> None:
    clinic = family.clinic
    here = clinic.made(organization("紡の産院") | {"identifier": [{"system": "urn:c", "value": "1"}]})
    reference = {"reference": "Organization?identifier=urn:c|1"}
    answer = clinic.bundle("transaction", post(pressure(performer=[reference])))
    seen = clinic.get(f"Observation/{located(answer, 0)}").json
    assert seen["performer"] == [{"reference": f"Organization/{here['id']}"}]
    before = rows()
    nothing = {"reference": "Organization?identifier=urn:c|2"}
    assert clinic.bundle("transaction", post(pressure(performer=[nothing]))).status == 412
    clinic.made(organization() | {"identifier": [{"system": "urn:c", "value": "1"}]})
    several = clinic.bundle("transaction", post(pressure(performer=[reference])))
    assert (several.status, several.issue["code"]) == (412, "multiple-matches")
    assert rows()["phr_resource"] == before["phr_resource"] + 1


@pytest.mark.spec("FHIR R4", "3.1.0.11.2", "all or nothing; the entry that failed is named")
@pytest.mark.parametrize(
    ("bad", "status", "place"),
    [
        (post(weight(status="zzz")), 400, "Bundle.entry[2].resource.status"),
        (post(weight(nonsense=1)), 400, "Bundle.entry[2].resource.nonsense"),
        (post(weight(subject=None)), 422, "Bundle.entry[2].resource.subject"),
        (post(weight(of=KAI)), 422, "Bundle.entry[2].resource.subject"),
        (post(weight(of=HANA)), 422, "Bundle.entry[2].resource.subject"),
        (post(organization()), 422, "Bundle.entry[2].resource"),
        (entry("PUT", f"Observation/{OTSU}", weight() | {"id": str(OTSU)}), 405, "Bundle.entry[2]"),
        (entry("PUT", "Observation/x", weight() | {"id": "y"}), 400, "Bundle.entry[2].resource.id"),
        (entry("GET", f"Observation/{OTSU}"), 404, "Bundle.entry[2]"),
        (entry("GET", "Observation?date=zzz"), 400, "Bundle.entry[2].request"),
        (entry("DELETE", f"Observation/{OTSU}", ifMatch="x"), 400, "Bundle.entry[2].request.ifMatch"),
        (entry("PATCH", f"Observation/{OTSU}"), 400, "Bundle.entry[2].resource"),
        (entry("EAT", "Observation"), 400, "Bundle.entry[2].request.method"),
        (entry("POST", "Observation/x", weight()), 400, "Bundle.entry[2].request.url"),
        (entry("PUT", "Observation", weight()), 400, "Bundle.entry[2].request.url"),
        (entry("DELETE", "Observation"), 400, "Bundle.entry[2].request.url"),
        (entry("GET", "Nothing/x"), 400, "Bundle.entry[2].request.url"),
        (entry("GET", "https://other.example/fhir/Observation/x"), 400, "Bundle.entry[2].request.url"),
        (entry("POST", "Condition", weight()), 400, "Bundle.entry[2].resource.resourceType"),
        (entry("POST", "Observation"), 400, "Bundle.entry[2].resource"),
        (entry("GET", "Observation", weight()), 400, "Bundle.entry[2].resource"),
        (post(weight(), ifNoneExist="date=zzz"), 400, "Bundle.entry[2].request"),
        (post(weight(), ifNoneExist="Patient?_id=x"), 400, "Bundle.entry[2].request"),
        (post(weight(), ifNoneExist="_count=1"), 400, "Bundle.entry[2].request"),
        ({"resource": weight()}, 400, "Bundle.entry[2].request"),
        (post(weight()) | {"nonsense": 1}, 400, "Bundle.entry[2].nonsense"),
        (post(weight()) | {"fullUrl": 1}, 400, "Bundle.entry[2].fullUrl"),
        ({"request": {"method": "GET"}}, 400, "Bundle.entry[2].request.url"),
        ({"request": {"method": "GET", "_url": {"id": "a"}}}, 400, "Bundle.entry[2].request.url"),
        ({"request": {"_method": {"id": "a"}, "url": "Observation"}}, 400, "Bundle.entry[2].request.method"),
        ({"request": []}, 400, "Bundle.entry[2].request"), ("text", 400, "Bundle.entry[2].request"),
        (None, 400, "Bundle.entry[2].request"),
    ],
)  # fmt: skip
def test_all_or_nothing(family: Neighbourhood, bad: Any, status: int, place: str) -> None:
    old, gone = family.mother.made(weight()), family.mother.made(weight())
    before = rows()
    answer = family.mother.bundle(
        "transaction", post(weight()), entry("DELETE", f"Observation/{gone['id']}"), bad, post(weight()),
        entry("PUT", f"Observation/{old['id']}", old | {"status": "amended"}),
    )  # fmt: skip
    assert answer.status == status, answer
    assert answer.issue["expression"] == [place]
    assert rows() == before
    assert family.mother.get(f"Observation/{gone['id']}").status == 200


def test_a_late_failure_undoes_everything(family: Neighbourhood) -> None:
    old = family.mother.made(weight())
    before = rows()
    answer = family.mother.bundle(
        "transaction", post(weight(), ENCOUNTER), entry("PUT", f"Observation/{old['id']}", old | {"status": "amended"}),
        entry("PUT", f"Observation/{uuid4()}", weight()),
    )  # fmt: skip
    assert answer.status == 400
    failing = family.mother.bundle(
        "transaction", post(weight()),
        entry("PUT", f"Observation/{old['id']}", old | {"status": "amended"}, ifMatch='W/"7"'),
    )  # fmt: skip
    assert (failing.status, failing.issue["expression"]) == (412, ["Bundle.entry[1]"])
    assert rows() == before


@pytest.mark.spec("FHIR R4", "3.1.0.11.2", "no resource twice in one transaction")
def test_nothing_twice(family: Neighbourhood) -> None:
    old = family.mother.made(weight())
    put, gone = entry("PUT", f"Observation/{old['id']}", old), entry("DELETE", f"Observation/{old['id']}")
    before = rows()
    twice = "identifier=urn:x|1"
    for pair in (
        (put, put), (put, gone), (gone, gone), (post(weight(), ENCOUNTER), post(weight(), ENCOUNTER)),
        (post(weight(), ifNoneExist=twice), post(weight(), ifNoneExist=twice)),
    ):  # fmt: skip
        answer = family.mother.bundle("transaction", *pair)
        assert (answer.status, answer.issue["code"]) == (400, "duplicate")
        assert answer.issue["expression"] == ["Bundle.entry[1]"]
    assert rows() == before


@pytest.mark.spec("FHIR R4", "3.1.0.8.2", "ifNoneExist inside a transaction: none, one, several")
def test_if_none_exist_inside(family: Neighbourhood) -> None:
    named = weight(identifier=[{"system": "urn:x", "value": "1"}])
    conditional = post(named, OBSERVATION, ifNoneExist="identifier=urn:x|1")
    refers = post(encounter(reasonReference=[{"reference": OBSERVATION}]))
    first = family.mother.bundle("transaction", conditional, refers)
    again = family.mother.bundle("transaction", conditional, refers)
    assert (statuses(first), statuses(again)) == (["201", "201"], ["200", "201"])
    assert located(first, 0) == located(again, 0)
    back = family.mother.get(f"Encounter/{located(again, 1)}").json
    assert back["reasonReference"] == [{"reference": f"Observation/{located(first, 0)}"}]
    family.mother.made(named)
    before = rows()
    several = family.mother.bundle("transaction", post(weight()), conditional)
    assert (several.status, several.issue["code"]) == (412, "multiple-matches")
    assert several.issue["expression"] == ["Bundle.entry[1]"]
    assert rows() == before


# -- batch -----------------------------------------------------------------------------------------


@pytest.mark.spec("FHIR R4", "3.1.0.11.1", "a batch: each entry stands or falls alone")
def test_a_batch(family: Neighbourhood) -> None:
    old = family.mother.made(weight())
    before = rows()["phr_resource"]
    answer = family.mother.bundle(
        "batch", post(weight()), post(weight(status="zzz")), "text", entry("GET", f"Observation/{uuid4()}"),
        entry("DELETE", f"Observation/{old['id']}"), entry("GET", f"Observation/{old['id']}"),
        entry("GET", f"Observation/{old['id']}/_history/1"), entry("GET", "Observation?_count=1"), post(weight()),
    )  # fmt: skip
    assert statuses(answer) == ["201", "400", "400", "404", "204", "410", "200", "200", "201"]
    told = answer.json
    assert told["type"] == "batch-response"
    bad = told["entry"][1]["response"]["outcome"]["issue"][0]
    assert bad["expression"] == ["Bundle.entry[1].resource.status"]
    assert told["entry"][6]["resource"] == old
    assert len(told["entry"][7]["resource"]["entry"]) == 1
    assert rows()["phr_resource"] == before + 2


def test_a_batch_hides_what_is_hidden(family: Neighbourhood) -> None:
    hidden = family.mother.made(secret())["id"]
    absent = str(uuid4())
    told = []
    for name in (hidden, absent):
        answer = family.clinic.bundle(
            "batch", entry("GET", f"Observation/{name}"), entry("DELETE", f"Observation/{name}"),
            entry("PUT", f"Observation/{name}", pressure() | {"id": name}), entry("GET", f"Observation?_id={name}"),
            entry("GET", f"Observation/{name}/_history/1"),
        )  # fmt: skip
        told.append(answer.content.replace(name.encode(), b"ID"))
    assert told[0] == told[1]


# -- shapes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        {}, {"resourceType": "Observation"}, {"resourceType": "Bundle"}, {"resourceType": "Bundle", "type": "document"},
        {"resourceType": "Bundle", "type": "batch", "entry": {}},
        {"resourceType": "Bundle", "type": "batch", "entry": []},
        {"resourceType": "Bundle", "type": "batch", "entry": None}, {"resourceType": "Bundle", "type": "batch", "x": 1},
        {"resourceType": "Bundle", "type": "batch", "meta": 1}, {"resourceType": "Bundle", "type": ["batch"]},
        {"resourceType": ["Bundle"], "type": "batch"}, {"resourceType": "Bundle", "type": "transaction", "entry": "x"},
        {"resourceType": "Bundle", "type": "transaction", "total": "many"},
    ],
)  # fmt: skip
def test_bundles_that_are_none(family: Neighbourhood, content: Any) -> None:
    before = rows()
    answer = family.mother.ask("POST", "", encoded(content))
    assert (answer.status, answer.issue["severity"] in ("error", "fatal")) == (400, True)
    assert rows() == before


def test_an_empty_bundle_and_a_slash(family: Neighbourhood) -> None:
    for kind in ("batch", "transaction"):
        answer = family.mother.ask("POST", "/fhir/", encoded({"resourceType": "Bundle", "type": kind}))
        assert (answer.status, answer.json) == (200, {"resourceType": "Bundle", "type": f"{kind}-response"})


def test_too_many_entries(family: Neighbourhood) -> None:
    before = rows()
    for kind in ("batch", "transaction"):
        answer = family.mother.bundle(kind, *[entry("GET", "Observation/x")] * 10_000)
        assert (answer.status, answer.issue["code"]) == (413, "too-long")
    assert rows() == before
