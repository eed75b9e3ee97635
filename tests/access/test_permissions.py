"""Every route of the server, asked by every persona. The table is `permissions.TABLE`."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from consent.models import Grant, Person
from phr.fhir.bulk import running
from phr.populate import demo, personas
from phr.populate.cast import HANA, YUKI
from phr.smart.models import Application, AuthorizationRequest, Launch
from tests.access.permissions import TABLE
from tests.access.row import FHIR, FORM, JSON, PERSONAS, Row
from tests.family import KAI, App, Neighbourhood, encoded, pressure, secret

PATCH = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "operation", "part": [{"name": "type", "valueCode": "replace"},
                                       {"name": "path", "valueString": "Observation.status"},
                                       {"name": "value", "valueCode": "amended"}]},
    ],
}  # fmt: skip
TAGGED = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]}
TRUST = "/api/trust/"  # open to our pages too
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Django's set_language sends every other method back where it came from, having done nothing.
HARMLESS = {("language", method, 302) for method in METHODS}


def routes(resolver: URLResolver | None = None) -> Iterator[str]:
    """The name of every route; Django's admin site counts as one."""
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver):
            yield from [entry.app_name] if entry.app_name == "admin" else routes(entry)
        else:
            assert isinstance(entry, URLPattern)
            assert entry.name, f"a route without a name: {entry.pattern}"
            yield entry.name


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert {row.route for row in TABLE} == set(routes())


def test_no_two_routes_share_a_name() -> None:
    assert not [name for name, times in Counter(routes()).items() if times > 1]


def test_every_row_has_a_status_for_every_persona() -> None:
    assert all(list(row.statuses) == list(PERSONAS) for row in TABLE)


@dataclass
class World:
    """The places that rows name, and the bodies they send."""

    places: dict[str, str]
    bodies: dict[str, Any]

    def path(self, row: Row) -> str:
        return row.path.format(**self.places)

    def send(self, client: Client, row: Row, token: str, method: str = "") -> int:
        """Ask, and take back what it changed; returns the status."""
        content, kind = self._content(row)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        with transaction.atomic():
            answer = client.generic(method or row.method, self.path(row), content, content_type=kind, headers=headers)
            transaction.set_rollback(True)
        return answer.status_code

    def _content(self, row: Row) -> tuple[bytes, str]:
        body = row.body
        if isinstance(body, str) and body in self.bodies:
            return encoded(self.bodies[body]), JSON if row.path.startswith(TRUST) else FHIR
        if isinstance(body, dict):
            return encoded(body), JSON
        return (b"" if body is None else str(body).encode()), FORM


@pytest.fixture
def world(family: Neighbourhood) -> World:
    mother = family.mother
    kept, hidden = mother.made(pressure()), mother.made(secret())
    notebook = b64encode(demo.MEDICATION_NOTEBOOK.read_bytes()).decode()
    sent = {"subject": str(YUKI), "parts": [{"data": notebook}]}
    run = mother.ask("POST", "/api/imports/jahis-qr", encoded(sent))
    assert run.status == 202, run
    entry = {"resource": pressure(), "request": {"method": "POST", "url": "Observation"}}
    return World(
        places={
            "yuki": str(YUKI), "hana": str(HANA), "kai": str(KAI), "pressure": kept["id"], "secret": hidden["id"],
            "run": run.headers["Location"].rsplit("/", 1)[1], "asked": str(_asked()), "launch": str(_launch()),
            "export": _export(family), "grant": str(Grant.objects.filter(subject=YUKI).order_by("pk")[0].pk),
        },
        bodies={
            "match": {"resourceType": "Patient", "name": [{"text": "見本 雪"}], "birthDate": "1992-02-03"},
            "patch": PATCH, "pressure": pressure(), "tagged": TAGGED,
            "pressure-of-kai": pressure(KAI), "pressure-again": {**kept, "status": "amended"},
            "transaction": {"resourceType": "Bundle", "type": "transaction", "entry": [entry]},
            "correction": {"reference": f"Observation/{kept['id']}", "what": "x", "why": "y"},
            "transfer": {"to": "https://other.example"},
            "answer": {"amended": False, "reasons": "x"},
            "hold": {"record": str(YUKI), "kind": "litigation", "reason": "x"},
            "import": {"subject": str(YUKI), "parts": [{"data": notebook}]},
        },
    )  # fmt: skip


