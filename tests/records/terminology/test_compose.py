"""ValueSet.compose: listing and asking agree with each other and with a naive reading of R4 valueset.html 4.9.5."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phr.records.terminology.compose import DEEPEST, Choice, Evaluation
from phr.records.terminology.errors import BadFilter, NotExpandable, TerminologyError, TooLarge
from phr.records.terminology.library import Library
from phr.records.terminology.sources import Kind, Resource

SYSTEMS = ("urn:s:0", "urn:s:1", "urn:s:2")
CODES = tuple("abcdefgh")
UNIVERSE = [(system, code) for system in SYSTEMS for code in CODES]


@dataclass
class Shelf:
    """A source of a few resources by hand."""

    resources: list[dict[str, Any]] = field(default_factory=list)

    def find(self, kind: Kind, url: str, version: str | None) -> Resource | None:
        found = (r for r in self.resources if (r["resourceType"], r["url"]) == (kind, url))
        return next((r for r in found if version in (None, r.get("version"))), None)

    def maps(self, system: str) -> Iterable[Resource]:
        return [r for r in self.resources if r["resourceType"] == "ConceptMap"]

    def supplements(self, system: str) -> Iterable[Resource]:
        return [r for r in self.resources if r.get("supplements") == system]

    def code_systems(self) -> Iterable[tuple[str, str]]:
        return [(r["url"], r.get("version", "")) for r in self.resources if r["resourceType"] == "CodeSystem"]

    def mark(self) -> object:
        return None


# -- random systems and sets -------------------------------------------------------------------------


@st.composite
def code_systems(draw: st.DrawFn, url: str) -> dict[str, Any]:
    """Codes a.., each below at most two earlier ones (by nesting-free `parent` properties); some inactive."""
    concepts = []
    for place, code in enumerate(CODES[: draw(st.integers(1, len(CODES)))]):
        above = draw(st.sets(st.sampled_from(CODES[:place]), max_size=2)) if place else set()
        properties: list[dict[str, Any]] = [{"code": "parent", "valueCode": c} for c in sorted(above)]
        if draw(st.booleans()):
            properties.append({"code": "colour", "valueString": draw(st.sampled_from(["red", "green"]))})
        if draw(st.integers(0, 4)) == 0:
            properties.append({"code": "inactive", "valueBoolean": True})
        concepts.append({"code": code, "display": code.upper(), "property": properties})
    declared = [{"code": "colour", "type": "string"}, {"code": "parent", "type": "code"}]
    return {"resourceType": "CodeSystem", "url": url, "content": "complete", "property": declared, "concept": concepts}


FILTERS = st.one_of(
    st.builds(lambda op, value: {"property": "concept", "op": op, "value": value},
              st.sampled_from(["is-a", "descendent-of", "is-not-a", "generalizes"]), st.sampled_from(CODES)),
    st.builds(lambda op, value: {"property": "colour", "op": op, "value": value},
              st.sampled_from(["=", "in", "not-in", "regex"]), st.sampled_from(["red", "green", "red,green", "gr.*"])),
    st.builds(lambda value: {"property": "colour", "op": "exists", "value": value}, st.sampled_from(["true", "false"])),
    st.builds(lambda value: {"property": "code", "op": "regex", "value": value}, st.sampled_from(["[a-c]", "a|h"])),
    st.builds(lambda value: {"property": "inactive", "op": "=", "value": value}, st.sampled_from(["true", "false"])),
)  # fmt: skip


@st.composite
def parts(draw: st.DrawFn, level: int) -> dict[str, Any]:
    """One include or exclude of a value set that may use those of lower levels."""
    part: dict[str, Any] = {}
    nested = [f"urn:v:{n}" for n in range(level)]
    if draw(st.booleans()) or not nested:
        part["system"] = draw(st.sampled_from(SYSTEMS))
        match draw(st.integers(0, 2)):
            case 0:
                part["concept"] = [{"code": c} for c in draw(st.lists(st.sampled_from(CODES), max_size=4))]
            case 1:
                part["filter"] = draw(st.lists(FILTERS, min_size=1, max_size=2))
    if nested and ("system" not in part or draw(st.booleans())):
        part["valueSet"] = draw(st.lists(st.sampled_from(nested), min_size=1, max_size=2))
    return part


@st.composite
def shelves(draw: st.DrawFn) -> Shelf:
    resources: list[dict[str, Any]] = [draw(code_systems(url)) for url in SYSTEMS]
    for level in range(3):
        compose: dict[str, Any] = {"include": draw(st.lists(parts(level), min_size=1, max_size=3))}
        compose["exclude"] = draw(st.lists(parts(level), max_size=2))
        if draw(st.booleans()):
            compose["inactive"] = draw(st.booleans())
        resources.append({"resourceType": "ValueSet", "url": f"urn:v:{level}", "compose": compose})
    return Shelf(resources)


# -- the naive reading -------------------------------------------------------------------------------


def concept_of(shelf: Shelf, system: str, code: str) -> dict[str, Any] | None:
    found = shelf.find("CodeSystem", system, None)
    assert found is not None
    return next((c for c in found["concept"] if c["code"] == code), None)


def said(concept: dict[str, Any], name: str) -> list[str]:
    values = [next(v for k, v in p.items() if k != "code") for p in concept["property"] if p["code"] == name]
    return [str(v).lower() for v in values]


def is_below(shelf: Shelf, system: str, code: str, top: str) -> bool:
    concept = concept_of(shelf, system, code)
    return code == top or any(is_below(shelf, system, up, top) for up in said(concept or {"property": []}, "parent"))


def passes(shelf: Shelf, system: str, code: str, told: dict[str, str]) -> bool:
    concept = concept_of(shelf, system, code)
    assert concept is not None
    op, value = told["op"], told["value"]
    if told["property"] == "concept":
        down, up = is_below(shelf, system, code, value), is_below(shelf, system, value, code)
        return {"is-a": down, "descendent-of": down and code != value, "is-not-a": not down, "generalizes": up}[op]
    values = [code] if told["property"] == "code" else said(concept, told["property"])
    if told["property"] == "inactive":
        values = values or ["false"]
    matches = {"[a-c]": "abc", "a|h": "ah", "gr.*": ["green"], "red": ["red"], "green": ["green"]}
    return {
        "=": value in values,
        "in": any(v in value.split(",") for v in values),
        "not-in": not any(v in value.split(",") for v in values),
        "exists": bool(values) == (value == "true"),
        "regex": any(v in matches.get(value, ()) for v in values),
    }[op]


def naive_part(shelf: Shelf, part: dict[str, Any], system: str, code: str) -> bool:
    if "system" in part:
        if part["system"] != system:
            inside = False
        elif "concept" in part:
            inside = {"code": code} in part["concept"]
        else:
            exists = concept_of(shelf, system, code) is not None
            inside = exists and all(passes(shelf, system, code, f) for f in part.get("filter", []))
        if not inside:
            return False
    return all(naive(shelf, url, system, code) for url in part.get("valueSet", []))


def naive(shelf: Shelf, url: str, system: str, code: str) -> bool:
    valueset = shelf.find("ValueSet", url, None)
    assert valueset is not None
    compose = valueset["compose"]
    included = any(naive_part(shelf, p, system, code) for p in compose["include"])
    excluded = any(naive_part(shelf, p, system, code) for p in compose["exclude"])
    concept = concept_of(shelf, system, code)
    kept = compose.get("inactive", True) or concept is None or said(concept, "inactive") != ["true"]
    return included and not excluded and kept


@pytest.mark.spec("FHIR R4", "valueset 4.9.5", "compose: includes together, conditions at once, excludes taken away")
@given(shelves())
def test_listing_and_asking_agree_with_a_naive_reading(shelf: Shelf) -> None:
    library = Library((shelf,))
    for level in range(3):
        valueset = library.value_set(f"urn:v:{level}")
        try:
            listed = set(Evaluation(library).members(valueset).entries)
        except NotExpandable:
            continue  # a filter names a code that is not there
        for system, code in UNIVERSE:
            asked = Evaluation(library).contains(valueset, system, code)
            assert asked == ((system, code) in listed) == naive(shelf, f"urn:v:{level}", system, code), (level, code)


@given(shelves(), st.sampled_from(SYSTEMS))
def test_without_a_system_nothing_is_ever_answered_wrongly(shelf: Shelf, missing: str) -> None:
    """One code system is taken away: what is still answered is what was answered with it."""
    library = Library((shelf,))
    poorer = Library((Shelf([r for r in shelf.resources if r["url"] != missing]),))
    valueset = library.value_set("urn:v:2")
    if any("inactive" in r.get("compose", {}) for r in shelf.resources):
        return  # of a code listed one by one, only its code system says that it is inactive
    for system, code in UNIVERSE:
        try:
            poor = Evaluation(poorer).contains(valueset, system, code)
        except TerminologyError:
            continue
        assert poor == Evaluation(library).contains(valueset, system, code)


# -- by hand -----------------------------------------------------------------------------------------

TREE = {
    "resourceType": "CodeSystem", "url": "urn:tree", "version": "1", "content": "complete", "caseSensitive": False,
    "concept": [{"code": "Root", "concept": [{"code": "Leaf"}, {"code": "Other", "property": [
        {"code": "child", "valueCode": "Leaf"}]}]}],
}  # fmt: skip


def listed(*includes: dict[str, Any], shelf: Iterable[dict[str, Any]] = (TREE,), **compose: Any) -> list[str]:
    valueset = {"resourceType": "ValueSet", "url": "urn:asked", "compose": {"include": list(includes)} | compose}
    return [code for _, code in Evaluation(Library((Shelf(list(shelf)),))).members(valueset).entries]


@pytest.mark.spec("FHIR R4", "codesystem 4.8.8", "nesting and the property child both make a hierarchy")
def test_hierarchy() -> None:
    system = Library((Shelf([TREE]),)).code_system("urn:tree")
    assert system.below("Other") == {"Other", "Leaf"}
    assert system.above("Leaf") == {"Leaf", "Other", "Root"}
    assert system.below("ROOT") == {"Root", "Leaf", "Other"}, "letter case does not count in this system"


def test_a_hierarchy_that_is_no_is_a_subsumes_nothing() -> None:
    system = Library((Shelf([TREE | {"hierarchyMeaning": "part-of"}]),)).code_system("urn:tree")
    assert system.below("Root") == {"Root"}


def test_a_circle_of_concepts_ends() -> None:
    circle = [{"code": c, "property": [{"code": "parent", "valueCode": p}]} for c, p in ("ab", "bc", "ca")]
    system = Library((Shelf([TREE | {"concept": circle}]),)).code_system("urn:tree")
    assert system.below("a") == system.above("a") == {"a", "b", "c"}


def test_what_is_only_partly_loaded_is_never_taken_away() -> None:
    part = TREE | {"content": "fragment"}
    assert listed({"system": "urn:tree"}, shelf=[part]) == ["Root", "Leaf", "Other"]
    with pytest.raises(NotExpandable, match="urn:tree"):
        listed({"system": "urn:tree", "concept": [{"code": "Leaf"}]}, shelf=[part], exclude=[{"system": "urn:tree"}])


def test_a_whole_stored_expansion_stands_in() -> None:
    contains = [{"system": "urn:x", "code": "1", "contains": [{"system": "urn:x", "code": "2"}]}]
    valueset: dict[str, Any] = {
        "url": "urn:v", "compose": {"include": [{"system": "urn:x"}]}, "expansion": {"total": 2, "contains": contains}
    }  # fmt: skip
    assert list(Evaluation(Library(())).members(valueset).entries) == [("urn:x", "1"), ("urn:x", "2")]
    valueset["expansion"]["total"] = 3
    with pytest.raises(NotExpandable):
        Evaluation(Library(())).members(valueset)


def test_systems_left_out_and_versions() -> None:
    library = Library((Shelf([TREE]),))
    valueset = {"url": "urn:v", "compose": {"include": [{"system": "urn:tree"}]}}
    assert not Evaluation(library, Choice(without=frozenset({"urn:tree"}))).members(valueset).entries
    assert Evaluation(library, Choice(default={"urn:tree": "1"})).members(valueset).entries
    for choice in (
        Choice(default={"urn:tree": "2"}),
        Choice(forced={"urn:tree": "2"}),
        Choice(checked={"urn:tree": "2"}),
    ):
        with pytest.raises(TerminologyError):
            Evaluation(library, choice).members(valueset)


def test_circles_and_depth_of_value_sets_are_refused() -> None:
    one = {"resourceType": "ValueSet", "url": "urn:1", "compose": {"include": [{"valueSet": ["urn:2"]}]}}
    two = {"resourceType": "ValueSet", "url": "urn:2", "compose": {"include": [{"valueSet": ["urn:1|"]}]}}
    with pytest.raises(NotExpandable, match="includes itself"):
        listed({"valueSet": ["urn:1"]}, shelf=[one, two])
    chain = [
        {"resourceType": "ValueSet", "url": f"urn:{n}", "compose": {"include": [{"valueSet": [f"urn:{n + 1}"]}]}}
        for n in range(DEEPEST + 1)
    ]
    with pytest.raises(TooLarge, match=str(DEEPEST)):
        listed({"valueSet": ["urn:0"]}, shelf=chain)


def test_many_ways_to_the_same_set_are_walked_once() -> None:
    """Each set includes the next one twice: 2 to the power of 15 paths, and no more work than 15 sets."""
    chain = [
        {"resourceType": "ValueSet", "url": f"urn:{n}",
         "compose": {"include": [{"valueSet": [f"urn:{n + 1}"]}, {"valueSet": [f"urn:{n + 1}"]}]}}
        for n in range(15)
    ]  # fmt: skip
    last = {"resourceType": "ValueSet", "url": "urn:15", "compose": {"include": [{"system": "urn:tree"}]}}
    assert listed({"valueSet": ["urn:0"]}, shelf=[*chain, last, TREE]) == ["Root", "Leaf", "Other"]
    valueset = {"url": "urn:asked", "compose": {"include": [{"valueSet": ["urn:0"]}]}}
    evaluation = Evaluation(Library((Shelf([*chain, last, TREE]),)))
    assert evaluation.contains(valueset, "urn:tree", "none") is False


def anything() -> st.SearchStrategy[Any]:
    """JSON of any shape, with the words of a compose in it."""
    words = st.sampled_from(["include", "exclude", "system", "concept", "filter", "valueSet", "code", "op", "value",
                             "property", "urn:tree", "is-a", "regex", "Root", "("])  # fmt: skip
    plain = st.none() | st.booleans() | st.integers() | words
    return st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4))


@given(st.dictionaries(st.sampled_from(["include", "exclude", "inactive"]), st.lists(anything(), max_size=3)))
def test_a_definition_of_any_shape_is_answered_or_refused(compose: dict[str, Any]) -> None:
    evaluation = Evaluation(Library((Shelf([TREE]),)))
    for question in (evaluation.members, lambda v: evaluation.contains(v, "urn:tree", "Root")):
        try:
            question({"url": "urn:v", "compose": compose})
        except (BadFilter, NotExpandable, TooLarge):
            pass


# -- the same again -----------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"filter": [{"property": "code", "op": "regex", "value": "[a-d]"}]}])
def test_the_same_system_again_is_looked_at_once(more: dict[str, Any]) -> None:
    """Nine hundred includes of one system cost about what one costs."""
    concepts = [{"code": f"{letter}{n}"} for n in range(250) for letter in CODES]
    system = {"resourceType": "CodeSystem", "url": "urn:s:0", "content": "complete", "concept": concepts}
    part = {"system": "urn:s:0"} | more
    again = {"url": "urn:v", "compose": {"include": [part | {"id": str(n)} for n in range(900)]}}
    library = Library((Shelf([system]),))
    once = Evaluation(library).members({"url": "urn:v", "compose": {"include": [part]}})
    assert Evaluation(library).members(again).entries == once.entries
    apart = {"url": "urn:v", "compose": {"include": [part | {"version": str(n)} for n in range(900)]}}
    versions = [system | {"version": str(n)} for n in range(900)]
    with pytest.raises(TooLarge):
        Evaluation(Library((Shelf(versions),))).members(apart)


def test_what_two_conditions_share_is_counted() -> None:
    concepts = [{"code": f"{letter}{n}"} for n in range(250) for letter in CODES]
    system = {"resourceType": "CodeSystem", "url": "urn:s:0", "content": "complete", "concept": concepts}
    whole = {"resourceType": "ValueSet", "url": "urn:all", "compose": {"include": [{"system": "urn:s:0"}]}}
    part = {"system": "urn:s:0", "valueSet": ["urn:all"]}
    with pytest.raises(TooLarge):
        Evaluation(Library((Shelf([system, whole]),))).members({"url": "urn:v", "compose": {"include": [part] * 400}})
