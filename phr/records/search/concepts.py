"""Codes by what terminology says of them: `:in`, `:not-in`, `:above`, `:below` (FHIR R4 3.1.1.4.5, 3.1.1.4.10).

The one place where a search asks for something beyond its own text: which codes a value set holds, what lies below a
code. The answer goes into the query, so that what is compiled is pure again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from phr.records import terminology
from phr.records.search.params import SearchParam
from phr.records.search.query import Codes
from phr.records.search.values import token, unescaped

MODIFIERS = frozenset({"in", "not-in", "above", "below"})
MOST_CODES = 2000  # in one condition: every one of them is looked up in the index
_CODED = frozenset({"CodeableConcept", "Coding", "code", "Identifier"})


def together(param: SearchParam, modifier: str, texts: Sequence[str]) -> tuple[Codes, ...]:
    """The codes of all values of one condition. Raises ValueError as `codes`."""
    found = tuple(codes(param, modifier, text) for text in texts)
    if sum(len(one.codes) for one in found) > MOST_CODES:
        raise ValueError(f"stands for more than {MOST_CODES} codes")
    return found


def codes(param: SearchParam, modifier: str, text: str) -> Codes:
    """The codes one value stands for. Raises ValueError naming what is not known or too large."""
    if not _CODED & set(param.types):
        raise ValueError(f"modifier :{modifier} needs codes")
    if modifier in ("in", "not-in"):
        url = unescaped(text)
        return _bounded(text, partial(terminology.codes_in, url))
    told = token(param, text)
    if not told.system or told.code is None:
        raise ValueError(f"modifier :{modifier} needs system|code")
    system = told.system
    find = partial(terminology.below if modifier == "below" else terminology.above, system, told.code)
    return _bounded(text, lambda: frozenset((system, code) for code in find()))


def _bounded(asked: str, find: Callable[[], frozenset[tuple[str, str]]]) -> Codes:
    try:
        found = find()
    except terminology.TerminologyError as error:
        raise ValueError(str(error)) from None
    if len(found) > MOST_CODES:
        raise ValueError(f"stands for more than {MOST_CODES} codes")
    return Codes(asked, found)
