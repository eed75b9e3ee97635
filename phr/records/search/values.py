"""One value of a search, as it stands in the query string -> data. Pure.

Raises ValueError with what is wrong; who reads the parameter knows its name.
Sources: FHIR R4 3.1.1.4.4 (prefixes, escapes) to 3.1.1.4.14, per parameter type.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from math import isfinite

from phr.records.definitions import concrete_types
from phr.records.search import ranges, terms
from phr.records.search.normal import normal, normal_contact, normal_identifier
from phr.records.search.params import SearchParam, params_for
from phr.records.search.query import Amount, Logical, Near, Paired, Reference, Span, Text, Token, Typed, Uri, Value
from phr.records.search.sounds import fold_of

PREFIXES = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"})
# `near` without a distance: how far is near
NEARBY = 50_000.0  # metres
_METRES = {"m": 1.0, "km": 1000.0, "[mi_us]": 1609.347, "[mi_i]": 1609.344, "[ft_i]": 0.3048}
_ID = re.compile(r"^[A-Za-z0-9\-.]{1,64}$", re.ASCII)
_PREFIXED = re.compile(r"^([a-z]{2})(?=[\d+.-])")


@dataclass(frozen=True, slots=True)
class Asked:
    """Where and when a search is asked: `base` is our own FHIR base URL."""

    now: datetime
    base: str | None = None


def value(param: SearchParam, modifier: str, kind: str | None, text: str, asked: Asked) -> Value:
    """One value. `kind`: the type a reference was narrowed to (`subject:Patient`). Raises ValueError."""
    match param.type:
        case "token":
            return _coded(param, modifier, text)
        case "reference" if modifier == "identifier":
            return logical(text)
        case "reference":
            return reference(param, kind, unescaped(text), asked.base)
        case "date":
            return date(text, asked.now)
        case "composite":
            return paired(param, text, asked)
        case "uri":
            return Uri(unescaped(text))
        case "string":
            return string(text, fold_of(param))
    return _PLAIN[param.type](text)


def _coded(param: SearchParam, modifier: str, text: str) -> Value:
    match modifier:
        case "of-type":
            return of_type(text)
        case "text":
            return string(text)
    return token(param, text)


def string(text: str, fold: Callable[[str], str] = normal) -> Text:
    raw = unescaped(text)
    folded = fold(raw)
    if not folded:
        raise ValueError("has an empty value")
    return Text(folded, raw)


def token(param: SearchParam, text: str) -> Token:
    if param.name == "_id":
        return Token(None, unescaped(text))
    system, code = _pair(text)
    if code is not None and "Identifier" in param.types:
        code = normal_identifier(code)
    if code is not None and "ContactPoint" in param.types:
        code = normal_contact(code)
    if code is None and (not system or param.bare):
        raise ValueError("a token needs a code")
    return Token(system, code)


def of_type(text: str) -> Typed:
    """`system|code|value`: the type's coding and the identifier's value (R4 3.1.1.4.10)."""
    parts = [unescaped(part) for part in split(text, "|")]
    if len(parts) != 3 or not all(parts):
        raise ValueError("expected system|code|value")
    return Typed(parts[0], parts[1], normal_identifier(parts[2]))


def logical(text: str) -> Logical:
    system, code = _pair(text)
    if not code:
        raise ValueError("an identifier needs a value")
    return Logical(system, normal_identifier(code))


def _pair(text: str) -> tuple[str | None, str | None]:
    """`code` -> (None, code); `system|code`; `|code` -> ("", code); `system|` -> (system, None)."""
    parts = split(text, "|")
    if len(parts) == 1:
        return None, unescaped(text)
    if len(parts) > 2:
        raise ValueError("has more than one |")
    return unescaped(parts[0]), unescaped(parts[1]) or None


def reference(param: SearchParam, kind: str | None, text: str, base: str | None) -> Reference:
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


# Ordered values


def _prefix(text: str) -> tuple[str, str]:
    text = unescaped(text)
    match = _PREFIXED.match(text)
    if match is None:
        return "eq", text
    if match.group(1) not in PREFIXES:
        raise ValueError(f"unknown prefix {match.group(1)}")
    return match.group(1), text[2:]


def date(text: str, now: datetime) -> Span:
    prefix, rest = _prefix(text)
    low, high = ranges.date_range(rest.replace(" ", "+"))  # an unescaped + in a URL arrives as a space
    if prefix == "ap":
        room = abs(ranges.micros(now) - low) / 10
        return Span(prefix, low - room, high + room, text)
    return Span(prefix, low, high)


def number(text: str) -> Amount:
    """A number with a prefix (R4 3.1.1.4.7): a quantity without a unit."""
    prefix, rest = _prefix(text)
    exact, (low, high) = ranges.number(rest)
    if prefix == "ap":
        room = abs(exact) / 10
        low, high = min(low, exact - room), max(high, exact + room)
    return Amount(prefix, low, high, exact)


def quantity(text: str) -> Amount:
    """`number`, `number|system|code` or `number||code`, with a prefix (R4 3.1.1.4.11)."""
    told, *unit = split(text, "|")
    if len(unit) not in (0, 2):
        raise ValueError("expected number, number|system|code or number||code")
    found = number(told)
    system, code = (unescaped(part) or None for part in unit) if unit else (None, None)
    if system is not None and code is None:
        raise ValueError("a unit needs a code")
    return replace(found, system=system, code=code)


def paired(param: SearchParam, text: str, asked: Asked) -> Paired:
    """`a$b`: one value per component (R4 3.1.1.4.12)."""
    texts = split(text, "$")
    if len(texts) != len(param.components) or not all(part.strip() for part in texts):
        raise ValueError(f"expected {'$'.join(name for name, _ in param.components)}")
    known = params_for(param.base)
    parts = zip(param.components, texts, strict=True)
    return Paired(tuple(value(known[name], "", None, part, asked) for (name, _), part in parts))


def near(text: str) -> Near:
    """`latitude|longitude|distance|units` (R4 location.html §8.7.4); km where no UCUM unit is told."""
    parts = [unescaped(part) for part in split(text, "|")]
    if not 2 <= len(parts) <= 4:
        raise ValueError("expected latitude|longitude|distance|units")
    latitude, longitude = _degrees(parts[0], 90), _degrees(parts[1], 180)
    unit = parts[3] if len(parts) == 4 and parts[3] else "km"
    if unit not in _METRES:
        raise ValueError("the distance is in " + ", ".join(_METRES))
    told = parts[2] if len(parts) > 2 else ""
    metres = ranges.number(told)[0] * _METRES[unit] if told else NEARBY
    if not 0 <= metres <= 2.1e7:
        raise ValueError("a distance is from 0 to half the way around the earth")
    return Near(latitude, longitude, metres)


def _degrees(text: str, most: int) -> float:
    found = float(Decimal(str(ranges.number(text)[0])))
    if not isfinite(found) or abs(found) > most:
        raise ValueError(f"not degrees: {text[:40]!r}")
    return found


_PLAIN: dict[str, Callable[[str], Value]] = {
    "number": number, "quantity": quantity, "special": near,
}  # fmt: skip


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
