"""The API's description is valid OpenAPI, complete, and in both languages."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from integrations import family_number_views, record_views
from phr.api import urls

JAPANESE = re.compile(r"[぀-ヿ一-鿿]")
ENGLISH = re.compile(r"[A-Za-z]{3}")


@pytest.fixture
def schema() -> dict[str, Any]:
    GENERATOR_STATS.reset()
    made = SchemaGenerator().get_schema(request=None, public=True)
    return dict(made)


def described(schema: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, told)
        for path, methods in schema["paths"].items()
        for method, told in methods.items()
        if isinstance(told, dict) and "operationId" in told
    ]


def test_it_is_valid_and_without_a_warning(schema: dict[str, Any]) -> None:
    validate_schema(schema)
    warnings = {**GENERATOR_STATS._warn_cache, **GENERATOR_STATS._error_cache}
    assert not warnings, "\n".join(map(str, warnings))


def routes(patterns: list[Any]) -> set[str]:
    found = set()
    for entry in patterns:
        assert not isinstance(entry, URLResolver)
        assert isinstance(entry, URLPattern)
        if entry.name != "openapi":
            found.add("/api/trust/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(entry.pattern)))
    return found


def test_it_names_every_route(schema: dict[str, Any]) -> None:
    known = [*urls.urlpatterns, *record_views.urlpatterns, *family_number_views.urlpatterns]
    assert set(schema["paths"]) - {"/api/trust/openapi"} == routes(known)


def test_every_operation_has_a_name_of_its_own(schema: dict[str, Any]) -> None:
    names = [told["operationId"] for _, _, told in described(schema)]
    assert len(names) == len(set(names)), sorted(names)


def test_every_operation_is_told_in_both_languages(schema: dict[str, Any]) -> None:
    poor = [
        f"{method.upper()} {path}: {told.get('description', '')[:60]!r}"
        for path, method, told in described(schema)
        if not (JAPANESE.search(told.get("summary", "")) and ENGLISH.search(told.get("summary", "")))
    ]
    assert not poor, "\n".join(poor)


@pytest.mark.django_db
def test_it_is_served_to_everybody() -> None:
    answer = Client().get("/api/trust/openapi", headers={"accept": "application/json"})
    assert answer.status_code == 200
    assert answer.json()["openapi"].startswith("3.")
