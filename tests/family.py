"""The people of the tests, each with an app and a real token in hand: what may THEY see?

The family is the demo's (`phr/populate/demo.py`); its tokens come from the real endpoints
(`phr/populate/personas.py`). The Otsus next door are strangers to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from consent import audit
from consent.models import AuditEntry, Person, Subject
from phr.populate import demo, personas
from phr.populate.cast import CITY_A, SUBJECTS, YUKI
from phr.populate.people import Human, patient
from phr.populate.store import for_person, link
from phr.records import body
from phr.records.gateway import Records
from phr.smart import launches
from phr.smart.demo import APP
from phr.smart.demo import person_token as token_of
from phr.smart.models import AccessToken, Application, Launch

OTSU = UUID("4f747375-0000-8000-8000-000000000005")
KAI = UUID("4b616900-0000-8000-8000-000000000006")
FHIR_JSON = "application/fhir+json"
LOINC = "http://loinc.org"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
decoded = msgspec.json.Decoder(float_hook=Decimal).decode


class Answer:
    """A response as tests ask about it."""

    def __init__(self, response: HttpResponse) -> None:
        self.response = response
        self.status = response.status_code
        self.headers = response.headers
        self.content = b"".join(response.streaming_content) if response.streaming else response.content  # type: ignore[attr-defined]

    @property
    def json(self) -> Any:
        """The body; decimals keep their digits."""
        return decoded(self.content)

    @property
    def id(self) -> str:
        return str(self.json["id"])

    @property
    def ids(self) -> list[str]:
        """Of a searchset."""
        return [e["resource"]["id"] for e in self.json.get("entry", [])]

    @property
    def issue(self) -> dict[str, Any]:
        """The first issue; fails unless the body is an OperationOutcome."""
        told = self.json
        assert told["resourceType"] == "OperationOutcome", told
        assert self.headers["Content-Type"] == "application/fhir+json; charset=utf-8"
        return dict(told["issue"][0])

    @property
    def next(self) -> str | None:
        return next((x["url"] for x in self.json.get("link", []) if x["relation"] == "next"), None)

    def told(self) -> tuple[int, bytes, dict[str, str]]:
        """Everything a client sees, apart from the name of the request."""
        return self.status, self.content, {k: v for k, v in self.headers.items() if k != "X-Request-Id"}

    def __repr__(self) -> str:
        return f"{self.status} {self.content[:2000].decode(errors='replace')}"


class App:
    """An app at the REST door, with a token or without."""

    def __init__(self, token: str = "") -> None:
        self.token = token
        self.http = Client(raise_request_exception=False)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        type: str = FHIR_JSON,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Answer:
        signed = {"authorization": f"Bearer {self.token}"} if self.token else {}
        told = {**signed, **headers}
        # A path may be a whole URL of ours, as links are.
        path = path.removeprefix("http://127.0.0.1:8000")
        path = path if path.startswith("/") else f"/fhir/{path}" if path else "/fhir"
        if body is None:
            return Answer(self.http.generic(method, path, headers=told))  # type: ignore[arg-type]
        return Answer(self.http.generic(method, path, body, content_type=type, headers=told))  # type: ignore[arg-type]

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=_named(headers))

    def search(self, type: str, *pairs: tuple[str, str], **params: str) -> Answer:
        asked = urlencode([*pairs, *params.items()], quote_via=quote)
        return self.ask("GET", f"{type}?{asked}")

    def pages(self, type: str, **params: str) -> list[list[str]]:
        """Ids of every page to the end."""
        answer = self.search(type, **params)
        found = [answer.ids]
        while answer.next:
            answer = self.get(answer.next)
            assert answer.status == 200, answer
            found.append(answer.ids)
            assert len(found) < 1000
        return found

    def create(self, resource: Mapping[str, Any], **headers: str) -> Answer:
        return self.ask("POST", resource["resourceType"], encoded(resource), headers=_named(headers))

    def made(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """Create, and the resource as stored."""
        answer = self.create(resource)
        assert answer.status == 201, answer
        return dict(answer.json)

    def put(self, resource: Mapping[str, Any], **headers: str) -> Answer:
        path = f"{resource['resourceType']}/{resource['id']}"
        return self.ask("PUT", path, encoded(resource), headers=_named(headers))

    def delete(self, path: str, **headers: str) -> Answer:
        return self.ask("DELETE", path, headers=_named(headers))

    def bundle(self, type: str, *entries: Mapping[str, Any], **headers: str) -> Answer:
        content = {"resourceType": "Bundle", "type": type, "entry": list(entries)}
        return self.ask("POST", "", encoded(content), headers=_named(headers))


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def encoded(content: Any) -> bytes:
    return body.write(content)


@dataclass(repr=False)
class Neighbourhood:
    """The family, the Otsus next door, and everybody's apps."""

    now: datetime
    demo: demo.DemoFamily
    apps: dict[str, App] = field(default_factory=dict)

    anonymous = App()

    def app(self, persona: str, **changes: str) -> App:
        """A persona's app; the token comes from the real endpoints. `patient`, `scope`: as of demo_token."""
        name = f"{persona} {sorted(changes.items())}"
        if name not in self.apps:
            told = personas.token(persona, now=timezone.now(), **changes)
            self.apps[name] = App(told["access_token"])
        return self.apps[name]

    @property
    def mother(self) -> App:
        return self.app("mother")

    @property
    def father(self) -> App:
        return self.app("father")

    @property
    def aunt(self) -> App:
        return self.app("aunt")

    @property
    def clinic(self) -> App:
        return self.app("clinic")

    @property
    def officer(self) -> App:
        return self.app("officer")

    @property
    def stranger(self) -> App:
        """The mother next door, at her own record."""
        return self.stranger_of(OTSU)

    def stranger_of(self, subject: UUID) -> App:
        """The mother next door, at her own record or her child's."""
        if (name := f"stranger {subject}") not in self.apps:
            person = Person.objects.get(username="otsu")
            told = token_of(person, client_id=APP, scope=personas.OWN, patient=str(subject), now=timezone.now())
            self.apps[name] = App(told["access_token"])
        return self.apps[name]

    def of_clinic(self, code: str, *, scope: str = "system/*.cruds") -> App:
        """An app of another organisation, by a launch row."""
        organization = self.demo.organizations[code]
        application, _ = Application.objects.get_or_create(
            client_id=f"system-{code}",
            defaults={
                "name": organization.name, "client_type": "confidential", "organization": organization,
                "authorization_grant_type": "client-credentials", "system_scopes": scope,
                "token_endpoint_auth_method": "private_key_jwt", "client_secret": "never used, never blank",
            },
        )  # fmt: skip
        return self._launched(application, scope)

    def _launched(self, application: Application, scope: str) -> App:
        now = timezone.now()
        launch: Launch = launches.begin_system(application=application, purpose="TREAT", scope=scope, now=now)
        token, until = f"test-token-{launch.pk}", launch.ends_at
        AccessToken.objects.create(token=token, application=application, scope=scope, expires=until, launch=launch)
        return App(token)


