"""Whatever the REST door answers is R4 itself: structure, R4's own invariants, required codes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from phr.populate.cast import YUKI
from phr.records.profiles import judging
from tests.family import Answer, App, Neighbourhood, encoded, entry, organization, post, pressure, weight

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 1, tzinfo=UTC)

GENDER = "http://hl7.org/fhir/administrative-gender"
ASKED = (
    "metadata", f"Patient/{YUKI}", "Observation", "Observation?_count=1", "Observation?_total=accurate&_count=0",
    f"Observation?patient={YUKI}&_include=Observation:subject&_count=2",
    f"Patient?_id={YUKI}&_revinclude=Observation:subject",
    "Observation?_summary=true", "Observation?_summary=count", "Observation?_elements=status",
    "?_type=Observation,Patient&_count=2", f"Patient/{YUKI}/Observation?_count=1",
    "_history?_count=3", "Observation/_history?_count=2", f"Patient/{YUKI}/_history",
    f"Patient/{YUKI}/$everything", f"Patient/{YUKI}/$everything?_count=2", f"Patient/{YUKI}/$summary",
    f"Patient/{YUKI}/$immunization-recommendation", f"Patient/{YUKI}/$immunization-status?date=2026-04-01",
    f"Observation/$lastn?patient={YUKI}&category=vital-signs", f"Patient/{YUKI}/$meta", f"Patient/{YUKI}/$validate",
    f"DocumentReference/$docref?patient={YUKI}",
    "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender",
    "CodeSystem/$lookup?system=http://hl7.org/fhir/administrative-gender&code=male",
    f"ValueSet/$validate-code?url=http://hl7.org/fhir/ValueSet/administrative-gender&code=male&system={GENDER}",
)  # fmt: skip
REFUSED = (
    "Observation/none", "Nonsense", "Observation?_id=a&_count=x",
    "Observation?status:nonsense=1", "Observation/$nonsense",
    "Observation?value-quantity=lots", "Patient/$everything?start=never",
)  # fmt: skip


@pytest.fixture
def app(family: Neighbourhood) -> App:
    """The mother's, with something to find."""
    family.mother.made(weight())
    measured = family.mother.made(pressure())
    family.mother.put(measured | {"status": "amended"})
    family.mother.made(pressure(on="2026-03-02T09:00:00+09:00"))
    return family.mother


def faults(answer: Answer) -> list[str]:
    """Errors in the body, as place and text."""
    told = judging.findings(answer.json, now=NOW)
    return [f"{p.expression}: {p.diagnostics}" for p in told if p.severity in ("error", "fatal")]


@pytest.mark.spec("FHIR R4", "http 3.1.0", "every answer with a body is a resource that R4 itself accepts")
@pytest.mark.parametrize("path", ASKED)
def test_answers_are_sound_r4(app: App, path: str) -> None:
    answer = app.ask("GET", f"/fhir{path}" if path.startswith("?") else path)
    assert answer.status == 200, answer
    assert faults(answer) == []


@pytest.mark.parametrize("path", REFUSED)
def test_refusals_are_sound_r4(app: App, path: str) -> None:
    answer = app.ask("GET", path)
    assert answer.status in (400, 404, 422), answer
    assert answer.issue
    assert faults(answer) == []


def test_answers_to_bundles_are_sound_r4(app: App) -> None:
    for kind in ("batch", "transaction"):
        answer = app.bundle(kind, post(weight()), entry("GET", "Observation?_count=1"))
        assert answer.status == 200, answer
        assert faults(answer) == []
    refused = app.bundle(
        "batch", entry("GET", "Observation/none"), entry("GET", "Nonsense"), post({"resourceType": "X"})
    )
    assert faults(refused) == []


def test_answers_to_writes_are_sound_r4(app: App) -> None:
    for answer in (
        app.create(weight(), prefer="return=OperationOutcome"), app.create(weight(status="none")),
        app.ask("POST", "Observation", b"{"), app.create(organization()), app.ask("PUT", "Observation", encoded({})),
    ):  # fmt: skip
        assert faults(answer) == [], answer
