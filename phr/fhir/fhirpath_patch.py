"""FHIRPath Patch: operations in a Parameters resource (R4 fhirpatch.html §3.1.5.1). Pure.

Each `operation` has parts: `type` (add, insert, delete, replace, move), `path`, and `name`, `value`, `index`,
`source`, `destination` as the type needs them. A value of a type without a `value[x]` (Observation.component)
is given as parts, as deep as necessary. What a deletion leaves empty goes too: FHIR knows no empty elements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phr.fhir.element_paths import BadPath, Path, Place, read
from phr.fhir.outcome import Problem
from phr.fhir.patching import Change, Purse, limited
from phr.records import definitions, validate
from phr.records.gateway import Invalid
from phr.records.validate_values import FORMATS

# type -> parts it must have; others are refused
_PARTS = {
    "add": ("path", "name", "value"), "insert": ("path", "index", "value"), "delete": ("path",),
    "replace": ("path", "value"), "move": ("path", "source", "destination"),
}  # fmt: skip
_VALUES = {
    "type": "valueCode", "path": "valueString", "name": "valueString", "index": "valueInteger",
    "source": "valueInteger", "destination": "valueInteger",
}  # fmt: skip
_CHOICE = "value[x]"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `value`: the part that carries it."""

    number: int
    type: str
    path: str
    name: str
    value: Mapping[str, Any]
    index: int
    source: int
    destination: int

    def unfit(self, text: str) -> Problem:
        """The refusal of an operation that this resource does not take."""
        told = f"操作 {self.number} ({self.type}): {text} Operation {self.number} does not apply."
        return Problem(422, "processing", told, _place(self.number))


@dataclass(frozen=True, slots=True)
class Value:
    """A value to be put in: as JSON, with what stands beside a primitive in `_name`."""

    kind: str
    plain: Any
    beside: Any = None


def fhirpath_patch(parameters: Mapping[str, Any]) -> Change:
    """Read a FHIRPath Patch. Raises Problem (400, 413), Invalid; applied, Problem (422) where it does not fit."""
    if parameters.get("resourceType") != "Parameters":
        text = "FHIRPath Patch は Parameters です。A FHIRPath Patch is a Parameters resource."
        raise Problem(400, "invalid", text, "resourceType")
    given = parameters.get("parameter", [])
    limited(given if isinstance(given, list) else ())
    if problems := validate.check(parameters):
        raise Invalid(problems)
    operations = [_read(number, parameter) for number, parameter in enumerate(given)]

    def change(resource: dict[str, Any]) -> dict[str, Any]:
        purse = Purse()
        for operation in operations:
            try:
                _DEEDS[operation.type](resource, operation, purse)
            except BadPath as error:
                raise operation.unfit(f"{operation.path[:80]}: {error}.") from None
        return resource

    return change


def _place(number: int) -> str:
    return f"Parameters.parameter[{number}]"


def _read(number: int, parameter: Mapping[str, Any]) -> Operation:
    place = _place(number)
    if parameter.get("name") != "operation":
        raise Problem(400, "invalid", f"引数 {number}: operation だけを使えます。Expected an operation.", place)
    parts: dict[str, Mapping[str, Any]] = {}
    for part in parameter.get("part", ()):
        named = part.get("name", "")  # R4 lets an extension stand for any value: `_name`
        if named in parts or (named != "value" and named not in _VALUES):
            text = f"操作 {number}: {named[:40]} は使えません。This part is unknown or stands twice."
            raise Problem(400, "invalid", text, place)
        parts[named] = part
    kind = _plain(number, parts, "type")
    if kind not in _PARTS:
        text = f"操作 {number}: type は {', '.join(_PARTS)} です。Operation {number}: unknown type."
        raise Problem(400, "value", text, place)
    for name in (*_PARTS[kind], *parts):
        if name not in parts or (name != "type" and name not in _PARTS[kind]):
            text = f"操作 {number} ({kind}): {name} が足りないか余分です。{name} is missing or not of this operation."
            raise Problem(400, "required", text, place)
    numbers = (_plain(number, parts, name) for name in ("index", "source", "destination"))
    path, name = _plain(number, parts, "path"), _plain(number, parts, "name")
    return Operation(number, kind, path or "", name or "", parts.get("value", {}), *(n or 0 for n in numbers))


def _plain(number: int, parts: Mapping[str, Mapping[str, Any]], name: str) -> Any:
    if name not in parts:
        return None
    value = parts[name].get(_VALUES[name])
    if value is None:
        text = f"操作 {number}: {name} は {_VALUES[name]} です。{name} must be a {_VALUES[name]}."
        raise Problem(400, "value", text, _place(number))
    return value


