"""Formats of FHIR's primitive data types, in JSON. Pure.

`fault(type, value)` gives None, or what is wrong in a few words; it never raises.
Source: FHIR R4 2.24 (data types: the regular expressions there, and that dates must exist),
2.4 (narrative: what the XHTML may hold).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from math import isfinite
from typing import Any
from xml.parsers import expat

Fault = str | None
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_CODE = re.compile(r"^\S+(\s\S+)*\Z")
_ID = re.compile(r"^[A-Za-z0-9\-.]{1,64}\Z")
_SPACELESS = re.compile(r"^\S+\Z")
_OID = re.compile(r"^urn:oid:[0-2](\.(0|[1-9][0-9]*))+\Z")
_UUID = re.compile(r"^urn:uuid:[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_BASE64 = re.compile(r"^[0-9A-Za-z+/]*={0,2}\Z")
_DAY = re.compile(r"^(\d{4})(?:-(\d\d)(?:-(\d\d))?)?\Z", re.ASCII)
_CLOCK = re.compile(r"^([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d{1,9})?\Z", re.ASCII)
_ZONE = re.compile(r"(Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00))\Z", re.ASCII)
# schemes that run something; white space inside is ignored by browsers
_ACTIVE = re.compile(r"^\s*((j\s*a\s*v\s*a|v\s*b)\s*s\s*c\s*r\s*i\s*p\s*t\s*:|data\s*:\s*text/html)", re.IGNORECASE)
LONGEST = 1024 * 1024  # characters of a string (R4: 1 MB)
# fmt: off
_TAGS = frozenset({
    "a", "abbr", "acronym", "address", "b", "big", "blockquote", "br", "caption", "center", "cite", "code", "col",
    "colgroup", "dd", "del", "dfn", "div", "dl", "dt", "em", "font", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i",
    "img", "ins", "kbd", "li", "map", "area", "ol", "p", "pre", "q", "s", "samp", "small", "span", "strike", "strong",
    "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "u", "ul", "var",
})
# fmt: on
XHTML = "http://www.w3.org/1999/xhtml"


def _text(value: Any) -> Fault:
    if not isinstance(value, str):
        return "must be a string"
    if not value:
        return "must not be empty"
    if value.isprintable():
        return None if len(value) <= LONGEST else "is too long"
    return _unprintable(value)


def _unprintable(value: str) -> Fault:
    if len(value) > LONGEST:
        return "is too long"
    return "contains a control character" if _CONTROL.search(value) else None


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[Any], Fault]:
    def check(value: Any) -> Fault:
        return _text(value) or (None if pattern.match(value) else f"is not a valid {what}")

    return check


def _boolean(value: Any) -> Fault:
    return None if isinstance(value, bool) else "must be true or false"


def _whole(low: int, what: str) -> Callable[[Any], Fault]:
    def check(value: Any) -> Fault:
        if isinstance(value, bool) or not isinstance(value, int):
            return "must be a whole number"
        return None if low <= value <= 2_147_483_647 else f"is not a valid {what}"

    return check


def _decimal(value: Any) -> Fault:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return "must be a number"
    if isinstance(value, float):
        return None if isfinite(value) else "must be a finite number"
    if isinstance(value, int):
        return None if value.bit_length() <= 128 else "has too many digits"
    if not value.is_finite():
        return "must be a finite number"
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    return None if len(digits) <= 40 and -100 <= exponent <= 100 else "has too many digits"


def _date(value: Any) -> Fault:
    if fault := _text(value):
        return fault
    match = _DAY.match(value)
    if match is None:
        return "is not a date (YYYY, YYYY-MM or YYYY-MM-DD)"
    return _exists(match)


def _exists(match: re.Match[str]) -> Fault:
    year, month, day = match.groups()
    try:
        date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        return "is not a day of the calendar"
    return None


def _date_time(value: Any) -> Fault:
    if fault := _text(value):
        return fault
    return _moment(value) if "T" in value else _date(value)


def _instant(value: Any) -> Fault:
    return _text(value) or _moment(value)


def _moment(value: str) -> Fault:
    day, _, clock = value.partition("T")
    match = _DAY.match(day)
    zone = _ZONE.search(clock)
    if match is None or match.group(3) is None or zone is None or not _CLOCK.match(clock[: zone.start()]):
        return "is not a time with seconds and zone (YYYY-MM-DDThh:mm:ss+zz:zz)"
    return _exists(match)


def _time(value: Any) -> Fault:
    return _text(value) or (None if _CLOCK.match(value) else "is not a time (hh:mm:ss)")


def _base64(value: Any) -> Fault:
    if not isinstance(value, str):
        return "must be a string"
    packed = "".join(value.split())
    return None if packed and len(packed) % 4 == 0 and _BASE64.match(packed) else "is not base64"


def _xhtml(value: Any) -> Fault:
    """txt-1, txt-2: a single div with plain formatting, no scripts, no entities, no outside style sheets."""
    if fault := _text(value):
        return fault
    reader = expat.ParserCreate(namespace_separator=" ")
    faults: list[str] = []
    depth = 0

    def started(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        space, _, name = tag.rpartition(" ")
        if space != XHTML or (depth == 0 and name != "div"):
            faults.append("must be a div of XHTML")
        elif name not in _TAGS:
            faults.append("may hold plain formatting only")
        depth += 1
        for attribute, text in attributes.items():
            if attribute.lower().startswith("on") or _ACTIVE.match(text):
                faults.append("may not hold active content")

    def refused(*_: Any) -> None:
        raise ValueError("document type")  # no entities, so no expansion of them

    reader.StartElementHandler = started
    reader.StartDoctypeDeclHandler = refused
    try:
        reader.Parse(value.encode("utf-8"), True)
    except (expat.ExpatError, ValueError):
        return "is not well-formed XHTML"
    return faults[0] if faults else None


FORMATS: dict[str, Callable[[Any], Fault]] = {
    "boolean": _boolean,
    "integer": _whole(-2_147_483_648, "integer"),
    "unsignedInt": _whole(0, "unsignedInt"),
    "positiveInt": _whole(1, "positiveInt"),
    "decimal": _decimal,
    "string": _text,
    "markdown": _text,
    "code": _matching(_CODE, "code"),
    "id": _matching(_ID, "id"),
    "uri": _matching(_SPACELESS, "URI"),
    "url": _matching(_SPACELESS, "URL"),
    "canonical": _matching(_SPACELESS, "canonical URL"),
    "oid": _matching(_OID, "OID"),
    "uuid": _matching(_UUID, "UUID"),
    "base64Binary": _base64,
    "date": _date,
    "dateTime": _date_time,
    "instant": _instant,
    "time": _time,
    "xhtml": _xhtml,
}
