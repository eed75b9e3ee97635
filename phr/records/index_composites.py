"""The pairs that composite parameters ask for (`search/composites`): what the index writes of them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from phr.records.index_values import tokens_of
from phr.records.search import quantities, terms, trie
from phr.records.search.composites import Inner, mixed_mark, pair_head, plan, token_key
from phr.records.search.params import SearchParam, params_for
from phr.records.search.paths import Leaf, Step
from phr.records.search.quantities import Measured, measured

Walk = Callable[[Any], list[Any]]
Walker = Callable[[tuple[Step, ...]], Walk]
First = tuple[str | None, str]  # the system of a code, and what the pair stands under
Side = tuple[tuple[str, Walk, Callable[[Any], Iterable[Any]]], ...]  # first key, walk, what a node says
_SEP = "\x1f"


@dataclass(frozen=True, slots=True)
class Pairs:
    """One composite on one repeating element; `context`: from the value at the element's first key."""

    base: str
    name: str
    context: Walk
    first: Side
    second: Side

    def texts(self, value: Any) -> Iterator[str]:
        """Texts of terms from the value at the first key of the context."""
        beside: dict[str, dict[str | None, list[Any]]] = {}  # first value -> its systems -> second values
        for node in self.context(value):
            others = list(_said(node, self.second))
            for system, text in _said(node, self.first) if others else ():
                beside.setdefault(text, {}).setdefault(system, []).extend(others)
        for text, systems in beside.items():
            yield from self._pairs(text, systems)

    def _pairs(self, text: str, systems: dict[str | None, list[Any]]) -> Iterator[str]:
        everything = [value for values in systems.values() for value in values]
        if len(systems) == 1:
            yield from _texts(pair_head(self.base, self.name, "$", text), everything)
            return
        yield mixed_mark(self.base, self.name)
        yield from _texts(pair_head(self.base, self.name, "%", text), everything)
        code = text.partition(_SEP)[2]
        for system, values in systems.items():
            yield from _texts(pair_head(self.base, self.name, "%", token_key("c", system, code)), values)


def pairs_for(type_name: str, walker: Walker) -> Mapping[str, tuple[Pairs, ...]]:
    """The pairs of a type by the first key of their element. `walker`: compiles a path (index.walker)."""
    found: dict[str, tuple[Pairs, ...]] = {}
    for param in params_for(type_name).values():
        for inner in plan(param).inner if param.type == "composite" else ():
            if inner.kept == param.name:
                key = inner.context.steps[0].key
                found[key] = (*found.get(key, ()), _compiled(param, inner, walker))
    return found


def _compiled(param: SearchParam, inner: Inner, walker: Walker) -> Pairs:
    (_, one, first), (_, two, second) = inner.inner

    def side(component: SearchParam, leaves: Iterable[Leaf], *, leads: bool) -> Side:
        reads = _FIRST if leads else _SECOND
        return tuple((leaf.steps[0].key, walker(leaf.steps), partial(reads[component.type], kind=leaf.type))
                     for leaf in leaves)  # fmt: skip

    return Pairs(param.base, param.name, walker(inner.context.steps),
                 side(one, first, leads=True), side(two, second, leads=False))  # fmt: skip


def _said(node: Any, side: Side) -> Iterator[Any]:
    for key, walk, read in side if isinstance(node, dict) else ():
        for value in walk(node.get(key)):
            yield from read(value)


def _first_token(value: Any, kind: str) -> Iterator[First]:
    for system, code in tokens_of(value, kind):
        yield system, token_key("a", None, code)


def _first_reference(value: Any, kind: str) -> Iterator[First]:
    if isinstance(value, dict) and isinstance(reference := value.get("reference"), str):
        yield None, terms.without_version(reference)


def _first_number(value: Any, kind: str) -> Iterator[First]:
    if (said := measured(value, kind)) is not None:
        yield from ((None, node) for node in trie.nodes(said.low[0]))


def _measured(value: Any, kind: str) -> Iterator[Measured]:
    if (said := measured(value, kind)) is not None:
        yield said


_FIRST = {"token": _first_token, "reference": _first_reference, "number": _first_number}
_SECOND = {"token": tokens_of, "quantity": _measured, "number": _measured}


def _texts(head: str, values: Iterable[Any]) -> Iterator[str]:
    """What is kept beside a first value: quantities (numbers too) and tokens."""
    seen = dict.fromkeys(values)
    yield from quantities.stored(head, [value for value in seen if isinstance(value, Measured)])
    for value in seen:
        if not isinstance(value, Measured):
            yield from terms.token_texts_below(head, *value)
