"""What is included is what a naive walk over all resources finds, in any world, with anything hidden (Hypothesis)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from consent.decide import Caller, Capacity, Permit
from consent.scope import Basis, Door, Scope
from phr.records import including
from phr.records.gateway import Records
from phr.records.scoping import scope_sql
from phr.records.search.parse import BadSearch, parse
from tests.conftest import NOON
from tests.records.search import naive
from tests.records.search.asking import stored
from tests.records.search.world import world

database = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
# type -> parameter -> (JSON path, only references to this type)
LINKS = {
    "Observation": {
        "subject": (("subject",), None), "patient": (("subject",), "Patient"), "performer": (("performer",), None),
        "has-member": (("hasMember",), None),
    },
    "Patient": {"organization": (("managingOrganization",), None)},
    "Organization": {"partof": (("partOf",), None)},
    "List": {"item": (("entry", "item"), None), "subject": (("subject",), None), "patient": (("subject",), "Patient")},
}  # fmt: skip
TARGETS = ["", "", "", ":Patient", ":Organization", ":Observation"]


def references(resource: dict[str, Any], kind: str, param: str) -> set[str]:
    path, only = LINKS[kind][param]
    nodes: list[Any] = [resource]
    for key in path:
        found = [node[key] for node in nodes if key in node]
        nodes = [inner for one in found for inner in (one if isinstance(one, list) else [one])]
    named = {node["reference"] for node in nodes if "reference" in node}
    return {reference for reference in named if only is None or reference.startswith(f"{only}/")}


def params(told: str) -> list[tuple[str, str, str]]:
    """Source, parameter and target type that an include's text means."""
    source, _, rest = told.partition(":")
    param, _, target = rest.partition(":")
    kinds = list(LINKS) if source == "*" else [source]
    return [(k, p, target) for k in kinds for p in LINKS[k] if param in ("", "*", p)]


def step(layer: set[str], all_of_it: dict[str, dict[str, Any]], asked: list[tuple[str, str]]) -> set[str]:
    found: set[str] = set()
    for name, told in asked:
        for kind, param, target in params(told):
            for one, resource in all_of_it.items():
                if resource["resourceType"] == kind:
                    named = {
                        r for r in references(resource, kind, param) if r.startswith(f"{target}/" if target else "")
                    }
                    if name.startswith("_include") and one in layer:
                        found |= named & all_of_it.keys()
                    elif name.startswith("_revinclude") and named & layer:
                        found.add(one)
    return found


def walked(matches: set[str], all_of_it: dict[str, dict[str, Any]], asked: list[tuple[str, str]]) -> set[str]:
    brought: set[str] = set()
    layer, active = matches, asked
    for _ in range(including.DEEPEST):
        layer = step(layer, all_of_it, active) - matches - brought
        brought |= layer
        active = [pair for pair in asked if pair[0].endswith(":iterate")]
        if not layer or not active:
            break
    return brought


PAIRS = st.tuples(
    st.sampled_from(["_include", "_revinclude", "_include:iterate", "_revinclude:iterate"]),
    st.one_of(
        st.builds(
            lambda link, target: f"{link[0]}:{link[1]}{target}",
            st.sampled_from([(kind, param) for kind in LINKS for param in LINKS[kind]]), st.sampled_from(TARGETS),
        ),
        st.sampled_from([f"{kind}:*" for kind in LINKS]), st.just("*"),
    ),
)  # fmt: skip


@pytest.fixture(params=[3, 4])
def all_of_it(db: None, request: pytest.FixtureRequest) -> naive.World:
    return stored(world(request.param))


def seeing_everything() -> Records:
    caller = Caller(client="test", capacity=Capacity.SYSTEM, purpose="TREAT", doors=(Door("*", "cruds"),))
    scope = Scope(caller.doors, (Basis("test", None),), frozenset(), caller.purpose, NOON)
    return Records(caller, Permit(scope, ()), now=NOON)


@database
@given(st.data())
@pytest.mark.spec("FHIR R4", "3.1.1.5.3", "_include, _revinclude, :iterate, wild cards: exactly what is referred to")
def test_included_is_what_a_naive_walk_finds(
    all_of_it: naive.World, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    everything = {naive.name(r): r for r in all_of_it.resources}
    hidden = set(data.draw(st.lists(st.sampled_from(sorted(everything)), max_size=12)))
    seen = {name: resource for name, resource in everything.items() if name not in hidden}
    kind = data.draw(st.sampled_from(sorted(LINKS)))
    ids = data.draw(
        st.lists(st.sampled_from(sorted(n for n in seen if n.startswith(f"{kind}/"))), min_size=1, max_size=4)
    )
    asked = data.draw(st.lists(PAIRS, min_size=1, max_size=3))
    try:
        query = parse(kind, [("_id", ",".join(n.partition("/")[2] for n in ids)), *asked], now=NOON)
    except BadSearch:
        reject()  # a target that the parameter does not have
    records = seeing_everything()

    def hiding(*args: Any, **named: Any) -> str:
        p = args[2]
        return f"{scope_sql(*args, **named)} AND r.type || '/' || r.fhir_id <> ALL({p(sorted(hidden))}::text[])"

    with monkeypatch.context() as patched:
        patched.setattr(including, "scope_sql", hiding)
        page = records.search(query)
    assert {found.reference for found in page.entries} == set(ids)
    brought = [found.reference for found in page.included]
    assert len(brought) == len(set(brought))
    assert set(brought) == walked(set(ids), seen, asked)
