"""After issue: refreshing, revoking, looking into, storing, expiring."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from consent import audit, prepared
from consent.models import AuditEntry, Subject
from phr.smart import sweep, tokens
from phr.smart.models import (
    AccessToken,
    Application,
    AuthorizationRequest,
    IDToken,
    Launch,
    UsedAssertion,
    UsedCode,
)
from tests.lines import told_by
from tests.smart.conftest import Family, Phone, basic, post, refresh

OFFLINE = "launch/patient patient/*.rs offline_access"
pytestmark = pytest.mark.usefixtures("app")


def active(token: str) -> bool:
    return tokens.bearer(token, now=timezone.now()) is not None


@pytest.mark.spec("SMART App Launch 2.2", "2.1.5", "a refresh token only when asked for")
@pytest.mark.parametrize(("more", "given"), [("", False), (" offline_access", True), (" online_access", True)])
def test_refresh_only_when_asked(family: Family, more: str, given: bool) -> None:
    told = Phone(family.yuki, scope="launch/patient patient/*.rs" + more).tokens("self")
    assert ("refresh_token" in told) is given


def test_a_refresh_rotates_and_keeps_its_context(family: Family) -> None:
    told = Phone(family.yuki, scope=OFFLINE).tokens(f"guardian-{family.link(family.yuki, family.hana).pk}")
    again = refresh(told["refresh_token"]).json()
    assert again["patient"] == str(family.hana.id)
    assert again["scope"] == OFFLINE
    assert again["refresh_token"] != told["refresh_token"]
    assert not active(told["access_token"]) and active(again["access_token"])
    assert refresh(again["refresh_token"]).status_code == 200


@pytest.mark.spec("RFC 9700", "4.14.2", "a refresh token used twice ends its family")
def test_a_used_refresh_token_ends_everything(family: Family) -> None:
    told = Phone(family.yuki, scope=OFFLINE).tokens("self")
    second = refresh(told["refresh_token"]).json()
    replay = refresh(told["refresh_token"])
    assert replay.status_code == 400 and replay.json()["error"] == "invalid_grant"
    assert not active(second["access_token"])
    assert refresh(second["refresh_token"]).status_code == 400


@pytest.mark.spec("RFC 6749", "6", "scope may be narrowed, never widened; the refresh token keeps the original")
def test_a_refresh_may_narrow_but_not_widen(family: Family) -> None:
    told = Phone(family.yuki, scope=OFFLINE).tokens("self")
    narrow = refresh(told["refresh_token"], scope="patient/Observation.rs").json()
    assert narrow["scope"] == "patient/Observation.rs"
    wide = refresh(narrow["refresh_token"])
    assert wide.json()["scope"] == OFFLINE
    answer = refresh(wide.json()["refresh_token"], scope="patient/*.cruds")
    assert answer.status_code == 400 and answer.json()["error"] == "invalid_scope"


def test_another_client_cannot_refresh(family: Family) -> None:
    Application(
        client_id="other-app", client_type="public", authorization_grant_type="authorization-code",
        redirect_uris="https://other.example/cb",
    ).save()  # fmt: skip
    told = Phone(family.yuki, scope=OFFLINE).tokens("self")
    assert refresh(told["refresh_token"], client_id="other-app").status_code == 400
    assert active(told["access_token"])


@pytest.mark.G("07")
def test_a_freeze_stops_refreshing_at_once(family: Family, watcher: tuple[str, str]) -> None:
    link = family.link(family.ichiro, family.hana)
    told = Phone(family.ichiro, scope=OFFLINE).tokens(f"guardian-{link.pk}")
    link.state = "frozen"
    link.save()
    assert refresh(told["refresh_token"]).json()["error"] == "invalid_grant"
    seen = post("/oauth/introspect", {"token": told["access_token"]}, **basic(*watcher)).json()
    assert seen == {"active": False}


def test_what_an_office_was_given_ends_for_who_leaves_it(family: Family, watcher: tuple[str, str]) -> None:
    told = Phone(family.sato, scope="user/*.rs trust.read offline_access").tokens("staff")
    bearing = {"authorization": f"Bearer {told['access_token']}"}
    assert Client().get("/api/trust/notices", headers=bearing).status_code == 200
    assert post("/oauth/introspect", {"token": told["access_token"]}, **basic(*watcher)).json()["active"]
    for office in (family.clinic, None):  # to another one, or to none
        family.sato.organization = office
        family.sato.save()
        assert Client().get("/api/trust/notices", headers=bearing).status_code == 401
        seen = post("/oauth/introspect", {"token": told["access_token"]}, **basic(*watcher)).json()
        assert seen == {"active": False}
        assert refresh(told["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_launch_ends_however_often_it_is_refreshed(family: Family) -> None:
    told = Phone(family.yuki, scope=OFFLINE).tokens("self")
    launch = Launch.objects.get()
    assert launch.ends_at - launch.created_at == timedelta(days=30)
    Launch.objects.update(ends_at=timezone.now() + timedelta(seconds=100))
    again = refresh(told["refresh_token"]).json()
    assert again["expires_in"] <= 100
    Launch.objects.update(ends_at=timezone.now())
    assert refresh(again["refresh_token"]).status_code == 400
    assert not active(again["access_token"])


def test_access_tokens_live_a_quarter_of_an_hour(family: Family) -> None:
    token = Phone(family.yuki).tokens("self")["access_token"]
    assert tokens.bearer(token, now=timezone.now() + timedelta(seconds=890)) is not None
    assert tokens.bearer(token, now=timezone.now() + timedelta(seconds=901)) is None


@pytest.mark.spec("RFC 7009", "2.1", "revocation by the client the token belongs to")
@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", ""])
def test_revoking_ends_the_launch(family: Family, which: str, hint: str) -> None:
    told = Phone(family.yuki, scope=OFFLINE).tokens("self")
    answer = post("/oauth/revoke", {"token": told[which], "client_id": "phone-app", "token_type_hint": hint})
    assert answer.status_code == 200
    assert not active(told["access_token"])
    assert refresh(told["refresh_token"]).status_code == 400
    assert AccessToken.objects.exists(), "the row stays, so that the log can be followed"
    assert AuditEntry.objects.filter(event="token:revoked").count() == 1


def test_strangers_revoke_nothing(family: Family) -> None:
    Application(
        client_id="other-app", client_type="public", authorization_grant_type="authorization-code",
        redirect_uris="https://other.example/cb",
    ).save()  # fmt: skip
    told = Phone(family.yuki).tokens("self")
    assert post("/oauth/revoke", {"token": told["access_token"], "client_id": "other-app"}).status_code == 200
    assert post("/oauth/revoke", {"token": told["access_token"]}).status_code == 401
    assert post("/oauth/revoke", {"client_id": "phone-app"}).status_code == 400
    assert active(told["access_token"])


@pytest.mark.spec("RFC 7662", "2.2", "introspection response; SMART App Launch 2.2 section 7")
def test_introspection_tells_a_resource_server(family: Family, watcher: tuple[str, str]) -> None:
    scope = "openid fhirUser launch/patient patient/*.rs"
    link = family.link(family.yuki, family.hana)
    told = Phone(family.yuki, scope=scope).tokens(f"guardian-{link.pk}")
    seen = post("/oauth/introspect", {"token": told["access_token"]}, **basic(*watcher)).json()
    assert seen["active"] is True
    assert seen["scope"] == scope
    assert seen["client_id"] == "phone-app"
    assert seen["patient"] == str(family.hana.id)
    assert seen["iss"] == settings.PHR_BASE_URL
    assert seen["sub"] == str(family.yuki.pk)
    assert seen["fhirUser"].endswith(f"/RelatedPerson/guardianship-{link.pk}")
    assert 0 < seen["exp"] - timezone.now().timestamp() <= 900


def test_introspection_is_for_those_on_the_list(
    family: Family, watcher: tuple[str, str], ask_system: Callable[..., Any]
) -> None:
    token = Phone(family.yuki).tokens("self")["access_token"]
    assert post("/oauth/introspect", {"token": token}).status_code == 401
    assert post("/oauth/introspect", {"token": token, "client_id": "phone-app"}).status_code == 401
    Application.objects.filter(client_id="watcher").update(may_introspect=False)
    assert post("/oauth/introspect", {"token": token}, **basic(*watcher)).status_code == 403


@pytest.mark.parametrize("token", ["nonsense", "x" * 10_000, "あ", "%00"])
def test_unknown_tokens_are_merely_inactive(family: Family, watcher: tuple[str, str], token: str) -> None:
    assert post("/oauth/introspect", {"token": token}, **basic(*watcher)).json() == {"active": False}
    assert tokens.bearer(token, now=timezone.now()) is None


def test_introspection_sees_what_the_token_rests_on(family: Family, watcher: tuple[str, str]) -> None:
    token = Phone(family.yuki).tokens(f"guardian-{family.link(family.yuki, family.hana).pk}")["access_token"]
    Subject.objects.filter(pk=family.hana.pk).update(state="locked")
    assert post("/oauth/introspect", {"token": token}, **basic(*watcher)).json() == {"active": False}


def test_no_secret_is_in_any_table(family: Family, watcher: tuple[str, str]) -> None:
    """A dump of the database contains no token, code, password or client secret."""
    phone = Phone(family.yuki, scope="openid " + OFFLINE)
    code = phone.decide("self")["code"]
    unused = Phone(family.ichiro).decide("self")["code"]
    told = phone.redeem(code).json()
    hidden = [code, unused, told["access_token"], told["refresh_token"], told["id_token"], watcher[1], phone.verifier]
    with connection.cursor() as cursor:
        for model in apps.get_models():
            cursor.execute(f'SELECT t::text FROM "{model._meta.db_table}" t')
            dump = "\n".join(row[0] for row in cursor.fetchall())
            for value in hidden:
                assert value not in dump, f"{model.__name__} holds a secret in the clear"


def test_the_hot_path_is_one_statement(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    token = Phone(family.yuki).tokens("self")["access_token"]
    sent: list[str] = []
    fetch = prepared.fetch

    def watched(sql: str, values: Any) -> Any:
        sent.append(sql)
        return fetch(sql, values)

    monkeypatch.setattr(prepared, "fetch", watched)
    with CaptureQueriesContext(connection) as others:
        assert active(token)
        assert len(sent) == 1
        assert tokens.bearer("x" * 600, now=timezone.now()) is None
        assert tokens.bearer("", now=timezone.now()) is None
    assert len(sent) == 1 and not others


def test_every_issue_is_logged_without_the_token(family: Family) -> None:
    told = Phone(family.yuki).tokens("self")
    line: Any = AuditEntry.objects.get(event="token:issued")
    assert (line.person, line.subject, line.client, line.capacity) == (
        family.yuki.pk, family.yuki.own_subject_id, "phone-app", "self",
    )  # fmt: skip
    assert told["access_token"] not in str(audit.opened([line]))
    Phone(family.yuki).redeem("wrong")
    assert told_by(AuditEntry.objects.get(event="token:refused"))["because"] == "invalid_grant"


def test_what_ended_long_ago_is_forgotten(family: Family, ask_system: Callable[..., Any]) -> None:
    phone = Phone(family.yuki, scope="openid " + OFFLINE)
    told = phone.tokens("self")
    assert ask_system().status_code == 200
    Phone(family.yuki).knock()
    assert sweep.forget(now=timezone.now() + timedelta(minutes=1)) == 0
    assert active(told["access_token"])
    assert sweep.forget(now=timezone.now() + timedelta(days=62)) == 2
    for model in (Launch, AccessToken, UsedAssertion, UsedCode, AuthorizationRequest, IDToken):
        assert not model.objects.exists()
    assert AuditEntry.objects.filter(event="token:issued").count() == 2
