"""One parameter of a search, with its modifier and its values -> a condition. Pure, but for what value sets hold.

Which modifier goes with which parameter type: FHIR R4 3.1.1.4.5 and the sections of the types.
What cannot be answered is refused by name (`BadSearch`).
"""

from __future__ import annotations

from consent.scope import OPEN_TYPES
from phr.records.definitions import concrete_types
from phr.records.search import composites, concepts, terms, values
from phr.records.search.params import COLUMNS, LEGIBLE, SearchParam, params_for
from phr.records.search.query import And, BadSearch, Condition, Node, Not, Or, Paired, Reference, Value
from phr.records.search.values import Asked, split

MOST_VALUES = 100
# parameter type -> modifiers that are answered (a reference also takes :[type])
MODIFIERS = {
    "token": ("missing", "not", "text", "in", "not-in", "above", "below", "of-type"),
    "reference": ("missing", "identifier", "above", "below"), "date": ("missing",), "number": ("missing",),
    "quantity": ("missing",), "string": ("missing", "exact", "contains"), "uri": ("missing", "above", "below"),
    "composite": ("missing",), "special": ("missing",),
}  # fmt: skip
FULL_TEXT = frozenset({"_text", "_content"})


def searchable(param: SearchParam) -> bool:
    """Whether this parameter is answered (what the CapabilityStatement lists).

    `_security` never: labels are not shown, so they must not be found out by searching either.
    """
    if param.name in ("_security", "_query"):
        return False
    return param.name in FULL_TEXT or bool(param.expression)


def needs_opening(param: SearchParam, modifier: str) -> bool:
    """Whether a condition without `:missing` is judged on opened bodies: what was written there is not in the index."""
    if param.name in FULL_TEXT:
        return param.base not in OPEN_TYPES
    if param.type == "composite":
        known = params_for(param.base)
        return any(needs_opening(known[name], "") for name, _ in param.components)
    return param.base not in LEGIBLE and (
        (param.type == "string" and modifier != "exact") or (param.type == "token" and modifier == "text")
    )


def condition(param: SearchParam, name: str, modifier: str, text: str, asked: Asked) -> Node:
    """The condition; `name` is the parameter as it was written. Raises BadSearch."""
    if not searchable(param):
        raise BadSearch(name, "this parameter is not answered here")
    if modifier == "missing" and param.name not in COLUMNS:
        return _missing(param, name, text)
    kind = modifier if param.type == "reference" and modifier in concrete_types() else None
    if modifier and not kind and not _understood(param, modifier):
        allowed = [f":{m}" for m in MODIFIERS[param.type] if m == "missing" or _understood(param, m)]
        here = [] if param.name in COLUMNS or param.name in FULL_TEXT else allowed
        raise BadSearch(name, f"modifier :{modifier[:40]} is not supported here; allowed: {', '.join(here) or 'none'}")
    if kind and param.targets and kind not in param.targets:
        raise BadSearch(name, f"{param.name} does not point to {kind}")
    texts = split(text, ",")
    if len(texts) > MOST_VALUES:
        raise BadSearch(name, f"more than {MOST_VALUES} values")
    if not all(part.strip() for part in texts):
        raise BadSearch(name, "has an empty value")
    try:
        if modifier in concepts.MODIFIERS and param.type == "token":
            found: tuple[Value, ...] = concepts.together(param, modifier, texts)
        else:
            found = tuple(values.value(param, modifier, kind, part, asked) for part in texts)
        if param.type == "reference" and modifier in ("above", "below"):
            _in_trees(found)
        return made(param, found, None if kind or not modifier else modifier)
    except (ValueError, OverflowError) as error:
        raise BadSearch(name, str(error)) from None


def made(param: SearchParam, found: tuple[Value, ...], modifier: str | None) -> Node:
    """The condition of values at hand. A composite that says no more is its components together. Raises ValueError."""
    if param.type != "composite" or needs_opening(param, ""):
        return Condition(param, found, modifier)
    pairs = [pair.values for pair in found if isinstance(pair, Paired)]
    parts = composites.together(param)
    if parts is None:
        for pair in pairs:
            _lookable(param, pair)
        return Condition(param, found, modifier)
    each = [And(tuple(Condition(p, (v,)) for p, v in zip(parts, pair, strict=True))) for pair in pairs]
    return each[0] if len(each) == 1 else Or(tuple(each))


def _lookable(param: SearchParam, pair: tuple[Value, ...]) -> None:
    try:
        composites.cover(param, pair, bytes(16))
    except BadSearch as error:
        raise ValueError(error.message) from None


def _missing(param: SearchParam, name: str, text: str) -> Node:
    if text not in ("true", "false"):
        raise BadSearch(name, "must be true or false")
    if param.name in FULL_TEXT:
        raise BadSearch(name, "modifier :missing is not supported here")
    if param.type == "composite":  # is there, where all its components are
        known = params_for(param.base)
        there = And(tuple(Condition(known[part], (), missing=False) for part, _ in param.components))
        return Not(there) if text == "true" else there
    return Condition(param, (), missing=text == "true")


def _understood(param: SearchParam, modifier: str) -> bool:
    if param.name in COLUMNS or modifier not in MODIFIERS[param.type] or param.name in FULL_TEXT:
        return False
    match param.type, modifier:
        case "token", "of-type":
            return "Identifier" in param.types
        case "token", "text":
            return bool({"CodeableConcept", "Coding", "Identifier"} & set(param.types))
        case "reference", ("above" | "below"):
            return "Reference" in param.types and any(parent(kind) for kind in param.targets)
    return True


def _in_trees(found: tuple[Value, ...]) -> None:
    """Raises ValueError unless every reference names a resource of a type that makes a tree."""
    for value in found:
        parts = terms.literal(value.reference or "") if isinstance(value, Reference) else None
        if parts is None or parts[0] is not None or parent(parts[1]) is None:
            raise ValueError("expected Type/id of a type whose resources stand below each other")


def parent(kind: str) -> SearchParam | None:
    """The reference that leads up in the tree of a type (R4 3.1.1.4.13): `partof` of Location and so on."""
    return params_for(kind).get(_TREES.get(kind, ""))


# Types whose resources make a strict tree, and the parameter that leads up
_TREES = {"Location": "partof", "Organization": "partof", "Encounter": "part-of", "Procedure": "part-of",
          "Task": "part-of", "CarePlan": "part-of"}  # fmt: skip
