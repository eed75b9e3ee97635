"""A resource as a tree of nodes that know their FHIR type: what FHIRPath and profiles walk on. Pure.

A node is made when it is first asked for and kept, so that many expressions share one tree. Input of any shape is
borne: what is not as R4 has it gives no node (`validate.check` says what is wrong with it).
Source: FHIR R4 2.6.2 (JSON: `_name` beside a primitive, nulls in lists), fhirpath.html (choice types).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from phr.records import definitions
from phr.records.validate import Shape, shape_of

_NOTHING: Mapping[str, list[Node]] = {}


class Node:
    """One element. `value`: JSON object, primitive, or None where only `beside` (id, extensions) is given.

    `type`: "Quantity", "string", "Observation", or the path of a backbone element ("Observation.component").
    `name`: the element's name without "[x]"; `at`: place in its list, -1 where it does not repeat.
    """

    __slots__ = ("_kids", "at", "beside", "name", "parent", "segment", "type", "value")

    def __init__(
        self, value: Any, type: str, *, parent: Node | None = None, name: str = "", segment: str = "", at: int = -1,
        beside: Any = None,
    ) -> None:  # fmt: skip
        self.value = value
        self.type = type
        self.parent = parent
        self.name = name
        self.segment = segment
        self.at = at
        self.beside = beside
        self._kids: Mapping[str, list[Node]] | None = None

    def kids(self) -> Mapping[str, list[Node]]:
        """The children by element name, in the order of the JSON."""
        if self._kids is None:
            self._kids = self._made()
        return self._kids

    def kid(self, name: str) -> list[Node]:
        """The children of one name; choice elements go by their stem (`value`)."""
        return self.kids().get(name, [])

    def children(self) -> list[Node]:
        return [node for nodes in self.kids().values() for node in nodes]

    @property
    def is_resource(self) -> bool:
        return isinstance(self.value, dict) and "resourceType" in self.value and self.type[:1].isupper()

    @property
    def is_primitive(self) -> bool:
        return self.type[:1].islower()

    def path(self) -> str:
        """The place as FHIRPath: `Observation.component[1].value.ofType(Quantity)`."""
        parts = []
        node: Node | None = self
        while node is not None:
            parts.append(node.segment + (f"[{node.at}]" if node.at >= 0 else ""))
            node = node.parent
        return ".".join(reversed(parts))

    def resource(self) -> Node:
        """The resource this node is part of; a contained one counts as itself (%resource)."""
        node = self
        while not node.is_resource and node.parent is not None:
            node = node.parent
        return node

    def root(self) -> Node:
        """As `resource`, but for what is contained: the resource around it (%rootResource)."""
        node = self.resource()
        return node.parent.resource() if node.name == "contained" and node.parent is not None else node

    def _made(self) -> Mapping[str, list[Node]]:
        source = self.value if isinstance(self.value, dict) else self.beside
        if not isinstance(source, dict):
            return _NOTHING
        shape = _shape(self.type if isinstance(self.value, dict) else "Element")
        if shape is None:
            return _NOTHING
        made: dict[str, list[Node]] = {}
        for key, given in source.items():
            value, spec = given, shape.fields.get(key)
            beside = source.get("_" + key) if spec is not None and spec.format is not None else None
            if spec is None:
                if key[:1] != "_" or key[1:] in source or (spec := shape.fields.get(key[1:])) is None:
                    continue
                value, beside = None, given
            name = spec.choice or spec.segment
            nodes = made.setdefault(name, [])
            if spec.many:
                self._list(nodes, name, spec.segment, spec.type, value, beside)
            elif (node := _node(value, beside, spec.type, self, name, spec.segment, -1)) is not None:
                nodes.append(node)
        return made

    def _list(self, nodes: list[Node], name: str, segment: str, type: str, values: Any, besides: Any) -> None:
        items = values if isinstance(values, list) else []
        notes = besides if isinstance(besides, list) else []
        for at in range(max(len(items), len(notes))):
            item = items[at] if at < len(items) else None
            note = notes[at] if at < len(notes) else None
            if (node := _node(item, note, type, self, name, segment, at)) is not None:
                nodes.append(node)


def _node(value: Any, beside: Any, type: str, parent: Node, name: str, segment: str, at: int) -> Node | None:
    if type[:1].islower():
        if isinstance(value, dict | list) or (value is None and not isinstance(beside, dict)):
            return None
        return Node(value, type, parent=parent, name=name, segment=segment, at=at, beside=beside)
    if not isinstance(value, dict):
        return None
    if type == "Resource":
        kind = value.get("resourceType")
        if not isinstance(kind, str) or kind not in definitions.concrete_types():
            return None
        type = kind
    return Node(value, type, parent=parent, name=name, segment=segment, at=at)


def _shape(type: str) -> Shape | None:
    return shape_of(type) if definitions.is_known(type) else None


def tree(resource: Mapping[str, Any]) -> Node:
    """The root node of a resource. Raises ValueError where its type is not one of R4."""
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or kind not in definitions.concrete_types():
        raise ValueError("not a resource of R4")
    return Node(resource, kind, segment=kind)


def descendants(node: Node) -> Iterator[Node]:
    """Everything below a node, parents before their children."""
    for child in node.children():
        yield child
        yield from descendants(child)
