"""The leak matrix of exports: with hidden resources in the store, everything a client learns is as without them.

Source: trust rules, section 5 (leak matrix).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from phr.fhir import wire
from phr.fhir.bulk import running
from phr.records import exporting
from tests.family import KAI, YUKI, Neighbourhood, pressure, secret
from tests.fhir.bulk.exports import exported, finished, job_of, kick_off, parameters

SYSTEM = "urn:hidden"
IDENTIFIED: dict[str, Any] = {"identifier": [{"system": SYSTEM, "value": "1"}]}
YUKI_ONLY = parameters(patient={"reference": f"Patient/{YUKI}"})
SINCE = "2020-01-01T00:00:00Z"

REQUESTS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "system": ("$export", None),
    "patients": ("Patient/$export", None),
    "her": ("Patient/$export", YUKI_ONLY),
    "type": ("$export?_type=Observation", None),
    "since": (f"$export?_since={SINCE}", None),
    "elements": ("$export?_elements=id", None),
    "filter": (f"$export?_typeFilter=Observation%3Fidentifier%3D{SYSTEM}%7C1", None),
    "filter not": (f"$export?_typeFilter=Observation%3Fidentifier:not%3D{SYSTEM}%7C1", None),
    "filter missing": ("$export?_typeFilter=Observation%3Fidentifier:missing%3Dtrue", None),
    "filter has": (f"$export?_typeFilter=Patient%3F_has:Observation:patient:identifier%3D{SYSTEM}%7C1", None),
    "filter chain": ("$export?_typeFilter=Observation%3Fhas-member:Observation.status%3Dfinal", None),
    "filter group": ("Group/{group}/$export", None),
}


def told(family: Neighbourhood, path: str, body: dict[str, Any] | None, places: dict[str, str]) -> Any:
    """Everything the clinic learns: files, counts, and the progress at every chunk."""
    accepted = kick_off(family.clinic, path.format(**places), body)
    url, progress = accepted.headers["Content-Location"], []
    job = running._claim(job_of(accepted), now=timezone.now())
    assert job
    while running._advance(job, now=timezone.now()):
        progress.append(family.clinic.get(url).headers["X-Progress"])
    return progress, finished(family.clinic, url).told()


def hidden_things(family: Neighbourhood) -> None:
    """Hidden from the clinic: what Yuki's own app declared restricted, a stranger's record, and deleted ones."""
    mother, stranger = family.mother, family.stranger_of(KAI)
    kept = mother.made(secret(**IDENTIFIED))
    stranger.made(pressure(KAI, **IDENTIFIED))
    mother.made(secret(hasMember=[{"reference": f"Observation/{kept['id']}"}]))
    mother.delete(f"Observation/{mother.made(secret())['id']}")
    stranger.delete(f"Observation/{stranger.made(pressure(KAI))['id']}")


@pytest.mark.parametrize("name", REQUESTS)
def test_hidden_resources_show_in_nothing(family: Neighbourhood, name: str) -> None:
    seen = [family.mother.made(pressure())["id"] for _ in range(4)]
    family.mother.made(pressure(hasMember=[{"reference": f"Observation/{seen[0]}"}]))
    member = {"entity": {"reference": f"Patient/{YUKI}"}}
    group = family.clinic.made({"resourceType": "Group", "type": "person", "actual": True, "member": [member]})
    path, body = REQUESTS[name]
    with transaction.atomic():
        hidden_things(family)
        with_them = told(family, path, body, {"group": group["id"]})
        transaction.set_rollback(True)
    without = told(family, path, body, {"group": group["id"]})
    assert with_them == without
    if "filter" not in name:
        assert without[1]["lines"]["output"]


def test_the_end_of_a_chunk_shows_nothing_of_rows_between(
    family: Neighbourhood, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "CHUNK", 2)
    for _ in range(5):
        family.mother.made(pressure())
        family.mother.made(secret())
    ids = [r["id"] for r in exported(family.clinic, "$export?_type=Observation").resources()]
    assert sorted(ids) == sorted(id for page in family.clinic.pages("Observation") for id in page)
    assert len(ids) == len(set(ids))


def test_labels_stay_with_the_organisation_that_wrote_them(family: Neighbourhood) -> None:
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}
    theirs = family.mother.made(pressure(meta={"security": [label]}))
    own = family.clinic.made(pressure(meta={"security": [label]}))
    found = {r["id"]: r for r in exported(family.clinic, "$export?_type=Observation").resources()}
    assert "security" not in found[theirs["id"]]["meta"]
    assert found[own["id"]]["meta"]["security"] == [label]


def test_labels_cannot_be_filtered_by(family: Neighbourhood) -> None:
    assert kick_off(family.clinic, "$export?_typeFilter=Observation%3F_security%3DR").status == 400


def test_what_was_hidden_before_it_was_deleted_is_not_told(family: Neighbourhood) -> None:
    since = wire.instant(timezone.now()).replace("+", "%2B")
    time.sleep(0.005)
    hidden, shown = family.mother.made(secret()), family.mother.made(pressure())
    for made in (hidden, shown):
        assert family.mother.delete(f"Observation/{made['id']}").status == 204
    bundles = exported(family.clinic, f"$export?_since={since}").resources("deleted")
    assert [b["entry"][0]["request"]["url"] for b in bundles] == [f"Observation/{shown['id']}"]


Sight = Callable[[Neighbourhood], Any]


@pytest.mark.parametrize("who", [lambda f: f.clinic, lambda f: f.of_clinic("9919000003")])
def test_each_client_gets_what_its_searches_find(family: Neighbourhood, who: Sight) -> None:
    hidden_things(family)
    family.mother.made(pressure())
    app = who(family)
    names = exported(app).names()
    for type in ("Observation", "Patient"):
        found = {f"{type}/{id}" for page in app.pages(type) for id in page}
        assert {n for n in names if n.startswith(f"{type}/")} == found
