"""Composite parameters: which are simply their components together, and which must hold of one element. Pure.

`code-value-quantity` speaks of the resource: both components on the same resource are enough. In
`component-code-value-quantity` both must hold of one and the same component; the index keeps pairs for it, and
`combo-code-value-quantity` is either of the two. `together` and `cover` are what a search needs; `plan` is also
what the index is written by (`phr.records.index_composites`).

A pair is kept under the code of its first component, whatever the code's system ("$"); a search that names the
system asks for the first component beside it. That is exact where one code has one system in a resource. Where it
has several, the pair is kept under each full form instead ("%").

Source: FHIR R4 3.1.1.4.14 (composite), the 46 composite parameters of R4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product

from phr.records.definitions import fields
from phr.records.search import quantities, terms
from phr.records.search.params import SearchParam, params_for
from phr.records.search.paths import BadExpression, Leaf, resolve
from phr.records.search.query import Amount, BadSearch, Reference, Token, Value

Ways = list[tuple[tuple[str, ...], ...]]  # alternatives of conjunctions of sets of texts
_RESOURCE = "%resource."
MOST_PAIRS = 10_000  # nodes of two intervals of numbers, each with each
_SEP = "\x1f"


@dataclass(frozen=True, slots=True)
class Inner:
    """A repeating element whose components are paired. `kept`: the name its pairs stand under.

    `outer`: (position, parameter) of components that speak of the whole resource; `inner`: (position, parameter,
    leaves from the element) of the two that are paired.
    """

    kept: str
    context: Leaf
    outer: tuple[tuple[int, SearchParam], ...]
    inner: tuple[tuple[int, SearchParam, tuple[Leaf, ...]], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """`whole`: parameters that hold together of the resource, or None; `inner`: elements with pairs."""

    whole: tuple[SearchParam, ...] | None
    inner: tuple[Inner, ...]


@cache
def plan(param: SearchParam) -> Plan:
    """How a composite is answered."""
    whole, inner = None, []
    for context in resolve(param.base, param.expression):
        if _single(context, param.base):
            whole = _components(param, context)
        else:
            inner.append(_inner(param, context))
    return Plan(whole, tuple(inner))


def together(param: SearchParam) -> tuple[SearchParam, ...] | None:
    """The parameters that must all hold, if that is all the composite says; else None: ask `cover`."""
    found = plan(param)
    return found.whole if not found.inner else None


def _single(context: Leaf, base: str) -> bool:
    """Whether the context occurs once at most in a resource."""
    at = base
    for step in context.steps:
        if fields(at)[step.key].max != 1:
            return False
        at = f"{at}.{step.key}"
    return True


def _components(param: SearchParam, context: Leaf) -> tuple[SearchParam, ...]:
    """The parameter of each component that reads just what the component says of this context."""
    found = []
    for name, expression in param.components:
        path = ".".join([param.base, *(step.key for step in context.steps)])
        wanted = frozenset(_leaves(param.base, path, expression))
        own = params_for(param.base)
        same = [name, *sorted(own)]
        found.append(own[next((n for n in same if _reads(own[n], own[name], wanted)), name)])
    return tuple(found)


def _reads(candidate: SearchParam, component: SearchParam, wanted: frozenset[Leaf]) -> bool:
    """Whether a parameter reads what is wanted, and nothing from other elements (other types of a choice may be)."""
    if candidate.type != component.type or not candidate.expression:
        return False
    leaves = frozenset(resolve(candidate.base, candidate.expression))
    return wanted <= leaves and {leaf.steps[:-1] for leaf in leaves} == {leaf.steps[:-1] for leaf in wanted}


def _leaves(base: str, path: str, expression: str) -> tuple[Leaf, ...]:
    """Leaves of a component's expression, from the resource."""
    parts = [part.strip() for part in expression.split("|")]
    if parts[0].startswith(_RESOURCE):
        return resolve(base, " | ".join(base + "." + part.removeprefix(_RESOURCE) for part in parts))
    found: list[Leaf] = []
    for part in parts:
        try:
            found += resolve(base, f"{path}.{part}")
        except BadExpression:  # this context has no such element
            continue
    return tuple(found)


