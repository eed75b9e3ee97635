"""Whatever is sent as a consent: a clear answer, and nothing half-written."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent.models import Grant
from phr.populate.cast import YUKI
from tests.consent.consents import consent
from tests.consent.test_fhir_consent import provisions
from tests.family import Neighbourhood, encoded, rows

ODD = st.sampled_from([
    {"status": "entered-in-error"}, {"status": "draft"}, {"status": "odd"}, {"scope": {"text": "x"}},
    {"modifierExtension": [{"url": "urn:x", "valueBoolean": True}]}, {"implicitRules": "urn:x"},
    {"policyRule": {"coding": [{"code": "OPTIN"}]}}, {"provision": {"type": "permit", "period": {"end": "9999-12-31"}}},
    {"provision": {"type": "permit", "dataPeriod": {"start": "0001-01-01T00:00:00+14:00"}}},
    {"provision": {"type": "deny", "period": {"start": "9999-12-31T23:59:59-12:00"}}}, {},
])  # fmt: skip
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
@given(provision=provisions(1), odd=ODD, who=st.sampled_from(["mother", "clinic"]))
def test_a_consent_at_the_rest_door(
    family: Neighbourhood, provision: dict[str, Any], odd: dict[str, Any], who: str
) -> None:
    told = consent(provision) | {"patient": {"reference": f"Patient/{YUKI}"}} | odd
    before, grants = rows(), Grant.objects.count()
    with transaction.atomic():
        answer = getattr(family, who).create(told)
        assert answer.status in (201, 400, 409, 422), answer
        if answer.status != 201:
            assert (rows(), Grant.objects.count()) == (before, grants)
            assert answer.issue["diagnostics"]
        else:
            shown = family.mother.get(f"Consent/{answer.id}")
            assert shown.status == 200
            told_of = family.mother.ask("GET", f"/api/trust/records/{YUKI}/consents")
            assert told_of.status == 200
            again = family.mother.put(shown.json)
            assert again.status in (200, 400, 403, 405, 409, 422), again
        transaction.set_rollback(True)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=4), st.just("9999-12-31T23:59:59-12:00"),
              st.just("0001-01-01T00:00:00+14:00"), st.just("org:1"), st.just("TREAT"), st.just("VITAL")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(
        ["permit", "purposes", "actors", "categories", "labels", "clauses", "valid_to", "data_low", "level", "items",
         "authors"]), inner, max_size=5)), max_leaves=10,
)  # fmt: skip


@settings(max_examples=80, deadline=None, suppress_health_check=QUIET)
@given(root=JSON, terms=st.one_of(st.none(), JSON), what=st.sampled_from(["give", "0/replace", "0/withdraw"]))
def test_a_consent_at_the_api(family: Neighbourhood, root: Any, terms: Any, what: str) -> None:
    grants = Grant.objects.count()
    with transaction.atomic():
        body = encoded({"root": root, "terms": terms, "reason": root, "categories": terms})
        method = "PUT" if what.endswith("replace") else "POST"
        path = f"/api/trust/records/{YUKI}/consents/{what}"
        answer = family.mother.ask(method, path, body, type="application/json")
        assert answer.status in (201, 404, 409, 422), answer
        if answer.status != 201:
            assert Grant.objects.count() == grants
        transaction.set_rollback(True)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"resourceType":"Consent"}', b'{"root":' + b"[" * 5000])
def test_what_is_no_json(family: Neighbourhood, content: bytes) -> None:
    assert 400 <= family.mother.ask("POST", "Consent", content).status < 500
    path = f"/api/trust/records/{YUKI}/consents/give"
    assert 400 <= family.mother.ask("POST", path, content, type="application/json").status < 500