# -- operations ------------------------------------------------------------------------------------


def _one(operation: Operation, places: list[Place]) -> Place:
    if len(places) != 1:
        raise operation.unfit(f"{operation.path[:80]}: {len(places)} 件あります (1 件のはず)。Expected one element.")
    return places[0]


def _path(resource: dict[str, Any], operation: Operation) -> Path:
    return read(operation.path, str(resource.get("resourceType")))


def _add(resource: dict[str, Any], operation: Operation, purse: Purse) -> None:
    owner = _one(operation, _path(resource, operation).places(resource))
    element = owner.element(operation.name)
    key, _ = owner.key_of(operation.name)
    node = owner.node(make=True)
    if node is None:
        raise operation.unfit("要素を入れられません。Nothing can be added there.")
    value = _value(operation, element, purse, depth=_depth(owner))
    if element.max is None or element.max > 1:
        _insert(node, key, len(_entries(node, key)), value)
    elif key in node or "_" + key in node:
        raise operation.unfit(f"{operation.name[:40]} はもうあります。The element is there already.")
    else:
        _set(node, _key_for(element, key, value), value)


def _insert_at(resource: dict[str, Any], operation: Operation, purse: Purse) -> None:
    node, key, element, depth = _list(resource, operation)
    if not 0 <= operation.index <= len(_entries(node, key)):
        raise operation.unfit(f"index は 0 から {len(_entries(node, key))} までです。The index is out of range.")
    _insert(node, key, operation.index, _value(operation, element, purse, depth=depth))


def _delete(resource: dict[str, Any], operation: Operation, purse: Purse) -> None:
    places = _path(resource, operation).places(resource)
    if not places:
        return  # nothing there is no error (§3.1.5.1, table)
    place = _one(operation, places)
    if place.parent is None:
        raise operation.unfit("全体は消せません。The whole resource cannot be removed.")
    _take(place.owner, place.key, place.index)
    _prune(place.parent)


def _replace(resource: dict[str, Any], operation: Operation, purse: Purse) -> None:
    place = _one(operation, _path(resource, operation).places(resource))
    if place.parent is None:
        raise operation.unfit("全体は置き換えられません。The whole resource cannot be replaced.")
    element = next(e for e in place.parent.fields().values() if place.key in _keys(e))
    value = _value(operation, element, purse, depth=_depth(place))
    if place.index is not None:
        _take(place.owner, place.key, place.index)
        _insert(place.owner, place.key, place.index, value)
        return
    _take(place.owner, place.key, None)
    _set(place.owner, _key_for(element, place.key, value), value)


def _move(resource: dict[str, Any], operation: Operation, purse: Purse) -> None:
    node, key, _, _ = _list(resource, operation)
    length = len(_entries(node, key))
    if not (0 <= operation.source < length and 0 <= operation.destination < length):
        raise operation.unfit(f"位置は 0 から {length - 1} までです。source or destination is out of range.")
    for name in (key, "_" + key):
        if isinstance(entries := node.get(name), list):
            entries += [None] * (length - len(entries))
            entries.insert(operation.destination, entries.pop(operation.source))


_DEEDS = {"add": _add, "insert": _insert_at, "delete": _delete, "replace": _replace, "move": _move}


def _list(resource: dict[str, Any], operation: Operation) -> tuple[dict[str, Any], str, definitions.Element, int]:
    """The list that a path names: its owner, key and definition, and how deep it lies."""
    path = _path(resource, operation)
    if path.name is None:
        raise operation.unfit("path は一つのリストを指します。The path must name one list.")
    owner = _one(operation, path.around(resource))
    element = owner.element(path.name)
    node = owner.node(make=True)
    if node is None or element.max == 1:
        raise operation.unfit(f"{path.name[:40]} はリストではありません。The element does not repeat.")
    return node, path.name, element, _depth(owner)


def _depth(place: Place) -> int:
    level = 1
    while place.parent is not None:
        level, place = level + 2, place.parent
    return level


# -- changing --------------------------------------------------------------------------------------


def _entries(node: Mapping[str, Any], key: str) -> list[Any]:
    """The list as long as it is with what stands beside it."""
    plain, beside = node.get(key) or [], node.get("_" + key) or []
    return plain if len(plain) >= len(beside) else beside


def _keys(element: definitions.Element) -> set[str]:
    if not element.choice:
        return {element.name}
    return {definitions.choice_key(element.name, kind) for kind, _ in element.types}