# -- moving in -------------------------------------------------------------------------------------

_kept: dict[str, bytes] = {}
_home: list[Neighbourhood] = []


def at_home() -> Neighbourhood:
    """The neighbourhood in the database of this test: made once by each process, then copied in row by row."""
    if not _home:
        made = move_in(timezone.now())
        _ = made.mother, made.father, made.aunt, made.clinic, made.officer, made.stranger
        _kept.update(_copied_out())
        _home.append(made)
        return Neighbourhood(made.now, made.demo, dict(made.apps))
    with transaction.atomic(), connection.cursor() as cursor:  # foreign keys are looked at when all rows are there
        for table, rows in _kept.items():
            with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                copy.write(rows)
        later = timezone.now() + timedelta(minutes=15)
        cursor.execute("UPDATE phr_accesstoken SET expires = %s", [later])
        cursor.execute("UPDATE phr_launch SET ends_at = %s", [later])
        # As lately as when the token was made: a proof of who one is goes stale within minutes.
        cursor.execute(
            "UPDATE phr_launch SET authenticated_at = %s WHERE authenticated_at IS NOT NULL", [timezone.now()]
        )
    return Neighbourhood(_home[0].now, _home[0].demo, dict(_home[0].apps))


def _copied_out() -> dict[str, bytes]:
    with connection.cursor() as cursor:
        names = [n for n in connection.introspection.table_names(cursor) if n.startswith(("consent_", "phr_"))]
        out = {}
        for name in names:
            with cursor.copy(f"COPY {name} TO STDOUT") as copy:
                out[name] = b"".join(bytes(part) for part in copy)
    return {name: rows for name, rows in out.items() if rows}


