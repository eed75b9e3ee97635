"""What a search can find a resource by: terms, ranges and texts. Pure.

`index_of(resource, key)` walks a resource once. The search expressions of its type are compiled
on first use into a plan: first JSON key -> the walks that begin there -> what to write for each
value found. Parameters whose first element is absent cost nothing.

* terms: keyed hashes: tokens, references, URIs, exact strings, presence (`search/terms.py`), what was measured
  (`search/quantities.py`), and what a composite says of one element (`index_composites.py`);
* ranges: (param_id, low, high) half-open (`index_spans.py`): dates, places;
* words: (param_id, tsvector) (`search/words.py`): `_text` and `_content` of the types that belong to no one;
* texts: (param_id, normalised text) (`search/normal.py`): string parameters, HumanName and
  Address by their parts and as a whole.

Not indexed: `_id`, `_lastUpdated` (columns), and composites that are just their components together.
The function never raises on odd JSON; what it cannot read it leaves out.
Source: FHIR R4 3.1.1.4 (search parameter types), JP Core 1.2.0 (system spellings).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from consent.scope import OPEN_TYPES
from phr.records import index_values
from phr.records.definitions import concrete_types
from phr.records.index_composites import Pairs, pairs_for
from phr.records.index_values import Sink, Write
from phr.records.said import everything, narrative
from phr.records.search import quantities, terms
from phr.records.search.normal import normal
from phr.records.search.params import COLUMNS, SearchParam, param_ids, params_for
from phr.records.search.paths import TRUTH, Filter, Leaf, Step, resolve
from phr.records.search.words import vector

__all__ = ["Indexed", "Walk", "index_of", "normal", "plan_for", "walker"]

Walk = Callable[[Any], list[Any]]


@dataclass(frozen=True, slots=True)
class Indexed:
    """The index rows of one resource. Terms are signed 64-bit and sorted; nothing occurs twice."""

    terms: list[int]
    ranges: list[tuple[int, float, float]]
    texts: list[tuple[int, str]]
    words: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """What to do with the nodes of one walk: mark presence, and write them (None: kept elsewhere)."""

    present: str
    write: Write | None
    only: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The compiled search parameters of one type. `truths`: (walks by first key, present head, term head).

    `pairs`: what its composite parameters pair, by first key.
    """

    walks: Mapping[str, tuple[tuple[Walk, tuple[Action, ...]], ...]]
    truths: tuple[tuple[tuple[str, ...], str, str], ...]
    pairs: Mapping[str, tuple[Pairs, ...]]


def index_of(resource: Mapping[str, Any], key: bytes) -> Indexed:
    """The index rows of a resource. `key`: the index key, 16 to 64 bytes. Raises KeyError for an unknown type."""
    plan = plan_for(resource["resourceType"])
    sink = Sink()
    walks, texts = plan.walks, sink.terms
    for name, value in resource.items():
        for pairs in plan.pairs.get(name, ()):
            texts.update(pairs.texts(value))
        for walk, actions in walks.get(name, ()):
            if nodes := walk(value):
                _write(nodes, actions, sink)
    for keys, present, head in plan.truths:
        found = [resource[k] for k in keys if k in resource]
        texts.add(head + ("true" if any(v is not False for v in found) else "false"))
        texts.add(present)
    return _finished(sink, key, _words(resource))


def _words(resource: Mapping[str, Any]) -> tuple[tuple[int, str], ...]:
    """What is said in words, where that is nobody's secret."""
    if resource["resourceType"] not in OPEN_TYPES:
        return ()
    ids = param_ids()
    told = (ids["_text"], vector([narrative(resource)])), (ids["_content"], vector(everything(resource)))
    return tuple((param, words) for param, words in told if words)


def _write(nodes: list[Any], actions: tuple[Action, ...], sink: Sink) -> None:
    for action in actions:
        chosen = nodes if action.only is None else _only(nodes, action.only)
        if chosen:
            sink.terms.add(action.present)
            if action.write is not None:
                for node in chosen:
                    action.write(node, sink)


