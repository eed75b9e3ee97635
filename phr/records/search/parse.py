"""The text of a search -> `Query`. Pure.

`parse(type, pairs, now=…)` takes the decoded (name, value) pairs of a query string in their order.
What it cannot do is refused by name (`BadSearch`), never ignored, except parameters nobody knows:
those are listed in `Query.unknown` (FHIR R4 3.1.1.3: a server may ignore them, and must say so).

Answered now: token (default, :not), reference (id, Type/id, absolute, :Type, :identifier), date and
number with all prefixes, string (default, :exact, :contains), uri; :missing for all; `_id`,
`_lastUpdated`, `_tag`, `_profile`, `_source`, `_sort`, `_count`, `_total`, `_summary`,
`_elements`, `_page` (our cursor). Chains, `_has`, `_include` and the rest are refused as not supported yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from phr.records.definitions import concrete_types
from phr.records.search import ranges, terms
from phr.records.search.normal import normal, normal_contact, normal_identifier
from phr.records.search.params import COLUMNS, LEGIBLE, SearchParam, params_for
from phr.records.search.query import (
    BadSearch,
    Condition,
    Logical,
    Query,
    Reference,
    SortKey,
    Span,
    Text,
    Token,
    Uri,
    Value,
)  # fmt: skip

__all__ = ["MODIFIERS", "BadSearch", "Condition", "Query", "parse", "searchable"]

MOST_PARAMETERS, MOST_VALUES, LONGEST_VALUE = 30, 100, 2000
DEFAULT_COUNT, LARGEST_COUNT = 50, 500
PREFIXES = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"})
# parameter type -> modifiers answered now (a reference also takes :[type])
MODIFIERS = {
    "token": ("missing", "not"), "reference": ("missing", "identifier"), "date": ("missing",),
    "number": ("missing",), "string": ("missing", "exact", "contains"), "uri": ("missing",),
}  # fmt: skip
# Parameters that steer the answer; the first group is for the door
_SORTABLE = frozenset({"date", "number", "string"})
_DOOR = frozenset({"_format", "_pretty"})
_LATER = frozenset({"_has", "_include", "_revinclude", "_filter", "_list", "_text", "_content", "_query", "_contained",
                    "_containedType", "_type", "_score"})  # fmt: skip
_SUMMARIES = frozenset({"true", "text", "data", "count", "false"})
_ID = re.compile(r"^[A-Za-z0-9\-.]{1,64}$")
_PREFIXED = re.compile(r"^([a-z]{2})(?=[\d+-])")
Pair = tuple[str, str]


def searchable(param: SearchParam) -> bool:
    """Whether this parameter is answered now (what the CapabilityStatement lists).

    `_security` never: labels are not shown, so they must not be found out by searching either.
    Strings of clinical types neither: the index does not hold them legibly.
    """
    if param.type == "string" and param.base not in LEGIBLE:
        return False
    return param.indexed and param.type in MODIFIERS and param.name != "_security"


def parse(type: str, pairs: Iterable[Pair], *, now: datetime, base: str | None = None) -> Query:
    """The search on `type` that `pairs` describe. Raises BadSearch, and KeyError for an unknown type.

    `base`: our own FHIR base URL; absolute references below it are read as relative ones.
    """
    params = params_for(type)
    pairs = list(pairs)
    if len(pairs) > MOST_PARAMETERS:
        raise BadSearch(pairs[MOST_PARAMETERS][0][:60], f"more than {MOST_PARAMETERS} parameters")
    conditions: list[Condition] = []
    steering: dict[str, str] = {}
    unknown: list[str] = []
    for name, value in pairs:
        _sound(name, value)
        bare, _, modifier = name.partition(":")
        if bare in _DOOR:
            continue
        if bare in _STEERING:
            if name in steering or modifier:
                raise BadSearch(name, "may stand once only, without a modifier")
            steering[name] = value
        elif bare in _LATER or "." in bare:
            raise BadSearch(name, "not supported yet")
        elif bare not in params:
            unknown.append(name)
        else:
            conditions.append(_condition(params[bare], name, modifier, value, now, base))
    return _query(type, conditions, steering, unknown)


def _sound(name: str, value: str) -> None:
    if len(name) > 200 or len(value) > LONGEST_VALUE:
        raise BadSearch(name[:60], f"longer than {LONGEST_VALUE} characters")
    if any(c < " " or "\ud800" <= c <= "\udfff" for c in name + value):
        raise BadSearch(name.encode("ascii", "replace").decode()[:60], "contains a control character")


def _condition(param: SearchParam, name: str, modifier: str, value: str, now: datetime, base: str | None) -> Condition:
    if not searchable(param):
        raise BadSearch(name, f"{param.type} parameters are not supported yet" if param.expression else "not supported")
    if modifier == "missing" and param.name not in COLUMNS:
        if value not in ("true", "false"):
            raise BadSearch(name, "must be true or false")
        return Condition(param, (), missing=value == "true")
    kind = modifier if param.type == "reference" and modifier in concrete_types() else None
    if modifier and not kind and (modifier not in MODIFIERS[param.type] or param.name in COLUMNS):
        raise BadSearch(name, f"modifier :{modifier[:40]} is not supported here")
    if kind and param.targets and kind not in param.targets:
        raise BadSearch(name, f"{param.name} does not point to {kind}")
    texts = split(value, ",")
    if len(texts) > MOST_VALUES:
        raise BadSearch(name, f"more than {MOST_VALUES} values")
    if not all(text.strip() for text in texts):
        raise BadSearch(name, "has an empty value")
    try:
        values = tuple(_value(param, modifier, kind, text, now, base) for text in texts)
    except (ValueError, OverflowError) as error:
        raise BadSearch(name, str(error)) from None
    return Condition(param, values, None if kind or not modifier else modifier)


def _value(param: SearchParam, modifier: str, kind: str | None, text: str, now: datetime, base: str | None) -> Value:
    match param.type:
        case "token":
            return _token(param, text)
        case "reference" if modifier == "identifier":
            system, code = _pair(text)
            if not code:
                raise ValueError("an identifier needs a value")
            return Logical(system, normal_identifier(code))
        case "reference":
            return _reference(param, kind, unescaped(text), base)
        case "date":
            return _date(text, now)
        case "number":
            return _number(text)
        case "string":
            raw = unescaped(text)
            folded = normal(raw)
            if not folded:
                raise ValueError("has an empty value")
            return Text(folded, raw)
    return Uri(unescaped(text))


def _token(param: SearchParam, text: str) -> Token:
    system, code = _pair(text)
    if param.name == "_id":
        return Token(None, unescaped(text))
    if code is not None and "Identifier" in param.types:
        code = normal_identifier(code)
    if code is not None and "ContactPoint" in param.types:
        code = normal_contact(code)
    if code is None and (not system or param.bare):
        raise ValueError("a token needs a code")
    return Token(system, code)


def _pair(text: str) -> tuple[str | None, str | None]:
    """`code` -> (None, code); `system|code`; `|code` -> ("", code); `system|` -> (system, None)."""
    parts = split(text, "|")
    if len(parts) == 1:
        return None, unescaped(text)
    if len(parts) > 2:
        raise ValueError("has more than one |")
    return unescaped(parts[0]), unescaped(parts[1]) or None


def _reference(param: SearchParam, kind: str | None, text: str, base: str | None) -> Reference:
    if base is not None:
        text = terms.relative(text, base)
    if kind is not None:
        if not _ID.match(text):
            raise ValueError(f"expected an id of {kind}")
        return Reference(f"{kind}/{text}")
    if _ID.match(text) and "Reference" in param.types:
        return Reference(f"{param.targets[0]}/{text}") if len(param.targets) == 1 else Reference(None, text)
    parts = terms.literal(text)
    if parts is None and ":" not in text and "Reference" in param.types:
        raise ValueError("expected an id, Type/id or a URL")
    if parts is not None and parts[0] is None:
        if parts[1] not in concrete_types():
            raise ValueError(f"{parts[1]} is not a resource type")
        if param.targets and parts[1] not in param.targets:
            raise ValueError(f"{param.name} does not point to {parts[1]}")
    return Reference(text)


def _prefix(text: str) -> tuple[str, str]:
    text = unescaped(text)
    match = _PREFIXED.match(text)
    if match is None:
        return "eq", text
    if match.group(1) not in PREFIXES:
        raise ValueError(f"unknown prefix {match.group(1)}")
    return match.group(1), text[2:]


def _date(text: str, now: datetime) -> Span:
    prefix, rest = _prefix(text)
    low, high = ranges.date_range(rest.replace(" ", "+"))  # an unescaped + in a URL arrives as a space
    if prefix == "ap":
        room = abs(ranges.micros(now) - low) / 10
        low, high = low - room, high + room
    return Span(prefix, low, high)


def _number(text: str) -> Span:
    prefix, rest = _prefix(text)
    value, (low, high) = ranges.number(rest)
    if prefix == "ap":
        room = abs(value) / 10
        low, high = min(low, value - room), max(high, value + room)
    elif prefix not in ("eq", "ne"):
        low, high = ranges.point(value)
    return Span(prefix, low, high)


# Steering


def _query(type: str, conditions: Sequence[Condition], steering: dict[str, str], unknown: list[str]) -> Query:
    summary = steering.get("_summary")
    if summary is not None and summary not in _SUMMARIES:
        raise BadSearch("_summary", "must be one of " + ", ".join(sorted(_SUMMARIES)))
    total = steering.get("_total", "none")
    if total not in ("none", "estimate", "accurate"):
        raise BadSearch("_total", "must be none, estimate or accurate")
    count = 0 if summary == "count" else _count(steering.get("_count"))
    elements = tuple(e.strip() for e in steering.get("_elements", "").split(",") if e.strip())
    return Query(
        (type,), tuple(conditions), _sort(type, steering.get("_sort")), count, "accurate" if count == 0 else total,
        steering.get("_page") or None, summary, elements, tuple(unknown),
    )  # fmt: skip


def _count(text: str | None) -> int:
    if text is None:
        return DEFAULT_COUNT
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadSearch("_count", "must be a whole number from 0 on")
    return min(int(text), LARGEST_COUNT)


def _sort(type: str, text: str | None) -> tuple[SortKey, ...]:
    keys: list[SortKey] = []
    for part in text.split(",") if text else ():
        name = part.strip().removeprefix("-")
        param = params_for(type).get(name)
        if param is None or not (name in COLUMNS or (searchable(param) and param.type in _SORTABLE)):
            raise BadSearch("_sort", f"cannot sort by {name[:60]!r}")
        keys.append(SortKey(param, part.strip().startswith("-")))
    if len(keys) > 3:
        raise BadSearch("_sort", "more than three keys")
    return tuple(keys)


_STEERING = frozenset({"_sort", "_count", "_total", "_summary", "_elements", "_page"})


# Escapes (FHIR R4 3.1.1.4.4.1): \, \| \$ \\


def split(text: str, mark: str) -> list[str]:
    """Split at a mark that is not escaped; the parts keep their escapes."""
    if "\\" not in text:
        return text.split(mark)
    parts, start, at = [], 0, 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        if text[at] == mark:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [*parts, text[start:]]


def unescaped(text: str) -> str:
    """The text without its escapes. Raises ValueError for an escape that does not exist."""
    if "\\" not in text:
        return text
    if re.sub(r"\\[,|$\\]", "", text).count("\\"):
        raise ValueError("has an unknown escape")
    return re.sub(r"\\([,|$\\])", r"\1", text)
