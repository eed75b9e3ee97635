"""Patient `$match`: only in a link request, telling little, and never sure of a name (R4 operation-patient-match)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from consent.models import Subject
from phr.fhir import matching
from phr.fhir.matching import compare
from phr.populate.cast import HANA, YUKI
from phr.populate.store import for_organization
from phr.records.gateway import Records
from phr.smart import launches
from phr.smart.models import AccessToken, Application
from tests.family import KAI, Answer, App, Neighbourhood, audit_lines, encoded, pressure

SPEC = pytest.mark.spec
MATCH = "operation-patient-match"
NUMBER = {"system": "urn:numbers", "value": "0001-23"}
KEPT = {
    "resourceType": "Patient", "identifier": [NUMBER], "gender": "female", "birthDate": "1992-02-03",
    "name": [{"family": "見本", "given": ["雪"], "text": "見本 雪"}, {"family": "ミホン", "given": ["ユキ"]}],
    "telecom": [{"system": "phone", "value": "03-1234-5678"}, {"system": "email", "value": "yuki@example.jp"}],
    "address": [{"city": "見本市", "line": ["大手町1-1"], "text": "見本県見本市大手町1-1"}],
}  # fmt: skip


def asking(**more: Any) -> dict[str, Any]:
    asked = {"resourceType": "Patient", "name": [{"family": "見本", "given": ["雪"]}], "birthDate": "1992-02-03"} | more
    return {key: value for key, value in asked.items() if value is not None}


# -- how much two have in common: pure ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "grade"),
    [
        (asking(identifier=[NUMBER]), "certain"),
        (asking(identifier=[NUMBER | {"value": "０００１２３"}], gender="female"), "certain"),
        (asking(identifier=[NUMBER], name=[{"family": "ﾐﾎﾝ", "given": ["ゆき"]}]), "certain"),
        (asking(identifier=[NUMBER], name=[{"family": "例示", "given": ["雪"]}]), "certain"),  # married since
        (asking(identifier=[NUMBER], birthDate=None), "probable"),
        (asking(identifier=[NUMBER], name=None), "probable"),
        (asking(identifier=[NUMBER], birthDate="1992"), "probable"),
        (asking(identifier=[NUMBER], birthDate="1991-02-03"), "possible"),
        (asking(identifier=[NUMBER], gender="male"), "possible"),
        (asking(identifier=[NUMBER], name=[{"family": "大津", "given": ["例"]}]), "possible"),
        (asking(telecom=[{"system": "phone", "value": "+81 3 1234 5678"}]), "probable"),
        (asking(telecom=[{"system": "phone", "value": "03-9999-0000"}]), "possible"),
        (asking(address=[{"city": "見本市", "line": ["大手町１－１"]}]), "probable"),
        (asking(address=[{"city": "見本市"}]), "possible"),
        (asking(telecom=KEPT["telecom"], identifier=[NUMBER | {"value": "9"}]), "possible"),
        (asking(name=[{"family": "見本", "given": ["花"]}], telecom=KEPT["telecom"]), "possible"),  # a twin
        (asking(), "possible"),
        (asking(birthDate=None), "possible"),
        (asking(birthDate=None, gender="female", telecom=KEPT["telecom"], address=KEPT["address"]), "possible"),
        (asking(name=[{"text": "見本　雪"}], telecom=KEPT["telecom"]), "probable"),
    ],
)
def test_grades(asked: dict[str, Any], grade: str) -> None:
    found = compare(asked, KEPT)
    assert found.grade == grade
    assert Decimal(0) <= found.score <= Decimal(1)


def test_a_number_that_was_given_up_counts_for_nothing() -> None:
    kept = KEPT | {"identifier": [NUMBER | {"use": "old"}]}
    assert compare(asking(identifier=[NUMBER]), kept).grade == "possible"


PARTS = st.fixed_dictionaries({}, optional={
    "identifier": st.sampled_from([[NUMBER], [NUMBER | {"value": "2"}], [{"value": "0001-23"}]]),
    "name": st.sampled_from([KEPT["name"], [{"family": "見本"}], [{"text": "だれ"}], [{"given": ["ゆき"]}]]),
    "birthDate": st.sampled_from(["1992-02-03", "1992", "1990-01-01"]),
    "gender": st.sampled_from(["female", "male", "unknown"]),
    "telecom": st.sampled_from([KEPT["telecom"], [{"value": "x"}]]),
    "address": st.sampled_from([KEPT["address"], [{"city": "x"}]]),
})  # fmt: skip
ORDER = {"possible": 0, "probable": 1, "certain": 2}


@given(PARTS)
def test_without_a_number_nobody_is_certain_and_scores_follow_grades(asked: dict[str, Any]) -> None:
    found = compare(asked, KEPT)
    if NUMBER not in asked.get("identifier", []):
        assert found.grade != "certain"
    floor, ceiling = [("0.10", "0.59"), ("0.60", "0.89"), ("0.90", "1.00")][ORDER[found.grade]]
    assert Decimal(floor) <= found.score <= Decimal(ceiling)
    for key, value in found.agreeing.items():
        told = value if isinstance(value, list) else [value]
        assert all(one in (asked[key] if isinstance(asked[key], list) else [asked[key]]) for one in told)
    assert found.agreeing.keys() <= {"identifier", "name", "birthDate", "gender"}


@given(PARTS, st.sampled_from(["identifier", "birthDate", "telecom", "address"]))
def test_more_that_agrees_never_grades_lower(asked: dict[str, Any], more: str) -> None:
    fuller = asked | {more: KEPT[more]}
    assert ORDER[compare(fuller, KEPT).grade] >= ORDER[compare(asked, KEPT).grade]


# -- over HTTP ------------------------------------------------------------------------------------


def linker(
    family: Neighbourhood, *, may_link: bool = True, purpose: str = "PATADMIN", scope: str = "system/*.rs"
) -> App:
    """A system client of another organisation, in a link request."""
    organization = family.demo.organizations["9949000005"]
    application = Application.objects.create(
        client_id=f"linker-{may_link}-{purpose}-{scope}", name="連結", client_type="confidential",
        organization=organization, authorization_grant_type="client-credentials", system_scopes=scope,
        token_endpoint_auth_method="private_key_jwt", client_secret="never used, never blank", may_link=may_link,
    )  # fmt: skip
    launch = launches.begin_system(application=application, purpose=purpose, scope=scope, now=timezone.now())
    token = f"link-token-{launch.pk}"
    AccessToken.objects.create(token=token, application=application, scope=scope, expires=launch.ends_at, launch=launch)
    return App(token)


def ask(app: App, patient: dict[str, Any], **more: Any) -> Answer:
    if not more:
        return app.ask("POST", "Patient/$match", encoded(patient))
    parameters = [{"name": "resource", "resource": patient}, *({"name": k} | v for k, v in more.items())]
    return app.ask("POST", "Patient/$match", encoded({"resourceType": "Parameters", "parameter": parameters}))


def of_yuki(family: Neighbourhood, **more: Any) -> dict[str, Any]:
    number = family.mother.get(f"Patient/{YUKI}").json["identifier"][0]
    return asking(identifier=[{"system": number["system"], "value": number["value"]}]) | more


@SPEC("FHIR R4", MATCH, "a score and a match-grade for every record; likeliest first")
def test_a_link_request_finds_her(family: Neighbourhood) -> None:
    asked = of_yuki(family)
    answer = ask(linker(family), asked)
    assert answer.status == 200, answer
    assert (answer.json["type"], answer.json["total"]) == ("searchset", 1)
    [entry] = answer.json["entry"]
    assert entry["search"]["extension"] == [
        {"url": "http://hl7.org/fhir/StructureDefinition/match-grade", "valueCode": "certain"}
    ]
    assert entry["search"]["score"] == Decimal("1.00")
    assert entry["fullUrl"].endswith(f"/fhir/Patient/{YUKI}")


def test_it_tells_nothing_the_asker_did_not_say(family: Neighbourhood) -> None:
    asked = of_yuki(family, telecom=[{"system": "phone", "value": "03-0000-0000"}], address=[{"city": "x"}])
    [entry] = ask(linker(family), asked).json["entry"]
    told = entry["resource"]
    assert told.keys() == {"resourceType", "id", "meta", "identifier", "name", "birthDate"}
    assert {k: told[k] for k in ("identifier", "name", "birthDate")} == {
        k: asked[k] for k in ("identifier", "name", "birthDate")
    }
    assert told["meta"]["tag"][0]["code"] == "SUBSETTED"


def test_she_is_found_among_many_of_her_name_and_birthday(family: Neighbourhood) -> None:
    """Candidates are narrowed by name and birthday; what tells her apart is looked at in all of them."""
    records = Records.opened_by(for_organization(family.demo.organizations["9949000005"].pk), now=timezone.now())
    namesake = asking(active=True)
    phone = [{"system": "phone", "value": "03-1234-5678"}]
    first = records.create(namesake | {"telecom": phone})
    records.create_all([namesake] * 60)
    answer = ask(linker(family), namesake | {"telecom": phone})
    assert [entry["resource"]["id"] for entry in answer.json["entry"]] == [first.id]


@SPEC("FHIR R4", MATCH, "onlyCertainMatches, count, and an empty set where nobody matches")
def test_what_may_be_asked_beside(family: Neighbourhood) -> None:
    app = linker(family)
    probable = of_yuki(family, name=None)
    del probable["name"]
    assert ask(app, probable).ids == [str(YUKI)]
    assert ask(app, probable, onlyCertainMatches={"valueBoolean": True}).ids == []
    assert ask(app, of_yuki(family), onlyCertainMatches={"valueBoolean": True}).ids == [str(YUKI)]
    assert ask(app, of_yuki(family), count={"valueInteger": 1}).ids == [str(YUKI)]
    assert ask(app, of_yuki(family), count={"valueInteger": 0}).status == 400
    nobody = ask(app, asking(identifier=[NUMBER]))
    assert (nobody.status, nobody.ids, nobody.json["total"]) == (200, [], 0)


def test_by_name_and_birth_alone_nobody_is_told(family: Neighbourhood) -> None:
    phone = {"system": "phone", "value": "090-0000-1111"}
    app, mine = linker(family), family.mother.get(f"Patient/{YUKI}").json
    assert family.mother.put(mine | {"telecom": [phone]}).status == 200
    assert ask(app, asking()).ids == []
    assert ask(app, asking(gender="female", address=mine["address"])).ids == []  # a city says little
    [entry] = ask(app, asking(telecom=[phone])).json["entry"]
    assert entry["search"]["extension"][0]["valueCode"] == "probable"
    assert "telecom" not in entry["resource"]


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (asking(birthDate=None), "Patient"),
        (asking(name=None), "Patient"),
        ({"resourceType": "Patient"}, "Patient"),
        (asking(identifier=[{"value": "1"}], name=None), "Patient"),
        (asking(birthDate="yesterday"), "Patient.birthDate"),
        ({"resourceType": "Observation"}, "Parameters.resourceType"),
    ],
)
def test_what_is_not_enough(family: Neighbourhood, asked: dict[str, Any], named: str) -> None:
    answer = ask(linker(family), asked)
    assert answer.status == 400, answer
    assert answer.issue["expression"] == [named]


@pytest.mark.parametrize("value", ["a,b", "a|b", "a\\", "$", "a\\,|$b", "*", "%", "'", "あ" * 500])
def test_marks_of_the_search_grammar_are_letters_here(family: Neighbourhood, value: str) -> None:
    answer = ask(linker(family), asking(identifier=[{"system": "urn:x|y", "value": value}]))
    assert (answer.status, answer.ids) == (200, [])


# -- the gate -------------------------------------------------------------------------------------


@pytest.mark.parametrize("persona", ["mother", "father", "aunt", "clinic", "officer"])
def test_outside_a_link_request_nobody_learns_who_exists(family: Neighbourhood, persona: str) -> None:
    app = family.app(persona)
    answers = {ask(app, asked).told()[:2] for asked in (of_yuki(family), asking(identifier=[NUMBER]), asking())}
    assert len(answers) == 1
    status, content = answers.pop()
    assert status == 403
    assert "link request" in content.decode()


@pytest.mark.parametrize("change", [{"may_link": False}, {"purpose": "TREAT"}, {"purpose": "HOPERAT"}])
def test_every_part_of_the_gate_counts(family: Neighbourhood, change: dict[str, Any]) -> None:
    assert ask(linker(family, **change), of_yuki(family)).status == 403
    assert ask(linker(family), of_yuki(family)).status == 200


def test_what_the_trust_takes_back_ends_at_once(family: Neighbourhood) -> None:
    app = linker(family)
    assert ask(app, of_yuki(family)).status == 200
    Application.objects.filter(client_id__startswith="linker").update(may_link=False)
    assert ask(app, of_yuki(family)).status == 403


def test_the_token_must_cover_patients(family: Neighbourhood) -> None:
    assert ask(linker(family, scope="system/Observation.rs"), of_yuki(family)).status == 403


def test_a_linking_token_opens_nothing_else(family: Neighbourhood) -> None:
    """Not even what was opened to its organisation."""
    made = family.mother.made(pressure())
    application = Application.objects.get(client_id="clinic")
    Application.objects.filter(pk=application.pk).update(may_link=True)
    scope = "system/*.cruds"
    launch = launches.begin_system(application=application, purpose="PATADMIN", scope=scope, now=timezone.now())
    AccessToken.objects.create(
        token="link-clinic", application=application, scope=scope, expires=launch.ends_at, launch=launch
    )
    app = App("link-clinic")
    assert family.clinic.get(f"Observation/{made['id']}").status == 200
    assert ask(app, of_yuki(family)).ids == [str(YUKI)]
    for path in (f"Observation/{made['id']}", f"Patient/{YUKI}", f"Patient/{YUKI}/$everything"):
        assert app.get(path).status == 404
    assert app.search("Patient", _total="accurate").json["total"] == 0
    assert app.search("Observation").ids == []
    assert app.search("Organization").ids == []
    assert app.create({"resourceType": "Organization", "name": "x"}).status in (403, 422)
    assert app.create(pressure()).status in (403, 422)


@pytest.mark.parametrize("state", ["locked", "erased"])
def test_who_is_locked_is_not_there(family: Neighbourhood, state: str) -> None:
    asked = of_yuki(family)
    Subject.objects.filter(pk=YUKI).update(state=state)
    nobody = ask(linker(family), asking(identifier=[NUMBER]))
    hidden = ask(linker(family, scope="system/Patient.s"), asked)
    assert hidden.told()[:2] == nobody.told()[:2]


def test_a_restricted_identity_is_not_there(family: Neighbourhood) -> None:
    kai = family.stranger_of(KAI)
    patient = kai.get(f"Patient/{KAI}").json
    asked = {"resourceType": "Patient", "identifier": patient["identifier"][:1], "birthDate": patient["birthDate"]}
    assert ask(linker(family), asked).ids == [str(KAI)]
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    assert kai.put(patient | {"meta": {"security": [label]}}).status == 200
    assert ask(linker(family, scope="system/Patient.s"), asked).ids == []


def test_the_person_found_can_see_who_asked(family: Neighbourhood) -> None:
    app, asked = linker(family), of_yuki(family)
    before = len(audit_lines("record:searched"))
    ask(app, asked)
    ask(app, asking(identifier=[NUMBER]))
    found, nobody = audit_lines("record:searched")[before:]
    assert (str(found[0]), found[2], found[4]["method"]) == (
        str(YUKI), family.demo.organizations["9949000005"].pk, "$match",
    )  # fmt: skip
    assert nobody[0] is None


def test_only_by_post(family: Neighbourhood) -> None:
    assert family.mother.get("Patient/$match").status == 405
    assert family.mother.ask("POST", f"Patient/{HANA}/$match", encoded(asking())).status == 404
    assert matching.sufficient(asking())