def _finished(sink: Sink, key: bytes, words: tuple[tuple[int, str], ...]) -> Indexed:
    for head, values in sink.quantities.items():
        sink.terms.update(quantities.stored(head, tuple(values)))
    hashed, named = terms.hashed, terms.self_term
    found = {hashed(text, key) for text in sink.terms}
    found |= {hashed(head, key) ^ named(reference, key) for head, reference in sink.references}
    return Indexed(
        terms=sorted(found),
        ranges=list(dict.fromkeys(sink.ranges)),
        texts=list(dict.fromkeys(sink.texts)),
        words=words,
    )


@cache
def plan_for(type_name: str) -> Plan:
    """Compile the parameters of a type. Raises KeyError for an unknown type, BadExpression for a bad table."""
    if type_name not in concrete_types():
        raise KeyError(type_name)
    walks: dict[str, dict[tuple[Step, ...], list[Action]]] = {}
    truths = []
    for param in params_for(type_name).values():
        if not param.indexed or param.name in COLUMNS:
            continue
        present = terms.head(type_name, param.name, "m")
        for leaf in resolve(type_name, param.expression):
            if leaf.type == TRUTH:
                continue
            action = _action(param, leaf, present)
            walks.setdefault(leaf.steps[0].key, {}).setdefault(leaf.steps, []).append(action)
        if TRUTH in param.types:
            keys = tuple(leaf.steps[0].key for leaf in resolve(type_name, param.expression))
            truths.append((keys, present, terms.head(type_name, param.name, "a")))
    compiled = {
        key: tuple((walker(steps), tuple(actions)) for steps, actions in by_path.items())
        for key, by_path in walks.items()
    }
    return Plan(compiled, tuple(truths), pairs_for(type_name, walker))


def _action(param: SearchParam, leaf: Leaf, present: str) -> Action:
    write = index_values.writer(param, leaf.type) if param.own else None
    return Action(present, write, leaf.only)


def walker(steps: tuple[Step, ...] | None) -> Walk:
    """A function from the value at the first key to the nodes at the end of the path; None = the value itself."""
    if steps is None:
        return _listed
    first, *rest = steps
    if not rest and not first.where and first.index is None:
        return _listed
    keep = _keeper(first)
    tail = [(step.key, _keeper(step)) for step in rest]

    def walk(value: Any) -> list[Any]:
        nodes = keep(_listed(value))
        for key, keep_next in tail:
            if not nodes:
                return nodes
            found: list[Any] = []
            for node in nodes:
                if isinstance(node, dict) and (inner := node.get(key)) is not None:
                    if isinstance(inner, list):
                        found += inner
                    else:
                        found.append(inner)
            nodes = keep_next(found)
        return nodes

    return walk


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value is not None else []


def _keeper(step: Step) -> Walk:
    if not step.where and step.index is None:
        return lambda nodes: nodes
    tests = [_test(condition) for condition in step.where]
    at = step.index

    def keep(nodes: list[Any]) -> list[Any]:
        if tests:
            nodes = [node for node in nodes if isinstance(node, dict) and all(test(node) for test in tests)]
        return nodes if at is None else nodes[at : at + 1]

    return keep


def _test(condition: Filter) -> Callable[[dict[str, Any]], bool]:
    wanted = condition.value
    walks = [(path[0].key, walker(path)) for path in condition.paths]
    return lambda node: any(wanted in walk(node.get(key)) for key, walk in walks)


def _only(nodes: Iterable[Any], type_name: str) -> list[Any]:
    """References that resolve to a type, judged by the reference itself or `Reference.type`."""
    return [node for node in nodes if reference_type(node) == type_name]


def reference_type(node: Any) -> str | None:
    """The resource type a Reference points to, if it says so."""
    if not isinstance(node, dict):
        return None
    reference = node.get("reference")
    if isinstance(reference, str):
        cut = reference.find("/")
        if cut > 0 and reference[:cut].isalpha():
            return reference[:cut]
        if parts := terms.literal(reference):
            return parts[1]
    kind = node.get("type")
    return kind if isinstance(kind, str) else None
