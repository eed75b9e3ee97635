"""Terminology: which codes there are, what they mean, what is below what, which value set holds them. Pure.

Code systems and value sets are those bundled (R4's own, `r4.json.zst`) and those of the sources put before them by
`use` (an operator's packages). All functions raise `Unknown`, `NotExpandable`, `TooLarge` or `BadFilter`
(`TerminologyError`), each with a text that names what is wrong and may be shown.
"""

from __future__ import annotations

from functools import lru_cache

from phr.records.terminology.compose import Choice, Evaluation
from phr.records.terminology.errors import BadFilter, NotExpandable, TerminologyError, TooLarge, Unknown
from phr.records.terminology.library import Library
from phr.records.terminology.sources import Bundled, Source

__all__ = [
    "MOST_CODES", "BadFilter", "Choice", "Evaluation", "Library", "NotExpandable", "Source", "TerminologyError",
    "TooLarge", "Unknown", "above", "below", "codes_in", "holds", "library", "mark", "use",
]  # fmt: skip

MOST_CODES = 10_000  # of a value set that is asked for as a plain set
_at_hand = [Library((Bundled(),))]


def use(*sources: Source) -> None:
    """Put sources before the bundled definitions, in order of precedence; those put before are forgotten."""
    _at_hand[0] = Library((*sources, Bundled()))


def library() -> Library:
    """Everything at hand."""
    return _at_hand[0]


def codes_in(valueset: str) -> frozenset[tuple[str, str]]:
    """(system, code) of every member of a value set, system in the preferred spelling (`systems.preferred`).

    `valueset`: canonical URL, with or without `|version`. Raises Unknown, NotExpandable (also where only a part of a
    code system is loaded), TooLarge (more than MOST_CODES members, or too much work).
    """
    return _codes_in(valueset, mark())


def mark() -> object:
    """A value that changes whenever what is at hand does."""
    return tuple(source.mark() for source in library().sources)


@lru_cache(maxsize=64)
def _codes_in(valueset: str, marks: object) -> frozenset[tuple[str, str]]:
    members = Evaluation(library()).members(library().value_set(valueset))
    if members.unclosed:
        url = min(members.unclosed)
        raise NotExpandable(f"{url} は一部だけ読み込まれています。Only a part of {url} is loaded.")
    if len(members.entries) > MOST_CODES:
        text = f"値セットの符号は {MOST_CODES} までです。A value set may hold {MOST_CODES} codes here."
        raise TooLarge(f"{text} {valueset[:200]}")
    return frozenset(members.entries)


def holds(valueset: str, system: str, code: str) -> bool:
    """Whether a value set holds a code; asks only for what can decide it. Raises as `codes_in`."""
    return Evaluation(library()).contains(library().value_set(valueset), system, code)


def below(system: str, code: str) -> frozenset[str]:
    """The code and all codes below it in its code system. Raises Unknown, NotExpandable."""
    return library().code_system(system).below(code)


def above(system: str, code: str) -> frozenset[str]:
    """The code and all codes above it in its code system. Raises Unknown, NotExpandable."""
    return library().code_system(system).above(code)
