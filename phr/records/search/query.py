"""A search as data: what `parse.py` makes of a query string and `compile.py` turns into SQL. Pure.

How a compiler reads a Condition (all conditions of a Query hold together; values of one are alternatives):

* `missing` set: present_term(type, param.name) in terms, or not;
* Token, Reference, Logical, Uri, and Text with modifier "exact": `asked_terms(condition, key)` gives
  hashes of which any must be in `terms` (`terms && ARRAY[…]`, with one hash `terms @> ARRAY[h]`);
  modifier "not": none of them may be (resources without a value match too). No hash at all: no match;
* Span (date, number): EXISTS a Range row with param_id in `kept_ids(param)` for which
  `ranges.holds(prefix, (low, high), row)`; for "ne" the row must exist too;
* Text: EXISTS a Text row with param_id in `kept_ids(param)`, text LIKE folded || '%', or
  '%' || folded || '%' for modifier "contains" (escape % _ \\);
* `_id` (Token values) and `_lastUpdated` (Span values) speak of columns.
"""

from __future__ import annotations

from dataclasses import dataclass

from phr.records.search import terms
from phr.records.search.params import SearchParam, params_for


class BadSearch(Exception):
    """A search that cannot be answered: the parameter as it was written, and why."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(f"{parameter}: {message}")
        self.parameter = parameter
        self.message = message


@dataclass(frozen=True, slots=True)
class Token:
    """system None = any, "" = none; code None = any code of the system."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class Reference:
    """`reference`: Type/id, an absolute URL, a urn or a canonical; else `id` alone, of any target type."""

    reference: str | None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Logical:
    """A reference by identifier (`:identifier`)."""

    system: str | None
    value: str


@dataclass(frozen=True, slots=True)
class Uri:
    uri: str


@dataclass(frozen=True, slots=True)
class Span:
    """A date (microseconds) or a number with its prefix; `ap` is widened already."""

    prefix: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Text:
    """`folded`: normal form, to be found at the beginning or inside; `exact`: as written."""

    folded: str
    exact: str


Value = Token | Reference | Logical | Uri | Span | Text


@dataclass(frozen=True, slots=True)
class Condition:
    """One parameter of a search: any of the values. `modifier`: None, not, exact, contains, identifier."""

    param: SearchParam
    values: tuple[Value, ...]
    modifier: str | None = None
    missing: bool | None = None


@dataclass(frozen=True, slots=True)
class SortKey:
    """Sort by a Range (date, number, quantity), a Text (string), or the columns of `_id`, `_lastUpdated`."""

    param: SearchParam
    descending: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A search on one type. `count` 0 asks for the total only; `total`: none, estimate, accurate.

    `unknown`: parameters that were not understood, and so not applied; the door says so or refuses.
    `page`: the cursor as it came. `summary`, `elements`: how to show the result, not what to find.
    """

    type: str
    conditions: tuple[Condition, ...] = ()
    sort: tuple[SortKey, ...] = ()
    count: int = 50
    total: str = "none"
    page: str | None = None
    summary: str | None = None
    elements: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """The same for two searches exactly if they look for the same things in the same order."""
        conditions = sorted(f"{c.param.name}:{c.modifier}:{c.missing}={c.values!r}" for c in self.conditions)
        order = [f"{'-' if key.descending else ''}{key.param.name}" for key in self.sort]
        return f"{self.type}?{'&'.join(conditions)}&_sort={','.join(order)}"


def kept_ids(param: SearchParam) -> tuple[int, ...]:
    """The param_ids under which Range and Text rows of a parameter stand."""
    return tuple(kept.id for kept in param.kept)


def asked_terms(condition: Condition, key: bytes) -> tuple[int, ...]:
    """Hashes of which any answers the condition; empty if it speaks of ranges or texts, or can match nothing."""
    param = condition.param
    if condition.missing is not None:
        return (terms.present_term(param.base, param.name, key),)
    found: list[int] = []
    for value in condition.values:
        match value:
            case Token():
                system = None if param.bare else value.system
                found += [terms.token_term(param.base, k.name, system, value.code, key) for k in param.kept]
            case Reference():
                found += _reference(param, value, key)
            case Logical():
                found += [terms.logical_term(param.base, k.name, value.system, value.value, key) for k in param.kept]
            case Uri():
                found += [terms.uri_term(param.base, k.name, value.uri, key) for k in param.kept]
            case Text() if condition.modifier == "exact":
                found += [terms.exact_term(param.base, k.name, value.exact, key) for k in param.kept]
    return tuple(dict.fromkeys(found))


def _reference(param: SearchParam, value: Reference, key: bytes) -> list[int]:
    found: list[int] = []
    for kept in param.kept:
        if value.reference is not None:
            parts = terms.literal(value.reference)
            if kept.only is None or parts is None or parts[1] == kept.only:
                found.append(terms.reference_term(param.base, kept.name, value.reference, key))
            continue
        assert value.id is not None
        stored = params_for(param.base)[kept.name].targets
        targets = (kept.only,) if kept.only else stored
        if targets and len(targets) <= terms.WIDE:
            found += [terms.reference_term(param.base, kept.name, f"{t}/{value.id}", key) for t in targets]
        else:
            found.append(terms.bare_id_term(param.base, kept.name, value.id, key))
    return found
