"""What the index reads of a resource, against an independent FHIRPath engine (fhirpathpy).

Over instances of every R4 type with every element and every type of a choice: for each search parameter both find
the same values, and the index says the parameter is there exactly if the engine finds something.
Then over HL7's own examples (tests/golden/r4, or all of them where their package is). Where HL7's definitions are, the
expressions are its own text, and its published resources are read too; so are the examples of JP Core
(tests/published.py says where each is looked for).
"""

from __future__ import annotations

import gzip
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.models import models

from phr.records import definitions
from phr.records.index import index_of, reference_type, walker
from phr.records.search import terms
from phr.records.search.params import COLUMNS, SearchParam, params_for
from phr.records.search.paths import TRUTH, resolve
from tests import published
from tests.records.instances import variants
from tests.records.test_index import KEY

# `resolve() is X` needs a server; what a reference says of its type is enough here.
_RESOLVES = re.compile(r"where\(resolve\(\) is (\w+)\)")
# R4 means by `as` what FHIRPath now calls ofType: of many values those of the type
_AS = re.compile(r"\(([\w.]+) as (\w+)\)")
# R4 calls a type DateTime that is called dateTime
_TYPO = re.compile(r"\bDateTime\b")
GOLDEN = Path(__file__).parents[1] / "golden" / "r4" / "examples.ndjson.gz"


@cache
def engine(expression: str) -> Callable[[dict[str, Any]], list[Any]]:
    """The engine's reading of an expression. It knows no abstract types."""
    said = _RESOLVES.sub(r"where(reference.matches('(^|.*/)\1/[^/]+'))", _TYPO.sub("dateTime", expression))
    said = _AS.sub(r"\1.ofType(\2)", re.sub(r"^Resource\.", "", said)).replace(".as(", ".ofType(")
    return fhirpathpy.compile(said, models["r4"])  # type: ignore[no-any-return]


def read(resource: dict[str, Any], param: SearchParam) -> list[Any]:
    """Our reading: what stands at the leaves of the parameter."""
    found = []
    for leaf in resolve(param.base, param.expression):
        nodes = walker(leaf.steps)(resource.get(leaf.steps[0].key))
        found += [n for n in nodes if leaf.only is None or reference_type(n) == leaf.only]
    return found


def told(values: list[Any]) -> list[str]:
    """Values in an order and a form that can be compared; the engine may write a date or a number its own way."""
    return sorted({json.dumps(value, sort_keys=True, default=float) for value in values})


def agree(resource: dict[str, Any], expressions: dict[str, str]) -> int:
    """Both readings of every parameter, and the index; returns how many parameters had a value."""
    kept = set(index_of(resource, KEY).terms)
    kind, seen = resource["resourceType"], 0
    for name, expression in expressions.items():
        param = params_for(kind)[name]
        theirs = engine(expression)(resource)
        present = terms.present_term(kind, name, KEY) in kept
        if TRUTH in param.types:
            assert terms.token_term(kind, name, None, json.dumps(bool(theirs and theirs[0])), KEY) in kept
            continue
        ours = read(resource, param)
        assert told(ours) == told(theirs), (kind, name, expression)
        assert present == bool(theirs), (kind, name)
        seen += bool(theirs)
    return seen


def ours_of(kind: str) -> dict[str, str]:
    return {p.name: p.expression for p in params_for(kind).values() if p.indexed and p.name not in COLUMNS}


@pytest.mark.spec("FHIR R4", "searchparameter-registry", "what each search parameter reads")
@pytest.mark.parametrize("kind", sorted(definitions.concrete_types()))
def test_every_parameter_reads_what_fhirpath_reads(kind: str) -> None:
    expressions, seen = ours_of(kind), set()
    for resource in variants(kind):
        agree(resource, expressions)
        seen |= {name for name, expression in expressions.items() if read(resource, params_for(kind)[name])}
    truths = {p.name for p in params_for(kind).values() if TRUTH in p.types}
    unseen = {name for name in set(expressions) - seen - truths if not name.startswith("jp-")}
    assert not unseen  # the instances hold a value for every parameter


def golden() -> list[dict[str, Any]]:
    """A choice of HL7's examples of R4."""
    return [json.loads(line) for line in gzip.decompress(GOLDEN.read_bytes()).splitlines()]


def test_hl7s_examples_are_read_the_same() -> None:
    examples = golden()
    read_ = [agree(resource, ours_of(resource["resourceType"])) for resource in examples]
    assert len({resource["resourceType"] for resource in examples}) == 139
    assert sum(read_) > 2000


@pytest.mark.parametrize("part", range(20))
def test_all_of_hl7s_examples_are_read_the_same(part: int) -> None:
    with tarfile.open(published.examples()) as archive:
        for member in archive.getmembers()[part::20]:
            file = archive.extractfile(member) if member.size < 300_000 and member.name.endswith(".json") else None
            resource = json.load(file) if file else {}
            if resource.get("resourceType") in definitions.concrete_types():
                agree(resource, ours_of(resource["resourceType"]))


@cache
def _published(folder: Path) -> dict[str, dict[str, str]]:
    """type -> parameter -> HL7's own expression, whole: also the parts that speak of other types."""
    bundle = json.loads(gzip.decompress((folder / "search-parameters.json.gz").read_bytes()))
    found: dict[str, dict[str, str]] = {}
    for entry in bundle["entry"]:
        parameter = entry["resource"]
        for base in parameter["base"]:
            if "expression" in parameter:
                found.setdefault(base, {})[parameter["code"]] = parameter["expression"]
    return found


@pytest.mark.parametrize("kind", sorted(definitions.concrete_types()))
def test_hl7s_own_expressions_read_the_same(kind: str) -> None:
    theirs = _published(published.definitions())
    own = theirs.get(kind, {}) | theirs["Resource"]
    expressions = {
        name: own[name] for name in ours_of(kind) if name in own and (kind, name) != ("InsurancePlan", "name")
    }
    for resource in variants(kind):
        agree(resource, expressions)


def _examples(package: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with tarfile.open(package) as archive:
        for member in archive:
            if member.name.startswith("package/example/") and (file := archive.extractfile(member)):
                resource = json.load(file)
                if resource.get("resourceType") in definitions.concrete_types():
                    yield member.name, resource


def test_the_examples_of_jp_core_are_read_the_same() -> None:
    read_ = [agree(resource, ours_of(resource["resourceType"])) for _, resource in _examples(published.jp_core())]
    assert len(read_) > 50
    assert sum(read_) > 300


@pytest.mark.parametrize("name", ["profiles-types", "profiles-resources", "search-parameters", "conceptmaps"])
def test_hl7s_published_resources_are_read_the_same(name: str) -> None:
    bundle = json.loads(gzip.decompress((published.definitions() / f"{name}.json.gz").read_bytes()))
    chosen = [entry["resource"] for entry in bundle["entry"]][:: max(1, len(bundle["entry"]) // 25)]
    for resource in chosen:
        assert agree(resource, ours_of(resource["resourceType"])) > 3
