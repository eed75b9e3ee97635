"""Messages over HTTP: the token, the content type, the ACK as the body."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import OperationalError
from django.test import Client

from integrations import feeding
from integrations.models import WaitingItem
from tests.family import App, Neighbourhood, at_home
from tests.integrations.ssmix2.samples import message
from tests.integrations.ssmix2.test_mapping import CRP, OBR, SPM

HOST = urlsplit(settings.PHR_BASE_URL).netloc
HL7 = "application/hl7-v2"
MESSAGE = message("OUL^R22", SPM, OBR, f"OBX|1|NM|{CRP}||1||||||F")


@pytest.fixture
def family(db: None) -> Neighbourhood:
    return at_home()


@pytest.fixture
def clinic(family: Neighbourhood) -> App:
    return family.clinic


def send(app: App, data: bytes = MESSAGE, kind: str = HL7, **headers: str) -> Any:
    bearer = {"Authorization": f"Bearer {app.token}"} if app.token else {}
    return Client(headers={"Host": HOST, **bearer, **headers}).post("/api/hl7", data, content_type=kind)


def test_a_message_is_kept_and_the_ack_is_the_body(clinic: App) -> None:
    """Nobody is linked to this number yet: it waits, sealed, which is kept too."""
    answer = send(clinic)
    assert (answer.status_code, answer["Content-Type"]) == (200, HL7)
    assert b"\rMSA|AA|C1\r" in answer.content
    assert WaitingItem.objects.count() == 1
    assert send(clinic, Accept=HL7).status_code == 200
    assert WaitingItem.objects.count() == 1


@pytest.mark.parametrize(
    ("data", "told"),
    [(b"x" * 50, b"MSA|AR|"), (MESSAGE.replace(b"OUL^R22", b"OUL^R99"), b"MSA|AR|C1"),
     (MESSAGE.replace(b"OBR|1", b"ZBR|1"), b"MSA|AE|C1")],
)  # fmt: skip
def test_what_is_not_kept_says_why(clinic: App, data: bytes, told: bytes) -> None:
    answer = send(clinic, data)
    assert answer.status_code == 422
    assert told in answer.content
    assert b"\rERR|" in answer.content
    assert not WaitingItem.objects.exists()


def test_when_it_cannot_be_kept_now_it_may_be_sent_again(clinic: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: object, **options: object) -> None:
        raise OperationalError

    monkeypatch.setattr(feeding, "deposit", away)
    answer = send(clinic)
    assert (answer.status_code, answer["Retry-After"]) == (503, "30")
    assert b"MSA|AE|C1" in answer.content


def test_who_may_not_send_learns_nothing_of_the_message(family: Neighbourhood) -> None:
    statuses = {name: send(getattr(family, name)).status_code for name in ("anonymous", "mother", "aunt", "officer")}
    assert statuses == {"anonymous": 401, "mother": 404, "aunt": 404, "officer": 403}
    assert not WaitingItem.objects.exists()


@pytest.mark.parametrize(
    ("kind", "accept", "status"), [("text/plain", "*/*", 415), (HL7, "application/fhir+json", 406)]
)
def test_the_content_types(clinic: App, kind: str, accept: str, status: int) -> None:
    assert send(clinic, kind=kind, Accept=accept).status_code == status
