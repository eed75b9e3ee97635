"""PATCH at the REST door: formats, versions, consent, and a sound resource as the result (R4 http.html §3.1.0.6)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings

from phr.fhir.patching import JSON_PATCH
from phr.populate.cast import HANA, YUKI
from tests.family import (
    KAI,
    OTSU,
    Answer,
    App,
    Neighbourhood,
    audit_lines,
    encoded,
    entry,
    organization,
    pressure,
    rows,
    secret,
    weight,
)

AMEND = [{"op": "replace", "path": "/status", "value": "amended"}]
AMENDED = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "operation", "part": [{"name": "type", "valueCode": "replace"},
                                       {"name": "path", "valueString": "Observation.status"},
                                       {"name": "value", "valueCode": "amended"}]},
    ],
}  # fmt: skip
BOTH = [(AMEND, JSON_PATCH), (AMENDED, "application/fhir+json")]


def patch(
    app: App, path: str, content: Any = AMEND, type: str = JSON_PATCH, headers: Mapping[str, str] | None = None
) -> Answer:
    body = content if isinstance(content, bytes) else encoded(content)
    return app.ask("PATCH", path, body, type=type, headers=headers or {})


@pytest.mark.spec("FHIR R4", "3.1.0.6", "a patch is processed as an update: new version, ETag, Last-Modified, Prefer")
@pytest.mark.parametrize(("content", "type"), BOTH)
def test_a_patch_makes_a_version(family: Neighbourhood, content: Any, type: str) -> None:
    made = family.mother.made(weight(value="1.00"))
    path = f"Observation/{made['id']}"
    answer = patch(family.mother, path, content, type)
    assert (answer.status, answer.headers["ETag"]) == (200, 'W/"2"'), answer
    assert answer.headers["Last-Modified"]
    assert answer.headers["Location"].endswith(f"{path}/_history/2")
    assert answer.json["status"] == "amended"
    assert b'"value":1.00,' in answer.content  # what it does not touch stays to the digit
    assert family.mother.get(path).content == answer.content
    assert {k: v for k, v in answer.json.items() if k not in ("meta", "status")} == {
        k: v for k, v in made.items() if k not in ("meta", "status")
    }
    again = patch(family.mother, path, content, type)
    assert (again.status, again.headers["ETag"]) == (200, 'W/"2"')  # nothing changed, nothing written
    minimal = patch(family.mother, path, AMEND, headers={"Prefer": "return=minimal"})
    assert (minimal.status, minimal.content) == (200, b"")
    told = patch(family.mother, path, AMEND, headers={"Prefer": "return=OperationOutcome"})
    assert told.json["issue"][0]["severity"] == "information"


def test_a_number_is_put_in_as_it_was_written(family: Neighbourhood) -> None:
    made = family.mother.made(weight())
    for digits in (b"1.00", b"1e2", b"0.000"):
        body = b'[{"op":"replace","path":"/valueQuantity/value","value":%s}]' % digits
        assert b'"value":%s,' % digits in patch(family.mother, f"Observation/{made['id']}", body).content


@pytest.mark.spec("FHIR R4", "3.1.0.6", "If-Match with a patch works as with an update")
def test_if_match(family: Neighbourhood) -> None:
    path = f"Observation/{family.mother.made(weight())['id']}"
    before = rows()
    assert patch(family.mother, path, headers={"If-Match": 'W/"2"'}).status == 412
    assert patch(family.mother, path, headers={"If-Match": "x"}).status == 400
    assert rows() == before
    assert patch(family.mother, path, headers={"If-Match": 'W/"1"'}).status == 200
    assert patch(family.mother, path, headers={"If-Match": "*"}).status == 200


@pytest.mark.spec(
    "RFC 5789", "2.2", "400 for a body that is no patch, 415 for another format, 422 where it does not fit"
)
@pytest.mark.parametrize(
    ("content", "type", "status", "place"),
    [
        (b"{", JSON_PATCH, 400, None), (b"{}", JSON_PATCH, 400, None),
        (b'[{"op":"add","op":"add"}]', JSON_PATCH, 400, None),
        (b"[" * 5000, JSON_PATCH, 400, None), (b"\xff", JSON_PATCH, 400, None),
        ([{"op": "eat", "path": "/a"}], JSON_PATCH, 400, "patch[0]"),
        ([*AMEND, {"op": "test", "path": "/status", "value": "final"}], JSON_PATCH, 422, "patch[1]"),
        ([{"op": "remove", "path": "/nothing"}], JSON_PATCH, 422, "patch[0]"),
        ([{"op": "replace", "path": "", "value": []}], JSON_PATCH, 422, None),
        ([{"op": "replace", "path": "/id", "value": "other"}], JSON_PATCH, 422, "Observation.id"),
        ([{"op": "remove", "path": "/id"}], JSON_PATCH, 422, "Observation.id"),
        ([{"op": "replace", "path": "/resourceType", "value": "Condition"}], JSON_PATCH, 422, "Observation.id"),
        ([{"op": "remove", "path": "/status"}], JSON_PATCH, 422, "Observation.status"),
        ([{"op": "replace", "path": "/status", "value": "zzz"}], JSON_PATCH, 422, "Observation.status"),
        ([{"op": "add", "path": "/nonsense", "value": 1}], JSON_PATCH, 422, "Observation.nonsense"),
        ([{"op": "add", "path": "/note", "value": []}], JSON_PATCH, 422, "Observation.note"),
        ([{"op": "replace", "path": "/subject/reference", "value": f"Patient/{HANA}"}], JSON_PATCH, 422,
         "Observation.subject"),
        ([{"op": "replace", "path": "/subject/reference", "value": f"Patient/{KAI}"}], JSON_PATCH, 422,
         "Observation.subject"),
        ([{"op": "replace", "path": "/subject/reference",
           "value": f"{settings.PHR_BASE_URL}/fhir/Patient/{KAI}"}], JSON_PATCH, 422, "Observation.subject"),
        (AMEND * 501, JSON_PATCH, 413, None),
        ([{"op": "add", "path": "/note", "value": [{"text": "x"}]},
          *[{"op": "copy", "from": "/note", "path": "/note/-"}] * 60], JSON_PATCH, 413, None),
        (AMEND, "application/json", 400, None), (AMENDED, JSON_PATCH, 400, None),
        (weight(), "application/fhir+json", 400, "resourceType"),
        (b"<diff/>", "application/xml-patch+xml", 415, None), (AMEND, "application/merge-patch+json", 415, None),
        (AMEND, "", 415, None), (AMEND, "application/fhir+xml", 415, None),
    ],
)  # fmt: skip
def test_what_is_no_patch_here(family: Neighbourhood, content: Any, type: str, status: int, place: str | None) -> None:
    path = f"Observation/{family.mother.made(weight())['id']}"
    before = rows()
    answer = patch(family.mother, path, content, type)
    assert answer.status == status, answer
    assert answer.issue["severity"] in ("error", "fatal")
    if place is not None:
        assert answer.issue["expression"] == [place]
    if status == 415:
        assert JSON_PATCH in answer.headers["Accept-Patch"]
    assert rows() == before
    assert family.mother.get(path).headers["ETag"] == 'W/"1"'


def test_what_is_hidden_absent_or_gone(family: Neighbourhood) -> None:
    hidden = family.stranger.made(weight(of=OTSU))["id"]
    for content, type in BOTH:
        told = [patch(family.mother, f"Observation/{x}", content, type).told() for x in (hidden, uuid4(), "x" * 64)]
        assert told[0] == told[1] == told[2]
        assert told[0][0] == 404
    made = family.mother.made(weight())
    family.mother.delete(f"Observation/{made['id']}")
    assert patch(family.mother, f"Observation/{made['id']}").status == 410
    assert patch(family.clinic, f"Observation/{made['id']}").status == 404


def test_who_may_read_but_not_change(family: Neighbourhood) -> None:
    made = family.clinic.made(pressure())
    before = rows()
    assert patch(family.mother, f"Observation/{made['id']}").status == 403
    assert patch(family.mother, f"Patient/{YUKI}", [{"op": "test", "path": "/active", "value": 1}]).status == 422
    assert rows() == before


def test_who_may_change_but_not_read(family: Neighbourhood) -> None:
    """A patch asks about what it changes, so it takes the right to read."""
    made = family.mother.made(weight())
    blind = family.app("mother", scope="launch/patient patient/Observation.cus")
    assert blind.put(made | {"status": "amended"}).status == 200
    asks = [{"op": "test", "path": "/valueQuantity/unit", "value": "kg"}]
    assert patch(blind, f"Observation/{made['id']}", asks).status == 403


def test_labels_that_are_not_shown_cannot_be_asked_for_or_taken_away(family: Neighbourhood) -> None:
    made = family.mother.made(secret())
    path = f"Observation/{made['id']}"
    asked = patch(family.mother, path, [{"op": "test", "path": "/meta/security/0/code", "value": "R"}])
    assert (asked.status, asked.issue["expression"]) == (422, ["patch[0]"])
    assert patch(family.mother, path, [{"op": "remove", "path": "/meta/security"}]).status == 422
    answer = patch(family.mother, path, [{"op": "replace", "path": "/meta", "value": {}}, *AMEND])
    assert answer.status == 200
    assert b"security" not in answer.content
    assert family.clinic.get(path).status == 404


def test_the_organisation_that_wrote_a_label_may_change_it(family: Neighbourhood) -> None:
    made = family.clinic.made(secret())
    path = f"Observation/{made['id']}"
    assert patch(family.clinic, path, [{"op": "remove", "path": "/meta/security"}]).status == 200
    assert "security" not in family.clinic.get(path).json["meta"]


def test_a_patch_is_on_the_log(family: Neighbourhood) -> None:
    made = family.mother.made(weight())
    before = len(audit_lines("record:updated"))
    patch(family.mother, f"Observation/{made['id']}")
    subject, *_, detail = audit_lines("record:updated")[before]
    assert (subject, detail) == (YUKI, {"resources": [f"Observation/{made['id']}/2"]})


@pytest.mark.parametrize("inside", [None, "batch", "transaction"])
def test_a_patch_that_asks_in_vain_is_on_the_log(family: Neighbourhood, inside: str | None) -> None:
    """`test` tells one bit of a resource even where it fails: that is an access like any other."""
    path = f"Observation/{family.mother.made(weight())['id']}"
    asks = [{"op": "test", "path": "/valueQuantity/unit", "value": "g"}]
    before = len(audit_lines("record:read"))
    if inside is None:
        assert patch(family.mother, path, asks).status == 422
    else:
        family.mother.bundle(inside, entry("PATCH", path, binary(asks)))
    [(subject, *_, detail)] = audit_lines("record:read")[before:]
    assert (subject, f"Observation/{detail['id']}") == (YUKI, path)
    assert patch(family.mother, path).status == 200
    assert len(audit_lines("record:read")) == before + 1  # what is written has its own line


@pytest.mark.spec("FHIR R4", "3.1.0.6", "the narrative is not clinically unsafe after a patch")
@pytest.mark.parametrize(
    ("status", "told"), [("generated", 200), ("extensions", 200), ("additional", 422), ("empty", 200)]
)
def test_the_narrative(family: Neighbourhood, status: str, told: int) -> None:
    text = {"status": status, "div": '<div xmlns="http://www.w3.org/1999/xhtml">final</div>'}
    path = f"Observation/{family.mother.made(weight(text=text))['id']}"
    tagged = patch(family.mother, path, [{"op": "add", "path": "/language", "value": "ja"}])
    assert tagged.json["text"] == text  # nothing it speaks of has changed
    answer = patch(family.mother, path)
    assert answer.status == told
    if told == 422:
        assert answer.issue["expression"] == ["Observation.text"]
        both = [*AMEND, {"op": "replace", "path": "/text/div", "value": text["div"].replace("final", "amended")}]
        assert "amended" in patch(family.mother, path, both).json["text"]["div"]
    else:
        assert ("text" in answer.json) == (status == "empty")


# -- by condition ----------------------------------------------------------------------------------

CONDITION = "identifier=urn:x|1"
NAMED = {"identifier": [{"system": "urn:x", "value": "1"}]}


@pytest.mark.spec("FHIR R4", "3.1.0.6", "conditional patch: none 404, one is patched, several 412")
@pytest.mark.parametrize(("content", "type"), BOTH)
def test_patch_by_condition(family: Neighbourhood, content: Any, type: str) -> None:
    mother = family.mother
    assert patch(mother, f"Observation?{CONDITION}", content, type).status == 404
    made = mother.made(weight(**NAMED))
    before = rows()
    assert patch(mother, f"Observation?{CONDITION}", content, type, {"If-Match": 'W/"9"'}).status == 412
    assert rows() == before
    answer = patch(mother, f"Observation?{CONDITION}", content, type, {"If-Match": 'W/"1"'})
    assert (answer.status, answer.id, answer.json["status"]) == (200, made["id"], "amended")
    mother.made(weight(**NAMED))
    before = rows()
    several = patch(mother, f"Observation?{CONDITION}", content, type)
    assert (several.status, several.issue["code"]) == (412, "multiple-matches")
    assert rows() == before


def test_what_the_caller_may_not_see_is_not_patched(family: Neighbourhood) -> None:
    family.mother.made(secret(**NAMED))
    assert patch(family.clinic, f"Observation?{CONDITION}").status == 404
    made = family.clinic.made(pressure(**NAMED))
    assert patch(family.clinic, f"Observation?{CONDITION}").id == made["id"]


# -- inside a Bundle -------------------------------------------------------------------------------


def binary(patch: Any) -> dict[str, Any]:
    return {"resourceType": "Binary", "contentType": JSON_PATCH, "data": b64encode(encoded(patch)).decode()}


@pytest.mark.spec("FHIR R4", "3.1.0.6", "patches inside a batch or a transaction: Parameters, or a Binary")
@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize("resource", [AMENDED, binary(AMEND)], ids=["Parameters", "Binary"])
def test_inside_a_bundle(family: Neighbourhood, kind: str, resource: dict[str, Any]) -> None:
    mother = family.mother
    one, two = mother.made(weight()), mother.made(weight(**NAMED))
    answer = mother.bundle(
        kind, entry("PATCH", f"Observation/{one['id']}", resource, ifMatch='W/"1"'),
        entry("PATCH", f"Observation?{CONDITION}", resource),
    )  # fmt: skip
    assert [e["response"]["status"] for e in answer.json["entry"]] == ["200", "200"], answer
    for made in (one, two):
        assert mother.get(f"Observation/{made['id']}").json["status"] == "amended"


@pytest.mark.parametrize(
    ("resource", "status", "place"),
    [
        (weight(), 400, "Bundle.entry[1].resource.resourceType"),
        (binary(AMEND) | {"contentType": "text/plain"}, 400, "Bundle.entry[1].resource.contentType"),
        (binary(AMEND) | {"data": "?"}, 400, "Bundle.entry[1].resource.data"),
        (binary({}), 400, "Bundle.entry[1]"),
        (binary([{"op": "remove", "path": "/x"}]), 422, "Bundle.entry[1].patch[0]"),
        (binary([{"op": "remove", "path": "/status"}]), 422, "Bundle.entry[1].resource.status"),
        (AMENDED | {"nonsense": 1}, 400, "Bundle.entry[1].resource.nonsense"),
    ],
)
def test_a_bad_patch_undoes_the_transaction(
    family: Neighbourhood, resource: dict[str, Any], status: int, place: str
) -> None:
    made = family.mother.made(weight())
    before = rows()
    answer = family.mother.bundle(
        "transaction", entry("POST", "Observation", weight()), entry("PATCH", f"Observation/{made['id']}", resource)
    )
    assert (answer.status, answer.issue["expression"]) == (status, [place]), answer
    assert rows() == before


def test_a_patch_may_name_what_its_transaction_creates(family: Neighbourhood) -> None:
    """References in the Parameters are resolved as in any resource."""
    name = "urn:uuid:0a1b2c3d-0000-4000-8000-00000000000c"
    made = family.clinic.made(pressure())
    add = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "operation", "part": [{"name": "type", "valueCode": "add"},
                                           {"name": "path", "valueString": "Observation"},
                                           {"name": "name", "valueString": "performer"},
                                           {"name": "value", "valueReference": {"reference": name}}]},
        ],
    }  # fmt: skip
    answer = family.clinic.bundle(
        "transaction", entry("PATCH", f"Observation/{made['id']}", add),
        entry("POST", "Organization", organization()) | {"fullUrl": name},
    )  # fmt: skip
    created = answer.json["entry"][1]["response"]["location"].split("/")[1]
    seen = family.clinic.get(f"Observation/{made['id']}").json
    assert seen["performer"] == [{"reference": f"Organization/{created}"}]
