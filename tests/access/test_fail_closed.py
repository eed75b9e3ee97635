"""When the log cannot be written nothing leaves and nothing is written, by whatever door: 503, and that is all.

The failure is a real one: the database refuses every new line.
"""

from __future__ import annotations

from uuid import UUID

import pytest
from django.db import connection, transaction

from consent.models import AuditEntry, Grant
from phr.populate.cast import HANA, YUKI
from tests.access.rows_consents import ROWS as CONSENTS
from tests.access.rows_decision import ROWS as DECISION
from tests.access.rows_guardianship import ROWS as GUARDIANSHIP
from tests.access.rows_provisions import ROWS as PROVISIONS
from tests.access.rows_rights import ROWS
from tests.family import Neighbourhood, encoded, entry, pressure, rows, weight
from tests.trust.test_emergency import staff

MARK = "4711.25"  # a value that must not be seen
PATCH = b'[{"op": "replace", "path": "/status", "value": "amended"}]'

READS = (
    "Patient/{yuki}", "Observation/{id}", "Observation/{id}/_history/1", "Observation/{id}/_history",
    "Observation/_history", "_history", "Observation", "Observation?_id={id}", "Observation?_summary=count",
    "Observation?code=8480-6&_total=accurate", "?_type=Observation,Patient", "Patient/{yuki}/Observation",
    "Patient/{yuki}/*", "Patient/{yuki}/$everything", "Observation/$lastn?patient={yuki}&category=vital-signs",
    "Patient/{yuki}/$summary", "Patient/{yuki}/$immunization-recommendation", "Patient/{yuki}/$immunization-status",
    "AuditEvent", "AuditEvent?_summary=count", "AuditEvent/{line}", "Observation?_revinclude=Provenance:target",
    "Observation?_include=Observation:subject",
    "Patient?_has:Observation:patient:code=8480-6",
)  # fmt: skip
# Every GET about the record the mother has open, and every desk's list about persons, from the permission table.
TRUST = sorted({
    row.path for row in (*ROWS, *CONSENTS, *GUARDIANSHIP, *DECISION, *PROVISIONS)
    if row.method == "GET" and "/records/{yuki}/" in row.path and row.statuses["mother"] == 200
})  # fmt: skip
LOG = ("records/{yuki}/log", "records/{yuki}/log/{line}", "records/{yuki}/log/{line}/proof")


@pytest.fixture
def places(family: Neighbourhood) -> dict[str, str]:
    made = family.mother.made(pressure(valueQuantity={"value": 4711.25, "unit": "mmHg"}))
    [line] = family.mother.get("AuditEvent?_count=1&action=C").json["entry"]
    grant = Grant.objects.filter(subject=YUKI, state="active").order_by("pk")[0].pk
    return {"grant": str(grant), "yuki": str(YUKI), "hana": str(HANA), "id": made["id"], "line": line["resource"]["id"]}


def _broken() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE consent_auditentry ADD CONSTRAINT no_more CHECK (false) NOT VALID")


@pytest.mark.parametrize("path", READS)
def test_nothing_is_read_without_its_line(family: Neighbourhood, places: dict[str, str], path: str) -> None:
    asked = path.format(**places)
    with transaction.atomic():
        assert family.mother.get(asked).status == 200, asked
        transaction.set_rollback(True)
    _broken()
    answer = family.mother.get(asked)
    assert answer.status == 503, answer
    assert MARK not in answer.content.decode()
    assert places["id"] not in answer.content.decode()


def test_the_table_names_them() -> None:
    assert len(TRUST) >= 8, TRUST


@pytest.mark.parametrize("path", [*TRUST, *(f"/api/trust/{path}" for path in LOG)])
def test_the_trust_tells_nothing_without_its_line(family: Neighbourhood, places: dict[str, str], path: str) -> None:
    _broken()
    answer = family.mother.ask("GET", path.format(**places))
    assert (answer.status, b"lines" in answer.content) == (503, False), answer


