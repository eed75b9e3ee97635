"""What entries of a transaction call each other becomes what they are here (R4 http.html §3.1.0.11.2, bundle.html)."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings

from phr.fhir.resolve import Names, rewritten
from phr.populate.cast import YUKI
from tests.family import Answer, Neighbourhood, entry, organization, post, pressure, rows, weight

OWN = f"{settings.PHR_BASE_URL}/fhir"
UUID_NAME = "urn:uuid:0a1b2c3d-0000-4000-8000-00000000000a"
OTHER_NAME = "urn:uuid:0a1b2c3d-0000-4000-8000-00000000000b"
OID_NAME = "urn:oid:1.2.392.200119.1"
THERE = "https://old.example/fhir"


def encounter(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Encounter", "status": "finished", "subject": {"reference": f"Patient/{YUKI}"},
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}, **more,
    }  # fmt: skip


def located(answer: Answer, at: int) -> str:
    assert answer.status == 200, answer
    return str(answer.json["entry"][at]["response"]["location"]).partition("/_history")[0]


@pytest.mark.spec("FHIR R4", "3.1.0.11.2", "names may be urn:uuid, urn:oid or URLs; references may go in circles")
@pytest.mark.parametrize("name", [UUID_NAME, OID_NAME, f"{THERE}/Encounter/7", f"{OWN}/Encounter/7"])
def test_names_and_circles(family: Neighbourhood, name: str) -> None:
    entries = [
        post(encounter(reasonReference=[{"reference": OTHER_NAME}]), name),
        post(weight(encounter={"reference": name}, hasMember=[{"reference": OTHER_NAME}]), OTHER_NAME),
    ]
    for order in (entries, entries[::-1]):
        answer = family.mother.bundle("transaction", *order)
        first, second = (located(answer, n) for n in ((0, 1) if order is entries else (1, 0)))
        seen = family.mother.get(second).json
        assert seen["encounter"] == {"reference": first}
        assert seen["hasMember"] == [{"reference": second}]  # a resource may speak of itself
        assert family.mother.get(first).json["reasonReference"] == [{"reference": second}]


@pytest.mark.spec("FHIR R4", "2.36.4", "a relative reference is resolved against the base of its entry's fullUrl")
def test_bases(family: Neighbourhood) -> None:
    one, two = f"{THERE}/Encounter/7", "https://other.example/Encounter/7"
    answer = family.mother.bundle(
        "transaction", post(encounter(), one), post(encounter(), two),
        post(weight(encounter={"reference": "Encounter/7"}), f"{THERE}/Observation/1"),
        post(weight(encounter={"reference": "Encounter/7"}), "https://other.example/Observation/1"),
        post(weight(encounter={"reference": one}), UUID_NAME),
    )  # fmt: skip
    seen = [family.mother.get(located(answer, n)).json["encounter"]["reference"] for n in (2, 3, 4)]
    assert seen == [located(answer, 0), located(answer, 1), located(answer, 0)]


def test_a_short_name_that_two_entries_have_is_no_name(family: Neighbourhood) -> None:
    answer = family.mother.bundle(
        "transaction", post(encounter(), f"{THERE}/Encounter/7"), post(encounter(), "https://other.example/Encounter/7"),
        post(weight(encounter={"reference": "Encounter/7"})),
    )  # fmt: skip
    assert family.mother.get(located(answer, 2)).json["encounter"]["reference"] == "Encounter/7"


@pytest.mark.spec("FHIR R4", "3.1.0.11.2", "a reference to a version stays one: of what is created, to its first")
def test_versions(family: Neighbourhood) -> None:
    kept = family.mother.made(encounter())
    answer = family.mother.bundle(
        "transaction", post(encounter(), f"{THERE}/Encounter/7"),
        post(weight(encounter={"reference": f"{THERE}/Encounter/7/_history/9"})),
        post(weight(encounter={"reference": f"Encounter/{kept['id']}/_history/1"})),
        entry("PUT", f"Encounter/{kept['id']}", kept | {"status": "planned"})
        | {"fullUrl": f"{THERE}/Encounter/8"},
        post(weight(encounter={"reference": f"{THERE}/Encounter/8/_history/1"})),
    )  # fmt: skip
    seen = [family.mother.get(located(answer, n)).json["encounter"]["reference"] for n in (1, 2, 4)]
    here = f"Encounter/{kept['id']}/_history/1"
    assert seen == [f"{located(answer, 0)}/_history/1", here, here]


@pytest.mark.spec("FHIR R4", "3.1.0.11.2", "links in uri and url elements and in narratives are replaced")
def test_links(family: Neighbourhood) -> None:
    div = (
        '<div xmlns="http://www.w3.org/1999/xhtml"><a href="{0}">見本</a> <img src=\'{0}#x\' alt="{0}"/>'
        '<a href="https://example.org/{0}">{0}</a></div>'
    )
    resource = {
        "resourceType": "DocumentReference", "status": "current", "subject": {"reference": f"Patient/{YUKI}"},
        "masterIdentifier": {"system": "urn:ietf:rfc:3986", "value": UUID_NAME},
        "description": UUID_NAME,
        "text": {"status": "generated", "div": div.format(UUID_NAME)},
        "content": [{"attachment": {"url": UUID_NAME, "title": UUID_NAME}}],
        "extension": [{"url": "urn:a", "valueUri": UUID_NAME}, {"url": "urn:b", "valueUuid": UUID_NAME},
                      {"url": "urn:c", "valueCanonical": UUID_NAME}, {"url": "urn:d", "valueString": UUID_NAME},
                      {"url": "urn:e", "valueUrl": f"{UUID_NAME}#part"}],
    }  # fmt: skip
    answer = family.mother.bundle("transaction", post(encounter(), UUID_NAME), post(resource))
    here = located(answer, 0)
    seen = family.mother.get(located(answer, 1)).json
    assert seen["content"][0]["attachment"] == {"url": here, "title": UUID_NAME}
    assert [next(v for k, v in e.items() if k != "url") for e in seen["extension"]] == [
        here, UUID_NAME, UUID_NAME, UUID_NAME, f"{here}#part",
    ]  # fmt: skip
    assert (seen["description"], seen["masterIdentifier"]["value"]) == (UUID_NAME, UUID_NAME)
    assert seen["text"]["div"] == (
        f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{here}">見本</a> <img src=\'{here}#x\' alt="{UUID_NAME}"/>'
        f'<a href="https://example.org/{UUID_NAME}">{UUID_NAME}</a></div>'
    )


def test_what_is_not_in_the_bundle_is_left_alone(family: Neighbourhood) -> None:
    kept = family.mother.made(encounter())
    refers = weight(encounter={"reference": f"Encounter/{kept['id']}"}, focus=[{"reference": f"{THERE}/Device/1"}])
    answer = family.mother.bundle("transaction", post(encounter(), UUID_NAME), post(refers))
    seen = family.mother.get(located(answer, 1)).json
    assert (seen["encounter"], seen["focus"]) == (refers["encounter"], refers["focus"])


@pytest.mark.parametrize("name", [UUID_NAME, OID_NAME])
def test_a_name_nobody_bears(family: Neighbourhood, name: str) -> None:
    before = rows()
    for kind in ("transaction", "batch"):
        answer = family.mother.bundle(kind, post(weight()), post(weight(encounter={"reference": name})))
        if kind == "transaction":
            assert (answer.status, answer.issue["expression"]) == (400, ["Bundle.entry[1]"])
    assert rows()["phr_resource"] - before["phr_resource"] in (1, 2)  # a batch knows no names: urn:… is kept or refused


@pytest.mark.spec("FHIR R4", "3.1.0.11.2", "what updates, conditional or not, are called is known to all entries")
def test_updates_have_names(family: Neighbourhood) -> None:
    clinic = family.clinic
    kept = clinic.made(organization() | {"identifier": [{"system": "urn:x", "value": "1"}]})
    names = [f"urn:uuid:0a1b2c3d-0000-4000-8000-00000000000{n}" for n in range(4)]
    answer = clinic.bundle(
        "transaction", post(pressure(performer=[{"reference": name} for name in names])),
        entry("PUT", f"Organization/{kept['id']}", kept | {"alias": ["x"]}) | {"fullUrl": names[0]},
        entry("PUT", "Organization?identifier=urn:x|2", organization()) | {"fullUrl": names[1]},
        post(organization(), names[2], ifNoneExist="identifier=urn:x|3"),
        post(organization(), names[3], ifNoneExist="identifier=urn:x|1"),
    )  # fmt: skip
    assert [e["response"]["status"] for e in answer.json["entry"]] == ["201", "200", "201", "201", "200"]
    seen = clinic.get(located(answer, 0)).json["performer"]
    assert seen == [{"reference": located(answer, n)} for n in (1, 2, 3, 4)]
    assert located(answer, 1) == located(answer, 4) == f"Organization/{kept['id']}"


@pytest.mark.spec("FHIR R4", "3.1.0.11.2", "overlapping identities, also of conditions, fail the transaction")
def test_nothing_twice_once_conditions_are_resolved(family: Neighbourhood) -> None:
    mother = family.mother
    named = {"identifier": [{"system": "urn:x", "value": "1"}, {"system": "urn:x", "value": "2"}]}
    made = mother.made(weight(**named))
    path, by_one, by_two = (
        f"Observation/{made['id']}",
        "Observation?identifier=urn:x|1",
        "Observation?identifier=urn:x|2",
    )
    change = {"resourceType": "Parameters"}
    before = rows()
    for first, second in (
        (entry("PUT", path, made), entry("PUT", by_one, weight(**named))),
        (entry("PUT", by_one, weight(**named)), entry("PUT", by_two, weight(**named))),
        (entry("DELETE", by_one), entry("PUT", path, made)), (entry("DELETE", by_one), entry("DELETE", by_two)),
        (entry("PATCH", by_one, change), entry("PUT", path, made)),
        (entry("PATCH", by_one, change), entry("PATCH", by_two, change)),
        (entry("PUT", by_one, weight(**named)), entry("PUT", by_one, weight(**named))),
        (entry("PUT", by_one, weight(**named)), post(weight(), ifNoneExist="identifier=urn:x|1")),
    ):  # fmt: skip
        answer = mother.bundle("transaction", first, second)
        assert (answer.status, answer.issue["code"]) == (400, "duplicate"), (first, second, answer)
        assert answer.issue["expression"] == ["Bundle.entry[1]"]
    assert rows() == before


@pytest.mark.spec("FHIR R4", "3.1.0.11.2", "deletions come first: what goes does not match a condition of a POST")
def test_a_deletion_comes_first(family: Neighbourhood) -> None:
    named = weight(identifier=[{"system": "urn:x", "value": "1"}])
    old = family.mother.made(named)
    answer = family.mother.bundle(
        "transaction", post(named, ifNoneExist="identifier=urn:x|1"), entry("DELETE", f"Observation/{old['id']}")
    )
    assert [e["response"]["status"] for e in answer.json["entry"]] == ["201", "204"]
    assert located(answer, 0) != f"Observation/{old['id']}"


@pytest.mark.spec("FHIR R4", "3.1.0.11.2", "conditional references come last: they find what the transaction creates")
@pytest.mark.parametrize("backwards", [False, True])
def test_a_conditional_reference_to_what_is_created(family: Neighbourhood, backwards: bool) -> None:
    by = {"reference": "Organization?identifier=urn:x|1"}
    new = [
        post(organization() | {"identifier": [{"system": "urn:x", "value": "1"}]}),
        post(pressure(performer=[by], hasMember=[{"reference": UUID_NAME}]), OTHER_NAME),
        post(pressure(performer=[by], hasMember=[{"reference": OTHER_NAME}]), UUID_NAME),
    ]
    answer = family.clinic.bundle("transaction", *(new[::-1] if backwards else new))
    where = [located(answer, n) for n in ((2, 1, 0) if backwards else (0, 1, 2))]
    for at, other in ((1, 2), (2, 1)):
        seen = family.clinic.get(where[at]).json
        assert (seen["performer"], seen["hasMember"]) == ([{"reference": where[0]}], [{"reference": where[other]}])
    before = rows()
    again = family.clinic.bundle("transaction", *new)  # now two of them match
    assert (again.status, again.issue["code"]) == (412, "multiple-matches")
    assert rows() == before


def test_conditional_references_of_others(family: Neighbourhood) -> None:
    """What the caller may not see is not found, by whatever entry refers to it."""
    clinic = family.clinic
    before = rows()
    for kind in ("POST", "PUT"):
        refers = pressure(hasMember=[{"reference": "Observation?identifier=urn:x|1"}])
        made = post(refers) if kind == "POST" else entry("PUT", "Observation?identifier=urn:x|2", refers)
        answer = clinic.bundle("transaction", made)
        assert (answer.status, answer.issue["expression"]) == (412, ["Bundle.entry[0]"])
    assert rows() == before


def test_rewriting_leaves_odd_shapes_to_the_check() -> None:
    names = Names()
    names.give(UUID_NAME, "Observation/1", born=True)
    odd: dict[str, Any] = {
        "resourceType": "Observation", "extension": [1, None, [UUID_NAME]], "text": "x", "code": [UUID_NAME],
        "contained": [{"resourceType": ["x"], "url": UUID_NAME}, UUID_NAME], "implicitRules": {"a": UUID_NAME},
        "status": {"reference": 1}, "subject": {"reference": UUID_NAME},
    }  # fmt: skip
    changed = rewritten(odd, names, lambda kind, text: "x")
    assert changed | {"subject": odd["subject"]} == odd
    assert changed["subject"] == {"reference": "Observation/1"}
