"""Ids that clients give: each below a beginning of its own, and hidden ids look like absent ones (R4 §3.1.0.4.1)."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings

from phr.populate.cast import HANA, YUKI
from tests.family import (
    KAI,
    Answer,
    App,
    Neighbourhood,
    audit_lines,
    encoded,
    entry,
    organization,
    post,
    pressure,
    rows,
    secret,
    weight,
)

PREFIX = re.compile(r"[a-z2-7]{10}-")


def prefix(app: App) -> str:
    """What a refusal tells: how ids of this caller begin."""
    answer = app.put(organization() | {"id": "no-such-beginning"})
    assert (answer.status, answer.issue["code"]) == (405, "not-supported"), answer
    found = PREFIX.search(answer.issue["diagnostics"])
    assert found, answer
    return found[0]


@pytest.mark.spec(
    "FHIR R4", "3.1.0.4.1", "update as create: 201 with Location, ETag, Last-Modified, under the client's id"
)
def test_a_client_gives_an_id(family: Neighbourhood) -> None:
    mother = family.mother
    id = prefix(mother) + "weight.1"
    answer = mother.put(weight(value="1.00") | {"id": id})
    assert (answer.status, answer.headers["ETag"], answer.id) == (201, 'W/"1"', id), answer
    assert answer.headers["Location"] == f"http://127.0.0.1:8000/fhir/Observation/{id}/_history/1"
    assert answer.headers["Last-Modified"]
    assert mother.get(f"Observation/{id}").content == answer.content
    assert audit_lines("record:created")[-1][-1] == {"resources": [f"Observation/{id}/1"]}
    again = mother.put(weight(status="amended") | {"id": id})
    assert (again.status, again.headers["ETag"]) == (200, 'W/"2"')
    other = mother.put({"resourceType": "Condition", "id": id, "subject": {"reference": f"Patient/{YUKI}"}})
    assert other.status == 201  # an id is unique within its type
    history = mother.get(f"Observation/{id}/_history").json["entry"]
    assert [e["response"]["status"] for e in history] == ["200", "201"]


def test_every_writer_has_a_beginning_of_its_own(family: Neighbourhood) -> None:
    apps = [family.mother, family.father, family.clinic, family.of_clinic("9919000003"), family.stranger]
    assert len({prefix(app) for app in apps}) == len(apps)
    hana = family.app("mother", patient="hana")
    assert prefix(hana) not in {prefix(app) for app in apps}, "one for each record that she keeps"
    assert prefix(family.mother) == prefix(family.app("mother", scope="patient/*.cruds")), "whatever the token carries"


@pytest.mark.spec("Trust rules", "E-10", "an id that is hidden and one that is absent are refused alike")
def test_hidden_and_absent_are_refused_alike(family: Neighbourhood) -> None:
    clinic, mother = family.clinic, family.mother
    hidden = mother.made(secret())["id"]
    named = prefix(mother) + "secret"
    assert mother.put(secret() | {"id": named}).status == 201
    gone = mother.made(secret())["id"]
    mother.delete(f"Observation/{gone}")
    before = rows()
    told = []
    for id in (hidden, named, gone, str(uuid4()), prefix(mother) + "nothing", "x"):
        for headers in ({}, {"If-Match": 'W/"1"'}, {"If-None-Match": "*"}):
            answers = [
                clinic.ask("PUT", f"Observation/{id}", encoded(pressure() | {"id": id}), headers=headers),
                clinic.bundle("batch", entry("PUT", f"Observation/{id}", pressure() | {"id": id})),
                clinic.bundle("transaction", entry("PUT", f"Observation/{id}", pressure() | {"id": id})),
            ]
            told.append([answer.told() for answer in answers])
    assert told[0::3] == [told[0]] * 6
    assert told[1::3] == [told[1]] * 6
    assert told[2::3] == [told[2]] * 6
    assert [told[0][0][0], told[1][0][0], told[2][0][0]] == [405, 412, 405]
    assert prefix(clinic).encode() in told[0][0][1]
    assert rows() == before


def test_ids_of_patients_are_the_servers(family: Neighbourhood) -> None:
    clinic = family.clinic
    before = rows()
    told = []
    for id in (str(KAI), str(uuid4()), prefix(clinic) + "1", str(HANA)):
        answer = clinic.put({"resourceType": "Patient", "id": id})
        told.append(answer.told())
        assert (answer.status, answer.issue["code"]) == (405, "not-supported")
        assert not PREFIX.search(answer.issue["diagnostics"])
    assert len(set(map(str, told))) == 1
    assert rows() == before


def test_what_is_created_is_checked_like_any_other(family: Neighbourhood) -> None:
    mother = family.mother
    id = prefix(mother) + "1"
    before = rows()
    for resource, status in (
        (weight(status="zzz"), 400), (weight(of=KAI), 422), (weight(of=HANA), 422), (weight(subject=None), 422),
        (organization(), 422),
    ):  # fmt: skip
        assert mother.put(resource | {"id": id}).status == status
    for id in (prefix(mother) + "_", prefix(mother) + "x" * 54, prefix(mother) + "あ"):
        answer = mother.ask("PUT", f"Observation/{id}", encoded(weight() | {"id": id}))
        assert answer.status in (400, 405), answer
    assert rows() == before


def test_a_token_that_may_update_but_not_create(family: Neighbourhood) -> None:
    writer = family.app("mother", scope="launch/patient patient/Observation.rus patient/Organization.rus")
    id = prefix(writer) + "1"
    before = rows()
    assert writer.put(weight() | {"id": id}).status == 403
    assert writer.bundle("transaction", entry("PUT", f"Observation/{id}", weight() | {"id": id})).status == 403
    assert rows() == before


@pytest.mark.spec("RFC 9110", "13.1.2", "If-None-Match: * writes only where nothing stands")
def test_only_where_nothing_stands(family: Neighbourhood) -> None:
    mother = family.mother
    id = prefix(mother) + "1"
    assert mother.put(weight() | {"id": id}, if_none_match="*").status == 201
    assert mother.put(weight(value="2") | {"id": id}, if_none_match="*").status == 412
    assert mother.put(weight(value="2") | {"id": id}, if_none_match='W/"1"').status == 400
    mother.delete(f"Observation/{id}")
    assert mother.put(weight(value="2") | {"id": id}, if_none_match="*").status == 201


@pytest.mark.spec("FHIR R4", "3.1.0.7", "a deleted resource is brought back to life by an update: 201")
@pytest.mark.parametrize("inside", [None, "batch", "transaction"])
def test_back_to_life(family: Neighbourhood, inside: str | None) -> None:
    made = family.mother.made(weight())
    path = f"Observation/{made['id']}"
    family.mother.delete(path)
    if inside is None:
        assert family.mother.put(made, if_match='W/"1"').status == 412
        assert family.mother.put(made, if_match="*").status == 412
        assert family.mother.put(made, if_match='W/"2"').status == 201
    else:
        [told] = family.mother.bundle(inside, entry("PUT", path, made)).json["entry"]
        assert told["response"]["status"] == "201"
    assert family.mother.get(path).headers["ETag"] == 'W/"3"'
    # Whoever may not see it cannot tell it from what never was.
    family.mother.delete(path)
    clinic = family.of_clinic("9919000003")
    absent = str(uuid4())
    told = [clinic.put(weight() | {"id": id}).told() for id in (made["id"], absent)]
    assert told[0] == told[1]


def test_what_comes_back_keeps_the_labels_that_were_not_shown(family: Neighbourhood) -> None:
    made = family.mother.made(secret())
    path = f"Observation/{made['id']}"
    family.mother.delete(path)
    shown = pressure() | {"id": made["id"]}
    assert family.mother.put(shown).status == 201
    assert family.clinic.get(path).status == 404


def test_a_name_taken_out_of_sight(family: Neighbourhood) -> None:
    """Names used in one person's record are not taken in another's: each record has a beginning of its own."""
    mother, hana = family.mother, family.app("mother", patient="hana")
    id = prefix(hana) + "1"
    assert hana.put(weight(of=HANA) | {"id": id}).status == 201
    before = rows()
    taken, absent = mother.put(weight() | {"id": id}), mother.put(weight() | {"id": f"{prefix(hana)}2"})
    assert (taken.status, taken.issue["code"]) == (405, "not-supported")
    assert taken.told() == absent.told()
    assert rows() == before
    assert mother.put(weight() | {"id": prefix(mother) + "1"}).status == 201
    assert mother.get(f"Observation/{id}").status == 404


def located(answer: Answer, at: int) -> str:
    return str(answer.json["entry"][at]["response"]["location"])


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_inside_bundles(family: Neighbourhood, kind: str) -> None:
    clinic = family.clinic
    start = prefix(clinic)
    here, measured = f"Organization/{start}org", f"Observation/{start}obs"
    entries: list[Any] = [
        entry("PUT", measured, pressure(performer=[{"reference": here}]) | {"id": f"{start}obs"}),
        entry("PUT", here, organization() | {"id": f"{start}org"}),
    ]
    answer = clinic.bundle(kind, *entries)
    assert [e["response"]["status"] for e in answer.json["entry"]] == ["201", "201"], answer
    assert [located(answer, n) for n in (0, 1)] == [f"{measured}/_history/1", f"{here}/_history/1"]
    again = clinic.bundle(kind, *entries)
    assert [e["response"]["status"] for e in again.json["entry"]] == ["200", "200"]
    assert clinic.get(measured).json["performer"] == [{"reference": here}]


def test_many_in_one_transaction(family: Neighbourhood) -> None:
    """More than there are locks for: created together, then updated, and mixed with what is new."""
    mother = family.mother
    start = prefix(mother)

    def puts(numbers: range, value: str) -> list[Any]:
        return [entry("PUT", f"Observation/{start}{n}", weight(value=value) | {"id": f"{start}{n}"}) for n in numbers]

    for numbers, value, expected in (
        (range(60), "1.0", ["201"] * 60),
        (range(50, 70), "2.0", ["200"] * 10 + ["201"] * 10),
    ):
        answer = mother.bundle("transaction", *puts(numbers, value))
        assert [e["response"]["status"] for e in answer.json["entry"]] == expected
    before = rows()
    spoilt = mother.bundle(
        "transaction", *puts(range(80, 90), "1.0"), entry("PUT", "Observation/x", weight() | {"id": "x"})
    )
    assert (spoilt.status, spoilt.issue["expression"]) == (405, ["Bundle.entry[10]"])
    assert rows() == before


def test_who_may_not_read_updates_by_transaction_all_the_same(family: Neighbourhood) -> None:
    made = family.mother.made(weight())
    blind = family.app("mother", scope="launch/patient patient/Observation.cus")
    change = entry("PUT", f"Observation/{made['id']}", made | {"status": "amended"})
    assert blind.bundle("transaction", change).json["entry"][0]["response"]["status"] == "200"


def test_others_refer_to_it_by_its_name(family: Neighbourhood) -> None:
    clinic = family.clinic
    id = prefix(clinic) + "org"
    name = "urn:uuid:0a1b2c3d-0000-4000-8000-00000000000d"
    answer = clinic.bundle(
        "transaction", post(pressure(performer=[{"reference": name}])),
        entry("PUT", f"Organization/{id}", organization() | {"id": id}) | {"fullUrl": name},
    )  # fmt: skip
    seen = clinic.get(located(answer, 0)).json
    assert seen["performer"] == [{"reference": f"Organization/{id}"}]


@pytest.mark.spec("FHIR R4", "3.1.0.4.1", "the CapabilityStatement says that clients may give ids, and which")
def test_the_statement_says_so(family: Neighbourhood) -> None:
    told = {r["type"]: r for r in family.anonymous.get("metadata").json["rest"][0]["resource"]}
    assert told["Observation"]["updateCreate"] is True
    assert told["Patient"]["updateCreate"] is False
    assert "id" in told["Observation"]["documentation"]


def test_a_resource_over_its_limit(family: Neighbourhood) -> None:
    mother = family.mother
    made = mother.made(weight())
    before = rows()
    long = weight(note=[{"text": "x" * 1000}] * 1100)
    for answer in (
        mother.create(long), mother.put(long | {"id": made["id"]}),
        mother.bundle("transaction", post(weight()), post(long)),
        mother.ask("PUT", f"Observation?_id={made['id']}", encoded(long)),
    ):  # fmt: skip
        assert (answer.status, answer.issue["code"]) == (413, "too-long"), answer
        assert str(settings.PHR_MAX_RESOURCE) in answer.issue["diagnostics"]
    [fine, told] = mother.bundle("batch", post(weight()), post(long)).json["entry"]
    assert (fine["response"]["status"], told["response"]["status"]) == ("201", "413")
    assert rows()["phr_resource"] == before["phr_resource"] + 1


def test_what_stands_around_is_measured_too(family: Neighbourhood) -> None:
    """Bundles, their entries and patches are checked like resources, so they are measured like them."""
    many = [{"url": "urn:x", "valueString": "x" * 1000}] * 1100
    mother = family.mother
    path = f"Observation/{mother.made(weight())['id']}"
    before = rows()
    tags = [{"system": "urn:x", "code": "x" * 1000}] * 1100
    for method, where, sent in (
        ("POST", "", {"resourceType": "Bundle", "type": "batch", "meta": {"tag": tags}}),
        (
            "POST",
            "",
            {"resourceType": "Bundle", "type": "transaction", "entry": [post(weight()) | {"extension": many}]},
        ),
        ("PATCH", path, {"resourceType": "Parameters", "parameter": [{"name": "operation", "extension": many}]}),
    ):
        answer = mother.ask(method, where, encoded(sent))
        assert (answer.status, answer.issue["code"]) == (413, "too-long"), answer
    assert rows() == before


def test_attachments_are_not_counted(family: Neighbourhood) -> None:
    data = "44GC" * 500_000
    document = {
        "resourceType": "DocumentReference", "status": "current", "subject": {"reference": f"Patient/{YUKI}"},
        "content": [{"attachment": {"contentType": "application/pdf", "data": data}}],
    }  # fmt: skip
    answer = family.mother.create(document)
    assert answer.status == 201, answer
    assert family.mother.get(f"DocumentReference/{answer.id}").json["content"][0]["attachment"]["data"] == data