def test_a_desk_is_told_nothing_without_its_line(family: Neighbourhood, places: dict[str, str]) -> None:
    """What patients asked of an office, in their words."""
    written = family.clinic.made(weight())
    told = {"reference": f"Observation/{written['id']}", "what": f"{MARK} kg", "why": "測り直しました"}
    asked = family.mother.ask(
        "POST", f"/api/trust/records/{YUKI}/corrections/ask", encoded(told), type="application/json"
    )
    assert asked.status == 201, asked
    _, desk = staff(family.demo.clinic, "reception")
    with transaction.atomic():
        answer = desk.ask("GET", "/api/trust/desk/corrections")
        assert (answer.status, MARK in answer.content.decode()) == (200, True), answer
        assert [line[0] for line in _lines("correction:read")] == [YUKI]
        transaction.set_rollback(True)
    _broken()
    answer = desk.ask("GET", "/api/trust/desk/corrections")
    assert (answer.status, MARK in answer.content.decode()) == (503, False), answer


def _lines(event: str) -> list[tuple[UUID]]:
    return list(AuditEntry.objects.filter(event=event).values_list("subject"))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("method", "path", "type"), [
    ("POST", "Observation", "application/fhir+json"), ("PUT", "Observation/{id}", "application/fhir+json"),
    ("PATCH", "Observation/{id}", "application/json-patch+json"), ("DELETE", "Observation/{id}", ""),
    ("DELETE", "Observation?_id={id}", ""), ("POST", "", "application/fhir+json"),
    ("POST", "Observation/_search", "application/x-www-form-urlencoded"),
])  # fmt: skip
def test_nothing_is_written_without_its_line(
    family: Neighbourhood, places: dict[str, str], method: str, path: str, type: str
) -> None:
    own = pressure(valueQuantity={"value": 4711.25, "unit": "mmHg"})
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry("POST", "Observation", own)]}
    bodies = {
        ("POST", "Observation"): encoded(own), ("PUT", "Observation/{id}"): encoded(own | {"id": places["id"]}),
        ("PATCH", "Observation/{id}"): PATCH, ("POST", ""): encoded(bundle),
        ("POST", "Observation/_search"): b"code=8480-6",
    }  # fmt: skip
    before = rows()
    _broken()
    try:  # every request commits what it did, or has done nothing
        answer = family.mother.ask(method, path.format(**places), bodies.get((method, path)), type=type)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE consent_auditentry DROP CONSTRAINT no_more")
    assert answer.status == 503, answer
    assert MARK not in answer.content.decode()
    assert rows() == before
    assert family.mother.get(f"Observation/{places['id']}").json["meta"]["versionId"] == "1"


def test_a_batch_of_reads_tells_nothing(family: Neighbourhood, places: dict[str, str]) -> None:
    _broken()
    answer = family.mother.bundle("batch", entry("GET", f"Observation/{places['id']}"), entry("GET", "Observation"))
    assert MARK not in answer.content.decode()
    assert answer.status == 503 or {e["response"]["status"][:3] for e in answer.json["entry"]} == {"503"}


def test_who_is_who_and_exports_are_not_told(family: Neighbourhood, places: dict[str, str]) -> None:
    _broken()
    for path in ("$export", "Patient/$export"):
        with transaction.atomic():
            answer = family.clinic.ask("GET", path, headers={"Prefer": "respond-async"})
            transaction.set_rollback(True)
        assert answer.status == 503, answer


def test_a_refusal_is_refused_alike(family: Neighbourhood, places: dict[str, str]) -> None:
    """What would be hidden is hidden still: it looks like what is not there."""
    _broken()
    told = []
    for id in (places["id"], "00000000-0000-8000-8000-00000000dead"):
        with transaction.atomic():
            answer = family.father.get(f"Observation/{id}")
            told.append((answer.status, answer.content.replace(id.encode(), b"")))
            transaction.set_rollback(True)
    assert told[0] == told[1]
