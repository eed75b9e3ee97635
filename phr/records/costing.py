"""Whether a search over many persons begins at an index, or would have to read the whole store. Pure.

Inside one record everything is cheap. Across records a search needs something an index can begin with: a code, an
identifier, a reference, a date, a name, full text. What only excludes (`:not`, `:missing=true`, `ne`) needs company.
A plain list needs nothing: it is walked, and ends with its page; to count it, or to sort it by what is no column, is
to read all of it. Source: R4 search.html §3.1.1.3 (a server may refuse what costs too much).
"""

from __future__ import annotations

from phr.records.search.query import And, Chain, Condition, Each, Has, Node, Or, Query, SortKey, Span, below
from phr.records.search.single import CLINICAL

_EXCLUDING = frozenset({"not", "not-in"})
_COLUMNS = frozenset({"_id", "_lastUpdated"})


def reads_everything(query: Query) -> str | None:
    """The parameter for which all resources of the types would be read; None where an index leads to the matches."""
    if any(_begins(node) for node in query.conditions):
        return None
    if query.conditions:
        return query.names[0] if query.names else "_filter"
    if query.total != "none":
        return "_total"
    return None if all(_walked(key, query) for key in query.sort) else "_sort"


def _walked(key: SortKey, query: Query) -> bool:
    """Whether an index goes in this order."""
    by_date = len(query.types) == 1 and CLINICAL.get(query.types[0]) == key.param.name
    return key.through is None and (by_date or key.param.name in _COLUMNS)


def _begins(node: Node) -> bool:
    """Whether an index leads to what the node finds."""
    match node:
        case Condition():
            return _looked_up(node)
        case And(parts):
            return any(_begins(part) for part in parts)
        case Or() | Each():
            return all(_begins(part) for part in below(node))
        case Chain(_, targets):
            return all(_begins(part) for _, part in targets)
        case Has(_, inner):
            return _begins(inner)
    return False


def _looked_up(condition: Condition) -> bool:
    if condition.missing is not None:
        return not condition.missing
    if condition.modifier in _EXCLUDING:
        return False
    return not any(isinstance(value, Span) and value.prefix == "ne" for value in condition.values)
