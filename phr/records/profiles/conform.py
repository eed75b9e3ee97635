"""Whether a resource conforms: to R4's own rules for its types, and to profiles. Pure; never raises but TooCostly.

`check(resource, …)` walks the resource twice at most: once over all of it by what R4 says of each type (invariants,
bindings, extensions), then by each profile as far as that says more. What `phr.records.validate` checks (JSON
structure, formats, base cardinalities) is not repeated. Source: FHIR R4 profiling.html, validation.html.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from phr.records.fhirpath import Context, Node, tree
from phr.records.fhirpath.context import TooCostly
from phr.records.fhirpath.types import lineage
from phr.records.fhirpath.values import Trouble, compare
from phr.records.profiles import extensions, references, slices
from phr.records.profiles.coded import bound, holds
from phr.records.profiles.library import Library
from phr.records.profiles.structure import BASE, Limits, Profile, Spec, TypeRule, Unwalkable
from phr.records.profiles.walk import MOST, STEPS, Enough, Member, Walk, rules
from phr.records.validate import Problem

MOST_CLAIMS: Final = 20  # profiles one resource may claim
_NO_RULE: Final = TypeRule("", (), (), ())


def check(
    resource: Mapping[str, Any],
    profiles: Sequence[str],
    *,
    library: Library,
    member: Member,
    now: datetime,
    base: bool = True,
    claims: bool = True,
) -> list[Problem]:
    """The findings, worst places first as met. `profiles`: urls that must hold; `claims`: also those in meta.profile,
    of the resource and of those inside it; `base`: also R4's own invariants and bindings.

    An unknown profile among `profiles` is an error, one that is only claimed a warning.
    """  # fmt: skip
    try:
        root = tree(resource)
    except ValueError:
        return []  # its structure says so already
    walk = Walk(library, member, Context(left=STEPS, now=now, resolve=references.resolved), _conforms)
    walk.context.conforms = lambda url, node: _asked(walk, url, node)
    walk.context.member = lambda url, node: holds(walk, url, node)
    try:
        _checked(walk, root, profiles, base=base, claims=claims)
    except Enough:
        text = f"指摘は {MOST} 件までです。"
        walk.findings.append(_limit(root, text, f"Only the first {MOST} findings are told."))
    except TooCostly:
        text = "検査が大きくなりすぎるため途中で止めました。"
        walk.findings.append(_limit(root, text, f"The check was stopped after {STEPS} steps."))
    except RecursionError:
        walk.findings.append(_limit(root, "入れ子が深すぎます。", "Nested too deeply to be checked."))
    return walk.findings


def _limit(root: Node, japanese: str, english: str) -> Problem:
    return Problem("error", "too-costly", root.path(), f"{japanese} {english}")


def _checked(walk: Walk, root: Node, profiles: Sequence[str], *, base: bool, claims: bool) -> None:
    if base:
        _ground(walk, root, None, claims=claims)
    for url in profiles:
        found = walk.profile(url, root.path(), severity="error")
        if found is not None:
            _profile(walk, root, found)
    if claims:
        _claimed(walk, root)


def _asked(walk: Walk, url: str, node: Node) -> bool | None:
    """conformsTo() inside an expression."""
    try:
        found = walk.library.profile(url)
    except Unwalkable:
        return None
    return None if found is None else _conforms(walk, node, found.root, found)


# -- what R4 says of every type ----------------------------------------------------------------------


def _ground(walk: Walk, node: Node, spec: Spec | None, *, claims: bool) -> None:
    """R4's own invariants and bindings, extensions against their definitions, over everything below a node."""
    base = walk.library.base(node.type) if not node.is_primitive else None
    of_type: Mapping[str, Spec] = {}
    if base is not None:
        rules(walk, node, base.root.rules, base)
        of_type = base.root.children
    owner = base or walk.library.base(node.type.partition(".")[0])
    own = owner.children(spec) if spec is not None and owner is not None else {}
    if node.type == "Extension" and (found := extensions.definition(walk, node)) is not None:
        _profile(walk, node, found)
    for name, kids in node.kids().items():
        child = own.get(name) or of_type.get(name)
        for kid in kids:
            walk.context.step(2)
            if child is not None and owner is not None:
                rules(walk, kid, child.rules, owner)
                bound(walk, kid, child.binding, owner)
            if not kid.is_primitive or isinstance(kid.beside, dict):
                _ground(walk, kid, child if "." in kid.type else None, claims=claims)
            if kid.is_resource and claims:
                _claimed(walk, kid)


def _claimed(walk: Walk, node: Node) -> None:
    """The profiles a resource claims to meet."""
    for at, claim in enumerate(claims_of(node.value)):
        if at >= MOST_CLAIMS:
            text = f"プロファイルは {MOST_CLAIMS} 件まで確かめます。"
            walk.add(f"{node.path()}.meta.profile", "too-long", text, f"Only {MOST_CLAIMS} are checked.", "limit")
            return
        found = walk.profile(claim, f"{node.path()}.meta.profile[{at}]")
        if found is not None:
            _profile(walk, node, found)


def claims_of(resource: Mapping[str, Any]) -> list[str]:
    """The urls in meta.profile."""
    meta = resource.get("meta")
    claimed = meta.get("profile") if isinstance(meta, dict) else None
    return [c for c in claimed if isinstance(c, str)] if isinstance(claimed, list) else []


# -- what a profile says -----------------------------------------------------------------------------


def _profile(walk: Walk, node: Node, profile: Profile) -> None:
    """One node against one profile, once."""
    if not walk.first(node, "profile " + profile.url):
        return
    if profile.type not in lineage(node.type):
        text = f"{profile.type} のプロファイルです。"
        walk.add(node.path(), "structure", text, f"The profile is for {profile.type}.", profile.url)
        return
    try:
        _inside(walk, node, profile.root, profile)
    except Unwalkable as error:
        english = "The profile cannot be checked to its end."
        walk.add(node.path(), "not-supported", f"確かめられません: {error}", english, profile.url, "warning")


