"""What an evaluation knows, and how far it may go. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from phr.records.fhirpath.nodes import Node
from phr.records.fhirpath.values import Items

STEPS: Final = 500_000  # values touched


class TooCostly(Exception):
    """The evaluation was stopped: it touched more values, or took longer, than is allowed."""


@dataclass(slots=True)
class Context:
    """One evaluation. `left`: steps that may still be taken, shared by evaluations that share a context.

    `member(value_set, node)`, `conforms(profile, node)` and `resolve(reference, node)` answer None where they
    cannot tell; `conforms` and `member` then give an empty collection.
    """

    here: Node | None = None  # %context
    left: int = STEPS
    now: datetime | None = None
    member: Callable[[str, Node], bool | None] | None = None
    conforms: Callable[[str, Node], bool | None] | None = None
    resolve: Callable[[str, Node], Node | None] | None = None
    constants: Mapping[str, Items] = field(default_factory=dict)

    def step(self, count: int = 1) -> None:
        """Count steps. Raises TooCostly."""
        self.left -= count
        if self.left < 0:
            raise TooCostly("the expression touches too many values")


@dataclass(frozen=True, slots=True)
class Frame:
    """$this, $index, $total and the focus an argument is evaluated on."""

    this: Items
    index: int = 0
    total: Items = field(default_factory=list)


Run = Callable[[Context, Items, Frame], Items]
URL_CONSTANTS: Final[Mapping[str, Any]] = {
    "%ucum": "http://unitsofmeasure.org", "%sct": "http://snomed.info/sct", "%loinc": "http://loinc.org",
}  # fmt: skip
