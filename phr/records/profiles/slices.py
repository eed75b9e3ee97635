"""Slicing: which slice a value belongs to, and whether the slices are as the profile wants them. Pure.

Discriminators value, pattern, exists, type and profile, on paths with `$this`, child names, `extension('url')`,
`ofType(…)` and `resolve()`. Source: FHIR R4 profiling.html §5.1.0.14–15, elementdefinition.html (slicing).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from phr.records.fhirpath import Node, compiled
from phr.records.fhirpath.parser import Ast, Call, Literal, Name, Unsupported, Variable, parse
from phr.records.fhirpath.types import lineage
from phr.records.fhirpath.values import Trouble, same
from phr.records.profiles import coded, references
from phr.records.profiles.structure import BASE, Constant, Profile, Spec, Unwalkable
from phr.records.profiles.walk import Walk

Place = tuple[Spec, Profile]


def sorted_out(walk: Walk, nodes: Sequence[Node], spec: Spec, profile: Profile) -> list[tuple[Node, Spec | None]]:
    """Each value with its slice (None: it is in none). Raises Unwalkable."""
    return [(node, next((s for s in spec.slices if _is_in(walk, node, s, spec, profile)), None)) for node in nodes]


def arranged(walk: Walk, found: Sequence[tuple[Node, Spec | None]], spec: Spec, profile: Profile) -> None:
    """Report values that the rules of the slicing leave no place: closed, openAtEnd, ordered."""
    assert spec.slicing is not None
    last, after_open = -1, False
    for node, slice in found:
        if slice is None:
            after_open = True
            if spec.slicing.rules == "closed":
                text = "どのスライスにも当てはまりません。"
                english = "It is in none of the slices, and no others are allowed."
                walk.add(node.path(), "structure", text, english, f"{profile.url}#{spec.id}")
            continue
        at = spec.slices.index(slice)
        misplaced = (spec.slicing.ordered and at < last) or (spec.slicing.rules == "openAtEnd" and after_open)
        if misplaced:
            text = "スライスの順序が違います。"
            walk.add(node.path(), "structure", text, "The slices are out of order.", f"{profile.url}#{slice.id}")
        last = max(last, at)


def _is_in(walk: Walk, node: Node, slice: Spec, spec: Spec, profile: Profile) -> bool:
    assert spec.slicing is not None
    if not spec.slicing.discriminators:
        return walk.conforms(walk, node, slice, profile)
    return all(_tells(walk, node, slice, kind, path, profile) for kind, path in spec.slicing.discriminators)


def _tells(walk: Walk, node: Node, slice: Spec, kind: str, path: str, profile: Profile) -> bool:
    """Whether one discriminator puts the value into the slice."""
    walk.context.step(10)
    if path == "url" and node.type == "Extension":
        return bool(node.value.get("url") == _extension_url(walk, slice, profile))
    if path.endswith("resolve()") and kind in ("type", "profile"):
        stem = path.removesuffix("resolve()").rstrip(".") or "$this"
        holders = _places(walk, slice, profile, _steps(stem), f"{profile.url}#{slice.id} {path}")
        targets = [t for spec, _ in holders if isinstance(spec, Spec) for rule in spec.types for t in rule.targets]
        return _by_target(walk, _at(walk, node, stem), targets, kind)
    nodes = _at(walk, node, path)
    places = list(_places(walk, slice, profile, _steps(path), f"{profile.url}#{slice.id} {path}"))
    match kind:
        case "value" | "pattern":
            return _by_value(walk, nodes, places, f"{profile.url}#{slice.id} {path}")
        case "exists":
            return all(not nodes if s.max == 0 else bool(nodes) for s, _ in places if isinstance(s, Spec))
        case "type":
            allowed = {t.code for s, _ in places if isinstance(s, Spec) for t in s.types}
            return any(allowed.intersection([*lineage(n.type), "Resource"]) for n in nodes)
        case "profile":
            return any(_meets(walk, n, s, p) for n in nodes for s, p in places if isinstance(s, Spec))
    raise Unwalkable(f"{profile.url}: {kind[:40]} による分け方は扱えません。Discriminator not supported: {slice.id}.")


def _by_target(walk: Walk, nodes: Sequence[Node], targets: Sequence[str], kind: str) -> bool:
    """Discriminators through resolve(): what is not at hand is told by the type its reference shows."""
    for node in nodes:
        text = node.value.get("reference") if isinstance(node.value, dict) else None
        found = references.resolved(text, node) if isinstance(text, str) and node.type == "Reference" else None
        if kind == "profile" and found is not None:
            if any(references.fits(walk, found, target) for target in targets):
                return True
            continue
        named = references.pointed_type(node) if node.type == "Reference" else None
        if named is not None and any(walk.library.target_type(target) in (named, "Resource") for target in targets):
            return True
    return False


def _extension_url(walk: Walk, slice: Spec, profile: Profile) -> str | None:
    """The url that a slice of extensions stands for: that of its profile, or the one it fixes itself."""
    for rule in slice.types:
        if rule.profiles:
            return rule.profiles[0].partition("|")[0]
    fixed = slice.children.get("url")
    if fixed is not None and fixed.constant is not None:
        return str(fixed.constant.value)
    raise Unwalkable(
        f"{profile.url}: 拡張の url が決まりません。Nothing says which extension this slice is: {slice.id}."
    )


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[Ast, ...]:
    """The steps of a discriminator's path, first to last. Raises Unwalkable."""
    try:
        node: Ast | None = parse(path)
    except Unsupported as error:
        raise Unwalkable(f"discriminator {path[:80]!r}: {error}") from None
    steps: list[Ast] = []
    while node is not None:
        if isinstance(node, Variable) and node.name == "$this":
            break
        if not isinstance(node, Name | Call):
            raise Unwalkable(f"{path[:80]!r} は扱えません。This discriminator path is not supported.")
        steps.append(node)
        node = node.of
    return tuple(reversed(steps))