def _conforms(walk: Walk, node: Node, spec: Spec, profile: Profile) -> bool:
    """Whether a node fits, without reporting: for slices and for what is referred to."""
    if spec is profile.root and profile.type not in lineage(node.type):
        return False
    try:
        _fits(walk.trial(), node, spec, profile)
    except Enough:
        return False
    return True


def _fits(walk: Walk, node: Node, spec: Spec, profile: Profile, fallback: Spec | None = None) -> None:
    """One value against one element of a profile. `fallback`: the sliced element, where a slice says less."""
    walk.context.step(5)
    place = f"{profile.url}#{spec.id}"
    rule = _type_of(spec, node)
    if rule is None:
        allowed = " | ".join(t.code for t in spec.types)
        text = f"型が {node.type} です。"
        walk.add(node.path(), "structure", text, f"Its type is {node.type}, not {allowed}.", place)
        return
    if spec.constant is not None and not slices.meets(node.value, spec.constant):
        wanted = "fixed" if spec.constant.exact else "pattern"
        walk.add(node.path(), "value", "決められた値と違います。", f"It is not as the {wanted} value wants it.", place)
    if spec.limits is not None:
        _limited(walk, node, spec.limits, place)
    bound(walk, node, spec.binding, profile)
    if node.type == "Reference":
        references.points(walk, node, rule, spec, profile)
    _typed(walk, node, rule, place)
    children = profile.children(spec)
    if fallback is not None and not children:
        _inside(walk, node, fallback, profile)
        rules(walk, node, spec.rules, profile)
        return
    _inside(walk, node, spec, profile)


def _limited(walk: Walk, node: Node, limits: Limits, place: str) -> None:
    """maxLength, minValue[x] and maxValue[x]."""
    if limits.length is not None and isinstance(node.value, str) and len(node.value) > limits.length:
        english = f"Longer than {limits.length} characters."
        walk.add(node.path(), "value", f"{limits.length} 文字までです。", english, place)
    for edge, sign, word in ((limits.low, -1, "最小 minimum"), (limits.high, 1, "最大 maximum")):
        if edge is not None and _order(node, edge) == sign:
            walk.add(node.path(), "value", "範囲の外です。", f"Beyond the {word}.", place)


def _order(node: Node, edge: Any) -> int | None:
    """How a value stands to a bound of its type; None where that cannot be told."""
    try:
        return compare([node], [Node(edge, node.type)])
    except Trouble:
        return None


def _inside(walk: Walk, node: Node, spec: Spec, profile: Profile) -> None:
    """The invariants of an element and what is said of its children."""
    rules(walk, node, spec.rules, profile)
    kids = node.kids()
    for name, child in profile.children(spec).items():
        nodes = kids.get(name, [])
        _counted(walk, node, child, len(nodes), profile)
        if not nodes and not child.slices:
            continue
        if child.slices:
            _sliced(walk, node, nodes, child, profile)
        else:
            for kid in nodes:
                _fits(walk, kid, child, profile)


def _sliced(walk: Walk, node: Node, nodes: Sequence[Node], child: Spec, profile: Profile) -> None:
    found = slices.sorted_out(walk, nodes, child, profile)
    slices.arranged(walk, found, child, profile)
    for slice in child.slices:
        _counted(walk, node, slice, sum(1 for _, s in found if s is slice), profile)
    for kid, its in found:
        if its is None:
            _fits(walk, kid, child, profile)
        else:
            _fits(walk, kid, its, profile, fallback=child)


def _counted(walk: Walk, node: Node, spec: Spec, count: int, profile: Profile) -> None:
    if spec.min <= count and (spec.max is None or count <= spec.max):
        return
    name = spec.name + (f":{spec.slice_name}" if spec.slice_name else "")
    where = f"{node.path()}.{spec.name}"
    place = f"{profile.url}#{spec.id}"
    if count < spec.min:
        text = f"{name} が {spec.min} 件以上必要です。"
        walk.add(where, "required", text, f"{name}: at least {spec.min} needed, {count} found.", place)
    elif spec.max == 0:
        walk.add(where, "structure", f"{name} は使えません。", f"{name} is not allowed.", place)
    else:
        text = f"{name} は {spec.max} 件までです。"
        walk.add(where, "structure", text, f"{name}: at most {spec.max} allowed, {count} found.", place)


def _type_of(spec: Spec, node: Node) -> TypeRule | None:
    """The type rule that applies to a value; None where its type is not allowed."""
    if not spec.types:
        return _NO_RULE
    if node.parent is not None and "." in node.type:  # a backbone element is of no other type
        return spec.types[0]
    names = lineage(node.type)
    found = next((t for t in spec.types if t.code in names), None)
    if found is None and node.name == "id":
        return spec.types[0]  # R4 calls it a string here, an id there
    return found


def _typed(walk: Walk, node: Node, rule: TypeRule, place: str) -> None:
    """The profiles of a type: one of them must hold."""
    wanted = [url for url in rule.profiles if url.removeprefix(BASE) != node.type]
    if not wanted or len(wanted) < len(rule.profiles):
        return
    found = [p for url in wanted if (p := walk.profile(url, node.path())) is not None]
    if len(found) < len(wanted):
        return  # one that is not loaded may be the one that holds
    if len(found) == 1:
        _profile(walk, node, found[0])
    elif not any(_conforms(walk, node, p.root, p) for p in found):
        english = "It meets none of: " + ", ".join(wanted)[:300]
        walk.add(node.path(), "structure", "どのプロファイルにも合いません。", english, place)
