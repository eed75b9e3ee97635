"""Our FHIRPath against an independent engine (fhirpathpy), on R4's own invariants and the invented family."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.models import models

from phr import populate
from phr.records.fhirpath import Node, compiled, tree
from phr.records.profiles import bundled
from phr.records.profiles.structure import BASE

# what the other engine cannot do (variables of FHIR), or prints
UNFIT = ("%resource", "%rootResource", "%context", "trace(", "htmlChecks", "resolve(")
PATHS = [
    "code.coding.code", "name.given", "subject.reference", "component.value.value",
    "category.coding.where(system.exists())",
    "effective", "period.start", "descendants().where($this is Coding).code", "identifier.value.first()",
    "code.coding.exists(system = 'http://loinc.org')", "meta.profile.count() > 0 and status = 'final'",
    "value.ofType(Quantity).value > 10", "(value as Quantity).unit", "birthDate < @2020-01-01", "name.given.join(' ')",
    "component.select(code.text & ':' & value.unit)", "code.coding.code | category.coding.code",
    "iif(status = 'final', code.text, 'x')", "code.coding.system.distinct().count()",
    "code.text.substring(0, 1).length()",
    "code.coding.all(code.matches('^[0-9-]+$'))", "telecom.where(system = 'phone').value", "contact.empty()",
]  # fmt: skip


def resources() -> list[dict[str, Any]]:
    """One of each type and code of the demo family's."""
    kept: dict[str, dict[str, Any]] = {}
    for file in sorted((Path(populate.__file__).parent / "demo").glob("*.json")):
        for entry in json.loads(file.read_text()).get("entry", []):
            resource = entry.get("resource", {})
            kept.setdefault(resource.get("resourceType", "") + json.dumps(resource.get("code")), resource)
    return [resource for key, resource in kept.items() if key != "null"]


def invariants(type: str) -> Iterator[str]:
    """The expressions that fall on a resource of a type as a whole."""
    structure = bundled.canonical(BASE + type)
    assert structure is not None
    for rule in structure["snapshot"]["element"][0].get("constraint", []):
        if not any(word in rule["expression"] for word in UNFIT):
            yield rule["expression"]


def ours(resource: dict[str, Any], expression: str) -> list[Any]:
    found = compiled(expression).on(tree(resource))
    return [item.value if isinstance(item, Node) else item for item in found]


def theirs(resource: dict[str, Any], expression: str) -> list[Any]:
    found: list[Any] = fhirpathpy.evaluate(resource, expression, model=models["r4"])
    return found


def plain(values: list[Any]) -> str:
    return json.dumps(values, default=str, sort_keys=True, ensure_ascii=False)


def test_invariants_give_the_same() -> None:
    asked = 0
    for resource in resources():
        for expression in invariants(resource["resourceType"]):
            assert plain(ours(resource, expression)) == plain(theirs(resource, expression)), expression
            asked += 1
    assert asked > 200


@pytest.mark.parametrize("expression", PATHS)
def test_expressions_give_the_same(expression: str) -> None:
    for resource in resources():
        assert plain(ours(resource, expression)) == plain(theirs(resource, expression)), resource["resourceType"]
