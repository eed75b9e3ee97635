"""Names of parameters that go from resource to resource: chains and `_has` (FHIR R4 3.1.1.4.14, 3.1.1.4.15). Pure.

    subject:Patient.organization.name:exact     _has:Observation:patient:code:in     patient._has:Consent:patient:status

Without a type, a chain goes on from every type the reference may point to that knows the next name: alternatives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from phr.records.definitions import concrete_types
from phr.records.search.conditions import condition, needs_opening, searchable
from phr.records.search.params import COLUMNS, SearchParam, params_for
from phr.records.search.query import BadSearch, Chain, Condition, Has, Node, below
from phr.records.search.values import Asked

DEEPEST = 5  # steps from resource to resource in one parameter
MOST_STEPS = 60  # in one search, all alternatives counted
MOST_ALTERNATIVES = 12  # types one step of a chain may lead to
Inner = Callable[[str], Node | None]


@dataclass(slots=True)
class Reader:
    """Reads the parameters of one search, and counts its steps from resource to resource."""

    asked: Asked
    steps: int = 0

    def node(self, type: str, name: str, text: str) -> Node | None:
        """What one parameter asks of `type`; None where nobody knows it. Raises BadSearch."""
        return self._node(type, name, text, name, 0)

    def _node(self, type: str, name: str, text: str, whole: str, depth: int) -> Node | None:
        if name.startswith("_has:"):
            return self._has(type, name, text, whole, depth)
        first, dot, rest = name.partition(".")
        bare, _, modifier = first.partition(":")
        param = params_for(type).get(bare)
        if param is None:
            return None
        if dot:
            go_on = partial(self._node, name=rest, text=text, whole=whole, depth=depth + 1)
            return self.chain(param, modifier, whole, depth, go_on)
        found = condition(param, whole, modifier, text, self.asked)
        if depth and (lost := opened(found)):
            raise BadSearch(whole, f"{lost} is in the sealed text of {type}: it is searched directly only")
        return found

    def chain(self, param: SearchParam, kind: str, whole: str, depth: int, inner: Inner) -> Chain:
        """A step along a reference; `inner` reads what must hold of a resource of a type. Raises BadSearch."""
        self.step(whole, depth)
        if param.type != "reference" or "Reference" not in param.types:
            raise BadSearch(whole, f"{param.name} is no reference that can be followed")
        if kind and (kind not in concrete_types() or (param.targets and kind not in param.targets)):
            raise BadSearch(whole, f"{param.name} does not point to {kind[:40]}")
        targets = []
        for target in _targets(param, kind):
            found = inner(target)
            if found is not None:
                targets.append((target, found))
            if len(targets) > MOST_ALTERNATIVES:
                raise BadSearch(
                    whole, f"leads to more than {MOST_ALTERNATIVES} types; name one: {param.name}:Patient.…"
                )
        if not targets:
            raise BadSearch(whole, f"what {param.name} points to has no such parameter")
        return Chain(param, tuple(targets))

    def _has(self, type: str, name: str, text: str, whole: str, depth: int) -> Has:
        parts = name.split(":", 3)
        if len(parts) != 4 or not all(parts):
            raise BadSearch(whole, "expected _has:Type:reference:parameter")
        _, source, by, rest = parts
        param = referring(source, by, type, whole)
        self.step(whole, depth)
        inner = self._node(source, rest, text, whole, depth + 1)
        if inner is None:
            raise BadSearch(whole, f"{source} has no parameter {rest.partition(':')[0][:40]}")
        return Has(param, inner)

    def step(self, whole: str, depth: int) -> None:
        """Count one more step. Raises BadSearch beyond a limit."""
        self.steps += 1
        if depth >= DEEPEST:
            raise BadSearch(whole, f"goes over more than {DEEPEST} references")
        if self.steps > MOST_STEPS:
            raise BadSearch(whole, f"more than {MOST_STEPS} steps from resource to resource in one search")


def referring(source: str, by: str, type: str, whole: str) -> SearchParam:
    """The reference parameter `by` of `source`, which must be able to point to `type`. Raises BadSearch."""
    if source not in concrete_types():
        raise BadSearch(whole, f"{source[:40]} is not a resource type")
    param = params_for(source).get(by)
    if param is None or param.type != "reference" or "Reference" not in param.types or not searchable(param):
        raise BadSearch(whole, f"{source} has no reference {by[:40]}")
    if param.targets and type not in param.targets:
        raise BadSearch(whole, f"{source}.{by} does not point to {type}")
    return param


def opened(node: Node) -> str | None:
    """The name of a parameter in the node that only an opened body can answer."""
    if isinstance(node, Condition):
        asks = node.missing is None and node.param.name not in COLUMNS
        return node.param.name if asks and needs_opening(node.param, node.modifier or "") else None
    return next((name for part in below(node) if (name := opened(part))), None)


def _targets(param: SearchParam, kind: str) -> tuple[str, ...]:
    if kind:
        return (kind,)
    only = tuple(kept.only for kept in param.kept if kept.only)
    return only or param.targets or tuple(sorted(concrete_types()))