def _key_for(element: definitions.Element, key: str, value: Value) -> str:
    return definitions.choice_key(element.name, value.kind) if element.choice else key


def _set(node: dict[str, Any], key: str, value: Value) -> None:
    if value.plain is not None:
        node[key] = value.plain
    if value.beside is not None:
        node["_" + key] = value.beside


def _insert(node: dict[str, Any], key: str, index: int, value: Value) -> None:
    """Into a list, and into the list beside it, so that they keep step (R4 json.html §2.6.2.3)."""
    length = len(_entries(node, key))
    for name, entry in ((key, value.plain), ("_" + key, value.beside)):
        if name in node or entry is not None:
            entries = node.setdefault(name, [])
            entries += [None] * (length - len(entries))
            entries.insert(index, entry)


def _take(node: dict[str, Any], key: str, index: int | None) -> None:
    for name in (key, "_" + key):
        if index is None:
            node.pop(name, None)
        elif isinstance(entries := node.get(name), list):
            del entries[index : index + 1]
            if not any(entry is not None for entry in entries):
                del node[name]


def _prune(place: Place) -> None:
    """Take away what has become empty, upwards."""
    while place.parent is not None:
        node = place.node()
        if node or (node is None and place.value not in ({}, None)):
            return
        if place.primitive and place.value is not None:
            _forget_beside(place)
            return
        _take(place.owner, place.key, place.index)
        place = place.parent


def _forget_beside(place: Place) -> None:
    """An empty object beside a primitive that has a value."""
    name = "_" + place.key
    if place.index is None:
        place.owner.pop(name, None)
    elif isinstance(entries := place.owner.get(name), list):
        entries[place.index] = None
        if not any(entry is not None for entry in entries):
            del place.owner[name]


# -- values ----------------------------------------------------------------------------------------


def _value(operation: Operation, element: definitions.Element, purse: Purse, *, depth: int) -> Value:
    """The value an operation brings, of a type that the element takes. Raises Problem."""
    found = _from_part(operation, operation.value, element)
    place = _place(operation.number)
    return Value(found.kind, purse.copied(found.plain, depth, place), purse.copied(found.beside, depth, place))


def _from_part(operation: Operation, part: Mapping[str, Any], element: definitions.Element) -> Value:
    kinds = [kind for kind, _ in element.types]
    if "resource" in part and "Resource" in kinds:
        return Value("Resource", part["resource"])
    for kind, key in _offered().items():
        if key in part or "_" + key in part:
            wanted = _fits(kind, kinds)
            if wanted is None:
                text = f"{element.name} の型は {', '.join(kinds[:8])} です。The value is of another type."
                raise operation.unfit(text)
            return Value(wanted, part.get(key), part.get("_" + key))
    if "part" in part and len(kinds) == 1 and kinds[0] not in FORMATS:
        return Value(kinds[0], _from_parts(operation, part["part"], kinds[0]))
    raise operation.unfit("値がありません。There is no value of a fitting type.")


def _offered() -> Mapping[str, str]:
    """Type -> key of the values that a Parameters resource can carry."""
    element = definitions.fields("Parameters.parameter")[_CHOICE]
    return {kind: definitions.choice_key(_CHOICE, kind) for kind, _ in element.types}


def _fits(kind: str, kinds: list[str]) -> str | None:
    """The element's type for a value's type; some have no `value[x]` of their own."""
    if kind in kinds:
        return kind
    if kind == "string" and "xhtml" in kinds:
        return "xhtml"
    if kind == "Quantity":
        return next((k for k in kinds if k in ("SimpleQuantity", "MoneyQuantity")), None)
    return None


def _from_parts(operation: Operation, parts: list[Mapping[str, Any]], kind: str) -> dict[str, Any]:
    """An object given as parts: each names an element (§3.1.5.1.1, anonymous types)."""
    made: dict[str, Any] = {}
    fields = definitions.fields(kind)
    for part in parts:
        name = part.get("name", "")
        element = fields.get(name) or fields.get(f"{name}[x]")
        if element is None:
            raise operation.unfit(f"{kind} に {name[:40]} はありません。No such element.")
        value = _from_part(operation, part, element)
        key = _key_for(element, name, value)
        if element.max is None or element.max > 1:
            _insert(made, key, len(_entries(made, key)), value)
        elif key in made or "_" + key in made:
            raise operation.unfit(f"{name[:40]} が二度あります。The element stands twice.")
        else:
            _set(made, key, value)
    return made