def move_in(now: datetime) -> Neighbourhood:
    """Make everybody, and their Patients; Yuki's clinic may read of her record what she opened."""
    family = demo.make_family(now=now)
    personas.register()
    for human in SUBJECTS:
        writer = family.people.get(human.username) or family.people["yuki"]
        records = Records.opened_by(for_person(writer, UUID(human.id)), now=now)
        records.create_all([patient(human, None, city=CITY_A.city)], keep_ids=True)
    _otsus(family, now)
    return Neighbourhood(now, family)


def _otsus(family: demo.DemoFamily, now: datetime) -> None:
    """A mother and her child who are strangers to the family."""
    for subject, born in ((OTSU, date(1991, 7, 7)), (KAI, date(2020, 2, 29))):
        Subject.objects.create(id=subject, birth_on=born, created_at=now)
    otsu = Person.objects.create(username="otsu", name="大津 例", own_subject_id=OTSU, password="!")
    link(otsu, KAI, since=date(2020, 2, 29), by=family.people["sato"], now=now)
    for subject, given, born in ((OTSU, "例", date(1991, 7, 7)), (KAI, "快", date(2020, 2, 29))):
        human = Human(str(subject), "", "大津", "オオツ", given, "レイ", "female", born, str(subject.int)[-12:])
        records = Records.opened_by(for_person(otsu, subject), now=now)
        records.create_all([patient(human, None, city="例示市")], keep_ids=True)


# -- resources ------------------------------------------------------------------------------------


def weight(
    of: UUID = YUKI, *, value: str = "52.40", on: str = "2026-03-01T09:00:00+09:00", **more: Any
) -> dict[str, Any]:
    """A body weight: GROWTH, level 2. A change to None takes an element away."""
    resource = {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                  "code": "vital-signs"}]}],
        "code": {"coding": [{"system": LOINC, "code": "29463-7", "display": "Body weight"}], "text": "体重"},
        "subject": {"reference": f"Patient/{of}"},
        "effectiveDateTime": on,
        "valueQuantity": {"value": Decimal(value), "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
    }  # fmt: skip
    return {key: value for key, value in (resource | more).items() if value is not None}


def pressure(of: UUID = YUKI, **more: Any) -> dict[str, Any]:
    """A systolic blood pressure: VITAL, open to Yuki's clinic."""
    coding = {"system": LOINC, "code": "8480-6"}
    quantity = {"value": Decimal(118), "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}
    return weight(of, **{"code": {"coding": [coding]}, "valueQuantity": quantity} | more)


def secret(of: UUID = YUKI, **more: Any) -> dict[str, Any]:
    """A blood pressure its writer declared restricted: level 3, hidden from everybody but Yuki."""
    return pressure(of, **{"meta": {"security": [{"system": CONFIDENTIALITY, "code": "R"}]}} | more)


def organization(name: str = "見本産院") -> dict[str, Any]:
    return {"resourceType": "Organization", "active": True, "name": name}


def post(resource: Mapping[str, Any], full_url: str | None = None, **request: str) -> dict[str, Any]:
    """A Bundle entry that creates."""
    entry = {"resource": resource, "request": {"method": "POST", "url": resource["resourceType"], **request}}
    return entry | ({"fullUrl": full_url} if full_url else {})


def entry(method: str, url: str, resource: Mapping[str, Any] | None = None, **request: str) -> dict[str, Any]:
    made: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    return made | ({"resource": resource} if resource is not None else {})


TABLES = ("phr_resource", "phr_version", "phr_range", "phr_text", "phr_change", "consent_subject", "consent_datakey")


def rows() -> dict[str, int]:
    """How much is stored: the same before and after whatever is refused."""
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(f"SELECT '{t}', count(*) FROM {t}" for t in TABLES))
        return dict(cursor.fetchall())


def audit_lines(event: str) -> list[tuple[Any, ...]]:
    """(subject, person, organization, capacity, detail) of an event's lines, oldest first."""
    lines = AuditEntry.objects.filter(event=event).order_by("id")
    told = audit.opened(lines)
    return [(x.subject, x.person, x.organization, x.capacity, d) for x, d in zip(lines, told, strict=True)]
