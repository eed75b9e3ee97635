"""A decimal number as the nodes of a trie, and an interval as the fewest nodes that cover it. Pure.

The index keeps no number that could be read; it keeps keyed hashes of nodes (`quantities`). 140 has the nodes
`e2` (every number of three digits before the point), `2:1` (100 up to 200), `2:14` (140 up to 150), and `2:14$`
(140 itself). "From 140 on" is then `2:14`, `2:15` … `2:19`, `2:2` … `2:9`, `e3` … `e6`, `large`: a resource answers
if it has one of them. Nodes are decimal, as numbers are written, so an ordinary value has four or five, and a limit
that is written with few digits needs few. The digits of a number end before its last zeros, so `2:10` has no number
but those with more digits, and "above 100" need not go down to the last of them. Numbers are rounded to a number
of significant digits before.

A *cut* is a place between numbers: just before a value, (value, 0), or just after it, (value, 1). An interval
has a cut at either end. A value is the interval between its own two cuts.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache

Cut = tuple[Decimal, int]
EVER, FOREVER = (Decimal("-Infinity"), 0), (Decimal("Infinity"), 1)
WRITTEN, CONVERTED = 15, 12  # significant digits of a number as written, and after a conversion of its unit
BOUND = 30  # powers of ten beyond which numbers are no longer told apart
USUAL = 6  # powers of ten beyond which one node stands for all that is greater, and one for all that is less
ZERO = Decimal(0)
_BELOW, _LARGE, _SMALL = "n", "large", "small"  # numbers below zero; beyond USUAL either way
_MARKS = ("$", "$>")  # the cut before a value, and the one after it


def rounded(value: Decimal, digits: int) -> Decimal:
    """The value to so many significant digits, and within the powers of ten that are told apart."""
    if not value.is_finite() or not value:
        return value or ZERO
    if abs(value.adjusted()) > BOUND:
        return Decimal((value.is_signed(), (1,), BOUND + 1 if value.adjusted() > 0 else -BOUND - 1))
    return Context(prec=digits, rounding=ROUND_HALF_EVEN).plus(value)


@lru_cache(maxsize=8192)
def nodes(value: Decimal, side: int = 0) -> tuple[str, ...]:
    """The nodes of a (rounded) value, or of the cut after it (`side` 1): what is stored."""
    if value.is_infinite():
        return ("-oo" if value < 0 else "oo",)
    if not value:
        return ("0" + _MARKS[side],)
    sign, exponent, digits = _parts(value)
    found = [sign + far] if (far := _far(exponent)) else []
    found += [f"{sign}e{exponent}", *(f"{sign}{exponent}:{digits[:n]}" for n in range(1, len(digits) + 1))]
    found.append(found[-1] + _MARKS[side])
    return tuple([sign, *found] if sign else found)


def _far(exponent: int) -> str:
    return _LARGE if exponent > USUAL else _SMALL if exponent < -USUAL else ""


@lru_cache(maxsize=1024)
def cover(low: Cut, high: Cut, digits: int, *, cuts: bool = False) -> tuple[str, ...]:
    """Nodes such that a value between the cuts has at least one of them and any other has none: what is asked.

    `cuts`: what is stored are cuts, not values; those that equal `low` or `high` count.
    """
    low, high = (rounded(low[0], digits), low[1]), (rounded(high[0], digits), high[1])
    if low > high:
        return ()
    found = set(_ends(low, high, cuts))
    if low[0] < 0:
        if low[0].is_infinite() and high[0] >= 0:
            found |= {_BELOW, "-oo"}
        else:
            found |= {_BELOW + node for node in _between(-min(high[0], ZERO), -low[0], inclusive=False)}
            found |= {"-oo"} if low[0].is_infinite() else set()
    if low[0] < 0 < high[0]:
        found |= {"0$", "0$>"}
    if high[0] > 0:
        inclusive = low[1] == 0 and low[0] > 0 and low[0] != high[0]
        found |= set(_between(max(low[0], ZERO), high[0], inclusive=inclusive))
        found |= {"oo"} if high[0].is_infinite() else set()
    return tuple(sorted(found))


def _ends(low: Cut, high: Cut, cuts: bool) -> Iterator[str]:
    """The nodes of the very values at the ends."""
    found = [(low[0], range(low[1], 2)), (high[0], range(high[1] + 1))]
    if low[0] == high[0]:
        found = [(low[0], range(low[1], high[1] + 1))]
    for value, sides in found:
        if value.is_infinite():
            continue
        name = nodes(value)[-1].removesuffix(_MARKS[0])
        if cuts:
            yield from (name + _MARKS[side] for side in sides)
        elif len(sides) == 2:
            yield name + _MARKS[0]


def _parts(value: Decimal) -> tuple[str, int, str]:
    sign, digits, _ = value.as_tuple()
    return _BELOW if sign else "", value.adjusted(), "".join(map(str, digits)).rstrip("0")


def _between(low: Decimal, high: Decimal, *, inclusive: bool) -> Iterator[str]:
    """Nodes of the numbers above `low` (0 or more) and below `high`; `inclusive`: `low` too."""
    if low >= high:
        return
    first, above = (-BOUND - 2, "") if not low else _parts(low)[1:]
    last, below = (BOUND + 2, "") if high.is_infinite() else _parts(high)[1:]
    if first == last:
        yield from _within(f"{first}:", above, below, inclusive)
        return
    yield from _powers(first + 1, last)
    if low:
        yield from _over(f"{first}:", above, 0, inclusive)
    if not high.is_infinite():
        yield from _under(f"{last}:", below, 0)


def _powers(first: int, end: int) -> Iterator[str]:
    """Whole powers of ten, from `first` to before `end`."""
    if end == BOUND + 2 and first <= USUAL + 1:
        yield _LARGE
        end = USUAL + 1
    if first == -BOUND - 1 and end >= -USUAL:
        yield _SMALL
        first = -USUAL
    yield from (f"e{exponent}" for exponent in range(first, end))


def _within(start: str, above: str, below: str, inclusive: bool) -> Iterator[str]:
    """Between two numbers of one power of ten."""
    width = max(len(above), len(below))
    above_, below_ = above.ljust(width, "0"), below.ljust(width, "0")
    at = next(n for n in range(width) if above_[n] != below_[n])
    yield from (f"{start}{below_[:at]}{digit}" for digit in range(int(above_[at]) + 1, int(below_[at])))
    yield from _over(start, above.ljust(at + 1, "0"), at + 1, inclusive)
    yield from _under(start, below, at + 1)


def _over(start: str, above: str, at: int, inclusive: bool) -> Iterator[str]:
    """Numbers that agree with `above` in the digits before `at` and are greater; `inclusive`: not less."""
    for n in range(at, len(above)):
        yield from (f"{start}{above[:n]}{digit}" for digit in range(int(above[n]) + 1, 10))
    if inclusive or above.endswith("0"):  # a node that ends with 0 has no number but those with more digits
        yield start + above
    else:
        yield from (f"{start}{above}{digit}" for digit in range(10))


def _under(start: str, below: str, at: int) -> Iterator[str]:
    """Numbers that agree with `below` in the digits before `at` and are less."""
    for n in range(at, len(below)):
        yield from (f"{start}{below[:n]}{digit}" for digit in range(0 if n else 1, int(below[n])))
        if n:
            yield from (f"{start}{below[:n]}{mark}" for mark in _MARKS)
