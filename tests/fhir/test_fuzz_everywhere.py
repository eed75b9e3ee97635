"""Anything at all at every operation, search parameter, patch and route (Hypothesis): never a 5xx.

What is refused has written nothing, and says why in an OperationOutcome (`ask` of test_fuzz looks at both).
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from phr.populate.cast import YUKI
from tests.family import FHIR_JSON, Neighbourhood, encoded, pressure, weight
from tests.fhir.odd_calls import calls, definitions
from tests.fhir.odd_changes import JSON_PATCH, STEP_LISTS, bundles, fhirpath_patches, places
from tests.fhir.odd_searches import TYPES, quoted, searches
from tests.fhir.test_fuzz import JSON, ask, dumped

QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
FEW = settings(max_examples=80, suppress_health_check=QUIET)
MANY = settings(max_examples=4000, suppress_health_check=QUIET)


@pytest.fixture
def home(family: Neighbourhood) -> Neighbourhood:
    family.mother.made(weight())
    family.clinic.made(pressure())
    return family


def searches_are_harmless(home: Neighbourhood, search: str, headers: dict[str, str]) -> None:
    ask(home, "GET", f"/fhir/{search}", None, headers=headers)
    place, _, query = search.partition("?")
    if place in TYPES:
        ask(home, "POST", f"{place}/_search", query.encode(), type="application/x-www-form-urlencoded", headers=headers)
        ask(home, "DELETE", search, None, headers=headers)
        ask(home, "PUT", search, encoded(weight()), headers=headers)


PREFER = st.sampled_from([{}, {"Prefer": "handling=strict"}, {"Prefer": "return=minimal"}])


@FEW
@given(searches(), PREFER)
@example("Observation?_filter=" + quoted("(" * 500), {})
@example("Observation?" + "&".join(["code=a"] * 100), {})
@example("Observation?code=" + ",".join(f"c{n}" for n in range(3000)), {})
@example("Observation?" + ".".join(["subject:Patient"] * 40) + ".name=x", {})
@example("Observation?value-quantity=1e400", {})
def test_searches(home: Neighbourhood, search: str, headers: dict[str, str]) -> None:
    searches_are_harmless(home, search, headers)


@FEW
@given(calls())
def test_operations(home: Neighbourhood, call: tuple[str, str, bytes | None]) -> None:
    method, path, body = call
    ask(home, method, path, body)


@FEW
@given(definitions())
def test_value_sets(home: Neighbourhood, valueset: dict[str, Any]) -> None:
    sent = {"name": "valueSet", "resource": valueset}
    for name, more in (
        ("$expand", []),
        ("$validate-code", [{"name": "coding", "valueCoding": {"system": "urn:x", "code": "a"}}]),
    ):
        ask(home, "POST", f"ValueSet/{name}", encoded({"resourceType": "Parameters", "parameter": [sent, *more]}))


@FEW
@given(STEP_LISTS, fhirpath_patches())
def test_patches(home: Neighbourhood, steps: Any, fhirpath: dict[str, Any]) -> None:
    id = home.mother.search("Observation", patient=str(YUKI), code="29463-7").ids[0]
    ask(home, "PATCH", f"Observation/{id}", dumped(steps), type=JSON_PATCH)
    ask(home, "PATCH", f"Observation/{id}", dumped(fhirpath), type=FHIR_JSON)
    ask(home, "PATCH", f"Observation?_id={id}", dumped(steps), type=JSON_PATCH)


@FEW
@given(bundles())
def test_bundles(home: Neighbourhood, bundle: dict[str, Any]) -> None:
    ask(home, "POST", "", dumped(bundle))


@FEW
@given(st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]), places(), JSON.map(dumped))
def test_routes(home: Neighbourhood, method: str, place: str, body: bytes) -> None:
    ask(home, method, f"/fhir/{place}", body if method in ("POST", "PUT", "PATCH") else None)


@pytest.mark.long
@MANY
@given(searches(), PREFER)
def test_many_searches(home: Neighbourhood, search: str, headers: dict[str, str]) -> None:
    searches_are_harmless(home, search, headers)


@pytest.mark.long
@MANY
@given(calls())
def test_many_operations(home: Neighbourhood, call: tuple[str, str, bytes | None]) -> None:
    method, path, body = call
    ask(home, method, path, body)


@pytest.mark.long
@MANY
@given(STEP_LISTS, fhirpath_patches())
def test_many_patches(home: Neighbourhood, steps: Any, fhirpath: dict[str, Any]) -> None:
    id = home.mother.search("Observation", patient=str(YUKI), code="29463-7").ids[0]
    ask(home, "PATCH", f"Observation/{id}", dumped(steps), type=JSON_PATCH)
    ask(home, "PATCH", f"Observation/{id}", dumped(fhirpath), type=FHIR_JSON)


@pytest.mark.long
@MANY
@given(bundles())
def test_many_bundles(home: Neighbourhood, bundle: dict[str, Any]) -> None:
    ask(home, "POST", "", dumped(bundle))
