"""Judging a resource with everything at hand: what is bundled, what packages brought, and the terminology."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from phr.records import terminology, validate
from phr.records.profiles import bundled, conform, packages
from phr.records.profiles.library import Library
from phr.records.validate import Problem

_KEPT = 20_000  # answers about codes


def findings(resource: Mapping[str, Any], profiles: Sequence[str] = (), *, now: datetime) -> list[Problem]:
    """Everything there is to say: structure, R4's own rules, profiles claimed and those named (errors first).

    A place that the structure check spoke of already is not spoken of again for the same reason.
    """
    found = validate.check(resource)
    if any(p.severity == "fatal" for p in found):
        return found
    seen = {(p.expression, p.code) for p in found}
    library = at_hand()
    more = conform.check(resource, profiles, library=library, member=member, now=now)
    found += [p for p in more if (p.expression, p.code) not in seen or p.severity != "error"]
    return sorted(found, key=lambda p: _ORDER.get(p.severity, 0))


_ORDER = {"fatal": 0, "error": 1, "warning": 2, "information": 3}


def at_hand() -> Library:
    """The profiles at hand, compiled once for each state of the packages."""
    return _library(packages.generation())


@lru_cache(maxsize=2)
def _library(generation: object) -> Library:
    return Library(packages.structure)


@lru_cache(maxsize=1)
def bundled_only() -> Library:
    """R4 and the project's own profiles: needs no database."""
    return Library(bundled.canonical)


def member(value_set: str, system: str | None, code: str) -> bool | None:
    """Whether a value set holds a code; None where that cannot be told here. A bare code: in any system."""
    return _member(packages.generation(), value_set, system, code)


@lru_cache(maxsize=_KEPT)
def _member(generation: object, value_set: str, system: str | None, code: str) -> bool | None:
    try:
        if system is None:
            return any(held == code for _, held in terminology.codes_in(value_set))
        return terminology.holds(value_set, system, code)
    except terminology.TerminologyError:
        return None
