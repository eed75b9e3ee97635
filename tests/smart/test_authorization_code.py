"""The authorization code flow: what an app must send, what a person may choose, what comes back."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from jwcrypto.jwk import JWK
from jwcrypto.jwt import JWT

from consent.models import AuditEntry
from phr.smart.models import AccessToken, Application, AuthorizationCode, AuthorizationRequest, Launch
from phr.smart.tokens import bearer
from tests.smart.conftest import CALLBACK, PASSWORD, Family, Phone, post, proved, query

pytestmark = pytest.mark.usefixtures("app")


@pytest.mark.spec("SMART App Launch 2.2", "2.1.5", "launch/patient returns a patient in the token response")
def test_token_names_the_chosen_child(family: Family) -> None:
    told = Phone(family.yuki).tokens(f"guardian-{family.link(family.yuki, family.hana).pk}")
    assert told["patient"] == str(family.hana.id)
    assert told["need_patient_banner"] is True
    assert told["scope"] == "launch/patient patient/*.rs"
    assert told["token_type"] == "Bearer"
    assert told["expires_in"] <= 900
    assert "refresh_token" not in told


@pytest.mark.G("17")
@pytest.mark.spec("SMART App Launch 2.2", "2.1.5", "one patient in context, and one role")
def test_a_launch_binds_actor_subject_and_capacity(family: Family) -> None:
    told = Phone(family.ichiro).tokens(f"guardian-{family.link(family.ichiro, family.ren).pk}")
    found = bearer(told["access_token"], now=timezone.now())
    assert found is not None
    assert (found.person, found.subject, found.capacity, found.purpose) == (
        family.ichiro.pk, family.ren.id, "guardian", "FAMRQT",
    )  # fmt: skip


def test_own_record_is_at_her_own_request(family: Family) -> None:
    found = bearer(Phone(family.yuki).tokens("self")["access_token"], now=timezone.now())
    assert found is not None
    assert (found.subject, found.capacity, found.purpose) == (family.yuki.own_subject_id, "self", "PATRQT")


def test_an_officer_acts_for_her_office(family: Family) -> None:
    found = bearer(Phone(family.sato, scope="user/*.rs").tokens("staff")["access_token"], now=timezone.now())
    assert found is not None
    assert (found.organization, found.subject, found.capacity, found.purpose) == (
        family.city.pk, None, "staff", "PUBHLTH",
    )  # fmt: skip


def test_an_aunt_gets_a_token_that_opens_nothing(family: Family) -> None:
    told = Phone(family.mei, scope="user/*.rs").tokens("none")
    found = bearer(told["access_token"], now=timezone.now())
    assert found is not None and (found.subject, found.capacity) == (None, "proxy")
    assert "patient" not in told


def test_an_aunt_has_no_patient_to_choose(family: Family) -> None:
    phone = Phone(family.mei)
    assert phone.browser.get(phone.knock()["Location"]).status_code == 403


@pytest.mark.parametrize("role", ["guardian-999999", "staff", "none", "", "proxy-1"])
def test_a_role_from_the_form_is_checked_again(family: Family, role: str) -> None:
    phone = Phone(family.yuki)
    answer = phone.browser.post(phone.knock()["Location"], {"decision": "allow", "role": role})
    assert answer.status_code == 400
    assert not Launch.objects.exists()


def test_somebody_elses_child_cannot_be_chosen(family: Family) -> None:
    phone = Phone(family.mei, scope="user/*.rs")
    theirs = f"guardian-{family.link(family.yuki, family.hana).pk}"
    assert phone.browser.post(phone.knock()["Location"], {"decision": "allow", "role": theirs}).status_code == 400


def test_a_frozen_guardian_sees_no_child(family: Family) -> None:
    link = family.link(family.ichiro, family.hana)
    link.state = "frozen"
    link.save()
    phone = Phone(family.ichiro)
    answer = phone.browser.post(phone.knock()["Location"], {"decision": "allow", "role": f"guardian-{link.pk}"})
    assert answer.status_code == 400


def test_another_person_cannot_decide(family: Family) -> None:
    page = Phone(family.yuki).knock()["Location"]
    other = Client()
    other.force_login(family.ichiro)
    assert other.get(page).status_code == 400
    assert other.post(page, {"decision": "allow", "role": "self"}).status_code == 400


def test_a_request_is_decided_once(family: Family) -> None:
    phone = Phone(family.yuki)
    page = phone.knock()["Location"]
    assert phone.browser.post(page, {"decision": "allow", "role": "self"}).status_code == 302
    assert phone.browser.post(page, {"decision": "allow", "role": "self"}).status_code == 400


def test_a_request_does_not_wait_for_ever(family: Family) -> None:
    phone = Phone(family.yuki)
    page = phone.knock()["Location"]
    AuthorizationRequest.objects.update(created_at=timezone.now() - timedelta(minutes=11))
    assert phone.browser.post(page, {"decision": "allow", "role": "self"}).status_code == 400


@pytest.mark.spec("RFC 6749", "4.1.2.1", "access_denied with state; RFC 9207: iss")
def test_a_refusal_reaches_the_app(family: Family) -> None:
    told = Phone(family.yuki).decide("self", decision="deny")
    assert told["error"] == "access_denied"
    assert told["state"] == "a state with entropy 0123456789"
    assert told["iss"] == settings.PHR_BASE_URL
    assert not Launch.objects.exists()


@pytest.mark.spec("RFC 9207", "2", "iss in the authorization response")
def test_the_answer_names_its_issuer_and_state(family: Family) -> None:
    told = Phone(family.yuki).decide("self")
    assert told["iss"] == settings.PHR_BASE_URL
    assert told["state"] == "a state with entropy 0123456789"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"aud": "https://evil.example/fhir"}, "invalid_request"),
        ({"aud": None}, "invalid_request"),
        ({"state": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "patient/Nothing.rs"}, "invalid_scope"),
        ({"scope": "patient/Observation.rs?date=2020"}, "invalid_scope"),
        ({"scope": "system/*.cruds"}, "invalid_scope"),
        ({"scope": "launch patient/*.rs"}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"prompt": "none"}, "interaction_required"),
        ({"request": "eyJ"}, "request_not_supported"),
        ({"resource": "https://evil.example"}, "invalid_target"),
        ({"launch": "xyz"}, "invalid_request"),
    ],
)
@pytest.mark.spec("SMART App Launch 2.2", "2.1.3", "aud, state and S256 are required")
def test_what_an_app_must_not_ask(family: Family, changes: dict[str, str | None], error: str) -> None:
    answer = Phone(family.yuki, **changes).knock()
    assert answer.status_code == 302 and answer["Location"].startswith(CALLBACK + "?")
    assert query(answer["Location"])["error"] == error
    assert not AuthorizationRequest.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "nobody"},
        {"client_id": None},
        {"client_id": "a\x00b"},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": CALLBACK + "/more"},
        {"redirect_uri": CALLBACK + "?x=1"},
        {"redirect_uri": "javascript:alert(1)"},
        {"state": "x" * 5000},
        {"nonce": "a\x00b"},
        {"scope": "%zz\x00"},
    ],
)
@pytest.mark.spec("RFC 6749", "4.1.2.1", "no redirect to an address that is not the client's")
def test_never_redirects_to_a_stranger(family: Family, changes: dict[str, str | None]) -> None:
    answer = Phone(family.yuki, **changes).knock()
    assert answer.status_code == 400
    assert "evil" not in answer.headers.get("Location", "")


def test_doubled_parameters_are_refused(family: Family) -> None:
    phone = Phone(family.yuki)
    answer = phone.browser.get("/oauth/authorize", {**phone.asked, "client_id": ["phone-app", "other"]})
    assert answer.status_code == 400


@pytest.mark.spec("SMART App Launch 2.2", "2.1.3", "authorize-post")
def test_the_request_may_come_by_post(family: Family) -> None:
    phone = Phone(family.yuki)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(family.yuki)
    answer = strict.post("/oauth/authorize", phone.asked)
    assert answer.status_code == 302 and answer["Location"].startswith("/oauth/authorize/")


def test_deciding_needs_the_form_of_this_site(family: Family) -> None:
    phone = Phone(family.yuki)
    page = phone.knock()["Location"]
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(family.yuki)
    assert strict.post(page, {"decision": "allow", "role": "self"}).status_code == 403


def test_signing_in_comes_first_and_loses_nothing(family: Family) -> None:
    phone = Phone(family.yuki)
    answer = Client().post("/oauth/authorize", phone.asked)
    target = query(answer["Location"])["next"]
    assert answer["Location"].startswith("/sign-in?")
    assert query(target) == phone.asked
    assert phone.browser.get(target)["Location"].startswith("/oauth/authorize/")


def test_prompt_login_asks_for_the_password_again(family: Family) -> None:
    phone = Phone(family.yuki, prompt="login")
    answer = phone.knock()
    assert answer["Location"].startswith("/sign-in?")
    assert "prompt" not in query(query(answer["Location"])["next"])
    assert query(query(answer["Location"])["next"])["max_age"] == "0"


def test_a_request_of_any_site_signs_nobody_out(family: Family) -> None:
    phone = Phone(family.yuki, prompt="login")
    asked = query(phone.knock()["Location"])
    assert phone.browser.session["_auth_user_id"] == str(family.yuki.pk)
    assert phone.browser.get("/").status_code == 200
    proved(phone, "aal1", ago=0)  # as the page of signing in leaves it
    assert phone.browser.get(asked["next"])["Location"].startswith("/oauth/authorize/")


@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.2.1", "acr_values and max_age hold for the session that approves")
@pytest.mark.parametrize(
    ("asked", "acr", "ago"), [({"acr_values": "aal2"}, "aal1", 0), ({"max_age": "300"}, "aal2", 400)]
)
def test_who_approves_has_proved_it_as_the_app_asked(
    family: Family, asked: dict[str, str | None], acr: str, ago: int
) -> None:
    phone = proved(Phone(family.yuki, **asked), "aal2", ago=0)
    page = phone.knock()["Location"]
    other = Phone(family.yuki)  # another browser of hers
    form = {"decision": "allow", "role": "self"}
    away = proved(other, acr, ago=ago).browser.post(page, form)["Location"]
    assert away.startswith("/sign-in?") and query(away)["next"] == page
    assert {name: query(away)[name] for name in asked} == asked
    assert not Launch.objects.exists()
    assert query(proved(other, "aal2", ago=0).browser.post(page, form)["Location"])["code"]


@pytest.mark.spec("RFC 6749", "4.1.2", "a code replayed is refused, and what it opened ends")
def test_code_replay_ends_the_tokens(family: Family) -> None:
    phone = Phone(family.yuki)
    code = phone.decide("self")["code"]
    first = phone.redeem(code).json()["access_token"]
    assert bearer(first, now=timezone.now())
    replay = phone.redeem(code)
    assert replay.status_code == 400 and replay.json()["error"] == "invalid_grant"
    assert bearer(first, now=timezone.now()) is None
    assert AuditEntry.objects.filter(event="token:revoked").exists()


@pytest.mark.spec("RFC 7636", "4.6", "the verifier must match the challenge")
@pytest.mark.parametrize("changes", [{"code_verifier": "x" * 43}, {"code_verifier": ""}])
def test_a_wrong_verifier_gets_nothing(family: Family, changes: dict[str, str]) -> None:
    phone = Phone(family.yuki)
    assert phone.redeem(phone.decide("self")["code"], **changes).status_code == 400
    assert not AccessToken.objects.exists()


def test_a_code_belongs_to_its_client_and_address(family: Family) -> None:
    phone = Phone(family.yuki)
    Application(
        client_id="other-app", client_type="public", authorization_grant_type="authorization-code",
        redirect_uris=CALLBACK,
    ).save()  # fmt: skip
    code = phone.decide("self")["code"]
    assert phone.redeem(code, client_id="other-app").status_code == 400
    assert phone.redeem(code, redirect_uri="https://app.example/other").status_code == 400
    assert not AccessToken.objects.exists()


def test_a_code_lives_a_minute(family: Family) -> None:
    phone = Phone(family.yuki)
    code = phone.decide("self")["code"]
    row = AuthorizationCode.objects.get()
    assert row.expires <= timezone.now() + timedelta(seconds=60)
    AuthorizationCode.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert phone.redeem(code).status_code == 400


def test_a_link_frozen_meanwhile_stops_the_code(family: Family) -> None:
    phone, link = Phone(family.ichiro), family.link(family.ichiro, family.hana)
    code = phone.decide(f"guardian-{link.pk}")["code"]
    link.state = "frozen"
    link.save()
    assert phone.redeem(code).json()["error"] == "invalid_grant"


@pytest.mark.spec("SMART App Launch 2.2", "2.1.9", "fhirUser in the ID token")
def test_the_id_token_says_who(family: Family) -> None:
    scope = "openid fhirUser profile launch/patient patient/*.rs"
    link = family.link(family.yuki, family.hana)
    told = Phone(family.yuki, scope=scope, nonce="n-1").tokens(f"guardian-{link.pk}")
    public = Client().get("/oauth/jwks").json()["keys"][0]
    claims = json.loads(JWT(jwt=told["id_token"], key=JWK(**public), algs=["RS256"]).claims)
    assert claims["iss"] == settings.PHR_BASE_URL
    assert claims["aud"] == "phone-app"
    assert claims["sub"] == str(family.yuki.pk)
    assert claims["nonce"] == "n-1"
    assert claims["name"] == "見本 雪"
    assert claims["fhirUser"] == f"{settings.PHR_BASE_URL}/fhir/RelatedPerson/guardianship-{link.pk}"
    assert claims["exp"] - claims["iat"] <= 901


def test_a_stopped_app_is_no_app(family: Family) -> None:
    phone = Phone(family.yuki)
    token = phone.tokens("self")["access_token"]
    Application.objects.filter(client_id="phone-app").update(is_active=False)
    assert bearer(token, now=timezone.now()) is None
    assert phone.knock().status_code == 400


def test_a_stopped_person_has_no_token(family: Family) -> None:
    token = Phone(family.yuki).tokens("self")["access_token"]
    family.yuki.is_active = False
    family.yuki.save()
    assert bearer(token, now=timezone.now()) is None


@pytest.mark.parametrize("grant", ["password", "implicit", "urn:ietf:params:oauth:grant-type:device_code", "", None])
@pytest.mark.spec("RFC 9700", "2.4", "no other grant is served")
def test_no_other_grant(family: Family, grant: str | None) -> None:
    fields = {
        "client_id": "phone-app",
        "username": "yuki",
        "password": PASSWORD,
        "device_code": "x",
        "scope": "user/*.rs",
    }
    answer = post("/oauth/token", fields if grant is None else {**fields, "grant_type": grant})
    assert answer.status_code == 400
    assert answer.json()["error"] in ("unsupported_grant_type", "invalid_request")


@pytest.mark.spec("RFC 8628", "3.1", "no device flow: its addresses are not there (CVE-2026-49272)")
@pytest.mark.parametrize(
    "path", ["/oauth/device", "/oauth/device-authorization", "/o/device", "/oauth/register", "/oauth/userinfo"]
)
def test_what_is_not_mounted(db: None, path: str) -> None:
    assert Client().get(path).status_code == 404
    assert Client().post(path).status_code == 404
