"""Consents at the REST door: what the family writes is given and withdrawn, what others write waits."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from consent.clauses import clause_from_json
from consent.fhir_consent import ASK, CATEGORY, ORGANIZATION, PURPOSE
from consent.models import EffectiveGrant, Grant, Notice, Organization
from phr.populate.cast import HANA, YUKI
from phr.trust import consents
from phr.trust.consent_parts import TERMS
from tests.family import Neighbourhood, audit_lines, encoded, post, pressure, rows, secret

CODE = "1319999999"


@pytest.fixture
def school(family: Neighbourhood) -> Organization:
    made = Organization.objects.create(name="例示医院", kind="clinic", code=CODE)
    family.demo.organizations[CODE] = made
    return made


def consent(of: Any = YUKI, *, to: str = CODE, **provision: Any) -> dict[str, Any]:
    told = {
        "type": "permit",
        "actor": [{"role": {"text": "recipient"},
                   "reference": {"identifier": {"system": ORGANIZATION, "value": to}}}],
        "purpose": [{"system": PURPOSE, "code": "TREAT"}],
        "class": [{"system": CATEGORY, "code": "VITAL"}],
    }  # fmt: skip
    return {
        "resourceType": "Consent", "status": "active",
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope",
                              "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{of}"},
        "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}]},
        "provision": {k: v for k, v in (told | provision).items() if v is not None},
    }  # fmt: skip


def grant_of(id: str) -> Grant:
    return Grant.objects.filter(consent_id=id).order_by("-pk").first()  # type: ignore[return-value]


@pytest.mark.IT("04", "11")
def test_what_the_person_writes_is_given_and_deleting_withdraws(family: Neighbourhood, school: Organization) -> None:
    mother, clinic = family.mother, family.of_clinic(CODE)
    seen = mother.made(pressure())["id"]
    assert clinic.get(f"Observation/{seen}").status == 404
    made = mother.made(consent())
    assert (made["status"], made["performer"]) == ("active", [{"reference": f"Patient/{YUKI}"}])
    assert grant_of(made["id"]).state == "active"
    assert clinic.get(f"Observation/{seen}").status == 200
    assert clinic.search("Observation", code="8480-6").ids == [seen]

    assert mother.delete(f"Consent/{made['id']}").status == 204
    assert clinic.get(f"Observation/{seen}").status == 404
    assert mother.get(f"Consent/{made['id']}").status == 410
    assert (grant_of(made["id"]).state, grant_of(made["id"]).ended_reason) == ("inactive", "deleted")
    told = Notice.objects.get(kind="grant:ended", organization=school)
    assert (told.subject_id, told.detail["because"]) == (YUKI, "withdrawn")


@pytest.mark.IT("11")
def test_an_update_supersedes_and_a_status_ends(family: Neighbourhood, school: Organization) -> None:
    mother, clinic = family.mother, family.of_clinic(CODE)
    seen = mother.made(pressure())["id"]
    made = mother.made(consent())
    first = grant_of(made["id"])
    again = mother.put(made)
    assert (again.status, again.json["meta"]["versionId"], Grant.objects.filter(consent_id=made["id"]).count()) == (
        200, "1", 1,
    )  # fmt: skip

    made["provision"]["class"] = [{"system": CATEGORY, "code": "GROWTH"}]
    changed = mother.put(made)
    second = grant_of(made["id"])
    assert (changed.status, changed.json["meta"]["versionId"]) == (200, "2")
    assert (second.version, second.supersedes_id, clause_from_json(second.root).categories) == (
        2, first.pk, frozenset({"GROWTH"}),
    )  # fmt: skip
    assert clinic.get(f"Observation/{seen}").status == 404

    ended = mother.put(changed.json | {"status": "inactive"})
    assert (ended.status, ended.json["status"], grant_of(made["id"]).state) == (200, "inactive", "inactive")
    assert not EffectiveGrant.objects.filter(subject=YUKI, grantee=f"org:{school.pk}").exists()

    back = mother.put(ended.json | {"status": "active"})
    assert (back.status, back.json["status"], grant_of(made["id"]).state) == (200, "active", "active")
    patch = [{"op": "replace", "path": "/status", "value": "entered-in-error"}]
    answer = mother.ask("PATCH", f"Consent/{made['id']}", encoded(patch), type="application/json-patch+json")
    assert (answer.status, answer.json["status"], grant_of(made["id"]).state) == (200, "entered-in-error", "inactive")


@pytest.mark.parametrize("door", ["bundle", "transaction", "condition", "own-id"])
def test_every_way_of_writing_gives(family: Neighbourhood, school: Organization, door: str) -> None:
    mother = family.mother
    told = consent() | {"identifier": [{"system": "urn:app", "value": "one"}]}
    match door:
        case "bundle":
            assert mother.bundle("batch", post(told)).json["entry"][0]["response"]["status"] == "201"
        case "transaction":
            both = mother.bundle("transaction", post(pressure()), post(told))
            assert [e["response"]["status"] for e in both.json["entry"]] == ["201", "201"]
        case "condition":
            for status in (201, 200):
                assert mother.create(told, If_None_Exist="identifier=urn:app|one").status == status
        case "own-id":
            refusal = mother.put(told | {"id": "mine"})
            prefix = refusal.issue["diagnostics"].rsplit(" ", 1)[-1]
            assert mother.put(told | {"id": f"{prefix}one"}).status == 201
    [grant] = Grant.objects.filter(consent_id__gt="", subject=YUKI)
    assert (grant.state, grant.given_by.username) == ("active", "yuki")  # type: ignore[union-attr]
    assert mother.search("Consent", identifier="urn:app|one").ids == [grant.consent_id]


def test_a_transaction_that_fails_gives_nothing_and_the_refusal_stays(
    family: Neighbourhood, school: Organization
) -> None:
    before = rows()
    wide = consent(purpose=None)
    answer = family.mother.bundle("transaction", post(pressure()), post(wide))
    assert (answer.status, answer.issue["expression"]) == (422, ["Bundle.entry[1].resource.provision"])
    assert rows() == before
    assert not Grant.objects.filter(consent_id__gt="").exists()
    assert len(audit_lines("grant:refused")) == 1


REFUSED = {
    "no actor": ({"actor": None}, 422, "Consent.provision"),
    "unknown purpose": ({"purpose": [{"system": PURPOSE, "code": "EMPLOYMENT"}]}, 422, "Consent.provision.purpose"),
    "unknown organisation": ({"actor": [{"role": {"text": "x"}, "reference": {"display": "some clinic"}}]},
                             422, "Consent.provision.actor"),
    "nested too deeply": (
        {"provision": [{"type": "deny", "provision": [{"type": "permit", "provision": [{"type": "deny"}]}]}]},
        422, "Consent.provision.provision[0].provision[0].provision[0]",
    ),
    "not alternating": ({"provision": [{"type": "deny", "provision": [{"type": "deny"}]}]},
                        422, "Consent.provision.provision[0].provision[0]"),
    "unknown category": ({"class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]},
                         422, "Consent.provision.class"),
    "a deny of a code": ({"type": "deny", "code": [{"text": "EPDS"}]}, 422, "Consent.provision.code"),
    "a class for ever": (
        {"actor": [{"role": {"text": "x"}, "reference": {"identifier": {
            "system": "https://tsumugi.example/fhir/CodeSystem/recipient-class", "value": "clinic"}}}]},
        401, "",
    ),
}  # fmt: skip


@pytest.mark.IT("03")
@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_names_the_element(family: Neighbourhood, school: Organization, case: str) -> None:
    more, status, place = REFUSED[case]
    before = rows()
    answer = family.app("mother").create(consent(**more))
    if case == "a class for ever":  # the demo's token has just proved who she is
        status, place = 422, "Consent.provision.period"
    assert (answer.status, answer.issue.get("expression")) == (status, [place]), answer
    assert rows() == before
    assert not Grant.objects.filter(consent_id__gt="").exists()


@pytest.mark.parametrize("more", [{"code": [{"text": "EPDS"}]},
                                  {"data": [{"meaning": "related", "reference": {"reference": "Observation/1"}}]},
                                  {"provision": [{"type": "deny", "code": [{"text": "EPDS"}]}]},
                                  {"modifierExtension": [{"url": "urn:odd", "valueBoolean": True}]}])  # fmt: skip
def test_what_is_no_fact_is_only_proposed(family: Neighbourhood, school: Organization, more: dict[str, Any]) -> None:
    made = family.mother.made(consent(**more))
    grant = grant_of(made["id"])
    assert (made["status"], grant.state) == ("proposed", "proposed")
    assert grant.reasons[0]["place"].startswith("Consent.provision")
    assert not EffectiveGrant.objects.filter(grant=grant).exists()
    changed = family.mother.put(consent() | {"id": made["id"]})  # fixed: it counts
    assert (changed.status, changed.json["status"], grant_of(made["id"]).state) == (200, "active", "active")


def test_a_broken_deny_denies_third_parties_until_it_is_fixed(family: Neighbourhood, school: Organization) -> None:
    """E-5."""
    mother, clinic = family.mother, family.of_clinic(CODE)
    seen = mother.made(pressure())["id"]
    mother.made(consent())
    assert clinic.get(f"Observation/{seen}").status == 200
    broken = consent(provision=[{"type": "deny"}, {"purpose": [{"system": PURPOSE, "code": "HRESCH"}]}])
    made = mother.made(broken)
    assert clinic.get(f"Observation/{seen}").status == 404
    assert mother.get(f"Observation/{seen}").status == 200
    assert Notice.objects.filter(kind="grant:proposed", person__username="yuki", detail__because="malformed").exists()
    fixed = deepcopy(made)
    fixed["provision"]["provision"] = [{"type": "deny", "purpose": [{"system": PURPOSE, "code": "HRESCH"}]}]
    assert mother.put(fixed).status == 200
    assert clinic.get(f"Observation/{seen}").status == 200


def test_a_broken_permit_counts_for_nothing(family: Neighbourhood, school: Organization) -> None:
    made = family.mother.made(consent(provision=[{"purpose": [{"system": PURPOSE, "code": "TREAT"}]}]))
    assert (made["status"], grant_of(made["id"]).state) == ("proposed", "proposed")


def test_an_own_deny_must_be_superseded(family: Neighbourhood, school: Organization) -> None:
    """E-1."""
    mother = family.mother
    denied = mother.made(consent(type="deny", purpose=None) | {"policyRule": {"coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTOUT"}]}})  # fmt: skip
    grant = grant_of(denied["id"])
    answer = mother.create(consent())
    assert answer.status == 409
    assert str(grant.pk) in answer.issue["diagnostics"]
    assert f"Consent/{denied['id']}" in answer.issue["diagnostics"]
    assert mother.create(consent(**{"class": [{"system": CATEGORY, "code": "DENTAL"}]})).status == 201
    assert mother.put(consent() | {"id": denied["id"]}).status == 200
    assert grant_of(denied["id"]).supersedes_id == grant.pk


def test_what_a_clinic_sends_waits_for_the_family(family: Neighbourhood, school: Organization) -> None:
    clinic, mother = family.clinic, family.mother
    seen = mother.made(secret())["id"]
    made = clinic.made(consent(to=clinic_code(family), **{"class": None}))
    grant = grant_of(made["id"])
    assert (made["status"], grant.state, grant.given_by, grant.reasons) == ("proposed", "proposed", None, [])
    assert Notice.objects.filter(kind="grant:proposed", person__username="yuki").exists()
    assert clinic.get(f"Observation/{seen}").status == 404
    assert mother.put(made | {"status": "active"}).status in (403, 405)  # not hers to rewrite; she answers

    by = family.demo.people["yuki"]
    own = consents.accept(grant=grant, by=by, capacity="self", now=family.now)
    assert (own.state, own.given_by_id, own.supersedes_id) == ("active", by.pk, grant.pk)
    assert mother.get(f"Consent/{own.consent_id}").json["status"] == "active"
    assert clinic.get(f"Consent/{made['id']}").json["status"] == "inactive"
    assert clinic.put(made | {"status": "active"}).json["status"] == "proposed"  # a new proposal, no more


def clinic_code(family: Neighbourhood) -> str:
    organization = Organization.objects.filter(application__client_id="clinic").first()
    return organization.code if organization else ""


def test_a_clinic_takes_its_own_proposal_back(family: Neighbourhood, school: Organization) -> None:
    made = family.clinic.made(consent())
    assert family.clinic.put(made | {"status": "inactive"}).json["status"] == "inactive"
    assert grant_of(made["id"]).state == "inactive"


@pytest.mark.IT("02")
def test_research_needs_everything_said_and_a_fresh_proof(family: Neighbourhood, school: Organization) -> None:
    study = consent(
        purpose=[{"system": PURPOSE, "code": "HRESCH"}], dataPeriod={"start": "2020-01-01"},
        period={"start": "2026-01-01", "end": "2099-01-01"},
    )  # fmt: skip
    answer = family.mother.create(study)
    assert answer.status == 422
    assert answer.issue["diagnostics"].endswith("(terms.benefit)")
    said = [{"url": "benefit", "valueString": "結果をお知らせします"}, {"url": "profiling", "valueBoolean": False},
            {"url": "onward", "valueBoolean": False}, {"url": "useClass", "valueString": "public-interest"},
            {"url": "withdrawal", "valueString": "アプリから"},
            {"url": "contact", "valueString": "desk@example.test"}]  # fmt: skip
    for left_out in range(len(said)):
        part = [{"url": TERMS, "extension": said[:left_out] + said[left_out + 1 :]}]
        assert family.mother.create(study | {"extension": part}).status == 422
    made = family.mother.made(study | {"extension": [{"url": TERMS, "extension": said}]})
    assert grant_of(made["id"]).terms["benefit"] == "結果をお知らせします"
    from phr.smart.models import Launch

    Launch.objects.filter(person__username="yuki").update(acr="aal1")
    answer = family.mother.create(study | {"extension": [{"url": TERMS, "extension": said}]})
    assert (answer.status, answer.issue["code"]) == (401, "login")
    assert "insufficient_user_authentication" in answer.headers["WWW-Authenticate"]
    batch = family.mother.bundle("batch", post(study | {"extension": [{"url": TERMS, "extension": said}]}))
    assert batch.json["entry"][0]["response"]["status"] == "401"
    assert family.mother.create(consent()).status == 201  # care needs no more than signing in


@pytest.mark.IT("04")
def test_ask_each_time_permits_nothing_by_itself(family: Neighbourhood, school: Organization) -> None:
    mother, clinic = family.mother, family.of_clinic(CODE)
    seen = mother.made(pressure())["id"]
    made = mother.made(consent() | {"modifierExtension": [{"url": ASK, "valueBoolean": True}]})
    assert made["modifierExtension"] == [{"url": ASK, "valueBoolean": True}]
    assert (grant_of(made["id"]).ask, clinic.get(f"Observation/{seen}").status) == (True, 404)


@pytest.mark.G("05")
def test_it_does_not_show_which_guardian_gave(family: Neighbourhood, school: Organization) -> None:
    told = consent(HANA) | {"performer": [{"display": "見本 雪"}], "text": {
        "status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">雪が書いた</div>'}}  # fmt: skip
    father = family.father
    made = family.app("mother", patient="hana").made(told)
    shown = father.get(f"Consent/{made['id']}")
    assert shown.status == 200
    assert "雪" not in shown.content.decode()
    assert shown.json["performer"] == [{"type": "RelatedPerson", "display": "保護者 / a guardian"}]


def test_what_ends_on_the_side_is_swept(family: Neighbourhood, school: Organization) -> None:
    from consent import grants

    made = family.mother.made(consent())
    grant = grant_of(made["id"])
    grants.withdraw(grant=grant, by=family.demo.people["yuki"], reason="", now=family.now)
    assert family.mother.get(f"Consent/{made['id']}").json["status"] == "active"
    assert consents.sweep(now=family.now) >= 1
    assert family.mother.get(f"Consent/{made['id']}").json["status"] == "inactive"
    assert consents.sweep(now=family.now) == 0


def test_a_consent_to_treatment_is_a_document(family: Neighbourhood, school: Organization) -> None:
    told = consent() | {"scope": {"coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "treatment"}]}}  # fmt: skip
    made = family.clinic.made(told)
    assert (made["status"], Grant.objects.filter(consent_id=made["id"]).exists()) == ("active", False)


def test_a_consent_that_names_a_label_bears_it(family: Neighbourhood, school: Organization) -> None:
    """That somebody speaks of her mental health at all is told only to whom she named it."""
    mother, clinic = family.mother, family.of_clinic(CODE)
    mother.made(consent(**{"class": [{"system": CATEGORY, "code": "ADMINISTRATIVE"}]}))
    plain = mother.made(consent(**{"class": [{"system": CATEGORY, "code": "DENTAL"}]}))["id"]
    denied = consent(type="deny", **{"class": None, "securityLabel": [{"system": CATEGORY, "code": "HIV"}]})
    named = mother.made(denied)["id"]
    assert clinic.get(f"Consent/{plain}").status == 200
    assert clinic.get(f"Consent/{named}").status == 404
    assert named not in clinic.search("Consent").ids
    assert mother.get(f"Consent/{named}").status == 200


@pytest.mark.G("15")
def test_what_one_guardian_denied_the_other_cannot_take_away(family: Neighbourhood, school: Organization) -> None:
    mother, father = family.app("mother", patient="hana"), family.father
    denied = father.made(consent(HANA, type="deny", purpose=None))
    for answer in (
        mother.delete(f"Consent/{denied['id']}"),
        mother.put(denied | {"status": "inactive"}),
        mother.put(consent(HANA) | {"id": denied["id"]}),
    ):
        assert answer.status == 422
        assert "father" not in str(answer).lower()
    assert (mother.get(f"Consent/{denied['id']}").json, grant_of(denied["id"]).state) == (denied, "active")
    assert len(audit_lines("grant:refused")) == 3
    assert father.delete(f"Consent/{denied['id']}").status == 204
    assert grant_of(denied["id"]).state == "inactive"


@pytest.mark.G("05")
def test_what_waits_does_not_show_which_guardian_wrote_it(family: Neighbourhood, school: Organization) -> None:
    told = consent(HANA, code=[{"text": "EPDS"}]) | {
        "performer": [{"display": "見本 雪"}], "sourceAttachment": {"title": "雪の同意書"},
        "extension": [{"url": "urn:x", "valueString": "雪"}]}  # fmt: skip
    made = family.app("mother", patient="hana").made(told)
    assert (made["status"], "雪" in str(made)) == ("proposed", False)
    history = family.father.get(f"Consent/{made['id']}/_history")
    assert (history.status, "雪" in history.content.decode()) == (200, False)


def test_an_import_of_a_consent_waits_and_is_repeatable(family: Neighbourhood, school: Organization) -> None:
    from consent.decide import Caller
    from phr.management.commands._ingest import Importing
    from phr.populate.store import for_organization
    from phr.records import body
    from phr.records.ingesting import bring
    from phr.records.ndjson import Line

    office = Organization.objects.get(code=clinic_code(family))
    caller: Caller = for_organization(office.pk, YUKI)
    text = encoded(consent() | {"id": "imported-1"})
    line = Line(1, len(text), text)
    for created, unchanged in ((1, 0), (0, 1)):
        records = Importing.opened_by(caller, now=family.now)
        done = bring(records, [line], read=body.received, patients=False)
        assert (done.created, done.unchanged, done.problems) == (created, unchanged, [])
    assert family.mother.get("Consent/imported-1").json["status"] == "proposed"
    assert grant_of("imported-1").state == "proposed"
