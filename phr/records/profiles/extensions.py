"""Extensions against their definitions: known, allowed where they stand, and filled as defined (R4 extensibility.html).

Pure. An unknown modifierExtension is an error, as nobody may act on what it modifies; another unknown one is let be.
"""

from __future__ import annotations

from collections.abc import Iterator

from phr.records.fhirpath import Context, Node, Trouble, Unsupported, compiled
from phr.records.fhirpath.types import lineage
from phr.records.profiles.structure import Profile
from phr.records.profiles.walk import Walk


def definition(walk: Walk, node: Node) -> Profile | None:
    """The definition of an extension that stands by itself; what is wrong with its being here is reported."""
    url = node.value.get("url")
    if not isinstance(url, str) or ":" not in url:  # a part of a complex extension: the whole speaks for it
        return None
    modifies = node.name == "modifierExtension"
    if walk.library.is_unknown(url):
        if modifies:
            text = "意味を変える未知の拡張です。"
            walk.add(node.path(), "extension", text, "An unknown extension that modifies the meaning.", url[:200])
        return None
    found = walk.profile(url, node.path())
    if found is None:
        return None
    if found.type != "Extension":
        walk.add(
            node.path(), "extension", "拡張の定義ではありません。", "Its url is not that of an extension.", url[:200]
        )
        return None
    if found.modifier != modifies:
        should = "modifierExtension" if found.modifier else "extension"
        walk.add(node.path(), "extension", f"{should} に置くものです。", f"It belongs into {should}.", url)
    if found.contexts and not _allowed(walk, node, found):
        places = ", ".join(expression for _, expression in found.contexts)[:200]
        walk.add(node.path(), "extension", "ここには置けない拡張です。", f"It may stand on: {places}.", url)
    return found


def _allowed(walk: Walk, node: Node, found: Profile) -> bool:
    on = node.parent
    if on is None:
        return True
    names = set(_names(on))
    for kind, expression in found.contexts:
        if kind == "element" and expression.partition("#")[2] == "" and expression in names:
            return True
        if kind == "element" and "#" in expression and expression.partition("#")[2] in names:
            return True  # an element of a profile: whether the resource claims it is asked elsewhere
        if kind == "extension" and on.type == "Extension" and _url(on) == expression.partition("#")[0]:
            return True
        if kind == "fhirpath" and _selects(walk.context, on, expression):
            return True
    return False


def _url(node: Node) -> object:
    return node.value.get("url") if isinstance(node.value, dict) else None


def _names(on: Node) -> Iterator[str]:
    """All ways to name an element: its types, and its path from each element above it."""
    yield from lineage(on.type)
    yield "Element"  # as R4's own definitions use it: anything, resources too
    suffix, node = "", on
    while node.parent is not None:
        above = node.parent
        choice = node.segment != node.name
        suffix = f".{node.name}{'[x]' if choice else ''}{suffix}"
        for type in lineage(above.type):
            yield type + suffix
        node = above
        if node.is_resource:
            return


def _selects(context: Context, on: Node, expression: str) -> bool:
    try:
        return any(found is on for found in compiled(expression).on(on.resource(), context))
    except (Unsupported, Trouble):
        return True  # not for the sender to answer for
