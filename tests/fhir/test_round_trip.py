"""What goes in comes out: any sound resource of any type, to the digit (R4 http.html §3.1.0.8, §3.1.0.4)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from phr.fhir.patching import JSON_PATCH
from phr.records import body
from tests.family import Answer, App, Neighbourhood, encoded, entry, post, weight
from tests.records.random_resources import resources

QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]
# A counterexample is not made smaller: each takes eight requests, and tokens do not live for ever.
FEW, MANY = (
    settings(max_examples=n, suppress_health_check=QUIET, deadline=None, phases=(Phase.explicit, Phase.generate))
    for n in (25, 2000)
)


def content(text: bytes) -> bytes:
    """Everything a client has sent, in one spelling; numbers as they were written."""
    resource = body.parse(text)
    for stamped in ("versionId", "lastUpdated"):
        resource["meta"].pop(stamped)
    return body.canonical({key: value for key, value in resource.items() if key != "id" and value != {}})


def comes_back_whole(home: Neighbourhood, resource: dict[str, Any]) -> None:
    app, name = home.clinic, resource["resourceType"]
    sent = body.write(resource)
    with transaction.atomic():
        answer = app.ask("POST", name, sent)
        assert answer.status == 201, answer
        path = f"{name}/{answer.id}"
        for seen in (answer, app.get(path), app.get(f"{path}/_history/1")):
            assert content(seen.content) == body.canonical(resource)
        assert _through_others(app, path, sent) == {body.canonical(resource)}
        transaction.set_rollback(True)


def _through_others(app: App, path: str, sent: bytes) -> set[bytes]:
    """The same content through update, patch and a transaction."""
    name, id = path.split("/")
    body_with_id = body.write(body.parse(sent) | {"id": id, "language": "ja"})
    put = app.ask("PUT", path, body_with_id)
    patched = app.ask("PATCH", path, encoded([{"op": "remove", "path": "/language"}]), type=JSON_PATCH)
    assert (put.status, patched.status) == (200, 200), (put, patched)
    told = app.bundle("transaction", entry("POST", name, body.parse(sent)), prefer="return=representation")
    inside = body.parse(told.content)["entry"][0]["resource"]
    back = content(patched.content) if "language" not in body.parse(sent) else body.canonical(body.parse(sent))
    return {back, content(body.write(inside))}


@pytest.mark.spec("FHIR R4", "2.24.0.1", "any sound resource is stored and returned whole, decimals and all")
@FEW
@given(resources())
def test_any_resource_comes_back_whole(family: Neighbourhood, resource: dict[str, Any]) -> None:
    comes_back_whole(family, resource)


@pytest.mark.long
@MANY
@given(resources())
def test_many_resources_come_back_whole(family: Neighbourhood, resource: dict[str, Any]) -> None:
    comes_back_whole(family, resource)


NUMBERS = ["1.00", "1e3", "1E3", "1e+3", "1.0E-2", "0.10", "-0.0", "100", "12345678901234567890", "0e0", "1.5e10",
           "0.000000000000000000000001", "99999999999999999999999999999999.99"]  # fmt: skip


@pytest.mark.spec("FHIR R4", "2.24.0.1", "a decimal keeps its digits and its exponent")
@pytest.mark.parametrize("digits", NUMBERS)
def test_numbers_as_they_were_written(family: Neighbourhood, digits: str) -> None:
    def written(answer: Answer) -> bool:
        return f'"value":{digits},'.encode() in answer.content

    sent = encoded(weight()).replace(b"52.40", digits.encode())
    answer = family.mother.ask("POST", "Observation", sent)
    assert answer.status == 201, answer
    path = f"Observation/{answer.id}"
    assert all(map(written, (answer, family.mother.get(path), family.mother.search("Observation", _id=answer.id))))
    again = family.mother.ask("PUT", path, sent.replace(b"{", b'{"id":"%s",' % answer.id.encode(), 1))
    assert (again.status, again.headers["ETag"]) == (200, 'W/"1"')  # the same content is no new version


def test_another_spelling_of_a_number_is_another_content(family: Neighbourhood) -> None:
    made = family.mother.made(weight(value="1.0"))
    answer = family.mother.put(weight(value="1.00") | {"id": made["id"]})
    assert (answer.headers["ETag"], b'"value":1.00,' in answer.content) == ('W/"2"', True)
    reordered = dict(reversed(list(answer.json.items())))
    assert family.mother.put(reordered).headers["ETag"] == 'W/"2"'  # the order of keys is none


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False).map(repr),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10))  # fmt: skip
def test_text_is_read_and_written_alike(value: Any) -> None:
    sent = json.dumps({"x": value}, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    try:
        parsed = body.received(sent)
    except body.Malformed:
        return  # lone surrogates are no UTF-8
    assert json.loads(body.write(parsed)) == json.loads(sent)


def test_primitives_with_something_beside_them(family: Neighbourhood) -> None:
    note = {"extension": [{"url": "urn:x", "valueDecimal": 1}]}
    patient_like = weight(
        _status={"id": "a"}, _effectiveDateTime=note, note=[{"text": "x", "_text": note}],
        interpretation=[{"text": "a", "coding": [{"_display": note}]}],
    )  # fmt: skip
    made = family.mother.made(patient_like)
    assert {k: made[k] for k in patient_like} == json.loads(encoded(patient_like), parse_float=body.Decimal)
    for wrong in (
        {"_status": []}, {"_status": "x"}, {"_nothing": {}}, {"_subject": {"id": "a"}}, {"_status": {}},
        {"_status": None}, {"note": [{"text": "x", "_text": [note]}]}, {"interpretation": [None]},
        {"_interpretation": [None]},
    ):  # fmt: skip
        answer = family.mother.ask("POST", "Observation", encoded({**weight(), **wrong}))
        assert answer.status == 400, (wrong, answer)


def test_lists_of_primitives_with_gaps(family: Neighbourhood) -> None:
    clinic = family.clinic
    names = {"alias": ["a", None, "b"], "_alias": [None, {"extension": [{"url": "urn:x", "valueCode": "y"}]}, None]}
    answer = clinic.bundle("transaction", post({"resourceType": "Organization", "name": "x", **names}))
    seen = clinic.get(answer.json["entry"][0]["response"]["location"]).json
    assert {k: seen[k] for k in names} == names
    for wrong in ({"alias": [None]}, {"alias": ["a", None]}, {"alias": []}, {"alias": None}, {"_alias": [None, {}]}):
        assert clinic.create({"resourceType": "Organization", "name": "x", **wrong}).status == 400, wrong
