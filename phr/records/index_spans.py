"""Half-open spans of what has an order in clear: dates, and where a place lies. Pure.

Each reader takes a JSON value and gives (low, high), or None for what it cannot read.
Source: FHIR R4 3.1.1.4.8 (date), location.html (near).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from math import isfinite
from typing import Any

from phr.records.search import ranges, units
from phr.records.search.ranges import EVER, FOREVER, Range

Read = Callable[[Any], Range | None]
_TIMES = frozenset({"date", "dateTime", "instant"})
_TIME = "s1"  # the measure of a time (units)


def dates(data_type: str) -> Read | None:
    """The reader of a data type in a date parameter; None where it tells no date (an age, a text)."""
    return partial(span_of, data_type=data_type) if data_type in (*_TIMES, "Period", "Timing") else None


def span_of(node: Any, data_type: str) -> Range | None:
    """The half-open span of a date, dateTime, instant, Period or Timing (outer limits), or None."""
    if data_type in _TIMES:
        try:
            return ranges.date_range(node) if isinstance(node, str) else None
        except (ValueError, OverflowError):
            return None
    if not isinstance(node, dict):
        return None
    return _period(node) if data_type == "Period" else _timing(node)


def _period(node: dict[str, Any]) -> Range | None:
    start, end = span_of(node.get("start"), "dateTime"), span_of(node.get("end"), "dateTime")
    if start is None and end is None:
        return None
    low, high = (start[0] if start else EVER), (end[1] if end else FOREVER)
    return (low, high) if low < high else None


def _timing(node: dict[str, Any]) -> Range | None:
    """From the first event to the last, and the bounds; a length counts from the first event."""
    events = node.get("event")
    spans = [span_of(event, "dateTime") for event in events] if isinstance(events, list) else []
    repeat = node.get("repeat")
    if isinstance(repeat, dict):
        spans.append(span_of(repeat.get("boundsPeriod"), "Period"))
    sound = [span for span in spans if span is not None]
    if not sound:
        return None
    low, high = min(span[0] for span in sound), max(span[1] for span in sound)
    return low, max(high, low + _length(repeat) * 1e6)


def _length(repeat: Any) -> float:
    """Seconds of boundsDuration, or of the longest of boundsRange; 0 where nothing is said."""
    if not isinstance(repeat, dict):
        return 0.0
    bounds = repeat.get("boundsRange")
    length = bounds.get("high") if isinstance(bounds, dict) else repeat.get("boundsDuration")
    if not isinstance(length, dict) or (value := number_of(length.get("value"))) is None:
        return 0.0
    code = length.get("code") or length.get("unit")
    unit = units.canonical(code) if isinstance(code, str) else None
    seconds = value * float(unit.factor) if unit is not None and unit.measure == _TIME else 0.0
    return max(0.0, min(seconds, FOREVER / 1e6))


def place(node: Any) -> Range | None:
    """Latitude and longitude in degrees: no span, but kept as one (`search/places`)."""
    latitude, longitude = (number_of(_inner(node, key)) for key in ("latitude", "longitude"))
    if latitude is None or longitude is None or not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return None
    return latitude, longitude


def _inner(node: Any, key: str) -> Any:
    return node.get(key) if isinstance(node, dict) else None


def number_of(value: Any) -> float | None:
    """A JSON number as a finite float."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    try:
        number = float(value)
    except (OverflowError, ValueError):
        return None
    return number if isfinite(number) else None
