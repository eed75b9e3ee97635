"""A person can be named in one way only, because whom a resource speaks of decides who sees it (G-03)."""

from __future__ import annotations

import pytest
from django.conf import settings

from phr.populate.cast import HANA, YUKI
from tests.family import Neighbourhood, entry, post, weight

OWN = f"{settings.PHR_BASE_URL}/fhir"


@pytest.mark.spec("FHIR R4", "2.3.0.1", "an absolute reference below the server's base is the relative one")
@pytest.mark.parametrize("base", [OWN, OWN.upper().replace("/FHIR", "/fhir"), f"{OWN}/"])
def test_our_own_address_is_no_second_name(family: Neighbourhood, base: str) -> None:
    made = family.mother.made(weight(subject={"reference": f"{base}/Patient/{YUKI}"}))
    assert made["subject"] == {"reference": f"Patient/{YUKI}"}
    assert made["id"] in family.mother.search("Observation", subject=f"Patient/{YUKI}").ids


@pytest.mark.parametrize("name", ["performer", "focus"])
@pytest.mark.parametrize("to", [f"Patient/{YUKI}", f"{OWN}/Patient/{YUKI}", f"{OWN}//Patient/{YUKI}"])
def test_a_guardian_of_one_cannot_name_the_other(family: Neighbourhood, name: str, to: str) -> None:
    told = weight(HANA, **{name: [{"reference": to}]})
    assert family.father.create(told).status == 422
    assert family.father.bundle("transaction", post(told)).status == 422


def test_a_reference_by_condition_is_for_transactions_only(family: Neighbourhood) -> None:
    told = weight(performer=[{"reference": f"Patient?_id={YUKI}"}])
    assert family.mother.create(told).status == 400
    assert family.mother.bundle("batch", post(told)).json["entry"][0]["response"]["status"] == "400"
    [made] = family.mother.bundle("transaction", post(told)).json["entry"]
    seen = family.mother.get(made["response"]["location"]).json
    assert seen["performer"] == [{"reference": f"Patient/{YUKI}"}]


def test_entries_may_use_our_own_address(family: Neighbourhood) -> None:
    kept = family.mother.made(weight())
    url = f"Observation/{kept['id']}"
    changed = kept | {"hasMember": [{"reference": f"{OWN}/{url}"}]}
    answer = family.mother.bundle("transaction", entry("PUT", url, changed) | {"fullUrl": f"{OWN}/{url}"})
    assert answer.status == 200
    assert family.mother.get(url).json["hasMember"] == [{"reference": url}]
