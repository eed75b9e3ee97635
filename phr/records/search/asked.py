"""What a condition looks up in `terms`: alternatives of conjunctions of sets of hashes. Pure.

`terms && s1 AND terms && s2 OR terms && s3` is `((s1, s2), (s3,))`: of each set one hash must be there.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from phr.records.search import composites, quantities, terms
from phr.records.search.params import SearchParam, params_for
from phr.records.search.quantities import Cover
from phr.records.search.query import (
    Amount,
    Codes,
    Condition,
    Logical,
    Paired,
    Reference,
    Text,
    Token,
    Typed,
    Uri,
    Value,
)  # fmt: skip


def cover(condition: Condition, key: bytes) -> Cover | None:
    """What to look up; nothing in it: nothing matches. None for a condition that speaks of ranges, texts, columns.

    Raises BadSearch for a composite of what cannot be looked up together.
    """
    if condition.missing is None and any(isinstance(v, Amount) for v in condition.values):
        found = [quantities.asked(condition.param, v, key) for v in condition.values if isinstance(v, Amount)]
        return tuple(way for ways in found for way in ways)
    if condition.missing is None and any(isinstance(v, Paired) for v in condition.values):
        pairs = [composites.cover(condition.param, v.values, key) for v in condition.values if isinstance(v, Paired)]
        return tuple(way for ways in pairs for way in ways)
    if not looks_up(condition):
        return None
    hashes = asked_terms(condition, key)
    return ((hashes,),) if hashes else ()


def looks_up(condition: Condition) -> bool:
    """Whether the condition is answered by `terms` alone."""
    if condition.missing is not None:
        return True
    if condition.modifier == "exact":
        return True
    return isinstance(condition.values[0], (Token, Reference, Logical, Uri, Typed, Codes, Amount))


def asked_terms(condition: Condition, key: bytes) -> tuple[int, ...]:
    """Hashes of which any answers the condition; empty if it speaks of something else, or can match nothing."""
    param = condition.param
    if condition.missing is not None:
        return (terms.present_term(param.base, param.name, key),)
    found = (term for value in condition.values for term in _terms(param, value, condition.modifier, key))
    return tuple(dict.fromkeys(found))


def _terms(param: SearchParam, value: Value, modifier: str | None, key: bytes) -> Iterator[int]:
    base, names = param.base, [kept.name for kept in param.kept]
    match value:
        case Token(system, code):
            yield from (terms.token_term(base, n, None if param.bare else system, code, key) for n in names)
        case Reference():
            yield from _reference(param, value, key)
        case Logical(system, told):
            yield from (terms.logical_term(base, n, system, told, key) for n in names)
        case Uri(uri):
            uris = above(uri) if modifier == "above" else (uri,)
            yield from (terms.uri_term(base, n, u, key) for n in names for u in uris)
            if modifier == "below":
                yield from (terms.below_term(base, n, uri, key) for n in names)
        case Typed(system, code, told):
            yield from (terms.typed_term(base, n, system, code, told, key) for n in names)
        case Codes(_, codes):
            pairs = ((None if param.bare else system, code) for system, code in sorted(codes))
            yield from (terms.token_term(base, n, system, code, key) for system, code in pairs for n in names)
        case Text(_, exact) if modifier == "exact":
            yield from (terms.exact_term(base, n, exact, key) for n in names)


def above(uri: str) -> tuple[str, ...]:
    """The URI and those it lies below, step by step of its path (R4 3.1.1.4.5, :above)."""
    found = [uri]
    least = uri.find("//") + 2 if urlsplit(uri).netloc else 0
    while (cut := uri.rstrip("/").rfind("/")) > least:
        uri = uri[:cut]
        found += [uri, uri + "/"]
    return tuple(dict.fromkeys(found))


def _reference(param: SearchParam, value: Reference, key: bytes) -> Iterator[int]:
    for kept in param.kept:
        if value.reference is not None:
            parts = terms.literal(value.reference)
            if kept.only is None or parts is None or parts[1] == kept.only:
                versioned = terms.without_version(value.reference) != value.reference
                find = terms.version_term if versioned else terms.reference_term
                yield find(param.base, kept.name, value.reference, key)
            continue
        assert value.id is not None
        stored = params_for(param.base)[kept.name].targets
        targets = (kept.only,) if kept.only else stored
        if targets and len(targets) <= terms.WIDE:
            yield from (terms.reference_term(param.base, kept.name, f"{t}/{value.id}", key) for t in targets)
        else:
            yield terms.bare_id_term(param.base, kept.name, value.id, key)
