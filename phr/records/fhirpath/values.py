"""Values in FHIRPath: what equals what, what comes before what, what it counts as. Pure.

A value is a Node, or str, bool, int, Decimal, Moment, Amount. Functions answer None where FHIRPath says "empty".
Source: FHIRPath N1 §5.5–6.3; FHIR R4 fhirpath.html (FHIR types as System types).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final, TypeAlias

from phr.records.fhirpath.nodes import Node
from phr.records.search import units

TIMES: Final = {"date": "Date", "dateTime": "DateTime", "instant": "DateTime", "time": "Time"}
QUANTITIES: Final = frozenset({"Quantity", "Age", "Duration", "Count", "Distance", "MoneyQuantity", "SimpleQuantity"})
FARTHEST: Final = 400  # power of ten of a number
_MOMENT = re.compile(
    r"(?:(\d{4})(?:-(\d\d)(?:-(\d\d))?)?)?(?:(T)(?:(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d+)?))?)?)?(Z|[+-]\d\d:\d\d)?)?\Z",
    re.ASCII,
)
_DAYS = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_UNITS = {"year": "a", "month": "mo", "week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s",
          "millisecond": "ms"}  # fmt: skip


class Trouble(Exception):
    """The expression cannot be evaluated on this input (FHIRPath: an error is signalled)."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A date, time or both, of any precision. `kind`: Date, DateTime, Time; `zone`: minutes, None = none told."""

    kind: str
    parts: tuple[int | Decimal, ...]  # year, month, day, hour, minute, second; or hour, minute, second
    zone: int | None
    text: str = field(compare=False, default="")  # as it was written

    def placed(self) -> tuple[int | Decimal, ...]:
        """Minutes since the year 1 in UTC and the second, where there is a zone and a minute to shift."""
        if self.zone is None or len(self.parts) < 5 or self.kind == "Time":
            return self.parts
        year, month, day, hour, minute, *rest = (int(p) if i < 5 else p for i, p in enumerate(self.parts))
        total = (_day_number(int(year), int(month), int(day)) * 24 + int(hour)) * 60 + int(minute) - self.zone
        return (total, *rest)


@dataclass(frozen=True, slots=True)
class Amount:
    """A System.Quantity."""

    value: Decimal
    unit: str


Item: TypeAlias = Any
Items: TypeAlias = list[Any]


def _day_number(year: int, month: int, day: int) -> int:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400
    return days + _DAYS[(month - 1) % 12] + (1 if leap and month > 2 else 0) + day


def moment(text: str, kind: str) -> Moment | None:
    """A literal or a FHIR value as a Moment; None where it is none."""
    match = _MOMENT.match("T" + text if kind == "Time" and not text.startswith("T") else text)
    if match is None:
        return None
    year, month, day, t, hour, minute, second, zone = match.groups()
    clock: list[int | Decimal] = [int(p) for p in (hour, minute) if p] + ([Decimal(second)] if second else [])
    if year is None:
        return Moment("Time", tuple(clock), None, text) if t else None
    date: list[int | Decimal] = [int(p) for p in (year, month, day) if p]
    if clock and len(date) < 3:
        return None
    shift = None
    if zone:
        shift = 0 if zone == "Z" else (int(zone[1:3]) * 60 + int(zone[4:6])) * (-1 if zone[0] == "-" else 1)
    return Moment("DateTime" if t else kind, tuple(date + clock), shift, text)


def system(item: Item) -> Item:
    """A node of a primitive type, or a Quantity, as its System value; anything else as it is. None = no value."""
    if not isinstance(item, Node):
        return item
    if item.type in TIMES:
        return (moment(item.value, TIMES[item.type]) or item.value) if isinstance(item.value, str) else None
    if item.is_primitive:
        return _decimal(item.value) if item.type == "decimal" else item.value
    if item.type in QUANTITIES and "value" in item.value:
        unit, number = item.value.get("code", item.value.get("unit", "1")), _decimal(item.value["value"])
        if isinstance(unit, str) and number is not None:
            return Amount(number, unit)
    return item


