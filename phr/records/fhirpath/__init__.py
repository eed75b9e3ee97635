"""FHIRPath: an expression compiled once, evaluated on a tree of nodes. Pure, bounded in steps. (R4 fhirpath.html)

    run = compiled("component.code.exists()")   # raises Unsupported
    run.on(tree(resource))                      # list of values; raises Trouble, TooCostly

Decision: decisions/fhirpath-of-our-own.md. Not known here: `lowBoundary` and other later additions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from phr.records.fhirpath import compiler
from phr.records.fhirpath.context import Context, Frame, Run, TooCostly
from phr.records.fhirpath.nodes import Node, tree
from phr.records.fhirpath.parser import Unsupported, parse
from phr.records.fhirpath.values import Items, Trouble, truth

__all__ = ["Context", "Expression", "Items", "Node", "TooCostly", "Trouble", "Unsupported", "compiled", "tree"]


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression."""

    text: str
    run: Run

    def on(self, node: Node, context: Context | None = None) -> Items:
        """The values on a node. Raises Trouble (this input), TooCostly."""
        context = context or Context()
        outer, context.here = context.here, node
        try:
            return self.run(context, [node], Frame([node]))
        except RecursionError:
            raise TooCostly("nested too deeply") from None
        finally:
            context.here = outer  # one expression may ask for another (conformsTo)

    def holds(self, node: Node, context: Context | None = None) -> bool | None:
        """As a condition: None where the answer is empty. Raises Trouble, TooCostly."""
        return truth(self.on(node, context))


@lru_cache(maxsize=4096)
def compiled(text: str) -> Expression:
    """An expression, compiled. Raises Unsupported."""
    return Expression(text, compiler.compile(parse(text)))
