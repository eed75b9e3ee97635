"""The demo's clients and the tokens of its people: through the real endpoints."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from consent.models import AuditEntry, Person
from phr.smart import demo
from phr.smart.demo import NoToken
from phr.smart.models import Application, AuthorizationRequest, UsedAssertion, UsedCode
from phr.smart.tokens import Bearer, bearer
from tests.smart.conftest import Family, basic, post

OWN = "launch/patient patient/*.cruds"


@pytest.fixture
def stage(family: Family, settings: Any, tmp_path: Path) -> Family:
    settings.DEMO = True
    settings.PHR_VAR = str(tmp_path)
    demo.register(clinic=family.clinic)
    return family


def token(person: Person, *, scope: str = OWN, patient: str = "", client_id: str = demo.APP) -> str:
    told = demo.person_token(person, client_id=client_id, scope=scope, patient=patient, now=timezone.now())
    return str(told["access_token"])


def found(text: str) -> Bearer:
    bearing = bearer(text, now=timezone.now())
    assert bearing is not None
    return bearing


def test_persons_and_systems_get_tokens(stage: Family) -> None:
    assert found(token(stage.yuki)).capacity == "guardian"
    assert found(token(stage.mei, scope="user/*.rs")).capacity == "proxy"
    assert found(token(stage.sato, scope="user/*.cruds")).capacity == "staff"
    told = demo.system_token(demo.CLINIC, scope="system/*.cruds", now=timezone.now())
    assert found(told["access_token"]).organization == stage.clinic.pk
    assert AuditEntry.objects.filter(event="token:issued").count() == 4


def test_the_demos_people_have_just_proved_who_they_are(stage: Family) -> None:
    told = found(token(stage.yuki))
    assert told.acr == "aal3" and told.authenticated_at is not None
    assert timezone.now() - told.authenticated_at < timedelta(minutes=1)


def test_they_went_through_the_real_doors(stage: Family) -> None:
    token(stage.yuki)
    demo.system_token(demo.CLINIC, scope="system/*.cruds", now=timezone.now())
    assert AuthorizationRequest.objects.exclude(used_at=None).count() == 1
    assert UsedCode.objects.count() == 1
    assert UsedAssertion.objects.count() == 1
    assert not Session.objects.exists(), "no signed-in session is left behind"


def test_the_record_can_be_chosen(stage: Family) -> None:
    assert found(token(stage.yuki)).subject == found(token(stage.ichiro)).subject == stage.hana.id
    assert found(token(stage.yuki, patient="self")).subject == stage.yuki.own_subject_id
    assert found(token(stage.yuki, patient=str(stage.ren.id))).subject == stage.ren.id


@pytest.mark.parametrize(
    ("who", "options"),
    [
        ("mei", {}),
        ("mei", {"scope": "user/*.rs", "patient": "self"}),
        ("yuki", {"patient": "00000000-0000-0000-0000-000000000000"}),
        ("yuki", {"scope": "system/*.cruds"}),
        ("yuki", {"scope": "rubbish"}),
        ("yuki", {"scope": "patient/Observation.rs?date=2020"}),
        ("yuki", {"client_id": "nobody"}),
        ("yuki", {"client_id": demo.CLINIC}),
    ],
)
def test_what_is_refused_is_said(stage: Family, who: str, options: dict[str, str]) -> None:
    with pytest.raises(NoToken):
        token(getattr(stage, who), **options)


def test_the_clinic_gets_only_system_scopes(stage: Family) -> None:
    with pytest.raises(NoToken):
        demo.system_token(demo.CLINIC, scope="patient/*.rs", now=timezone.now())


def test_registering_again_changes_nothing(stage: Family) -> None:
    before = list(Application.objects.order_by("pk").values("pk", "client_id", "client_jwks"))
    demo.register(clinic=stage.clinic)
    assert list(Application.objects.order_by("pk").values("pk", "client_id", "client_jwks")) == before


def test_private_keys_are_private(stage: Family, settings: Any) -> None:
    for path in (Path(settings.PHR_VAR) / "demo").iterdir():
        assert path.stat().st_mode & 0o077 == 0
    assert "d" not in Application.objects.get(client_id="clinic").client_jwks["keys"][0]


def test_the_resource_server_may_introspect(stage: Family) -> None:
    secret = demo.secret_of(demo.RESOURCE_SERVER)
    answer = post("/oauth/introspect", {"token": token(stage.yuki)}, **basic(demo.RESOURCE_SERVER, secret))
    assert answer.json()["active"] is True


def test_demo_tokens_live_no_longer_than_others(stage: Family) -> None:
    assert found(token(stage.yuki)).expires <= timezone.now() + timedelta(minutes=15)
    told = demo.system_token(demo.CLINIC, scope="system/*.cruds", now=timezone.now())
    assert told["expires_in"] == 300
