"""Nothing is consented to by default, and saying no costs no function (IT-06)."""

from __future__ import annotations

import pytest

from consent.models import EffectiveGrant, Grant
from phr.populate.cast import YUKI
from tests.api.test_provisions import World, world
from tests.family import OTSU, App, Neighbourhood, encoded, weight
from tests.institution import Trust

__all__ = ["world"]  # a fixture
JSON = "application/json"


def journeys(app: App) -> dict[str, int]:
    """What a person does with her own record: the status of each step."""
    record = f"/api/trust/records/{OTSU}"
    made = app.create(weight(OTSU))
    id = made.json["id"]
    steps = {
        "write": made.status, "read": app.get(f"Observation/{id}").status, "search": app.get("Observation").status,
        "everything": app.get(f"Patient/{OTSU}/$everything").status,
        "correct": app.put({**made.json, "status": "amended"}).status,
        "delete": app.delete(f"Observation/{id}").status,
    }  # fmt: skip
    for name in ("provisions", "provisions/waiting", "benefits", "mandates", "complaints", "consents", "log"):
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


@pytest.mark.IT("06", "12")
def test_refusing_everything_costs_nothing(family: Neighbourhood, world: World) -> None:
    before = journeys(family.stranger)
    stopped = family.stranger.ask("POST", f"/api/trust/records/{OTSU}/stop/everything", encoded({}), type=JSON)
    assert stopped.status in (200, 201), stopped
    assert journeys(family.stranger) == before


@pytest.mark.IT("06")
def test_a_new_record_opens_to_nobody(family: Neighbourhood) -> None:
    assert set(EffectiveGrant.objects.filter(permit=True).values_list("subject_id", flat=True)) == {YUKI}
