"""`$meta`, `$meta-add`, `$meta-delete` over HTTP, and the sets behind them (R4 resource-operations)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phr.fhir.operations.meta import added, taken_away
from phr.populate.cast import YUKI
from tests.family import CONFIDENTIALITY, KAI, Answer, App, Neighbourhood, encoded, organization, pressure, secret

SPEC = pytest.mark.spec
META = "operation-resource-meta"
RED = {"system": "urn:tags", "code": "red"}
BLUE = {"system": "urn:tags", "code": "blue", "display": "Blue"}
RESTRICTED = {"system": CONFIDENTIALITY, "code": "R"}
PROFILE = "http://jpfhir.jp/fhir/core/StructureDefinition/JP_Observation_Common"


def ask(app: App, place: str, name: str, **meta: Any) -> Answer:
    body = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}
    return app.ask("POST", f"{place}/${name}", encoded(body))


def told(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer
    assert answer.json["resourceType"] == "Parameters"
    parameters = answer.json.get("parameter", [])
    assert [p["name"] for p in parameters] in (["return"], [])
    return parameters[0]["valueMeta"] if parameters else {}


@SPEC("FHIR R4", META, "of one resource: the meta a read would show")
def test_of_one_resource(family: Neighbourhood) -> None:
    made = family.mother.made(pressure(meta={"tag": [RED], "profile": [PROFILE]}))
    answer = family.mother.get(f"Observation/{made['id']}/$meta")
    assert told(answer) == made["meta"]
    assert answer.headers["ETag"] == 'W/"1"'
    assert told(family.mother.ask("POST", f"Observation/{made['id']}/$meta")) == made["meta"]


@SPEC("FHIR R4", META, "of one version of a resource")
def test_of_one_version(family: Neighbourhood) -> None:
    made = family.mother.made(pressure(meta={"tag": [RED]}))
    place = f"Observation/{made['id']}"
    family.mother.put(made | {"meta": {"tag": [BLUE]}, "status": "amended"})
    assert told(family.mother.get(f"{place}/_history/1/$meta")) == made["meta"]
    assert BLUE in told(family.mother.get(f"{place}/_history/2/$meta"))["tag"]
    for version in ("3", "0", "x", "1" * 20):
        assert family.mother.get(f"{place}/_history/{version}/$meta").status == 404
    assert family.stranger.get(f"{place}/_history/1/$meta").status == 404
    assert family.mother.get(f"{place}/_history/1/$everything").status == 404


@SPEC("FHIR R4", "operation-resource-meta-add", "profiles and tags are sets; identity is system and code")
def test_add_and_delete(family: Neighbourhood) -> None:
    place = f"Observation/{family.mother.made(pressure(meta={'tag': [RED]}))['id']}"
    meta = told(ask(family.mother, place, "meta-add", tag=[RED | {"display": "Red"}, BLUE], profile=[PROFILE]))
    assert (meta["tag"], meta["profile"], meta["versionId"]) == ([RED, BLUE], [PROFILE], "2")
    assert family.mother.get(place).json["meta"] == meta
    assert family.mother.search("Observation", _tag="urn:tags|blue").ids == [place.partition("/")[2]]
    again = told(ask(family.mother, place, "meta-add", tag=[BLUE]))
    assert again["versionId"] == "2"
    less = told(ask(family.mother, place, "meta-delete", tag=[BLUE, {"system": "urn:tags", "code": "green"}]))
    assert (less["tag"], less["profile"], less["versionId"]) == ([RED], [PROFILE], "3")
    none = told(ask(family.mother, place, "meta-delete", tag=[RED], profile=[PROFILE]))
    assert "tag" not in none
    assert "profile" not in none
    assert family.mother.search("Observation", _tag="urn:tags|red").ids == []


def test_the_rest_of_the_resource_stays(family: Neighbourhood) -> None:
    made = family.mother.made(pressure())
    ask(family.mother, f"Observation/{made['id']}", "meta-add", tag=[RED], versionId="9", source="urn:x")
    now = family.mother.get(f"Observation/{made['id']}").json
    assert {k: v for k, v in now.items() if k != "meta"} == {k: v for k, v in made.items() if k != "meta"}
    assert "source" not in now["meta"]


def test_labels_are_their_writers(family: Neighbourhood) -> None:
    theirs = family.clinic.made(pressure(meta={"security": [{"system": CONFIDENTIALITY, "code": "N"}]}))
    place = f"Observation/{theirs['id']}"
    assert "security" not in told(family.mother.get(f"{place}/$meta"))
    assert told(family.clinic.get(f"{place}/$meta"))["security"]
    for name in ("meta-add", "meta-delete"):
        assert ask(family.mother, place, name, security=[RESTRICTED]).status == 403
    grown = told(ask(family.clinic, place, "meta-add", security=[RESTRICTED]))
    assert [x["code"] for x in grown["security"]] == ["N", "R"]
    assert family.clinic.get(place).status == 200  # it wrote it
    shrunk = told(ask(family.clinic, place, "meta-delete", security=[RESTRICTED]))
    assert [x["code"] for x in shrunk["security"]] == ["N"]


def test_the_family_can_restrict_its_own_words_but_not_open_them_unseen(family: Neighbourhood) -> None:
    made = family.mother.made(pressure())
    place = f"Observation/{made['id']}"
    assert family.clinic.get(place).status == 200
    shown = told(ask(family.mother, place, "meta-add", security=[RESTRICTED]))
    assert "security" not in shown
    assert family.clinic.get(place).status == 404
    assert ask(family.mother, place, "meta-delete", security=[RESTRICTED]).status == 403
    assert ask(family.mother, place, "meta-add", tag=[RED]).status == 200
    assert family.clinic.get(place).status == 404


def test_whoever_may_not_write_changes_nothing(family: Neighbourhood) -> None:
    place = f"Observation/{family.mother.made(pressure())['id']}"
    assert ask(family.clinic, place, "meta-add", tag=[RED]).status == 403
    assert ask(family.stranger, place, "meta-add", tag=[RED]).status == 404
    reader = family.app("mother", scope="launch/patient patient/Observation.rs")
    assert ask(reader, place, "meta-add", tag=[RED]).status == 403
    assert family.mother.get(place).headers["ETag"] == 'W/"1"'
    hidden = f"Observation/{family.mother.made(secret())['id']}"
    absent = "Observation/0f0f0f0f-0000-4000-8000-000000000000"
    for name in ("meta-add", "meta-delete"):
        answers = [ask(family.clinic, x, name, tag=[RED]) for x in (hidden, absent)]
        assert answers[0].told() == answers[1].told()


@SPEC("FHIR R4", META, "of a type, of everything: what is in use, as far as the caller sees")
def test_summed_up(family: Neighbourhood) -> None:
    family.mother.made(pressure(meta={"tag": [RED], "profile": [PROFILE]}))
    family.mother.made(pressure(meta={"tag": [RED, BLUE], "security": [{"system": CONFIDENTIALITY, "code": "N"}]}))
    family.stranger_of(KAI).made(pressure(KAI, meta={"tag": [{"system": "urn:tags", "code": "kai"}]}))
    of_type = told(family.mother.get("Observation/$meta"))
    assert sorted(x["code"] for x in of_type["tag"]) == ["blue", "red"]
    assert of_type["profile"] == [PROFILE]
    assert of_type.keys() == {"tag", "profile"}
    everything = told(family.mother.get("$meta"))
    assert {x["code"] for x in everything["tag"]} == {"blue", "red"}
    assert told(family.mother.get("Condition/$meta")) == {}
    assert family.clinic.get("$meta").status == 422
    assert family.mother.get("Organization/$meta").status == 422


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Parameters"},
        {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueString": "red"}]},
        {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": "red"}}]},
        {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [RED]}}] * 2},
        {"resourceType": "Parameters", "parameter": [{"name": "beta", "valueMeta": {"tag": [RED]}}]},
    ],
)
def test_what_cannot_be_asked(family: Neighbourhood, body: dict[str, Any]) -> None:
    place = f"Observation/{family.mother.made(pressure())['id']}"
    answer = family.mother.ask("POST", f"{place}/$meta-add", encoded(body))
    assert answer.status == 400, answer
    assert family.mother.get(place).headers["ETag"] == 'W/"1"'


def test_changing_takes_post_at_one_resource(family: Neighbourhood) -> None:
    place = f"Observation/{family.mother.made(pressure())['id']}"
    assert family.mother.get(f"{place}/$meta-add").status == 405
    assert ask(family.mother, "Observation", "meta-add", tag=[RED]).status == 404
    made = family.clinic.made(organization())
    assert told(ask(family.clinic, f"Organization/{made['id']}", "meta-add", tag=[RED]))["tag"] == [RED]


def test_yukis_own_patient(family: Neighbourhood) -> None:
    assert told(ask(family.mother, f"Patient/{YUKI}", "meta-add", tag=[RED]))["tag"] == [RED]


# -- the sets --------------------------------------------------------------------------------------

TAGS = st.fixed_dictionaries(
    {"code": st.sampled_from("ab")}, optional={"system": st.sampled_from(["u", "v"]), "display": st.just("D")}
)
METAS = st.fixed_dictionaries({}, optional={
    "tag": st.lists(TAGS, min_size=1, max_size=4), "security": st.lists(TAGS, min_size=1, max_size=2),
    "profile": st.lists(st.sampled_from(["p", "q"]), min_size=1, max_size=3), "versionId": st.just("1"),
})  # fmt: skip


def members(meta: dict[str, Any]) -> set[Any]:
    tags = {(n, t.get("system"), t["code"]) for n in ("tag", "security") for t in meta.get(n, ())}
    return tags | {("profile", p) for p in meta.get("profile", ())}


@given(METAS, METAS)
def test_they_are_sets(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert members(added(one, other)) == members(one) | members(other)
    assert members(taken_away(one, other)) == members(one) - members(other)
    assert added(added(one, other), other) == added(one, other)
    assert all(added(one, other).values())
    assert all(taken_away(one, other).values())