def _inner(param: SearchParam, context: Leaf) -> Inner:
    own = params_for(param.base)
    outer, inner = [], []
    for at, (name, expression) in enumerate(param.components):
        if expression.startswith(_RESOURCE):
            outer.append((at, own[name]))
        else:
            inner.append((at, own[name], resolve(context.type, expression)))
    element = ".".join([param.base, *(step.key for step in context.steps)])
    component = _components(param, context)
    pairs = tuple((at, component[at], leaves) for at, _, leaves in inner)
    return Inner(_kept(param, element), context, tuple(outer), pairs)


def _kept(param: SearchParam, element: str) -> str:
    """The composite of this element alone, with the same components: the pairs stand under its name."""
    said = [expression for _, expression in param.components]
    others = params_for(param.base).values()
    return min(
        other.name for other in others
        if other.type == "composite" and other.expression == element and [e for _, e in other.components] == said
    )  # fmt: skip


# What is kept, and what is asked


def pair_head(base: str, kept: str, kind: str, first: str) -> str:
    """What the text of a pair starts with. `kind`: "$", "%"; `first`: `token_key`, a reference, a node."""
    return terms.head(base, kept, kind) + first + _SEP


def mixed_mark(base: str, kept: str) -> str:
    """The text of the term that says that some code stands there with several systems."""
    return terms.head(base, kept, "%")


def token_key(form: str, system: str | None, code: str) -> str:
    """The first component of a pair: form "a" (any system), or "c" (system and code; no system: "")."""
    return form + _SEP + (code if form == "a" else terms.joined(system or "", code))


def cover(param: SearchParam, values: tuple[Value, ...], key: bytes) -> quantities.Cover:
    """The terms that answer one value of a composite (one value per component); see `quantities.Cover`.

    For composites that `together` does not answer. Raises BadSearch for a component it cannot look up.
    """
    found = plan(param)
    ways: Ways = []
    if found.whole is not None:
        ways += _all([_own(p, value) for p, value in zip(found.whole, values, strict=True)])
    for inner in found.inner:
        (one, first, _), (two, _, _) = inner.inner
        sides = [_own(p, values[at]) for at, p in inner.outer]
        ways += _all([*sides, _pairs(param, inner.kept, first, values[one], values[two])])
    return quantities.hashed(ways, key)


def _all(parts: list[Ways]) -> Ways:
    """All of them together: every choice of one way each."""
    return [tuple(texts for way in chosen for texts in way) for chosen in product(*parts)]


def _own(param: SearchParam, value: Value) -> Ways:
    """What a component's own parameter looks up."""
    names = [kept.name for kept in param.kept]
    match value:
        case Token(system, code):
            system = None if param.bare else system
            return [(tuple(terms.token_text(param.base, name, system, code) for name in names),)]
        case Amount():
            heads = [terms.head(param.base, name, "q") for name in names]
            return [way for head in heads for way in quantities.asked_texts(head, value)]
    raise BadSearch(param.name, "is not answered in a composite")


def _pairs(param: SearchParam, kept: str, first: SearchParam, one: Value, two: Value) -> Ways:
    def beside(kind: str, text: str) -> Ways:
        return _second(param, pair_head(param.base, kept, kind, text), two)

    def mixed(text: str) -> Ways:
        return _all([[((mixed_mark(param.base, kept),),)], beside("%", text)])

    match one:
        case Token(_, None):
            raise BadSearch(param.name, "the first part needs a code")
        case Token(None, str(code)):
            either = token_key("a", None, code)
            return beside("$", either) + mixed(either)
        case Token(system, str(code)):
            own = _own(first, one)
            return _all([own, beside("$", token_key("a", None, code))]) + mixed(token_key("c", system, code))
        case Reference(reference, id):
            told = reference or f"{first.targets[0]}/{id}"
            return beside("$", terms.without_version(told))
        case Amount():
            firsts = [text.removeprefix(_SEP) for text in quantities.asked_texts("", one)[0][0]]
            ways = [way for node in firsts for way in beside("$", node)]
            if sum(len(texts) for way in ways for texts in way) > MOST_PAIRS:
                raise BadSearch(param.name, f"asks for more than {MOST_PAIRS} pairs of numbers: narrow one of the two")
            return ways
    raise BadSearch(param.name, "is not answered")


def _second(param: SearchParam, head: str, value: Value) -> Ways:
    match value:
        case Token(system, code):
            return [((terms.token_text_below(head, system, code),),)]
        case Amount():
            return quantities.asked_texts(head, value)
    raise BadSearch(param.name, "is not answered")