def _at(walk: Walk, node: Node, path: str) -> list[Node]:
    if path == "$this":
        return [node]
    try:
        return [n for n in compiled(path).on(node, walk.context) if isinstance(n, Node)]
    except (Unsupported, Trouble) as error:
        raise Unwalkable(f"discriminator {path[:80]!r}: {error}") from None


def _places(walk: Walk, spec: Spec, profile: Profile, steps: Sequence[Ast], rule: str) -> Iterator[tuple[Any, Profile]]:
    """What the slice says at the end of the path: specs, or constants where an element above fixes the rest."""
    if not steps:
        yield spec, profile
        return
    step, rest = steps[0], steps[1:]
    if spec.constant is not None:
        names = [s.name for s in steps if isinstance(s, Name)]
        for value in _drilled(spec.constant.value, names):
            yield Constant(value, spec.constant.exact), profile
        return
    for below, owner in _below(walk, spec, profile, step, rule):
        yield from _places(walk, below, owner, rest, rule)
        for slice in below.slices if isinstance(step, Name) else ():
            if slice.min > 0:  # a slice that must be there says what the element must hold
                yield from _places(walk, slice, owner, rest, rule)


def _below(walk: Walk, spec: Spec, profile: Profile, step: Ast, rule: str) -> Iterator[Place]:
    if isinstance(step, Name):
        yield from _named(walk, spec, profile, step.name)
    elif isinstance(step, Call) and step.name == "resolve":
        for target in (t for r in spec.types for t in r.targets):
            if (found := walk.library.profile(target)) is not None:
                yield found.root, found
    elif isinstance(step, Call) and step.name == "ofType":
        yield spec, profile
    elif isinstance(step, Call) and step.name == "extension" and isinstance(step.arguments[0], Literal):
        for child, owner in _named(walk, spec, profile, "extension"):
            for slice in child.slices:
                if _extension_url(walk, slice, owner) == step.arguments[0].value:
                    yield from _inside(walk, slice, owner)
    else:
        raise Unwalkable(f"{rule}: この分け方は扱えません。This discriminator is not supported.")


def _named(walk: Walk, spec: Spec, profile: Profile, name: str) -> Iterator[Place]:
    """The child of a name: in the slice itself, else in the profile of its type."""
    for inner, owner in _inside(walk, spec, profile):
        child = owner.children(inner).get(name)
        if child is not None:
            yield child, owner
            return


def _inside(walk: Walk, spec: Spec, profile: Profile) -> Iterator[Place]:
    yield spec, profile
    for rule in spec.types:
        for url in rule.profiles or (BASE + rule.code,):
            if "." not in rule.code and (found := walk.library.profile(url)) is not None:
                yield found.root, found


def _drilled(value: Any, names: Sequence[str]) -> list[Any]:
    """The values at a path within a constant."""
    found = [value]
    for name in names:
        found = [v[name] for v in found if isinstance(v, dict) and name in v]
        found = [each for v in found for each in (v if isinstance(v, list) else [v])]
    return found


def _by_value(walk: Walk, nodes: Sequence[Node], places: Sequence[tuple[Any, Profile]], rule: str) -> bool:
    """Every value that the slice names at the path must be among those that are there."""
    decided = False
    for place, profile in places:
        wanted = place if isinstance(place, Constant) else place.constant
        if wanted is not None:
            decided = True
            if not any(meets(n.value, wanted) for n in nodes):
                return False
        elif isinstance(place, Spec) and place.binding is not None and place.binding.strength == "required":
            decided = True
            if not any(coded.holds(walk, place.binding.value_set, n) for n in nodes):
                return False
        elif isinstance(place, Spec) and profile.children(place) and not profile.is_base:
            decided = True
            if not any(walk.conforms(walk, n, place, profile) for n in nodes):
                return False
    if not decided:
        if any(isinstance(p, Spec) and p.max == 0 for p, _ in places):
            return not nodes
        raise Unwalkable(f"{rule}: スライスを見分ける値がありません。Nothing there tells this slice from others.")
    return True


def _meets(walk: Walk, node: Node, spec: Spec, profile: Profile) -> bool:
    """Discriminator `profile`: the value meets a profile the slice names at the path."""
    wanted = [url for rule in spec.types for url in rule.profiles]
    if not wanted:
        return walk.conforms(walk, node, spec, profile)
    for url in wanted:
        found = walk.library.profile(url)
        if found is not None and walk.conforms(walk, node, found.root, found):
            return True
    return False


def meets(value: Any, wanted: Constant) -> bool:
    """fixed[x]: the very same; pattern[x]: all that the pattern has, lists in any order (R4 elementdefinition.html)."""
    return same(value, wanted.value) if wanted.exact else _has(value, wanted.value)


def _has(value: Any, pattern: Any) -> bool:
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(k in value and _has(value[k], v) for k, v in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(_has(v, p) for v in value) for p in pattern)
    return same(value, pattern)
