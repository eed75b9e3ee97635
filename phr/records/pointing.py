"""Which resources a resource points to, by its reference parameters. Pure.

What a search found is opened; its references are read from the bodies, not from the index (which holds hashes).
Source: FHIR R4 search.html §3.1.1.5.3 (_include, _revinclude), references.html §2.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from phr.records.definitions import concrete_types
from phr.records.index import Walk, reference_type, walker
from phr.records.search import terms
from phr.records.search.asked import asked_terms
from phr.records.search.params import SearchParam, params_for
from phr.records.search.paths import resolve
from phr.records.search.query import Condition, Include, Reference

Target = tuple[str, str]  # type and id, or "" and a canonical URL
Way = tuple[str, Walk, str | None]  # first key, walk from its value, only references to this type
MOST_TERMS = 20_000  # of one step back


class TooMany(Exception):
    """More references would have to be followed at once than one step takes."""


def targets(resource: Mapping[str, Any], includes: Iterable[Include], *, base: str) -> dict[Target, None]:
    """What the forward includes bring for one resource, in the order of its elements. `base`: our own FHIR base."""
    kind = resource["resourceType"]
    found: dict[Target, None] = {}
    for include in includes:
        if not include.reverse and include.source in ("*", kind):
            params = references_of(kind) if include.param is None else (include.param,)
            for param in params:
                for target in _of_param(resource, param, base):
                    if include.target in (None, target[0]) or (not target[0] and _canonical(param, include.target)):
                        found[target] = None
    return found


def _canonical(param: SearchParam, kind: str | None) -> bool:
    return not param.targets or kind in param.targets


def _of_param(resource: Mapping[str, Any], param: SearchParam, base: str) -> Iterator[Target]:
    for key, walk, only in _ways(param.base, param.name):
        if (value := resource.get(key)) is None:
            continue
        for node in walk(value):
            if only is None or reference_type(node) == only:
                yield from _target(node, base)


def _target(node: Any, base: str) -> Iterator[Target]:
    if isinstance(node, str):  # a canonical; a version after | is not what is looked for
        if node and not node.startswith("#"):
            yield "", node.partition("|")[0]
        return
    reference = node.get("reference") if isinstance(node, dict) else None
    if isinstance(reference, str) and (parts := terms.literal(terms.relative(reference, base))):
        where, kind, id = parts
        if where is None and kind in concrete_types():
            yield kind, id


@lru_cache(maxsize=1024)
def _ways(kind: str, name: str) -> tuple[Way, ...]:
    leaves = resolve(kind, params_for(kind)[name].expression)
    return tuple((leaf.steps[0].key, walker(leaf.steps), leaf.only) for leaf in leaves)


@lru_cache(maxsize=256)
def references_of(kind: str) -> tuple[SearchParam, ...]:
    """Every reference parameter of a type (`_include=*`)."""
    return tuple(p for p in params_for(kind).values() if p.type == "reference" and p.expression)


def back(
    layer: Sequence[tuple[str, str, str | None]], includes: Iterable[Include], key: bytes
) -> tuple[set[str], set[int]]:
    """Types and terms of what the reverse includes bring. `layer`: type, id, own canonical URL. Raises TooMany."""
    types: set[str] = set()
    hashes: set[int] = set()
    for include in includes:
        if include.reverse:
            for param in _sources(include):
                asked = tuple(_called(layer, param, include.target))
                if asked:
                    types.add(param.base)
                    hashes.update(asked_terms(Condition(param, asked), key))
                if len(hashes) > MOST_TERMS:
                    raise TooMany
    return types, hashes


def _sources(include: Include) -> tuple[SearchParam, ...]:
    if include.param is not None:
        return (include.param,)
    return _everywhere() if include.source == "*" else references_of(include.source)


@lru_cache(maxsize=1)
def _everywhere() -> tuple[SearchParam, ...]:
    return tuple(param for kind in sorted(concrete_types()) for param in references_of(kind))


def _called(
    layer: Sequence[tuple[str, str, str | None]], param: SearchParam, target: str | None
) -> Iterator[Reference]:
    """The names by which a parameter may refer to what is in the layer."""
    fits = _fitting(param)
    for kind, id, url in layer:
        if fits(kind) and target in (None, kind):
            if "Reference" in param.types:
                yield Reference(f"{kind}/{id}")
            if url and "canonical" in param.types:
                yield Reference(url)


def _fitting(param: SearchParam) -> Callable[[str], bool]:
    only = {kept.only for kept in param.kept}
    allowed = frozenset(param.targets) if None in only else frozenset(kind for kind in only if kind)
    return lambda kind: not allowed or kind in allowed