def _decimal(value: Any) -> Decimal | None:
    """A JSON number as it counts; None for none, or for one so large or small that reckoning with it would not end."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
    return number if number.is_finite() and abs(number.adjusted()) <= FARTHEST else None


def truth(items: Items) -> bool | None:
    """A collection where a boolean is wanted: empty = None, one other than a boolean = true. Raises Trouble."""
    if not items:
        return None
    if len(items) > 1:
        raise Trouble("several values where one boolean is expected")
    value = system(items[0])
    return value if isinstance(value, bool) else True


def one(items: Items) -> Item | None:
    """The one value, as a System value; None for empty. Raises Trouble for several."""
    if len(items) > 1:
        raise Trouble("several values where one is expected")
    return system(items[0]) if items else None


def text(items: Items) -> str | None:
    """The one string; None for empty. Raises Trouble for several, or for what is no string."""
    if len(items) == 1 and isinstance(items[0], Node) and isinstance(items[0].value, str):
        return items[0].value
    value = one(items)
    if value is None or isinstance(value, str):
        return value
    raise Trouble("a string is expected")


def whole(items: Items) -> int | None:
    value = one(items)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise Trouble("a whole number is expected")


def is_number(value: Item) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def equal(left: Item, right: Item) -> bool | None:
    """One value with one value (FHIRPath §6.1.1); None where precision does not tell."""
    a, b = system(left), system(right)
    if isinstance(a, Node) or isinstance(b, Node):
        return isinstance(a, Node) and isinstance(b, Node) and same(a.value, b.value)
    if isinstance(a, Moment) and isinstance(b, Moment):
        order = _before(a, b)
        return None if order is None else order == 0
    if isinstance(a, Moment) or isinstance(b, Moment):  # a date beside a string literal
        return bool(_as_written(left) == _as_written(right))
    if isinstance(a, Amount) and isinstance(b, Amount):
        return _order_of(a, b) == 0
    if is_number(a) and is_number(b):
        return bool(a == b)
    return type(a) is type(b) and bool(a == b)


def _as_written(item: Item) -> Any:
    return item.value if isinstance(item, Node) else item


def _unit(amount: Amount) -> str:
    return _UNITS.get(amount.unit, amount.unit)


def same(left: Any, right: Any) -> bool:
    """Two JSON values, deep; numbers by value, booleans never as numbers."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(v, right[k]) for k, v in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def equal_all(left: Items, right: Items) -> bool | None:
    """`left = right`: None where one is empty."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    answers = [equal(a, b) for a, b in zip(left, right, strict=True)]
    return False if False in answers else None if None in answers else True


def equivalent(left: Item, right: Item) -> bool:
    """`left ~ right` (FHIRPath §6.1.2)."""
    a, b = system(left), system(right)
    if isinstance(a, str) and isinstance(b, str):
        return " ".join(a.casefold().split()) == " ".join(b.casefold().split())
    if isinstance(a, Decimal) and isinstance(b, Decimal):
        places = min(-int(a.as_tuple().exponent), -int(b.as_tuple().exponent))
        return round(a, max(places, 0)) == round(b, max(places, 0))
    return equal(left, right) is True


def compare(left: Items, right: Items) -> int | None:
    """-1, 0, 1, or None where one is empty or precision does not tell. Raises Trouble."""
    a, b = one(left), one(right)
    if a is None or b is None:
        return None
    if isinstance(a, Moment) and isinstance(b, Moment):
        return _before(a, b)
    if isinstance(a, Amount) and isinstance(b, Amount):
        return _order_of(a, b)
    if (is_number(a) and is_number(b)) or (isinstance(a, str) and isinstance(b, str)):
        return _order(a, b)
    raise Trouble("these cannot be compared")


def _order_of(a: Amount, b: Amount) -> int | None:
    """Two quantities in order, converted by UCUM where that can be; None where they measure different things."""
    if _unit(a) == _unit(b):
        return _order(a.value, b.value)
    one, other = units.canonical(_unit(a)), units.canonical(_unit(b))
    if one is None or other is None or one.measure != other.measure:
        return None
    return _order(Fraction(a.value) * one.factor + one.offset, Fraction(b.value) * other.factor + other.offset)


def _order(a: Any, b: Any) -> int:
    return int(a > b) - int(a < b)


def _before(a: Moment, b: Moment) -> int | None:
    if (a.kind == "Time") != (b.kind == "Time"):
        return None
    left, right = (a.placed(), b.placed()) if a.zone is not None and b.zone is not None else (a.parts, b.parts)
    for x, y in zip(left, right, strict=False):
        if x != y:
            return _order(x, y)
    return 0 if len(left) == len(right) else None


def arithmetic(operator: str, left: Item, right: Item) -> Item | None:
    """+ - * / div mod on two System values. None = empty (division by zero). Raises Trouble."""
    if operator == "+" and isinstance(left, str) and isinstance(right, str):
        return left + right
    if isinstance(left, Amount) and isinstance(right, Amount) and operator in "+-" and _unit(left) == _unit(right):
        return Amount(left.value + right.value if operator == "+" else left.value - right.value, left.unit)
    if not (is_number(left) and is_number(right)):
        raise Trouble(f"{operator} needs two numbers")
    try:
        return _calculated(operator, left, right)
    except (InvalidOperation, OverflowError):
        raise Trouble("the number is too large") from None


def _calculated(operator: str, left: Any, right: Any) -> Item | None:
    if operator in ("/", "div", "mod") and right == 0:
        return None
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return Decimal(left) / Decimal(right)
        case "div":
            return int(Decimal(left) / Decimal(right))
        case _:
            rest = Decimal(left) % Decimal(right)
            return int(rest) if isinstance(left, int) and isinstance(right, int) else rest


def shown(value: Item) -> str | None:
    """A System value as a string (toString)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if is_number(value):
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    if isinstance(value, Amount):
        return f"{value.value:f} '{value.unit}'"
    if isinstance(value, Moment):
        return value.text
    return None
