"""Launches from an EHR: who may offer what, who may use it, once; and encounters in context."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from jwcrypto.jwk import JWK
from jwcrypto.jwt import JWT

from consent import grants
from consent.models import Grant, Person
from phr.populate import personas
from phr.populate.cast import YUKI
from phr.smart import assertion, demo
from phr.smart.models import AuthorizationRequest, Launch, LaunchContext
from tests.family import KAI, App, Neighbourhood, at_home, encoded
from tests.smart.conftest import Phone, post, proved, query, refresh

EHR = "launch patient/*.rs offline_access"
JSON = "application/json"


@pytest.fixture
def home(db: None, request: pytest.FixtureRequest) -> Neighbourhood:
    moved_in = at_home()
    request.getfixturevalue("app")  # registered once everybody is there
    return moved_in


def of(username: str) -> Person:
    return Person.objects.get(username=username)


def offer(app: App, **asked: Any) -> Any:
    return app.ask("POST", "/api/trust/desk/launches", encoded(asked), type=JSON)


def value(app: App, **asked: Any) -> str:
    answer = offer(app, **asked)
    assert answer.status == 201, answer
    assert answer.json["iss"] == f"{settings.PHR_BASE_URL}/fhir"
    return str(answer.json["launch"])


def visit(writer: App, day: str = "2026-03-01") -> str:
    made = writer.made({
        "resourceType": "Encounter", "status": "finished", "period": {"start": f"{day}T09:00:00+09:00"},
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": f"Patient/{YUKI}"},
    })  # fmt: skip
    return str(made["id"])


@pytest.mark.spec("SMART App Launch 2.2", "2.1.2", "an EHR's launch value brings its context into the token response")
def test_the_context_comes_with_the_token(home: Neighbourhood) -> None:
    seen = visit(home.clinic)
    context = {
        "intent": "growth-chart", "need_patient_banner": False, "tenant": "ward-3",
        "smart_style_url": "https://ehr.example/style.json",
        "fhirContext": [{"reference": "ImagingStudy/1", "role": "launch", "type": "ImagingStudy"}],
    }  # fmt: skip
    launch = value(home.clinic, patient=str(YUKI), encounter=seen, person=of("mori").pk, **context)
    told = Phone(of("mori"), scope=EHR, launch=launch).tokens("staff")
    assert told["patient"] == str(YUKI) and told["encounter"] == seen
    assert {name: told[name] for name in context} == context
    again = refresh(told["refresh_token"]).json()
    assert again["patient"] == str(YUKI) and again["encounter"] == seen and again["intent"] == "growth-chart"


@pytest.mark.spec("SMART App Launch 2.2", "3.1.3", "the launched token is about the patient in context")
def test_the_token_opens_that_patient_only(home: Neighbourhood) -> None:
    launch = value(home.app("obstetrician"), patient=str(YUKI))
    app = App(Phone(of("mori"), scope=EHR, launch=launch).tokens("staff")["access_token"])
    assert app.get(f"Patient/{YUKI}").status == 200
    assert set(app.search("Patient").ids) == {str(YUKI)}


@pytest.mark.spec("SMART App Launch 2.2", "2.1.2", "a launch value is good once")
def test_a_launch_value_is_good_once(home: Neighbourhood) -> None:
    launch = value(home.clinic, patient=str(YUKI))
    early = Phone(of("mori"), scope=EHR, launch=launch)
    waiting = early.knock()["Location"]
    Phone(of("mori"), scope=EHR, launch=launch).tokens("staff")
    again = Phone(of("mori"), scope=EHR, launch=launch).knock()
    assert query(again["Location"])["error"] == "invalid_request"
    assert early.browser.post(waiting, {"decision": "allow", "role": "staff"}).status_code == 400
    assert Launch.objects.filter(person=of("mori"), application__client_id="phone-app").count() == 1


@pytest.mark.spec("SMART App Launch 2.2", "2.1.2", "a launch value is good for minutes")
def test_a_launch_value_does_not_wait(home: Neighbourhood) -> None:
    launch = value(home.clinic, patient=str(YUKI))
    LaunchContext.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    told = query(Phone(of("mori"), scope=EHR, launch=launch).knock()["Location"])
    unknown = query(Phone(of("mori"), scope=EHR, launch="x" * 43).knock()["Location"])
    assert told == unknown


@pytest.mark.spec("SMART App Launch 2.2", "2.1.2", "a launch is for the staff of its organisation, or the one named")
@pytest.mark.parametrize("person", ["kodama", "yuki", "sato", "mei"])
def test_others_cannot_use_it(home: Neighbourhood, person: str) -> None:
    launch = value(home.clinic, patient=str(YUKI))
    told = query(Phone(of(person), scope=EHR, launch=launch).knock()["Location"])
    assert told == query(Phone(of(person), scope=EHR, launch="nothing").knock()["Location"])
    assert told["error"] == "invalid_request"
    assert not AuthorizationRequest.objects.filter(person=of(person), used_at=None, launched__isnull=False).exists()


def test_a_colleague_cannot_use_what_was_made_for_another(home: Neighbourhood) -> None:
    colleague = Person.objects.create(username="colleague", name="同僚", organization=of("mori").organization)
    launch = value(home.clinic, patient=str(YUKI), person=of("mori").pk)
    assert query(Phone(colleague, scope=EHR, launch=launch).knock()["Location"])["error"] == "invalid_request"
    open_to_all = value(home.clinic, patient=str(YUKI))
    assert "code" in Phone(colleague, scope=EHR, launch=open_to_all).decide("staff")


@pytest.mark.spec("SMART App Launch 2.2", "2.1.2", "hidden and unknown patients look alike to an EHR")
def test_a_patient_the_staff_cannot_see_is_none(home: Neighbourhood) -> None:
    unknown = "0f0f0f0f-0000-4000-8000-000000000000"
    for app in (home.clinic, home.app("obstetrician")):
        hidden, none = offer(app, patient=str(KAI)), offer(app, patient=unknown)
        assert hidden.told() == none.told() and hidden.status == 404
    foreign = offer(home.clinic, patient=str(YUKI), encounter=unknown)
    assert foreign.told() == offer(home.clinic, patient=unknown, encounter=unknown).told()
    assert not LaunchContext.objects.exists()


@pytest.mark.IT("11")
def test_what_was_withdrawn_meanwhile_cannot_be_launched(home: Neighbourhood) -> None:
    launch = value(home.clinic, patient=str(YUKI))
    phone = Phone(of("mori"), scope=EHR, launch=launch)
    page = phone.knock()["Location"]
    for grant in Grant.objects.filter(subject=YUKI, state="active"):
        grants.withdraw(grant=grant, by=of("yuki"), reason="", now=timezone.now())
    assert phone.browser.post(page, {"decision": "allow", "role": "staff"}).status_code == 400
    assert query(phone.knock()["Location"])["error"] == "invalid_request"


@pytest.mark.parametrize("persona", ["mother", "aunt", "researcher"])
def test_only_those_who_care_offer_launches(home: Neighbourhood, persona: str) -> None:
    assert offer(home.app(persona), patient=str(YUKI)).status == 403
    assert home.anonymous.ask("POST", "/api/trust/desk/launches", b"{}", type=JSON).status == 401


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ({"patient": "x"}, "patient"),
        ({"encounter": "a b"}, "encounter"),
        ({"smart_style_url": "http://ehr.example/s.json"}, "smart_style_url"),
        ({"fhirContext": "x"}, "fhirContext"),
        ({"fhirContext": [{}]}, "fhirContext.0.non_field_errors"),
        ({"fhirContext": [{"reference": "Patient/1"}]}, "fhirContext.0.reference"),
        ({"fhirContext": [{"reference": "no reference"}]}, "fhirContext.0.reference"),
        ({"intent": ["x"]}, "intent"),
        ({"person": "me"}, "person"),
    ],
)
def test_what_an_ehr_sends_is_checked(home: Neighbourhood, asked: dict[str, Any], place: str) -> None:
    answer = offer(home.clinic, **asked)
    assert answer.status == 422
    assert place in str(answer.json), answer


def test_an_encounter_needs_its_patient(home: Neighbourhood) -> None:
    assert offer(home.clinic, encounter=visit(home.clinic)).status == 422
    assert offer(home.clinic, person=of("yuki").pk).status == 422
    assert offer(home.app("obstetrician"), person=of("kodama").pk).status == 403


@pytest.mark.spec("SMART App Launch 2.2", "3.1.3", "a patient/ scope requires a patient in context")
def test_without_a_patient_only_user_scopes(home: Neighbourhood) -> None:
    told = query(Phone(of("mori"), scope=EHR, launch=value(home.clinic)).knock()["Location"])
    assert told["error"] == "invalid_scope"
    tokens = Phone(of("mori"), scope="launch user/*.rs", launch=value(home.clinic)).tokens("staff")
    assert "patient" not in tokens


def test_the_value_itself_is_nowhere(home: Neighbourhood) -> None:
    launch = value(home.clinic, patient=str(YUKI))
    row = LaunchContext.objects.get()
    assert launch not in json.dumps([row.digest, row.context]) and len(launch) >= 43


# -- an app that starts alone ----------------------------------------------------------------------


@pytest.mark.spec("SMART App Launch 2.2", "3.1.3", "launch/encounter: the person chooses an encounter of the patient")
def test_the_person_chooses_an_encounter(home: Neighbourhood) -> None:
    first, second = visit(home.mother, day="2026-02-01"), visit(home.mother, day="2026-03-01")
    phone = Phone(of("yuki"), scope="launch/encounter patient/*.rs")
    page = phone.knock()["Location"]
    shown = phone.browser.get(f"{page}?role=self").content.decode()
    assert shown.index(second) < shown.index(first)
    answer = phone.browser.post(page, {"decision": "allow", "role": "self", "encounter": first})
    told = phone.redeem(query(answer["Location"])["code"]).json()
    assert (told["patient"], told["encounter"]) == (str(YUKI), first)
    assert told["scope"] == "launch/encounter patient/*.rs"


def test_no_encounter_no_scope(home: Neighbourhood) -> None:
    told = Phone(of("yuki"), scope="launch/encounter patient/*.rs").tokens("self")
    assert "encounter" not in told and told["scope"] == "patient/*.rs"


@pytest.mark.parametrize("made_up", ["0f0f0f0f-0000-4000-8000-000000000000", "x\x00y", "x" * 500])
def test_an_encounter_from_the_form_is_checked_again(home: Neighbourhood, made_up: str) -> None:
    phone = Phone(of("yuki"), scope="launch/encounter patient/*.rs")
    answer = phone.browser.post(phone.knock()["Location"], {"decision": "allow", "role": "self", "encounter": made_up})
    assert answer.status_code == 400


# -- how well the person proved who she is ---------------------------------------------------------


@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.2.1", "acr_values and max_age are asked for, and only then")
@pytest.mark.parametrize(
    ("asked", "acr", "ago", "enough"),
    [
        ({}, "aal1", 3600, True),
        ({"acr_values": "aal2"}, "aal2", 3600, True),
        ({"acr_values": "aal2"}, "aal3", 3600, True),
        ({"acr_values": "aal3"}, "aal2", 0, False),
        ({"acr_values": "unknown"}, "aal1", 0, True),
        ({"max_age": "300"}, "aal1", 200, True),
        ({"max_age": "300"}, "aal3", 400, False),
        ({"max_age": "0"}, "aal3", 400, False),
    ],
)
def test_authentication_is_asked_for(
    home: Neighbourhood, asked: dict[str, str | None], acr: str, ago: int, enough: bool
) -> None:
    answer = proved(Phone(of("yuki"), **asked), acr, ago=ago).knock()
    assert answer["Location"].startswith("/oauth/authorize/" if enough else "/sign-in?")
    if not enough:
        told = query(answer["Location"])
        assert query(told["next"])["client_id"] == "phone-app"
        assert {name: told.get(name) for name in asked} == asked


@pytest.mark.parametrize("wrong", ["-1", "x", "1e9", "9999999999"])
def test_max_age_is_a_number_of_seconds(home: Neighbourhood, wrong: str) -> None:
    assert query(Phone(of("yuki"), max_age=wrong).knock()["Location"])["error"] == "invalid_request"


@pytest.mark.spec("OpenID Connect Core 1.0", "2", "the ID token tells acr, amr and auth_time")
def test_the_id_token_says_how_well(home: Neighbourhood) -> None:
    phone = proved(Phone(of("yuki"), scope="openid fhirUser launch/patient patient/*.rs"), "aal2", ago=100)
    told = phone.tokens("self")
    public = Client().get("/oauth/jwks").json()["keys"][0]
    claims = json.loads(JWT(jwt=told["id_token"], key=JWK(**public), algs=["RS256"]).claims)
    assert claims["acr"] == "aal2" and claims["amr"] == ["mfa"]
    assert 99 <= timezone.now().timestamp() - claims["auth_time"] <= 160


def test_a_session_that_proved_nothing_claims_nothing(home: Neighbourhood) -> None:
    told = Phone(of("yuki"), scope="openid launch/patient patient/*.rs").tokens("self")
    public = Client().get("/oauth/jwks").json()["keys"][0]
    claims = json.loads(JWT(jwt=told["id_token"], key=JWK(**public), algs=["RS256"]).claims)
    assert not {"acr", "amr", "auth_time"} & claims.keys()


# -- what a system signs ---------------------------------------------------------------------------


@pytest.fixture
def signed(home: Neighbourhood) -> Callable[..., Any]:
    def ask(**b2b: Any) -> Any:
        told = {"version": "1", "organization_id": home.demo.clinic.code, "purpose_of_use": ["TREAT"], **b2b}
        text = demo.sign(demo.CLINIC, demo.private_key(demo.CLINIC), now=timezone.now(), extensions={"hl7-b2b": told})
        fields = {"grant_type": "client_credentials", "scope": personas.SYSTEM, "client_assertion": text}
        return post("/oauth/token", {**fields, "client_assertion_type": assertion.TYPE})

    return ask


@pytest.mark.spec("HL7 UDAP Security", "5.2.1.1", "hl7-b2b: policies and consents the client stands on are kept")
def test_what_a_system_stands_on_is_kept(signed: Callable[..., Any]) -> None:
    more = {
        "consent_policy": ["https://trust.example/policy"], "consent_reference": ["https://phr.example/fhir/Consent/1"],
        "subject_id": "urn:x", "subject_name": "森 例子", "subject_role": "112247003", "organization_name": "見本産院",
    }  # fmt: skip
    assert signed(**more).status_code == 200
    business = Launch.objects.latest("created_at").business
    assert {name: business[name] for name in more} == more
    assert business["purposes"] == ["TREAT"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"consent_policy": "x"}, {"consent_reference": [1]}, {"consent_reference": ["x"] * 21},
        {"subject_role": 1}, {"organization_name": "x" * 501}, {"consent_policy": None},
    ],
)  # fmt: skip
def test_what_is_not_as_specified_is_refused(signed: Callable[..., Any], wrong: dict[str, Any]) -> None:
    assert signed(**wrong).status_code == 401
