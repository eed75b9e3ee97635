"""References against what a profile lets them point to: type, profile where it can be seen, aggregation. Pure.

Source: FHIR R4 elementdefinition.html (type.targetProfile, type.aggregation), references.html.
"""

from __future__ import annotations

from phr.records import definitions
from phr.records.fhirpath import Node
from phr.records.profiles.structure import BASE, Profile, Spec, TypeRule
from phr.records.profiles.walk import Walk
from phr.records.search.terms import literal


def points(walk: Walk, node: Node, rule: TypeRule, spec: Spec, profile: Profile) -> None:
    """Report a reference to what this element may not point to."""
    if not rule.targets and not rule.aggregation:
        return
    text = node.value.get("reference")
    place = f"{profile.url}#{spec.id}"
    if isinstance(text, str) and rule.aggregation and _aggregation(node, text) not in rule.aggregation:
        allowed = ", ".join(rule.aggregation)
        walk.add(node.path(), "value", "参照の仕方が違います。", f"What it points to must be: {allowed}.", place)
    kind = pointed_type(node)
    if kind is None:
        return
    targets = [t for t in rule.targets if walk.library.target_type(t) in (kind, "Resource", None)]
    if rule.targets and not targets:
        walk.add(node.path(), "value", f"{kind} は指せません。", f"It may not point to a {kind}.", place)
        return
    target = resolved(text, node) if isinstance(text, str) else None
    if target is not None and targets and not any(fits(walk, target, t) for t in targets):
        english = "What it points to meets none of: " + ", ".join(targets)[:300]
        walk.add(node.path(), "value", "参照先がプロファイルに合いません。", english, place)


def fits(walk: Walk, target: Node, url: str) -> bool:
    """Whether what is referred to meets a targetProfile; one that is not loaded is met."""
    if url.startswith(BASE) and url.removeprefix(BASE) in (target.type, "Resource"):
        return True
    found = walk.profile(url, target.path())
    return found is None or walk.conforms(walk, target, found.root, found)


def pointed_type(node: Node) -> str | None:
    """The type of resource a Reference points to, as far as it shows."""
    text = node.value.get("reference")
    if isinstance(text, str):
        if (target := resolved(text, node)) is not None:
            return target.type
        parts = literal(text)
        if parts and parts[0] is None:
            return parts[1]
        for piece in text.split("/")[-4:-1]:
            if piece in definitions.concrete_types():
                return piece
    told = node.value.get("type")
    return told if isinstance(told, str) and told in definitions.concrete_types() else None


def _aggregation(node: Node, text: str) -> str:
    if text.startswith("#"):
        return "contained"
    return "bundled" if _in_bundle(node, text) is not None else "referenced"


def resolved(text: str, node: Node) -> Node | None:
    """What a reference points to, within the same document: contained, or an entry of the Bundle around it."""
    if text.startswith("#"):
        root = node.root()
        if text == "#":
            return root
        return next((c for c in root.kid("contained") if c.value.get("id") == text[1:]), None)
    return _in_bundle(node, text)


def _in_bundle(node: Node, text: str) -> Node | None:
    entry = node.root().parent
    bundle = entry.parent if entry is not None and entry.type == "Bundle.entry" else None
    if bundle is None:
        return None
    for each in bundle.kid("entry"):
        full, resources = each.value.get("fullUrl"), each.kid("resource")
        if resources and (full == text or _named(resources[0]) == text):
            return resources[0]
    return None


def _named(resource: Node) -> str:
    return f"{resource.type}/{resource.value.get('id')}"