def _asked() -> object:
    """A request of an app that waits for the mother's answer."""
    application = Application.objects.get(client_id="tsumugi-app")
    parameters = {
        "response_type": "code", "client_id": application.client_id, "redirect_uri": application.redirect_uris,
        "scope": personas.OWN, "state": "s" * 24, "code_challenge": "c" * 43, "code_challenge_method": "S256",
    }  # fmt: skip
    yuki = Person.objects.get(username="yuki")
    made = AuthorizationRequest.objects.create(
        application=application, person=yuki, parameters=parameters, created_at=timezone.now()
    )
    return made.pk


def _export(family: Neighbourhood) -> str:
    """A finished export of the clinic."""
    accepted = family.clinic.ask("GET", "$export", headers={"Prefer": "respond-async"})
    id = accepted.headers["Content-Location"].rsplit("/", 1)[1]
    running.run(UUID(id), clock=timezone.now)
    return id


def _launch() -> object:
    return Launch.objects.filter(person__username="yuki").latest("created_at").pk


def _client(persona: str) -> Client:
    client = Client(raise_request_exception=False)
    if name := "otsu" if persona == "stranger" else persona in personas.PEOPLE and personas.PEOPLE[persona].username:
        client.force_login(Person.objects.get(username=name))
    return client


def _token(family: Neighbourhood, persona: str) -> str:
    if persona == "stranger":  # the mother next door, at her own record
        return family.stranger.token
    return "" if persona == "anonymous" else family.app(persona).token


@pytest.mark.parametrize("persona", PERSONAS)
def test_the_table_is_true(family: Neighbourhood, world: World, persona: str) -> None:
    token, wrong = _token(family, persona), []
    for row in TABLE:
        found = world.send(_client(persona), row, token)
        if found != row.statuses[persona]:
            wrong.append(f"{row}: {found}, the table says {row.statuses[persona]}")
    assert not wrong, "\n".join(wrong)


def test_methods_without_a_row_are_refused(family: Neighbourhood, world: World) -> None:
    served = {(row.route, row.method) for row in TABLE}
    open_, mother = [], _client("mother")
    for row in {row.route: row for row in TABLE if row.route != "admin"}.values():
        for method in METHODS:
            if (row.route, method) not in served:
                status = world.send(mother, row, family.mother.token, method)
                if status not in (403, 404, 405) and (row.route, method, status) not in HARMLESS:
                    open_.append(f"{method} {row.path}: {status}")
    assert not open_, "\n".join(open_)


@pytest.mark.parametrize("persona", [p for p in PERSONAS if p not in ("anonymous", "clinic")])
def test_a_session_is_no_token(family: Neighbourhood, world: World, persona: str) -> None:
    """Signing in opens pages and the trust's API, never the REST door."""
    doors = [row for row in TABLE if row.path.startswith(("/fhir/", "/api/")) and not row.path.startswith(TRUST)]
    rows = [row for row in doors if row.statuses["anonymous"] == 401]
    assert rows
    assert {world.send(_client(persona), row, "") for row in rows} == {401}


@pytest.mark.parametrize("persona", ["father", "aunt", "clinic", "officer", "stranger"])
def test_nobody_deletes_what_is_not_theirs(family: Neighbourhood, world: World, persona: str) -> None:
    App(_token(family, persona)).delete(f"Observation/{world.places['pressure']}")
    assert family.mother.get(f"Observation/{world.places['pressure']}").status == 200


def test_forbidden_and_absent_look_the_same(family: Neighbourhood, world: World) -> None:
    """The same status, body and headers, whether another's resource exists or not."""
    hidden = family.aunt.get(f"Observation/{world.places['pressure']}")
    absent = family.aunt.get("Observation/00000000-0000-4000-8000-000000000000")
    assert hidden.told() == absent.told()
    assert json.loads(hidden.content)["issue"][0]["code"] == "not-found"
