"""Quantities as keyed hashes: what the index stores of a measured value, and what a search asks for. Pure.

A value stands as the nodes of a trie (`trie`), once as the number is written, whatever its unit, and once converted
to its measure (`units`): 60 kg and 60000 g have the nodes of 60000 under "g1". What is no UCUM unit is kept under
system and code as they are. A value with a comparator (< 5), a Range or SampledData is an interval: both ends are
kept as cuts. A search asks for the fewest nodes that cover what its prefix means; nothing measured is legible, and
nothing has an order, so one cannot sort by it.

`5.4||mg` means a unit that is written so, as code or as printed. Where all values of a parameter in a resource are
in one unit, the unit is a term of its own ("w"); else each number is kept once more under its unit ("e").

Sources: FHIR R4 3.1.1.4.5 (prefixes), 3.1.1.4.13 (quantity), datatypes.html (Quantity, Range, Money, SampledData).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Protocol

from phr.records.search import terms, trie, units
from phr.records.search.params import SearchParam
from phr.records.search.trie import CONVERTED, EVER, FOREVER, WRITTEN, Cut

# Alternatives, of which one must hold; each a conjunction of sets of terms; of each set one term must be there:
# SQL: (terms && s1 AND terms && s2) OR (terms && s3). Empty: nothing can match.
Cover = tuple[tuple[tuple[int, ...], ...], ...]
_SEP = "\x1f"
_EXACT = Context(prec=40)
_INTERVALS = "i|"  # some value of the parameter is an interval: only then its ends are looked at
MONEY = "urn:iso:std:iso:4217"


@dataclass(frozen=True, slots=True)
class Measured:
    """A value in a resource: from cut to cut, with its unit. `units`: the unit's code and its printed form."""

    low: Cut
    high: Cut
    system: str = ""
    code: str = ""
    units: tuple[str, ...] = ()


class Asked(Protocol):
    """What a search says (query.Amount): prefix, range as written (`ap` widened), number, unit."""

    @property
    def prefix(self) -> str: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def number(self) -> float: ...
    @property
    def system(self) -> str | None: ...
    @property
    def code(self) -> str | None: ...


# What a resource says


def measured(node: Any, data_type: str) -> Measured | None:
    """The value of a Quantity (Age, Count, Distance, Duration …), Range, Money, SampledData or a plain number."""
    if data_type == "SampledData":
        return _sampled(node)
    if not isinstance(node, dict):
        value = _decimal(node)
        return None if value is None else Measured((value, 0), (value, 1))
    if data_type == "Range":
        low, high = measured(node.get("low"), "Quantity"), measured(node.get("high"), "Quantity")
        said = low or high
        if said is None:
            return None
        return Measured(low.low if low else EVER, high.high if high else FOREVER, said.system, said.code, said.units)
    value = _decimal(node.get("value"))
    if value is None:
        return None
    if data_type == "Money":
        currency = _text(node, "currency")
        return Measured((value, 0), (value, 1), MONEY if currency else "", currency, (currency,) if currency else ())
    written = tuple(dict.fromkeys(u for u in (_text(node, "code"), _text(node, "unit")) if u))
    return Measured(*_compared(value, node.get("comparator")), _text(node, "system"), _text(node, "code"), written)


def _compared(value: Decimal, comparator: Any) -> tuple[Cut, Cut]:
    before, after = (value, 0), (value, 1)
    ends = {"<": (EVER, before), "<=": (EVER, after), ">": (after, FOREVER), ">=": (before, FOREVER)}
    return ends.get(comparator if isinstance(comparator, str) else "", (before, after))


