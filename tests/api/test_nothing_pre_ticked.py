"""Nothing is consented to by default, and saying no costs no function (IT-06)."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import UUID

import pytest

from consent.models import EffectiveGrant, Grant
from phr.populate.cast import HANA, YUKI
from tests.api.test_provisions import World, world
from tests.family import OTSU, App, Neighbourhood, encoded, weight
from tests.institution import Trust

__all__ = ["world"]  # a fixture
ROOT = Path(__file__).resolve().parents[2]
JSON = "application/json"


RECORD = (
    "provisions", "provisions/waiting", "benefits", "mandates", "complaints", "consents", "log", "disclosure",
    "portability", "corrections", "erasure", "closing", "transfers",
)  # fmt: skip
# Beside permission nothing is chosen beforehand but that nothing is chosen. What staff chose for an upload is shown
# again when the form comes back with a fault: `chosen` is what they sent, "" before.
CHOSEN = {
    '<input type="radio" name="encounter" value="" checked>',
    '<option value="{{ key }}"{% if key == chosen %} selected{% endif %}>',
}
TICKED = re.compile(r"<(?:input|option)\b[^>]*\b(?:checked|selected)\b[^>]*>")


def journeys(app: App, subject: UUID = OTSU) -> dict[str, int]:
    """What a person does with a record of her own, or her child's: the status of each step."""
    record = f"/api/trust/records/{subject}"
    made = app.create(weight(subject))
    id = made.json["id"]
    steps = {
        "write": made.status, "read": app.get(f"Observation/{id}").status, "search": app.get("Observation").status,
        "everything": app.get(f"Patient/{subject}/$everything").status,
        "correct": app.put({**made.json, "status": "amended"}).status,
        "delete": app.delete(f"Observation/{id}").status,
    }  # fmt: skip
    for name in RECORD:
        steps[name] = app.ask("GET", f"{record}/{name}").status
    for name in ("notices", "programs", "recipients"):
        steps[name] = app.ask("GET", f"/api/trust/{name}").status
    complained = app.ask("POST", f"{record}/complain", encoded({"kind": "other", "text": "質問です"}), type=JSON)
    return steps | {"complain": complained.status}


@pytest.mark.IT("06")
def test_every_journey_is_green_without_any_consent(family: Neighbourhood, world: World, institution: Trust) -> None:
    assert not Grant.objects.filter(subject=OTSU).exists()
    steps = journeys(family.stranger)
    assert {name: status for name, status in steps.items() if status not in (200, 201, 204)} == {}
    assert not Grant.objects.filter(subject=OTSU).exists()  # none came about on the way


@pytest.mark.IT("06")
def test_a_guardian_too_does_everything_without_any_consent(family: Neighbourhood, institution: Trust) -> None:
    institution.terms()
    Grant.objects.filter(subject=HANA).exclude(state="inactive").update(state="inactive")
    EffectiveGrant.objects.filter(subject=HANA).delete()
    steps = journeys(family.father, HANA)
    assert {name: status for name, status in steps.items() if status not in (200, 201, 204)} == {}
    assert not EffectiveGrant.objects.filter(subject=HANA).exists()


@pytest.mark.IT("06")
def test_no_page_has_anything_ticked_beforehand() -> None:
    """Whatever template: also of pages that come later."""
    pages = [page for app in ("phr", "integrations") for page in (ROOT / app).rglob("*.html")]
    assert len(pages) > 15
    found = {tag for page in pages for tag in TICKED.findall(page.read_text(encoding="utf-8"))}
    assert found - CHOSEN == set()


@pytest.mark.IT("06", "12")
def test_refusing_everything_costs_nothing(family: Neighbourhood, world: World) -> None:
    before = journeys(family.stranger)
    stopped = family.stranger.ask("POST", f"/api/trust/records/{OTSU}/stop/everything", encoded({}), type=JSON)
    assert stopped.status in (200, 201), stopped
    assert journeys(family.stranger) == before


@pytest.mark.IT("06")
def test_a_new_record_opens_to_nobody(family: Neighbourhood) -> None:
    assert set(EffectiveGrant.objects.filter(permit=True).values_list("subject_id", flat=True)) == {YUKI}
