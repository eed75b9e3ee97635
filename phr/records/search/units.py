"""Units of UCUM: what a unit measures, and how much of it. Pure.

`canonical("kg")` and `canonical("g")` name the same measure with factors 1000 and 1, so 60 kg and 60000 g meet.
Exact: factors are fractions. Units on a scale of their own are converted where the scale is straight (degrees
Celsius, Fahrenheit, Réaumur) and else are a measure of their own (pH, decibel). Arbitrary units ([iU]) are too:
UCUM gives no conversion between them. Annotations ({beats}) do not count. Case-sensitive, as R4 asks.

Source: UCUM 2.2 (ucum.org/ucum), §3 to §27; the table is generated (`definitions/units.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

from phr.records.definitions import table

UCUM = "http://unitsofmeasure.org"
LONGEST, DEEPEST, GREATEST = 60, 8, 40  # characters of a unit, nested brackets, exponent
_ANNOTATION = re.compile(r"\{[^{}]*\}")
_NOTE = "{}"  # what stands for an annotation: the unit 1, or nothing after another
_EXPONENT = re.compile(r"([+-]?\d{1,2})$", re.ASCII)
_FACTOR = re.compile(r"\d{1,12}$", re.ASCII)
_COMPONENT = re.compile(r"(?:\[[^\[\]]*\]|[^\[\]./(){}])+")
# Zero of a scale in kelvin; the size of its degree is in the table.
_ZERO = {"Cel": Fraction("273.15"), "[degF]": Fraction("459.67") * Fraction(5, 9), "[degRe]": Fraction("273.15")}
# What is measured mostly in these is converted to them: the numbers stay as short as they were written.
_PREFERRED = ("mm[Hg]", "/min", "mL/min", "mL/min/m2", "umol/min/L", "umol/min")


class NotUcum(ValueError):
    """Not a unit of UCUM."""


@dataclass(frozen=True, slots=True)
class Unit:
    """`measure`: what is measured (the same for all units that can be converted); value * factor + offset."""

    measure: str
    factor: Fraction
    offset: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class _Term:
    factor: Fraction
    powers: tuple[tuple[str, int], ...]

    def times(self, other: _Term, sign: int = 1) -> _Term:
        powers = dict(self.powers)
        for base, power in other.powers:
            powers[base] = powers.get(base, 0) + sign * power
        factor = self.factor * other.factor if sign > 0 else self.factor / other.factor
        return _Term(factor, tuple(sorted((b, p) for b, p in powers.items() if p)))

    def to(self, power: int) -> _Term:
        if abs(power) > GREATEST:
            raise NotUcum(f"exponent {power}")
        return _Term(self.factor**power, tuple((base, p * power) for base, p in self.powers))


_ONE = _Term(Fraction(1), ())


@lru_cache(maxsize=4096)
def canonical(code: str) -> Unit | None:
    """The measure and size of a unit, or None if UCUM does not know it."""
    try:
        return _canonical(code)
    except NotUcum:
        return None


def _canonical(code: str) -> Unit:
    if zero := _ZERO.get(code):
        degree = _read(_atoms()[code][2]).factor * Fraction(_atoms()[code][1])
        return Unit("Cel", degree, zero - _ZERO["Cel"])
    term = _read(code)
    measure = ".".join(f"{base}{power}" for base, power in term.powers)
    if measure == "K1":
        return Unit("Cel", term.factor, -_ZERO["Cel"])
    return Unit(measure, term.factor / _scales().get(term.powers, Fraction(1)))


@cache
def _scales() -> dict[tuple[tuple[str, int], ...], Fraction]:
    return {term.powers: term.factor for term in map(_read, _PREFERRED)}


@cache
def _atoms() -> dict[str, list[Any]]:
    return table("units")["atoms"]  # type: ignore[no-any-return]


@cache
def _prefixes() -> dict[str, str]:
    return table("units")["prefixes"]  # type: ignore[no-any-return]


def _read(code: str) -> _Term:
    """A whole unit expression: components joined by . and /, in order. Raises NotUcum."""
    bare = _ANNOTATION.sub(_NOTE, code)
    if not code or len(code) > LONGEST or not bare.isascii() or any(c <= " " for c in bare):
        raise NotUcum(code[:LONGEST])
    reader = _Reader(bare)
    term = reader.term(0)
    if reader.at != len(bare):
        raise NotUcum(code)
    return term


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def term(self, depth: int) -> _Term:
        if depth > DEEPEST:
            raise NotUcum("nested too deeply")
        sign = -1 if self._took("/") else 1
        found = _ONE.times(self._component(depth), sign)
        while self.at < len(self.text) and self.text[self.at] in "./":
            sign = -1 if self.text[self.at] == "/" else 1
            self.at += 1
            found = found.times(self._component(depth), sign)
        return found

    def _took(self, mark: str) -> bool:
        taken = self.text.startswith(mark, self.at)
        self.at += len(mark) if taken else 0
        return taken

    def _component(self, depth: int) -> _Term:
        if self._took("("):
            found = self.term(depth + 1)
            if not self._took(")"):
                raise NotUcum("a bracket is not closed")
            return found
        if self._took(_NOTE):
            return _ONE
        match = _COMPONENT.match(self.text, self.at)
        if match is None:
            raise NotUcum(self.text)
        self.at = match.end()
        self._took(_NOTE)
        return _simple(match.group())


@lru_cache(maxsize=1024)
def _simple(text: str) -> _Term:
    """A number, or a unit with prefix and exponent."""
    if _FACTOR.match(text):
        if not int(text):
            raise NotUcum("zero")
        return _Term(Fraction(int(text)), ())
    if found := _atom(text):
        return found
    if (exponent := _EXPONENT.search(text)) and (found := _atom(text[: exponent.start()])):
        return found.to(int(exponent.group()))
    raise NotUcum(text)


def _atom(text: str) -> _Term | None:
    if text in _atoms():
        return _defined(text)
    for length in (2, 1):
        prefix, rest = text[:length], text[length:]
        if prefix in _prefixes() and rest in _atoms() and _atoms()[rest][0]:
            own = _defined(rest)
            return _Term(Fraction(_prefixes()[prefix]) * own.factor, own.powers)
    return None


@cache
def _defined(code: str) -> _Term:
    _, factor, unit, kind = _atoms()[code]
    if kind == "base" or (kind == "special" and code not in _ZERO):
        return _Term(Fraction(1), ((code, 1),))
    if kind == "arbitrary":
        aliased = unit in _atoms() and _atoms()[unit][3] == "arbitrary"
        return _defined(unit) if aliased else _Term(Fraction(1), ((code, 1),))
    return _Term(Fraction(factor), ()).times(_read(unit))