def _sampled(node: Any) -> Measured | None:
    """From the least to the greatest sample: origin + datum * factor; L and U are the limits (R4 SampledData)."""
    if not isinstance(node, dict) or not isinstance(origin := node.get("origin"), dict):
        return None
    zero, factor = _decimal(origin.get("value")) or Decimal(0), _decimal(node.get("factor"))
    limits = {"L": _decimal(node.get("lowerLimit")), "U": _decimal(node.get("upperLimit"))}
    data = node.get("data")
    found = [limits[d] if d in limits else _sample(d) for d in (data.split() if isinstance(data, str) else ())]
    raw = [value for value in (found or limits.values()) if value is not None]
    if not raw:
        return None
    values = [_EXACT.fma(value, factor if factor is not None else Decimal(1), zero) for value in raw]
    said = measured(origin | {"value": 0}, "Quantity")
    assert said is not None
    return Measured((min(values), 0), (max(values), 1), said.system, said.code, said.units)


def _sample(text: str) -> Decimal | None:
    try:
        return _decimal(Decimal(text))
    except ArithmeticError:  # E (error), or not a number
        return None


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    return trie.rounded(number, WRITTEN) if number.is_finite() else None


def _text(node: Any, key: str) -> str:
    value = node.get(key)
    return value if isinstance(value, str) else ""


# What is stored


def stored(head: str, values: Sequence[Measured]) -> Iterator[str]:
    """The texts of terms of all values a resource has under one head (`terms.head` of kind q)."""
    several = len({value.units for value in values}) > 1
    if any(_is_interval(value) for value in values):
        yield head + _INTERVALS
    for value in values:
        yield from _nodes(head, "", value, WRITTEN)
        if unit := _unit(value.system, value.code):
            yield from _nodes(head, unit.measure, _converted(value, unit), CONVERTED)
        elif value.code and value.system:
            yield from _nodes(head, value.system + "|" + value.code, value, WRITTEN)
        for written in value.units:
            if several:
                yield from _nodes(head, "e|" + written, value, WRITTEN)
            else:
                yield head + "w|" + written


def _nodes(head: str, kind: str, value: Measured, digits: int) -> Iterator[str]:
    start = head + kind + _SEP
    low, high = (trie.rounded(value.low[0], digits), value.low[1]), (trie.rounded(value.high[0], digits), value.high[1])
    if not _is_interval(value):
        yield from (start + node for node in trie.nodes(low[0]))
    else:
        yield from (start + "<" + node for node in trie.nodes(*low))
        yield from (start + ">" + node for node in trie.nodes(*high))


def _is_interval(value: Measured) -> bool:
    return value.low[0] != value.high[0]


@lru_cache(maxsize=4096)
def _unit(system: str, code: str) -> units.Unit | None:
    found = units.canonical(code) if system == units.UCUM and code else None
    return None if found is None else units.Unit("u|" + found.measure, found.factor, found.offset)


def _converted(value: Measured, unit: units.Unit) -> Measured:
    return Measured(_moved(value.low, unit), _moved(value.high, unit))


def _moved(cut: Cut, unit: units.Unit) -> Cut:
    if cut[0].is_infinite():
        return cut
    return _product(cut[0], unit.factor, unit.offset), cut[1]


@lru_cache(maxsize=8192)
def _product(value: Decimal, factor: Fraction, offset: Fraction) -> Decimal:
    exact = Fraction(value) * factor + offset
    return trie.rounded(_EXACT.divide(Decimal(exact.numerator), Decimal(exact.denominator)), CONVERTED)


# What is asked


def asked(param: SearchParam, amount: Asked, key: bytes) -> Cover:
    """The terms that answer one value of a quantity parameter. Raises ValueError for a system without a code."""
    heads = [terms.head(param.base, kept.name, "q") for kept in param.kept]
    return hashed((way for head in heads for way in asked_texts(head, amount)), key)


def hashed(ways: Iterable[tuple[tuple[str, ...], ...]], key: bytes) -> Cover:
    """Texts as terms; ways that ask for one set only become one."""
    single: dict[int, None] = {}
    found = []
    for way in ways:
        sets = tuple(tuple(dict.fromkeys(terms.hashed(text, key) for text in texts)) for texts in way)
        if len(sets) == 1:
            single |= dict.fromkeys(sets[0])
        else:
            found.append(sets)
    return ((tuple(single),), *found) if single else tuple(found)


