"""A snapshot from a differential, for profiles that bring none. Pure.

Each rule of the differential falls on a copy of what it constrains: an element of the base, of a data type, or of the
element a slice is cut from. As much as checking needs; a snapshot fit for publication carries far more.
Source: FHIR R4 profiling.html §5.1.0.5 (differential and snapshot), elementdefinition.html §2.24.0.8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from phr.records.profiles.structure import BASE, MOST_ELEMENTS, Unwalkable

DEEPEST: Final = 16  # profiles upon profiles
Find = Callable[[str], Mapping[str, Any] | None]
Elements = dict[str, dict[str, Any]]
_APPENDED: Final = ("constraint",)
# left out of compact definitions where nothing is said of them: the most there may be, and their type
_EVERYWHERE: Final = {"id": ("1", "string"), "extension": ("*", "Extension"), "modifierExtension": ("*", "Extension")}


def elements(structure: Mapping[str, Any], find: Find, depth: int = 0) -> list[dict[str, Any]]:
    """The elements of a snapshot, given or made. Raises Unwalkable."""
    given = structure.get("snapshot", {}).get("element")
    if given:
        return list(given)
    url = str(structure.get("url"))
    base = find(str(structure.get("baseDefinition", "")))
    if base is None or depth > DEEPEST:
        text = f"{url}: 基になる定義がありません。"
        raise Unwalkable(f"{text} Its baseDefinition is not loaded: {structure.get('baseDefinition')}.")
    made: Elements = {e["id"]: dict(e) for e in elements(base, find, depth + 1)}
    for rule in structure.get("differential", {}).get("element", []):
        _ensure(made, rule["id"], find, url)
        made[rule["id"]] = _merged(made[rule["id"]], rule)
        if len(made) > MOST_ELEMENTS:
            raise Unwalkable(f"{url}: 要素が多すぎます。More than {MOST_ELEMENTS} elements.")
    return list(made.values())  # parents and what is sliced come before what hangs on them


def _merged(element: dict[str, Any], rule: Mapping[str, Any]) -> dict[str, Any]:
    merged = element | dict(rule)
    for name in _APPENDED:
        if name in element and name in rule:
            merged[name] = [*element[name], *rule[name]]
    return merged


def _ensure(made: Elements, id: str, find: Find, url: str) -> None:
    """See that an element is there, unfolding types and cutting slices on the way to it."""
    if id in made:
        return
    above, _, last = id.rpartition(".")
    stem, _, slice_name = last.partition(":")
    if above:
        _ensure(made, above, find, url)
    if slice_name:
        whole = f"{above}.{stem}" if above else stem
        _ensure(made, whole, find, url)
        if id in made:  # the profile of its type cuts this slice already
            return
        _copy(made, whole, id)
        made[id] = {k: v for k, v in made[id].items() if k != "slicing"} | {"sliceName": slice_name, "min": 0}
        return
    _unfold(made, above, find)
    if id not in made and last in _EVERYWHERE:
        most, kind = _EVERYWHERE[last]
        made[id] = {"id": id, "path": f"{made[above]['path']}.{last}", "min": 0, "max": most, "type": [{"code": kind}]}
    if id not in made:
        raise Unwalkable(f"{url}: この要素はありません。No such element: {id}.")


def _copy(made: Elements, source: str, target: str) -> None:
    """An element and all below it once more, under another id."""
    below = [other for other in made if other == source or other.startswith(f"{source}.")]
    for other in below:
        own = target + other.removeprefix(source)
        made.setdefault(own, made[other] | {"id": own})


def _unfold(made: Elements, id: str, find: Find) -> None:
    """Put the children of its one data type, or of the element it repeats, below an element."""
    repeated = str(made[id].get("contentReference", "")).partition("#")[2]
    if repeated:
        # what R4 says of it: the profile's own rules for that element do not fall on its repetitions
        base = find(BASE + repeated.partition(".")[0])
        for other in elements(base, find) if base is not None else []:
            if other["id"].startswith(f"{repeated}."):
                own = id + other["id"].removeprefix(repeated)
                made.setdefault(own, other | {"id": own, "path": made[id]["path"] + other["id"].removeprefix(repeated)})
        return
    types = made[id].get("type", [])
    if len(types) != 1:
        return
    of_type = find((types[0].get("profile") or [BASE + types[0]["code"]])[0])
    if of_type is None:
        return
    root, *children = elements(of_type, find)
    for child in children:
        own = id + child["id"].removeprefix(root["id"])
        made.setdefault(own, child | {"id": own, "path": made[id]["path"] + child["path"].removeprefix(root["path"])})