def asked_texts(head: str, amount: Asked) -> list[tuple[tuple[str, ...], ...]]:
    """`asked` before hashing, for one head: alternatives of conjunctions of sets of texts."""
    system, code = amount.system, amount.code
    low, high, at = (_cut(number) for number in (amount.low, amount.high, amount.number))
    if amount.prefix in ("eq", "ne", "ap"):
        ends = (low, 0), (high, 0)
    else:
        ends = (at, 0), (at, 1)
    if not code:
        if system:
            raise ValueError("a unit needs a code")
        return _ways(head, "", amount.prefix, ends, WRITTEN)
    if not system:
        plain = [(*way, (head + "w|" + code,)) for way in _ways(head, "", amount.prefix, ends, WRITTEN)]
        return [*plain, *_ways(head, "e|" + code, amount.prefix, ends, WRITTEN)]
    if unit := _unit(system, code):
        moved = _moved(ends[0], unit), _moved(ends[1], unit)
        return _ways(head, unit.measure, amount.prefix, moved, CONVERTED)
    return _ways(head, system + "|" + code, amount.prefix, ends, WRITTEN)


def _cut(number: float) -> Decimal:
    return trie.rounded(Decimal(repr(number)), WRITTEN)


def _ways(head: str, kind: str, prefix: str, ends: tuple[Cut, Cut], digits: int) -> list[tuple[tuple[str, ...], ...]]:
    """Alternatives for a prefix: values that lie right, then intervals that do."""
    start, (a, b) = head + kind + _SEP, ends
    values = [start + node for low, high in _values(prefix, a, b) for node in trie.cover(low, high, digits)]
    intervals = (
        tuple(
            tuple(start + end + node for end, low, high in some for node in trie.cover(low, high, digits, cuts=True))
            for some in sets
        )
        for sets in _intervals(prefix, a, b)
    )
    return [(tuple(values),), *(((head + _INTERVALS,), *sets) for sets in intervals)]


def _values(prefix: str, a: Cut, b: Cut) -> list[tuple[Cut, Cut]]:
    """Where a value lies that answers a prefix (R4 3.1.1.4.5); `a` to `b` is what was asked for."""
    if prefix in ("eq", "ap"):
        return [(a, b)]
    found = {"ge": [(a, FOREVER)], "le": [(EVER, b)], "gt": [(b, FOREVER)], "sa": [(b, FOREVER)], "lt": [(EVER, a)],
             "eb": [(EVER, a)], "ne": [(EVER, a), (b, FOREVER)]}  # fmt: skip
    return found[prefix]


def _intervals(prefix: str, a: Cut, b: Cut) -> list[list[list[tuple[str, Cut, Cut]]]]:
    """Where the ends (<, >) of an interval lie that answers a prefix; `ranges.holds` says the same of ranges.

    Alternatives of conjunctions of choices.
    """
    below, above = ("<", EVER, _next(a, -1)), (">", _next(b, 1), FOREVER)
    inside = [[("<", a, b)], [(">", a, b)]]
    overlap = [[("<", EVER, _next(b, -1))], [(">", _next(a, 1), FOREVER)]]
    found = {"eq": [inside], "ap": [overlap], "ne": [[[below, above]]], "gt": [[[above]]], "lt": [[[below]]],
             "ge": [[[above]], inside], "le": [[[below]], inside], "sa": [[[("<", b, FOREVER)]]],
             "eb": [[[(">", EVER, a)]]]}  # fmt: skip
    return found[prefix]


def _next(cut: Cut, step: int) -> Cut:
    """The end of an interval of cuts that leaves this one out."""
    return cut[0], cut[1] + step
